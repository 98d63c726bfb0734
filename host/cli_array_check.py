"""The command `array check`: the conformance bench of arrays."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.errors import HostError
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.urls import BAUD
from backpulse.host.view import Terminal, console, stdout


def check(
    board: Annotated[str, typer.Option("--board", help="URL of the board.", metavar="URL", rich_help_panel=o.BOARD)],
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    only: Annotated[str | None, typer.Option(help="Make these checks alone: numbers joined by commas.", metavar="N,N")] = None,
    wires: Annotated[
        float, typer.Option(help="Sense words by which a cell's two directions may differ for its wires.", min=0.0, metavar="LSB")
    ] = 0.0,
    reads: Annotated[
        int | None,
        typer.Option(help="Reads of check 12 (if not given: 100,000, which takes a virtual board half an hour).", min=1, metavar="N"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with pictures to this file.", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    json: o.Json = None,
) -> None:
    """Check that an array keeps the tile contract; exit code 0 if all that could be tested has passed, 1 if something has failed.

    Emulated tiles are set to --device. Afterwards the array is as it was where its cells can be read and written, and at rest.
    """
    check_outputs({"--json": json, "--html": html})
    from backpulse.host.array_check import chosen  # matplotlib and compiled kernels take their time
    from backpulse.host.array_report import CheckView, reasons, result_table, verdict

    checks = chosen(only)
    given = {"device": device, "tile": tile, "tiles": tiles, "baud": baud}
    with Lab(board, **given, calibration=calibration, calibration_age=calibration_age, audience=Terminal()) as lab:
        with CheckView(checks) as view:
            found = lab.check(only, wires=wires, reads=reads, begin=view.begin, watch=view.end, report=view.report)
    written = Results()
    with written.each():
        write_json(json, found.to_dict())
    if html:
        with written.each():
            found.save(html)
    if json != STDOUT:
        stdout.print(found.about["facts"], markup=False, soft_wrap=True)
        stdout.print(f"{found.about['limits']}.", soft_wrap=True)
        stdout.print(result_table(found.results))
        for line in reasons(found.results):
            stdout.print(line, soft_wrap=True)
    console.print(verdict(found.results))
    written.finish()
    if found.failed:
        names = ", ".join(str(number) for number in found.failed)
        raise HostError(f"The array does not keep the contract: check {names} failed", "see the table")

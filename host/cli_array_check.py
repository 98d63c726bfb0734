"""The command `array check`: the conformance bench of arrays."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_budget import Budget
from backpulse.host.cli_train import open_told
from backpulse.host.devices import device_of, resolved
from backpulse.host.errors import HostError, SignalError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.stop import StoppedError, stop_on_signals
from backpulse.host.tile import facts_dict, facts_text
from backpulse.host.urls import BAUD, Address, board_config
from backpulse.host.view import console, show_warnings, stdout


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
    from backpulse.host.array_bench import DISTURBS, Bench  # matplotlib and compiled kernels take their time
    from backpulse.host.array_check import Result, check_array, chosen
    from backpulse.host.array_report import CheckView, reasons, result_table, verdict, write_page

    checks = chosen(only)
    model = device_of(resolved(device))
    results: list[Result] = []
    address = Address.of(board).calibrated(calibration, calibration_age)
    config = board_config(None, model, tile=tile, tiles=tiles, array=address.array)
    with open_told(address, config, baud) as opened, stop_on_signals() as stop:
        opened.check_armed()
        config = opened.config
        with CheckView(checks) as view, opened.heeding(stop):
            budget = Budget.of(address.array, address.folder, config)
            bench = Bench(opened, model, wires=wires, reads=reads or DISTURBS, budget=budget, report=view.report)
            try:
                with bench.kept():
                    for result in check_array(bench, checks, view.begin):
                        view.end(result)
                        results.append(result)
            except StoppedError:
                raise SignalError(f"Stopped after {len(results)} of {len(checks)} checks; the board is at rest", stop) from None
            finally:
                if budget:
                    show_warnings(budget.save())
        about = {
            "board": board,
            "facts": facts_text(opened.facts),
            "limits": bench.limits,
            "rows": config.tile_rows,
            "cols": config.tile_cols,
            "tiles": config.tiles,
            "build": opened.build_digest[:16],
        }
        facts = facts_dict(opened.facts)
    written = Results()
    with written.each():
        write_json(json, {**about, "facts": facts, "checks": [result.to_dict() for result in results]})
    if html:
        with written.each():
            write_page(html, results, about)
    if json != STDOUT:
        stdout.print(about["facts"], markup=False, soft_wrap=True)
        stdout.print(f"{bench.limits}.", soft_wrap=True)
        stdout.print(result_table(results))
        for line in reasons(results):
            stdout.print(line, soft_wrap=True)
    console.print(verdict(results))
    written.finish()
    failed = sorted({result.check.number for result in results if result.status == "failed"})
    if failed:
        names = ", ".join(str(number) for number in failed)
        raise HostError(f"The array does not keep the contract: check {names} failed", "see the table")

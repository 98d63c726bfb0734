"""The commands `array clear` and `array self-check`, for a board whose array works or has tripped."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.errors import HostError
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.settings import Settings
from backpulse.host.tile import cause_of
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import Table, Terminal, stdout

Board = Annotated[str, typer.Option("--board", help="URL of the board.", metavar="URL", rich_help_panel=o.BOARD)]


def clear(board: Board, baud: o.Baud = BAUD, json: o.Json = None) -> None:
    """Clear a trip, once its cause is seen to: the array takes commands again."""
    check_outputs({"--json": json})
    address = replace(Address.of(board), calibration=None)  # of which clearing needs nothing, nor of limits
    with Lab(address, baud=baud, arming=True, audience=Terminal()) as lab:
        cause = lab.clear()
    write_json(json, {"board": board, "cleared": cause})
    if json != STDOUT:
        stdout.print(f"Cleared: {cause_of(cause)[0]}" if cause else "The array has not tripped: there is nothing to clear")


@o.takes_settings("rounding", "auto_range", "spread", "seed", *o.OF_TRAINING, *o.OF_DATA)
def self_checks(
    board: Board,
    given: o.Given,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write dead lines and stuck cells as an array file (TOML).", metavar="FILE", rich_help_panel=o.FILES),
    ] = None,
    json: o.Json = None,
) -> None:
    """Pulse the cells of a network (with --layers) or of the whole array, and name lines and cells that do not do what was asked.

    Cells get as many pulses up as down; where they can be written, they are left as they were.
    """
    check_outputs({"--json": json, "--out": out})
    settings = Settings.from_dict(given)
    network = settings if "layers" in given else None
    sizes = {"device": settings.device, "tile": tile, "tiles": tiles, "baud": baud}
    with Lab(board, network, **sizes, calibration=calibration, calibration_age=calibration_age, audience=Terminal()) as lab:
        settings.check_profiles(lab.board.facts.profiles)
        checked = lab.self_check()
    found, bad, lines = checked.areas, checked.cells, checked.lines
    write_json(json, checked.to_dict())
    if out:
        checked.save(out)
    if json != STDOUT:
        view = Table(box=None, padding=(0, 1), pad_edge=False)
        for title in ("area", "cells", "step up", "step down", "back / dW'd", "forward / dWa", "dead rows", "dead columns", "cells"):
            view.add_column(title, overflow="fold")
        for one in found:
            cells = ", ".join(f"{row},{col}" for row, col, _ in one.bad[:8]) + (f" and {len(one.bad) - 8} more" if len(one.bad) > 8 else "")
            numbers = (f"{one.step_up:.2g}", f"{one.step_down:.2g}", f"{one.back_share:.3f}", f"{one.forward_share:.3f}")
            dead = (" ".join(map(str, one.dead_rows)), " ".join(map(str, one.dead_cols)))
            view.add_row(one.name, str(one.cells), *numbers, *dead, cells)
        stdout.print(view)
    if bad or lines:
        raise HostError(
            f"{lines} lines and {bad} other cells did not do what was asked", "keep layers off them: --out writes the array file for it"
        )

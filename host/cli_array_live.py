"""The commands `array clear` and `array self-check`, for a board whose array works or has tripped."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.image import tile_image
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_cells import Areas
from backpulse.host.cli_train import open_told
from backpulse.host.errors import HostError
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.self_check import map_text, self_check
from backpulse.host.settings import Settings
from backpulse.host.stop import stop_on_signals
from backpulse.host.storage import written_whole
from backpulse.host.tile import cause_of, facts_dict, is_exact
from backpulse.host.urls import BAUD, Address, board_config
from backpulse.host.view import console, stdout

Board = Annotated[str, typer.Option("--board", help="URL of the board.", metavar="URL", rich_help_panel=o.BOARD)]


def clear(board: Board, baud: o.Baud = BAUD, json: o.Json = None) -> None:
    """Clear a trip, once its cause is seen to: the array takes commands again."""
    check_outputs({"--json": json})
    address = replace(Address.of(board), calibration=None, arming=True)  # of which clearing needs nothing
    with open_told(address, board_config(None, PRESETS["ideal"], array=address.array), baud) as opened:
        cause = opened.clear_trip()
        opened.check_tripped()  # what stays tripped has its cause still there
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
    address = Address.of(board).calibrated(calibration, calibration_age)
    network = settings.network if "layers" in given else None
    config = board_config(network, settings.device_model, tile=tile, tiles=tiles, array=address.array, dead=Dead.parse(settings.dead))
    with open_told(address, config, baud) as opened, stop_on_signals() as stop, opened.heeding(stop):
        opened.check_ready()
        settings.check_profiles(opened.facts.profiles)
        program = settings.compile(opened.config) if "layers" in given else None
        if not opened.real:  # emulated devices are those of the settings
            opened.write(tile_image(settings.device_model.tile_words(opened.config)))
        kept = opened.read_cells() if is_exact(opened.facts) else None
        areas = Areas(opened, program)
        with console.status("") as status:
            found = self_check(areas, settings.device_model.dw_min, report=lambda n, of: status.update(f"{n} of {of} areas"))
        if kept is not None:
            opened.write_cells(kept)
        facts = facts_dict(opened.facts)
    result: dict[str, Any] = {"board": board, "array": facts, "areas": [one.to_dict() for one in found]}
    bad = sum(len(one.bad) for one in found)
    lines = sum(len(one.dead_rows) + len(one.dead_cols) for one in found)
    write_json(json, result)
    if out:
        with written_whole(out, "file") as file:
            file.write(map_text(found).encode())
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

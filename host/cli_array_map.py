"""The command `array map`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.firmware_py.array import SAFE_N2GR
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tile import facts_text
from backpulse.host.urls import BAUD
from backpulse.host.view import Table, Terminal, stdout


def read_map_command(
    board: a.Board,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    read_profile: a.ReadProfile = 0,
    averages: a.Averages = 4,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the map to this file (CSV).", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Measure the conductance of every cell, by reads in both directions, each line alone."""
    check_outputs({"--out": out, "--json": json, "--plot": plot})
    given = {"device": device, "tile": tile, "tiles": tiles, "baud": baud}
    with Lab(board, **given, calibration=calibration, calibration_age=calibration_age, audience=Terminal()) as lab:
        told = facts_text(lab.board.facts)
        found = lab.map(read_profile=read_profile, averages=averages)
    results = Results()
    with results.each():
        write_json(json, found.to_dict())
    if json != STDOUT:
        stdout.print(told, soft_wrap=True)
        stdout.print(_table(found.figures))
    if out:
        with results.each():
            found.save(out)
    if plot:
        with results.each():
            found.plot(plot)
    results.finish()


def _table(figures: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=False)
    micro = {name: f"{1e6 * value:.4g} µS" for name, value in figures.items() if name.endswith("_s")}
    table.add_row("conductance, least, mean, most", f"{micro['least_s']}, {micro['mean_s']}, {micro['most_s']}")
    worst = f"{micro['ways_differ_worst_s']} at {figures['ways_differ_worst_at']}"
    table.add_row("READ and READT differ, RMS and worst", f"{micro['ways_differ_s']}, {worst}")
    if (n2gr := figures["n2gr"]) is not None:
        safe = "at most" if n2gr <= SAFE_N2GR else "above"
        table.add_row("N² g R", f"{n2gr:.3g}, {safe} {SAFE_N2GR}")
    return table

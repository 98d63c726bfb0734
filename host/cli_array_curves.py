"""The commands `array pulse`, `array endurance` and `array retention`: what cells do over pulses, cycles and time."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.lab import Lab
from backpulse.host.lab_results import Curves, Endurance, Retention
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.urls import BAUD
from backpulse.host.view import Table, Terminal, stdout

NAMED = 12
"""Cells that a table on the terminal shows."""
Pulses = Annotated[
    int, typer.Option("--pulses", help="Pulses in each direction.", min=1, max=1_000_000, metavar="N", rich_help_panel=a.ARRAY)
]


def curves(
    board: a.Board,
    out: a.Table,
    cells: a.Cells = None,
    pulses: Pulses = 50,
    cycles: Annotated[int, typer.Option(help="How often up and down.", min=1, metavar="N", rich_help_panel=a.ARRAY)] = 1,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    read_profile: a.ReadProfile = 0,
    pulse_profile: a.PulseProfile = 0,
    averages: a.Averages = 1,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Pulse cells up and down again, one pulse at a time, and measure each after every pulse: response curves."""
    check_outputs({"--out": out, "--json": json, "--plot": plot})
    with _lab(board, device, tile, tiles, baud, calibration, calibration_age) as lab:
        profiles = {"read_profile": read_profile, "pulse_profile": pulse_profile}
        found = lab.pulse(cells, pulses=pulses, cycles=cycles, averages=averages, **profiles)
    values, points = found.conductance, len(found.pulses)
    if json != STDOUT:
        table = _columns("cell", "before, µS", "after, µS", "step up, nS", "step down, nS")
        for i, name in enumerate(found.cells[:NAMED] if points else []):
            ends = (f"{1e6 * values[at, i]:.4g}" for at in (0, -1))
            table.add_row(name, *ends, *(f"{1e9 * step[i]:.4g}" for step in found.steps.values()))
        _print(table, len(found.places))
    _write(found, out, json, plot if points else None)
    lab.finish(f"the {points} points measured are in {out}")


def endurance_command(
    board: a.Board,
    cells: Annotated[str, typer.Option("--cells", help="Cells and areas, as in r3c5,r0-3c0-7.", metavar="CELLS", rich_help_panel=a.ARRAY)],
    out: a.Table,
    cycles: Annotated[int, typer.Option(help="How often up and down.", min=1, metavar="N", rich_help_panel=a.ARRAY)] = 100,
    pulses: Pulses = 50,
    every: Annotated[
        int, typer.Option(help="Measure at every N-th cycle, the first and the last.", min=1, metavar="N", rich_help_panel=a.ARRAY)
    ] = 1,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    read_profile: a.ReadProfile = 0,
    pulse_profile: a.PulseProfile = 0,
    averages: a.Averages = 1,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Pulse cells up and down again many times: window and midpoint of each over the cycles, and the pulses of its budget."""
    check_outputs({"--out": out, "--json": json, "--plot": plot})
    with _lab(board, device, tile, tiles, baud, calibration, calibration_age) as lab:
        profiles = {"read_profile": read_profile, "pulse_profile": pulse_profile}
        found = lab.endurance(cells, cycles=cycles, pulses=pulses, every=every, averages=averages, **profiles)
    if json != STDOUT and found.cycles:
        ever, most = found.pulses_ever, found.budget.get("pulses_allowed")
        table = _columns("cell", "first window, µS", "last, µS", "first midpoint, µS", "last, µS", "pulses ever" if most else "")
        for i, name in enumerate(found.cells[:NAMED]):
            ends = (f"{1e6 * v[at, i]:.4g}" for v in (found.window, found.midpoint) for at in (0, -1))
            table.add_row(name, *ends, "" if ever is None else f"{ever[i]:,} of {most:,}")
        _print(table, len(found.places))
    _write(found, out, json, plot if found.cycles else None)
    lab.finish(f"the {len(found.cycles)} cycles measured are in {out}")


def retention_command(
    board: a.Board,
    out: a.Table,
    times: Annotated[
        str, typer.Option("--times", help="Seconds after the first look, joined by commas.", metavar="T,T", rich_help_panel=a.ARRAY)
    ] = "1,10,100",
    cells: a.Cells = None,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    read_profile: a.ReadProfile = 0,
    averages: a.Averages = 4,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Measure cells now and at some times from now on, without pulses."""
    check_outputs({"--out": out, "--json": json, "--plot": plot})
    with _lab(board, device, tile, tiles, baud, calibration, calibration_age) as lab:
        found = lab.retention(times, cells, read_profile=read_profile, averages=averages)
    values = found.conductance
    if json != STDOUT and found.seconds:
        table = _columns("time, s", "mean, µS", "moved, RMS, nS", "worst, nS", "at")
        for at, look in zip(found.seconds, values, strict=True):
            moved = look - values[0]
            worst = int(np.abs(moved).argmax())
            figures = (f"{at:.4g}", f"{1e6 * look.mean():.4g}", f"{1e9 * np.sqrt(np.mean(moved**2)):.4g}", f"{1e9 * moved[worst]:.4g}")
            table.add_row(*figures, found.cells[worst])
        stdout.print(table)
    _write(found, out, json, plot if found.seconds else None)
    lab.finish(f"the {len(found.seconds)} looks are in {out}")


def _lab(board: str, device: str, tile: str, tiles: int | None, baud: int, calibration: Path | None, calibration_age: float | None) -> Lab:
    given = {"device": device, "tile": tile, "tiles": tiles, "baud": baud}
    return Lab(board, **given, calibration=calibration, calibration_age=calibration_age, audience=Terminal())


def _write(found: Curves | Endurance | Retention, out: Path, json: str | None, plot: Path | None) -> None:
    results = Results()
    with results.each():
        write_json(json, found.to_dict())
    with results.each():
        found.save(out)
    if plot:
        with results.each():
            found.plot(plot)
    results.finish()


def _columns(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, justify="right")
    return table


def _print(table: Table, cells: int) -> None:
    stdout.print(table)
    if cells > NAMED:
        stdout.print(f"and {cells - NAMED} more cells", style="dim")

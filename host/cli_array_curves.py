"""The commands `array pulse`, `array endurance` and `array retention`: what cells do over pulses, cycles and time."""

import time
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_session import Session, session
from backpulse.host.cell_names import cell_name, parse_cells
from backpulse.host.cell_values import Cycle, Look, NamedCells, Point, endurance, response_curves, retention
from backpulse.host.csv_tables import write_table
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tile import facts_dict
from backpulse.host.urls import BAUD
from backpulse.host.view import stdout

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
    found: list[Point] = []
    with session(board, device=device, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age) as s:
        named = _named(s, cells, read_profile, pulse_profile, averages)
        with s.bar("pulsing") as tell:
            for point in response_curves(named, pulses, cycles, tell):
                found.append(point)
    values = _siemens(s, [point.values for point in found], named)
    moves = _moves(found, values)
    results = Results()
    with results.each():
        write_json(
            json,
            {
                **_about(s, board, named, read_profile, pulse_profile),
                "pulses": [point.pulse for point in found],
                "directions": [point.direction for point in found],
                "conductance_s": values.tolist(),
                "step_up_s": moves["up"].tolist(),
                "step_down_s": moves["down"].tolist(),
            },
        )
    with results.each():
        header = _header(s, board, "pulse: conductance in siemens after each pulse; pulse 0 is what the cell was before")
        rows = [
            (*place, point.pulse, point.direction, float(value))
            for i, place in enumerate(named.places.tolist())
            for point, value in zip(found, values[:, i], strict=True)
        ]
        write_table(out, header, ("row", "column", "pulse", "direction", "conductance_S"), rows)
    if json != STDOUT:
        table = _columns("cell", "before, µS", "after, µS", "step up, nS", "step down, nS")
        for i, place in enumerate(named.places[:NAMED].tolist() if len(found) else []):
            ends = (f"{1e6 * values[at, i]:.4g}" for at in (0, -1))
            table.add_row(cell_name(*place), *ends, *(f"{1e9 * moves[way][i]:.4g}" for way in ("up", "down")))
        _print(table, named)
    if plot and len(found):
        with results.each():
            from backpulse.host.lab_plots import plot_curves  # matplotlib takes its time

            plot_curves(plot, board, named.places, found, values)
    results.finish()
    s.finish(f"the {len(found)} points measured are in {out}")


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
    found: list[Cycle] = []
    with session(board, device=device, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age) as s:
        named = _named(s, cells, read_profile, pulse_profile, averages)
        with s.bar("cycling") as tell:
            for cycle in endurance(named, pulses, cycles, every, tell):
                found.append(cycle)
    high, low = (_siemens(s, [getattr(cycle, end) for cycle in found], named) for end in ("high", "low"))
    window, middle = high - low, (high + low) / 2
    results = Results()
    with results.each():
        lists = {"high_s": high, "low_s": low, "window_s": window, "midpoint_s": middle}
        write_json(
            json,
            {
                **_about(s, board, named, read_profile, pulse_profile),
                "cycles": [cycle.number for cycle in found],
                "pulses_a_cycle": 2 * pulses,
                **{name: values.tolist() for name, values in lists.items()},
                **(s.budget.figures() if s.budget else {}),
            },
        )
    with results.each():
        header = _header(s, board, f"endurance: cycles of {pulses} pulses up and {pulses} down; conductances in siemens")
        rows = [
            (*place, cycle.number, 2 * pulses * cycle.number, *(float(v[n, i]) for v in (high, low, window, middle)))
            for i, place in enumerate(named.places.tolist())
            for n, cycle in enumerate(found)
        ]
        write_table(out, header, ("row", "column", "cycle", "pulses", "high_S", "low_S", "window_S", "midpoint_S"), rows)
    if json != STDOUT and found:
        table = _columns("cell", "first window, µS", "last, µS", "first midpoint, µS", "last, µS", "pulses ever" if s.budget else "")
        for i, place in enumerate(named.places[:NAMED].tolist()):
            ends = (f"{1e6 * v[at, i]:.4g}" for v in (window, middle) for at in (0, -1))
            ever = f"{s.budget.pulses[*place]:,} of {s.budget.most:,}" if s.budget else ""
            table.add_row(cell_name(*place), *ends, ever)
        _print(table, named)
    if plot and found:
        with results.each():
            from backpulse.host.lab_plots import plot_endurance  # matplotlib takes its time

            plot_endurance(plot, board, named.places, [cycle.number for cycle in found], high, low)
    results.finish()
    s.finish(f"the {len(found)} cycles measured are in {out}")


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
    wanted = _times(times)
    found: list[Look] = []
    with session(board, device=device, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age) as s:
        named = _named(s, cells, read_profile, 0, averages)
        with s.bar("waiting") as tell:
            for look in retention(named, wanted, time.monotonic, s.board.link.wait, tell):
                found.append(look)
    values = _siemens(s, [look.values for look in found], named)
    seconds = [look.seconds for look in found]
    results = Results()
    with results.each():
        write_json(json, {**_about(s, board, named, read_profile), "seconds": seconds, "conductance_s": values.tolist()})
    with results.each():
        header = _header(s, board, "retention: conductance in siemens, seconds after the first look")
        rows = [
            (at, *place, float(value))
            for at, look in zip(seconds, values, strict=True)
            for place, value in zip(named.places.tolist(), look, strict=True)
        ]
        write_table(out, header, ("time_s", "row", "column", "conductance_S"), rows)
    if json != STDOUT and found:
        table = _columns("time, s", "mean, µS", "moved, RMS, nS", "worst, nS", "at")
        for at, look in zip(seconds, values, strict=True):
            moved = look - values[0]
            worst = int(np.abs(moved).argmax())
            figures = (f"{at:.4g}", f"{1e6 * look.mean():.4g}", f"{1e9 * np.sqrt(np.mean(moved**2)):.4g}", f"{1e9 * moved[worst]:.4g}")
            table.add_row(*figures, cell_name(*named.places[worst].tolist()))
        stdout.print(table)
    if plot and found:
        with results.each():
            from backpulse.host.lab_plots import plot_retention  # matplotlib takes its time

            plot_retention(plot, board, seconds, values)
    results.finish()
    s.finish(f"the {len(found)} looks are in {out}")


def _times(text: str) -> list[float]:
    """Return the times of a text."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or found != sorted(found) or not all(0 < time <= 1e9 for time in found):
        raise InputError(f"--times takes rising numbers of seconds joined by commas, as in 1,10,100, not {text!r:.60}")
    return found


def _named(s: Session, cells: str | None, read_profile: int, pulse_profile: int, averages: int) -> NamedCells:
    s.check_profiles(read_profile, pulse_profile)
    named = parse_cells(cells, s.board.config)
    return NamedCells(s.board, named, read_profile=read_profile, pulse_profile=pulse_profile, averages=averages, budget=s.budget)


def _siemens(s: Session, values: list[np.ndarray], named: NamedCells) -> np.ndarray:
    """Return device units as siemens: float64 of shape (points, cells)."""
    return s.array.cells.mid + s.array.cells.per_unit * np.array(values).reshape(len(values), len(named.places))


def _moves(found: list[Point], values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean step of a pulse in either direction, in siemens, of each cell."""
    ways = np.array([point.direction for point in found[1:]])
    steps = np.diff(values, axis=0)
    return {way: steps[ways == way].mean(axis=0) if (ways == way).any() else np.full(values.shape[1], np.nan) for way in ("up", "down")}


def _about(s: Session, board: str, named: NamedCells, read_profile: int, pulse_profile: int | None = None) -> dict[str, Any]:
    pulse = {} if pulse_profile is None else {"pulse_profile": pulse_profile}
    cells = [cell_name(*place) for place in named.places.tolist()]
    return {
        "board": board,
        "array": facts_dict(s.board.facts),
        "read_profile": read_profile,
        **pulse,
        "complete": not s.stop.asked,
        "cells": cells,
    }


def _header(s: Session, board: str, text: str) -> dict[str, str]:
    stopped = {"stopped": "by the user, before the end"} if s.stop.asked else {}
    return {"backpulse": f"array {text}", "board": board, **s.scale, **stopped}


def _columns(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, justify="right")
    return table


def _print(table: Table, named: NamedCells) -> None:
    stdout.print(table)
    if len(named.places) > NAMED:
        stdout.print(f"and {len(named.places) - NAMED} more cells", style="dim")

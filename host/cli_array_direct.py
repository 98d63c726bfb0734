"""The commands `array calibrate` and `array iv`: direct operations on an analog tile's lines."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tables import count
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import Terminal, stdout


def calibrate_command(
    board: a.Board,
    out: Annotated[Path, typer.Option("--out", help="Write the calibration to this file (JSON).", metavar="FILE", rich_help_panel=o.FILES)],
    known: Annotated[
        str | None,
        typer.Option(
            help="Ohms of all cells, or a CSV of them, a line a row (if not given: gains are those of perfect parts).",
            metavar="OHMS|FILE",
            rich_help_panel=a.ARRAY,
        ),
    ] = None,
    read_profile: a.ReadProfile = 0,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    json: o.Json = None,
) -> None:
    """Measure offsets, trims, gains and factors of an array's lines, load them into the board and write them to a file."""
    check_outputs({"--out": out, "--json": json})
    address = replace(Address.of(board), calibration=None)  # begins with that of perfect parts
    with Lab(address, tile=tile, tiles=tiles, baud=baud, audience=Terminal()) as lab:
        found = lab.calibrate(known, read_profile=read_profile)
    results, calibration = Results(), found.calibration
    with results.each():
        calibration.save(out)
    with results.each():
        write_json(
            json, {"board": board, "file": str(out), "digest": calibration.digest, **calibration.model_dump(mode="json"), **found.figures}
        )
    if json != STDOUT:
        stdout.print(f"{calibration.method}; {calibration.date:%Y-%m-%d %H:%M} UTC, digest {calibration.digest[:16]}", soft_wrap=True)
        names = {
            "offset_worst_samples": "largest offset, samples",
            "trim_worst_codes": "largest trim, codes",
            "gain_worst": "gain furthest from that of perfect parts, share",
            "cell_worst": "cell furthest from what is known of it, share",
        }
        for name, value in found.figures.items():
            stdout.print(f"{names[name]}: {value:.4g}")
        stdout.print(f'It is loaded; for every command with this array: calibration = "{out.name}" in the array file', soft_wrap=True)
    results.finish()


def iv(
    board: a.Board,
    cell: a.Cell,
    stop: Annotated[float, typer.Option("--stop", help="Voltage where the sweep turns.", metavar="V", rich_help_panel=a.ARRAY)],
    compliance: Annotated[
        float, typer.Option("--compliance", help="Current at which it turns earlier.", min=0.0, metavar="A", rich_help_panel=a.ARRAY)
    ],
    out: a.Table,
    start: Annotated[float, typer.Option("--start", help="First voltage, and the last.", metavar="V", rich_help_panel=a.ARRAY)] = 0.0,
    step: Annotated[float, typer.Option("--step", metavar="V", help="Between two points.", rich_help_panel=a.ARRAY)] = 0.02,
    read_profile: a.ReadProfile = 0,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Measure the current of one cell over its voltage, there and back again."""
    check_outputs({"--out": out, "--json": json, "--plot": plot})
    given = {"tile": tile, "tiles": tiles, "baud": baud}
    with Lab(board, **given, calibration=calibration, calibration_age=calibration_age, audience=Terminal()) as lab:
        found = lab.iv(cell, stop, compliance, start=start, step=step, read_profile=read_profile)
    results, points = Results(), len(found.volts)
    with results.each():
        write_json(json, found.to_dict())
    with results.each():
        found.save(out)
    if json != STDOUT and points:
        at, turned = int(np.abs(found.amperes).argmax()), found.turned
        largest = f"largest current {1e6 * found.amperes[at]:.4g} µA at {found.volts[at]:.4g} V"
        stdout.print(f"{count(points, 'point')}; {largest}", soft_wrap=True)
        if turned is not None:
            why = "the converter's rail" if found.over[turned] else "the compliance"
            stdout.print(f"It turned at {found.volts[turned]:.4g} V, at {why}", soft_wrap=True)
    if plot and points:
        with results.each():
            found.plot(plot)
    results.finish()
    lab.finish(f"the {points} points measured are in {out}")

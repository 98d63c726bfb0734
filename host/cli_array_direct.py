"""The commands `array calibrate` and `array iv`: direct operations on an analog tile's lines."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from backpulse.firmware_py.array import Array, FrontEnd
from backpulse.firmware_py.registers import ArrayWord
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_calibration import Found, calibrate
from backpulse.host.array_session import Session, session
from backpulse.host.array_sweeps import CellBench, Point, check_volts, ramp, sweep
from backpulse.host.array_targets import read_ohms
from backpulse.host.cell_names import one_cell
from backpulse.host.csv_tables import write_table
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tables import count
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import show_warnings, stdout


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
    found: Found | None = None
    address = replace(Address.of(board), calibration=None)  # begins with that of perfect parts
    with session(address, tile=tile, tiles=tiles, baud=baud) as s:
        analog, (array, _) = AnalogTile(s.board), of_front_end(s)
        s.check_profiles(read_profile)
        ohms = read_ohms(known, analog.lines) if known else None
        with s.bar("calibrating") as tell:
            found = calibrate(analog, array, None if ohms is None else 1 / ohms, profile=read_profile, report=tell)
        analog.write_calibration(found.calibration.tables, found.calibration.number)
    s.finish("nothing was written, and the board has the calibration of perfect parts")
    assert found is not None
    results, calibration = Results(), found.calibration
    with results.each():
        calibration.save(out)
    with results.each():
        write_json(
            json, {"board": board, "file": str(out), "digest": calibration.digest, **calibration.model_dump(mode="json"), **found.figures}
        )
    show_warnings(found.remarks)
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
    volts = ramp(start, stop, step, "--step")
    found: list[Point] = []
    with session(board, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age) as s:
        analog, (array, front) = AnalogTile(s.board), of_front_end(s)
        s.check_profiles(read_profile)
        row, col = one_cell(cell, s.board.config)
        most = front.most_amperes
        if not 0 < compliance <= most:
            raise InputError(
                f"--compliance must be above 0 and at most {most:.3g} A, where the amplifier is at its rail, not {compliance:g}"
            )
        check_volts(analog, array, max(map(abs, volts)), ArrayWord.READ_CODE_LIMIT, "sweep less, or raise read_volts in [limits]")
        bench = CellBench(analog, array, row, col, read_profile)
        with s.bar("sweeping") as tell:
            for point in sweep(bench, volts, compliance, tell):
                found.append(point)
    turned = next((p for p in found if p.over or abs(p.amperes) >= compliance), None)
    results = Results()
    points = {name: [getattr(p, name) for p in found] for name in ("volts", "amperes", "back", "over")}
    with results.each():
        write_json(json, {"board": board, "cell": cell, "compliance_a": compliance, "complete": not s.stop.asked, **points})
    with results.each():
        header = {"backpulse": f"array iv: current through cell {cell} over its voltage, compliance {compliance:g} A", "board": board}
        rows = [(n, "back" if p.back else "there", p.volts, p.amperes, int(p.over)) for n, p in enumerate(found)]
        write_table(out, header, ("point", "direction", "volts_V", "current_A", "over"), rows)
    if json != STDOUT and found:
        largest = max(found, key=lambda p: abs(p.amperes))
        stdout.print(
            f"{count(len(found), 'point')}; largest current {1e6 * largest.amperes:.4g} µA at {largest.volts:.4g} V", soft_wrap=True
        )
        if turned:
            why = "the converter's rail" if turned.over else "the compliance"
            stdout.print(f"It turned at {turned.volts:.4g} V, at {why}", soft_wrap=True)
    if plot and found:
        with results.each():
            from backpulse.host.lab_plots import plot_iv  # matplotlib takes its time

            plot_iv(plot, f"{cell} of {board}", found)
    results.finish()
    s.finish(f"the {len(found)} points measured are in {out}")


def of_front_end(s: Session) -> tuple[Array, FrontEnd]:
    """Return the array of a session and its front end.

    Raises
    ------
    InputError
        If the array file has none.
    """
    front = s.array.front_end
    if front is None:
        raise InputError(
            "What volts and amperes are is in the table [front_end] of an array file: give it as ?array=FILE; no line was driven"
        )
    return s.array, front

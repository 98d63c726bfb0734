"""The command `array form`."""

from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer

from backpulse.firmware_py.analog import LineWord, ProfileWord
from backpulse.firmware_py.analog_profiles import code_of, cycles_of
from backpulse.firmware_py.array import Array, FrontEnd
from backpulse.firmware_py.registers import ArrayWord
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_arm import NO_LIMIT, check_arm, code_of_plan, confirmed, own_limits
from backpulse.host.array_session import Session, session
from backpulse.host.array_setup import in_units, limits
from backpulse.host.array_sweeps import CellBench, Formed, form, ramp
from backpulse.host.cell_names import cell_name, parse_cells
from backpulse.host.cli_array_direct import of_front_end
from backpulse.host.csv_tables import write_table
from backpulse.host.errors import HostError, InputError, wrong_input
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tables import count
from backpulse.host.urls import BAUD
from backpulse.host.view import console, stdout


def form_command(
    board: a.Board,
    cells: Annotated[str, typer.Option("--cells", help="Cells and areas, as in r3c5,r0-3c0-7.", metavar="CELLS", rich_help_panel=a.ARRAY)],
    start: Annotated[float, typer.Option("--start", help="Voltage of the first pulse.", metavar="V", rich_help_panel=a.ARRAY)],
    stop: Annotated[float, typer.Option("--stop", help="Of the last, if need be.", metavar="V", rich_help_panel=a.ARRAY)],
    step: Annotated[float, typer.Option("--step", help="From one to the next.", metavar="V", rich_help_panel=a.ARRAY)],
    target: Annotated[
        float, typer.Option("--target", help="Resistance below which a cell is formed.", metavar="OHMS", rich_help_panel=a.ARRAY)
    ],
    out: a.Table,
    width: Annotated[
        float | None,
        typer.Option("--width", help="Of a pulse, seconds (if not given: the profile's).", metavar="S", rich_help_panel=a.ARRAY),
    ] = None,
    confirm: a.Confirm = None,
    read_profile: a.ReadProfile = 0,
    pulse_profile: a.PulseProfile = 0,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    json: o.Json = None,
) -> None:
    """Form cells: pulses of rising voltage until the resistance is below a target.

    In two steps, as `array arm`, and with limits of its own. Behind it the array is disarmed, and has the limits that it had.
    """
    check_outputs({"--out": out, "--json": json})
    volts = ramp(start, stop, step, "--step")
    if not target > 0:
        raise InputError(f"--target must be a positive number of ohms, not {target:g}")
    found: dict[tuple[int, int], list[Formed]] = {}
    with session(board, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age, armed=False) as s:
        check_arm(s.board.capabilities)
        s.board.check_tripped()
        analog, (array, front) = AnalogTile(s.board), of_front_end(s)
        s.check_profiles(read_profile, pulse_profile)
        named = [(int(r), int(c)) for r, c in np.argwhere(parse_cells(cells, s.board.config))]
        words = analog.profile(pulse_profile)
        allowed, said = _forming(analog, array, front, volts, width, words)
        said = [("forming", f"{count(len(named), 'cell')}, {cells}"), ("until", f"below {target:g} Ω"), *said]
        code = code_of_plan(said, [words, list(allowed.values())])
        if json != STDOUT:
            for name, value in said:
                stdout.print(f"{name}: {value}", soft_wrap=True)
        going = confirmed(code, confirm)
        if going:
            with own_limits(analog, allowed, pulse_profile, words), s.bar("forming") as tell:
                for n, place in enumerate(named):
                    steps = found.setdefault(place, [])
                    for one in form(CellBench(analog, array, *place, read_profile), volts, target, pulse_profile, _counted(s, place)):
                        steps.append(one)
                    tell(n + 1, len(named))
    if not going and not s.stop.asked:
        write_json(json, {"board": board, "code": code, "drives": dict(said)})
        console.print(f"Nothing was driven. If this is what the cells may be driven with: --confirm {code}", soft_wrap=True)
        return
    formed = [place for place, steps in found.items() if steps and steps[-1].ohms < target]
    results = Results()
    with results.each():
        cells_of = [
            {
                "cell": cell_name(*place),
                "formed": place in formed,
                "volts": [p.volts for p in steps],
                "ohms": [_json(p.ohms) for p in steps],
            }
            for place, steps in found.items()
        ]
        write_json(json, {"board": board, "target_ohm": target, "complete": not s.stop.asked, "cells": cells_of})
    with results.each():
        header = {"backpulse": f"array form: resistance after each pulse, target {target:g} ohm; volts 0: before the first", "board": board}
        rows = [(*place, n, p.volts, p.ohms) for place, steps in found.items() for n, p in enumerate(steps)]
        write_table(out, header, ("row", "column", "pulse", "volts_V", "resistance_ohm"), rows)
    if json != STDOUT:
        stdout.print(f"{len(formed)} of {count(len(named), 'cell')} formed; the array is disarmed", soft_wrap=True)
    results.finish()
    s.finish(f"what was done until then is in {out}")
    if len(formed) < len(named):
        left = [cell_name(*place) for place in named if place not in formed]
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        raise HostError(
            f"{count(len(left), 'cell')} did not form: {', '.join(left[:5])}{more}", "raise --stop or --width, if the cells stand it"
        )


def _counted(s: Session, place: tuple[int, int]) -> Callable[[float], None]:
    """Return what is told of each pulse of a cell, by its voltage, before it is given: the budget counts it, and may refuse it."""

    def before(volts: float) -> None:
        if s.budget:
            plane = np.zeros(s.budget.pulses.shape, np.int64)
            plane[place] = 1
            s.budget.check(plane)
            s.budget.add(plane if volts > 0 else -plane)
        s.stop.heed()

    return before


def _json(ohms: float) -> float | None:
    return ohms if np.isfinite(ohms) else None


def _forming(
    analog: AnalogTile, array: Array, front: FrontEnd, volts: list[float], width: float | None, words: list[int]
) -> tuple[dict[ArrayWord, int], list[tuple[str, str]]]:
    """Return the limits of forming, and what is said of it; the pulses' width goes into the profile's words."""
    most = max(map(abs, volts))
    with wrong_input():
        half = abs(code_of(most / 2, front))
        if width is not None:
            words[ProfileWord.WIDTH] = cycles_of(width, analog.clock_khz)

    def time(cycles: int) -> str:
        return in_units(ArrayWord.LIMIT, cycles, front, analog.clock_khz)

    if words[ProfileWord.WIDTH] < analog.width_min:
        raise InputError(f"This front end makes no pulse below {time(analog.width_min)}: give a longer --width; no line was driven")
    profiles = [analog.profile(number) for number in range(len(array.profiles))]
    trims = int(np.abs(analog.calibration()[LineWord.TRIM]).max())  # which the tile adds
    own = {ArrayWord.CODE_LIMIT: half + trims, ArrayWord.LIMIT: words[ProfileWord.WIDTH], ArrayWord.BUDGET: NO_LIMIT}
    said = [
        ("pulses", f"{volts[0]:.4g} V to {volts[-1]:.4g} V at the cell, half of it at its row and the other half at its column"),
        ("each", f"{time(words[ProfileWord.WIDTH])} wide, {count(len(volts), 'pulse')} a cell at most"),
        ("current at most", f"{1000 * front.most_amperes:.3g} mA a line, by its amplifier"),
    ]
    return limits(analog, array, profiles) | own, said

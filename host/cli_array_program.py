"""The command `array program`."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backpulse.firmware_py.dead import Dead
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_cells import ROUNDS, Areas
from backpulse.host.array_map import around
from backpulse.host.array_session import session
from backpulse.host.array_targets import FORMS, read_target
from backpulse.host.cell_names import cell_name
from backpulse.host.errors import HostError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tables import count
from backpulse.host.tile import facts_dict
from backpulse.host.urls import BAUD
from backpulse.host.view import stdout


def program_command(
    target: Annotated[Path, typer.Argument(help=f"What the cells are to be: {FORMS}.", metavar="TARGET")],
    board: a.Board,
    rounds: Annotated[int, typer.Option(help="Most rounds of reading and pulsing.", min=1, metavar="N", rich_help_panel=a.ARRAY)] = ROUNDS,
    device: o.DeviceName = "ideal",
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    read_profile: a.ReadProfile = 0,
    pulse_profile: a.PulseProfile = 0,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Pulse cells until they read as a target says: program-and-verify.

    --device is what the devices are believed to be: its step is where the first round begins.
    """
    check_outputs({"--json": json, "--plot": plot}, {"TARGET": target})
    found = verified = None
    with session(board, device=device, tile=tile, tiles=tiles, baud=baud, calibration=calibration, age=calibration_age) as s:
        s.check_profiles(read_profile, pulse_profile)
        config = s.board.config
        wanted = read_target(target, config, s.array, Dead.parse(str(around({}, s.address.array).get("dead", ""))))
        facts = facts_dict(s.board.facts)
        areas = Areas(s.board, wanted.program, read_profile=read_profile, pulse_profile=pulse_profile, budget=s.budget)
        with s.bar("programming") as tell:
            found, verified = areas.verify(wanted.units, s.device.dw_min, rounds=rounds, report=tell)
    s.finish("the cells are as the pulses until then have left them")
    assert found is not None
    assert verified is not None
    results, off = Results(), verified.off
    siemens = s.array.cells.mid + s.array.cells.per_unit * np.where(np.isnan(wanted.units), np.nan, found)
    with results.each():
        cells = [[None if np.isnan(value) else value for value in row] for row in siemens.tolist()]
        write_json(json, {"board": board, "array": facts, "target": wanted.what, **verified.to_dict(), "conductance_s": cells})
    if json != STDOUT:
        stdout.print(f"{count(verified.cells, 'cell')} programmed to {wanted.what}", soft_wrap=True)
        told = f"{verified.rounds} rounds, {verified.verify_pulses:,} pulses; {verified.residual_rms:.2f} sense LSB off (rms"
        stdout.print(f"{told}; worst {verified.residual_worst:.1f})", soft_wrap=True)
    if plot:
        with results.each():
            from backpulse.host.lab_plots import plot_programmed  # matplotlib takes its time

            plot_programmed(plot, f"{wanted.what} on {board}", (wanted.units - found) * areas.unit, verified.residuals, config)
    results.finish()
    if off:
        some = ", ".join(cell_name(*place) for place in off[:5]) + (f" and {len(off) - 5} more" if len(off) > 5 else "")
        raise HostError(f"{count(len(off), 'cell')} did not follow: {some}", "see whether they are stuck: `backpulse array self-check`")

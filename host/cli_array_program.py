"""The command `array program`."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_cells import ROUNDS
from backpulse.host.array_targets import FORMS
from backpulse.host.errors import HostError
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tables import count
from backpulse.host.urls import BAUD
from backpulse.host.view import Terminal, stdout


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
    given = {"device": device, "tile": tile, "tiles": tiles, "baud": baud}
    with Lab(board, **given, calibration=calibration, calibration_age=calibration_age, audience=Terminal()) as lab:
        found = lab.program(target, rounds=rounds, read_profile=read_profile, pulse_profile=pulse_profile)
    results, verified, off = Results(), found.verified, found.off
    with results.each():
        write_json(json, found.to_dict())
    if json != STDOUT:
        stdout.print(f"{count(verified.cells, 'cell')} programmed to {found.target}", soft_wrap=True)
        told = f"{count(verified.rounds, 'round')}, {verified.verify_pulses:,} pulses; {verified.residual_rms:.2f} sense LSB off (rms"
        stdout.print(f"{told}; worst {verified.residual_worst:.1f})", soft_wrap=True)
    if plot:
        with results.each():
            found.plot(plot)
    results.finish()
    if off:
        some = ", ".join(off[:5]) + (f" and {len(off) - 5} more" if len(off) > 5 else "")
        raise HostError(f"{count(len(off), 'cell')} did not follow: {some}", "see whether they are stuck: `backpulse array self-check`")

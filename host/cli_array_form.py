"""The command `array form`."""

from typing import Annotated

import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_arm import typed
from backpulse.host.cell_names import cell_name
from backpulse.host.errors import HostError
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.tables import count
from backpulse.host.urls import BAUD
from backpulse.host.view import Terminal, console, stdout


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
    given = {"tile": tile, "tiles": tiles, "baud": baud, "calibration": calibration, "calibration_age": calibration_age}
    profiles = {"width": width, "read_profile": read_profile, "pulse_profile": pulse_profile}
    with Lab(board, **given, arming=True, audience=Terminal()) as lab:
        found = lab.form(cells, start, stop, step, target, **profiles)
        shown = console if json == STDOUT else stdout  # nobody is asked for a code unseen
        for name, value in found.drives:
            shown.print(f"{name}: {value}", soft_wrap=True)
        code = confirm if confirm is not None else typed(found.code)
        if code is not None:
            found = lab.form(cells, start, stop, step, target, **profiles, confirm=code)
    if code is None:
        lab.finish("nothing was driven")
        write_json(json, found.to_dict())
        console.print(f"Nothing was driven. If this is what the cells may be driven with: --confirm {found.code}", soft_wrap=True)
        return
    results, formed = Results(), found.formed
    named = [cell_name(*place) for place in found.steps]
    with results.each():
        write_json(json, found.to_dict())
    with results.each():
        found.save(out)
    if json != STDOUT:
        stdout.print(f"{len(formed)} of {count(len(named), 'cell')} formed; the array is disarmed", soft_wrap=True)
    results.finish()
    lab.finish(f"what was done until then is in {out}")
    if left := [name for name in named if name not in formed]:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        raise HostError(
            f"{count(len(left), 'cell')} did not form: {', '.join(left[:5])}{more}", "raise --stop or --width, if the cells stand it"
        )

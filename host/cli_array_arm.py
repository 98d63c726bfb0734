"""The command `array arm`."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.firmware_py.array import SAFE_N2GR
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_arm import typed
from backpulse.host.errors import InputError
from backpulse.host.lab import Lab
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import Table, Terminal, console, stdout


def arm(
    board: a.Board,
    off: Annotated[
        bool, typer.Option("--off", metavar="", help="Switch all drivers off until it is armed again.", rich_help_panel=a.ARRAY)
    ] = False,
    confirm: a.Confirm = None,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", help="Take N² g R from a measured map (CSV of `array map`).", metavar="FILE", rich_help_panel=o.FILES),
    ] = None,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    json: o.Json = None,
) -> None:
    """Switch an array's drivers on, in two steps: the first says what lines may be driven with and a code, the second confirms the code.

    On a terminal the code can be typed at once; else the command is given again with --confirm.
    """
    check_outputs({"--json": json}, {"--map": map_file})
    shown = console if json == STDOUT else stdout  # nobody is asked for a code unseen
    if off and confirm:
        raise InputError("--off needs no code: leave --confirm out")
    url = board.partition("?")[0] if off and not Address.of(board).virtual else board  # switching off asks for nothing else
    given = {"tile": tile, "tiles": tiles, "baud": baud, "calibration": calibration, "calibration_age": calibration_age}
    with Lab(url, **given, arming=True, audience=Terminal()) as lab:
        if off:
            said = lab.disarm()
            write_json(json, {"board": board, "armed": False})
            if json != STDOUT:
                stdout.print(f"Off: {said}")
            return
        plans = lab.arm(map_file=map_file)
        table = Table(title="What lines may be driven with", title_justify="left", box=None, padding=(0, 2), show_header=False)
        table.add_column(no_wrap=True)
        table.add_column()
        for row in plans.said:
            table.add_row(*row)
        shown.print(table)
        if plans.n2gr > SAFE_N2GR:
            text = f"N² g R is {plans.n2gr:.2g}: above {SAFE_N2GR} far cells get so little that no threshold tells them from others"
            console.print(f"Note: {text}", style="yellow", soft_wrap=True)
        code = confirm if confirm is not None else typed(plans.code)
        if code is not None:
            lab.arm(code, map_file=map_file)
        armed = lab.armed
    lab.finish("it is not armed")
    write_json(
        json,
        {
            "board": board,
            "armed": armed,
            "code": plans.code,
            "drives": dict(plans.said),
            "limits": {word.name.lower(): value for word, value in plans.limits.items()},
            "n2gr": plans.n2gr,
        },
    )
    if code is not None:
        console.print("Armed: drivers are on until `backpulse array arm --off`, a trip or a reset", style="bold green", soft_wrap=True)
    else:
        console.print(f"Not armed by this call. If this is what lines may be driven with: --confirm {plans.code}", soft_wrap=True)

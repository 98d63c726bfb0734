"""The options that several commands with an array share."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.firmware_py.isa import MOST_PROFILES
from backpulse.host import options as o

ARRAY = "Array"


def _profile(name: str, text: str) -> object:
    return typer.Option(name, help=text, min=0, max=MOST_PROFILES - 1, metavar="N", rich_help_panel=ARRAY)


Board = Annotated[str, typer.Option("--board", help="URL of the board, perhaps with ?array=FILE.", metavar="URL", rich_help_panel=o.BOARD)]
Cells = Annotated[
    str | None,
    typer.Option(
        "--cells",
        help="Cells and areas, as in r3c5,r0-3c0-7: rows of all tiles, columns of each (if not given: all).",
        metavar="CELLS",
        rich_help_panel=ARRAY,
    ),
]
Cell = Annotated[str, typer.Option("--cell", help="The cell, as in r3c5.", metavar="CELL", rich_help_panel=ARRAY)]
ReadProfile = Annotated[int, _profile("--read-profile", "Number of the array's settings for reads, of those that it knows.")]
PulseProfile = Annotated[int, _profile("--pulse-profile", "The same for pulses.")]
Averages = Annotated[
    int, typer.Option("--averages", help="Reads of each line, averaged.", min=1, max=10_000, metavar="N", rich_help_panel=ARRAY)
]
Table = Annotated[Path, typer.Option("--out", help="Write the numbers to this file (CSV).", metavar="FILE", rich_help_panel=o.FILES)]
Calibration = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        help="Calibration of the array, as `array calibrate` writes it (if not given: that of the array file).",
        metavar="FILE",
        rich_help_panel=o.BOARD,
    ),
]
CalibrationAge = Annotated[
    float | None,
    typer.Option("--calibration-age", help="Days that it may be old.", min=0.0, show_default="30", metavar="DAYS", rich_help_panel=o.BOARD),
]
Confirm = Annotated[
    str | None, typer.Option("--confirm", help="The code that the first call has shown: drive it.", metavar="CODE", rich_help_panel=ARRAY)
]

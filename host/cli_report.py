"""The command `report`."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import api_saved
from backpulse.host import options as o
from backpulse.host.api_saved import PAGE
from backpulse.host.view import Terminal, console


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by train --save; the run may still go on.", metavar="RUN")],
    html: Annotated[
        Path | None,
        typer.Option(help=f"Write the page here (if not given: {PAGE} in the folder).", metavar="FILE", rich_help_panel=o.FILES),
    ] = None,
    hdf5: Annotated[Path | None, typer.Option(help="Write all numbers to this file, too.", metavar="FILE", rich_help_panel=o.FILES)] = None,
) -> None:
    """Write the report of a saved run: one page that opens anywhere, with the command that repeats the run."""
    for what, file in api_saved.report(run, html, hdf5=hdf5, audience=Terminal()).items():
        console.print(f"{what}: {file}", soft_wrap=True)

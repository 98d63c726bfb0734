"""The command `watch`."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import api_saved
from backpulse.host.view import console


def watch(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by train --save; also one that has ended.", metavar="RUN")],
    port: Annotated[int, typer.Option(help="To listen at (0: any that is free).", min=0, max=65535, metavar="N")] = 0,
) -> None:
    """Show a saved run in a browser while it goes on, until Ctrl-C: http on this computer alone."""
    api_saved.watch(run, port, tell=tell)


def tell(address: str) -> None:
    """Say where the page is."""
    console.print(f"Live page: {address}", soft_wrap=True)

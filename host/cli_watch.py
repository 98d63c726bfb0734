"""The command `watch`, and what `train --live` needs of it."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.firmware_py.installing import install
from backpulse.host.errors import InputError
from backpulse.host.saved.folder import read_run
from backpulse.host.view import console


def watch(
    run: Annotated[Path, typer.Argument(help="Folder of a run, made by train --save; also one that has ended.", metavar="RUN")],
    port: Annotated[int, typer.Option(help="To listen at (0: any that is free).", min=0, max=65535, metavar="N")] = 0,
) -> None:
    """Show a saved run in a browser while it goes on, until Ctrl-C: http on this computer alone."""
    read_run(run)
    check_live()
    from backpulse.host.saved.live import serve

    serve(run, port, tell)


def tell(address: str) -> None:
    """Say where the page is."""
    console.print(f"Live page: {address}", soft_wrap=True)


def check_live() -> None:
    """Raise InputError if the packages of the page are missing."""
    try:
        import bokeh.server  # noqa: F401 - an extra of its own
    except ModuleNotFoundError as error:
        raise InputError(f"The live page needs a package that is missing ({error.name}): {install('live')}") from error

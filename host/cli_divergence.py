"""The command `divergence`."""

from typing import Annotated

import typer

from backpulse.host import options as o
from backpulse.host.diverging import SAMPLES, parting
from backpulse.host.errors import HostError
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.terminal import plain
from backpulse.host.urls import BAUD
from backpulse.host.view import Terminal, console


@o.takes_settings("read_profile", "pulse_profile", "evaluate_profile", layers=o.FITTED)
def divergence(
    given: o.Given,
    board: o.BoardUrl = "sim://",
    samples: Annotated[
        int,
        typer.Option(help="Samples to train, the first of the run; as many as the store of the board holds at most.", min=1, metavar="N"),
    ] = SAMPLES,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    json: o.Json = None,
) -> None:
    """Say at which sample, instruction and element a board and the golden model part; exit code 1 if they do."""
    check_outputs({"--json": json})
    given_board = {"tile": tile, "tiles": tiles, "baud": baud}
    found = parting(given, board, samples=samples, **given_board, audience=Terminal())
    write_json(json, found.to_dict())
    if found.divergence is None:
        if json != STDOUT:
            said = f"{samples} samples of {found.settings.layers} on {found.settings.dataset}: {board} and the golden model do the same"
            console.print(plain(said), style="bold green", soft_wrap=True)
        return
    console.print(f"The waves of this sample in the RTL: {found.waves}", soft_wrap=True)
    raise HostError(f"The board and the golden model differ at {found.divergence}")

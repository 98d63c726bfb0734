"""The command `divergence`."""

import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.divergence import Divergence, first_divergence
from backpulse.firmware_py.image import image, initial_cells, samples_image
from backpulse.firmware_py.registers import REG, State
from backpulse.host import options as o
from backpulse.host.board import Board
from backpulse.host.cli_train import open_told
from backpulse.host.errors import HostError, InputError, NoProgressError
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.run import patience_s
from backpulse.host.runs import settings_and_data
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.stop import stop_on_signals
from backpulse.host.terminal import plain
from backpulse.host.urls import BAUD, Address, board_config, open_board
from backpulse.host.view import console, show_warnings


class Subject:
    """A board as `firmware_py.divergence` has it."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def read_words(self, address: int, count: int) -> list[int]:
        """Return 32-bit words."""
        return self.board.link.read_words(address, count)

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Write 32-bit words."""
        self.board.link.write_words(address, words)

    def run(self, entry: int, order: Sequence[int]) -> None:
        """Train samples of the store, and leave the board at rest; what has stopped it is in its state."""
        link, left = self.board.link, list(order)
        link.write_words(REG["ENTRY"].address, [entry, 0])
        link.start()
        seen, moved = None, time.monotonic()
        while True:
            left = left[link.grant(left[: self.board.config.order_depth]) :]
            state, _, _, credit = now = self.board.status()
            if state in (State.IDLE, State.FAULT) or (state is State.PAUSED and not left and not credit):
                break
            if now != seen:
                seen, moved = now, time.monotonic()
            elif time.monotonic() - moved > patience_s(self.board):
                raise NoProgressError(f"The board is {state.name.lower()} and does not go on")
            link.wait(0.001)
        self.board.stop()


@o.takes_settings("read_profile", "pulse_profile", "evaluate_profile", layers=o.FITTED)
def divergence(
    given: o.Given,
    board: o.BoardUrl = "sim://",
    samples: Annotated[
        int,
        typer.Option(help="Samples to train, the first of the run; as many as the store of the board holds at most.", min=1, metavar="N"),
    ] = 100,
    tile: o.Tile = "128x32",
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    json: o.Json = None,
) -> None:
    """Say at which sample, instruction and element a board and the golden model part; exit code 1 if they do."""
    check_outputs({"--json": json})
    address = Address.of(board)
    if address.array:
        raise InputError("An array's run is compared with what it answered: record it with train --trace, and call backpulse replay")
    settings, data = settings_and_data(given)
    if settings.schedule == SOFTWARE:
        raise InputError("The software schedule runs no program: choose another --schedule")
    config = board_config(settings.network, settings.device_model, tile=tile, tiles=tiles)
    prepared = prepare(settings, config.drive_max, dataset=data)
    show_warnings(prepared.warnings)
    with open_told(address, config, baud) as opened, stop_on_signals() as stop, opened.heeding(stop):
        if opened.real:
            raise InputError(
                "The board has real devices, whose cells nobody knows: record a run with train --trace, and call backpulse replay"
            )
        program = settings.compile(opened.config)
        most = min(opened.config.store_words // program.stride_words, len(prepared.train))
        if samples > most:
            raise InputError(
                f"--samples must be at most {most} here, not {samples}: the samples of the training part that the board's store holds"
            )
        order = settings.order(0, len(prepared.train))[:samples]
        with open_board("golden://", config=opened.config) as golden:
            found = compared(opened, golden, program, settings, prepared.records[prepared.train[order]])
    if found is None:
        result = {"divergence": None}
    else:
        waves = _waves(given, found.sample, tile, tiles)
        result = {"divergence": {**asdict(found), "row": int(prepared.train[order[found.sample]])}, "waves": waves}
    write_json(json, {"board": board, "samples": samples, **result})
    if found is None:
        if json != STDOUT:
            said = f"{samples} samples of {settings.layers} on {settings.dataset}: {board} and the golden model do the same"
            console.print(plain(said), style="bold green", soft_wrap=True)
        return
    console.print(f"The waves of this sample in the RTL: {waves}", soft_wrap=True)
    raise HostError(f"The board and the golden model differ at {found}")


def compared(board: Board, golden: Board, program: Program, settings: Settings, records: np.ndarray) -> Divergence | None:
    """Return where two boards part in training on records in their order, or None; a bar shows what goes on.

    `records` are uint32 of shape (samples, words of one).
    """
    device, seed = settings.device_model, settings.seed
    start = image(program, device, initial_cells(program, device, seed), lr=settings.lr, seed=seed)
    columns = (TextColumn("comparing", style="dim"), BarColumn(36), TextColumn("{task.completed} states"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def prepare(subject: Subject) -> None:
            subject.board.write([*start, *samples_image(0, records)])
            bar.advance(task)

        return first_divergence((Subject(board), Subject(golden)), program, prepare, range(len(records)))


def _waves(given: o.Given, sample: int, tile: str, tiles: int | None) -> str:
    """Return the command that writes the waves of a sample of the same run on the virtual board."""
    words = ["backpulse", "train", "--board", "sim://", "--epochs", "1", "--tile", tile, *(["--tiles", str(tiles)] if tiles else [])]
    for name, value in given.items():
        option = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{option}"] if isinstance(value, bool) else [f"--{option}", str(value)]
    return shlex.join([*words, "--waves", f"divergence.vcd,{sample},{sample}"])

"""Where a board and the golden model part in training the first samples of a run."""

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.divergence import Divergence, first_divergence
from backpulse.firmware_py.image import image, initial_cells, samples_image
from backpulse.firmware_py.registers import REG, State
from backpulse.host import urls
from backpulse.host.audience import Audience
from backpulse.host.board import Board
from backpulse.host.errors import InputError, NoProgressError
from backpulse.host.run import patience_s
from backpulse.host.runs import settings_and_data
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.urls import Address, board_config

SAMPLES = 100
"""Samples that are trained, if nothing else is said."""


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


@dataclass(frozen=True)
class Parting:
    """What the comparison of a board with the golden model came to.

    Parameters
    ----------
    board : str
    settings : Settings
    samples : int
        Samples that were trained at most.
    divergence : Divergence or None
        Where they part: `sample`, `instruction`, `word` (the element), `values` of both, ...; None if they do the same.
    row : int or None
        That sample's row in the data, from 0.
    waves : str or None
        The command that writes the waves of that sample in the RTL.
    """

    board: str
    settings: Settings
    samples: int
    divergence: Divergence | None = None
    row: int | None = None
    waves: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `backpulse divergence`."""
        found = {"board": self.board, "samples": self.samples}
        if self.divergence is None:
            return {**found, "divergence": None}
        return {**found, "divergence": {**asdict(self.divergence), "row": self.row}, "waves": self.waves}


def parting(
    given: Mapping[str, Any], url: str, *, samples: int = SAMPLES, tile: str, tiles: int | None = None, baud: int, audience: Audience
) -> Parting:
    """Train the first samples of a run on a board and on the golden model, and say where they part.

    Parameters
    ----------
    given : mapping
        Settings by name; without `layers` the network is the one that fits the data.
    url : str
        Of the board.
    samples : int
    tile, tiles, baud
        Of the board, as of `open_board`.
    audience : Audience

    Raises
    ------
    InputError
        If settings and board do not go together, the board has an array or real devices, or its store holds fewer samples.
    HostError
        If the board fails.
    """
    address = Address.of(url)
    if address.array:
        raise InputError("An array's run is compared with what it answered: record it with train --trace, and call backpulse replay")
    settings, data = settings_and_data(given)
    if settings.schedule == SOFTWARE:
        raise InputError("The software schedule runs no program: choose another --schedule")
    config = board_config(settings.network, settings.device_model, tile=tile, tiles=tiles)
    prepared = prepare(settings, config.drive_max, dataset=data)
    audience.warn(prepared.warnings)
    board = urls.open_board(address, config=config, baud=baud, progress=audience.say)
    with board, audience.stopping() as stop, board.heeding(stop):
        if board.real:
            raise InputError(
                "The board has real devices, whose cells nobody knows: record a run with train --trace, and call backpulse replay"
            )
        program = settings.compile(board.config)
        most = min(board.config.store_words // program.stride_words, len(prepared.train))
        if samples > most:
            raise InputError(
                f"--samples must be at most {most} here, not {samples}: the samples of the training part that the board's store holds"
            )
        order = settings.order(0, len(prepared.train))[:samples]
        with urls.open_board("golden://", config=board.config) as golden:
            found = compared(board, golden, program, settings, prepared.records[prepared.train[order]], audience)
    if found is None:
        return Parting(url, settings, samples)
    return Parting(url, settings, samples, found, int(prepared.train[order[found.sample]]), _waves(given, found.sample, tile, tiles))


def compared(
    board: Board, golden: Board, program: Program, settings: Settings, records: np.ndarray, audience: Audience
) -> Divergence | None:
    """Return where two boards part in training on records in their order, or None.

    `records` are uint32 of shape (samples, words of one).
    """
    device, seed = settings.device_model, settings.seed
    start = image(program, device, initial_cells(program, device, seed), lr=settings.lr, seed=seed)
    states = 0
    with audience.bar("comparing") as tell:

        def prepare(subject: Subject) -> None:
            nonlocal states
            subject.board.write([*start, *samples_image(0, records)])
            states += 1
            tell(states, 0)

        return first_divergence((Subject(board), Subject(golden)), program, prepare, range(len(records)))


def _waves(given: Mapping[str, Any], sample: int, tile: str, tiles: int | None) -> str:
    """Return the command that writes the waves of a sample of the same run on the virtual board."""
    words = ["backpulse", "train", "--board", "sim://", "--epochs", "1", "--tile", tile, *(["--tiles", str(tiles)] if tiles else [])]
    for name, value in given.items():
        option = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{option}"] if isinstance(value, bool) else [f"--{option}", str(value)]
    return shlex.join([*words, "--waves", f"divergence.vcd,{sample},{sample}"])

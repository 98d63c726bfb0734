"""What a training run is to do beside its settings, and what saves it as it was ordered."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config
from backpulse.host.board import Board
from backpulse.host.datasets import Dataset
from backpulse.host.saved.command import repeating
from backpulse.host.saved.folder import DATA, INIT
from backpulse.host.saved.saver import RunSaver
from backpulse.host.settings import Settings
from backpulse.host.urls import BAUD, Address
from backpulse.host.waves import Waves
from backpulse.host.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a run is to do beside its settings.

    Parameters
    ----------
    board : Address or Board
        Where it runs; a `Board` that is open stays open.
    url : str
        What results and titles call it.
    epochs : int, optional
        Epochs to reach; `EPOCHS` if not given, or those of the run that goes on.
    tile, tiles : str, int
        Of a golden or virtual board.
    baud : int
        Of a serial port.
    data : Dataset, optional
        The data, if the settings do not name it.
    init : Weights, optional
        Initial weights, if not those of the seed.
    program : Program, optional
        What runs in the array, if not what the settings' schedule compiles to.
    start : str, optional
        How the array gets them (`Trainer`).
    reference : bool
        Whether the float64 reference is trained, too.
    checkpoint, best, resume, pulse_log, trace, save : Path, optional
        Files, as the options of `backpulse train` by these names.
    keep : tuple of str
        What a saved run keeps beside results and array.
    page : callable, optional
        Takes the folder of a saved run, and gives the context in which others watch it; without `save` the folder goes away.
    repeated : mapping
        Further options of the command line that repeats the run.
    waves : Waves, optional
        What a virtual board writes.
    """

    board: Address | Board
    url: str
    epochs: int | None = None
    tile: str | None = None
    tiles: int | None = None
    baud: int = BAUD
    data: Dataset | None = None
    init: Weights | None = None
    program: Program | None = None
    start: str | None = None
    reference: bool = False
    checkpoint: Path | None = None
    best: Path | None = None
    resume: Path | None = None
    pulse_log: Path | None = None
    trace: Path | None = None
    save: Path | None = None
    keep: tuple[str, ...] = ()
    page: Callable[[Path], AbstractContextManager[None]] | None = None
    repeated: Mapping[str, Any] = field(default_factory=dict)
    waves: Waves | None = None


def saver_of(
    stack: ExitStack, order: Order, settings: Settings, epochs: int, config: Config, address: Address, *, counted: bool
) -> RunSaver:
    """Return what saves a run, for good or for those who watch it alone; the command that repeats it names what was given in memory there.

    Parameters
    ----------
    stack : ExitStack
        Of the run.
    order : Order
    settings : Settings
    epochs : int
    config : Config
        Of the board.
    address : Address
        Where it is.
    counted : bool
        Whether the board's pulses can be counted while the run goes on.

    Raises
    ------
    InputError
        If the folder cannot be made.
    """
    folder = order.save or Path(stack.enter_context(TemporaryDirectory(prefix=".backpulse-"))) / "run"
    made = address.virtual and not (address.array and address.array.front_end)
    size = {"tile": f"{config.tile_rows}x{config.tile_cols}", "tiles": config.tiles} if made else {"baud": order.baud}
    init = {"init": folder / INIT} if order.init and "init" not in order.repeated else {}
    options = {"epochs": epochs, "board": order.url, **size, "start": order.start, **init, **order.repeated}
    nameless = {
        "a program of its own": order.program is not None,
        "an array that was given in memory": bool(address.array and not address.url),
        "a board that was opened elsewhere": isinstance(order.board, Board) and not order.board.address,
    }
    pulses = counted and bool(order.page) and not order.pulse_log
    return stack.enter_context(
        RunSaver(
            folder,
            order.keep,
            order.url,
            repeating(settings.changed(dataset=folder / DATA) if order.data else settings, options),
            count=pulses,
            nameless=[what for what, had in nameless.items() if had],
        )
    )

"""A session of a command with an array: checked before a line is driven, with a bar of progress, and left safe when it is stopped."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.image import tile_image
from backpulse.firmware_py.registers import Capability, State, TileState
from backpulse.host.array_budget import Budget
from backpulse.host.array_operations import Tell
from backpulse.host.board import Board
from backpulse.host.cli_train import open_told
from backpulse.host.errors import HostError, InputError, LinkError, SignalError
from backpulse.host.stop import Stop, StoppedError, stop_on_signals
from backpulse.host.tables import with_nearest
from backpulse.host.urls import Address, board_config
from backpulse.host.view import console, show_warnings

PULSE_S = 5.0
"""Longest time that a pulse is waited for before the drivers are switched off within it."""
POLL_S = 0.01


@dataclass
class Session:
    """An array that a command works with.

    Parameters
    ----------
    board : Board
    address : Address
        Where it is, and the array file.
    device : Device
        What its devices are, or are believed to be.
    budget : Budget or None
        Where the pulses of each cell are counted, if the array file has a budget.
    stop : Stop
        Set when the user asks to stop: then the session ends, and what follows it writes what there is.
    safe : str
        How the board was left then, in words.
    """

    board: Board
    address: Address
    device: Device
    budget: Budget | None
    stop: Stop
    safe: str = ""

    @property
    def array(self) -> Array:
        """What the array file says, or what holds without one."""
        return self.address.array or Array()

    @property
    def scale(self) -> dict[str, str]:
        """What siemens rest on, as a line of a table's header."""
        cells, whose = self.array.cells, "of the array file" if self.address.array else "assumed, as there is no array file"
        return {"scale": f"-1 device unit is {cells.g_min:g} S, 1 device unit {cells.g_max:g} S ({whose})"}

    def check_profiles(self, *numbers: int) -> None:
        """Refuse profiles that the array does not know."""
        known = self.board.facts.profiles
        for number in numbers:
            if number >= known:
                raise InputError(f"This board's array knows profiles 0 to {known - 1}, and {number} is none of them")

    @contextmanager
    def bar(self, text: str) -> Iterator[Tell]:
        """Show on the terminal how far something is; the body gets what to tell it to."""
        columns = (TextColumn(text, style="dim"), BarColumn(36), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("", total=None)

            def tell(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)
                self.stop.heed()

            yield tell

    def finish(self, kept: str) -> None:
        """Raise SignalError if the user has stopped the session; `kept` says what is left of it."""
        if self.stop.asked:
            raise SignalError(f"Stopped: {self.safe}; {kept}", self.stop)


@contextmanager
def session(
    url: str | Address,
    *,
    device: str = "ideal",
    tile: str = "128x32",
    tiles: int | None = None,
    baud: int,
    armed: bool = True,
    calibration: Path | None = None,
    age: float | None = None,
) -> Iterator[Session]:
    """Open a board for a command with its array.

    The wish to stop ends the body, and the session leaves the board safe; the command then goes on behind it, and calls `Session.finish`.

    Parameters
    ----------
    url, device, tile, tiles, baud
        As the options of the commands.
    armed : bool
        Whether lines will be driven as the array is armed: then one that has tripped, or must be armed and is not, is refused.
    calibration, age
        As of `Address.calibrated`.

    Raises
    ------
    InputError
        If there is no such device, board or array, or it is not armed.
    FaultError
        If the array has tripped.
    """
    if device not in PRESETS:
        raise InputError(f"Unknown device {with_nearest([device], PRESETS)}: choose one of {', '.join(PRESETS)}")
    given = url if isinstance(url, Address) else Address.of(url)
    address, model = replace(given.calibrated(calibration, age), arming=not armed), PRESETS[device]
    config = board_config(None, model, tile=tile, tiles=tiles, array=address.array)
    with stop_on_signals() as stop, open_told(address, config, baud) as board:
        budget = Budget.of(address.array, address.folder, board.config)
        if armed:
            board.check_ready()
        if not board.real:  # emulated devices are those of the option
            board.write(tile_image(model.tile_words(board.config)))
        opened = Session(board, address, model, budget, stop)
        try:
            with board.heeding(stop):
                yield opened
        except StoppedError:
            opened.safe = make_safe(board)
        except (LinkError, InputError):  # there is no line to it, or nothing under way
            raise
        except HostError:
            with suppress(HostError):
                make_safe(board)
            raise
        finally:
            if budget:
                show_warnings(budget.save())


def make_safe(board: Board) -> str:
    """Bring a board to rest with its drivers off, behind the pulse that is under way; return what to tell of it.

    Raises
    ------
    HostError
        If it does not say that its drivers are off.
    """
    arms = Capability.ARM in board.capabilities
    with board.heeding(Stop()):
        if arms and board.status()[0] is State.TRAINING:
            board.link.abort()  # at the edge of a pulse: a row of slow ones would take long to its end
        board.stop()
        for _ in range(int(PULSE_S / POLL_S)):
            if TileState.BUSY not in board.tile_state()[0]:
                break
            board.link.wait(POLL_S)
        if arms:
            board.disarm()
        state, _ = board.tile_state()
    if TileState.SAFE not in state:
        raise HostError("The board does not say that its drivers are off", "open the interlock, and look at the front end")
    return "all drivers are off" + (", and the array is disarmed" if arms else "")

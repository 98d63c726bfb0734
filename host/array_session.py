"""A session with an array: checked before a line is driven, told how far it is, and left safe when it is stopped."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.dead import NONE, Dead
from backpulse.firmware_py.image import device_image
from backpulse.firmware_py.registers import Capability, State, TileState
from backpulse.host.array_budget import Budget
from backpulse.host.array_operations import Tell
from backpulse.host.audience import Audience
from backpulse.host.board import Board
from backpulse.host.devices import device_of, resolved
from backpulse.host.errors import HostError, InputError, LinkError, SignalError
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.tile import facts_dict
from backpulse.host.urls import BAUD, TILE, Address, board_config, open_board

PULSE_S = 5.0
"""Longest time that a pulse is waited for before the drivers are switched off within it."""
POLL_S = 0.01


class Session:
    """A board whose array is worked with, until it is closed.

    A wish to stop ends the operation under way and leaves the board safe; what it has found until then is its result.

    Parameters
    ----------
    url : str or Address
        Of the board, perhaps with `?array=FILE`.
    settings : Settings, optional
        A network that a golden or virtual board must have room for; its device is that of the tiles.
    device : str
        What the devices are, of emulated tiles, or are believed to be; without `settings`.
    tile, tiles : str, int
        Of a golden or virtual board.
    baud : int
        Of a serial port.
    calibration, calibration_age : path, float
        As of `Address.calibrated`.
    arming : bool
        Whether it is opened to be armed anew: the limits that it is armed with do not count.
    audience : Audience, optional
        Whom it tells what goes on, and who may stop it.

    Attributes
    ----------
    board : Board
    address : Address
        Where it is, and the array file.
    budget : Budget or None
        Where the pulses of each cell are counted, if the array file has a budget.
    stop : Stop
        The wish to stop.
    remarks : list of str
        What the user should know, as of worn cells.

    Raises
    ------
    InputError
        If there is no such device, board or array.
    HostError
        If nothing answers.
    """

    def __init__(
        self,
        url: str | Address,
        settings: Settings | None = None,
        *,
        device: str = "ideal",
        tile: str = TILE,
        tiles: int | None = None,
        baud: int = BAUD,
        calibration: str | Path | None = None,
        calibration_age: float | None = None,
        arming: bool = False,
        audience: Audience | None = None,
    ) -> None:
        at = url if isinstance(url, Address) else Address.of(url)
        self.url = at.name
        self.audience = audience or Audience()
        self.address = replace(at.calibrated(None if calibration is None else Path(calibration), calibration_age), arming=arming)
        self.device = settings.device_model if settings else device_of(resolved(device))
        self.remarks: list[str] = []
        self._settings, self._safe = settings, ""
        network, array = settings.network if settings else None, self.address.array
        dead = Dead.parse(settings.dead) if settings else NONE
        config = board_config(network, self.device, tile=tile, tiles=tiles, array=array, dead=dead)
        with ExitStack() as stack:
            self.stop = stack.enter_context(self.audience.stopping())
            self.board = stack.enter_context(open_board(self.address, config=config, baud=baud, progress=self.audience.say))
            self.budget = Budget.of(array, self.address.folder, self.board.config)
            if self.address.virtual and self.board.tables:  # whose cells have no steps before they have spread words
                given = settings or Settings(device=device)
                self.board.write_spread(given.spread_words(self.board.config))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        """Close the board; an array that is armed stays so."""
        self._stack.close()

    @property
    def array(self) -> Array:
        """What the array file says, or what holds without one."""
        return self.address.array or Array()

    @property
    def facts(self) -> dict[str, object]:
        """What the array says that it is, as JSON has it."""
        return facts_dict(self.board.facts)

    @property
    def scale(self) -> str:
        """What siemens rest on, in words."""
        cells, whose = self.array.cells, "of the array file" if self.address.array else "assumed, as there is no array file"
        return f"-1 device unit is {cells.g_min:g} S, 1 device unit {cells.g_max:g} S ({whose})"

    def check_profiles(self, *numbers: int) -> None:
        """Refuse profiles that the array does not know."""
        known = self.board.facts.profiles
        for number in numbers:
            if number >= known:
                raise InputError(f"This board's array knows profiles 0 to {known - 1}, and {number} is none of them")

    def prepare(self, *profiles: int) -> None:
        """Refuse to drive lines of an array that has tripped or is not armed, or by profiles that it does not know; set emulated devices.

        Raises
        ------
        FaultError
            If the array has tripped.
        InputError
            If it is not armed, or does not know a profile.
        """
        self.board.check_ready()
        self.check_profiles(*profiles)
        if not self.board.real:
            self.board.write(device_image(self.device, self.board.config))

    @contextmanager
    def going(self, text: str) -> Iterator[Tell]:
        """Let the body work with the array, and leave it safe if the body is stopped or fails; the body gets what to tell how far it is."""
        try:
            with self.board.heeding(self.stop), self.audience.bar(text) as show:

                def tell(done: int, total: int) -> None:
                    show(done, total)
                    self.stop.heed()

                yield tell
        except StoppedError:
            self._safe = make_safe(self.board)
        except (LinkError, InputError):  # there is no line to it, or nothing under way
            raise
        except HostError:
            with suppress(HostError):
                make_safe(self.board)
            raise
        finally:
            if self.budget:
                self.warn(self.budget.save())

    def warn(self, texts: Sequence[str]) -> None:
        """Keep and tell what the user should know."""
        self.remarks += texts
        self.audience.warn(texts)

    def finish(self, kept: str) -> None:
        """Raise SignalError if the session was stopped; `kept` says what is left of it."""
        if self.stop.asked:
            raise SignalError(f"Stopped: {self._safe or 'the board is at rest'}; {kept}", self.stop)


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

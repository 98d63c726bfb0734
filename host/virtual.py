"""A virtual board that this program starts, and the line to it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.errors import InputError, OwnError, own_trouble, wrong_input
from backpulse.host.ports import SocketPort
from backpulse.host.waves import Waves

if TYPE_CHECKING:
    from backpulse.gateware.sim.virtual_board import VirtualBoard

END_S = 1.0
"""Time in which a program whose line is gone has ended."""


class VirtualPort(SocketPort):
    """A socket to a program of ours: when it breaks, the program has crashed, and there is no line to blame.

    Parameters
    ----------
    board : VirtualBoard
        Running, on a socket pair.
    """

    def __init__(self, board: "VirtualBoard") -> None:
        assert board.socket is not None
        super().__init__(board.socket)
        self._board = board

    def write(self, data: bytes) -> int:
        """Send bytes; return how many went, 0 if the socket takes none for a moment."""
        with self._own_trouble():
            return super().write(data)

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting at most `timeout` seconds for it."""
        with self._own_trouble():
            return super().read(timeout)

    @contextmanager
    def _own_trouble(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError) as error:
            until = time.monotonic() + END_S
            while (end := self._board.end()) is None and time.monotonic() < until:
                time.sleep(0.01)
            raise OwnError(
                f"The virtual board on this computer is gone: {end or 'it closed its line'}",
                "run the command again, with --resume if there is a checkpoint",
            ) from error


def start(
    config: Config,
    array: Array | None = None,
    *,
    line: Literal["pair", "pty", "tcp"] = "pair",
    port: int = 0,
    waves: Waves | None = None,
    progress: Callable[[str], None] | None = None,
) -> "VirtualBoard":
    """Build (once) and start a virtual board.

    Parameters
    ----------
    config : Config
    array : Array, optional
        The model of an array behind its tiles; with a front end, all that is between them too.
    line, port
        As of `VirtualBoard`.
    waves : Waves, optional
        What it is to write.
    progress : callable, optional
        Called with what is going on while it is built.

    Raises
    ------
    InputError
        If the simulator is not installed, or there is no model of the array.
    OwnError
        If tools or the cache fail.
    OSError
        If the TCP port is taken.
    """
    if array is not None and (isinstance(array.inside, TableDevice) if array.real else config.device is DeviceKind.TABLE):
        raise InputError("The array behind sim:// carries no step tables: take golden://?array=FILE, or the linear fit, FILE:linear")
    try:
        from backpulse.gateware.sim.virtual_board import VirtualBoard, build
    except ModuleNotFoundError as error:
        raise InputError(f"sim:// needs the simulator's packages ({error.name} is missing): {install('sim')}") from error
    with own_trouble():
        form = waves.form() if waves else None
        if array is None:
            program, tables = build(config, waves=form, progress=progress), None
        elif array.front_end:
            from backpulse.firmware_py.physical import physical
            from backpulse.gateware.sim.front_end_board import CLOCK_KHZ, build_with_front_end

            with wrong_input():
                tables = physical(array, CLOCK_KHZ, config).to_bytes()
            program = build_with_front_end(config, array, waves=form, progress=progress)
        else:
            from backpulse.gateware.sim.array_tile import array_tables, build_with_array

            with wrong_input():
                tables = array_tables(array, config)
            program = build_with_array(config, array, waves=form, progress=progress)
        return VirtualBoard(program, line=line, port=port, array=tables, waves=waves.begin(program) if waves else ())

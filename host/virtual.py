"""The line to a virtual board that this program started."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backpulse.host.errors import OwnError
from backpulse.host.ports import SocketPort

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

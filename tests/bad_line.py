"""Lines as they are far away: a proxy in front of a board's port that is slow, or freezes."""

import os
import random
import select
import socket
import threading
import time
import tty
from collections import deque
from collections.abc import Iterator
from itertools import repeat
from typing import Literal, Self

from backpulse.host.link import Port

STEP_S = 0.004
"""Longest time between two looks at client and board."""
SMALL_BUFFER = 4096
"""Bytes of a socket's buffer: as few as the system allows, so that a line that takes no more is soon full."""

Latency = Iterator[float]
"""Seconds that each piece of data takes, one after the other; none overtakes another."""


def steady(seconds: float) -> Latency:
    """Return a latency that stays."""
    return repeat(seconds)


def wandering(low: float, high: float, seed: int) -> Latency:
    """Return a latency that goes up and down in small steps."""
    rng = random.Random(seed)
    now = (low + high) / 2
    while True:
        now = min(high, max(low, now + rng.uniform(-1, 1) * (high - low) / 8))
        yield now


def leaping(low: float, high: float, seed: int) -> Latency:
    """Return a latency that jumps from one end to the other after some pieces."""
    rng = random.Random(seed)
    while True:
        for seconds in (low, high):
            yield from repeat(seconds, rng.randint(4, 24))


class BadLine:
    """A proxy, in a thread of its own, between one client and the port of a board; a context manager.

    Parameters
    ----------
    port : Port
        The board's; closed at the end.
    line : str
        What the client has: a socket `pair`, whose end is `socket`, or a `pty` or `tcp` port at `url`.
    there, back : Latency
        Of each piece of data to the board, and from it.
    takes, gives : int, optional
        Bytes after which the line takes no more from the client, or gives it no more.

    Attributes
    ----------
    taken, given : int
        Bytes so far.
    """

    def __init__(
        self,
        port: Port,
        *,
        line: Literal["pair", "pty", "tcp"] = "pair",
        there: Latency | None = None,
        back: Latency | None = None,
        takes: int | None = None,
        gives: int | None = None,
    ) -> None:
        self._port = port
        self._latencies = there or steady(0), back or steady(0)
        self._queues: tuple[deque[tuple[float, bytes]], deque[tuple[float, bytes]]] = deque(), deque()
        self._takes, self._gives = takes, gives
        self.taken = self.given = 0
        self._listener: socket.socket | None = None
        self._end = self._slave = -1
        self._left = threading.Event()
        self._idle = False
        self._failure: BaseException | None = None
        if line == "pair":
            self.socket, end = socket.socketpair()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            self._end = end.detach()
        elif line == "pty":
            self._end, self._slave = os.openpty()
            tty.setraw(self._slave)
            self.url = os.ttyname(self._slave)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.url = f"socket://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._pump)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()
        for descriptor in (self._end, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        if self._listener:
            self._listener.close()
        self._port.close()
        if self._failure:
            raise self._failure

    def _pump(self) -> None:
        try:
            while not self._left.is_set():
                if self._end < 0:
                    self._accept()
                elif not self._step():
                    return
        except Exception as error:
            self._failure = error

    def _accept(self) -> None:
        assert self._listener is not None
        if select.select([self._listener], [], [], 0.05)[0]:
            self._end = self._listener.accept()[0].detach()

    def _step(self) -> bool:
        """Move what there is to move; say whether the client is still there."""
        there, back = self._queues
        room = 65536 if self._takes is None else self._takes - self.taken
        if select.select([self._end] if room > 0 else [], [], [], STEP_S if self._idle else 0)[0]:
            try:
                data = os.read(self._end, room)
            except OSError:  # nobody has the pty open
                data = b""
            if not data:
                return False
            self.taken += len(data)
            self._queue(0, data)
        for data in self._due(there):
            while data:
                data = data[self._port.write(data) :]
        answer = self._port.read(STEP_S)
        self._idle = not answer
        self._queue(1, answer)
        for data in self._due(back):
            part = data if self._gives is None else data[: self._gives - self.given]
            self.given += len(part)
            while part and not self._left.is_set():
                if select.select([], [self._end], [], 0.05)[1]:
                    part = part[os.write(self._end, part) :]
        return True

    def _queue(self, direction: int, data: bytes) -> None:
        if data:
            queue = self._queues[direction]
            due = time.monotonic() + next(self._latencies[direction])
            queue.append((max(due, queue[-1][0]) if queue else due, data))

    def _due(self, queue: deque[tuple[float, bytes]]) -> Iterator[bytes]:
        while queue and queue[0][0] <= time.monotonic():
            yield queue.popleft()[1]

"""The pipes of bytes behind a board's URL."""

import select
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import serial

from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.host.addresses import connection_trouble, port_trouble
from backpulse.host.errors import InputError, OwnError
from backpulse.host.link import TICK_S

RECEIVE_BYTES = 65536
CONNECT_TIMEOUT_S = 5.0
SLICE_S = 0.05
"""Time that the golden machine works between two looks at the user's wishes."""


class GoldenPort:
    """The golden machine behind its end of the link, in this process: it trains while one writes to it or waits for it."""

    def __init__(self, machine: GoldenMachine) -> None:
        self._machine = machine
        self._endpoint = Endpoint(machine)
        self._answers = bytearray()
        self._chunk = 1

    def write(self, data: bytes) -> int:
        """Let the endpoint execute what arrives, and the machine work for a moment on what is granted: what reads counters sees it done."""
        end = time.monotonic() + SLICE_S
        with _own_trouble():
            for answer in self._endpoint.answers(data):
                self._answers += answer
                self._work(end)
        return len(data)

    def read(self, timeout: float) -> bytes:
        """Return what the endpoint has answered; there is never more to come, so that the machine works meanwhile."""
        if not self._answers:
            with _own_trouble():
                self._work(time.monotonic() + min(timeout, SLICE_S))
        data = bytes(self._answers)
        self._answers.clear()
        return data

    def _work(self, end: float) -> None:
        """Run granted samples until then: in chunks that take a tenth of a slice, for no signal comes through before one ends."""
        while (begun := time.monotonic()) < end and self._machine.run(self._chunk):
            took = time.monotonic() - begun
            if took < SLICE_S / 20:
                self._chunk = min(2 * self._chunk, self._machine.config.order_depth)
            elif took > SLICE_S / 5:
                self._chunk = max(1, self._chunk // 2)

    def close(self) -> None:
        """Nothing to give up."""


class SocketPort:
    """A connected stream socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)

    def write(self, data: bytes) -> int:
        """Send bytes; return how many went, 0 if the socket takes none for a moment."""
        return self._socket.send(data) if select.select([], [self._socket], [], TICK_S)[1] else 0

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting at most `timeout` seconds for it."""
        if not select.select([self._socket], [], [], timeout)[0]:
            return b""
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise EOFError("the other end has closed it")
        return data

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SerialPort:
    """A serial port or pty."""

    def __init__(self, path: str, baud: int) -> None:
        try:
            self._serial = serial.Serial(path, baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError, OverflowError, termios.error) as error:
            raise InputError(port_trouble(path, error)) from error

    def write(self, data: bytes) -> int:
        """Send bytes; return how many went, 0 if the port takes none for a moment."""
        # select instead of pyserial's timeouts: changing those configures the port anew.
        return (self._serial.write(data) or 0) if select.select([], [self._serial.fileno()], [], TICK_S)[1] else 0

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting at most `timeout` seconds for the first byte."""
        if not select.select([self._serial.fileno()], [], [], timeout)[0]:
            return b""
        data = self._serial.read(RECEIVE_BYTES)
        if not data:
            raise EOFError("the other end has closed it")
        return data

    def close(self) -> None:
        """Close the port, without waiting for a device that takes no more bytes."""
        with suppress(serial.SerialException, OSError, termios.error):
            self._serial.reset_output_buffer()
        self._serial.close()


@contextmanager
def _own_trouble() -> Iterator[None]:
    """Call an error of the golden model what it is: no trouble of a line."""
    try:
        yield
    except (OSError, EOFError) as error:
        raise OwnError(f"The golden model failed on this computer: {error}") from error


def connect(address: str) -> SocketPort:
    """Open a TCP connection to `host:port`.

    Raises
    ------
    InputError
        If the address is none, or nobody listens there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InputError(f"socket:// needs a host and a port from 1 to 65535, as in socket://lab-pc:4000, not {address!r}")
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host  # an IPv6 number
    try:
        return SocketPort(socket.create_connection((name, int(port)), timeout=CONNECT_TIMEOUT_S))
    except (OSError, UnicodeError) as error:
        raise InputError(connection_trouble(address, error)) from error

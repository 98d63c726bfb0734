"""The pipes of bytes behind a board's URL."""

import os
import select
import socket

import serial

from firmware_py.endpoint import Endpoint
from firmware_py.machine import GoldenMachine

from .errors import InputError

RECEIVE_BYTES = 65536
CONNECT_TIMEOUT_S = 5.0


class GoldenPort:
    """The golden machine behind its end of the link, in this process: it trains while one writes to it."""

    def __init__(self, machine: GoldenMachine) -> None:
        self._machine = machine
        self._endpoint = Endpoint(machine)
        self._answers = bytearray()

    def write(self, data: bytes) -> None:
        """Let the endpoint execute what arrives, and the machine what is granted."""
        self._answers += self._endpoint.feed(data)
        self._machine.run(self._machine.config.order_depth)

    def read(self, timeout: float) -> bytes:
        """Return what the endpoint has answered; there is never more to come."""
        data = bytes(self._answers)
        self._answers.clear()
        return data

    def close(self) -> None:
        """Nothing to give up."""


class SocketPort:
    """A connected stream socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(None)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(data)

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
            self._serial = serial.Serial(path, baud, timeout=0, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise InputError(
                f"The port {path} cannot be opened: {_reason(error)}; see that the board is plugged in and yours to use"
            ) from error

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._serial.write(data)

    def read(self, timeout: float) -> bytes:
        """Return what has arrived, waiting at most `timeout` seconds for the first byte."""
        # select instead of pyserial's timeout: changing that one configures the port anew.
        if not select.select([self._serial.fileno()], [], [], timeout)[0]:
            return b""
        data = self._serial.read(RECEIVE_BYTES)
        if not data:
            raise EOFError("the other end has closed it")
        return data

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


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
    try:
        return SocketPort(socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S))
    except OSError as error:
        raise InputError(f"No connection to socket://{address}: {_reason(error)}; see that a board is served there") from error


def _reason(error: Exception) -> str:
    """Return the system's own words for an error; pyserial wraps them in its own."""
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number else str(error)

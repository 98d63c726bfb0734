"""A machine small enough to check by eye, and an endpoint as a port, for the tests of the link."""

from collections.abc import Sequence

import numpy as np

from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import MAX_PAYLOAD, BusError
from backpulse.firmware_py.registers import State


class ToyMachine:
    """Words at 0 .. 255 of the STORE window, and a log of everything that changes state."""

    BASE = 5 << 28

    def __init__(self, *, payload: int = MAX_PAYLOAD) -> None:
        self.session = 0
        self.payload = payload
        self.state = State.IDLE
        self.words = [0] * 256
        self.room = 300
        self.log: list[tuple] = []

    def _offset(self, address: int) -> int:
        if not 0 <= address - self.BASE < len(self.words):
            raise BusError
        return address - self.BASE

    def read(self, address: int) -> int:
        return self.words[self._offset(address)]

    def write(self, address: int, value: int) -> None:
        self.words[self._offset(address)] = value
        self.log.append(("write", address - self.BASE, value))

    def read_words(self, address: int, count: int) -> np.ndarray:
        return np.array([self.read(address + i) for i in range(count)], np.uint32)

    def write_words(self, address: int, words: np.ndarray) -> None:
        for i, word in enumerate(words.tolist()):
            self.write(address + i, word)

    def start(self) -> None:
        self.state = State.PAUSED
        self.log.append(("start",))

    def grant(self, indices: Sequence[int] | np.ndarray) -> bool:
        if len(indices) > self.room:
            return False
        self.room -= len(indices)
        self.log.append(("grant", *map(int, indices)))
        return True

    def halt(self) -> None:
        self.state = State.IDLE
        self.log.append(("halt",))

    def abort(self) -> None:
        self.state = State.FAULT
        self.log.append(("abort",))

    def clear_credit(self) -> None:
        self.log.append(("clear_credit",))


class EndpointPort:
    """The golden endpoint as a port. `chop` gives it the bytes one at a time."""

    def __init__(self, endpoint: Endpoint, *, chop: bool = False) -> None:
        self.endpoint = endpoint
        self._chop = chop
        self._bytes = bytearray()
        self.broken = False

    def write(self, data: bytes) -> int:
        if self.broken:
            raise OSError("device unplugged")
        for part in [bytes((b,)) for b in data] if self._chop else [data]:
            self._bytes += self.endpoint.feed(part)
        return len(data)

    def read(self, timeout: float) -> bytes:
        if self.broken:
            raise OSError("device unplugged")
        data = bytes(self._bytes)
        self._bytes.clear()
        return data

    def close(self) -> None:
        self.broken = True

"""The board's end of the link: the golden function from received bytes to sent bytes (docs/protocol.md)."""

from collections.abc import Iterator
from struct import pack
from typing import Protocol

import numpy as np

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.framing import (
    ADDRESS_BYTES,
    MAX_PAYLOAD,
    NONCE_BYTES,
    RESPONSE,
    UNSEQUENCED,
    WINDOW,
    WORD_BYTES,
    BusError,
    Deframer,
    Frame,
    Opcode,
    Status,
    most_granted,
    most_words,
)
from backpulse.firmware_py.registers import ANYTIME, WINDOW_SHIFT, State


class Machine(Protocol):
    """What the link drives: the golden model, or a stand-in in tests."""

    session: int
    """Nonce of the session, for the SESSION register."""
    payload: int
    """Bytes of the longest payload that its link takes, for the PAYLOAD register."""

    @property
    def state(self) -> int:
        """State of the controller."""
        ...

    def read_words(self, address: int, count: int) -> np.ndarray:
        """Return words (uint32) from an address on; BusError if there are not so many."""
        ...

    def write_words(self, address: int, words: np.ndarray) -> None:
        """Write words (uint32) from an address on; BusError at the first that cannot be written, behind those before it."""
        ...

    def start(self) -> None:
        """Begin at register ENTRY with no credit and no results; clears a fault."""
        ...

    def grant(self, indices: np.ndarray) -> bool:
        """Add samples (uint16 indices) to the order; False, and nothing added, if they do not fit."""
        ...

    def halt(self) -> None:
        """Stop at the next sample."""
        ...

    def abort(self) -> None:
        """Stop at once, drivers off."""
        ...

    def clear_credit(self) -> None:
        """Forget the samples that are granted and not begun."""
        ...


class Endpoint:
    """Executes each command exactly once, in order.

    Parameters
    ----------
    machine
        What the commands act on.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._payload = machine.payload
        self._deframer = Deframer(self._payload)
        self._nonce: bytes | None = None
        self._expected = 0
        self._statuses = [Status.SEQUENCE] * WINDOW

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that the board answers to these bytes."""
        return b"".join(self.answers(data))

    def answers(self, data: bytes) -> Iterator[bytes]:
        """Do the commands that these bytes complete, one at a time, and give the bytes that the board answers to each."""
        for frame in self._deframer.feed(data):
            yield self._answer(frame).encode()

    def _answer(self, frame: Frame) -> Frame:
        status, payload = self._accept(frame)
        return Frame(frame.opcode | RESPONSE, frame.seq, bytes((status,)) + payload)

    def _accept(self, frame: Frame) -> tuple[Status, bytes]:
        if frame.opcode == Opcode.HELLO:
            return self._hello(frame.payload)
        if self._nonce is None:
            return Status.NO_SESSION, b""
        if frame.opcode in UNSEQUENCED:
            return self._stop(frame)
        slot = frame.seq % WINDOW
        if frame.seq == self._expected:
            status, payload = self._execute(frame)
            self._statuses[slot] = status
            self._expected = (self._expected + 1) & 0xFF
            return status, payload
        repeated = (self._expected - frame.seq) & 0xFF <= WINDOW and self._statuses[slot] is not Status.SEQUENCE
        if not repeated:
            return Status.SEQUENCE, bytes((self._expected,))
        return self._execute(frame) if frame.opcode == Opcode.READ else (self._statuses[slot], b"")

    def _hello(self, nonce: bytes) -> tuple[Status, bytes]:
        if len(nonce) != NONCE_BYTES:
            return Status.BAD_LENGTH, b""
        continued = nonce == self._nonce
        if not continued:
            self._nonce, self._expected = nonce, 0
            self._statuses = [Status.SEQUENCE] * WINDOW
            self._machine.session = int.from_bytes(nonce, "little")
            self._machine.clear_credit()
        return Status.OK, pack("<IBB", ABI_VERSION, self._expected, continued)

    def _stop(self, frame: Frame) -> tuple[Status, bytes]:
        if frame.payload:
            return Status.BAD_LENGTH, b""
        if frame.opcode == Opcode.HALT:
            self._machine.halt()
        else:
            self._machine.abort()
        return Status.OK, b""

    def _execute(self, frame: Frame) -> tuple[Status, bytes]:
        match frame.opcode:
            case Opcode.READ:
                return self._read(frame.payload)
            case Opcode.WRITE:
                return self._write(frame.payload), b""
            case Opcode.START:
                return self._start(frame.payload), b""
            case Opcode.GRANT:
                return self._grant(frame.payload), b""
        return Status.UNKNOWN_OPCODE, b""

    def _check_window(self, address: int) -> None:
        # Those of a frame lie in one window: no memory reaches the next one.
        if self._machine.state == State.TRAINING and address >> WINDOW_SHIFT not in ANYTIME:
            raise BusError(Status.BUSY)

    def _read(self, payload: bytes) -> tuple[Status, bytes]:
        count = int.from_bytes(payload[ADDRESS_BYTES:], "little")
        lengths = (1,) if self._payload == MAX_PAYLOAD else (1, 2)
        if len(payload) - ADDRESS_BYTES not in lengths or not 1 <= count <= most_words(self._payload):
            return Status.BAD_LENGTH, b""
        address = int.from_bytes(payload[:ADDRESS_BYTES], "little")
        try:
            self._check_window(address)
            return Status.OK, self._machine.read_words(address, count).tobytes()
        except BusError as error:
            return error.status, b""

    def _write(self, payload: bytes) -> Status:
        if len(payload) < ADDRESS_BYTES + WORD_BYTES or len(payload) % WORD_BYTES:
            return Status.BAD_LENGTH
        address = int.from_bytes(payload[:ADDRESS_BYTES], "little")
        try:
            self._check_window(address)
            self._machine.write_words(address, np.frombuffer(payload, "<u4", offset=ADDRESS_BYTES))
        except BusError as error:
            return error.status
        return Status.OK

    def _start(self, payload: bytes) -> Status:
        if payload:
            return Status.BAD_LENGTH
        if self._machine.state in (State.TRAINING, State.PAUSED):
            return Status.BUSY
        self._machine.start()
        return Status.OK

    def _grant(self, payload: bytes) -> Status:
        if not 2 <= len(payload) <= 2 * most_granted(self._payload) or len(payload) % 2:
            return Status.BAD_LENGTH
        if self._machine.state not in (State.TRAINING, State.PAUSED):
            return Status.NOT_RUNNING
        return Status.OK if self._machine.grant(np.frombuffer(payload, "<u2")) else Status.FULL

"""The host's end of the link: commands in a window of eight, each executed exactly once whatever the line does to the bytes."""

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from struct import pack, unpack
from typing import Protocol

from firmware_py.config import ABI_VERSION
from firmware_py.framing import MAX_GRANT, MAX_WORDS, NONCE_BYTES, RESPONSE, UNSEQUENCED, WINDOW, Deframer, Frame, Opcode, Status

from .errors import LineLostError, NoAnswerError, RefusedError, SessionLostError, WrongAbiError

TIMEOUT_MIN_S = 0.1
"""Shortest wait for an answer: above the scheduling hiccups of a busy computer."""
TIMEOUT_MAX_S = 1.0
TIMEOUT_FIRST_S = 0.5
"""Wait before any round trip is measured: a full window at 115200 baud takes 0.2 s."""


class Port(Protocol):
    """A pipe of bytes. Its methods raise OSError or EOFError when it is gone."""

    def write(self, data: bytes, /) -> object:
        """Send bytes."""
        ...

    def read(self, timeout: float, /) -> bytes:
        """Return what has arrived, as soon as there is anything; nothing if `timeout` seconds bring nothing."""
        ...

    def close(self) -> None:
        """Give the pipe up."""
        ...


_REASONS = {
    Status.BAD_ADDRESS: "there is nothing at that address",
    Status.BUSY: "a sample is in work: halt the machine first",
    Status.BAD_LENGTH: "the payload has a wrong length",
    Status.UNKNOWN_OPCODE: "it does not know the command",
    Status.FULL: "its sample order is full",
    Status.NOT_RUNNING: "the machine is idle or in fault: start it first",
}


@dataclass(eq=False)
class _Request:
    """A command and, later, its answer."""

    opcode: Opcode
    payload: bytes
    what: str
    seq: int = 0
    answer: bytes | None = None
    """Payload of the response, after the status."""
    status: Status = Status.OK
    sent: float = field(default=0.0)
    """When it was first sent; 0 once it was sent again (its round trip then says nothing)."""

    @property
    def key(self) -> tuple[int, int]:
        return self.opcode, self.seq


class Link:
    """A session with a board.

    Answers come in the order of the frames that they answer, so an answer tells that whatever was sent earlier and is still
    unanswered has been lost: it is sent again at once. Only silence needs the timeout, which follows the measured round trips.

    Parameters
    ----------
    port
        The line to the board. The link owns it.
    patience_s
        Seconds of silence after which the board counts as gone.

    Attributes
    ----------
    retries
        Frames that had to be sent again.
    """

    def __init__(self, port: Port, *, patience_s: float = 5.0) -> None:
        self._port = port
        self._patience_s = patience_s
        self._deframer = Deframer()
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._tag = self._nonce[0]
        self._next = 0
        self._pending: dict[tuple[int, int], _Request] = {}
        self._flight: list[tuple[tuple[int, int], int]] = []
        self._generation = 0
        self._round_trip_s: float | None = None
        self._deviation_s = 0.0
        self._backoff = 1
        self._heard = time.monotonic()
        self._spoke = False
        self.retries = 0

    @property
    def damaged(self) -> int:
        """Responses that arrived damaged."""
        return self._deframer.damaged

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def hello(self, nonce: bytes | None = None) -> bool:
        """Open a session, or go on with the one of `nonce`; say whether it was continued.

        Raises
        ------
        WrongAbiError
            If the board's ABI is not ours.
        NoAnswerError, LineLostError
            If there is no board.
        """
        if nonce is not None:
            self._nonce = nonce
        self._pending.clear()
        self._flight.clear()
        # The delimiter ends whatever noise the board has gathered before us.
        self._send(b"\0")
        request = self._command(Opcode.HELLO, self._nonce, "HELLO")
        if len(request.answer or b"") < 4:
            raise WrongAbiError("The board's HELLO cannot be read: it is not a Backpulse board, or one of another version")
        (abi,) = unpack("<I", (request.answer or b"")[:4])
        if abi != ABI_VERSION:
            raise WrongAbiError(f"The board has ABI version {abi}, this program {ABI_VERSION}: use the program of the board's version")
        self._next, continued = (request.answer or b"")[4:6]
        return bool(continued)

    def read_words(self, address: int, count: int) -> list[int]:
        """Return `count` words from `address` on."""
        chunks = [(at, min(MAX_WORDS, address + count - at)) for at in range(address, address + count, MAX_WORDS)]
        requests = [_Request(Opcode.READ, pack("<IB", at, n), f"READ of {n} words at 0x{at:08x}") for at, n in chunks]
        self._run(requests)
        return [word for request, (_, n) in zip(requests, chunks, strict=True) for word in unpack(f"<{n}I", request.answer or b"")]

    def write_words(self, address: int, words: Iterable[int]) -> None:
        """Write words from `address` on."""
        words = list(words)
        requests = []
        for at in range(0, len(words), MAX_WORDS):
            chunk = words[at : at + MAX_WORDS]
            what = f"WRITE of {len(chunk)} words at 0x{address + at:08x}"
            requests.append(_Request(Opcode.WRITE, pack(f"<I{len(chunk)}I", address + at, *chunk), what))
        self._run(requests)

    def start(self) -> None:
        """Start the machine at register ENTRY, without credit."""
        self._command(Opcode.START, b"", "START")

    def grant(self, indices: Sequence[int]) -> int:
        """Add samples to the order; return how many fitted, in whole frames."""
        for at in range(0, len(indices), MAX_GRANT):
            chunk = indices[at : at + MAX_GRANT]
            # One at a time: behind a GRANT that did not fit, a shorter one might, and the order would be another.
            try:
                self._command(Opcode.GRANT, pack(f"<{len(chunk)}H", *chunk), f"GRANT of {len(chunk)} samples")
            except RefusedError as error:
                if error.status is not Status.FULL:
                    raise
                return at
        return len(indices)

    def halt(self) -> None:
        """Stop the machine at the next sample."""
        self._command(Opcode.HALT, b"", "HALT")

    def abort(self) -> None:
        """Stop the machine at once, drivers off."""
        self._command(Opcode.ABORT, b"", "ABORT")

    def _command(self, opcode: Opcode, payload: bytes, what: str) -> _Request:
        request = _Request(opcode, payload, what)
        self._run([request])
        return request

    def _run(self, requests: list[_Request]) -> None:
        """Send the requests, as many at a time as the window holds, and wait for all their answers."""
        self._heard = time.monotonic()
        position = 0
        while position < len(requests) or any(request.answer is None for request in requests):
            fresh = b""
            while position < len(requests) and self._window_open(requests[position].opcode):
                fresh += self._launch(requests[position])
                position += 1
            if fresh:
                self._send(fresh)
            self._receive()
        for request in requests:
            if request.status is not Status.OK:
                reason = _REASONS.get(request.status, request.status.name)
                raise RefusedError(f"The board refused {request.what}: {reason}", request.status)

    def _window_open(self, opcode: Opcode) -> bool:
        return opcode in UNSEQUENCED or (self._next - self._oldest()) & 0xFF < WINDOW

    def _oldest(self) -> int:
        return next((seq for code, seq in self._pending if code not in UNSEQUENCED), self._next)

    def _launch(self, request: _Request) -> bytes:
        if request.opcode in UNSEQUENCED:
            request.seq = self._tag = (self._tag + 1) & 0xFF
        else:
            request.seq = self._next
            self._next = (self._next + 1) & 0xFF
        request.sent = time.monotonic()
        self._pending[request.key] = request
        return self._encode(request)

    def _encode(self, request: _Request) -> bytes:
        self._flight.append((request.key, self._generation))
        return Frame(request.opcode, request.seq, request.payload).encode()

    def _again(self, requests: Iterable[_Request]) -> None:
        data = b""
        for request in requests:
            request.sent = 0.0
            self.retries += 1
            data += self._encode(request)
        if data:
            # The delimiter first: the board may hold the head of a frame whose end was lost.
            self._send(b"\0" + data)

    def _send(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (OSError, EOFError) as error:
            raise LineLostError(f"The line to the board was lost ({error})") from error

    def _timeout(self) -> float:
        measured = self._round_trip_s
        base = TIMEOUT_FIRST_S if measured is None else max(TIMEOUT_MIN_S, measured + 4 * self._deviation_s)
        return min(base * self._backoff, max(base, TIMEOUT_MAX_S))

    def _receive(self) -> None:
        """Take what arrives until there is at least one answer; send everything again if the timeout passes without one."""
        end = time.monotonic() + self._timeout()
        while True:
            try:
                data = self._port.read(max(end - time.monotonic(), 0.0))
            except (OSError, EOFError) as error:
                raise LineLostError(f"The line to the board was lost ({error})") from error
            # Frames that answer nothing do not count: a port that echoes would keep us waiting for ever.
            answered = [self._answered(frame) for frame in self._deframer.feed(data)]
            if any(answered):
                self._heard, self._backoff, self._spoke = time.monotonic(), 1, True
                return
            if not data or time.monotonic() >= end:
                break
        if time.monotonic() - self._heard > self._patience_s:
            if self._spoke:
                raise NoAnswerError(f"The board does not answer any more (silent for {self._patience_s:g} s): check its cable and power")
            raise NoAnswerError(f"No answer from the board within {self._patience_s:g} s: check port, baud rate, cable and bitstream")
        self._backoff = min(2 * self._backoff, 16)
        self._generation += 1
        self._flight.clear()
        self._again(list(self._pending.values()))

    def _answered(self, frame: Frame) -> bool:
        """Take a frame; say whether it answered something that was waited for."""
        key = (frame.opcode ^ RESPONSE, frame.seq)
        place = next((i for i, (sent, _) in enumerate(self._flight) if sent == key), None)
        if place is None or key not in self._pending or not frame.payload:
            return False
        request = self._pending[key]
        generation = self._flight[place][1]
        lost = [sent for sent, _ in self._flight[:place]]
        del self._flight[: place + 1]
        status, data = frame.payload[0], frame.payload[1:]
        if status == Status.SEQUENCE:
            self._go_back(generation, data)
            return True
        if status == Status.NO_SESSION:
            self._pending.clear()
            raise SessionLostError("The board has restarted in mid session (power-up or brown-out): what it held is gone, open it again")
        del self._pending[key]
        request.answer, request.status = data, Status(status) if status < len(Status) else Status.UNKNOWN_OPCODE
        if request.sent:
            self._measure(time.monotonic() - request.sent)
        waiting = {sent for sent, _ in self._flight}
        self._again(self._pending[sent] for sent in lost if sent in self._pending and sent not in waiting)
        return True

    def _go_back(self, generation: int, data: bytes) -> None:
        """Send all again from what the board expects; once only for all the refusals that one lost frame causes."""
        oldest = self._oldest()
        if not data or (data[0] - oldest) & 0xFF > WINDOW:
            self._pending.clear()
            raise SessionLostError("The board's session is no longer ours: another program has opened it, close that one first")
        if generation == self._generation:
            self._generation += 1
            self._again(list(self._pending.values()))

    def _measure(self, seconds: float) -> None:
        """Follow round trip and deviation as TCP does (RFC 6298)."""
        if self._round_trip_s is None:
            self._round_trip_s, self._deviation_s = seconds, seconds / 2
        else:
            self._deviation_s += (abs(seconds - self._round_trip_s) - self._deviation_s) / 4
            self._round_trip_s += (seconds - self._round_trip_s) / 8

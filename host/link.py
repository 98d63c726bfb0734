"""The host's end of the link: commands in a window of eight, each executed exactly once whatever the line does to the bytes."""

# Over 400 lines: the window of commands is one state.

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from struct import unpack
from typing import Protocol

import numpy as np

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.framing import (
    LONG_PAYLOAD,
    MAX_PAYLOAD,
    NONCE_BYTES,
    RESPONSE,
    UNSEQUENCED,
    WINDOW,
    Deframer,
    Frame,
    Opcode,
    Status,
)
from backpulse.host.commands import Request, check, command, granted, grants, reads, words, writes
from backpulse.host.errors import LineBlockedError, LineLostError, NoAnswerError, SessionLostError, WrongAbiError

TIMEOUT_MARGIN_S = 0.1
"""Least wait for an answer beyond the round trip: above the scheduling hiccups of a busy computer."""
TIMEOUT_MAX_S = 1.0
"""Longest wait that repeated silence leads to, where the line itself does not take longer: a lossy line is tried often."""
TIMEOUT_FIRST_S = 0.5
"""Wait before any round trip is measured: a full window at 115200 baud takes 0.2 s."""
WRITE_LIMIT_S = 5.0
"""Time in which a port must take at least a byte."""
TICK_S = 0.1
"""Longest wait in one call of the port, between looks at the user's wish to stop."""
HELLOS = 3
"""Most HELLOs that a session is opened with, if they are refused."""
_STATUSES = {int(status): status for status in Status}
REMEMBERED = 2 * WINDOW
"""Answered commands that are remembered, for second answers to them."""


class Port(Protocol):
    """A pipe of bytes. Its methods raise OSError or EOFError when it is gone."""

    def write(self, data: bytes, /) -> int:
        """Send bytes; return how many the pipe took, 0 if it took none for a moment."""
        ...

    def read(self, timeout: float, /) -> bytes:
        """Return what has arrived, as soon as there is anything; nothing if `timeout` seconds bring nothing."""
        ...

    def close(self) -> None:
        """Give the pipe up."""
        ...


@dataclass
class _Seen:
    """What has come from the board since its last answer."""

    foreign: int = 0
    """Whole frames that answer nothing, such as our own."""
    refusals: int = 0
    damaged: int = 0
    """Damaged frames of the whole session when the last answer came."""


class Link:
    """A session with a board.

    Answers come in the order of the frames that they answer, so an answer tells that whatever was sent earlier and is still
    unanswered has been lost: it is sent again at once. Only silence needs the timeout, which follows the measured round trips. A
    command that was sent too often, because the line became slow, is answered twice; its round trip is measured then.

    Parameters
    ----------
    port
        The line to the board. The link owns it.
    patience_s
        Seconds without an answer after which the board counts as gone; more on a line with a longer round trip.

    Attributes
    ----------
    payload
        Bytes of the longest payload that the board takes: what every board does, until somebody knows better.
    retries
        Frames that had to be sent again.
    started
        The machine may be running: no stop was seen since START was last sent.
    heed
        Called while waiting; what it raises ends the waiting, and spoils nothing.
    told
        Called with each request when it is answered, in the order in which the board executed them.
    """

    def __init__(self, port: Port, *, patience_s: float = 5.0) -> None:
        self._port = port
        self._patience_s = patience_s
        self._deframer = Deframer(LONG_PAYLOAD)
        self.payload = MAX_PAYLOAD
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._tag = self._nonce[0]
        self._next = 0
        self._pending: dict[tuple[int, int], Request] = {}
        self._flight: list[tuple[tuple[int, int], int]] = []
        self._answered: dict[tuple[int, int], float] = {}
        self._generation = 0
        self._round_trip_s: float | None = None
        self._deviation_s = 0.0
        self._backoff = 1
        self._heard = self._taken = time.monotonic()
        self._torn = False
        self._blocked = False
        self._spoke = False
        self._seen = _Seen()
        self.retries = 0
        self.started = True
        self.heed: Callable[[], None] = lambda: None
        self.told: Callable[[Request], None] = lambda request: None

    @property
    def damaged(self) -> int:
        """Responses that arrived damaged."""
        return self._deframer.damaged

    @property
    def round_trip_s(self) -> float:
        """Seconds from a command to its answer, smoothed; 0 before one is measured."""
        return self._round_trip_s or 0.0

    @property
    def patience_s(self) -> float:
        """Seconds without an answer that the board is forgiven."""
        return self._patience_s if self._round_trip_s is None else max(self._patience_s, 4 * self._steady_timeout())

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def hello(self, nonce: bytes | None = None) -> bool:
        """Open a session, or go on with the one of `nonce`; say whether it was continued.

        Raises
        ------
        WrongAbiError
            If the board's ABI is not ours.
        NoAnswerError, LineLostError, LineBlockedError
            If there is no board.
        """
        if nonce is not None:
            self._nonce = nonce
        self._pending.clear()
        self._flight.clear()
        # The delimiter ends whatever noise the board has gathered before us.
        self._torn = True
        for _ in range(HELLOS):
            request = command(Opcode.HELLO, self._nonce)
            self.exchange([request])
            # A refusal may be the answer to what the line held before us, such as a damaged HELLO of another program.
            if request.status is Status.OK:
                break
        check([request])
        answer = request.answer or b""
        if len(answer) < 4:
            raise WrongAbiError("The board's HELLO cannot be read: it is not a Backpulse board, or one of another version")
        (abi,) = unpack("<I", answer[:4])
        if abi != ABI_VERSION:
            raise WrongAbiError(f"The board has ABI version {abi}, this program {ABI_VERSION}: use the program of the board's version")
        if len(answer) != 6:
            raise WrongAbiError("The board's HELLO has a wrong length: it is not a Backpulse board")
        self._next, continued = answer[4:]
        return bool(continued)

    def read_words(self, address: int, count: int) -> list[int]:
        """Return `count` words from `address` on."""
        requests = reads(address, count, self.payload)
        self.exchange(requests)
        return words(requests)

    def write_words(self, address: int, values: Sequence[int] | np.ndarray) -> None:
        """Write words from `address` on."""
        self.run(writes(address, values, self.payload))

    def start(self) -> None:
        """Start the machine at register ENTRY, without credit."""
        self.run([command(Opcode.START)])

    def grant(self, indices: Sequence[int] | np.ndarray) -> int:
        """Add samples to the order; return how many fitted, in whole frames."""
        taken = 0
        for request in grants(indices, self.payload):
            # One at a time: behind a GRANT that does not fit, a shorter one might, and the order would be another.
            self.exchange([request])
            if not granted([request]):
                break
            taken += request.size
        return taken

    def halt(self) -> None:
        """Stop the machine at the next sample."""
        self.run([command(Opcode.HALT)])

    def abort(self) -> None:
        """Stop the machine at once, drivers off."""
        self.run([command(Opcode.ABORT)])

    def run(self, requests: Sequence[Request]) -> None:
        """Exchange requests, none of which may be refused."""
        self.exchange(requests)
        check(requests)

    def exchange(self, requests: Sequence[Request], progress: Callable[[int, int], None] | None = None) -> None:
        """Send requests, as many at a time as the window holds, and wait for all their answers, refusals among them.

        Parameters
        ----------
        requests : sequence of Request
            Sent in this order.
        progress : callable, optional
            Called with (answered, requests) as answers come.
        """
        self._begin_waiting()
        sent = done = 0
        while done < len(requests):
            self.heed()
            fresh = []
            while sent < len(requests) and self._window_open(requests[sent].opcode):
                fresh.append(self._launch(requests[sent]))
                sent += 1
            if fresh:
                self._send(b"".join(fresh))
            self._receive()
            while done < sent and requests[done].answer is not None:
                self.told(requests[done])
                done += 1
            if progress:
                progress(done, len(requests))

    def wait(self, seconds: float) -> None:
        """Let a moment pass, at most `TICK_S`, taking what arrives."""
        for frame in self._deframer.feed(self._read(min(seconds, TICK_S))):
            self._take(frame)
        self.heed()

    def _begin_waiting(self) -> None:
        self._heard, self._seen = time.monotonic(), _Seen(damaged=self.damaged)

    def _window_open(self, opcode: Opcode) -> bool:
        return opcode in UNSEQUENCED or (self._next - self._oldest()) & 0xFF < WINDOW

    def _oldest(self) -> int:
        return next((seq for code, seq in self._pending if code not in UNSEQUENCED), self._next)

    def _launch(self, request: Request) -> bytes:
        if request.opcode in UNSEQUENCED:
            request.seq = self._tag = (self._tag + 1) & 0xFF
        else:
            request.seq = self._next
            self._next = (self._next + 1) & 0xFF
        self.started |= request.opcode is Opcode.START
        request.sent = time.monotonic()
        self._pending[request.key] = request
        self._answered.pop(request.key, None)
        return self._encode(request)

    def _encode(self, request: Request) -> bytes:
        self._flight.append((request.key, self._generation))
        return Frame(request.opcode, request.seq, request.payload).encode()

    def _again(self, requests: Iterable[Request]) -> None:
        data = []
        for request in requests:
            request.repeated = True
            self.retries += 1
            data.append(self._encode(request))
        if data:
            # The board may hold the head of a frame whose end was lost.
            self._torn = True
            self._send(b"".join(data))

    def _send(self, data: bytes) -> None:
        """Write bytes, behind a delimiter if the board may hold the head of a frame."""
        if self._torn:
            data = b"\0" + data
        if not self._blocked:
            self._taken = time.monotonic()
        self._torn = True
        while data:
            try:
                taken = self._port.write(data)
            except (OSError, EOFError) as error:
                raise LineLostError(f"The line to the board was lost ({error})") from error
            self._blocked = not taken
            if taken:
                data, self._taken = data[taken:], time.monotonic()
            elif time.monotonic() - self._taken > WRITE_LIMIT_S:
                raise LineBlockedError(f"The port takes no more bytes (none for {WRITE_LIMIT_S:g} s)")
            else:
                self.heed()
        self._torn = False

    def _steady_timeout(self) -> float:
        measured = self._round_trip_s
        return TIMEOUT_FIRST_S if measured is None else measured + max(TIMEOUT_MARGIN_S, 4 * self._deviation_s)

    def _timeout(self) -> float:
        base = self._steady_timeout()
        return min(base * self._backoff, max(base, TIMEOUT_MAX_S))

    def _receive(self) -> None:
        """Take what arrives until there is at least one answer; send everything again if the timeout passes without one."""
        begun, silent = time.monotonic(), 0.0
        while max(silent, time.monotonic() - begun) < self._timeout():
            self.heed()
            tick = min(TICK_S, self._timeout() - silent)
            data = self._read(tick)
            # A port that says that time has passed is believed: it may be the golden model's, which knows that nothing comes.
            silent += 0.0 if data else tick
            answers = [self._take(frame) for frame in self._deframer.feed(data)]
            if any(answers):
                self._begin_waiting()
                self._backoff, self._spoke = 1, True
                return
        if time.monotonic() - self._heard > self.patience_s:
            raise self._silence()
        self._backoff = min(2 * self._backoff, 16)
        self._generation += 1
        self._flight.clear()
        self._again(list(self._pending.values()))

    def _silence(self) -> NoAnswerError:
        """Return the error of a board that has not answered for too long: what was seen of it meanwhile."""
        seconds, damaged = f"{self.patience_s:.2g} s", self.damaged - self._seen.damaged
        if self._seen.refusals:
            return NoAnswerError(
                f"The board answers, but has taken no command for {seconds}: each was refused as out of sequence",
                "restart the board, and go on from the last checkpoint with --resume",
            )
        if damaged:
            return NoAnswerError(
                f"No answer from the board came whole for {seconds}, {damaged} came damaged",
                "check cable and ground, and that the baud rate is the board's",
            )
        if self._seen.foreign and not self._spoke:
            return NoAnswerError(f"What answers there is no board: for {seconds} it sent frames that answer nothing", "check the port")
        if self._spoke:
            return NoAnswerError(f"The board does not answer any more (silent for {seconds})", "check its cable and power")
        return NoAnswerError(f"No answer from the board within {seconds}", "check port, baud rate, cable and bitstream")

    def _read(self, timeout: float) -> bytes:
        try:
            return self._port.read(timeout)
        except (OSError, EOFError) as error:
            raise LineLostError(f"The line to the board was lost ({error})") from error

    def _take(self, frame: Frame) -> bool:
        """Take a frame; say whether it is the answer to something that was waited for."""
        key = (frame.opcode ^ RESPONSE, frame.seq)
        if key in self._answered:
            # Both copies have arrived, so the first answer was to the first copy, and the timeout was too short.
            self._measure(self._answered.pop(key))
            return False
        place = next((i for i, (sent, _) in enumerate(self._flight) if sent == key), None)
        if place is None or key not in self._pending or not frame.payload:
            self._seen.foreign += 1
            return False
        request = self._pending[key]
        generation = self._flight[place][1]
        lost = [sent for sent, _ in self._flight[:place]]
        del self._flight[: place + 1]
        status, data = frame.payload[0], frame.payload[1:]
        if status == Status.SEQUENCE:
            self._seen.refusals += 1
            self._go_back(generation, data)
            return False
        if status == Status.NO_SESSION:
            self._pending.clear()
            raise SessionLostError("The board has restarted in mid session (power-up or brown-out): what it held is gone, open it again")
        del self._pending[key]
        request.answer, request.status = data, _STATUSES.get(status, Status.UNKNOWN_OPCODE)
        self._remember(request)
        if lost:
            waiting = {sent for sent, _ in self._flight}
            self._again(self._pending[sent] for sent in lost if sent in self._pending and sent not in waiting)
        return True

    def _remember(self, request: Request) -> None:
        """Measure the round trip of an answered request, at once or when its second answer comes."""
        seconds = time.monotonic() - request.sent
        if not request.repeated:
            self._measure(seconds)
            return
        self._answered[request.key] = seconds
        while len(self._answered) > REMEMBERED:
            del self._answered[next(iter(self._answered))]

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

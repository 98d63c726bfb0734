"""Commands of the link as requests, so that several go out together: what each carries, and what its answer means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.framing import ADDRESS_BYTES, MAX_PAYLOAD, WORD_BYTES, Opcode, Status, most_granted, most_words
from backpulse.firmware_py.registers import word_name
from backpulse.host.errors import LinkError, RefusedError

_REASONS = {
    Status.BAD_ADDRESS: "there is nothing at that address",
    Status.BUSY: "a program runs: halt the machine first",
    Status.BAD_LENGTH: "the payload has a wrong length",
    Status.UNKNOWN_OPCODE: "it does not know the command",
    Status.FULL: "its sample order is full",
    Status.NOT_RUNNING: "the machine is idle or in fault: start it first",
}


@dataclass(eq=False, slots=True)
class Request:
    """A command and, later, its answer."""

    opcode: Opcode
    payload: bytes
    size: int = 0
    """Words that a READ asks for or a WRITE brings, samples that a GRANT adds."""
    seq: int = 0
    answer: bytes | None = None
    """Payload of the response, after the status."""
    status: Status = Status.OK
    sent: float = 0.0
    """When it was first sent."""
    repeated: bool = False
    """It was sent again: which of its copies an answer is to, only another answer tells."""

    @property
    def what(self) -> str:
        """What messages call it."""
        if self.opcode is Opcode.GRANT:
            return f"GRANT of {self.size} samples"
        if self.opcode not in (Opcode.READ, Opcode.WRITE):
            return self.opcode.name
        at = word_name(int.from_bytes(self.payload[:ADDRESS_BYTES], "little"))
        return f"{self.opcode.name} of {self.size} words at {at}"

    @property
    def key(self) -> tuple[int, int]:
        """Opcode and sequence number, which its answer repeats."""
        return self.opcode, self.seq


def command(opcode: Opcode, payload: bytes = b"") -> Request:
    """Return a command that is no READ, WRITE or GRANT."""
    return Request(opcode, payload)


def reads(address: int, count: int, payload: int = MAX_PAYLOAD) -> list[Request]:
    """Return the READs of `count` words from `address` on, for payloads so long; `words` takes their answers apart."""
    most, bytes_of_count = most_words(payload), 1 if payload == MAX_PAYLOAD else 2
    requests = []
    for at in range(0, count, most):
        size = min(most, count - at)
        requests.append(Request(Opcode.READ, _address(address + at) + size.to_bytes(bytes_of_count, "little"), size))
    return requests


def writes(address: int, values: Sequence[int] | np.ndarray, payload: int = MAX_PAYLOAD) -> list[Request]:
    """Return the WRITEs of words from `address` on, for payloads so long."""
    data, most = memoryview(np.asarray(values, "<u4").tobytes()), WORD_BYTES * most_words(payload)
    requests = []
    for at in range(0, len(data), most):
        part = data[at : at + most]
        requests.append(Request(Opcode.WRITE, _address(address + at // WORD_BYTES) + part, len(part) // WORD_BYTES))
    return requests


def grants(indices: Sequence[int] | np.ndarray, payload: int = MAX_PAYLOAD) -> list[Request]:
    """Return the GRANTs that add samples to the order, for payloads so long; `granted` counts what was taken."""
    numbers, most = np.asarray(indices, "<u2"), most_granted(payload)
    parts = [numbers[at : at + most] for at in range(0, len(numbers), most)]
    return [Request(Opcode.GRANT, part.tobytes(), len(part)) for part in parts]


def _address(address: int) -> bytes:
    return address.to_bytes(ADDRESS_BYTES, "little")


def check(requests: Iterable[Request]) -> None:
    """Raise RefusedError for the first request that the board refused."""
    for request in requests:
        if request.status is not Status.OK:
            reason = _REASONS.get(request.status, request.status.name)
            raise RefusedError(f"The board refused {request.what}: {reason}", request.status)


def word_array(requests: Sequence[Request]) -> np.ndarray:
    """Return the words that READs brought: uint32.

    Raises
    ------
    RefusedError
        If one was refused.
    LinkError
        If an answer has not the length that was asked for.
    """
    check(requests)
    answers = [request.answer or b"" for request in requests]
    for request, answer in zip(requests, answers, strict=True):
        if len(answer) != WORD_BYTES * request.size:
            raise LinkError(f"The board answered {request.what} with {len(answer)} bytes: it is no board of this version")
    return np.frombuffer(b"".join(answers), "<u4")


def words(requests: Sequence[Request]) -> list[int]:
    """Return the words that READs brought, as `word_array` does, in a list."""
    return word_array(requests).tolist()


def granted(requests: Sequence[Request]) -> int:
    """Return how many samples GRANTs added, up to the first that found the order full.

    Raises
    ------
    RefusedError
        If one was refused for another reason.
    LinkError
        If one was taken behind one that was not: the order is not the wanted one.
    """
    taken, full = 0, False
    for request in requests:
        if request.status is Status.FULL:
            full = True
            continue
        check([request])
        if full:
            raise LinkError("The board took a GRANT behind one that found its order full: restart it, and go on from the last checkpoint")
        taken += request.size
    return taken

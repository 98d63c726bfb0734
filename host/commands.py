"""Commands of the link as requests, so that several go out together: what each carries, and what its answer means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import pack, unpack

from backpulse.firmware_py.framing import MAX_GRANT, MAX_WORDS, Opcode, Status
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


@dataclass(eq=False)
class Request:
    """A command and, later, its answer."""

    opcode: Opcode
    payload: bytes
    what: str
    size: int = 0
    """Words that a READ asks for, samples that a GRANT adds."""
    seq: int = 0
    answer: bytes | None = None
    """Payload of the response, after the status."""
    status: Status = Status.OK
    sent: float = 0.0
    """When it was first sent."""
    repeated: bool = False
    """It was sent again: which of its copies an answer is to, only another answer tells."""

    @property
    def key(self) -> tuple[int, int]:
        """Opcode and sequence number, which its answer repeats."""
        return self.opcode, self.seq


def command(opcode: Opcode, payload: bytes = b"") -> Request:
    """Return a command that is no READ, WRITE or GRANT."""
    return Request(opcode, payload, opcode.name)


def reads(address: int, count: int) -> list[Request]:
    """Return the READs of `count` words from `address` on; `words` takes their answers apart."""
    end = address + count
    chunks = [(at, min(MAX_WORDS, end - at)) for at in range(address, end, MAX_WORDS)]
    return [Request(Opcode.READ, pack("<IB", at, n), f"READ of {n} words at {word_name(at)}", n) for at, n in chunks]


def writes(address: int, values: Iterable[int]) -> list[Request]:
    """Return the WRITEs of words from `address` on."""
    values, requests = list(values), []
    for at in range(0, len(values), MAX_WORDS):
        chunk = values[at : at + MAX_WORDS]
        what = f"WRITE of {len(chunk)} words at {word_name(address + at)}"
        requests.append(Request(Opcode.WRITE, pack(f"<I{len(chunk)}I", address + at, *chunk), what))
    return requests


def grants(indices: Sequence[int]) -> list[Request]:
    """Return the GRANTs that add samples to the order; `granted` counts what was taken."""
    chunks = [indices[at : at + MAX_GRANT] for at in range(0, len(indices), MAX_GRANT)]
    return [Request(Opcode.GRANT, pack(f"<{len(c)}H", *c), f"GRANT of {len(c)} samples", len(c)) for c in chunks]


def check(requests: Iterable[Request]) -> None:
    """Raise RefusedError for the first request that the board refused."""
    for request in requests:
        if request.status is not Status.OK:
            reason = _REASONS.get(request.status, request.status.name)
            raise RefusedError(f"The board refused {request.what}: {reason}", request.status)


def words(requests: Sequence[Request]) -> list[int]:
    """Return the words that READs brought.

    Raises
    ------
    RefusedError
        If one was refused.
    LinkError
        If an answer has not the length that was asked for.
    """
    check(requests)
    result: list[int] = []
    for request in requests:
        answer = request.answer or b""
        if len(answer) != 4 * request.size:
            raise LinkError(f"The board answered {request.what} with {len(answer)} bytes: it is no board of this version")
        result += unpack(f"<{request.size}I", answer)
    return result


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

"""A frame that the small link has received, and the session that it meets, as terms of the solver."""

from dataclasses import dataclass

import z3

from backpulse.firmware_py.framing import HEADER_BYTES, NONCE_BYTES, WINDOW, Opcode, Status
from backpulse.gateware.link import memory

from .microprogram import Path, fresh

__all__ = ["FIRST", "Frame", "any_frame", "equal", "number", "session", "wide"]

FIRST = memory.FRAME & 0xFF
"""Where a frame begins in its page."""


@dataclass(frozen=True)
class Frame:
    """A frame in the judge's hands, and the session that it meets."""

    opcode: z3.BitVecRef
    number: z3.BitVecRef
    length: z3.BitVecRef
    page: z3.ArrayRef
    session: list[z3.BitVecRef]
    """Opened, expected number, statuses, nonce."""
    room: z3.BitVecRef
    """Samples that the order can still take."""

    def of(self, opcode: Opcode) -> z3.BoolRef:
        """Return whether it is such a command."""
        return self.opcode == opcode

    def payload(self, index) -> z3.BitVecRef:
        """Return a byte of the payload."""
        return z3.Select(self.page, z3.BitVecVal(FIRST + HEADER_BYTES, 8) + index)

    @property
    def opened(self) -> z3.BoolRef:
        """There is a session."""
        return self.session[0] != 0

    @property
    def expected(self) -> z3.BitVecRef:
        """Number of the next command."""
        return self.session[1]

    @property
    def statuses(self) -> list[z3.BitVecRef]:
        """Statuses of the last commands."""
        return self.session[2 : 2 + WINDOW]

    @property
    def cached(self) -> z3.BitVecRef:
        """Status of the command that had this number."""
        status = self.statuses[0]
        for i, other in enumerate(self.statuses):
            status = z3.If(self.number & WINDOW - 1 == i, other, status)
        return status

    @property
    def due(self) -> z3.BoolRef:
        """The command has its turn: it may change something, once."""
        stops = [self.of(o) for o in (Opcode.HELLO, Opcode.HALT, Opcode.ABORT)]
        return z3.And(self.opened, self.number == self.expected, z3.Not(z3.Or(stops)))

    @property
    def repeated(self) -> z3.BoolRef:
        """It had it, not long ago."""
        behind = self.expected - self.number
        return z3.And(self.opened, behind != 0, z3.ULE(behind, WINDOW), self.cached != Status.SEQUENCE)

    @property
    def continues(self) -> z3.BoolRef:
        """A HELLO has the nonce of the session."""
        nonce = self.session[2 + WINDOW :]
        return z3.And(self.opened, *(self.payload(i) == byte for i, byte in enumerate(nonce)))


def session(path: Path) -> list[z3.BitVecRef]:
    """Return what a session consists of, as it is in data memory."""
    places = (memory.OPENED, memory.EXPECTED, *range(memory.STATUSES, memory.STATUSES + WINDOW))
    return [path.byte(at) for at in (*places, *range(memory.NONCE, memory.NONCE + NONCE_BYTES))]


def equal(left: list[z3.BitVecRef], right: list[z3.BitVecRef]) -> z3.BoolRef:
    """Return whether bytes are the same."""
    return z3.And(*(a == b for a, b in zip(left, right, strict=True)))


def any_frame() -> Frame:
    """Return a frame and a session of any values."""
    page = z3.FreshConst(z3.ArraySort(z3.BitVecSort(8), z3.BitVecSort(8)), "frame")
    held = [fresh("session") for _ in range(2 + WINDOW + NONCE_BYTES)]
    return Frame(fresh("opcode"), fresh("number"), fresh("length"), page, held, fresh("room", 16))


def wide(byte: z3.BitVecRef) -> z3.BitVecRef:
    """Return a byte with sixteen bits."""
    return z3.ZeroExt(8, byte)


def number(*upper_first: z3.BitVecRef) -> z3.BitVecRef:
    """Return the number that bytes make."""
    return z3.Concat(*upper_first)

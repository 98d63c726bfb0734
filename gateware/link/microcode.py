"""The instructions of the small link's processor, and their assembler."""

from dataclasses import dataclass, field
from enum import IntEnum

__all__ = [
    "CLOCKS_MIN",
    "DATA_BYTES",
    "DATA_PORTS",
    "PROGRAM_WORDS",
    "Assembler",
    "Mode",
    "Op",
    "Port",
    "Strobe",
    "When",
]

CLOCKS_MIN = 16
"""Fewest clocks of a bit with which the processor keeps up with the line."""
PROGRAM_WORDS = 512
DATA_PORTS = 4
"""Ports of OUT: four bytes of an address, then those of a word but for the last."""
DATA_BYTES = 512
"""Bytes of data memory: two pages of 256."""


class Op(IntEnum):
    """Operations. The first six take a source and write the accumulator; all but LD and AND set the carry."""

    LD = 0
    AND = 1
    ADD = 2
    SUB = 3
    ADC = 4
    SBC = 5
    ST = 8
    """Store the accumulator in memory."""
    LDX = 9
    """Load X with a source."""
    OUT = 10
    """Load a byte of the bus's address or data with the accumulator."""
    BUS = 11
    """Access the bus; the accumulator is the uppermost byte written, the carry becomes the error bit."""
    CRC = 12
    """Add the accumulator to the CRC, start that anew (operand 1), or shift a byte out of it (operand 2)."""
    SEND = 13
    """Send the accumulator on the line."""
    STROBE = 14
    """Command the machine."""
    JUMP = 15


class Mode(IntEnum):
    """Addressing modes of a source."""

    IMMEDIATE = 0
    PORT = 1
    DIRECT = 2
    INDEXED = 3
    """At X in a page; X may count up."""


class Port(IntEnum):
    """Sources outside memory; the first four are the bytes of the word that the bus read."""

    WORD = 0
    LINE = 4
    """The next byte of the line; waits for it."""
    CRC = 5
    """Low byte of the CRC."""
    STATE = 6


class Strobe(IntEnum):
    """Commands to the machine, a bit each; ORDER waits until the sample is taken."""

    START = 0
    HALT = 1
    ABORT = 2
    CLEAR_CREDIT = 3
    ORDER = 4


class When(IntEnum):
    """Conditions of jumps: of the accumulator, of the carry."""

    ALWAYS = 0
    ZERO = 2
    NOT_ZERO = 3
    CARRY = 4
    NO_CARRY = 5


@dataclass
class Assembler:
    """Gathers a program.

    Members
    -------
    words
        Instructions: operation 4 bits, mode or condition 3 bits, operand 9 bits, the operation uppermost.
    labels
        Where the named ones are.
    """

    words: list[int] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    _jumps: list[tuple[int, str]] = field(default_factory=list)

    def label(self, name: str) -> None:
        """Name the next instruction."""
        if name in self.labels:
            raise ValueError(f"Label {name} is used twice")
        self.labels[name] = len(self.words)

    def emit(self, op: Op, upper: int = 0, operand: int = 0) -> None:
        """Add an instruction."""
        if not 0 <= operand < 1 << 9:
            raise ValueError(f"Operand of {op.name} must be 0 to 511, not {operand}")
        self.words.append(op << 12 | upper << 9 | operand)

    def immediate(self, op: Op, value: int) -> None:
        """Operate on a constant byte."""
        self.emit(op, Mode.IMMEDIATE, value & 0xFF)

    def port(self, op: Op, port: int) -> None:
        """Operate on a port."""
        self.emit(op, Mode.PORT, port)

    def direct(self, op: Op, address: int) -> None:
        """Operate on a byte of memory."""
        self.emit(op, Mode.DIRECT, address)

    def indexed(self, op: Op, page: int, *, count: bool = False) -> None:
        """Operate on the byte at X in a page; with `count` X counts up."""
        self.emit(op, Mode.INDEXED | count << 2, page << 8)

    def jump(self, label: str, when: When = When.ALWAYS) -> None:
        """Jump to a label."""
        self._jumps.append((len(self.words), label))
        self.emit(Op.JUMP, when)

    def load(self, address: int) -> None:
        """Load the accumulator from memory."""
        self.direct(Op.LD, address)

    def store(self, address: int) -> None:
        """Store the accumulator in memory."""
        self.direct(Op.ST, address)

    def set(self, value: int, *addresses: int) -> None:
        """Store a constant in memory."""
        self.immediate(Op.LD, value)
        for address in addresses:
            self.store(address)

    def equal(self, value: int, label: str, when: When = When.ZERO) -> None:
        """Subtract a constant, and jump if the result is zero (or as `when` says)."""
        self.immediate(Op.SUB, value)
        self.jump(label, when)

    def finish(self) -> list[int]:
        """Return the program.

        Raises
        ------
        ValueError
            If a label is missing or the program too long.
        """
        for place, label in self._jumps:
            if label not in self.labels:
                raise ValueError(f"Label {label} is missing")
            self.words[place] |= self.labels[label]
        if len(self.words) > PROGRAM_WORDS:
            raise ValueError(f"The program must have at most {PROGRAM_WORDS} words, not {len(self.words)}")
        return self.words

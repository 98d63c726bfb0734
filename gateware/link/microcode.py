"""The instructions of the small link's processor, how a program lists them, and their assembler."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "CLOCKS_MIN",
    "DATA_BYTES",
    "DATA_PORTS",
    "PROGRAM_WORDS",
    "Instruction",
    "Listing",
    "Mode",
    "Op",
    "Port",
    "Strobe",
    "When",
    "assemble",
    "direct",
    "equal",
    "immediate",
    "indexed",
    "jump",
    "load",
    "port",
    "put",
    "store",
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


class Instruction(NamedTuple):
    """An instruction as a program lists it.

    Members
    -------
    op
        Operation, the uppermost 4 bits.
    operand
        The low 9 bits.
    upper
        Addressing mode or condition, 3 bits.
    label
        Where a jump goes, instead of an operand.
    """

    op: Op
    operand: int = 0
    upper: int = 0
    label: str | None = None


Listing = Sequence["str | Instruction | Listing"]
"""Instructions in order, a label before the one that it names; parts of a program are listings themselves."""


def immediate(op: Op, value: int) -> Instruction:
    """Operate on a constant byte."""
    return Instruction(op, value & 0xFF, Mode.IMMEDIATE)


def port(op: Op, number: int) -> Instruction:
    """Operate on a port."""
    return Instruction(op, number, Mode.PORT)


def direct(op: Op, address: int) -> Instruction:
    """Operate on a byte of memory."""
    return Instruction(op, address, Mode.DIRECT)


def indexed(op: Op, page: int, *, count: bool = False) -> Instruction:
    """Operate on the byte at X in a page; with `count` X counts up."""
    return Instruction(op, page << 8, Mode.INDEXED | count << 2)


def jump(label: str, when: When = When.ALWAYS) -> Instruction:
    """Jump to a label."""
    return Instruction(Op.JUMP, 0, when, label)


def load(address: int) -> Instruction:
    """Load the accumulator from memory."""
    return direct(Op.LD, address)


def store(address: int) -> Instruction:
    """Store the accumulator in memory."""
    return direct(Op.ST, address)


def put(value: int, *addresses: int) -> Listing:
    """Store a constant in memory."""
    return [immediate(Op.LD, value), *map(store, addresses)]


def equal(value: int, label: str, when: When = When.ZERO) -> Listing:
    """Subtract a constant, and jump if the result is zero (or as `when` says)."""
    return [immediate(Op.SUB, value), jump(label, when)]


def assemble(listing: Listing) -> tuple[list[int], dict[str, int]]:
    """Return the words of a program, and where its labels are.

    Raises
    ------
    ValueError
        If a label is missing or used twice, an operand too large, or the program too long.
    """
    code: list[Instruction] = []
    labels: dict[str, int] = {}
    for line in _flat(listing):
        if isinstance(line, Instruction):
            code.append(line)
        elif line in labels:
            raise ValueError(f"Label {line} is used twice")
        else:
            labels[line] = len(code)
    for op, operand, _, label in code:
        if not 0 <= operand < 1 << 9:
            raise ValueError(f"Operand of {op.name} must be 0 to 511, not {operand}")
        if label and label not in labels:
            raise ValueError(f"Label {label} is missing")
    if len(code) > PROGRAM_WORDS:
        raise ValueError(f"The program must have at most {PROGRAM_WORDS} words, not {len(code)}")
    return [
        op << 12 | upper << 9 | (labels[label] if label else operand) for op, operand, upper, label in code
    ], labels


def _flat(listing: Listing) -> Iterator[str | Instruction]:
    for line in listing:
        if isinstance(line, str | Instruction):
            yield line
        else:
            yield from _flat(line)

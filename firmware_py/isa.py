"""The instruction set: opcodes, functions, and the words of program, region, vector and scale tables.

The meaning of each instruction is in docs/machine.md. RTL, golden model and compiler import the layouts from here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from math import frexp
from typing import Any

from backpulse.firmware_py.config import Config


class Op(IntEnum):
    """Operation codes. Zero is illegal, so that empty memory faults."""

    READ = 1
    READT = 2
    PULSE = 3
    ERR = 4
    NORM2 = 5
    AXPY = 6
    NEXT = 7
    END = 8


class Function(IntEnum):
    """What is done to a word before it is stored."""

    PARTIAL = 0
    NONE = 1
    SIGMOID = 4
    TANH = 5
    RELU = 6
    LINEAR = 7
    HADAMARD_SIGMOID = 8
    HADAMARD_TANH = 9
    HADAMARD_RELU = 10
    HADAMARD_LINEAR = 11


ACTIVATIONS = {"sigmoid": Function.SIGMOID, "tanh": Function.TANH, "relu": Function.RELU, "linear": Function.LINEAR}
"""Activation functions by the name a person gives them."""


def hadamard(activation: str) -> Function:
    """Return the function that multiplies by the derivative of `activation`."""
    return Function(ACTIVATIONS[activation] - Function.SIGMOID + Function.HADAMARD_SIGMOID)


class Unit(Enum):
    """What executes an operation: the array and what reads it, the pulse planner, the vector arithmetic, the sequencer itself."""

    READER = 0
    PLANNER = 1
    ARITHMETIC = 2
    SEQUENCER = 3


class Span(Enum):
    """Which elements of a vector an operand is: those at the region's rows, those at its columns, or all of them."""

    ROWS = 0
    COLS = 1
    ALL = 2


class When(Enum):
    """When an operation reads an operand: always, with `accumulate`, or with a Hadamard function."""

    ALWAYS = 0
    ACCUMULATE = 1
    HADAMARD = 2


@dataclass(frozen=True)
class Operand:
    """A vector of an instruction: the field that names it, which of its elements, and when it is read."""

    field: str
    span: Span
    when: When = When.ALWAYS


_HADAMARD = frozenset(f for f in Function if f >= Function.HADAMARD_SIGMOID)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What everybody has to know of an operation; `OPERATIONS` has one for each.

    `first` and then `second` come through the first reading port, `other` through the second one, beside them; `written` is where the
    results go, if they are a vector. `scale` and `to_scale` are the fields that name the scale register that is read or written.
    """

    unit: Unit
    functions: frozenset[Function] = frozenset({Function.PARTIAL})
    region: bool = False
    first: Operand | None = None
    second: Operand | None = None
    other: Operand | None = None
    written: Operand | None = None
    scale: str = ""
    to_scale: str = ""


def _read(driven: Span, sensed: Span) -> Operation:
    return Operation(
        unit=Unit.READER,
        functions=frozenset(Function),
        region=True,
        first=Operand("a", driven),
        second=Operand("b", sensed, When.ACCUMULATE),
        other=Operand("c", sensed, When.HADAMARD),
        written=Operand("b", sensed),
    )


OPERATIONS: dict[Op, Operation] = {
    Op.READ: _read(Span.ROWS, Span.COLS),
    Op.READT: _read(Span.COLS, Span.ROWS),
    Op.PULSE: Operation(
        unit=Unit.PLANNER,
        region=True,
        first=Operand("b", Span.COLS),
        second=Operand("a", Span.ROWS),
        scale="c",
    ),
    Op.ERR: Operation(
        unit=Unit.ARITHMETIC,
        functions=_HADAMARD | {Function.NONE},
        first=Operand("a", Span.ALL),
        other=Operand("b", Span.ALL),
        written=Operand("c", Span.ALL),
    ),
    Op.NORM2: Operation(unit=Unit.ARITHMETIC, first=Operand("a", Span.ALL), scale="b", to_scale="c"),
    Op.AXPY: Operation(
        unit=Unit.ARITHMETIC,
        functions=_HADAMARD | {Function.NONE},
        first=Operand("a", Span.ALL),
        other=Operand("b", Span.ALL),
        written=Operand("b", Span.ALL),
        scale="c",
    ),
    Op.NEXT: Operation(unit=Unit.SEQUENCER),
    Op.END: Operation(unit=Unit.SEQUENCER),
}
"""Each operation: the one place that says what it reads, writes and needs."""


def require(part: str, handled: Iterable[Op], *units: Unit) -> None:
    """Check, when a part is imported, that it handles each operation (of some units, if given).

    Raises
    ------
    NotImplementedError
        If it does not: an operation is never taken for another one.
    """
    wanted = [op for op in Op if not units or OPERATIONS[op].unit in units]
    if missing := [op.name for op in wanted if op not in set(handled)]:
        raise NotImplementedError(f"The {part} does not handle operation {', '.join(missing)} of firmware_py/isa.py")


require("table of operations", OPERATIONS)

FIELDS: dict[str, tuple[int, int]] = {
    "op": (0, 4),
    "region": (4, 12),
    "a": (16, 6),
    "b": (22, 6),
    "c": (28, 6),
    "function": (34, 4),
    "accumulate": (38, 1),
    "auto_range": (39, 1),
    "backward": (40, 1),
    "stochastic": (41, 1),
    "profile": (42, 4),
}
"""Bit position and width of each field of an instruction word. NEXT keeps its target in `region`."""

RESERVED: dict[str, tuple[int, int]] = {
    "negate": (46, 1),
    "index": (47, 3),
    "paired": (50, 1),
    "ahead": (51, 1),
}
"""Fields that are to come, zero until then: the sign of what is read or pulsed, an index register, pairs of passes.
PULSE has room for functions of its own, and NEXT for a second target in `a` and `b`."""

USED_BITS = max(low + width for low, width in FIELDS.values())
"""Bits of an instruction word that have a meaning; all others are zero, or the word is illegal."""
MOST_PROFILES = 1 << FIELDS["profile"][1]
"""Profiles that an instruction can name; a tile may know fewer."""
INSTRUCTION_BITS = 64
"""Bits of an instruction word; on the bus it is two 32-bit words, low half first."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction; fields that an operation does not use are zero (`OPERATIONS` has which it uses)."""

    op: Op
    region: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    function: Function = Function.PARTIAL
    accumulate: int = 0
    auto_range: int = 0
    backward: int = 0
    stochastic: int = 0
    profile: int = 0

    def encode(self) -> int:
        """Return the instruction word.

        Raises
        ------
        ValueError
            If a field does not fit its width.
        """
        word = 0
        for name, (low, width) in FIELDS.items():
            value = int(getattr(self, name))
            if not 0 <= value < 1 << width:
                raise ValueError(f"Instruction field {name} must be 0 to {(1 << width) - 1}, not {value}")
            word |= value << low
        return word

    @property
    def operation(self) -> Operation:
        """What the operation reads, writes and needs."""
        return OPERATIONS[self.op]

    @property
    def hadamard(self) -> bool:
        """True if words are multiplied by a derivative."""
        return self.function in _HADAMARD

    def uses(self, operand: Operand | None) -> bool:
        """Say whether an operand of the operation, which may be none, is read."""
        when = {When.ALWAYS: True, When.ACCUMULATE: bool(self.accumulate), When.HADAMARD: self.hadamard}
        return operand is not None and when[operand.when]

    @property
    def reads(self) -> list[int]:
        """Vectors that are read."""
        operands = (self.operation.first, self.operation.second, self.operation.other)
        return [getattr(self, operand.field) for operand in operands if operand and self.uses(operand)]

    @property
    def writes(self) -> list[int]:
        """Vectors that are written."""
        return [getattr(self, self.operation.written.field)] if self.operation.written else []


def decode(word: int) -> Instruction:
    """Return the instruction of a word.

    Raises
    ------
    ValueError
        If the word is illegal: an unknown operation, a function that the operation does not have, or a bit that is not zero
        beyond the last field. The controller faults on exactly these words.
    """
    values: dict[str, Any] = {name: (word >> low) & ((1 << width) - 1) for name, (low, width) in FIELDS.items()}
    placed = values["op"] in OPERATIONS and OPERATIONS[values["op"]].region
    if word >> USED_BITS or (values["op"], values["function"]) not in LEGAL or (values["profile"] and not placed):
        raise ValueError(f"Illegal instruction word 0x{word:016x}")
    values["op"], values["function"] = Op(values["op"]), Function(values["function"])
    return Instruction(**values)


LEGAL = [(int(op), int(f)) for op, operation in OPERATIONS.items() for f in sorted(operation.functions)]
"""All pairs of operation and function code that are legal."""

SIGMOID_ALONE = {Function.PARTIAL, Function.NONE, Function.SIGMOID, Function.HADAMARD_SIGMOID}
"""Functions of a lean machine; the others are illegal there."""


def legal(config: Config) -> list[tuple[int, int]]:
    """Return the pairs of operation and function code that are legal on a machine."""
    return [(op, function) for op, function in LEGAL if not config.lean or function in SIGMOID_ALONE]


def used_bits(config: Config) -> int:
    """Return how many bits of an instruction word have a meaning on a machine: a lean one has no profiles."""
    return FIELDS["profile"][0] if config.lean else USED_BITS


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of one tile and its place in the vectors of an instruction; four 32-bit table words."""

    tile: int
    row0: int
    rows: int
    col0: int
    cols: int
    row_offset: int
    col_offset: int
    scale_log2: int

    def to_words(self) -> list[int]:
        """Return the four table words: (row0, tile), (cols, rows), (scale_log2, col0), (col_offset, row_offset), low halves first named."""
        return [
            self.row0 | self.tile << 16,
            self.cols | self.rows << 16,
            self.scale_log2 | self.col0 << 16,
            self.col_offset | self.row_offset << 16,
        ]

    @classmethod
    def from_words(cls, words: list[int]) -> "Region":
        """Read a region back from its four table words."""
        (row0, tile), (cols, rows), (scale, col0), (col_offset, row_offset) = ((w & 0xFFFF, w >> 16) for w in words)
        return cls(
            tile=tile,
            row0=row0,
            rows=rows,
            col0=col0,
            cols=cols,
            row_offset=row_offset,
            col_offset=col_offset,
            scale_log2=scale,
        )


REGION_WORDS = 4
"""Table words of a region."""
SCALE_LOG2_MAX = 6
"""Largest log2 of a weight_scale."""


@dataclass(frozen=True, kw_only=True)
class Vector:
    """A vector table entry; one 32-bit word: base 15 bits, bias, length 15 bits, sample."""

    base: int
    length: int
    sample: int = 0
    bias: int = 0

    def to_word(self) -> int:
        """Return the table word."""
        return self.base | self.bias << 15 | self.length << 16 | self.sample << 31

    @classmethod
    def from_word(cls, word: int) -> "Vector":
        """Read an entry back from its table word."""
        return cls(base=word & 0x7FFF, bias=word >> 15 & 1, length=word >> 16 & 0x7FFF, sample=word >> 31)


SCALE_REGISTERS = 8
"""Scale registers of the machine."""
NORM_EXPONENT = 2
"""Exponent of a scale register that NORM2 wrote."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A scale register: mantissa * 2**(exponent - 16); one 32-bit word, exponent in bits 16 to 23."""

    mantissa: int
    exponent: int

    def to_word(self) -> int:
        """Return the register's word."""
        return self.mantissa | (self.exponent & 0xFF) << 16

    @classmethod
    def from_word(cls, word: int) -> "Scale":
        """Read a scale back from its word."""
        exponent = word >> 16 & 0xFF
        return cls(mantissa=word & 0xFFFF, exponent=exponent - 256 if exponent > 127 else exponent)

    @classmethod
    def from_float(cls, value: float) -> "Scale":
        """Return the nearest normalised scale (mantissa 2**15 .. 2**16 - 1, or zero).

        Raises
        ------
        ValueError
            If the value is negative, not finite, or outside 2**-40 .. 2**24.
        """
        if value == 0:
            return cls(mantissa=0, exponent=0)
        if not 2.0**-40 <= value <= 2.0**24:
            raise ValueError(f"A scale must be 0 or from 2**-40 to 2**24, not {value}")
        fraction, exponent = frexp(value)
        mantissa = int(fraction * (1 << 16) + 0.5)
        if mantissa == 1 << 16:
            mantissa, exponent = 1 << 15, exponent + 1
        return cls(mantissa=mantissa, exponent=exponent)

    @property
    def value(self) -> float:
        """The scale as a number."""
        return self.mantissa * 2.0 ** (self.exponent - 16)

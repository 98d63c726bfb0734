"""The instruction set: opcodes, functions, and the words of program, region, vector and scale tables.

The meaning of each instruction is in docs/machine.md. RTL, golden model and compiler import the layouts from here.
"""

from dataclasses import dataclass
from enum import IntEnum
from math import frexp
from typing import Any


class Op(IntEnum):
    """Operation codes. Zero is no instruction, so that empty memory faults."""

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
}
"""Bit position and width of each field of an instruction word. NEXT keeps its target in `region`; the scale registers of
PULSE and AXPY, and the result register of NORM2, are in `c`; NORM2 has its eta register in `b`."""

INSTRUCTION_BITS = 42
"""Bits of an instruction word; on the bus it is two 32-bit words, low half first."""

_FUNCTIONS = {
    Op.READ: set(Function),
    Op.READT: set(Function),
    Op.PULSE: {Function.PARTIAL},
    Op.ERR: {Function.NONE, *(f for f in Function if f >= Function.HADAMARD_SIGMOID)},
    Op.NORM2: {Function.PARTIAL},
    Op.AXPY: {Function.NONE, *(f for f in Function if f >= Function.HADAMARD_SIGMOID)},
    Op.NEXT: {Function.PARTIAL},
    Op.END: {Function.PARTIAL},
}


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction; fields that an operation does not use are zero.

    READ, READT: `a` source vector, `b` destination, `c` activations for a Hadamard function.
    PULSE: `a` row vector, `b` column vector, `c` scale register. ERR: `a` target, `b` output, `c` error.
    NORM2: `a` vector, `b` eta register, `c` result register. AXPY: `b` += , `a` vector, `c` scale register.
    NEXT: `region` target address.
    """

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


def decode(word: int) -> Instruction:
    """Return the instruction of a word.

    Raises
    ------
    ValueError
        If the word is no instruction: unknown operation, a function that the operation does not have, or bits beyond
        the last field. The controller faults on exactly these words.
    """
    values: dict[str, Any] = {name: (word >> low) & ((1 << width) - 1) for name, (low, width) in FIELDS.items()}
    if word >> INSTRUCTION_BITS or not legal(values["op"], values["function"]):
        raise ValueError(f"Unknown instruction word 0x{word:011x}")
    values["op"], values["function"] = Op(values["op"]), Function(values["function"])
    return Instruction(**values)


def legal(op: int, function: int) -> bool:
    """Say whether an operation code and function code go together."""
    return op in _FUNCTIONS and function in _FUNCTIONS[Op(op)]


LEGAL = [(int(op), int(f)) for op, fs in _FUNCTIONS.items() for f in sorted(fs)]
"""All pairs of operation and function code that are an instruction."""

LEAN_FUNCTIONS = {Function.PARTIAL, Function.NONE, Function.SIGMOID, Function.HADAMARD_SIGMOID}
"""Functions of a lean machine; the others are no instructions there."""


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

"""Activation functions and their derivatives in the machine's numbers.

The table is computed with decimal arithmetic, so that every computer gets the same words.
"""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.formats import rshift, sat, shift
from backpulse.firmware_py.isa import Function
from backpulse.firmware_py.jit import inlined
from backpulse.firmware_py.lanes import look, where

TABLE_WORDS = 512
"""Words of the tanh table."""
TABLE_STEP_LOG2 = 7
"""Table steps per unit of the argument: 2**7."""

_SIGMOID, _TANH, _RELU, _LINEAR = (int(f) for f in (Function.SIGMOID, Function.TANH, Function.RELU, Function.LINEAR))
_H_SIGMOID, _H_TANH, _H_RELU = (int(f) for f in (Function.HADAMARD_SIGMOID, Function.HADAMARD_TANH, Function.HADAMARD_RELU))


@cache
def tanh_table(config: Config) -> tuple[int, ...]:
    """Return T[k] = round(2**vector_frac * tanh(k / 128)), the one table behind sigmoid and tanh (512 words)."""
    words = []
    with localcontext() as context:
        context.prec = 40
        for k in range(TABLE_WORDS):
            e = (Decimal(2 * k) / (1 << TABLE_STEP_LOG2)).exp()
            value = Decimal(config.one) * (e - 1) / (e + 1)
            words.append(int(value.to_integral_value(rounding=ROUND_HALF_UP)))
    return tuple(words)


def table_array(config: Config) -> np.ndarray:
    """Return the table as an int32 array for the golden model."""
    return np.array(tanh_table(config), dtype=np.int32)


@inlined
def activate(function, y, table, pre_frac, vector_frac, unit, vector_max):
    """Return (word, 1 if it was clipped) of an activation of a pre-activation `y` (docs/machine.md, Instructions). int64 or lanes."""
    none = 0 * y
    if function == _LINEAR:
        wide = shift(y, vector_frac - pre_frac)
        word = sat(wide, vector_max)
        return word, where(word == wide, none, none + 1)
    if function == _RELU:
        return min(max(shift(y, vector_frac - pre_frac), 0), unit), none
    step = pre_frac - 7 + (function == _SIGMOID)
    t = look(table, min((abs(y) + ((1 << step) >> 1)) >> step, TABLE_WORDS - 1))
    signed = where(y >= 0, t, -t)
    if function == _SIGMOID:
        return min(((1 << vector_frac) + signed + 1) >> 1, unit), none
    return sat(signed, unit), none


@inlined
def fprime(function, a, frac, unit):
    """Return the derivative at output `a` for a HADAMARD function, Q.frac; a clipped ReLU is flat at both ends. int64 or lanes."""
    one = 1 << frac
    if function == _H_SIGMOID:
        return rshift(a * (one - a), frac)
    if function == _H_TANH:
        return rshift((1 << (2 * frac)) - a * a, frac)
    if function == _H_RELU:
        return where(a > 0, where(a >= unit, 0 * a, 0 * a + one), 0 * a)
    return 0 * a + one

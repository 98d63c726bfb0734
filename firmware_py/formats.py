"""The one rounding rule and the one saturation, for numbers and NumPy arrays of any shape.

Everything is int64, or a group of lanes; a shift count is never negative unless the function says so.
"""

from backpulse.firmware_py.jit import inlined
from backpulse.firmware_py.lanes import where


@inlined
def rshift(value, bits):
    """Shift right by `bits`, rounded half away from zero; `value` itself for 0 bits. int64, or lanes of 31 bits."""
    half = (1 << bits) >> 1
    return (value + where(value >= 0, half, max(half - 1, 0))) >> bits


@inlined
def shift(value, bits):
    """Shift left by `bits`, or rounded right by `-bits`. int64, or lanes."""
    return value << bits if bits >= 0 else rshift(value, -bits)


@inlined
def sat(value, limit):
    """Clamp to -limit .. limit. int64, or lanes."""
    return min(max(value, -limit), limit)

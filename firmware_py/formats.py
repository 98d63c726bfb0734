"""The one rounding rule and the one saturation, for numbers and NumPy arrays of any shape.

Everything is int64, or a group of lanes; a shift count is never negative unless the function says so.
"""

from backpulse.firmware_py.jit import inlined
from backpulse.firmware_py.lanes import where


@inlined
def rshift(value, bits):
    """Shift right by `bits`, rounded half away from zero; `value` itself for 0 bits. int64, or lanes of 31 bits."""
    half = (1 << bits) >> 1
    magnitude = (abs(value) + half) >> bits
    return where(value >= 0, magnitude, -magnitude)


@inlined
def shift(value, bits):
    """Shift left by `bits`, or rounded right by `-bits`. int64."""
    return value << bits if bits >= 0 else rshift(value, -bits)


@inlined
def sat(value, limit):
    """Clamp to -limit .. limit. int64."""
    return min(max(value, -limit), limit)


@inlined
def bit_length(value):
    """Return the number of bits of a non-negative integer (0 for 0)."""
    n = 0
    while value:
        value >>= 1
        n += 1
    return n

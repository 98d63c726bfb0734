"""Random streams: SplitMix64 for seeds and draws, 32-bit xorshift inside the machine.

SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. xorshift: Marsaglia, "Xorshift RNGs",
Journal of Statistical Software 8(14), 2003.
"""

from functools import lru_cache

import numpy as np

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.jit import inlined
from backpulse.firmware_py.registers import Stream

_M64 = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
XORSHIFT = (13, 17, 5)
"""Shifts of the 32-bit xorshift: left, right, left."""
_A, _B, _C = XORSHIFT
_LOGICAL = (1 << 32 - _B) - 1
"""What a right shift of 32 bits leaves but for copies of the sign."""
COMPANION = (7, 25, 12)
"""Shifts of another xorshift of full period, which makes a second random word of one: sums of their bytes do not correlate."""
_D, _E, _F = COMPANION
_COMPANION_LOGICAL = (1 << 32 - _E) - 1
GAUSS_MEAN = 510
"""What is taken off the sum of four bytes."""
GAUSS_SIGMA = (4 * (256**2 - 1) / 12) ** 0.5
"""Standard deviation of the sum of four bytes (147.8)."""


def splitmix64(state: int) -> int:
    """Return the SplitMix64 output of a 64-bit state."""
    z = (state + _GOLDEN) & _M64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _M64
    return z ^ (z >> 31)


def key(*parts: int) -> int:
    """Mix integers (seed, stream, lane, ...) into one 64-bit state; their order matters."""
    state = 0
    for part in parts:
        state = splitmix64(state ^ (part & _M64))
    return state


def draws(count: int, *parts: int, start: int = 0) -> np.ndarray:
    """Return `count` 32-bit integers (int64 array) from the SplitMix64 sequence of a key, those before `start` left out."""
    with np.errstate(over="ignore"):
        z = np.uint64(key(*parts)) + np.arange(start + 1, start + count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(32)).astype(np.int64)


def seed_lane(seed: int, stream: int, lane: int) -> int:
    """Return the first xorshift state of a lane: 32 bits, never zero."""
    return (key(seed, stream, lane) >> 32) or 1


def seed_states(config: Config, seed: int) -> dict[Stream, list[int]]:
    """Return the first states of every stream that a configuration has: a list of 32-bit states a stream."""
    states = {Stream.ROUNDING: config.tile_cols}
    if config.read_noise:
        states[Stream.READ] = 2
    if config.device in (DeviceKind.LINEAR_STEP, DeviceKind.TABLE):
        states[Stream.WRITE] = config.tile_cols
    return {stream: [seed_lane(seed, stream, lane) for lane in range(count)] for stream, count in states.items()}


@inlined
def xorshift(state):
    """Advance a 32-bit xorshift state; the new state is the random word. int64 in and out, or lanes."""
    state = (state ^ (state << _A)) & 0xFFFFFFFF
    state = state ^ (state >> _B & _LOGICAL)
    return (state ^ (state << _C)) & 0xFFFFFFFF


@inlined
def companion(word):
    """Return a second random word made of one, which is neither it nor the next of its stream. int64 or lanes."""
    word = (word ^ (word << _D)) & 0xFFFFFFFF
    word = word ^ (word >> _E & _COMPANION_LOGICAL)
    return (word ^ (word << _F)) & 0xFFFFFFFF


@lru_cache
def leaps(most: int) -> np.ndarray:
    """Return what 0 to `most` steps of the xorshift make of each single bit: int32 of shape (most + 1, 32). Read-only.

    A step is linear over bits: of a whole state it makes the XOR of what it makes of the state's bits.
    """
    table = np.zeros((most + 1, 32), np.int64)
    table[0] = 1 << np.arange(32)
    for steps in range(most):
        table[steps + 1] = xorshift.py_func(table[steps])
    words = table.astype(np.uint32).view(np.int32)
    words.flags.writeable = False
    return words


@inlined
def leap(state, bits):
    """Advance xorshift states by as many steps at once as `bits`, a row of `leaps`, are for. Lanes."""
    after = 0 * state
    for bit in range(31, -1, -1):
        after = after ^ (state >> 31 & bits[bit])
        state = state << 1
    return after


@inlined
def gauss(word):
    """Return the sum of a word's four bytes less its mean: near Gaussian, sigma 147.8. int64 or lanes."""
    halves = (word & 0x00FF00FF) + ((word >> 8) & 0x00FF00FF)
    return (halves & 0xFFFF) + (halves >> 16) - GAUSS_MEAN

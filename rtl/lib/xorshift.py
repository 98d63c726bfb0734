"""Random streams (docs/machine.md): the 32-bit xorshift step, and a near-normal number made of one word."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false

from amaranth.hdl import Value

from backpulse.firmware_py.streams import COMPANION, GAUSS_MEAN, XORSHIFT

__all__ = ["byte_sum", "companion", "gauss", "xorshift"]


def xorshift(state: Value) -> Value:
    """Return the next state, which is also the random word."""
    return _shifted(state, *XORSHIFT)


def companion(word: Value) -> Value:
    """Return a second random word made of one."""
    return _shifted(word, *COMPANION)


def _shifted(state: Value, a: int, b: int, c: int) -> Value:
    state = state ^ (state << a)[:32]
    state = state ^ (state >> b)
    return (state ^ (state << c))[:32]


def gauss(word: Value) -> Value:
    """Return the sum of the word's four bytes less its mean, signed, -510 to 510."""
    return (byte_sum(word) - GAUSS_MEAN)[:10].as_signed()


def byte_sum(word: Value) -> Value:
    """Return the sum of the word's four bytes, 0 to 1020."""
    low, high = word[0:8] + word[8:16], word[16:24] + word[24:32]
    return low + high

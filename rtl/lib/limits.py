"""Comparisons with constants that take no adder, as a bound is often a power of two."""

from amaranth.hdl import Const, Mux, Value

__all__ = ["capped", "exceeds", "reaches"]


def reaches(value: Value, limit: int) -> Value:
    """Say whether an unsigned value is a constant, not 0, or above, without an adder: bit after bit from below."""
    if limit >> len(value):
        return Const(0)
    found: Value | None = None  # what is below is enough, whatever it is
    for i in range(len(value)):
        if limit >> i & 1:
            found = Value.cast(value[i] if found is None else value[i] & found)
        elif found is not None:
            found = Value.cast(value[i] | found)
    assert found is not None
    return found


def exceeds(value: Value, limit: int) -> Value:
    """Say whether an unsigned value is above a constant."""
    return reaches(value, limit + 1)


def capped(value: Value, limit: int) -> Value:
    """Return an unsigned value, or a constant in its place where it is above."""
    return Mux(reaches(value, limit), limit, value)[: limit.bit_length()]

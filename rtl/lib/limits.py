"""Comparisons with constants without an adder: a bound is often a power of two."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportReturnType=false

from amaranth.hdl import Const, Mux, Value

__all__ = ["capped", "exceeds", "reaches"]


def reaches(value: Value, limit: int) -> Value:
    """Return whether an unsigned value is at least a constant above 0, bit by bit from below."""
    if limit >> len(value):
        return Const(0)
    found: Value | None = None  # the bits below reach the limit's, whatever they are
    for i in range(len(value)):
        if limit >> i & 1:
            found = Value.cast(value[i] if found is None else value[i] & found)
        elif found is not None:
            found = Value.cast(value[i] | found)
    assert found is not None
    return found


def exceeds(value: Value, limit: int) -> Value:
    """Return whether an unsigned value is above a constant."""
    return reaches(value, limit + 1)


def capped(value: Value, limit: int) -> Value:
    """Return an unsigned value, clamped to a constant."""
    return Mux(reaches(value, limit), limit, value)[: limit.bit_length()]

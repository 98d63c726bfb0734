"""Sums over the lanes: adder trees with a register after every few levels."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportGeneralTypeIssues=false

from collections.abc import Sequence

from amaranth.hdl import Module, Signal, Value

__all__ = ["GROUP", "add_levels", "sum_tree", "tree_stages"]

LEVELS = 3
"""Adder levels between two registers."""
GROUP = 8
"""Lanes that share a multiplexer, with a register behind it."""


def tree_stages(count: int, *, tail: int = 0) -> int:
    """Return the registered stages of a sum of `count` terms, of which the last `tail` levels have none."""
    return -(-max((count - 1).bit_length() - tail, 0) // LEVELS)


def add_levels(terms: Sequence[Value], levels: int) -> list[Value]:
    """Add neighbours, `levels` times."""
    terms = list(terms)
    for _ in range(levels):
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + terms[len(terms) // 2 * 2 :]
    return terms


def sum_tree(m: Module, terms: Sequence[Value], valid: Value, *, tail: int = 0) -> tuple[Value, Value]:
    """Add the sum of `terms` to a module; return it and its valid bit, both after `tree_stages` cycles."""
    for _ in range(tree_stages(len(terms), tail=tail)):
        sums = add_levels(terms, LEVELS)
        terms = [Signal(s.shape(), reset_less=True, name="tree") for s in sums]
        late = Signal(name="tree_valid")
        m.d.sync += late.eq(valid)
        with m.If(valid):
            m.d.sync += [t.eq(s) for t, s in zip(terms, sums, strict=True)]
        valid = late
    return add_levels(terms, tail)[0], valid

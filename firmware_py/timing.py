"""The cycle model: clock cycles of each instruction on an emulated tile. The RTL is held to it exactly."""

from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.jit import shared

READ_OVERHEAD = 11
"""Cycles of a READ beyond one a row and one a column."""
READT_OVERHEAD = 10
"""Cycles of a READT beyond one a row, one a column and the adder tree over the columns."""
TREE_TAIL, TREE_LEVELS = 2, 3
"""Adder levels of READT that cost no cycle, and levels that each further cycle does."""
PULSE_OVERHEAD = 14
"""Cycles of a PULSE beyond one a row and one a column."""
ERR_OVERHEAD = 6
"""Cycles of an ERR beyond one an element."""
NORM2_OVERHEAD = 9
"""Cycles of a NORM2 beyond one an element."""
AXPY_OVERHEAD = 9
"""Cycles of an AXPY beyond one an element."""
ALU_CYCLES = 10
"""Least cycles of an ERR, NORM2 or AXPY: what it takes to fetch through a NEXT, so that fetching never shows."""
NEXT_CYCLES = 1
"""Cycles of a NEXT; those that it waits are not counted."""

LEAN_PACE = 3
"""Cycles of a lean machine for an element that needs a product before it can be taken."""
LEAN_READ_OVERHEAD = 9
"""Cycles of a READ or READT of a lean machine beyond one an input and one, or `LEAN_PACE`, an output."""
LEAN_PULSE_OVERHEAD = 9
"""Cycles of a PULSE of a lean machine beyond one a row and one a column."""
LEAN_ERR_OVERHEAD = 6
"""Cycles of an ERR of a lean machine beyond one, or `LEAN_PACE`, an element."""
LEAN_NORM2_OVERHEAD = 8
"""Cycles of a NORM2 of a lean machine beyond one an element."""
LEAN_AXPY_OVERHEAD = 4
"""Cycles of an AXPY of a lean machine beyond `LEAN_PACE` an element."""
FETCH_REGION, FETCH_VECTORS, FETCH_NEXT = 10, 6, 4
"""Cycles that a lean machine takes to fetch an instruction with a region, one of vectors alone, and a NEXT: no other is in work then."""
FETCH_BITS = 4

_READ, _READT, _PULSE, _ERR, _NORM2, _AXPY = (int(op) for op in (Op.READ, Op.READT, Op.PULSE, Op.ERR, Op.NORM2, Op.AXPY))


@shared
def tree_cycles(tile_cols):
    """Return the cycles of READT's adder tree over the columns of a tile."""
    levels = 0
    while (1 << levels) < tile_cols:
        levels += 1
    return (max(levels - TREE_TAIL, 0) + TREE_LEVELS - 1) // TREE_LEVELS


@shared
def lean_cycles(op, rows, cols, length, hadamard):
    """Return the cycles of an instruction of a lean machine: `hadamard` is 1 if its words are multiplied by a derivative."""
    pace = LEAN_PACE if hadamard else 1
    if op == _READ:
        return rows + pace * cols + LEAN_READ_OVERHEAD + hadamard
    if op == _READT:
        return pace * rows + cols + LEAN_READ_OVERHEAD + hadamard
    if op == _PULSE:
        return rows + cols + LEAN_PULSE_OVERHEAD
    if op == _ERR:
        return max(pace * length + LEAN_ERR_OVERHEAD, ALU_CYCLES)
    if op == _NORM2:
        return max(length + LEAN_NORM2_OVERHEAD, ALU_CYCLES)
    if op == _AXPY:
        return max(LEAN_PACE * length + LEAN_AXPY_OVERHEAD + hadamard, ALU_CYCLES)
    return NEXT_CYCLES


@shared
def instruction_cycles(op, rows, cols, length, tile_cols, lean, hadamard):
    """Return the cycles of an instruction: `rows`, `cols` of its region (READ, READT, PULSE), `length` of its first vector (the others)."""
    if lean:
        return lean_cycles(op, rows, cols, length, hadamard)
    if op == _READ:
        return rows + cols + READ_OVERHEAD
    if op == _READT:
        return rows + cols + READT_OVERHEAD + tree_cycles(tile_cols)
    if op == _PULSE:
        return rows + cols + PULSE_OVERHEAD
    if op == _ERR:
        return max(length + ERR_OVERHEAD, ALU_CYCLES)
    if op == _NORM2:
        return max(length + NORM2_OVERHEAD, ALU_CYCLES)
    if op == _AXPY:
        return max(length + AXPY_OVERHEAD, ALU_CYCLES)
    return NEXT_CYCLES


@shared
def fetch_cycles(op, lean):
    """Return the cycles of fetching an instruction, as far as they show."""
    if not lean:
        return 0
    if op == _READ or op == _READT or op == _PULSE:
        return FETCH_REGION
    if op == _ERR or op == _NORM2 or op == _AXPY:
        return FETCH_VECTORS
    return FETCH_NEXT

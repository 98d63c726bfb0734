"""The cycle model: clock cycles of each instruction on an emulated tile. The RTL is held to it exactly."""

from .isa import Op
from .jit import inlined

READ_OVERHEAD = 9
"""Cycles of a READ beyond one a row and one a column."""
READT_OVERHEAD = 11
"""Cycles of a READT beyond one a row and one a column."""
PULSE_OVERHEAD = 10
"""Cycles of a PULSE beyond one a row and one a column."""
ERR_OVERHEAD = 6
"""Cycles of an ERR beyond one an element."""
NORM2_OVERHEAD = 6
"""Cycles of a NORM2 beyond one an element."""
AXPY_OVERHEAD = 6
"""Cycles of an AXPY beyond one an element."""
NEXT_CYCLES = 2
"""Cycles of a NEXT that need not wait."""

_READ, _READT, _PULSE, _ERR, _NORM2, _AXPY = (int(op) for op in (Op.READ, Op.READT, Op.PULSE, Op.ERR, Op.NORM2, Op.AXPY))


@inlined
def instruction_cycles(op, rows, cols, length):
    """Return the cycles of an instruction: `rows`, `cols` of its region (READ, READT, PULSE), `length` of its first vector (the others)."""
    if op == _READ:
        return rows + cols + READ_OVERHEAD
    if op == _READT:
        return rows + cols + READT_OVERHEAD
    if op == _PULSE:
        return rows + cols + PULSE_OVERHEAD
    if op == _ERR:
        return length + ERR_OVERHEAD
    if op == _NORM2:
        return length + NORM2_OVERHEAD
    if op == _AXPY:
        return length + AXPY_OVERHEAD
    return NEXT_CYCLES

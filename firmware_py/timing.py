"""The cycle model: clock cycles of each instruction on an emulated tile. The RTL is held to it exactly."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import OPERATIONS, Op, Unit, require
from backpulse.firmware_py.jit import shared

TREE_TAIL, TREE_LEVELS = 2, 3
"""Adder levels of READT that cost no cycle, and levels that each further cycle does."""
ALU_CYCLES = 10
"""Least cycles of an ERR, NORM2 or AXPY: what it takes to fetch through a NEXT, so that fetching ahead never shows."""
LEAN_PACE = 3
"""Cycles of a lean machine for an element that needs a product before it can be taken."""
FETCH_REGION, FETCH_VECTORS, FETCH_NEXT = 10, 6, 4
"""Cycles of fetching an instruction with a region, one of vectors alone, and one of neither, where it is not fetched ahead."""
FETCH_BITS = 4
TABLE_STAGES_MORE = 3
"""Stages, and so cycles of a PULSE, that a lane of the table device has more."""
LEAK_READ, LEAK_PULSE = 8, 3
"""Cycles of letting a region's rows leak, beside one a row, before a read of the table device with LEAK_ON = 1; the same of a PULSE, whose
columns are loaded meanwhile."""
REFUSED_CYCLES = 2
"""Cycles of a command that an emulated tile refuses: it takes the first and answers in the second; what fetching costs is added."""


class Cost(NamedTuple):
    """Cycles of an instruction: fixed, for each row and column of its region, for each element of its first vector; at least `least`."""

    fixed: int
    rows: int = 0
    cols: int = 0
    elements: int = 0
    least: int = 0
    fetch: int = 0


_PULSE = int(Op.PULSE)
_FIXED, _ROWS, _COLS, _ELEMENTS, _LEAST, _FETCH = range(len(Cost._fields))


def _full(tile_cols: int, *, tables: bool = False) -> dict[Op, Cost]:
    """Return the costs of a machine whose units each have multipliers of their own."""
    return {
        Op.READ: Cost(11, rows=1, cols=1),
        Op.READT: Cost(10 + tree_cycles(tile_cols), rows=1, cols=1),
        Op.PULSE: Cost(14 + TABLE_STAGES_MORE * tables, rows=1, cols=1),
        Op.ERR: Cost(6, elements=1, least=ALU_CYCLES),
        Op.NORM2: Cost(9, elements=1, least=ALU_CYCLES),
        Op.AXPY: Cost(9, elements=1, least=ALU_CYCLES),
        Op.NEXT: Cost(1),
        Op.END: Cost(0),
    }


def _lean(hadamard: int) -> dict[Op, Cost]:
    """Return the costs of a lean machine, whose units share multipliers; `hadamard` is 1 if words are multiplied by a derivative."""
    pace = LEAN_PACE if hadamard else 1
    return {
        Op.READ: Cost(9 + hadamard, rows=1, cols=pace),
        Op.READT: Cost(9 + hadamard, rows=pace, cols=1),
        Op.PULSE: Cost(9, rows=1, cols=1),
        Op.ERR: Cost(6, elements=pace, least=ALU_CYCLES),
        Op.NORM2: Cost(8, elements=1, least=ALU_CYCLES),
        Op.AXPY: Cost(4 + hadamard, elements=LEAN_PACE, least=ALU_CYCLES),
        Op.NEXT: Cost(1),
        Op.END: Cost(0),
    }


def tree_cycles(tile_cols: int) -> int:
    """Return the cycles of READT's adder tree over the columns of a tile."""
    levels = (tile_cols - 1).bit_length()
    return (max(levels - TREE_TAIL, 0) + TREE_LEVELS - 1) // TREE_LEVELS


require("timing of full machines", _full(1))
require("timing of lean machines", _lean(0))


def fetch_cycles(op: Op) -> int:
    """Return the cycles of fetching an instruction where it is not fetched ahead."""
    operation = OPERATIONS[op]
    if operation.region:
        return FETCH_REGION
    return FETCH_NEXT if operation.unit is Unit.SEQUENCER else FETCH_VECTORS


@lru_cache
def costs(config: Config) -> np.ndarray:
    """Return the costs of all instructions of a machine, for `instruction_cycles`.

    Returns
    -------
    int64 array (operation codes, 2, fields of `Cost`); the second axis says whether the function is a Hadamard one. Read-only.
    """
    table = np.zeros((16, 2, len(Cost._fields)), np.int64)
    full = _full(config.tile_cols, tables=config.device is DeviceKind.TABLE)
    for hadamard in (0, 1):
        for op, cost in (_lean(hadamard) if config.lean else full).items():
            table[op, hadamard] = cost._replace(fetch=0 if config.prefetch else fetch_cycles(op))
    table.flags.writeable = False
    return table


@shared
def refused_cycles(table, op):
    """Return the cycles of an instruction whose command the tile refuses."""
    return REFUSED_CYCLES + table[op, 0][_FETCH]


@shared
def leak_cycles(op, rows, cols):
    """Return the cycles by which an instruction takes longer as the rows of its region leak before its command."""
    return max(rows - cols + LEAK_PULSE, 0) if op == _PULSE else rows + LEAK_READ


@shared
def instruction_cycles(table, op, hadamard, rows, cols, length):
    """Return the cycles of an instruction, those of fetching it included: `rows`, `cols` of its region, `length` of its first vector."""
    cost = table[op, hadamard]
    return max(cost[_FIXED] + cost[_ROWS] * rows + cost[_COLS] * cols + cost[_ELEMENTS] * length, cost[_LEAST]) + cost[_FETCH]

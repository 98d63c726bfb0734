"""What the golden model refuses before an instruction executes: regions and vectors that it cannot use (docs/machine.md, code 4)."""

import numpy as np

from backpulse.firmware_py.isa import OPERATIONS, SCALE_LOG2_MAX, Function, Op, When
from backpulse.firmware_py.jit import part

PLACED = np.array([op in OPERATIONS and OPERATIONS[Op(op)].region for op in range(16)])
"""Whether an operation has a region."""
_UNUSED, _USED, _USED_BY_HADAMARD = 0, 1, 2
_USES = np.zeros((16, 3), np.int64)
"""Whether an operation uses the vectors of its fields a, b and c."""
_OTHER = np.full(16, -1)
"""Place among these of the vector that comes through the second reading port."""
for _op, _operation in OPERATIONS.items():
    for _operand in (_operation.other, _operation.first, _operation.second, _operation.written):
        if _operand:
            _USES[_op, "abc".index(_operand.field)] = _USED_BY_HADAMARD if _operand.when is When.HADAMARD else _USED
    if _operation.other:
        _OTHER[_op] = "abc".index(_operation.other.field)
_HADAMARD, _SCALE_LOG2_MAX = int(Function.HADAMARD_SIGMOID), int(SCALE_LOG2_MAX)


@part
def operands_bad(m, f, op, region, a, b, c, function):
    """Say whether an instruction's region or vectors cannot be used."""
    if PLACED[op]:
        if region >= m.regions.shape[0]:
            return True
        words = m.regions[region]
        rows, cols = words[1] >> 16, words[1] & 0xFFFF
        row_end, col_end = (words[0] & 0xFFFF) + rows, (words[2] >> 16) + cols
        if rows == 0 or cols == 0 or row_end > f.tile_rows or col_end > f.tile_cols or (words[0] >> 16) >= f.tiles:
            return True
        if words[2] & 0xFFFF > _SCALE_LOG2_MAX or words[3] & 0xFFFF > f.longest or words[3] >> 16 > f.longest:
            return True
    hadamard = function >= _HADAMARD
    for place, vector in enumerate((a, b, c)):
        use = _USES[op, place]
        if use == _UNUSED or (use == _USED_BY_HADAMARD and not hadamard):
            continue
        if vector >= m.table.shape[0] or not 1 <= (m.table[vector] >> 16) & 0x7FFF <= f.longest:
            return True
        # The second reading port has no way to the sample page.
        if place == _OTHER[op] and m.table[vector] >> 31:
            return True
    return False

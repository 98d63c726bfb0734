"""The fast model of an array with wires: line relaxation, and the way from currents to sense words.

The nodes of one row's wire make a tridiagonal system, given the voltages of the columns' nodes, and the other way round. Solving all rows,
then all columns, and so on (block Gauss-Seidel) converges the faster the less the wires' resistance matters, and always: the matrix is
symmetric and positive definite. The elimination goes from a line's far end to its driven one, in admittances, which are only ever added:

    Y[k] = g[k] + leak + S[k+1]      S[k] = w[k] Y[k] / (w[k] + Y[k])      w[k]: the wire before node k

Held to `nodal` by tests; the virtual board has the same in C++ (gateware/sim/array_tile.cpp).
"""

import numpy as np

from backpulse.firmware_py.jit import inlined, jit
from backpulse.firmware_py.streams import GAUSS_SIGMA, gauss, xorshift
from backpulse.firmware_py.tape import record_sense
from backpulse.firmware_py.wired import (
    ADC_STEP,
    AVERAGES,
    DRIVE,
    DRIVE_ONE,
    DRIVE_STEP,
    DRIVER,
    GAIN,
    LEAK,
    LINE,
    MID,
    MIDPOINT,
    NOISE,
    OFFSET,
    PAIRS,
    PER_WORD,
    PHASES,
    PIECES,
    RAIL,
    READ,
    READT,
    RESIDUE,
    SCHEME,
    SENSE_ONE,
    SENSOR,
    TOLERANCE,
)

SWEEPS = 100_000
"""More than any array needs that the schema allows."""


@jit
def fill(w, cells, row0, tile):
    """Set the conductances of a tile's cells, which begin at row `row0` of all: zero and, either way, a cell word's part."""
    rows, cols = w.g.shape
    pieces, mid, one = w.sizes[PIECES], w.numbers[MID], w.numbers[PER_WORD]
    pairs = w.sizes[SCHEME] == PAIRS
    fixed = w.fixed[tile]
    logical_rows, logical_cols = w.asked.shape
    for i in range(logical_rows):
        for c in range(logical_cols):
            part = cells[row0 + i, c] * one
            w.g[i, pieces * c] = max(mid + part, 0.0)
            if pairs:
                w.g[i, pieces * c + 1] = max(mid - part, 0.0)
    for i in range(rows):
        for j in range(cols):
            if fixed[i, j] >= 0.0:
                w.g[i, j] = fixed[i, j]


@jit
def factor(w, tile):
    """Eliminate all rows and all columns, from their far ends on."""
    rows, cols = w.g.shape
    row_wire, col_wire = w.row_wire[tile], w.col_wire[tile]
    for i in range(rows):
        for j in range(cols):
            w.gt[j, i] = w.g[i, j]
    # In the far nodes' places of `m` stands 1 / (w + Y), in `l` w / (w + Y); in those of the ends Y itself.
    _eliminate(w.g, col_wire, w.col_m, w.col_l)
    _eliminate(w.gt, row_wire, w.row_m, w.row_l)


@jit
def _eliminate(g, wire, m, far):
    """Eliminate the lines of which node k is at [k, i]."""
    nodes, lines = g.shape
    for i in range(lines):
        m[nodes - 1, i] = g[nodes - 1, i] + LEAK
    for k in range(nodes - 1, 0, -1):
        for i in range(lines):
            y, piece = m[k, i], wire[k, i]
            inverse = 1.0 / (piece + y)
            m[k, i] = inverse
            far[k, i] = piece * inverse
            m[k - 1, i] = g[k - 1, i] + LEAK + piece * y * inverse


@jit
def _sweep(g, others, m, far, line, end, drive, out):
    """Solve all lines for the voltages `out` of their nodes, given those of the lines across, `others` at [i, k]."""
    nodes, lines = g.shape
    for i in range(lines):
        out[nodes - 1, i] = g[nodes - 1, i] * others[i, nodes - 1]
    for k in range(nodes - 2, -1, -1):
        for i in range(lines):
            out[k, i] = g[k, i] * others[i, k] + far[k + 1, i] * out[k + 1, i]
    for i in range(lines):
        out[0, i] = (out[0, i] + line[i, end] * drive[i]) / (line[i, end] + m[0, i])
    for k in range(1, nodes):
        for i in range(lines):
            out[k, i] = out[k, i] * m[k, i] + far[k, i] * out[k - 1, i]


@inlined
def relax(w, tile, way):
    """Find the currents out of all lines' ends, for the voltages in `row_drive` and `col_drive`; return how many sweeps it took.

    It ends when the error of every sensed current, as its changes foretell it, is below `TOLERANCE`.
    """
    rows, cols = w.g.shape
    row_line, col_line = w.row_line[tile], w.col_line[tile]
    row_end, col_end = (SENSOR if way == READT else DRIVER), (SENSOR if way == READ else DRIVER)
    for i in range(rows):
        for j in range(cols):
            w.u[i, j] = w.col_drive[j]
    w.row_current[:] = 0.0
    w.col_current[:] = 0.0
    earlier = 0.0
    for sweep in range(SWEEPS):
        _sweep(w.gt, w.u, w.row_m, w.row_l, row_line, row_end, w.row_drive, w.v)
        _sweep(w.g, w.v, w.col_m, w.col_l, col_line, col_end, w.col_drive, w.u)
        change = 0.0
        for i in range(rows):
            current = row_line[i, row_end] * (w.v[0, i] - w.row_drive[i])
            if way == READT:
                change = max(change, abs(current - w.row_current[i]))
            w.row_current[i] = current
        for j in range(cols):
            current = col_line[j, col_end] * (w.u[0, j] - w.col_drive[j])
            if way == READ:
                change = max(change, abs(current - w.col_current[j]))
            w.col_current[j] = current
        # Changes fall like a geometric series, and what is left is its rest.
        share = min(change / earlier, 0.9999) if sweep > 1 else 0.9
        if change * share <= w.numbers[TOLERANCE] * (1.0 - share):
            return sweep + 1
        earlier = change
    return SWEEPS


@jit
def solve(w, cells, row0, tile, way):
    """Find the currents of a tile's lines; what was factored for the same cells serves again."""
    if w.fresh[0] != tile:
        fill(w, cells, row0, tile)
        factor(w, tile)
        w.fresh[0] = tile
    return relax(w, tile, way)


@inlined
def _convert(w, current, line, state, over):
    """Return a line's reading in sense LSB, the noise's next state, and whether any converter was at its rail."""
    x = current * w.numbers[SENSE_ONE] * line[GAIN]
    rail, step, noise = w.numbers[RAIL], w.numbers[ADC_STEP], w.numbers[NOISE] / GAUSS_SIGMA
    phases, averages = w.sizes[PHASES], w.sizes[AVERAGES]
    total = 0.0
    for phase in range(phases):
        sign = 1.0 - 2.0 * phase
        for _ in range(averages):
            state = xorshift(state)
            raw = sign * x + line[OFFSET] + gauss(state) * noise
            if step > 0.0:
                raw = np.rint(raw / step) * step
            if abs(raw) >= rail:
                over = True
                raw = min(max(raw, -rail), rail)
            total += sign * raw
    return total / (phases * averages) + line[RESIDUE], state, over


@inlined
def drive(w, tile, way, first, count, line):
    """Set the voltages of all ends for drive words of `count` lines from `first` on; the others are at 0 V. Return the words' sum."""
    w.row_drive[:] = 0.0
    w.col_drive[:] = 0.0
    step, one, pieces = w.numbers[DRIVE_STEP], w.numbers[DRIVE_ONE], w.sizes[PIECES]
    pairs = w.sizes[SCHEME] == PAIRS
    total = 0.0
    for k in range(count):
        voltage = np.rint(line[k] / step) * step * one
        total += line[k] * one
        if way == READ:
            w.row_drive[first + k] = voltage * w.row_line[tile, first + k, DRIVE]
        else:
            j = pieces * (first + k)
            w.col_drive[j] = voltage * w.col_line[tile, j, DRIVE]
            if pairs:
                w.col_drive[j + 1] = -voltage * w.col_line[tile, j + 1, DRIVE]
    return total


@jit
def words(w, tile, way, first_driven, driven, total, first, count, extra, states, bank, sense_max, sums, recorded):
    """Turn currents into `count` sense words from line `first` on, in `sums`; return how many were over range.

    The words are also recorded, if that is wanted. `total` is the sum of the drives; `extra` times what `sums` holds on entry is the
    devices' noise; `states[bank]` is that of the noise.
    """
    scheme, pieces = w.sizes[SCHEME], w.sizes[PIECES]
    lines, currents = (w.col_line[tile], w.col_current) if way == READ else (w.row_line[tile], w.row_current)
    state = states[bank]
    shared, shared_over = 0.0, False
    if scheme == LINE:
        last = currents.shape[0] - 1
        shared, state, shared_over = _convert(w, currents[last], lines[last], state, False)
    overs = 0
    for k in range(count):
        over = shared_over
        if way == READ:
            j = pieces * (first + k)
            value, state, over = _convert(w, currents[j], lines[j], state, over)
            if scheme == PAIRS:
                other, state, over = _convert(w, currents[j + 1], lines[j + 1], state, over)
                value -= other
            elif scheme == MIDPOINT:
                zero = w.zero_rows[tile, first_driven + driven, j] - w.zero_rows[tile, first_driven, j]
                value -= zero / driven * total * w.numbers[SENSE_ONE]
        else:
            i = first + k
            value, state, over = _convert(w, currents[i], lines[i], state, over)
            if scheme == MIDPOINT:
                zero = w.zero_cols[tile, first_driven + driven, i] - w.zero_cols[tile, first_driven, i]
                value -= zero / driven * total * w.numbers[SENSE_ONE]
        value -= shared
        if extra > 0.0:
            value += sums[k] * extra
        size = np.floor(abs(value) + 0.5)
        over = over or size > sense_max
        overs += over
        size = min(size, np.float64(sense_max))
        sums[k] = np.int64(size if value >= 0.0 else -size)
        record_sense(recorded, sums[k], int(over), int(k == count - 1))
    states[bank] = state
    return overs


@jit
def currents(w, cells, row0, tile, way, first, count, line):
    """For tests and pictures: set drives, solve; the currents are in `row_current` and `col_current`. Return the sweeps it took."""
    drive(w, tile, way, first, count, line)
    return solve(w, cells, row0, tile, way)

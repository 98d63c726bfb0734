"""What a tile with an array model behind it does: reads through wires and converters, pulses that lose voltage and disturb others.

Takes the place of the exact products and pulses in the golden model where a machine has an array; compiled only there.
"""

import math

import numpy as np

from backpulse.firmware_py import crossbar
from backpulse.firmware_py.jit import inlined, jit, part
from backpulse.firmware_py.lanes import GROUP, everywhere, store
from backpulse.firmware_py.memory import BANK
from backpulse.firmware_py.registers import TileParameter
from backpulse.firmware_py.relaxation import drive, fill, solve, words
from backpulse.firmware_py.streams import xorshift
from backpulse.firmware_py.wired import (
    BIAS,
    DRIVER,
    LEAK,
    PAIRS,
    PIECES,
    READ,
    READT,
    SCHEME,
    STEEPNESS,
    WIRED_WRITE,
)

_READ_SIGMA = int(TileParameter.READ_SIGMA)


@part
def read(m, f, columns_out, row0, rows, col0, cols):
    """Read; drives are in m.line, and sense words come in m.sums. Return how many were over range."""
    w = m.array
    tile, first_row = row0 // f.tile_rows, row0 % f.tile_rows
    way = READ if columns_out else READT
    first_driven, driven = (first_row, rows) if columns_out else (col0, cols)
    first, count = (col0, cols) if columns_out else (first_row, rows)
    total_drive = drive(w, tile, way, first_driven, driven, m.line)
    solve(w, m.cells, tile * f.tile_rows, tile, way)
    extra = 0.0
    if f.read_noise:
        m.sums[:count] = 0
        crossbar.add_read_noise(m.read, m.control[BANK], m.tile[_READ_SIGMA], m.sums, count, f.sense_shift)
        extra = 1.0 / (1 << f.sense_shift)
    bank, state = m.control[BANK], m.read
    return words(w, tile, way, first_driven, driven, total_drive, first, count, extra, state, bank, f.sense_max, m.sums, m.recorded)


@part
def pulse_lanes(m, played, f, lane, row0, first, hits, a, bits, stochastic, shared):
    """Give lanes their pulses, or only keep them for `settle` if they go through wires; return as `crossbar.pulse_lanes`."""
    w = m.array
    w.fresh[0] = -1
    if not w.sizes[WIRED_WRITE]:
        return crossbar.pulse_lanes(m, played, f, lane, row0, first, hits, a, bits, stochastic, shared)
    asked, net, clipped = everywhere(0), everywhere(0), everywhere(0)
    for hit in range(hits):
        i = m.hits[hit]
        size, pulses, more = crossbar.counts(m, f, lane, hit, a[i], bits, stochastic)
        asked, net, clipped = asked + size, net + pulses, clipped - more
        store(m.group, 0, pulses)
        row = (row0 + first + i) % f.tile_rows
        for k in range(min(GROUP, f.tile_cols - lane)):
            w.asked[row, lane + k] = m.group[k]
            w.words[row, lane + k] = m.noise[hit, k]
        if m.log.shape[0]:
            crossbar.log_pulses(m, (row0 + first + i) // f.tile_rows, row, lane)
    return (asked + net) >> 1, (asked - net) >> 1, clipped


@part
def settle(m, f, row0, rows, shared):
    """End a PULSE: give the tile's cells what reached them of the pulses that were kept."""
    w = m.array
    if w.sizes[WIRED_WRITE]:
        tile = row0 // f.tile_rows
        spread_pulses(w, m.cells, tile, row0 % f.tile_rows, rows)
        _move(m, f, tile, shared)
        w.asked[:] = 0


@inlined
def part_of_pulse(w, voltage):
    """Return what part of a pulse a cell takes that sees a share of the programming voltage."""
    k = w.numbers[STEEPNESS]
    return math.sinh(k * voltage) / math.sinh(k)


@jit
def spread_pulses(w, cells, tile, first, rows):
    """Say in `moves` what pulses each cell, or half of one, takes of the counts in `asked`, `rows` rows from `first` on.

    A row's pulses of one sign go out slot by slot: slot k pulses the columns whose count is above k, the row at half the voltage and these
    at minus half of it. All other lines are taken to be at their voltage, as only single half-selected cells draw current from them. Then
    a pulsed column is the same for every row, which sees a voltage behind a conductance there; what is left is one row's wire.
    """
    logical_rows, logical_cols = w.asked.shape
    pieces, pairs, bias = w.sizes[PIECES], w.sizes[SCHEME] == PAIRS, w.numbers[BIAS]
    fill(w, cells, tile * logical_rows, tile)
    _pulsed_columns(w, tile)
    w.moves[:] = 0.0
    w.col_current[:] = 0.0
    w.row_current[:] = 0.0
    for i in range(first, first + rows):
        for way in range(2):
            sign, level = 1 - 2 * way, 0
            while True:
                following = 0
                for c in range(logical_cols):
                    count = sign * w.asked[i, c]
                    size = abs(count) if pairs else count
                    if size > level and (following == 0 or size < following):
                        following = size
                if following == 0:
                    break
                slots = np.float64(sign * (following - level))
                for c in range(logical_cols):
                    count = sign * w.asked[i, c]
                    w.col_drive[pieces * c] = np.float64(count > level)
                    if pairs:
                        w.col_drive[pieces * c + 1] = np.float64(-count > level)
                _pulse_row(w, tile, i)
                for j in range(pieces * logical_cols):
                    w.moves[i, j] += slots * part_of_pulse(w, w.line[2, j])
                    w.col_current[j] += slots * w.col_drive[j]
                w.row_current[i] += slots
                level = following
    slots = w.row_current.sum()
    aside = part_of_pulse(w, -2.0 * bias)
    for k in range(logical_rows):
        for j in range(pieces * logical_cols):
            own = np.float64(w.asked[k, j // pieces] * (1 - 2 * (j % pieces)))
            others = w.col_current[j] - own
            if others != 0.0:
                conductance, voltage, g = w.col_m[k, j], w.col_l[k, j], w.g[k, j]
                there = (voltage * conductance - bias * g) / (conductance + g)
                w.moves[k, j] += others * part_of_pulse(w, -bias - there)
            if bias > 0.0:
                w.moves[k, j] += (slots - w.row_current[k] - others) * aside


@jit
def lone_pulses(w, cells, tile, out):
    """Say in `out`, (R, C), what share of the programming voltage each cell sees that is pulsed alone."""
    rows, cols = w.g.shape
    fill(w, cells, tile * w.asked.shape[0], tile)
    _pulsed_columns(w, tile)
    w.fresh[0] = -1
    for i in range(rows):
        for j in range(cols):
            w.col_drive[:] = 0.0
            w.col_drive[j] = 1.0
            _pulse_row(w, tile, i)
            out[i, j] = w.line[2, j]


@inlined
def _pulsed_columns(w, tile):
    """Set for each node of a column at minus half the voltage, without its cell, a conductance, `col_m`, to a voltage, `col_l`."""
    rows, cols = w.g.shape
    g, wire, line, bias = w.g, w.col_wire[tile], w.col_line[tile], w.numbers[BIAS]
    for j in range(cols):
        w.u[rows - 1, j] = LEAK
    for k in range(rows - 1, 0, -1):
        for j in range(cols):
            y = w.u[k, j] + g[k, j]
            w.u[k - 1, j] = LEAK + wire[k, j] * y / (wire[k, j] + y)
    for j in range(cols):
        near, there = line[j, DRIVER], -0.5
        for k in range(rows):
            if k > 0:
                y = near + g[k - 1, j] + LEAK
                there = (there * near - bias * (g[k - 1, j] + LEAK)) / y
                near = wire[k, j] * y / (wire[k, j] + y)
            w.col_m[k, j] = near + w.u[k, j]
            w.col_l[k, j] = (there * near - bias * w.u[k, j]) / w.col_m[k, j]


@inlined
def _pulse_row(w, tile, i):
    """Solve a row at half the voltage, of whose columns those with 1 in `col_drive` are pulsed; the cells' voltages come in line[2]."""
    cols, bias = w.g.shape[1], w.numbers[BIAS]
    wire, end = w.row_wire[tile], w.row_line[tile, i, DRIVER]
    outward, inward = 0.0, 0.0
    for j in range(cols - 1, -1, -1):
        g, there = w.g[i, j], bias
        if w.col_drive[j] > 0.0:
            g, there = g * w.col_m[i, j] / (g + w.col_m[i, j]), w.col_l[i, j]
        y = outward + g + LEAK
        source = inward + g * there
        piece = wire[j, i] if j > 0 else end
        share = 1.0 / (piece + y)
        w.line[0, j], w.line[1, j] = source * share, piece * share
        outward, inward = piece * y * share, piece * source * share
    voltage = 0.5
    for j in range(cols):
        voltage = w.line[0, j] + w.line[1, j] * voltage
        if w.col_drive[j] > 0.0:
            w.line[2, j] = (voltage - w.col_l[i, j]) * w.col_m[i, j] / (w.col_m[i, j] + w.g[i, j])
        else:
            w.line[2, j] = voltage - bias


@jit
def _move(m, f, tile, shared):
    """Move a tile's cells by `moves`; a pair's word by half of what its halves take, the lower one the other way round."""
    w = m.array
    pairs = w.sizes[SCHEME] == PAIRS
    rows, cols = w.asked.shape
    state = m.read[0]
    for i in range(rows):
        for c in range(cols):
            pulses = (w.moves[i, 2 * c] - w.moves[i, 2 * c + 1]) / 2.0 if pairs else w.moves[i, c]
            if pulses != 0.0:
                state = xorshift(state)
                word = np.int64(w.words[i, c]) & 0xFFFFFFFF if f.write_stream and w.asked[i, c] != 0 else 0
                crossbar.any_take_part(m, f, tile * f.tile_rows + i, c, pulses, word, state / 4294967296.0, shared)
    m.read[0] = state

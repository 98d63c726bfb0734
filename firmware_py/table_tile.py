"""What a tile of the table device does to its cells: pulses, apparent noise, leak.

Takes the place of the linear step in the golden model where a machine has the table device; compiled only there. The formulas are those
of `table_device`, for numbers and for lanes at once; docs/machine.md, The table device.
"""

import math

import numpy as np

from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.jit import inlined, part
from backpulse.firmware_py.lanes import GROUP, count, everywhere, load, look, look_twice, store, where
from backpulse.firmware_py.memory import BANK
from backpulse.firmware_py.registers import TableParameter, TileParameter
from backpulse.firmware_py.streams import companion, gauss
from backpulse.firmware_py.table_device import (
    APPARENT_FRAC,
    BASE_BITS,
    LEAKS,
    MOST_SHIFT,
    NO_SPREAD,
    OFFSET_AT,
    PERIOD_MASK,
    ROOT_BITS,
    ROOTS,
    SEGMENTS,
    SEGMENTS_LOG2,
    STUCK,
    UPDATE_FRAC,
)

_SHIFT, _APPARENT, _REST, _LEAK_ON, _PERIOD, _AGE = (int(p) for p in TableParameter)
_BOUND_UP, _BOUND_DOWN = (int(p) for p in (TileParameter.BOUND_UP, TileParameter.BOUND_DOWN))
_BASE = (1 << BASE_BITS) - 1


@inlined
def shared_words(tile, parameters, cell_bits):
    """Return what all updates share: bounds; shift and apparent noise; the sign bit of a cell; bits in a segment."""
    shift = parameters[_SHIFT]
    return (
        (np.int64(tile[_BOUND_UP]), np.int64(tile[_BOUND_DOWN])),
        (shift - 2 if shift > MOST_SHIFT else shift, parameters[_APPARENT]),
        1 << (cell_bits - 1),
        cell_bits - SEGMENTS_LOG2,
    )


@inlined
def step(g, up, segments, shared):
    """Return one pulse's step in 1/64 cell LSB before the shift, its write noise, and its class of noise. int64 or lanes."""
    _, _, sign, bits = shared
    u = g + sign
    word, noise = look_twice(segments, (u >> bits) + where(up, 0, SEGMENTS))
    moved = max((word & _BASE) + ((word >> BASE_BITS) * (u & ((1 << bits) - 1)) >> bits), 0)
    return moved, noise & ((1 << ROOT_BITS) - 1), noise >> ROOT_BITS


@inlined
def own_words(spread, up, shared):
    """Return what a cell's spread word says: its factor this way, its upper and lower bound, and whether it is stuck. int64 or lanes."""
    (bound_up, bound_down), _, sign, _ = shared
    offset = _offset(spread)
    high, low = min(max(bound_up + offset, -sign), sign - 1), min(max(bound_down - offset, -sign), sign - 1)
    return where(up, spread & 255, spread >> 8 & 255), high, low, offset == STUCK


@inlined
def _offset(spread):
    """Return how far a spread word moves the bounds, or STUCK. int64 or lanes."""
    return ((spread >> OFFSET_AT & 0xFFFF) ^ -STUCK) + STUCK


@inlined
def update(g, pulses, size, word, spread, segments, root, shared):
    """Return what stays of a cell after pulses (signed, `size` of them) in one go; `word` is of the write stream. int64 or lanes.

    The largest sum, 31 pulses of the largest step with the largest factor, takes 30 bits: so it is not shifted left, but less far right.
    """
    up = pulses > 0
    moved, noise, kind = step(g, up, segments, shared)
    if count(size > 1):  # rarely
        noise = look(root, kind * ROOTS + size)
    factor, high, low, stuck = own_words(spread, up, shared)
    total = pulses * factor * moved + gauss(word) * noise
    wanted = g + rshift(total, UPDATE_FRAC - shared[1][0])
    return where((pulses == 0) | stuck, g, where(wanted > high, high, max(wanted, low)))


@inlined
def seen(g, word, shared):
    """Return what reads see of a cell that a word of the write stream has moved. int64 or lanes."""
    return _word(g + rshift(gauss(companion(word)) * shared[1][1], APPARENT_FRAC), shared)


@inlined
def lost(g, rest, leak):
    """Return what a cell loses; `leak` is in 2^-16. int64 or lanes, where the product would not fit 32 bits in one."""
    apart = g - rest
    size = abs(apart)
    less = (size * (leak >> 8) + (size * (leak & 255) >> 8) + 128) >> 8
    return where(apart >= 0, less, -less)


@inlined
def _word(value, shared):
    return min(max(value, -shared[2]), shared[2] - 1)


@part
def words_of(m, f):
    """Return the words that all updates share."""
    return shared_words(m.tile, m.law.parameters, f.cell_bits)


@part
def move(m, f, row, lane, hit, size, pulses, shared):
    """Give the cells of a group of lanes their pulses, as `crossbar.move`."""
    law = m.law
    g, word = load(law.persistent, (row, lane)), load(m.noise, (hit, 0))
    spread = load(m.spread, (row, lane)) if f.spread else everywhere(NO_SPREAD)
    moved = update(g, pulses, size, word, spread, law.segments, law.root, shared)
    store(law.persistent, (row, lane), moved)
    still = (pulses == 0) | (_offset(spread) == STUCK)
    read = seen(moved, word, shared) if shared[1][1] else moved
    store(m.cells, (row, lane), where(still, load(m.cells, (row, lane)), read))


@part
def take_part(m, f, row, c, pulses, word, chance, shared):
    """Give a cell a part of pulses, float64, as `crossbar.take_part`; what it adds to what stays it adds to what reads see, too."""
    law = m.law
    g, spread = np.int64(law.persistent[row, c]), np.int64(m.spread[row, c]) if f.spread else np.int64(NO_SPREAD)
    up = pulses > 0.0
    moved, noise, _ = step(g, up, law.segments, shared)
    factor, high, low, stuck = own_words(spread, up, shared)
    total = pulses * factor * moved
    if word != 0:
        total += gauss(word) * np.float64(noise) * math.sqrt(abs(pulses))
    wanted = g + np.int64(math.floor(total / (1 << (UPDATE_FRAC - shared[1][0])) + chance))
    if not stuck:
        after = high if wanted > high else max(wanted, low)
        read = seen(after, word, shared) if word != 0 else _word(np.int64(m.cells[row, c]) + after - g, shared)
        law.persistent[row, c] = after
        m.cells[row, c] = read


@part
def take_sample(m):
    """Count a sample of training."""
    if m.control[BANK] == 0:
        m.law.parameters[_AGE] = (m.law.parameters[_AGE] + 1) & 0xFFFFFFFF


@part
def leaks(m):
    """Return whether rows leak before commands."""
    return m.law.parameters[_LEAK_ON] != 0 and m.control[BANK] == 0


@part
def leak(m, f, array, row0, rows):
    """Let rows leak for the periods since they were read or pulsed last."""
    law = m.law
    era = (law.parameters[_AGE] >> law.parameters[_PERIOD]) & PERIOD_MASK
    for row in range(row0, row0 + rows):
        periods = (era - law.visited[row]) & PERIOD_MASK
        law.visited[row] = era
        if periods:
            if array is not None:
                array.fresh[0] = -1
            _leak_row(m, f, row, law.parameters[_REST], law.leak[min(periods, LEAKS - 1)])


@part
def _leak_row(m, f, row, rest, leak):
    half = 1 << (f.cell_bits - 1)
    for lane in range(0, m.rounding.shape[0], GROUP):
        g, read = load(m.law.persistent, (row, lane)), load(m.cells, (row, lane))
        less = lost(g, rest, leak)
        if f.spread:
            less = where(_offset(load(m.spread, (row, lane))) == STUCK, 0, less)
        store(m.law.persistent, (row, lane), g - less)
        store(m.cells, (row, lane), min(max(read - less, -half), half - 1))

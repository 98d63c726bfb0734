"""What a tile does to its cells: products down the columns and along the rows, read noise, the converter, pulses.

The golden function of rtl/tile/emulated.py; docs/machine.md, The tile.
"""

import importlib
import math
from functools import partial
from typing import Any

import numpy as np
from numba.core import types

from backpulse.firmware_py import device
from backpulse.firmware_py.device import own_words, shared_words, update, write_noise
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.jit import by_type, part
from backpulse.firmware_py.lanes import GROUP, carries, count, everywhere, load, pairs, peak, store, upto, where
from backpulse.firmware_py.memory import BANK
from backpulse.firmware_py.registers import Counter, TileParameter
from backpulse.firmware_py.streams import gauss, leap, xorshift
from backpulse.firmware_py.tape import record_read

_STEPS = int(Counter.STEPS)
_READ_SIGMA, _ROOT = int(TileParameter.READ_SIGMA), int(TileParameter.ROOT)


@part
def read(m, f, columns_out, row0, rows, col0, cols):
    """Read as the emulated tile does; return how many words were over range."""
    n = cols if columns_out else rows
    if columns_out:
        multiply_rows(m.cells, m.line, row0, rows, col0, cols, m.sums, m.lanes)
    else:
        multiply_columns(m.cells, m.line, row0, rows, col0, cols, m.sums, m.lanes)
    if f.read_noise:
        add_read_noise(m.read, m.control[BANK], m.tile[_READ_SIGMA], m.sums, n, f.sense_shift)
    clamped = convert(m.sums, m.over, n, f.sense_shift, f.sense_max)
    record_read(m.recorded, m.sums, m.over, n)
    return clamped


@part
def multiply_rows(cells, line, row0, rows, col0, cols, sums, lanes):
    """READ: acc_c = sum over rows of drive_r * cell[r][c]. A sum of 512 rows fits 32 bits."""
    for lane in range(col0 & -GROUP, col0 + cols, GROUP):
        acc = everywhere(0)
        for r in range(rows):
            acc = acc + load(cells, (row0 + r, lane)) * line[r]
        store(lanes, lane, acc)
    for c in range(0, cols, GROUP):
        store(sums, c, load(lanes, col0 + c))


@part
def multiply_columns(cells, line, row0, rows, col0, cols, sums, lanes):
    """READT: acc_r = sum over columns of drive_c * cell[r][c], a group of rows at once; lanes outside the region are not driven."""
    for lane in range(0, lanes.shape[0], GROUP):
        store(lanes, lane, everywhere(0))
    for i in range(0, cols, GROUP):
        store(lanes, col0 + i, load(line, i) & upto(cols - i))
    last = row0 + rows - 1
    for r in range(0, rows, GROUP):
        first, second = _four(cells, lanes, row0 + r, last, col0, cols), _four(cells, lanes, row0 + r + 4, last, col0, cols)
        third, fourth = _four(cells, lanes, row0 + r + 8, last, col0, cols), _four(cells, lanes, row0 + r + 12, last, col0, cols)
        store(sums, r, pairs(pairs(first, second), pairs(third, fourth)))


@part
def _four(cells, lanes, row, last, col0, cols):
    """Return four partial sums for each of four rows, of which those behind the last are the last."""
    r0, r1, r2, r3 = min(row, last), min(row + 1, last), min(row + 2, last), min(row + 3, last)
    a = b = c = d = everywhere(0)
    for lane in range(col0 & -GROUP, col0 + cols, GROUP):
        drives = load(lanes, lane)
        a, b = a + drives * load(cells, (r0, lane)), b + drives * load(cells, (r1, lane))
        c, d = c + drives * load(cells, (r2, lane)), d + drives * load(cells, (r3, lane))
    return pairs(pairs(a, b), pairs(c, d))


@part
def add_read_noise(states, bank, sigma, sums, n, bits):
    """Add read noise to the analog sums: the bank's stream advances once a sense word. What 32 bits do not hold is clamped later anyway."""
    state, most = states[bank], (1 << 31) - (1 << bits)
    for i in range(n):
        state = xorshift(state)
        sums[i] = sat(sums[i] + gauss(state) * sigma, most)
    states[bank] = state


@part
def convert(sums, over, n, bits, sense_max):
    """Turn analog sums into sense words in place; return how many were over range, and mark these in `over`."""
    clamped = 0
    for i in range(0, n, GROUP):
        sense = rshift(load(sums, i), bits)
        beyond = (abs(sense) > sense_max) & upto(n - i)
        clamped += count(beyond)
        store(over, i, beyond)
        store(sums, i, sat(sense, sense_max))
    return clamped


@part
def plan_lanes(m, f, lane, rows, a, bits, stochastic):
    """Draw for some rows of a PULSE in the lanes that begin at `lane`; return how many of them may have pulses, listed in m.hits.

        n = ((|a_i P_j| >> 8 q) + r) >> 16

    is zero unless the product and the random word, both shifted up to 32 bits, have a sum beyond these; or the product itself is at least
    `sure`. Whether a row has a pulse no processor can foretell, so that every one is written to the list, and the next one over it if it
    had none. Where not even the largest product, with the largest r, is a pulse, the streams leap over all rows.
    """
    rounding, write, size = load(m.rounding, lane), load(m.write, lane), abs(load(m.lanes, lane))
    largest, most = peak(size), 0
    for i in range(0, rows, GROUP):
        most = max(most, peak(abs(load(a, i))))
    sure = (1 << 16 if stochastic else 1 << 15) << bits if bits <= 16 else 0
    size = size << max(16 - bits, 0)
    hits = 0
    if largest * most < (1 << bits if stochastic else sure):
        rounding = leap(rounding, m.leaps[rows])
        if f.write_stream:
            write = leap(write, m.leaps[rows])
    else:
        for i in range(rows):
            rounding = xorshift(rounding)
            m.hits[hits] = i
            store(m.draws, (hits, 0), rounding)
            if f.write_stream:
                write = xorshift(write)
                store(m.noise, (hits, 0), write)
            height = abs(a[i])
            hits += (count(carries(rounding, size * height)) > 0) & stochastic | (largest * height >= sure)
    store(m.rounding, lane, rounding)
    store(m.write, lane, write)
    return hits


@part
def counts(m, f, lane, hit, a, bits, stochastic):
    """Return the sizes of a planned row's counts, the counts, and a mask of those that were more than pulse_max.

    A count is n, or pulse_max if that is less, with the sign of a_i P_j.
    """
    product = load(m.lanes, lane) * a
    r = load(m.draws, (hit, 0)) >> 16 & 0xFFFF if stochastic else everywhere(0x8000)
    wanted = ((abs(product) >> bits) + r) >> 16
    size = min(wanted, f.pulse_max)
    return size, where(product >= 0, size, -size), wanted > size


@part
def move(m, f, row, lane, hit, size, pulses, shared):
    """Give the cells of a group of lanes their pulses, `size` of them in each, by a planned row's write noise."""
    noise = write_noise(m.tile, size, load(m.noise, (hit, 0))) if f.write_stream else everywhere(0)
    own = own_words(load(m.spread, (row, lane)), shared) if f.spread else own_words(everywhere(0), shared)
    store(m.cells, (row, lane), update(load(m.cells, (row, lane)), pulses, own, noise, shared))


@part
def take_part(m, f, row, c, pulses, word, chance, shared):
    """Give a cell a part of pulses, float64; `word` is of the write stream, 0 if they were not its own."""
    noise = gauss(word) * np.float64(m.tile[_ROOT + 1]) * math.sqrt(abs(pulses)) if word != 0 else 0.0
    codes = np.int64(m.spread[row, c]) if f.spread else 0
    m.cells[row, c] = device.take(np.int64(m.cells[row, c]), pulses, own_words(codes, shared), noise, chance, shared)


@part
def words_of(m, f):
    """Return the words that all updates share."""
    return shared_words(m.tile, f.cell_bits)


@part
def take_sample(m):
    """Count a sample of training, where cells grow older."""


@part
def leaks(m):
    """Return whether rows leak before commands."""
    return False


@part
def leak(m, f, array, row0, rows):
    """Let rows leak for the time since they were read or pulsed last."""


@part
def pulse_lanes(m, played, f, lane, row0, first, hits, a, bits, stochastic, shared):
    """Give the lanes that begin at `lane` the pulses that are planned; return, lane by lane, those up, down, and counts over pulse_max.

    The rows listed in m.hits count from row `first` of the region, which begins at `row0`. Where a trace is played no cell is moved, and
    the counts are kept instead.
    """
    asked, net, clipped = everywhere(0), everywhere(0), everywhere(0)
    for hit in range(hits):
        i = m.hits[hit]
        row = row0 + first + i
        size, pulses, more = counts(m, f, lane, hit, a[i], bits, stochastic)
        asked, net, clipped = asked + size, net + pulses, clipped - more
        if played is not None:
            store(played.counts, (first + i, lane), pulses)
        else:
            any_move(m, f, row, lane, hit, size, pulses, shared)
        if m.log.shape[0] and played is None:
            store(m.group, 0, pulses)
            log_pulses(m, row // f.tile_rows, row % f.tile_rows, lane)
    return (asked + net) >> 1, (asked - net) >> 1, clipped


@part
def settle(m, f, row0, rows, shared):
    """End a PULSE: all pulses have been given."""


@part
def log_pulses(m, tile, tile_row, lane):
    """Append the pulses of one group of lanes to the log."""
    for i in range(GROUP):
        if m.group[i] and m.logged[0] < m.log.shape[0]:
            entry = m.log[m.logged[0]]
            entry[0] = m.counters[_STEPS]
            entry[1], entry[2], entry[3], entry[4] = tile, tile_row, lane + i, m.group[i]
            m.logged[0] += 1


def _or_of(field: str, module: str, plain: Any) -> Any:
    """Return a function of this module as it is where a memory has nothing in a field, and as another module has it where it has."""

    def choose(m: Any) -> Any:
        if isinstance(dict(zip(m.fields, m.types, strict=True))[field], types.NoneType):
            return plain
        other = importlib.import_module(f"backpulse.firmware_py.{module}")  # compiled only where it is needed
        return getattr(other, plain.__name__)

    return by_type(getattr(plain, "py_func", plain), choose)


_or_of_array, _or_of_table = partial(_or_of, "array", "array_tile"), partial(_or_of, "law", "table_tile")
any_read, any_pulse_lanes, any_settle = _or_of_array(read), _or_of_array(pulse_lanes), _or_of_array(settle)
any_move, any_take_part, any_words_of = _or_of_table(move), _or_of_table(take_part), _or_of_table(words_of)
any_take_sample, any_leaks, any_leak = _or_of_table(take_sample), _or_of_table(leaks), _or_of_table(leak)
"""What the golden model calls."""

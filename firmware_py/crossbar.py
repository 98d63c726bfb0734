"""What a tile does to its cells: products down the columns and along the rows, read noise, the converter, pulses.

The golden function of rtl/tile/emulated.py; docs/machine.md, The tile.
"""

from typing import Any

from numba.core import types

from backpulse.firmware_py.device import update, write_noise
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.jit import by_type, part
from backpulse.firmware_py.lanes import GROUP, everywhere, load, pairs, peak, some, store, total, where
from backpulse.firmware_py.memory import BANK
from backpulse.firmware_py.registers import Counter, TileParameter
from backpulse.firmware_py.streams import gauss, xorshift
from backpulse.firmware_py.tape import record_sense

_STEPS = int(Counter.STEPS)
_READ_SIGMA = int(TileParameter.READ_SIGMA)


@part
def read(m, f, columns_out, row0, rows, col0, cols):
    """Read as the emulated tile does; return how many words were over range."""
    n = cols if columns_out else rows
    if columns_out:
        multiply_rows(m.cells, m.line, row0, rows, col0, cols, m.sums, m.lanes)
    else:
        multiply_columns(m.cells, m.line, row0, rows, col0, cols, m.sums, m.lanes, m.group)
    if f.read_noise:
        add_read_noise(m.read, m.control[BANK], m.tile[_READ_SIGMA], m.sums, n)
    return convert(m.sums, n, f.sense_shift, f.sense_max, m.recorded)


@part
def multiply_rows(cells, line, row0, rows, col0, cols, sums, lanes):
    """READ: acc_c = sum over rows of drive_r * cell[r][c]. A sum of 512 rows fits 32 bits."""
    for lane in range(col0 & -GROUP, col0 + cols, GROUP):
        acc = everywhere(0)
        for r in range(rows):
            acc = acc + load(cells, (row0 + r, lane)) * line[r]
        store(lanes, lane, acc)
    for c in range(cols):
        sums[c] = lanes[col0 + c]


@part
def multiply_columns(cells, line, row0, rows, col0, cols, sums, lanes, group):
    """READT: acc_r = sum over columns of drive_c * cell[r][c], four rows at once; lanes outside the region are not driven."""
    lanes[:] = 0
    for i in range(cols):
        lanes[col0 + i] = line[i]
    last = row0 + rows - 1
    for r in range(0, rows, 4):
        r0, r1, r2, r3 = row0 + r, min(row0 + r + 1, last), min(row0 + r + 2, last), min(row0 + r + 3, last)
        a = b = c = d = everywhere(0)
        for lane in range(col0 & -GROUP, col0 + cols, GROUP):
            drives = load(lanes, lane)
            a, b = a + drives * load(cells, (r0, lane)), b + drives * load(cells, (r1, lane))
            c, d = c + drives * load(cells, (r2, lane)), d + drives * load(cells, (r3, lane))
        quarters = pairs(pairs(a, b), pairs(c, d))
        halves = pairs(quarters, quarters)
        store(group, 0, pairs(halves, halves))
        for i in range(4):
            sums[r + i] = group[i]


@part
def add_read_noise(states, bank, sigma, sums, n):
    """Add read noise to the analog sums: the bank's stream advances once a sense word."""
    state = states[bank]
    for i in range(n):
        state = xorshift(state)
        sums[i] += gauss(state) * sigma
    states[bank] = state


@part
def convert(sums, n, bits, sense_max, recorded):
    """Turn analog sums into sense words in place, and record them where that is wanted; return how many were over range."""
    over = 0
    for i in range(n):
        sense = rshift(sums[i], bits)
        clamped = int(abs(sense) > sense_max)
        over += clamped
        sums[i] = sat(sense, sense_max)
        record_sense(recorded, sums[i], clamped, int(i == n - 1))
    return over


@part
def plan_lanes(m, f, lane, rows, a, bits, stochastic):
    """Draw and plan some rows of a PULSE in the lanes that begin at `lane`; return how many of the rows have pulses, listed in m.hits.

        n = ((|a_i P_j| >> 8 q) + r) >> 16

    A row whose largest product, with the largest r, is no pulse only draws. Whether another has one no processor can foretell, so that
    every one is written to the list, and the next one over it if it had none.
    """
    rounding, write, planned = load(m.rounding, lane), load(m.write, lane), load(m.lanes, lane)
    largest, least = peak(abs(planned)), (1 if stochastic else 1 << 15) << bits
    hits = 0
    for i in range(rows):
        rounding = xorshift(rounding)
        if f.write_stream:
            write = xorshift(write)
        if abs(a[i]) * largest >= least:
            r = (rounding >> 16) & 0xFFFF if stochastic else everywhere(0x8000)
            wanted = ((abs(planned * a[i]) >> bits) + r) >> 16
            m.hits[hits] = i
            store(m.wanted, (hits, 0), wanted)
            if f.write_stream:
                store(m.noise, (hits, 0), write)
            hits += some(wanted)
    store(m.rounding, lane, rounding)
    store(m.write, lane, write)
    return hits


@part
def pulse_lanes(m, played, f, lane, row0, first, hits, a, shared):
    """Give the lanes that begin at `lane` the pulses that are planned; return how many up, down, and cells with more than pulse_max.

    The rows listed in m.hits count from row `first` of the region, which begins at `row0`. Where a trace is played no cell is moved, and
    the counts are kept instead.

    A count is n, or pulse_max if that is less, with the sign of a_i P_j.
    """
    up, down, clipped = everywhere(0), everywhere(0), everywhere(0)
    planned = load(m.lanes, lane)
    for hit in range(hits):
        i, wanted = m.hits[hit], load(m.wanted, (hit, 0))
        row, size = row0 + first + i, min(wanted, f.pulse_max)
        count = where(planned * a[i] > 0, size, -size)
        _move(m, played, f, lane, row, first + i, hit, count, shared)
        up, down, clipped = up + max(count, 0), down - min(count, 0), clipped - (wanted > size)
        if m.log.shape[0] and played is None:
            store(m.group, 0, count)
            log_pulses(m, row // f.tile_rows, row % f.tile_rows, lane)
    return total(up), total(down), total(clipped)


@part
def _move(m, played, f, lane, row, place, hit, count, shared):
    """Update cells by their counts, or keep these of a trace."""
    if played is not None:
        store(played.counts, (place, lane), count)
    else:
        noise = write_noise(m.tile, count, load(m.noise, (hit, 0))) if f.write_stream else everywhere(0)
        codes = load(m.spread, (row, lane)) if f.spread else everywhere(0)
        store(m.cells, (row, lane), update(load(m.cells, (row, lane)), count, codes, noise, shared))


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


def _or_of_array(exactly: Any) -> Any:
    """Return a function of this module as it is where a memory has no array, and as `array_tile` has it where it has one."""

    def choose(m: Any) -> Any:
        if isinstance(dict(zip(m.fields, m.types, strict=True))["array"], types.NoneType):
            return exactly
        from backpulse.firmware_py import array_tile  # compiled only where there is an array

        return getattr(array_tile, exactly.__name__)

    return by_type(getattr(exactly, "py_func", exactly), choose)


any_read, any_pulse_lanes, any_settle = _or_of_array(read), _or_of_array(pulse_lanes), _or_of_array(settle)
"""What the golden model calls."""

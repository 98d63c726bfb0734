"""What a tile does to its cells: products down the columns and along the rows, read noise, the converter, pulses.

The golden function of rtl/tile/emulated.py; docs/machine.md, The tile.
"""

import numpy as np

from backpulse.firmware_py.device import update, write_noise
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.jit import inlined
from backpulse.firmware_py.streams import gauss, xorshift


@inlined
def multiply_rows(cells, line, row0, rows, col0, cols, sums):
    """Sum drive * cell down each column. A sum of 512 rows fits 32 bits, which puts eight lanes into one instruction."""
    acc = sums[:cols].view(np.int32)[:cols]
    for c in range(cols):
        acc[c] = 0
    for r in range(rows):
        drive = np.int32(line[r])
        if drive:
            for c in range(cols):
                acc[c] = np.int32(acc[c] + np.int32(drive * cells[row0 + r, col0 + c]))
    for c in range(cols - 1, -1, -1):
        sums[c] = acc[c]


@inlined
def multiply_columns(cells, line, row0, rows, col0, cols, sums):
    """Sum drive * cell along each row."""
    for r in range(rows):
        total = 0
        for c in range(cols):
            total += line[c] * cells[row0 + r, col0 + c]
        sums[r] = total


@inlined
def add_read_noise(states, bank, sigma, sums, n):
    """Add read noise to the analog sums: the bank's stream advances once a sense word."""
    state = states[bank]
    for i in range(n):
        state = xorshift(state)
        sums[i] += gauss(state) * sigma
    states[bank] = state


@inlined
def convert(sums, n, bits, sense_max):
    """Turn analog sums into sense words in place; return how many were over range."""
    over = 0
    for i in range(n):
        sense = rshift(sums[i], bits)
        over += abs(sense) > sense_max
        sums[i] = sat(sense, sense_max)
    return over


@inlined
def update_row(cells, spread, row, counts, chosen, states, tile, shared, has_spread, noisy):
    """Move the cells of one row that were pulsed. Where that takes long they are listed first: they are few, and anywhere."""
    lanes = counts.shape[0]
    if not (has_spread or noisy):
        for c in range(lanes):
            cells[row, c] = update(cells[row, c], counts[c], 0, np.int32(0), shared, False)
        return
    n = 0
    for c in range(lanes):
        chosen[n] = c
        n += counts[c] != 0
    for i in range(n):
        c = chosen[i]
        noise = np.int32(write_noise(tile, np.int64(counts[c]), np.int64(states[c]) & 0xFFFFFFFF)) if noisy else np.int32(0)
        cells[row, c] = update(cells[row, c], counts[c], spread[row, c], noise, shared, has_spread)

"""Vectors of lanes against NumPy and against the same formulas on single numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS, own_words, shared_words, update, write_noise
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.jit import jit
from backpulse.firmware_py.lanes import GROUP, bit_length, carries, count, everywhere, load, look, pairs, peak, store, total, upto, where
from backpulse.firmware_py.streams import leap, leaps, xorshift


@jit
def _operations(a, b, out):
    x, y = load(a, 0), load(b, 0)
    results = (x + y, x - y, x * y, x & y, x | y, x ^ y, -x, abs(x), min(x, y), max(x, 3), x << 3, x >> 5, x == y, x > y, x >= 0)
    for i, result in enumerate(results):
        store(out, (i, 0), result)
    store(out, (15, 0), where(x > y, x, 7))
    store(out, (16, 0), pairs(x, y))
    store(out, (17, 0), everywhere(a[0]))
    store(out, (18, 0), carries(x, y))
    store(out, (19, 0), upto(5))
    store(out, (20, 0), look(b, x & 15))
    return total(x), peak(x), count(x), count(upto(5)), count(a[0] > 0)


@jit
def _formulas(a, tile, spread, cells, out):
    x, g = load(a, 0), load(cells, 0)
    pulses = max(x >> 26, -31)
    store(out, (0, 0), xorshift(x))
    store(out, (1, 0), rshift(x >> 1, 7))
    store(out, (2, 0), sat(x, 1000))
    store(out, (3, 0), pulses)
    noise, shared = write_noise(tile, abs(pulses), x), shared_words(tile, 16)
    store(out, (4, 0), noise)
    store(out, (5, 0), update(g, pulses, own_words(load(spread, 0), shared), noise, shared))


def _draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-(2**31) + 1, 2**31, GROUP).astype(np.int32) >> rng.integers(0, 31, GROUP) for _ in range(2))
    b[:3] = a[:3]
    return a.astype(np.int32), b.astype(np.int32)


@given(st.integers(0, 1 << 20))
def test_operations_are_those_of_int32(seed: int) -> None:
    a, b = _draw(seed)
    out = np.zeros((21, GROUP), np.int32)
    summed, largest, *counts = _operations(a, b, out)
    wanted = [a + b, a - b, a * b, a & b, a | b, a ^ b, -a, abs(a), np.minimum(a, b), np.maximum(a, 3), a << 3, a >> 5]
    wanted += [-1 * (a == b), -1 * (a > b), -1 * (a >= 0), np.where(a > b, a, 7)]
    wanted += [np.append(a, b).reshape(-1, 2).sum(axis=1), np.full(GROUP, a[0])]
    wanted += [-1 * (a.view(np.uint32).astype(np.int64) + b.view(np.uint32) >> 32), -1 * (np.arange(GROUP) < 5), b[a & 15]]
    for i, row in enumerate(wanted):
        assert np.array_equal(out[i], row.astype(np.int32)), i
    assert (summed, largest) == (int(a.sum(dtype=np.int32)), a.max())
    assert counts == [np.count_nonzero(a), 5, a[0] > 0]


@jit
def _leap(states, bits, out):
    store(out, 0, leap(load(states, 0), bits))
    return bit_length(np.int64(out[0]) & 0xFFFFFFFF)


@pytest.mark.parametrize("steps", [0, 1, 2, 65, 128])
def test_a_leap_is_as_many_steps(steps: int) -> None:
    states, _ = _draw(steps)
    out, wanted = np.zeros(GROUP, np.int32), [int(state) & 0xFFFFFFFF for state in states]
    length = _leap(states, leaps(128)[steps], out)
    for _ in range(steps):
        wanted = [xorshift(state) for state in wanted]
    assert out.view(np.uint32).tolist() == wanted
    assert length == wanted[0].bit_length() == bit_length(wanted[0])


@given(st.integers(0, 1 << 20))
@pytest.mark.parametrize("preset", ["ecram", "ecram-mo"])
def test_formulas_give_what_they_give_for_single_numbers(preset: str, seed: int) -> None:
    a, _ = _draw(seed)
    rng = np.random.default_rng(seed)
    cells, spread = rng.integers(-32768, 32768, GROUP).astype(np.int16), rng.integers(0, 256, GROUP).astype(np.uint8)
    tile, out = np.array(PRESETS[preset].tile_words(DEFAULT), np.int32), np.zeros((6, GROUP), np.int32)
    _formulas(a, tile, spread, cells, out)
    for i, x in enumerate(a.tolist()):
        pulses = max(x >> 26, -31)
        noise, shared = write_noise(tile, abs(pulses), x & 0xFFFFFFFF), shared_words(tile, 16)
        cell = update(int(cells[i]), pulses, own_words(int(spread[i]), shared), noise, shared)
        lane = [xorshift(x & 0xFFFFFFFF), rshift(x >> 1, 7), sat(x, 1000), pulses, noise, cell]
        assert np.array_equal(out[:, i].astype(np.int64) & 0xFFFFFFFF, np.array(lane, np.int64) & 0xFFFFFFFF), i

"""The device model against the formulas that its parameters stand for."""

from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.config import DEFAULT, IDEAL
from backpulse.firmware_py.device import (
    PRESETS,
    Device,
    device_for,
    own_words,
    quantise_cells,
    shared_words,
    update,
    with_values,
    write_noise,
)
from backpulse.firmware_py.streams import draws

LSB = 1 << DEFAULT.cell_frac


def words(device: Device) -> np.ndarray:
    return np.array(device.tile_words(DEFAULT), np.int64)


def moved(g: int, count: int, table: np.ndarray, *, spread: int = 0, word: int | None = None) -> int:
    """Return where a cell goes; without a noise word there is no write noise."""
    noise, shared = 0 if word is None else write_noise(table, abs(count), word), shared_words(table, DEFAULT.cell_bits)
    return int(update(g, count, own_words(spread, shared), noise, shared))


def quiet(name: str) -> Device:
    return with_values(PRESETS[name], write_noise=0, step_spread=0, bound_spread=0)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("count", [1, -1, 7, -31])
def test_a_step_is_the_linear_step(name: str, count: int) -> None:
    device = quiet(name)
    for g in np.linspace(device.bound_down * 0.8, device.bound_up * 0.8, 23):
        start = round(g * LSB)
        slope, bound = (device.slope_up, device.bound_up) if count > 0 else (device.slope_down, device.bound_down)
        exact = start / LSB + count * device.dw_min * (1 - slope * start / LSB / bound)
        exact = min(max(exact, device.bound_down), device.bound_up)
        end = moved(start, count, words(device))
        # A step is cut to 1/64 LSB, its words are rounded (one in 420 for the slope of ecram-mo), and the sum is rounded once.
        assert abs(end / LSB - exact) * LSB <= 0.5 + abs(count) * (1.5 / 64 + 0.004)


def test_bounds_hold_and_steps_never_turn_round() -> None:
    table = words(quiet("ecram"))
    g = 0
    for count in [31] * 100 + [-31] * 200:
        before, g = g, moved(g, count, table)
        assert (g - before) * count >= 0
        assert round(-0.83 * LSB) <= g <= round(1.17 * LSB)
    assert g == round(-0.83 * LSB)


@pytest.mark.parametrize("n", [1, 4, 31])
def test_write_noise_grows_with_the_root_of_the_pulses(n: int) -> None:
    device = with_values(PRESETS["ecram"], step_spread=0, bound_spread=0)
    table = words(device)
    moves = np.array([moved(0, n, table, word=int(w)) for w in draws(20000, 3)])
    assert np.mean(moves) == pytest.approx(n * device.dw_min * LSB, rel=0.02)
    assert np.std(moves) == pytest.approx(n**0.5 * 0.3 * device.dw_min * LSB, rel=0.02)


def test_spread_words_do_not_depend_on_the_slices_they_are_drawn_in(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PRESETS["ecram"].spread_words(DEFAULT, 5)
    monkeypatch.setattr("backpulse.firmware_py.device.SLICE", 1000)
    assert np.array_equal(PRESETS["ecram"].spread_words(DEFAULT, 5), whole)


def test_spread_words_have_the_spread() -> None:
    device, config = PRESETS["ecram"], DEFAULT
    table, spread = words(device), device.spread_words(DEFAULT, 5)
    assert spread.shape == (config.rows, config.tile_cols)
    steps = np.array([moved(0, 31, table, spread=int(s)) for s in spread.ravel()])
    assert np.std(steps) / np.mean(steps) == pytest.approx(0.1, rel=0.08)
    tops = np.array([max(moved(g, 31, table, spread=int(s)) for g in (20000, 24000)) for s in spread.ravel()[:2000]])
    assert np.std(tops) / LSB == pytest.approx(0.05, rel=0.15)
    assert np.array_equal(spread, device.spread_words(DEFAULT, 5))
    assert not np.array_equal(spread, device.spread_words(DEFAULT, 6))


def test_stuck_cells_stay() -> None:
    device = with_values(PRESETS["ideal"], stuck=0.11)
    spread = device.spread_words(DEFAULT, 1)
    stuck = (spread >> 4) == 8
    assert np.mean(stuck) == pytest.approx(0.11, abs=0.015)
    table = words(device)
    assert all((moved(100, 5, table, spread=int(s)) == 100) == bool(k) for s, k in zip(spread.ravel(), stuck.ravel(), strict=True))


def test_quantised_cells_are_the_nearest_inside_the_bounds() -> None:
    cells = quantise_cells(PRESETS["ecram"], DEFAULT, np.array([0.0, 1.0, -1.0, 40.0, -40.0]), 4)
    assert cells.tolist() == [0, 4096, -4096, round(1.17 * LSB), round(-0.83 * LSB)]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"dw_min": 0.5}, "Device parameter dw_min must be from 0.0001 to 0.06, not 0.5"),
        ({"dw_min": 0.05, "write_noise": 1.0}, "Device parameter write_noise must be at most 0.25 at this dw_min, not 1.0"),
        ({"colour": 1.0}, "Unknown device parameter colour; known are"),
    ],
)
def test_devices_say_what_is_wrong(values: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        with_values(PRESETS["ideal"], **values)


def test_a_board_without_the_model_refuses_the_device() -> None:
    with pytest.raises(ValueError, match="Device ecram needs a tile with the linear-step model"):
        PRESETS["ecram"].tile_words(IDEAL)
    with pytest.raises(ValueError, match=r"no spread words. Choose a device without spread, such as ecram-uniform"):
        PRESETS["ecram"].tile_words(replace(DEFAULT, spread=0))
    with pytest.raises(ValueError, match="with these slopes dw_min must be at most"):
        with_values(PRESETS["ecram"], dw_min=0.05, write_noise=0).tile_words(DEFAULT)


@pytest.mark.parametrize("config", [DEFAULT, replace(DEFAULT, spread=0), IDEAL])
def test_a_board_carries_the_device_that_is_for_it(config) -> None:
    device_for(config).check(config)

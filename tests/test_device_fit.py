"""Twins of measured devices: what each model leaves, symmetry points, noise, and the table in integers."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS, Device, own_words, shared_words, update, with_values
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.table_device import (
    CLASSES,
    MOST_SHIFT,
    NO_SPREAD,
    NODES,
    SEGMENTS,
    STUCK,
    TableDevice,
    ramps,
    table_seen,
    table_step,
    table_update,
)
from backpulse.host.device_file import DeviceFile, of_fit, read_device, write_device
from backpulse.host.device_fit import Fit, fit_device
from backpulse.host.device_layouts import read_measured
from backpulse.host.device_traces import in_siemens
from backpulse.host.devices import device_of, figures, of_aihwkit, resolved
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings

DATA = Path(__file__).parent / "data" / "devices"
SETS = {
    "gong": (["aihwkit_gong_et_al.csv"], None, None),
    "sandia": (["crosssim_set.csv", "crosssim_reset.csv"], "A", 0.1),
    "enode": (["crosssim_ENODe_dG_increasing.txt", "crosssim_ENODe_dG_decreasing.txt"], "S", None),
    "enode-multi": (["derived_crosssim_ENODe_multi_51pt.csv"], "norm", None),
    "taox": (["derived_crosssim_TaOx_all_51pt.csv"], None, None),
    "steep66": (["synthetic_steep66.csv"], "uS", None),
    "growing": (["synthetic_growing.csv"], "uS", None),
}


@cache
def fitted(name: str) -> tuple[Fit, DeviceFile]:
    """Fit a set of files, once for all tests."""
    names, units, voltage = SETS[name]
    paths = [DATA / file for file in names]
    measured, siemens = in_siemens(read_measured(paths), units, voltage)
    fit = fit_device(measured, name)
    return fit, of_fit(fit, name, paths, siemens, "", "")


@pytest.mark.parametrize(
    ("name", "up", "down"),
    [
        ("gong", 5.9, 6.4),
        ("sandia", 1.1, 0.8),
        ("enode", 0.05, 0.05),
        ("enode-multi", 0.05, 0.05),
        ("steep66", 0.5, 0.5),
        ("growing", 0.5, 0.5),
    ],
)
def test_what_the_table_leaves(name, up, down):
    found = fitted(name)[1].residuals
    assert found["table"][0] <= up
    assert found["table"][1] <= down
    if name in ("steep66", "growing"):
        assert min(found["linear"]) >= 5


def test_symmetry_points_and_zeros():
    steep, growing = (fitted(name)[0] for name in ("steep66", "growing"))
    assert steep.zero.symmetry == pytest.approx(0.47, abs=0.03)
    assert (steep.zero.what, steep.weight_scale) == ("symmetry point", 4)
    assert growing.zero.symmetry is None
    assert (growing.zero.what, growing.zero.place) == ("middle", 0.5)
    assert any("no symmetry point that attracts" in warning for warning in growing.warnings)
    at_zero = [np.interp(0, NODES, steps) for steps in (steep.table.up, steep.table.down)]
    assert at_zero[0] == pytest.approx(at_zero[1], rel=0.15)


def test_noise_that_stays_and_noise_that_does_not():
    gong, steep = fitted("gong")[0], fitted("steep66")[0]
    assert 100 * gong.apparent == pytest.approx(4.5, abs=0.3)
    assert 100 * np.array(gong.persistent) == pytest.approx([1.2, 1.2], abs=0.4)
    assert 100 * steep.apparent == pytest.approx(0.4, abs=0.15)
    assert max(steep.persistent) < 5e-4
    sandia = fitted("sandia")[0]
    assert sandia.apparent < 1e-3


def test_warnings():
    taox = fitted("taox")[0]
    assert any("The step up crosses the range" in warning for warning in taox.warnings)
    assert taox.states[0] < 8
    assert taox.ways.spread["step"] > 0.2
    assert any("not monotone" in warning for warning in fitted("gong")[0].warnings)
    assert any("accuracies of the linear device will not be" in warning for warning in fitted("steep66")[0].warnings)
    assert any("spread by" in warning for warning in fitted("enode-multi")[0].warnings)
    assert not any("few" in warning or "monotone" in warning for warning in fitted("growing")[0].warnings)


def test_the_linear_device_where_it_can_be_it():
    multi, steep = fitted("enode-multi")[0], fitted("steep66")[0]
    assert isinstance(multi.linear, Device)
    multi.linear.tile_words(DEFAULT)
    assert steep.linear is None
    assert "too steep a step" in steep.refused


@pytest.mark.parametrize("name", ["sandia", "enode"])
def test_mean_simulated_ramps_are_the_measured_ones(name):
    fit, _ = fitted(name)
    for up, curve in fit.ways.curves.items():
        n = int(curve.n[-1])
        start = 2 * (fit.models[up]["table"].start - fit.zero.place)
        read = ramps(fit.table, np.full(n, 1 if up else -1), start, 100) / 2 + fit.zero.place
        assert np.abs(read.mean(axis=1) - curve.x[: n + 1]).max() < 0.02


def test_a_file_holds_the_device(tmp_path):
    for name in SETS:
        device = fitted(name)[1]
        write_device(tmp_path / "mine.toml", device)
        again = read_device(tmp_path / "mine.toml")
        assert again == device
        assert again.digest == device.digest
    assert len({fitted(name)[1].digest for name in SETS}) == len(SETS)
    words, read = device.table_device.words(), again.table_device.words()
    assert np.array_equal(words.flat(), read.flat())
    assert device.units(device.conductance(0.3)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("format = 1", "format = 2", "format must be one of 1"),
        ("[scale]", "[scale]\nhight = 1.0", "Unknown key hight (did you mean high?) in [scale]"),
        ("weight_scale = 4", 'weight_scale = "4"', "scale.weight_scale must be a whole number"),
        ("bound_up = ", "bound_up = 9", "Table bounds must be from"),
        ("  [", "  [-", "must be a number at least 0"),
        ("nodes = [\n", "nodes = [\n  [0.1, 0.1, 0.1, 0.1],\n", "table.nodes must have 65 rows, not 66"),
        ("[source]", "[source", "is no TOML"),
    ],
)
def test_wrong_device_files_are_told(old, new, told, tmp_path):
    path = tmp_path / "mine.toml"
    write_device(path, fitted("steep66")[1])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_device(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_the_table_of_a_linear_device_takes_the_same_steps():
    """Cells of the golden formula and of the table part by rounding alone."""
    device = with_values(PRESETS["ecram"], write_noise=0, step_spread=0, bound_spread=0)
    table = TableDevice.of_linear(device).words()
    shared = shared_words(np.array(device.tile_words(DEFAULT), np.int64), DEFAULT.cell_bits)
    cells = np.arange(-13000, 19000, 777)
    for count in (-31, -3, -1, 0, 1, 2, 31):
        golden = [update(int(g), count, own_words(0, shared), 0, shared) for g in cells]
        ours = table_update(cells, np.full(len(cells), count), np.zeros(len(cells), np.int64) + 0x7F80807F, table)
        assert np.abs(ours - golden).max() <= 2 + abs(count) // 8


def test_the_table_in_integers():
    """A second calculation, one cell at a time with Python's integers and `formats.rshift`."""
    random = np.random.RandomState(7)
    device = TableDevice(
        name="random",
        up=tuple(random.uniform(0, 0.2, SEGMENTS + 1)),
        down=tuple(random.uniform(0, 0.2, SEGMENTS + 1)),
        noise_up=tuple(random.uniform(0, 0.02, SEGMENTS)),
        noise_down=tuple(random.uniform(0, 0.02, SEGMENTS)),
        bound_up=1.5,
        bound_down=-1.25,
        bound_spread=0.3,
        apparent_noise=0.05,
    )
    words = device.words()
    assert 0 < words.shift <= MOST_SHIFT
    segments = words.segments().reshape(2, SEGMENTS, 2)
    assert segments[..., 1].max() < CLASSES
    cells = random.randint(words.bound_down, words.bound_up, 300)
    counts, draws = random.randint(-31, 32, 300), random.randint(0, 1 << 32, 300)
    spread = random.randint(0, 1 << 32, 300)
    spread[::7] = STUCK << 16 & 0xFFFF0000 | NO_SPREAD
    found = table_update(cells, counts, draws, words, spread)
    seen = table_seen(found, draws, words)
    given = zip(cells.tolist(), counts.tolist(), draws.tolist(), spread.tolist(), strict=True)
    for (g, count, word, own), after, read in zip(given, found.tolist(), seen.tolist(), strict=True):
        u = g + (1 << 15)
        k, low = u >> 10, u & 1023
        entry, kind = (int(word) for word in segments[0 if count > 0 else 1, k])
        base, delta = entry & 0xFFFF, ((entry >> 16) ^ 0x8000) - 0x8000
        step = max(0, base + (delta * low >> 10))
        gaussian = sum(word.to_bytes(4, "little")) - 510
        factor = own & 255 if count > 0 else own >> 8 & 255
        total = (count * factor * step + gaussian * int(words.root[kind, abs(count)])) << words.shift
        offset = ((own >> 16) ^ 0x8000) - 0x8000
        low, high = (max(min(bound, 32767), -32768) for bound in (words.bound_down - offset, words.bound_up + offset))
        wanted = g + rshift(total, 11)
        wanted = high if wanted > high else max(wanted, low)
        assert after == (g if count == 0 or offset == -32768 else wanted)
        other = word ^ word << 7 & 0xFFFFFFFF
        other ^= other >> 25
        other ^= other << 12 & 0xFFFFFFFF
        apparent = rshift((sum(other.to_bytes(4, "little")) - 510) * words.apparent, 3)
        assert read == max(min(after + apparent, 32767), -32768)
    steps, _ = table_step(np.array([0]), np.array([True]), words)
    assert (int(steps[0]) << words.shift) / 2**20 == pytest.approx(np.interp(0, NODES, device.up), abs=1e-4)


def test_tables_that_their_words_cannot_hold():
    flat: dict[str, Any] = {"down": (0.1,) * 65, "noise_up": (0.0,) * 64, "noise_down": (0.0,) * 64}
    with pytest.raises(ValueError, match=r"Table device big has a step or write noise 1\.5 times as large as its words hold"):
        TableDevice(name="big", up=(10.0,) * 65, bound_up=1.5, bound_down=-1.5, **flat)
    with pytest.raises(ValueError, match=r"Table up must have 65 numbers, not 3"):
        TableDevice(name="short", up=(0.1,) * 3, **flat)
    with pytest.raises(ValueError, match=r"Table up must have numbers from 0, not -1"):
        TableDevice(name="negative", up=(-1.0,) * 65, **flat)
    with pytest.raises(ValueError, match=r"Table step_spread must be from 0 to 2, not 2.5"):
        replace(TableDevice.of_linear(PRESETS["ecram"]), step_spread=2.5)
    with pytest.raises(ValueError, match=r"Table apparent_noise must be from 0 to 0.287, not 0.4"):
        replace(TableDevice.of_linear(PRESETS["ecram"]), apparent_noise=0.4)
    assert (TableDevice(name="steep", up=(10.0,) * 65, **flat).words().base[0] == 65535).all()  # the range, and no more


def test_settings_hold_the_device_itself(tmp_path):
    path = tmp_path / "multi.toml"
    write_device(path, fitted("enode-multi")[1])
    made = [Settings(device=f"{path}{fit}", lr=0.25) for fit in ("", ":linear")]
    path.unlink()
    device = fitted("enode-multi")[1]
    for settings, model in zip(made, (device.table_device, device.linear_device), strict=True):
        again = Settings.from_dict(json.loads(json.dumps(settings.to_dict())))
        assert again == settings
        assert again.device_model == model
        assert again.changed(seed=2).device_model.name == "enode-multi"
    write_device(path, fitted("steep66")[1])
    assert Settings(device=str(path)).device_model == fitted("steep66")[1].table_device
    with pytest.raises(InputError, match=r"Device steep66 of .* has no linear fit \(.*\): leave :linear out, for its table"):
        Settings(device=f"{path}:linear")
    with pytest.raises(InputError, match="The setting device is no device"):
        Settings(device='{"linear": {"dw_min": 7}}')
    with pytest.raises(InputError, match="The setting device must be text, not 3"):
        Settings(device=3)  # type: ignore[arg-type] - what a file may say


def test_a_device_file_brings_its_weight_scale(tmp_path):
    device = fitted("enode-multi")[1]
    linear = device.linear
    assert linear is not None
    path = tmp_path / "wide.toml"
    scale = device.scale.model_copy(update={"weight_scale": 8})
    write_device(path, device.model_copy(update={"linear": linear.model_copy(update={"weight_scale": 16}), "scale": scale}))
    assert Settings(device=str(path)).weight_scale == 8
    assert Settings(device=f"{path}:linear").weight_scale == 16
    assert Settings(device=str(path), weight_scale=2).weight_scale == 2


def test_presets_of_aihwkit():
    refused = ("ReRamES", "ReRamSB")
    carried = {name: of_aihwkit(name)[0] for name in figures() if name not in refused}
    assert set(carried) == {"Capacitor", "EcRam", "EcRamMO", "Idealized", "GokmenVlasov"}
    for name in refused:
        with pytest.raises(InputError, match=f"^aihwkit:{name} cannot be carried: it has "):
            of_aihwkit(name)
    ours, theirs = PRESETS["ecram"], carried["EcRam"]
    for name in ("dw_min", "bound_up", "bound_down", "slope_up", "slope_down", "write_noise", "step_spread", "bound_spread"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=0.005)
    assert device_of(resolved("aihwkit:EcRam")) == theirs
    assert of_aihwkit("Capacitor")[1][1] == "its leak, with a time constant of 1e+06 samples"
    with pytest.raises(InputError, match=r"apparent noise of 0.112 units, .* bounds that spread by 40 % from cell to cell"):
        resolved("aihwkit:ReRamSB")
    with pytest.raises(InputError, match="Unknown preset Nothing of aihwkit: choose one of ReRamES"):
        resolved("aihwkit:Nothing")

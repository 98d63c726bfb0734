"""Twins of measured devices: what each model leaves, symmetry points, noise, and the table in integers."""

# Over 400 lines: all figures of the measured devices, side by side.

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS, Device, own_words, shared_words, update, with_values
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.table_device import (
    CLASSES,
    MOST_APPARENT,
    MOST_SHIFT,
    NO_SPREAD,
    NODES,
    SEGMENTS,
    STUCK,
    TableDevice,
    table_seen,
    table_step,
    table_update,
)
from backpulse.host.device_aihwkit import figures, of_aihwkit
from backpulse.host.device_facts import Facts, Operation
from backpulse.host.device_file import DeviceFile, of_fit, read_device, write_device
from backpulse.host.device_fit import Fit, fit_device
from backpulse.host.device_layouts import read_measured
from backpulse.host.device_models import Curve, Fitted
from backpulse.host.device_noise import aligned, noise
from backpulse.host.device_ramps import simulated
from backpulse.host.device_traces import Measured, Ramp, in_siemens
from backpulse.host.devices import device_of, facts_of, name_of, resolved, shipped
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings
from benchmarks.presets import PRESETS as FILES
from benchmarks.presets import made

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
    # From 48 pulses on the variance of Gong's ramps grows no more: what moves between two near readings does not stay.
    assert 100 * gong.noise.apparent == pytest.approx(4.2, abs=0.4)
    assert 100 * gong.noise.lasting == pytest.approx(4.4, abs=0.4)
    assert 4 <= gong.noise.lasts <= 12
    assert 100 * np.array(gong.persistent) == pytest.approx([0.1, 0.1], abs=0.1)
    assert 100 * steep.noise.apparent == pytest.approx(0.4, abs=0.15)
    assert max(steep.persistent) < 5e-4
    sandia = fitted("sandia")[0]
    assert sandia.noise.apparent < 1e-3
    assert sandia.noise.step == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("lasting", [0.0, 0.03])
@pytest.mark.parametrize("persistent", [0.0, 0.004])
def test_noise_is_told_apart(persistent, lasting):
    """Ramps whose noise is known: of a reading, of some pulses, and of each pulse."""
    random = np.random.RandomState(5)
    n = 2000
    curves, models = {}, {}
    for up in (True, False):
        slow = np.zeros(n)
        for k in range(1, n):
            slow[k] = np.exp(-1 / 8) * slow[k - 1] + lasting * np.sqrt(1 - np.exp(-2 / 8)) * random.standard_normal()
        x = np.arange(n) / n * (1 if up else -1) + (0 if up else 1)
        x = x + np.cumsum(persistent * random.standard_normal(n)) + slow + 0.01 * random.standard_normal(n)
        curves[up] = Curve(up, np.arange(n, dtype=float), x, ((np.arange(n, dtype=float), x),))
        models[up] = Fitted("linear", curves[up], np.array([1 / n, 1.0]), 0.0, 0.0)
    found = noise(curves, models)
    assert found.apparent == pytest.approx(0.01, rel=0.35)
    assert found.lasting == pytest.approx(lasting, rel=0.25, abs=0.004)
    assert np.mean([p.mean() for _, p in found.persistent.values()]) == pytest.approx(persistent, rel=0.35, abs=0.001)


def test_readings_that_scatter_more_than_the_twin_holds():
    random = np.random.RandomState(1)
    n = np.arange(400.0)
    ramps_of = []
    for up in (True, False):
        g = (n if up else n[::-1]) / 400 + random.choice([-0.5, 0.5], 400)
        ramps_of.append(Ramp(device="", up=up, n=n, g=g, where=""))
    fit = fit_device(Measured(ramps=ramps_of, unit="norm"), "noisy")
    assert fit.table.apparent_noise == MOST_APPARENT
    assert any(re.search(r"Readings scatter by 2\d % of the range, and the twin holds 14 %", warning) for warning in fit.warnings)


def test_what_differs_from_ramp_to_ramp():
    """Ramps of one device whose range moves and whose steps differ, known by how they were made."""
    random = np.random.RandomState(3)
    curve = lambda n: 20 + 60 * (1 - np.exp(-n / 40))  # noqa: E731 - one line says what it is
    n = np.arange(120.0)
    ramps_of = []
    for up in (True, False):
        for _ in range(40):
            moved, share = 1.5 * random.standard_normal(), 0.05 * random.standard_normal()
            g = curve(n * (1 + share))
            ramps_of.append(Ramp(device="", up=up, n=n, g=(g if up else 100 - g) + moved + 0.02 * random.standard_normal(120), where=""))
    _, moved = aligned(ramps_of)
    assert moved == pytest.approx((1.5, 1.5), rel=0.35)
    fit = fit_device(Measured(ramps=ramps_of, unit="norm"), "made")
    assert fit.noise.step == pytest.approx(0.05, rel=0.35)
    assert max(fit.persistent) < 1e-3
    assert any("moves from ramp to ramp" in warning for warning in fit.warnings)
    assert aligned(ramps_of[:5]) == (ramps_of[:5], None)


def test_warnings():
    taox = fitted("taox")[0]
    assert any("The step up crosses the range in 1 to 6 pulses" in warning for warning in taox.warnings)
    assert taox.states[0] < 8
    assert taox.ways.spread["step"] > 0.2
    assert any("not monotone" in warning for warning in fitted("gong")[0].warnings)
    assert any("accuracies of the linear device will not be" in warning for warning in fitted("steep66")[0].warnings)
    assert any("they are on no common scale" in warning for warning in fitted("enode-multi")[0].warnings)
    assert "bound" not in fitted("enode-multi")[0].ways.spread
    assert not any("few" in warning or "monotone" in warning for warning in fitted("growing")[0].warnings)


def test_the_linear_device_where_it_can_be_it():
    multi, steep = fitted("enode-multi")[0], fitted("steep66")[0]
    assert isinstance(multi.linear, Device)
    multi.linear.tile_words(DEFAULT)
    assert steep.linear is None
    assert "too steep a step" in steep.refused


@pytest.mark.parametrize("name", ["sandia", "enode"])
def test_mean_simulated_ramps_are_the_measured_ones(name):
    fit, device = fitted(name)
    for up, curve in fit.ways.curves.items():
        n = int(curve.n[-1])
        assert np.abs(simulated_places(device, up, n).mean(axis=1) - curve.x[: n + 1]).max() < 0.02


def simulated_places(device, up, pulses):
    """Return places in the range of 100 simulated ramps."""
    start = device.curves.start_up if up else device.curves.start_down
    read = simulated(device, np.full(pulses, 1 if up else -1), start, 100, 1)
    return (read - device.scale.low) / (device.scale.high - device.scale.low)


def test_ends_of_simulated_ramps_spread_as_the_measured_ones():
    """Of Sandia's device, after as many pulses as all of its ramps have, which are as it wrote them."""
    _, device = fitted("sandia")
    measured, _ = in_siemens(read_measured([DATA / name for name in SETS["sandia"][0]]), "A", 0.1)
    for up in (True, False):
        ramps_of = [ramp.g for ramp in measured.ramps if ramp.up is up]
        pulses = min(map(len, ramps_of)) - 1
        ends = np.array([g[pulses] for g in ramps_of]) / (device.scale.high - device.scale.low)
        found = simulated_places(device, up, pulses)[-1].std(ddof=1)
        assert found == pytest.approx(ends.std(ddof=1), rel=0.3)


def test_gong_follows_its_own_smoothing():
    fit, device = fitted("gong")
    for up, curve in fit.ways.curves.items():
        smooth = uniform_filter1d(curve.x, 9)
        left = simulated_places(device, up, len(smooth) - 1).mean(axis=1) - smooth
        assert np.sqrt(np.mean(left**2)) < 0.05


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
    settings = Settings(device=str(path), lr=0.25)
    linear = Settings(device=f"{path}:linear", lr=0.25)
    path.unlink()
    for given, device in ((settings, fitted("enode-multi")[1].table_device), (linear, fitted("enode-multi")[1].linear_device)):
        again = Settings.from_dict(json.loads(json.dumps(given.to_dict())))
        assert again == given
        assert again.device_model == device
        assert again.changed(seed=2).device_model.name == "enode-multi"
        assert facts_of(again.device).scale == fitted("enode-multi")[1].scale
    write_device(path, fitted("steep66")[1])
    with pytest.raises(InputError, match=r"^Device steep66 of .* has no linear fit \(Device steep66 has too steep a step"):
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
    wide = {"linear": linear.model_copy(update={"weight_scale": 16}), "scale": device.scale.model_copy(update={"weight_scale": 8})}
    write_device(path, device.model_copy(update=wide))
    assert Settings(device=f"{path}:linear").weight_scale == 16
    assert Settings(device=str(path)).weight_scale == 8
    assert Settings(device=str(path), weight_scale=2).weight_scale == 2


def test_presets_of_aihwkit():
    found = {name: of_aihwkit(name)[0] for name in figures() if name != "PCM"}
    linear = {name for name, device in found.items() if isinstance(device, Device)}
    assert linear == {"EcRam", "EcRamMO", "Idealized", "GokmenVlasov"}
    assert set(found) - linear == {"ReRamES", "ReRamSB", "ReRamArrayOM", "ReRamArrayHfO2", "Capacitor"}
    ours, theirs = PRESETS["ecram"], found["EcRam"]
    for name in ("dw_min", "bound_up", "bound_down", "slope_up", "slope_down", "write_noise", "step_spread", "bound_spread"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=0.005)
    assert device_of(resolved("aihwkit:EcRam")) == theirs
    assert of_aihwkit("Capacitor", linear=True)[1][1] == "its leak, with a time constant of 1e+06 samples"
    assert isinstance(device_of(resolved("aihwkit:Capacitor:linear")), Device)
    with pytest.raises(InputError, match=r"^aihwkit:ReRamSB cannot be a linear-step device: it has apparent noise of 0.112"):
        resolved("aihwkit:ReRamSB:linear")
    with pytest.raises(InputError, match=r"^aihwkit:PCM cannot be carried: its pulses move it one way only, so that a weight takes a pair"):
        resolved("aihwkit:PCM")
    with pytest.raises(InputError, match="Unknown preset Nothing of aihwkit: choose one of ReRamES"):
        resolved("aihwkit:Nothing")


def test_tables_by_formulas_take_the_steps_of_the_formulas():
    """Each step up and down at conductances between the nodes, by a second calculation; and the noises and spreads."""
    w = np.array([-0.7, -0.21, 0.0, 0.33, 0.85])
    soft = of_aihwkit("ReRamArrayOM")[0]
    assert isinstance(soft, TableDevice)
    assert np.interp(w, NODES, soft.up) == pytest.approx(0.0949 * (1 - w))
    assert np.interp(w, NODES, soft.down) == pytest.approx(0.0949 * (1 + w))
    assert set(soft.noise_up) == {0.4158 * 0.0949}
    assert (soft.apparent_noise, soft.step_spread, soft.symmetry_spread) == (pytest.approx(1.4113 * 0.0949), 0.7829, 0.01)
    grown = of_aihwkit("ReRamES")[0]
    assert isinstance(grown, TableDevice)
    z = -0.5 * w - 0.5
    assert np.interp(w, NODES, grown.up) == pytest.approx(0.00135 * (1 + 1.18445 * np.exp(5 * z)), rel=4e-3)
    assert np.interp(w, NODES, grown.down) == pytest.approx((1 - 0.259359) * 0.00135 * (1 + 0.081404 * np.exp(-5 * z)), rel=4e-3)
    factors = soft.spread(4000, 1) & 255
    assert np.std(np.log(factors[(factors > 4) & (factors < 255)] / 32)) == pytest.approx(0.78, abs=0.15)
    leaky = of_aihwkit("Capacitor")[0]
    assert isinstance(leaky, TableDevice)
    assert (leaky.leak_samples, leaky.leak_rest) == (1e6, 0.0)


def test_devices_that_come_along_are_what_the_fit_makes():
    """Those of measured files, to the digits that two computers have in common, with their source and licence."""
    assert set(shipped()) == set(FILES)
    for name, path in shipped().items():
        device = read_device(path)
        assert device.source.about == FILES[name].about
        assert device.source.licence in ("MIT", "BSD-3-Clause", "BSD-2-Clause")
        anew = fitted(name)[1] if name in SETS else made(name)
        assert np.array(device.table.nodes) == pytest.approx(np.array(anew.table.nodes), rel=0.02, abs=2e-4)
        assert device.table.step_spread == pytest.approx(anew.table.step_spread, rel=0.01)
        assert device_of(resolved(name)) == device.table_device
    soft = read_device(shipped()["soft-bounds"])
    w = np.linspace(-0.9, 0.9, 19)
    units = w * 2 / (soft.table.bound_up - soft.table.bound_down)
    assert np.interp(units, NODES, soft.table_device.up) == pytest.approx(0.0075 * (1 - w), rel=0.03, abs=1e-4)
    assert np.interp(units, NODES, soft.table_device.down) == pytest.approx(0.0075 * (1 + w), rel=0.03, abs=1e-4)


def test_names_in_tables():
    assert name_of("ecram") == "ecram"
    assert name_of(resolved("enode-multi")) == "enode-multi"
    assert name_of(resolved("enode-multi:linear")) == "enode-multi:linear"
    assert name_of(resolved("aihwkit:EcRam")) == "aihwkit:EcRam"
    assert facts_of(resolved("sandia")).operation == Operation(read_v=0.1, source="the measurement")
    assert facts_of("ecram") == Facts()

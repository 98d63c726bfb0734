"""What cells hold after a time without pulses."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS
from backpulse.host.device_facts import Facts, Retention, Scale
from backpulse.host.device_file import read_device, write_device
from backpulse.host.devices import shipped
from backpulse.host.errors import InputError
from backpulse.host.retention import after, as_words, check_retention, compensated, parse_times
from backpulse.host.settings import Settings
from backpulse.host.urls import board_config

SCALE = Scale(unit="S", low=10.0, high=30.0, zero=20.0, zero_is="middle", weight_scale=4)
POWER = Retention(law="power", nu=0.1, t0_s=60.0, rest=0.0, source="a test")


def test_times():
    assert parse_times("90s, 5min,1h,1.5d,1y") == {"90s": 90.0, "5min": 300.0, "1h": 3600.0, "1.5d": 129600.0, "1y": 31557600.0}
    for text, told in (
        ("1w", "--after takes times joined by commas, as in 1h,1d,30d"),
        ("0s", "above 0 and up to 317y, not 0s"),
        ("", "''"),
    ):
        with pytest.raises(InputError, match=told):
            parse_times(text)


def test_the_laws():
    """The cell at zero is 20 S, and each unit 10 S; a word is 1/16384 unit."""
    cells, lsb, device = np.array([[0, 1 << 14], [-(1 << 14), 0]]), 1 << 14, PRESETS["ideal"]
    found = after(cells, device, Facts(scale=SCALE, retention=POWER), 6000.0, 1, 14)
    factor = 100**-0.1
    assert found / lsb == pytest.approx(np.array([[20 * factor - 20, 30 * factor - 20], [10 * factor - 20, 20 * factor - 20]]) / 10)
    assert after(cells, device, Facts(scale=SCALE, retention=POWER), 30.0, 1, 14) == pytest.approx(cells)
    away = Retention(law="exponential", tau_s=100.0, rest=15.0, source="a test")
    found = after(cells, device, Facts(scale=SCALE, retention=away), 100.0, 1, 14)
    assert found[0, 1] / lsb == pytest.approx((15 + 15 / np.e - 20) / 10)
    # Cells differ as the spread says, and each the same way at every time.
    spread = POWER.model_copy(update={"spread": 0.3})
    many = np.full((200, 50), 1 << 14)
    shares = [(after(many, device, Facts(scale=SCALE, retention=spread), t, 1, 14) / lsb * 10 + 20) / 30 for t in (600.0, 6000.0)]
    nus = [-np.log(share) / np.log(t) for share, t in zip(shares, (10.0, 100.0), strict=True)]
    assert nus[0] == pytest.approx(nus[1])
    assert (nus[0].mean(), nus[0].std()) == (pytest.approx(0.1, rel=0.02), pytest.approx(0.03, rel=0.05))


def test_the_mean_of_each_layer_is_given_back():
    settings = Settings()
    program = settings.compile(board_config(settings.network, settings.device_model))
    cells = np.random.RandomState(1).uniform(-9000, 9000, (program.config.rows, program.config.tile_cols))
    later = after(cells, PRESETS["ideal"], Facts(scale=SCALE, retention=POWER), 6000.0, 1, 14)
    found = compensated(later, cells, program)
    for placement in program.placements:
        region = placement.blocks[0].region
        where = np.s_[region.row0 : region.row0 + region.rows, region.col0 : region.col0 + region.cols]
        assert found[where].mean() == pytest.approx(cells[where].mean())
        assert later[where].mean() < cells[where].mean() - 1000
        assert found[where] - later[where] == pytest.approx(np.full(found[where].shape, (found - later)[where][0, 0]))
    outside = np.ones(cells.shape, bool)
    for placement in program.placements:
        region = placement.blocks[0].region
        outside[region.row0 : region.row0 + region.rows, region.col0 : region.col0 + region.cols] = False
    assert np.array_equal(found[outside], later[outside])
    assert as_words(np.array([-1e9, 0.6, 1e9]), DEFAULT.cell_max).tolist() == [-32768, 1, 32767]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"law": "power", "nu": 0.1}, "retention.t0_s is missing, which the power law needs"),
        ({"law": "exponential"}, "retention.tau_s is missing, which the exponential law needs"),
        ({"law": "exponential", "tau_s": 1.0, "nu": 0.1}, "retention.nu is none of the exponential law's: leave it out"),
    ],
)
def test_wrong_retention_is_told(values, told):
    with pytest.raises(ValidationError, match=told):
        Retention(**values, source="a test")


def test_devices_that_do_not_forget_are_told_in_one_sentence():
    with pytest.raises(InputError, match=r"^Device ideal does not say how it forgets: train with a device file that has \[retention\]"):
        check_retention(PRESETS["ideal"], Facts())


def test_infer_after_a_time(backpulse, tmp_path):
    forgets = POWER.model_copy(update={"nu": 0.01})
    write_device(tmp_path / "mine.toml", read_device(shipped()["enode"]).model_copy(update={"retention": forgets}))
    small = ("--dataset", "iris", "--layers", "4-5-3", "--tile", "16x8", "--lr", 0.5)
    code, _, err = backpulse("train", *small, "--epochs", 8, "--device", "mine.toml", "--checkpoint", "run.npz")
    assert code == 0, err
    (tmp_path / "mine.toml").unlink()
    code, out, err = backpulse("infer", "--checkpoint", "run.npz", "--after", "30s,1d,300y", "--compensate", "mean", "--json", "a.json")
    assert code == 0, err
    assert out.split()[:1] == ["after"]
    found = json.loads((tmp_path / "a.json").read_text())
    soon, _, last = found["after"]
    assert soon["accuracy"] == soon["accuracy_mean"] == found["accuracy"] > 0.6
    assert soon["predictions"] == found["predictions"]
    assert last["accuracy"] < found["accuracy"]  # all weights are at the lower end
    assert last["accuracy_mean"] > last["accuracy"]
    assert found["retention"]["nu"] == 0.01
    code, _, err = backpulse("infer", "--checkpoint", "run.npz", "--after", "1h", "--plot", "p.png")
    assert (code, (tmp_path / "p.png").stat().st_size > 5000) == (0, True), err
    for arguments, told in (
        (("--compensate", "mean"), "--compensate is for cells that forget: give --after too"),
        (("--after", "1h", "--compensate", "all"), "--compensate must be mean, not 'all'"),
        (("--after", "soon"), "--after takes times joined by commas"),
    ):
        code, _, err = backpulse("infer", "--checkpoint", "run.npz", *arguments)
        assert (code, told in " ".join(err.split())) == (2, True), err
    assert backpulse("train", *small, "--epochs", 1, "--checkpoint", "ideal.npz")[0] == 0
    code, _, err = backpulse("infer", "--checkpoint", "ideal.npz", "--after", "1h")
    assert (code, err.count("\n"), "Device ideal does not say how it forgets" in err) == (2, 1, True)

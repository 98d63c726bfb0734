"""What a run costs its array, against counts by hand."""

import json

import numpy as np
import pytest

from backpulse.firmware_py.config import DEFAULT, DeviceKind
from backpulse.firmware_py.registers import Counter
from backpulse.host.cost import CellPulses, cost, events, mean_step, said, told
from backpulse.host.device_facts import Facts, Operation, Scale
from backpulse.host.device_file import read_device, write_device
from backpulse.host.devices import facts_of, resolved, shipped
from backpulse.host.settings import Settings
from backpulse.host.urls import board_config

SCALE = Scale(unit="S", low=1e-6, high=5e-6, zero=3e-6, zero_is="middle", weight_scale=4)
OPERATION = Operation(
    pulse_width_s=1e-6,
    pulse_up_v=2.0,
    pulse_down_v=[1.0, 1.5],
    pulse_current_a=1e-5,
    read_time_s=[1e-7, 2e-7],
    read_v=0.2,
    endurance_pulses=[1e6, 1e8],
    source="a test",
)


def step_of(device="ideal", **values):
    """Return the program of a run on the board that it would have, and its totals after 10 steps."""
    settings = Settings(device=device, **values)
    program = settings.compile(board_config(settings.network, settings.device_model))
    totals = {c.name: 0 for c in Counter} | {"STEPS": 10, "PULSES_UP": 300, "PULSES_DOWN": 200, "CYCLES": 10 * program.cycles_per_step}
    return program, totals


def test_the_ideal_step_is_that_of_a_hand_count():
    """64-32-10 with bias: W1 is 65 x 32 and W2 33 x 10; read forward, W2 without its bias line back; W2 and W1 are pulsed."""
    program, totals = step_of()
    assert program.config.device is DeviceKind.IDEAL
    assert events(program) == {
        "reads": 3,
        "cells_read": 65 * 32 + 33 * 10 + 32 * 10,
        "driven": 65 + 33 + 10,
        "sensed": 32 + 10 + 32,
        "widest": 32,
        "cells": 65 * 32 + 33 * 10,
    }
    found = cost(program, totals, Facts(scale=SCALE, operation=OPERATION))
    step, run = found["array"]["step"], found["array"]["run"]
    assert step["read_time_s"] == pytest.approx([3 * 1e-7, 3 * 2e-7])
    # 50 pulses of 1 us a step: one after the other, or 32 columns of a row at once.
    assert step["pulse_time_s"] == pytest.approx([50e-6 / 32, 50e-6])
    # Nothing is driven, or 2730 cells of 5 uS by .2 V for .2 us.
    assert step["read_energy_j"] == pytest.approx([0, 2730 * 0.2**2 * 5e-6 * 2e-7])
    # 30 up by 2 V and 20 down by 1 to 1.5 V, each 10 uA for 1 us.
    assert step["pulse_energy_j"] == pytest.approx([30 * 2e-11 + 20 * 1e-11, 30 * 2e-11 + 20 * 1.5e-11])
    for name, value in step.items():
        assert np.multiply(value, 10) == pytest.approx(run[name])
    assert found["controller"] == {"cycles": 4000, "clk_hz": 75_000_000, "clock_of": "ulx3s-85f", "time_s": pytest.approx(4000 / 75e6)}
    assert found["converters"] == {"driven": 1080, "sensed": 740}
    assert found["wear"]["pulses_mean"] == pytest.approx(500 / 2410)
    assert found["wear"]["used"] == pytest.approx([500 / 2410 / 1e8, 500 / 2410 / 1e6])


def test_ranges_are_shown_as_ranges():
    program, totals = step_of()
    lines = "\n".join(told(cost(program, totals, Facts(scale=SCALE, operation=OPERATION))))
    assert "3 reads of 2,730 cells in all, 50.0 pulses" in lines
    assert "the controller takes 400 cycles, 5.33 us at the 75 MHz of ulx3s-85f" in lines
    assert "Array, step: reads 300 ns to 600 ns and up to 109 pJ, pulses 1.56 us to 50 us and 800 pJ to 900 pJ" in lines
    assert "% of the endurance of a cell in the mean" in lines
    assert said(None, "J") == "not known"
    assert said(0.0, "J") == "0 J"
    assert said([2e-15, 3e-12], "J") == "2 fJ to 3 pJ"


def test_what_a_file_does_not_say_is_named():
    program, totals = step_of()
    found = cost(program, totals, Facts(scale=SCALE.model_copy(update={"unit": "norm"}), operation=Operation(read_v=0.1, read_time_s=1e-6)))
    assert found["array"]["step"] == {
        "read_time_s": pytest.approx(3e-6),
        "pulse_time_s": None,
        "read_energy_j": None,
        "pulse_energy_j": None,
    }
    assert found["array"]["missing"] == ["pulse_width_s", "read_current_a", "pulse_up_v", "pulse_current_a", "pulse_down_v"]
    nothing = cost(program, totals, Facts())
    assert set(nothing["array"]["step"].values()) == {None}
    assert nothing["wear"]["used"] is None
    # The energy of a pulse may have been measured itself, and currents follow from siemens.
    measured = Operation(pulse_energy_j=1e-12, read_v=0.1, read_time_s=1e-6)
    figures = cost(program, totals, Facts(scale=SCALE, operation=measured))["array"]["step"]
    assert figures["pulse_energy_j"] == pytest.approx(50e-12)
    assert figures["read_energy_j"][1] == pytest.approx(2730 * 0.01 * 5e-6 * 1e-6)


def test_the_most_worn_cells():
    log = CellPulses(DEFAULT, None)
    log.begin(0, 0)
    log(np.array([[0, 0, 3, 5, 4], [0, 0, 3, 5, -2], [1, 0, 7, 1, -1]], np.int32))
    assert (log.pulses[3, 5], log.pulses[7, 1], log.pulses.sum()) == (6, 1, 7)
    program, totals = step_of()
    wear = cost(program, totals, Facts(scale=SCALE, operation=OPERATION), log.pulses)["wear"]
    assert wear["most_worn"] == [{"cell": "r3c5", "pulses": 6}, {"cell": "r7c1", "pulses": 1}]
    assert (wear["pulses_most"], wear["used"]) == (6, pytest.approx([6e-8, 6e-6]))


def test_the_mean_of_several_runs():
    program, totals = step_of()
    once = cost(program, totals, Facts(scale=SCALE, operation=OPERATION))
    more = cost(program, totals | {"PULSES_UP": 500}, Facts(scale=SCALE, operation=OPERATION))
    found = mean_step([once, None, more])
    assert found is not None
    assert found["pulses"] == 60
    assert found["pulse_time_s"] == pytest.approx([60e-6 / 32, 60e-6])
    assert mean_step([None]) is None


def test_train_and_compare_tell_it(backpulse, tmp_path):
    device = read_device(shipped()["enode"]).model_copy(update={"operation": OPERATION})
    write_device(tmp_path / "mine.toml", device)
    assert facts_of(resolved(str(tmp_path / "mine.toml"))).operation == OPERATION
    small = ("--dataset", "iris", "--layers", "4-5-3", "--tile", "16x8", "--epochs", 1, "--device", "mine.toml")
    code, out, err = backpulse("train", *small, "--json", "run.json", "--pulse-log", "log.npz")
    assert code == 0, err
    result = json.loads((tmp_path / "run.json").read_text())
    with np.load(tmp_path / "log.npz") as log:
        pulses = np.zeros((16, 8), np.int64)
        np.add.at(pulses, (log["row"], log["column"]), np.abs(log["count"]))
    wear = result["cost"]["wear"]
    assert wear["pulses_most"] == pulses.max()
    assert wear["pulses_mean"] * (5 * 5 + 6 * 3) == pytest.approx(result["pulses_up"] + result["pulses_down"])
    assert "Array, run: reads" in err
    assert "Wear: " in err
    code, out, err = backpulse("compare", *small, "--schedules", "progressive-exact,software", "--seeds", 1, "--json", "all.json")
    assert code == 0, err
    rows = {row["schedule"]: row["cost"] for row in json.loads((tmp_path / "all.json").read_text())["summary"]}
    assert rows["software"] is None
    assert rows["progressive-exact"]["pulses"] == pytest.approx(result["cost"]["of_step"]["pulses"])
    assert "What a training step costs the array" in out
    code, out, err = backpulse("train", *small[:-2], "--json", "-")
    assert code == 0, err
    assert "Wear: " not in err
    assert json.loads(out)["cost"]["array"]["missing"]

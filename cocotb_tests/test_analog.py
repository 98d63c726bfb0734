"""The analog tile against the formulas of firmware_py, with a front end in Python; broken tiles must be noticed."""

from dataclasses import replace

import pytest

from backpulse.firmware_py.analog import FrontEnd, Lines, Reference
from backpulse.firmware_py.config import DEFAULT, DeviceKind
from backpulse.rtl.tile.analog.tile import AnalogTile
from cocotb_tests.broken_analog import FAULTS, broken
from cocotb_tests.mutants import Mutants
from cocotb_tests.runner import expect_failure, run_cocotb

LINES = {
    "rows and columns": Lines(rows=5, cols=4),
    "pairs and gates": Lines(rows=3, cols=6, gates=3, reference=Reference.PAIRS),
    "one cell": Lines(rows=1, cols=1),
}


def tile(lines):
    """Return a tile and what its bench is told of it."""
    config = replace(DEFAULT, tile_rows=lines.rows, tile_cols=lines.logical_cols, device=DeviceKind.REAL, spread=0, read_noise=0)
    made = AnalogTile(config, lines, clk_khz=100, width_min=4, front_end=FrontEnd.SLICES)
    return made, {"config": config.to_words(), "lines": lines.to_word()}


@pytest.mark.parametrize("bench", ["analog_bench", "analog_safety_bench"])
@pytest.mark.parametrize("name", LINES)
def test_golden(name, bench):
    made, told = tile(LINES[name])
    run_cocotb(made, bench, name="analogtile", **told, pauses=["never", "often"])


@pytest.mark.parametrize("name", FAULTS)
def test_broken(name):
    bench = "analog_bench" if FAULTS[name] in ("reads", "pulses") else "analog_safety_bench"
    sound, told = tile(LINES["rows and columns"])
    mutants = Mutants(sound, tuple(FAULTS))
    with broken(mutants):
        expect_failure(mutants, bench, testcase=FAULTS[name], mutant=mutants.number(name), **told, pauses=["never"])


def test_broken_is_sound_without_a_fault():
    sound, told = tile(LINES["rows and columns"])
    mutants = Mutants(sound, tuple(FAULTS))
    with broken(mutants):
        run_cocotb(mutants, "analog_bench", **told, pauses=["never"])


def test_refusals():
    config = replace(DEFAULT, tile_rows=5, tile_cols=4, device=DeviceKind.REAL, spread=0, read_noise=0)
    more = {"clk_khz": 100, "width_min": 4, "front_end": FrontEnd.SLICES}
    with pytest.raises(ValueError, match="An analog tile needs a configuration of real devices with one tile"):
        AnalogTile(replace(config, tiles=2), Lines(rows=5, cols=4), **more)
    with pytest.raises(ValueError, match="Lines are 5 rows and 3 columns, and the configuration has 5 and 4"):
        AnalogTile(config, Lines(rows=5, cols=3), **more)

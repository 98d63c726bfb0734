"""The analog tile against the formulas of firmware_py, with a front end in Python; broken tiles must be noticed."""

from dataclasses import replace

import pytest
from amaranth.back import rtlil

from backpulse.firmware_py.analog import FrontEnd, Lines, Reference
from backpulse.firmware_py.config import DEFAULT, DeviceKind
from backpulse.rtl.tile.analog.tile import AnalogTile
from cocotb_tests.broken_analog import FAULTS, broken
from cocotb_tests.mutants import Mutants
from cocotb_tests.runner import run_cocotb

PLAIN = Lines(rows=5, cols=4)
PAIRS = Lines(rows=3, cols=6, gates=3, reference=Reference.PAIRS)


def tile(lines):
    """Return a tile and what its bench is told of it."""
    config = replace(DEFAULT, tile_rows=lines.rows, tile_cols=lines.logical_cols, device=DeviceKind.REAL, spread=0, read_noise=0)
    made = AnalogTile(config, lines, clk_khz=100, width_min=4, front_end=FrontEnd.SLICES)
    return made, {"config": config.to_words(), "lines": lines.to_word()}


@pytest.mark.parametrize(
    ("lines", "bench", "pauses"),
    [
        (PAIRS, "analog_bench", ["never"]),
        (PLAIN, "analog_bench", ["often"]),
        (PLAIN, "analog_safety_bench", ["never"]),
        (PLAIN, "analog_faults_bench", ["never"]),
    ],
)
def test_golden(lines, bench, pauses):
    """Those with faults and those without lie in one design, so that it is compiled once."""
    made, told = tile(lines)
    if lines is PAIRS:
        run_cocotb(made, bench, name="pairs", **told, pauses=pauses)
        return
    mutants = Mutants(made, tuple(FAULTS))
    told |= {"mutants": {fault: mutants.number(fault) for fault in FAULTS}, "faults": FAULTS}
    with broken(mutants):
        run_cocotb(mutants, bench, **told, pauses=pauses)


def test_one_cell():
    made, _ = tile(Lines(rows=1, cols=1))
    assert "module \\top" in rtlil.convert(made)


def test_refusals():
    config = replace(DEFAULT, tile_rows=5, tile_cols=4, device=DeviceKind.REAL, spread=0, read_noise=0)
    more = {"clk_khz": 100, "width_min": 4, "front_end": FrontEnd.SLICES}
    with pytest.raises(ValueError, match="An analog tile needs a configuration of real devices with one tile"):
        AnalogTile(replace(config, tiles=2), Lines(rows=5, cols=4), **more)
    with pytest.raises(ValueError, match="Lines are 5 rows and 3 columns, and the configuration has 5 and 4"):
        AnalogTile(config, Lines(rows=5, cols=3), **more)

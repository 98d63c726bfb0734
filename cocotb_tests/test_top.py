"""The whole board through its UART pins; a fault deep inside must be noticed there too."""

from unittest import mock

from backpulse.gateware.chip.top import Top
from backpulse.gateware.link.microcode import CLOCKS_MIN
from backpulse.rtl.units.reader import auto_range
from cocotb_tests.mutants import Mutants
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.test_core import IDEAL_CELLS, SMALLEST

CLOCKS_PER_BIT = 4
BENCH = {"config": IDEAL_CELLS.to_words(), "clocks_per_bit": CLOCKS_PER_BIT}


MUTANTS = Mutants(Top(IDEAL_CELLS, clk_hz=CLOCKS_PER_BIT * 1e6, baud=1e6), ("auto range",))


def _unshifted(config, magnitude, enable):
    """Drive error vectors as they are."""
    return MUTANTS.fault("auto range", 0, auto_range(config, magnitude, enable))


def _run(run, name: str) -> None:
    with mock.patch("backpulse.rtl.units.units.auto_range", _unshifted):
        run(MUTANTS, "top_bench", name="top", mutant=MUTANTS.number(name), **BENCH)


def test_top():
    _run(run_cocotb, "none")


def test_lean():
    """A processor is the link, and keeps the registers."""
    top = Top(SMALLEST, clk_hz=CLOCKS_MIN * 1e6, baud=1e6)
    run_cocotb(top, "top_bench", config=SMALLEST.to_words(), clocks_per_bit=CLOCKS_MIN)


def test_lean_baud():
    message = "Baud rate of a lean machine must be at most 1000000 with a clock of 16000000 Hz, not 2000000"
    refused(message, Top, SMALLEST, clk_hz=16e6, baud=2e6)


def test_broken():
    _run(expect_failure, "auto range")

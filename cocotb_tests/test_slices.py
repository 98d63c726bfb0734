"""The slices on models of their chips; broken ones must be noticed."""

import pytest

from backpulse.gateware.front_end.models import SLICE_VERILOG
from backpulse.gateware.front_end.slices import Slices
from backpulse.gateware.front_end.spi import Shifter
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.slices_board import CLK_HZ, MUTANTS, TIMES, SlicesBoard

ALIVE = TIMES.cycles("alive", CLK_HZ)


def _run(run, *, slices: int = 1, divisor: int = 2, pauses=("never",), lags=(0, 1, 15), **arguments) -> None:
    board = SlicesBoard(slices=slices, divisor=divisor)
    run(
        board,
        "slices_bench",
        verilog=SLICE_VERILOG,
        slices=slices,
        divisor=divisor,
        pauses=pauses,
        lags=lags,
        alive=ALIVE,
        **arguments,
    )


def test_one():
    _run(run_cocotb, pauses=("never", "bursts"))


def test_four():
    _run(run_cocotb, slices=4, divisor=4, testcase="drives_and_senses")


@pytest.mark.parametrize("name", MUTANTS)
def test_broken(name):
    testcase = "tells_failures" if name == "toggle" else "drives_and_senses"
    _run(expect_failure, mutant=MUTANTS.index(name) + 1, testcase=testcase)


def test_what_cannot_be():
    refused("Slices must be one of 1, 2, 4, not 3", Slices, slices=3, clk_hz=50e6)
    refused("Divisor of the serial clock must be even and at least 2, not 3", Slices, slices=1, clk_hz=50e6, divisor=3)
    refused("Divisor of the serial clock must be even and at least 2, not 0", Shifter, width=1, lanes=1, inputs=1, chips=1, divisor=0)
    refused("Range of a DAC81416 must be one of 2.5, 5, 10, 20 V, not 3 V", Slices, slices=1, clk_hz=50e6, dac_volts=3.0)
    refused("Range of an ADS8686S must be one of 2.5, 5, 10 V, not 20 V", Slices, slices=1, clk_hz=50e6, adc_volts=20.0)

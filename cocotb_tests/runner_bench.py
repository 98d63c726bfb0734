"""Bench of the runner itself: a counter that counts by the step it was told."""

import warnings

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from cocotb_tests.parameters import parameters


@cocotb.test(timeout_time=10, timeout_unit="us")
async def counts(dut):
    """The counter advances by the step each cycle."""
    step = parameters()["step"]
    dut.rst.value = 1
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    for i in range(20):
        assert int(dut.count.value) == i * step % 256
        await FallingEdge(dut.clk)


@cocotb.test(timeout_time=10, timeout_unit="us")
async def warnings_are_errors(dut):
    """A warning raises in this process."""
    with pytest.raises(UserWarning):
        warnings.warn("a warning", stacklevel=1)


@cocotb.test(skip="broken" not in parameters())
async def is_broken(dut):
    """A bench with a mistake of its own."""
    raise NameError("no such thing")

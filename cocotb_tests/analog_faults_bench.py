"""Bench of the analog tiles with a fault each: a test of the others' sees it."""

import cocotb
from cocotb.triggers import SimTimeoutError

from cocotb_tests import analog_bench, analog_safety_bench
from cocotb_tests.parameters import parameters

MUTANTS, FAULTS = parameters()["mutants"], parameters()["faults"]


@cocotb.test(timeout_time=1, timeout_unit="ms", expect_error=(AssertionError, SimTimeoutError))
@cocotb.parametrize(fault=[*FAULTS])
async def noticed(dut, fault):
    """An assertion fails, or nothing happens any more."""
    dut.mutant.value = MUTANTS[fault]
    test = getattr(analog_bench, FAULTS[fault], None) or getattr(analog_safety_bench, FAULTS[fault])
    await test.func(dut, **({} if FAULTS[fault] in ("arming", "limits", "budget", "trips") else {"pause": "never"}))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sound(dut):
    """Without a fault all is right."""
    dut.mutant.value = 0
    await analog_bench.reads.func(dut, pause="never")

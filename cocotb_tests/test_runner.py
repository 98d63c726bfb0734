"""The runner notices what it must: failures, mistakes in a bench, benches without tests."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportInvalidTypeForm=false

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from cocotb_tests.runner import BenchError, expect_failure, run_cocotb


class Counter(wiring.Component):
    """Counts by `step` each cycle."""

    count: Out(8)

    def __init__(self, *, step: int) -> None:
        self._step = step
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.count.eq(self.count + self._step)
        return m


def test_passes():
    run_cocotb(Counter(step=3), "runner_bench", step=3)


def test_failure_is_seen():
    with pytest.raises(BenchError, match="counts"):
        run_cocotb(Counter(step=3), "runner_bench", step=4)
    expect_failure(Counter(step=3), "runner_bench", step=4)


def test_a_correct_component_is_no_broken_variant():
    with pytest.raises(AssertionError, match="did not notice"):
        expect_failure(Counter(step=3), "runner_bench", step=3)


def test_a_mistake_in_the_bench_is_no_detection():
    with pytest.raises(RuntimeError, match="broke instead of judging"):
        expect_failure(Counter(step=3), "runner_bench", step=3, broken=True)


def test_a_bench_that_cannot_be_imported():
    with pytest.raises(RuntimeError):
        run_cocotb(Counter(step=3), "no_such_bench")


def test_no_test_ran():
    with pytest.raises(RuntimeError):
        run_cocotb(Counter(step=3), "runner_bench", testcase="no_such_test", step=3)

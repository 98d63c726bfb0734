"""Counters and rings; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

import pytest
from amaranth.hdl import EnableInserter, Signal

from backpulse.firmware_py.registers import Counter
from backpulse.rtl.core.counters import Ring, Totals
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

DEPTH = 32
WIDTHS = dict.fromkeys(Counter, 1) | {Counter.LOSS: 32, Counter.PULSES_UP: 10, Counter.PULSES_DOWN: 10, Counter.PULSES_CLIPPED: 6}


class KeepsResults(Totals):
    """Does not start RESULTS anew."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.sync += self.values[Counter.RESULTS].eq(self.values[Counter.RESULTS] + self.add_results)
        return m


class Stops(Totals):
    """Stops at the top where it should wrap."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        total = Signal(33)
        m.d.comb += total.eq(self.values[Counter.LOSS] + self.add_loss)
        with m.If(total[32]):
            m.d.sync += self.values[Counter.LOSS].eq(0xFFFFFFFF)
        return m


class Answers(Ring):
    """Has no errors: answers where there is nothing, and to writes."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.host.request):
            m.d.sync += self.host.error.eq(0)
        return m


def _run(component, run, block, pauses):
    widths = [WIDTHS[counter] for counter in Counter]
    run(component, "counters_bench", depth=DEPTH, block=block, widths=widths, pauses=pauses)


@pytest.mark.parametrize("block", ["counters", "ring"])
def test_golden(block):
    _run(Totals(WIDTHS) if block == "counters" else Ring(DEPTH), run_cocotb, block, PATTERNS[:3])


@pytest.mark.parametrize("variant", [KeepsResults, Stops])
def test_broken_counters(variant):
    _run(variant(WIDTHS), expect_failure, "counters", ["never"])


class RunsOn(Ring):
    """Does not start anew."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        return EnableInserter({"sync": ~self.clear})(m)


@pytest.mark.parametrize("variant", [Answers, RunsOn])
def test_broken_ring(variant):
    _run(variant(DEPTH), expect_failure, "ring", ["never"])

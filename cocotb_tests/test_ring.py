"""A ring of words; a broken one must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

import pytest
from amaranth.hdl import EnableInserter

from backpulse.rtl.core.ring import Ring
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

DEPTH = 32


class Answers(Ring):
    """Has no errors: answers where there is nothing, and to writes."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.host.request):
            m.d.sync += self.host.error.eq(0)
        return m


class RunsOn(Ring):
    """Does not start anew."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        return EnableInserter({"sync": ~self.clear})(m)


def _run(component, run, pauses):
    run(component, "ring_bench", depth=DEPTH, pauses=pauses)


def test_golden():
    _run(Ring(DEPTH), run_cocotb, PATTERNS[:3])


@pytest.mark.parametrize("variant", [Answers, RunsOn])
def test_broken(variant):
    _run(variant(DEPTH), expect_failure, ["never"])

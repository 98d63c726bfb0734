"""A ring of words; a broken one must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

import pytest
from amaranth.hdl import EnableInserter

from backpulse.rtl.core.ring import Ring
from cocotb_tests.mutants import Variants
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


VARIANTS = Variants(Ring(DEPTH), {"answers": Answers(DEPTH), "runs on": RunsOn(DEPTH)})


def _run(run, variant, pauses):
    run(VARIANTS, "ring_bench", name="ring", depth=DEPTH, pauses=pauses, mutant=VARIANTS.number(variant))


def test_golden():
    _run(run_cocotb, "none", PATTERNS[:3])


@pytest.mark.parametrize("variant", ["answers", "runs on"])
def test_broken(variant):
    _run(expect_failure, variant, ["never"])

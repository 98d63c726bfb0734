"""The tap on a tile's answers and its ring; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

from dataclasses import replace

import pytest
from amaranth.hdl import Module, Signal

from backpulse.firmware_py.config import DEFAULT
from backpulse.rtl.core.trace import Trace
from cocotb_tests.mutants import Mutants
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

CONFIG = replace(DEFAULT, tile_rows=8, tile_cols=4, trace_words=8)
FAULTS = {
    "drops": "records",
    "doubles": "records",
    "whitewashes": "records",
    "overwrites": "full",
    "stands still": "full",
    "delays": "no_delay",
}
"""The faults, and the test that must notice each."""


class Broken(Trace):
    """Has the fault whose number is its port `mutant`."""

    mutants: Mutants

    def elaborate(self, platform) -> Module:
        m = super().elaborate(platform)
        ring, core, tile = m.submodules.ring, self.core, self.to_tile
        units = Signal(6)
        seventh = Signal()
        odd = Signal()
        m.d.sync += [units.eq(units + ring.en), odd.eq(~odd)]
        m.d.comb += seventh.eq(units == 7)

        def has(name):
            return m.If(self.mutants.fault(name, 1, 0))

        with has("drops"), m.If(seventh & core.sense.valid & core.sense.ready):
            m.d.comb += ring.en.eq(0)
            m.d.sync += units.eq(units + 1)
        with has("doubles"), m.If(seventh):
            m.d.comb += ring.en.eq(1)
        with has("whitewashes"):
            m.d.comb += ring.word[2:4].eq(0)
        with has("overwrites"):
            m.d.comb += [core.sense.valid.eq(tile.sense.valid), tile.sense.ready.eq(core.sense.ready)]
        with has("stands still"):
            m.d.comb += core.progress.eq(tile.progress)
        with has("delays"), m.If(~self.on & odd):
            m.d.comb += [core.sense.valid.eq(0), tile.sense.ready.eq(0)]
        return m


def _run(run, **more):
    component = Mutants(broken := Broken(CONFIG), tuple(FAULTS))
    broken.mutants = component
    number = component.number(more.pop("fault", "none"))
    run(component, "trace_bench", name="trace", config=CONFIG.to_words(), mutant=number, **more)


def test_golden():
    _run(run_cocotb, pauses=PATTERNS)


@pytest.mark.parametrize("fault", FAULTS)
def test_broken(fault):
    _run(expect_failure, fault=fault, testcase=FAULTS[fault], pauses=["often"])


def test_validation():
    refused("Configuration field trace_words must be 2 at least where there is a trace, not 0", Trace, replace(CONFIG, trace_words=0))

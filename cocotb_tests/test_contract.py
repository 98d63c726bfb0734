"""The core's side of the tile contract, with a tile that follows a script; broken cores must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false

from unittest import mock

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from backpulse.rtl.core.sequencer import Sequencer
from backpulse.rtl.tile.signature import Status
from cocotb_tests.mutants import Mutants, through
from cocotb_tests.open_machine import OpenMachine
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.test_core import IDEAL_CELLS

DEAF = {"trip": "trips", "progress": "progress", "tile_busy": "busy", "miscounted": "miscounts"}
"""What the sequencer may not hear, and the test that then fails."""
MUTANTS = Mutants(OpenMachine(IDEAL_CELLS), (*DEAF, "status", "abort"))


class Deaf(wiring.Component):
    """A sequencer that does not hear something of the tile, or aborts it only until it is safe."""

    def __init__(self, config):
        self._inner = Sequencer(config)
        super().__init__(self._inner.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self._inner
        through(m, self, inner)
        for name in DEAF:
            m.d.comb += getattr(inner, name).eq(MUTANTS.fault(name, 0, getattr(self, name)))
        status = self.completion.p.status.as_value()
        m.d.comb += [
            inner.completion.p.status.eq(MUTANTS.fault("status", Status.OK.value, status)),
            self.tile_abort.eq(MUTANTS.fault("abort", self.abort, inner.tile_abort)),
        ]
        return m


def _run(run, name: str, **arguments) -> None:
    with mock.patch("backpulse.rtl.core.core.Sequencer", Deaf):
        run(MUTANTS, "contract_bench", config=IDEAL_CELLS.to_words(), mutant=MUTANTS.number(name), **arguments)


def test_golden():
    _run(run_cocotb, "none")


@pytest.mark.parametrize(("name", "testcase"), [*DEAF.items(), ("status", "fails"), ("abort", "aborts")])
def test_broken(name, testcase):
    _run(expect_failure, name, testcase=testcase)

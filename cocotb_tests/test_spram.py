"""The UP5K's sample store behaves as the store of other boards; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from dataclasses import replace
from unittest import mock

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.gateware.chip.spram import WORDS_MAX, SpramStore
from cocotb_tests.mutants import Variants
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb

from .test_memories import CONFIG, SamplesOnStore

DEPTH = 32
"""Words of a memory here: two of them hold the bench's 64 words."""


class Model(wiring.Component):
    """What SB_SPRAM256KA does, with fewer words: one port, and no data while it is not selected or writes."""

    addr: In(14)
    w_data: In(16)
    write: In(1)
    select: In(1)
    r_data: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=DEPTH, init=[])
        w, r = memory.write_port(), memory.read_port()
        m.d.comb += [w.addr.eq(self.addr), w.data.eq(self.w_data), w.en.eq(self.select & self.write)]
        m.d.comb += [r.addr.eq(self.addr), r.en.eq(self.select & ~self.write), self.r_data.eq(r.data)]
        return m


class Deaf(Model):
    """Writes though it is not selected."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Model()
        m.d.comb += [inner.addr.eq(self.addr), inner.w_data.eq(self.w_data), inner.write.eq(self.write), inner.select.eq(1)]
        m.d.comb += self.r_data.eq(inner.r_data)
        return m


class SamplesOnSpram(SamplesOnStore):
    """The loader with the UP5K's store."""

    def __init__(self, config, block):
        with mock.patch("cocotb_tests.test_memories.Store", lambda config: SpramStore(config, block=block, depth=DEPTH)):
            super().__init__(config)


VARIANTS = Variants(SamplesOnSpram(CONFIG, Model), {"deaf": SamplesOnSpram(CONFIG, Deaf)})


def _run(run, variant, pauses):
    told = {"config": CONFIG.to_words(), "block": "samples", "pauses": pauses}
    run(VARIANTS, "samples_bench", name="samples_on_spram", mutant=VARIANTS.number(variant), **told)


def test_golden():
    _run(run_cocotb, "none", ["bursts"])


def test_broken():
    _run(expect_failure, "deaf", ["never"])


def test_a_store_that_is_too_large_is_refused():
    text = f"Sample store in SPRAM must be at most {WORDS_MAX} words, not {WORDS_MAX + 1}"
    refused(text, SpramStore, replace(CONFIG, store_words=WORDS_MAX + 1))

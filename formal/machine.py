"""Properties of the controller: samples, sequencer, fetch, planner."""

from dataclasses import replace

from amaranth.hdl import Assert, Assume, Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import data

from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.isa import LEGAL, OPERATIONS, Op, Unit
from backpulse.firmware_py.registers import CAUSE_AT, Fault, State
from backpulse.rtl.core.decode import any_of
from backpulse.rtl.core.prefetch import Prefetch
from backpulse.rtl.core.samples import Samples
from backpulse.rtl.core.sequencer import Sequencer
from backpulse.rtl.lib.layouts import control_name, decoded_layout
from backpulse.rtl.units.planner import Planner

from .harness import Harness, holds, past

__all__ = [
    "TINY",
    "Credit",
    "FetchJudges",
    "PlannerCounts",
    "PlannerStream",
    "Polarity",
    "SequencerAbort",
    "SequencerCommand",
    "SequencerFault",
    "SequencerOutstanding",
    "SequencerReset",
    "SequencerTrip",
]

TINY = replace(
    IDEAL, tile_rows=2, tile_cols=2, page_bytes=16, store_words=64, order_depth=16, vector_words=64, vectors=8, regions=2, program_words=8
)
"""The smallest machine that has everything."""


class Credit(Harness):
    """Credit is the samples granted less those begun and those forgotten: never below zero, never above order_depth."""

    block = "rtl.core.samples.Samples"
    mutant = "a sample that is being loaded when the order is cleared counts on"
    mutant_depth = 8

    def make(self):
        return Samples(TINY)

    def break_(self, m):
        m.d.sync += self.signal("dropped").eq(0)

    def check(self, m: Module, dut):
        depth = TINY.order_depth
        # What the link (`GrantFits`) and the sequencer (`SequencerFault`) are proved to keep to.
        m.d.comb += [
            Assume(~dut.order.valid | (dut.room != 0)),
            Assume(~dut.order.valid | ~dut.clear),
            Assume(~dut.take | dut.ready),
        ]
        balance = Signal(range(-1, depth + 2))
        m.d.sync += balance.eq(balance + (dut.order.valid & dut.order.ready) - dut.take)
        with m.If(dut.clear):
            m.d.sync += balance.eq(0)
        loading = self.in_state("MULTIPLY", "LOAD", "WORD")
        self.lemmas(m, ~loading | ~dut.ready, ~dut.ready | (dut.credit != 0), ~loading | self.signal("dropped") | (dut.credit != 0))
        m.d.comb += [
            Assert(dut.credit == balance),
            Assert(dut.credit <= depth),
            Assert(dut.room == depth - dut.credit),
            Assert(~dut.order.valid | dut.order.ready),
        ]


def decoded(ins) -> Value:
    """Say whether a decoded instruction has one operation, and the unit that does it (what `FetchJudges` proves)."""
    return Cat(
        Cat(ins[control_name(other)] == (other is op) for other in Op).all()
        & Cat(ins[control_name(unit)] == (unit is operation.unit) for unit in Unit).all()
        for op, operation in OPERATIONS.items()
    ).any()


class _Sequencer(Harness):
    block = "rtl.core.sequencer.Sequencer"
    mutant_depth = 6

    def make(self):
        return Sequencer(TINY)

    def quiet(self):
        """Return whether the machine does nothing."""
        dut = self.dut
        return dut.clear & ~dut.run & ~dut.begin & ~dut.cmd.valid & ~dut.sample_take & ~dut.step

    def begun(self, m: Module):
        """Assume that instructions come as a stream; then what has begun runs on, and is what it was."""
        holds(m, self.dut.ins, Assume, dropped=self.dut.clear)
        m.d.comb += Assume(~self.dut.ins.valid | (self.dut.ins.p.fault == Fault.UNKNOWN_WORD) | decoded(self.dut.ins.p))
        units = {"reads": "reader", "pulse": "planner", "alu": "arithmetic"}
        same = [self.signal(f"{kind}1") == self.dut.ins.p[unit] for kind, unit in units.items()]
        self.lemmas(m, ~self.signal("begun") | self.dut.clear | (self.dut.run & Cat(same).all()))


class SequencerAbort(_Sequencer):
    """The cycle after `abort`, in any state, nothing runs and the machine is in a fault; it stays so until `start`."""

    mutant = "a start that takes effect in the same cycle wins over the abort"

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(self.in_state("STARTING") & ~self.dut.tile_busy & ~self.signal("outstanding")):
            m.d.sync += fsm.state.eq(fsm.encoding["RUN"])

    def check(self, m: Module, dut):
        aborted = Signal()
        with m.If(dut.abort):
            m.d.sync += aborted.eq(1)
        with m.Elif(dut.start):
            m.d.sync += aborted.eq(0)
        with m.If(aborted):
            m.d.comb += [Assert(self.quiet()), Assert(dut.state == State.FAULT)]


class SequencerTrip(_Sequencer):
    """The cycle after the tile trips, in any state, nothing runs, and a fault names tile and cause if there was none; so while it lasts."""

    mutant = "a trip is not looked at while the machine is idle"

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(self.in_state("IDLE") & ~self.dut.abort & ~self.dut.start):
            m.d.sync += fsm.state.eq(fsm.encoding["IDLE"])

    def check(self, m: Module, dut):
        tripped = (dut.trip != 0) & ~dut.start
        with m.If(past(m, tripped)):
            m.d.comb += [Assert(self.quiet()), Assert(dut.state == State.FAULT)]
        cause = past(m, dut.trip)
        with m.If(past(m, tripped & (dut.state != State.FAULT) & ~dut.abort)):
            m.d.comb += Assert(dut.fault[:16] == (Fault.TILE | cause << CAUSE_AT))


class SequencerOutstanding(_Sequencer):
    """No command is offered before the last one has completed; the tile is aborted while one has not and the machine has stopped."""

    mutant = "a start does not wait for the command that was aborted"
    mutant_depth = 10

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(self.in_state("STARTING")):
            m.d.sync += fsm.state.eq(fsm.encoding["RUN"])

    def check(self, m: Module, dut):
        self.begun(m)
        taken = Signal()
        with m.If(dut.cmd.valid & dut.cmd.ready):
            m.d.sync += taken.eq(1)
        with m.If(dut.completion.valid):
            m.d.sync += taken.eq(0)
        self.lemmas(
            m,
            self.signal("outstanding") == taken,
            dut.clear | ~taken | self.signal("commanded"),
            dut.clear | ~self.signal("commanded") | (self.signal("begun") & ~dut.ins.p.arithmetic),
            ~self.signal("completed") | (self.signal("commanded") & ~taken),
        )
        m.d.comb += [Assert(~(dut.cmd.valid & taken)), Assert(dut.tile_abort == (dut.clear & taken))]
        with m.If(past(m, self.in_state("STARTING") & (dut.tile_busy | taken))):
            m.d.comb += Assert(dut.clear)


class SequencerReset(_Sequencer):
    """The cycle after a reset, in any state, the machine is idle and nothing runs."""

    mutant = "the reset is not connected"

    def __init__(self, *, broken: bool = False) -> None:
        self._reset = Signal()
        super().__init__(broken=broken)
        if not broken:
            self.inner = ResetInserter(self._reset)(self.inner)

    def inputs(self):
        return [*super().inputs(), self._reset]

    def check(self, m: Module, dut):
        with m.If(past(m, self._reset)):
            m.d.comb += [Assert(self.quiet()), Assert(dut.state == State.IDLE), Assert(dut.fault == 0)]


class SequencerFault(_Sequencer):
    """An instruction with a fault code is never executed: nothing begins, and the next cycle the machine is in a fault that says why."""

    mutant = "a faulty instruction runs like any other until the fault is seen"

    def break_(self, m):
        m.d.comb += self.dut.run.eq(self.dut.ins.valid)

    def check(self, m: Module, dut):
        faulty = dut.ins.valid & (dut.ins.p.fault != Fault.NONE)
        at_work = ~dut.clear
        self.begun(m)
        m.d.comb += Assert(~dut.sample_take | dut.sample_ready)
        with m.If(faulty & at_work):
            m.d.comb += [Assert(~dut.run), Assert(~dut.begin), Assert(~dut.cmd.valid), Assert(~dut.sample_take), Assert(~dut.ins.ready)]
        with m.If(past(m, faulty & at_work)):
            m.d.comb += [Assert(self.quiet()), Assert(dut.state == State.FAULT), Assert(dut.fault[:16] != Fault.NONE)]
        fault = past(m, dut.ins.p.fault | dut.ins.p.pc << 16)
        with m.If(past(m, faulty & at_work & ~dut.abort & (dut.trip == 0) & ~dut.completion.valid)):
            m.d.comb += Assert(dut.fault == fault)


class SequencerCommand(_Sequencer):
    """A command to the tile keeps the stream contract, unless the machine is stopped."""

    mutant = "a command that waits is withdrawn"

    def break_(self, m):
        waited = Signal()
        m.d.sync += waited.eq(self.dut.cmd.valid)
        with m.If(waited):
            m.d.comb += self.dut.cmd.valid.eq(0)

    def check(self, m: Module, dut):
        self.begun(m)
        m.d.comb += Assume(dut.bank == past(m, dut.bank))
        self.lemmas(m, ~self.signal("completed") | self.signal("commanded"))
        holds(m, dut.cmd, Assert, dropped=dut.clear)


class FetchJudges(Harness):
    """Whatever the memories hold, an illegal word is handed over with its fault code, and each keeps the stream contract.

    A word is illegal, too, if it names a profile and no region.
    """

    block = "rtl.core.prefetch.Prefetch"
    mutant = "every operation may have every function"
    mutant_depth = 9
    quick = False

    def make(self):
        return Prefetch(TINY)

    def break_(self, m):
        m.d.comb += self.signal("word_is_legal").eq(1)

    def check(self, m: Module, dut):
        o = dut.o
        pair = Cat(o.p.op, o.p.function)
        known = Cat(pair == (op | function << 4) for op, function in LEGAL).any()
        with m.If(o.valid & (o.p.fault != Fault.UNKNOWN_WORD)):
            # NEXT has no function: it may be fetched through, and then those fields are stale.
            placed = any_of(o.p, lambda operation: operation.region)
            m.d.comb += [Assert((known & (placed | (o.p.profile == 0))) | o.p.next), Assert(decoded(o.p))]
        # The word stays while it is decoded.
        word = data.View(decoded_layout(TINY), self.signal("decoded"))
        placed = any_of(word, lambda operation: operation.region)
        stays = self.in_state("TABLES", "READY") & (self.signal("step") != 0)
        self.lemmas(m, ~stays | ~self.signal("known") | placed | (word.profile == 0))
        kept = Cat(Cat(self.signal("op"), self.signal("function")) == (op | function << 4) for op, function in LEGAL).any()
        self.lemmas(m, ~self.signal("known") | kept)
        holds(m, o, Assert, drop=dut.clear)


class _Planner(Harness):
    block = "rtl.units.planner.Planner"
    config = TINY

    def make(self):
        return Planner(self.config)


class PlannerCounts(_Planner):
    """No cell of a row gets more than pulse_max pulses, and lanes together no more than that each."""

    mutant = "one pulse more is let through"
    mutant_depth = 10
    most = 30

    def make(self):
        return Planner(replace(TINY, pulse_max=self.most + self.broken))

    def check(self, m: Module, dut):
        for count in (dut.o_counts.payload[i] for i in range(TINY.tile_cols)):
            m.d.comb += Assert((count <= self.most) & (count >= -self.most))
        m.d.comb += Assert(dut.up + dut.down <= TINY.tile_cols * self.most)


class Polarity(_Planner):
    """A cell is never pulsed up and down in one row, and a clipped one gets exactly pulse_max."""

    config = replace(TINY, tile_cols=1)
    mutant = "pulses up are counted as pulses down too"
    mutant_depth = 10

    def break_(self, m):
        m.d.sync += self.signal("term", number=1).eq(self.signal("term", number=0))

    def check(self, m: Module, dut):
        m.d.comb += Assert((dut.up == 0) | (dut.down == 0))
        with m.If(dut.clipped):
            m.d.comb += Assert(dut.up + dut.down == self.config.pulse_max)


class PlannerStream(_Planner):
    """Rows of counts keep the stream contract, unless the planner is cleared; each row word gives one row."""

    mutant = "rows move on without waiting for the tile"
    mutant_depth = 10

    def break_(self, m):
        m.d.comb += self.signal("move").eq(1)

    def check(self, m: Module, dut):
        left, to_give, full = self.signal("rows_left"), self.signal("to_give"), self.signal("full")
        self.lemmas(m, to_give == left + sum(full[1:], full[0]))
        holds(m, dut.o_counts, Assert, drop=dut.clear)

"""Properties of the tap on a tile's answers and its ring."""

from dataclasses import replace

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal

from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.trace import PULSE_UNITS, SHORT_UNITS, Kind, ring_units
from backpulse.rtl.core.trace import Trace

from .harness import Harness, holds, past
from .machine import TINY

__all__ = ["TraceKeeps", "TraceStreams", "TraceWhole"]

RING = replace(TINY, trace_words=4)
ANSWERS = ("sense", "short", "completion")


def fires(port):
    """Return whether a word is taken."""
    return port.valid & port.ready


class _Trace(Harness):
    block = "rtl.core.trace.Trace"

    def make(self):
        return Trace(RING)

    def assumptions(self, m: Module):
        """Assume a host that reads what was written, and a tile that keeps its streams and their order."""
        dut, tile, units = self.dut, self.dut.to_tile, ring_units(RING)
        self.used = Signal.like(dut.written)
        step, of_short = self.signal("step"), self.signal("begun_short")
        before, waits = past(m, dut.read), past(m, tile.completion.valid & ~tile.completion.ready & ~tile.short.valid)
        freed = Signal.like(dut.written)
        room = Signal.like(dut.written)
        m.d.comb += [
            self.used.eq(dut.written - dut.read),
            freed.eq(dut.read - before),
            room.eq(dut.written - before),
            Assume(freed <= room),
            Assume(dut.read[len(dut.written) :] == 0),
            Assume(~past(m, dut.on) | dut.on | (step == 0)),
            Assume(dut.on | (dut.read == 0)),
        ]
        holds(m, tile.sense, Assume, drop=dut.core.abort)
        for name in ("short", "completion"):
            holds(m, getattr(tile, name), Assume)
        m.d.comb += [
            Assume(~waits | ~tile.short.valid),
            Assume(~fires(tile.cmd) | ~tile.completion.valid),
        ]
        self.lemmas(m, self.used <= units, (step == 0) | Mux(of_short, tile.short.valid, tile.completion.valid))


class TraceKeeps(_Trace):
    """No unit that the host has not read is written over, and while the ring is full the tile's answers wait."""

    mutant = "a sense word passes while the ring is full"
    mutant_depth = 14

    def break_(self, m):
        tile, core = self.dut.to_tile, self.dut.core
        with m.If(self.dut.on & (self.signal("step") == 0)):
            m.d.comb += [core.sense.valid.eq(tile.sense.valid), tile.sense.ready.eq(core.sense.ready)]

    def check(self, m: Module, dut):
        self.assumptions(m)
        units = ring_units(RING)
        full = self.used == units
        taken = Cat(fires(getattr(dut.to_tile, name)) for name in ANSWERS).any()
        m.d.comb += [Assert(self.used <= units), Assert(~(dut.on & full & taken))]
        m.d.comb += [Assert(dut.core.progress | ~(dut.on & full & dut.to_tile.sense.valid))]


class TraceWhole(_Trace):
    """While it is on, each answer that the core takes is taken off the tile once, and leaves exactly the units of its record, none else."""

    mutant = "the completion of a PULSE is passed when its first unit is written"
    mutant_depth = 14

    def break_(self, m):
        with m.If(self.signal("records") & ~self.signal("is_short")):
            m.d.comb += self.signal("last").eq(0)

    def check(self, m: Module, dut):
        self.assumptions(m)
        core, tile = dut.core, dut.to_tile
        step, op = self.signal("step"), self.signal("op")
        wrote = Signal()
        # Units of the record that is being written, and the kind of the first of them.
        so_far = Signal(range(PULSE_UNITS + 1))
        first = Signal(2)
        word = self.signal("word")
        m.d.comb += wrote.eq(self.signal("en"))
        for name in ANSWERS:
            m.d.comb += [
                Assert(fires(getattr(core, name)) == fires(getattr(tile, name))),
                Assert(getattr(core, name).payload == getattr(tile, name).payload),
            ]
        ended = Cat(fires(getattr(core, name)) for name in ANSWERS)
        with m.If(~dut.on | ended.any()):
            m.d.sync += so_far.eq(0)
        with m.Elif(wrote):
            m.d.sync += so_far.eq(so_far + 1)
        with m.If(wrote & (so_far == 0)):
            m.d.sync += first.eq(word[:2])
        units = Mux(ended[0], 1, Mux(ended[1], SHORT_UNITS, Mux(op == Op.PULSE, PULSE_UNITS, 1)))
        kind = Mux(ended[0], Kind.SENSE, Mux(ended[1], Kind.SHORT, Kind.COMPLETION))
        with m.If(dut.on & ended.any()):
            m.d.comb += [
                Assert(wrote),
                Assert(ended[0] + ended[1] + ended[2] == 1),
                Assert(so_far + 1 == units),
                Assert(Mux(so_far == 0, word[:2], first) == kind),
            ]
        with m.If(dut.on & ended[0]):
            sense = tile.sense.p
            m.d.comb += [Assert(word[4:].as_signed() == sense.value), Assert(word[2:4] == Cat(sense.over, sense.last))]
        self.lemmas(m, ~dut.on | (so_far == step), (step == 0) | (first == Mux(self.signal("begun_short"), Kind.SHORT, Kind.COMPLETION)))


class TraceStreams(_Trace):
    """The core's streams keep their contract, on or off, whoever is first."""

    mutant = "a completion that is on offer gives way to a sense word"
    mutant_depth = 12

    def break_(self, m):
        m.d.sync += self.signal("offered").eq(0)

    def check(self, m: Module, dut):
        self.assumptions(m)
        same = dut.on == past(m, dut.on)
        core = dut.core
        holds(m, core.sense, Assert, drop=core.abort, dropped=~same)
        for name in ("short", "completion"):
            holds(m, getattr(core, name), Assert, dropped=~same)

"""Properties of the analog tile: what switches drivers off, and what can never be driven."""

from contextlib import ExitStack
from dataclasses import replace
from unittest import mock

from amaranth.hdl import Assert, Assume, ClockDomain, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from backpulse.firmware_py.analog import ARM_FIRST, ARM_SECOND, FrontEnd, Lines, Phase
from backpulse.firmware_py.config import DeviceKind
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ArrayWord, Cause, Window
from backpulse.rtl.tile.analog import tile
from backpulse.rtl.tile.analog.codes import CodeSource
from backpulse.rtl.tile.analog.guard import Guard
from backpulse.rtl.tile.analog.interlock import Interlock
from backpulse.rtl.tile.analog.profile import profile_layout
from backpulse.rtl.tile.analog.tile import FACTS, AnalogTile
from backpulse.rtl.tile.signature import command_layout, window_code

from .harness import Harness, past
from .machine import TINY as TINY_MACHINE

__all__ = [
    "AnalogBudget",
    "AnalogCodes",
    "AnalogDone",
    "AnalogLatch",
    "AnalogOff",
    "AnalogReset",
    "AnalogSets",
    "AnalogSettings",
    "AnalogSteps",
    "AnalogWidth",
]

TINY = replace(TINY_MACHINE, device=DeviceKind.REAL, pulse_max=3)
LINES = Lines(rows=2, cols=2)
"""The lines of the smallest tile that has everything."""


class _Interlock(Harness):
    block = "rtl.tile.analog.interlock.Interlock"

    def make(self):
        return Interlock(cells=LINES.cols)


class AnalogOff(_Interlock):
    """Drivers and gate are off in the cycle in which the circuit opens, ARM is withdrawn or the front end fails, and while not armed."""

    mutant = "an open circuit is heard a cycle late"

    def break_(self, m):
        late = Signal()
        m.d.sync += late.eq(self.dut.closed)
        with m.If(late & self.dut.armed):
            m.d.comb += [self.dut.cause.eq(Cause.NONE), self.dut.on.eq(1)]

    def check(self, m: Module, dut):
        reason = ~dut.closed | dut.disarm | (dut.failed != Cause.NONE) | ~dut.armed
        m.d.comb += [Assert(~(dut.on & reason)), Assert(~dut.o_gate | dut.on)]


class AnalogWidth(_Interlock):
    """No gate is high for longer than the limit of a pulse, or of a read, was when it rose."""

    quick = False
    mutant = "a gate may be high for a cycle more"

    def break_(self, m):
        limit = Mux(self.dut.pulse, self.dut.limit, self.dut.read_limit)
        with m.If(~self.signal("before")):
            m.d.sync += self.signal("left").eq(limit)

    def check(self, m: Module, dut):
        high = Signal(32)
        limit = Signal(32)
        now = Mux(dut.pulse, dut.limit, dut.read_limit)
        most = Mux(high == 0, now, limit)
        m.d.comb += Assert(~dut.o_gate | (high < most))
        m.d.sync += high.eq(Mux(dut.o_gate, high + 1, 0))
        with m.If(high == 0):
            m.d.sync += limit.eq(now)
        # The tile's timer lifts the gate anew for another pulse or read.
        before, left = self.signal("before"), self.signal("left")
        self.lemmas(m, (high == 0) | (before & (left == limit - high)), (high == 0) | (high <= limit))


class AnalogBudget(_Interlock):
    """Pulses begun since BUDGET was written are as many as it says at most, each cell's counted, unless it is all ones."""

    quick = False
    mutant = "a pulse for several cells counts as one"

    def break_(self, m):
        dut = self.dut
        with m.If(dut.on & self.signal("begins") & ~dut.budget.all() & ~dut.allow):
            m.d.sync += dut.budget.eq(dut.budget - 1)

    def check(self, m: Module, dut):
        allowed = Signal(32, init=-1)
        given = Signal(33)
        before = past(m, dut.i_gate)
        begun = Mux(dut.o_gate & dut.pulse & ~before, dut.cells, 0)
        m.d.sync += given.eq(given + begun)
        with m.If(dut.allow):
            m.d.sync += [given.eq(0), allowed.eq(dut.allowed)]
        m.d.comb += Assert(allowed.all() | (given + begun <= allowed))
        self.lemmas(m, Mux(allowed.all(), dut.budget.all(), given + dut.budget == allowed), before == self.signal("before"))


class _Guard(Harness):
    block = "rtl.tile.analog.guard.Guard"

    def make(self):
        return Guard(FACTS, {}, cells=LINES.cols)

    def written(self, word: ArrayWord):
        """Return whether the host writes a word of ARRAY in this cycle."""
        host = self.dut.host
        return host.request & host.write & (host.window == window_code(Window.ARRAY)) & (host.addr == word)


class AnalogLatch(_Guard):
    """Whatever has tripped: drivers are off until TRIP is written while no command is executing."""

    mutant = "what has tripped does not keep it from being armed"
    mutant_at = ("interlock",)
    mutant_depth = 16

    def break_(self, m):
        armed, arm = self.signal("armed", "interlock"), self.signal("arm", "words")
        with m.If(arm):
            m.d.sync += armed.eq(1)

    def check(self, m: Module, dut):
        tripped = Signal()
        with m.If(self.written(ArrayWord.TRIP) & dut.idle):
            m.d.sync += tripped.eq(0)
        with m.If(self.signal("cause", "interlock") != Cause.NONE):
            m.d.sync += tripped.eq(1)
        m.d.comb += Assert(~(tripped & (dut.on | dut.gate)))
        held = dut.trip != Cause.NONE
        self.lemmas(m, ~tripped | held, ~(self.signal("armed", "interlock") & held))


class AnalogSteps(_Guard):
    """Drivers go on only behind a write of the second word to ARM, right behind one of the first."""

    quick = False
    mutant = "the second word is enough"
    mutant_at = ("words",)
    mutant_depth = 8

    def break_(self, m):
        dut = self.dut
        second = self.written(ArrayWord.ARM) & (dut.host.w_data == ARM_SECOND) & dut.idle
        with m.If(second):
            m.d.comb += [self.signal("arm", "words").eq(1), self.signal("disarm", "words").eq(0)]

    def check(self, m: Module, dut):
        # A request is held until the cycle of its answer, which is the second.
        writes = self.written(ArrayWord.ARM) & ~self.signal("ready", "words")
        first = Signal()
        with m.If(writes):
            m.d.sync += first.eq(dut.host.w_data == ARM_FIRST)
        armed = self.signal("armed", "interlock")
        rises = armed & ~past(m, armed)
        m.d.comb += Assert(~rises | past(m, writes & first & (dut.host.w_data == ARM_SECOND)))
        self.lemmas(m, ~self.signal("half_armed", "words") | first)


class AnalogSettings(_Guard):
    """No limit changes while a command is executing."""

    quick = False
    mutant = "settings can be written at any time"
    mutant_at = ("words",)
    mutant_depth = 6

    def break_(self, m):
        with m.If(self.written(ArrayWord.CODE_LIMIT)):
            m.d.sync += self.signal("code_limit", "words").eq(self.dut.host.w_data)

    def check(self, m: Module, dut):
        busy = past(m, ~dut.idle)
        for name in ("code_limit", "read_code_limit"):
            limit = getattr(dut, name)
            m.d.comb += Assert(~busy | (limit == past(m, limit)))
        for name in ("limit", "read_limit"):
            limit = self.signal(name, "words")
            m.d.comb += Assert(~busy | (limit == past(m, limit)))


class AnalogCodes(Harness):
    """No code is larger than its limit, whatever tables, drives and products are; a set has one code a line."""

    block = "rtl.tile.analog.codes.CodeSource"
    quick = False
    mutant = "a trim is added behind the limit"
    mutant_depth = 12

    def make(self):
        return CodeSource(TINY, LINES)

    def break_(self, m):
        code = self.dut.o.p.code
        with m.If(self.signal("full")[3]):
            m.d.sync += code.eq(self.signal("sum4"))

    def check(self, m: Module, dut):
        # `AnalogSettings`, and the tile's starts.
        limit, running = past(m, dut.limit), past(m, dut.running)
        m.d.comb += [Assume(~running | (dut.limit == limit)), Assume(~dut.start | ~dut.running)]
        code = dut.o.p.code
        m.d.comb += [Assert(~dut.o.valid | ((code <= dut.limit) & (code >= -dut.limit)))]


class AnalogReset(Harness):
    """The cycle after a reset, in any state, drivers and gate are off and nothing is offered."""

    block = "rtl.tile.analog.tile.AnalogTile"
    depth = 2
    quick = False
    mutant = "the reset is not connected"
    mutant_depth = 12

    def __init__(self, *, broken: bool = False) -> None:
        self._reset = Signal()
        super().__init__(broken=broken)
        if not broken:
            self._domain = ClockDomain("sync")

    def make(self):
        return AnalogTile(TINY, LINES, clk_khz=1000, width_min=1, front_end=FrontEnd.SLICES)

    def inputs(self):
        return [*super().inputs(), self._reset]

    def check(self, m: Module, dut):
        if not self.broken:
            m.d.comb += self._domain.rst.eq(self._reset)
        with m.If(past(m, self._reset)):
            offered = dut.sense.valid | dut.completion.valid | dut.short.valid | dut.front.codes.valid
            m.d.comb += [Assert(~dut.front.on), Assert(~dut.front.gate), Assert(~offered)]


class _FreeTile(AnalogTile):
    """A tile of which some parts do anything: what they give are inputs of the proof."""

    parts = ("Tables", "Multiplier", "Scale", "Sums", "Guard")

    def __init__(self) -> None:
        super().__init__(TINY, LINES, clk_khz=1000, width_min=1, front_end=FrontEnd.SLICES)
        self.free: list[Signal] = []

    def elaborate(self, platform) -> Module:
        with ExitStack() as stack:
            for name in self.parts:
                stack.enter_context(mock.patch.object(tile, name, self._free(getattr(tile, name))))
            return super().elaborate(platform)

    def _free(self, part: type[wiring.Component]) -> type[wiring.Component]:
        """Return a component with the ports of another and nothing inside."""

        def elaborate(made, platform):
            self.free += [Value.cast(value) for _, member, value in made.signature.flatten(made) if member.flow is Out]
            return Module()

        return type(part.__name__, (part,), {"elaborate": elaborate})


class _Sequence(Harness):
    """The tile's state machine with slots, codes and timer; memories, arithmetic and what the host may say are anything."""

    block = "rtl.tile.analog.tile.AnalogTile"

    def make(self):
        return _FreeTile()

    def inputs(self):
        return [*super().inputs(), *self.dut.free]

    def sequence(self, m: Module):
        """Assert what holds of states, sets of codes and rows that are looked at ahead; return whether a set is made."""
        feed, peeks, peeked, ahead, again, cut = (self.signal(name) for name in ("feed", "peeks", "peeked", "ahead", "again", "cut"))
        making = feed | self.signal("running", "source")
        flags, direct = profile_layout()(self.signal("words", "reader")).flags, self.signal("direct", number=1)
        at = making | peeks
        last = (again == 0) & ~cut
        self.lemmas(
            m,
            ~self.in_state("IDLE", "PROFILE", "DRIVES", "PULSE", "SENSE", "COMPLETE") | ~at,
            self.in_state("PROFILE") | ~self.signal("running", "reader"),
            ~self.in_state("SETTLE", "CONVERT") | ~making | (flags.two_phase & ~self.signal("second") & ~direct),
            ~self.in_state("PULSING") | ~at | (last & (ahead | peeked)),
            ~self.in_state("PULSING") | ~peeked | (last & ~ahead & ~direct),
            ~self.in_state("ROW") | ~at | peeked,
            ~self.in_state("END OF ROW") | ~at | peeked | self.signal("failing"),
            ~peeks | ~making,
            ~self.in_state("PLACE", "SETTLE", "CONVERT", "DRAIN") | ~peeks,
            ~self.in_state("SET", "PROFILE", "DRIVES", "PLACE", "SETTLE", "CONVERT", "SENSE", "DRAIN", "PULSE") | ~peeked,
        )
        return making


class AnalogSets(_Sequence):
    """The gate never rises while a set of codes is made, and a set is of one phase, row and slot: one class a line, one polarity."""

    quick = False
    mutant = "the phase changes while the codes of a read are made"
    mutant_depth = 18

    def break_(self, m):
        with m.If(self.in_state("PLACE")):
            m.d.sync += self.signal("phase", number=1).eq(Phase.DOWN)

    def check(self, m: Module, dut):
        making, gate = self.sequence(m), self.signal("gate", "timer")
        m.d.comb += Assert(~(gate & ~past(m, gate) & past(m, making)))
        for name in ("phase", "row", "slot"):
            value = self.signal(name, number=1)
            m.d.comb += Assert(~(past(m, making) & making) | (value == past(m, value)))


class AnalogDone(_Sequence):
    """A completion never says that more pulses were done than were asked for, nor does the record of a row."""

    quick = False
    mutant = "a pulse counts as done before the first row is taken"
    mutant_depth = 14

    def break_(self, m):
        with m.If(self.in_state("PROFILE")):
            m.d.sync += self.signal("done").eq(1)

    def check(self, m: Module, dut):
        m.d.comb += Assume((dut.cmd.p.rows <= LINES.rows) & (dut.cmd.p.rows != 0))
        m.d.comb += [
            Assert(~dut.completion.valid | (dut.completion.p.done <= dut.completion.p.asked)),
            Assert(~dut.short.valid | (dut.short.p.done <= dut.short.p.asked)),
        ]
        asked, done, row_done, row_asked, rows, peeked = (
            self.signal(name) for name in ("asked", "done", "row_done", "row_asked", "rows", "peeked")
        )
        of_row, counting, lanes = (self.signal(name, "slots") for name in ("asked", "counting", "lanes"))
        most = LINES.cols * TINY.pulse_max
        pulsing = self.in_state("PULSE", "PULSING")
        self.sequence(m)
        feed, peeks, direct = self.signal("feed"), self.signal("peeks"), self.signal("direct", number=1)
        giving, kind, index, line = (self.signal(name, "source") for name in ("giving", "kind", "index", "line"))
        op = command_layout(TINY)(self.signal("cmd")).op
        pulses = (op != Op.READ) & (op != Op.READT) & ~direct
        reads = ("DRIVES", "PLACE", "SETTLE", "CONVERT", "SENSE", "DRAIN")
        in_rows = self.in_state("ROW", "SET", "PULSE", "PULSING", "END OF ROW")
        of_pulses = self.in_state("ROW", "SET", "PULSE", "PULSING", "END OF ROW", "SHORT", "QUIET")
        self.lemmas(
            m,
            ~giving | ((kind < 2) & (index < Mux(kind == 0, LINES.rows, LINES.cols)) & (line == Mux(kind == 0, 0, LINES.rows) + index)),
            lanes == Mux(giving & (kind == 1) & pulses, index, 0),
            ~counting | peeks | feed | giving,
            ~(counting | peeks) | pulses,
            ~of_pulses | pulses | direct,
            ~self.in_state("ROW", "SHORT", "QUIET") | pulses,
            ~self.in_state("PULSING") | ~direct | ~self.signal("ahead"),
            ~self.in_state(*reads) | ~pulses,
            ~self.in_state("PULSE", "PULSING", "END OF ROW", "SHORT") | direct | (row_done <= row_asked),
            ~self.in_state("SET") | direct | Mux(counting, row_done == 0, row_done <= of_row),
            ~pulsing | peeked | direct | ((row_asked == of_row) & ~counting),
            of_row <= Mux(counting, lanes * TINY.pulse_max, most),
            row_asked <= most,
            done <= asked,
            asked <= LINES.rows * most,
            ~in_rows | direct | (rows != 0),
            ~in_rows | direct | (asked + (rows + (peeked & ~self.in_state("ROW"))) * most <= LINES.rows * most),
            ~self.in_state("PROFILE", *reads) | ((asked == 0) & (done == 0) & (rows <= LINES.rows) & (rows != 0)),
        )

"""Properties of the analog tile: what switches drivers off, and what can never be driven."""

from contextlib import ExitStack
from dataclasses import replace
from unittest import mock

from amaranth.hdl import Assert, Assume, ClockDomain, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from backpulse.firmware_py.analog import ARM_FIRST, ARM_SECOND, FrontEnd, Lines, Phase
from backpulse.firmware_py.config import DeviceKind
from backpulse.firmware_py.registers import ArrayWord, Cause, Window
from backpulse.rtl.tile.analog import tile
from backpulse.rtl.tile.analog.codes import CodeSource
from backpulse.rtl.tile.analog.guard import Guard
from backpulse.rtl.tile.analog.interlock import Interlock
from backpulse.rtl.tile.analog.profile import profile_layout
from backpulse.rtl.tile.analog.tile import FACTS, AnalogTile
from backpulse.rtl.tile.signature import window_code

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


class AnalogSets(_Sequence):
    """The gate never rises while a set of codes is made, and a set is of one phase, row and slot: one class a line, one polarity."""

    mutant = "the codes of the next set are made whatever is under way"
    mutant_depth = 40

    def break_(self, m):
        with m.If(self.in_state("PULSING")):
            m.d.sync += self.signal("phase", number=1).eq(Phase.UP)

    def check(self, m: Module, dut):
        feed, phase, row, slot = (self.signal(name) for name in ("feed", "phase", "row", "slot"))
        making = feed | self.signal("running", "source")
        gate = self.signal("gate", "timer")
        m.d.comb += Assert(~(gate & ~past(m, gate) & past(m, making)))
        for value in (phase, row, slot):
            m.d.comb += Assert(~(past(m, making) & making) | (value == past(m, value)))
        rest = self.in_state("IDLE", "PROFILE", "DRIVES", "ROW", "POLARITY", "PULSE", "SENSE", "SHORT", "QUIET", "COMPLETE")
        flags, direct = profile_layout()(self.signal("words", "reader")).flags, self.signal("direct")
        two = flags.two_phase & ~self.signal("second") & ~direct
        self.lemmas(
            m,
            ~rest | ~making,
            self.in_state("PROFILE") | ~self.signal("running", "reader"),
            ~self.in_state("SETTLE", "CONVERT") | ~making | two,
            ~self.in_state("PULSING") | ~making | ((self.signal("again") == 0) & ~self.signal("cut")),
        )


class AnalogDone(_Sequence):
    """A completion never says that more pulses were done than were asked for, nor does the record of a row."""

    mutant = "the pulses of a slot are counted without a look at those that were asked for"
    mutant_depth = 40

    def break_(self, m):
        with m.If(self.in_state("PULSING") & self.signal("whole")):
            m.d.sync += self.signal("row_done").eq(self.signal("row_done") + LINES.cols)

    def check(self, m: Module, dut):
        m.d.comb += Assume(dut.cmd.p.rows <= LINES.rows)
        m.d.comb += [
            Assert(~dut.completion.valid | (dut.completion.p.done <= dut.completion.p.asked)),
            Assert(~dut.short.valid | (dut.short.p.done <= dut.short.p.asked)),
        ]
        asked, done, row_done, rows = (self.signal(name) for name in ("asked", "done", "row_done", "rows"))
        of_row, counting, lanes = (self.signal(name, "slots") for name in ("asked", "counting", "lanes"))
        most = TINY.pulse_max
        row_most = LINES.cols * most
        in_row = self.in_state("POLARITY", "SET", "PULSE", "PULSING", "END OF ROW", "SHORT")
        self.lemmas(
            m,
            ~in_row | (row_done <= of_row) | self.signal("direct"),
            of_row <= Mux(counting, lanes * most, row_most),
            done <= asked,
            asked + rows * row_most <= LINES.rows * row_most,
        )

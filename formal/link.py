"""Properties of the executor, which does each command of the link once."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Const, Module, Mux, Signal

from backpulse.firmware_py.framing import MAX_FRAME, MIN_FRAME, Opcode
from backpulse.gateware.link.session import Executor

from .harness import Harness, flicker, held, holds, past

__all__ = [
    "ExactlyOnce",
    "ExecutorStreams",
    "GrantFits",
]

ORDER_DEPTH = 16


class _Executor(Harness):
    """Gives the executor frames as the receiver does, and knows where in a frame it is.

    `taken` counts the bytes that are taken of the current frame, all of them once its last was taken.
    """

    block = "gateware.link.session.Executor"

    def make(self):
        return Executor(order_depth=ORDER_DEPTH)

    def frames(self, m: Module):
        """Assume whole frames of two bytes or more; return (strobe, place, bytes taken). The executor never loses its place in them."""
        dut = self.dut
        take, at = dut.i.valid & dut.i.ready, Signal(9)
        holds(m, dut.i, Assume)
        m.d.comb += [Assume(dut.i_length <= MAX_FRAME - MIN_FRAME), Assume((at == 0) | (dut.i_length == past(m, dut.i_length)))]
        m.d.comb += Assume(dut.i.p.last == (at == dut.i_length + 1))
        self.lemmas(m, (at == 0) | (at <= dut.i_length + 1))
        with m.If(take):
            m.d.sync += at.eq(Mux(dut.i.p.last, 0, at + 1))
        length, index, opcode = self.signal("length"), self.signal("index"), self.signal("opcode")
        taken = Mux(at == 0, length + 2, at)
        state, reading = self.in_state, opcode == Opcode.READ
        words = length[:2] == 0
        rules = [
            (state("OPCODE"), at == 0),
            (state("SEQ"), at == 1),
            (~state("OPCODE", "SEQ"), (self.signal("more") == (at != 0)) & ((at == 0) | (length == dut.i_length)) & (taken >= 2)),
            (~state("OPCODE", "SEQ"), length <= MAX_FRAME - MIN_FRAME),
            (state("CHECK", "EXECUTE"), taken == 2),
            (state("HELLO"), (length == 8) & (at != 0)),
            (state("ADDRESS"), (taken == 2 + index) & (index < 4) & Mux(reading, length == 5, words & (length >= 8))),
            (state("COUNT"), reading & (taken == 6) & (length == 5)),
            (state("WORD"), ~reading & words & (at != 0) & ((taken - 2 - index)[:2] == 0)),
            (state("GATE", "BUS"), Mux(reading, at == 0, words & (taken[:2] == 2))),
            (state("DATA"), reading & (at == 0)),
            (state("GRANT"), (opcode == Opcode.GRANT) & ~length[0] & (at != 0) & (taken[0] == index[0])),
            (state("ORDER"), (opcode == Opcode.GRANT) & ~length[0] & ~taken[0] & ~index[0]),
            (state("ANSWER", "DONE", "OPEN"), at == 0),
            (Const(1), self.signal("requests") == state("BUS")),
        ]
        self.lemmas(m, *(~when | rule for when, rule in rules))
        return take, at, taken


class ExactlyOnce(_Executor):
    """A duplicate never passes: of two frames of one number in one session at most one changes anything, until 255 others were accepted."""

    mutant = "no session is needed, and the number that is expected next does not move on"
    mutant_depth = 18
    quick = False

    def break_(self, m):
        m.d.sync += [self.signal("opened").eq(1), self.signal("expected").eq(0)]

    def check(self, m: Module, dut):
        take, at, _ = self.frames(m)
        opcode, seq, fresh, expected = (self.signal(name) for name in ("opcode", "seq", "fresh", "expected"))
        effect = dut.start | (dut.bus.request & dut.bus.write) | dut.order.valid

        # Any one number: that of the frame, and whether a frame of that number changed anything.
        number, seen, spent, before = Signal(8), Signal(8), Signal(), Signal()
        m.d.comb += number.eq(AnyConst(8))
        last, anew = past(m, expected), past(m, dut.clear_credit)
        due = (expected != last) & (expected == number)
        with m.If(take & (at == 1)):
            m.d.sync += seen.eq(dut.i.p.data)
        with m.If(take & (at == 0)):
            m.d.sync += before.eq(spent & ~due)
        with m.If(effect & (seen == number)):
            m.d.sync += spent.eq(1)
        with m.Elif(due):
            m.d.sync += spent.eq(0)
        with m.If(dut.clear_credit):
            m.d.sync += [spent.eq(0), before.eq(0)]
        m.d.comb += [
            Assert(~effect | (seen != number) | ~before),
            Assert((expected == last) | (expected == (last + 1)[:8]) | (anew & (expected == 0))),
        ]

        early, reading = self.in_state("OPCODE", "SEQ", "CHECK"), opcode == Opcode.READ
        executes = self.in_state("EXECUTE", "ADDRESS", "COUNT", "WORD", "GATE", "BUS", "DATA", "GRANT", "ORDER")
        mine = ~early & fresh & (seen == number)
        rules = [
            (~self.in_state("OPCODE", "SEQ"), seen == seq),
            (self.in_state("SEQ", "CHECK"), ~fresh),
            (~early & fresh, expected == seq),
            (executes, fresh | reading),
            (self.in_state("HELLO", "OPEN"), ~fresh),
            (spent & ~mine & ~due, expected != number),
            (before & ~self.in_state("OPCODE"), expected != number),
            (~self.in_state("OPCODE"), ~due | anew),
            (spent & ~mine & ~self.in_state("OPCODE"), before),
        ]
        self.lemmas(m, *(~when | rule for when, rule in rules))


class GrantFits(_Executor):
    """A granted sample always has room, and credit is never cleared, nor training started, while one is handed over."""

    mutant = "no session is needed, and a grant is not compared with the room there is"
    mutant_depth = 12

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        m.d.sync += self.signal("opened").eq(1)
        length = self.signal("length")
        with m.If((fsm.state == fsm.encoding["EXECUTE"]) & (self.signal("opcode") == Opcode.GRANT) & ~length[0] & (length != 0)):
            m.d.sync += fsm.state.eq(fsm.encoding["GRANT"])

    def check(self, m: Module, dut):
        taken = self.frames(m)[2]
        # Only a grant takes room away.
        room, given = past(m, dut.order_room), past(m, dut.order.valid & dut.order.ready)
        m.d.comb += Assume(dut.order_room + given >= room)
        left = (self.signal("length") + 2 - taken)[1:] + (self.in_state("ORDER") | self.signal("index")[0])
        self.lemmas(m, ~self.in_state("GRANT", "ORDER") | (dut.order_room >= left))
        with m.If(dut.order.valid):
            m.d.comb += [Assert(dut.order_room != 0), Assert(~dut.clear_credit), Assert(~dut.start)]


class ExecutorStreams(_Executor):
    """Answers, sample indices and bus requests keep their contracts."""

    mutant = "a byte of an answer is offered every other cycle"
    mutant_depth = 4

    def break_(self, m):
        flicker(m, self.dut.o.valid)

    def check(self, m: Module, dut):
        self.frames(m)
        holds(m, dut.o, Assert)
        holds(m, dut.order, Assert)
        held(m, dut.bus)

"""Properties of the small link's processor, whatever its memories hold: what each instruction does, and its streams."""

from unittest import mock

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import memory

from backpulse.firmware_py.config import IDEAL
from backpulse.gateware.link import small_link
from backpulse.gateware.link.microcode import Mode, Op, Port, Strobe, When
from backpulse.gateware.link.program import OFFSET_BITS

from .harness import Harness, held, holds, past

__all__ = ["SmallLinkStep", "SmallLinkStreams", "jumps", "total"]


def total(op, a, source, carry):
    """Return the sum of ADD, SUB, ADC or SBC with the carry as its ninth bit: of values of the RTL, and of nine bits of the solver's."""
    return a + (source ^ 0xFF if op & 1 else source) + (carry if op & 4 else op & 1)


def jumps(when, zero, carry):
    """Return whether a jump is taken if the accumulator is `zero` with this carry; both have one bit."""
    return {When.ALWAYS: zero | ~zero, When.ZERO: zero, When.NOT_ZERO: ~zero, When.CARRY: carry, When.NO_CARRY: ~carry}[when]


class _Any(Elaboratable):
    """A memory that answers every read with any word; the word stays until the next read."""

    def __init__(self, *, shape, depth, init) -> None:
        self._shape, self._bits = shape, (depth - 1).bit_length()

    def read_port(self):
        self.read = memory.ReadPort.Signature(addr_width=self._bits, shape=self._shape).create()
        return self.read

    def write_port(self):
        self.write = memory.WritePort.Signature(addr_width=self._bits, shape=self._shape).create()
        return self.write

    def elaborate(self, platform) -> Module:
        m = Module()
        with m.If(self.read.en):
            m.d.sync += self.read.data.eq(AnySeq(self._shape))
        return m


class _Opened(small_link.SmallLink):
    """The small link with any program and any data; its memories stay at hand."""

    def elaborate(self, platform) -> Module:
        with mock.patch.object(small_link, "Memory", _Any):
            m = super().elaborate(platform)
        self.code, self.data = m.submodules.program.read, m.submodules.scratch
        return m


class _Processor(Harness):
    block = "gateware.link.small_link.SmallLink"

    def make(self):
        return _Opened(IDEAL)

    def executes(self, op: Op):
        """Return whether such an instruction is executing."""
        return self.in_state("EXECUTE") & (self.dut.code.data[12:] == op)


class SmallLinkStep(_Processor):
    """Whatever its memories hold, the processor does what the proofs of its program take each instruction for, and nothing else."""

    mutant = "ADD leaves the accumulator as it is"
    mutant_depth = 4

    def break_(self, m):
        with m.If(self.executes(Op.ADD)):
            m.d.sync += self.signal("accumulator").eq(self.signal("accumulator"))

    def check(self, m: Module, dut):
        pc, a, carry, x, done = (self.signal(name) for name in ("pc", "accumulator", "carry", "x", "done"))
        word, read, write = dut.code.data, dut.data.read, dut.data.write
        op, upper, operand, mode = word[12:], word[9:12], word[:9], word[9:11]

        # An instruction is read, then its byte of memory; only ST writes, where it would have read.
        m.d.comb += [
            Assert(~done | self.in_state("EXECUTE")),
            Assert(dut.code.en == self.in_state("FETCH")),
            Assert(dut.code.addr == pc),
            Assert(read.en == self.in_state("READ")),
            Assert(read.addr == Mux(mode == Mode.INDEXED, Cat(x, operand[8]), operand)),
            Assert(write.en == (done & (op == Op.ST))),
            Assert(~write.en | ((write.addr == read.addr) & (write.data == a))),
        ]
        # What leaves the processor.
        m.d.comb += [
            *(Assert(getattr(dut, s.name.lower()) == (done & (op == Op.STROBE) & operand[s])) for s in Strobe if s is not Strobe.ORDER),
            Assert(dut.order.valid == (self.executes(Op.STROBE) & operand[Strobe.ORDER])),
            Assert(dut.order.payload == Cat(dut.bus.w_data[:8], a)),
            Assert(dut.bus.request == self.executes(Op.BUS)),
            Assert(~dut.bus.request | (dut.bus.write == operand[0])),
            Assert((dut.bus.w_data[24:] == a) & (dut.bus.addr[OFFSET_BITS:28] == 0)),
            Assert(dut.tx.valid == self.executes(Op.SEND)),
            Assert(dut.tx.payload == a),
        ]
        outputs = [(dut.bus.addr[:8], a), (dut.bus.addr[8:16], a), (dut.bus.addr[16:OFFSET_BITS], a), (dut.bus.addr[28:], a[4:])]
        outputs += [(dut.bus.w_data[8 * i : 8 * i + 8], a) for i in range(3)]
        for bit, (port, value) in enumerate(outputs):
            written = done & (op == Op.OUT) & operand[bit]
            m.d.comb += Assert(past(m, Value.cast(Mux(written, value[: len(port)], port))) == port)

        # What it holds after this cycle. A byte of the line, of the CRC or of the state may be any.
        source, vague = Signal(8), (mode == Mode.PORT) & (operand[:3] >= Port.LINE)
        m.d.comb += source.eq(Mux(mode[1], read.data, Mux(mode[0], dut.bus.r_data.word_select(operand[:2], 8), operand[:8])))
        after = {name: Signal.like(value, name=f"after_{name}") for name, value in (("pc", pc), ("a", a), ("carry", carry), ("x", x))}
        m.d.comb += [after["pc"].eq(pc + self.in_state("READ")), after["a"].eq(a), after["carry"].eq(carry), after["x"].eq(x)]
        with m.If(done):
            with m.Switch(op):
                with m.Case(Op.LD):
                    m.d.comb += after["a"].eq(source)
                with m.Case(Op.AND):
                    m.d.comb += after["a"].eq(a & source)
                for sum_ in (Op.ADD, Op.SUB, Op.ADC, Op.SBC):
                    with m.Case(sum_):
                        m.d.comb += Cat(after["a"], after["carry"]).eq(total(sum_, a, source, carry))
                with m.Case(Op.BUS):
                    m.d.comb += after["carry"].eq(dut.bus.error)
                with m.Case(Op.JUMP):
                    for when in When:
                        with m.If((upper == when) & jumps(when, a == 0, carry)):
                            m.d.comb += after["pc"].eq(operand)
            with m.If(op == Op.LDX):
                m.d.comb += after["x"].eq(source)
            with m.Elif((op < Op.CRC) & (mode == Mode.INDEXED) & upper[2]):
                m.d.comb += after["x"].eq(x + 1)
        # The assembler makes no other conditions.
        defined = (op != Op.JUMP) | Cat(upper == when for when in When).any()
        takes = (op <= Op.SBC) | (op == Op.LDX)
        known, wanted = past(m, ~(done & takes & vague)), {name: past(m, value) for name, value in after.items()}
        m.d.comb += Assert((pc == wanted["pc"]) | ~past(m, defined))
        with m.If(known):
            m.d.comb += [Assert(now == wanted[name]) for name, now in (("a", a), ("carry", carry), ("x", x))]


class SmallLinkStreams(_Processor):
    """Whatever program it has: bytes sent, sample indices and requests keep their contracts; a byte received is taken once, or waits."""

    mutant = "a byte is sent without waiting for the line"
    mutant_depth = 10

    def break_(self, m):
        m.d.comb += self.signal("waits").eq(0)

    def check(self, m: Module, dut):
        holds(m, dut.tx, Assert)
        holds(m, dut.order, Assert)
        held(m, dut.bus)
        word = dut.code.data
        reads = (word[12:] < Op.ST) & (word[9:11] == Mode.PORT) & (word[:3] == Port.LINE)
        taken, there = self.signal("o__ready"), self.signal("o__valid", "fifo")
        m.d.comb += [Assert(taken == (self.signal("done") & reads)), Assert(~taken | there)]

"""The board's end of the link for a small part: a processor of eight bits, whose program is in gateware/link/program.py."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.gateware.link.bus import ADDRESS_BITS
from backpulse.gateware.link.crc import ONES, POLYNOMIAL
from backpulse.gateware.link.memory import data_image
from backpulse.gateware.link.microcode import CLOCKS_MIN, DATA_BYTES, PROGRAM_WORDS, Mode, Op, Port, Strobe
from backpulse.gateware.link.program import DATA_PORTS, OFFSET_BITS, link_program
from backpulse.rtl.lib.fifo import Fifo
from backpulse.rtl.lib.ports import HostPort

__all__ = ["CLOCKS_MIN", "SmallLink"]

RX_FIFO_DEPTH = 256
"""Received bytes that may wait while a command is executed or its answer is sent."""


class _Phase(enum.Enum, shape=2):
    FETCH = 0
    READ = 1
    EXECUTE = 2


class SmallLink(wiring.Component):
    """Frames in, exactly-once commands, frames out, and the registers that are no one else's: as `Session` with a `Bank`.

    An instruction takes three cycles, and longer where it waits: for a byte of the line, the line itself, the bus, an order that is taken;
    adding a byte to the CRC takes ten. A received byte costs 52 cycles (70 where COBS has left a zero out), one that is sent some 80, a
    word of the bus some 170.

    Parameters
    ----------
    config
        What the machine is.
    build_digest
        SHA-256 that identifies the bitstream.

    Members
    -------
    rx, tx
        Bytes of the line.
    bus
        Master of the bus. Beyond the host's windows there are those of gateware/link/program.py; `r_data` stays until the next access.
    start, halt, abort, clear_credit
        High for one cycle when the machine shall.
    order
        Granted sample indices.
    state
        The machine's `State`.
    busy
        Bytes are waiting, a command is in work, or an answer is being sent.

    Raises
    ------
    ValueError
        If the digest does not have 32 bytes.
    """

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    bus: Out(HostPort(ADDRESS_BITS))
    start: Out(1)
    halt: Out(1)
    abort: Out(1)
    clear_credit: Out(1)
    order: Out(stream.Signature(16))
    state: In(2)
    busy: Out(1)

    def __init__(self, config: Config, *, build_digest: bytes = bytes(32)) -> None:
        if len(build_digest) != 32:
            raise ValueError(f"Build digest must have 32 bytes, not {len(build_digest)}")
        self._program, self._data = link_program(config), data_image(config, build_digest)
        super().__init__()

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.fifo = fifo = Fifo(width=8, depth=RX_FIFO_DEPTH)
        m.submodules.program = program = Memory(shape=16, depth=PROGRAM_WORDS, init=self._program)
        m.submodules.scratch = data = Memory(shape=8, depth=DATA_BYTES, init=self._data)
        code, read, write = program.read_port(), data.read_port(), data.write_port()
        wiring.connect(m, wiring.flipped(self.rx), fifo.i)

        # Three phases: the instruction is read, then its byte of memory; then it is executed, and waits if it must.
        phase, pc = Signal(_Phase), Signal(range(PROGRAM_WORDS))
        op, upper, operand = code.data[12:], code.data[9:12], code.data[:9]
        mode = upper[:2]
        executing, waits, done = Signal(), Signal(), Signal()
        accumulator, carry, x = Signal(8), Signal(), Signal(8)
        m.d.comb += [
            code.addr.eq(pc),
            code.en.eq(phase == _Phase.FETCH),
            executing.eq(phase == _Phase.EXECUTE),
            done.eq(executing & ~waits),
            read.addr.eq(Mux(mode == Mode.INDEXED, Cat(x, operand[8]), operand)),
            read.en.eq(phase == _Phase.READ),
            write.addr.eq(read.addr),
            write.data.eq(accumulator),
            write.en.eq(done & (op == Op.ST)),
        ]
        taken = Signal()
        m.d.comb += taken.eq((op == Op.JUMP) & (~upper[1:].any() | ((Mux(upper[2], ~carry, accumulator.any())) == upper[0])))
        with m.If(phase == _Phase.FETCH):
            m.d.sync += phase.eq(_Phase.READ)
        with m.If(phase == _Phase.READ):
            m.d.sync += [phase.eq(_Phase.EXECUTE), pc.eq(pc + 1)]
        with m.If(done):
            m.d.sync += phase.eq(_Phase.FETCH)
            with m.If(taken):
                m.d.sync += pc.eq(operand)

        # Arithmetic: everything is a sum but AND.
        state = Signal(32, init=ONES)
        seen = Signal.like(self.state)  # a cycle old: it is a long way from the sequencer through the processor
        m.d.sync += seen.eq(self.state)
        ports = Array([*(self.bus.r_data[8 * i : 8 * i + 8] for i in range(4)), fifo.o.payload, ~state[:8], seen, seen])
        source, outside, minus, total = Signal(8), Signal(8), Signal(), Signal(9)
        m.d.comb += [
            outside.eq(Mux(mode[0], ports[operand[:3]], operand[:8])),
            source.eq(Mux(mode[1], read.data, outside)),
            minus.eq(op[0]),
            total.eq(accumulator + Mux(minus, ~source, source) + Mux(op[2], carry, minus)),
        ]
        with m.If(done):
            with m.Switch(op):
                with m.Case(Op.LD):
                    m.d.sync += accumulator.eq(source)
                with m.Case(Op.AND):
                    m.d.sync += accumulator.eq(accumulator & source)
                with m.Case(Op.ADD, Op.SUB, Op.ADC, Op.SBC):
                    m.d.sync += [accumulator.eq(total), carry.eq(total[8])]
                with m.Case(Op.BUS):
                    m.d.sync += carry.eq(self.bus.error)
            with m.If(op == Op.LDX):
                m.d.sync += x.eq(source)
            with m.Elif((mode == Mode.INDEXED) & upper[2] & ~op[2:].all()):
                m.d.sync += x.eq(x + 1)

        # The CRC, bit by bit.
        bit = Signal(3)
        odd = Signal()
        # Its operand: start anew; push a byte out at the low end.
        m.d.comb += odd.eq((state[0] ^ accumulator.bit_select(bit, 1)) & ~operand[1])
        stepping = executing & (op == Op.CRC) & ~operand[0]
        with m.If(stepping):
            moved = [*state[1:], Const(0, 1)]
            m.d.sync += [bit.eq(bit + 1), state.eq(Cat(b ^ odd if POLYNOMIAL >> i & 1 else b for i, b in enumerate(moved)))]
        with m.If(executing & (op == Op.CRC) & operand[0]):
            m.d.sync += state.eq(ONES)

        # The world outside.
        line = (op[3] == 0) & (mode == Mode.PORT) & (operand[:3] == Port.LINE)
        low = [Signal(8, name=f"low_{i}") for i in range(DATA_PORTS - 1)]
        address = [Signal(width, name=f"address_{i}") for i, width in enumerate((8, 8, OFFSET_BITS - 16, 4))]
        with m.If(done & (op == Op.OUT)):
            for i, register in enumerate(address):
                with m.If(operand[i]):
                    m.d.sync += register.eq(accumulator[4:] if i == 3 else accumulator)
            for i, register in enumerate(low):
                with m.If(operand[DATA_PORTS + i]):
                    m.d.sync += register.eq(accumulator)
        ordering = executing & (op == Op.STROBE) & operand[Strobe.ORDER]
        m.d.comb += [
            fifo.o.ready.eq(done & line),
            self.bus.addr.eq(Cat(*address[:3], Const(0, 28 - OFFSET_BITS), address[3])),
            self.bus.w_data.eq(Cat(*low, accumulator)),
            self.bus.write.eq(operand[0]),
            self.bus.request.eq(executing & (op == Op.BUS)),
            self.order.payload.eq(Cat(low[0], accumulator)),
            self.order.valid.eq(ordering),
            self.tx.payload.eq(accumulator),
            self.tx.valid.eq(executing & (op == Op.SEND)),
            waits.eq(
                (line & ~fifo.o.valid)
                | (stepping & (bit != 7))
                | (self.bus.request & ~self.bus.ack)
                | (self.order.valid & ~self.order.ready)
                | (self.tx.valid & ~self.tx.ready)
            ),
            self.busy.eq(~(executing & line & ~fifo.o.valid) | self.rx.valid | ~fifo.empty),
        ]
        told = done & (op == Op.STROBE)
        for strobe in (Strobe.START, Strobe.HALT, Strobe.ABORT, Strobe.CLEAR_CREDIT):
            m.d.comb += getattr(self, strobe.name.lower()).eq(told & operand[strobe])
        return m

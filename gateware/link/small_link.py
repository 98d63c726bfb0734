"""The board's end of the link for a small part: an 8-bit processor, its program in program.py."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportInvalidTypeForm=false, reportOperatorIssue=false

from amaranth.hdl import Array, Cat, Const, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.gateware.link.bus import ADDRESS_BITS
from backpulse.gateware.link.memory import data_image
from backpulse.gateware.link.microcode import (
    CLOCKS_MIN,
    DATA_BYTES,
    DATA_PORTS,
    PROGRAM_WORDS,
    Mode,
    Op,
    Port,
    Strobe,
)
from backpulse.gateware.link.program import OFFSET_BITS, link_program
from backpulse.rtl.lib.fifo import Fifo
from backpulse.rtl.lib.ports import HostPort

__all__ = ["CLOCKS_MIN", "SmallLink"]

RX_FIFO_DEPTH = 256
"""Received bytes that may wait while a command is executed or its answer is sent."""


class SmallLink(wiring.Component):
    """Frames in, exactly-once commands, frames out, and registers: what `Session` and `Bank` do together.

    An instruction takes three cycles, and longer where it waits: for a byte from the line, for the line to
    take one, for the bus, for the order's queue. Adding a byte to the CRC takes ten. A received byte costs 52
    cycles (70 where COBS has left a zero out), one that is sent some 80, a word of the bus some 170.

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
        Master of the bus; `r_data` stays until the next access. It asks for registers only where they are
        live or the core's, and repeats writes of settings there.
    start, halt, abort, clear_credit
        Commands to the machine, high for one cycle.
    order
        Granted sample indices.
    state
        The machine's `State`.
    busy
        Bytes are waiting, a command is executing, or an answer is being sent.

    Raises
    ------
    ValueError
        If the digest does not have 32 bytes, or the order or the registers are more than the program copes
        with.
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
        self._program = link_program(config)
        self._data = data_image(config, build_digest)
        super().__init__()

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.fifo = fifo = Fifo(width=8, depth=RX_FIFO_DEPTH)
        m.submodules.program = program = Memory(shape=16, depth=PROGRAM_WORDS, init=self._program)
        m.submodules.scratch = data = Memory(shape=8, depth=DATA_BYTES, init=self._data)
        code = program.read_port()
        read = data.read_port()
        write = data.write_port()
        wiring.connect(m, wiring.flipped(self.rx), fifo.i)

        # An instruction: 4 bits of operation, 3 of addressing mode or condition, 9 of operand.
        op = code.data[12:]
        upper = code.data[9:12]
        operand = code.data[:9]
        mode = upper[:2]

        # It is read, then its byte of data memory; then it executes, and waits if it must.
        pc = Signal(range(PROGRAM_WORDS))
        accumulator = Signal(8)
        carry = Signal()
        x = Signal(8)
        executing = Signal()
        waits = Signal()
        done = Signal()
        taken = Signal()
        condition = Mux(upper[2], ~carry, accumulator.any()) == upper[0]
        m.d.comb += [
            done.eq(executing & ~waits),
            code.addr.eq(pc),
            code.en.eq(0),
            read.addr.eq(Mux(mode == Mode.INDEXED, Cat(x, operand[8]), operand)),
            read.en.eq(0),
            write.addr.eq(read.addr),
            write.data.eq(accumulator),
            write.en.eq(done & (op == Op.ST)),
            taken.eq((op == Op.JUMP) & (~upper[1:].any() | condition)),
        ]
        with m.FSM():
            with m.State("FETCH"):
                m.d.comb += code.en.eq(1)
                m.next = "READ"
            with m.State("READ"):
                m.d.comb += read.en.eq(1)
                m.d.sync += pc.eq(pc + 1)
                m.next = "EXECUTE"
            with m.State("EXECUTE"):
                m.d.comb += executing.eq(1)
                with m.If(~waits):
                    m.next = "FETCH"
                    with m.If(taken):
                        m.d.sync += pc.eq(operand)

        # The CRC, bit by bit. A byte is pushed out at the low end by adding bits that leave nothing but the
        # shift.
        crc = CRC32_ISO_HDLC(data_width=1).create()
        bit = Signal(3)
        stepping = executing & (op == Op.CRC) & ~operand[0]
        m.submodules.crc = ResetInserter(executing & (op == Op.CRC) & operand[0])(crc)
        m.d.comb += [
            crc.data.eq(Mux(operand[1], ~crc.crc[0], (accumulator >> bit)[0])),
            crc.valid.eq(stepping),
        ]
        with m.If(stepping):
            m.d.sync += bit.eq(bit + 1)

        # Sources outside. The state is a cycle old: it is a long way from the sequencer through the
        # processor.
        state = Signal.like(self.state)
        m.d.sync += state.eq(self.state)
        bus_bytes = [self.bus.r_data.word_select(i, 8) for i in range(4)]
        ports = Array([*bus_bytes, fifo.o.payload, crc.crc[:8], state, state])

        # Arithmetic: everything but AND is a sum.
        source = Signal(8)
        outside = Signal(8)
        minus = Signal()
        total = Signal(9)
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

        # The bus, the order, the line and the machine.
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
            *(
                getattr(self, strobe.name.lower()).eq(done & (op == Op.STROBE) & operand[strobe])
                for strobe in (Strobe.START, Strobe.HALT, Strobe.ABORT, Strobe.CLEAR_CREDIT)
            ),
        ]
        return m

"""Properties of what carries the link: UART, COBS, frames, the FIFO of received bytes."""

from unittest import mock

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Fragment, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.framing import CRC_BYTES, MAX_FRAME, MIN_FRAME
from backpulse.gateware.link import cobs, frames, uart
from backpulse.rtl.lib.fifo import Fifo

from .harness import Built, Harness, flicker, holds, past

__all__ = [
    "CobsRoundTrip",
    "DecoderStream",
    "EncoderStream",
    "FifoKeeps",
    "FramesMemory",
    "FramesStream",
    "SmallFifoKeeps",
    "TransmitterStream",
    "UartReceiverStream",
    "UartRoundTrip",
]


class UartReceiverStream(Harness):
    """Received bytes keep the stream contract, whatever the line does: a byte that waits is never overwritten."""

    block = "gateware.link.uart.Receiver"
    mutant = "a byte is offered for one cycle only"
    mutant_depth = 46

    def make(self):
        return uart.Receiver(clocks_per_bit=4)

    def break_(self, m):
        with m.If(self.dut.o.valid):
            m.d.sync += self.dut.o.valid.eq(0)

    def check(self, m: Module, dut):
        holds(m, dut.o, Assert)


class _Line(wiring.Component):
    """Transmitter and receiver of a UART, back to back."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.transmitter = transmitter = uart.Transmitter(clocks_per_bit=4)
        m.submodules.receiver = receiver = uart.Receiver(clocks_per_bit=4)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        wiring.connect(m, receiver.o, wiring.flipped(self.o))
        m.d.comb += receiver.rx.eq(transmitter.tx)
        return m


class _Coding(wiring.Component):
    """COBS encoder and decoder, back to back."""

    i: In(stream.Signature(cobs.FRAME))
    o: Out(stream.Signature(cobs.DECODED))

    def elaborate(self, platform):
        m = Module()
        # A memory of eight words holds these frames, and is small enough to become registers for the solver.
        with mock.patch.object(cobs, "Memory", lambda *, depth, **arguments: Memory(depth=8, **arguments)):
            encoder = cobs.Encoder()
            m.submodules.encoder = Built(Fragment.get(encoder, platform))
        m.submodules.decoder = decoder = cobs.Decoder()
        wiring.connect(m, wiring.flipped(self.i), encoder.i)
        wiring.connect(m, encoder.o, decoder.i)
        wiring.connect(m, decoder.o, wiring.flipped(self.o))
        return m


class UartRoundTrip(Harness):
    """Bytes sent at any moments are received: these, in order, and nothing else."""

    block = "gateware.link.uart, both"
    mode = "bmc"
    depth = 56
    mutant = "the receiver samples at the end of a bit"
    mutant_depth = 60
    quick = False
    bytes = 2

    def make(self):
        return _Line()

    mutant_at = ("receiver",)

    def break_(self, m):
        fsm = self.inner.find_subfragment("receiver").find_generated("fsm")
        with m.If(fsm.state == fsm.encoding["IDLE"]):
            m.d.sync += self.signal("timer", "receiver").eq(3)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        sent, got = Signal(2), Signal(2)
        words = [Signal(8, name=f"word{i}") for i in range(self.bytes)]
        m.d.comb += [dut.o.ready.eq(1), Assume(~dut.i.valid | (sent < self.bytes))]
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += sent.eq(sent + 1)
            for i, word in enumerate(words):
                with m.If(sent == i):
                    m.d.sync += word.eq(dut.i.payload)
        with m.If(dut.o.valid):
            m.d.sync += got.eq(got + 1)
            m.d.comb += Assert(got < sent)
            for i, word in enumerate(words):
                with m.If(got == i):
                    m.d.comb += Assert(dut.o.payload == word)
        # A byte is on its way for ten bits at most.
        age = Signal(8)
        m.d.sync += age.eq(Mux(got == sent, 0, age + 1))
        m.d.comb += Assert(age <= 4 * 10 * self.bytes)

    def inputs(self):
        return [s for s in super().inputs() if s is not self.dut.o.ready]


class CobsRoundTrip(Harness):
    """A frame of up to two bytes of any value, coded and decoded, is the same frame, with a sound end, however its reader pauses."""

    block = "gateware.link.cobs, both"
    mode = "bmc"
    depth = 17
    registers = True
    mutant = "every code byte is one"
    mutant_depth = 8
    mutant_at = ("encoder",)
    quick = False
    bytes = 2

    def make(self):
        return _Coding()

    def break_(self, m):
        with m.If(self.dut.i.valid):
            m.d.sync += self.signal("code", "encoder").eq(1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        sent, got, closed = Signal(range(self.bytes + 1)), Signal(range(self.bytes + 2)), Signal()
        words = [Signal(8, name=f"word{i}") for i in range(self.bytes)]
        m.d.comb += [
            Assume(~dut.i.valid | ~closed),
            Assume(dut.i.p.first == (sent == 0)),
            Assume(dut.i.p.last | (sent < self.bytes - 1)),
        ]
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += [sent.eq(sent + 1), closed.eq(dut.i.p.last)]
            for i, word in enumerate(words):
                with m.If(sent == i):
                    m.d.sync += word.eq(dut.i.p.data)
        with m.If(dut.o.valid):
            m.d.comb += [Assert(closed), Assert(dut.o.p.end == (got == sent))]
            for i, word in enumerate(words):
                with m.If(~dut.o.p.end & (got == i)):
                    m.d.comb += Assert(dut.o.p.data == word)
            with m.If(dut.o.p.end):
                m.d.comb += Assert(dut.o.p.good)
            with m.If(dut.o.ready):
                m.d.sync += got.eq(got + 1)


class DecoderStream(Harness):
    """Decoded words keep the stream contract if the bytes do."""

    block = "gateware.link.cobs.Decoder"
    mutant = "a byte counts while it waits"
    mutant_depth = 8

    def make(self):
        return cobs.Decoder()

    def break_(self, m):
        with m.If(self.dut.i.valid & (self.signal("remaining") != 0)):
            m.d.sync += self.signal("remaining").eq(self.signal("remaining") - 1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)


class EncoderStream(Harness):
    """Coded bytes keep the stream contract."""

    block = "gateware.link.cobs.Encoder"
    mutant = "a byte is offered every other cycle"
    mutant_depth = 4

    def make(self):
        return cobs.Encoder()

    def break_(self, m):
        flicker(m, self.dut.o.valid)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)


class TransmitterStream(Harness):
    """Bytes of a frame on their way out keep the stream contract."""

    block = "gateware.link.frames.Transmitter"
    mutant = "the encoder offers a byte every other cycle"
    mutant_depth = 4
    mutant_at = ("encoder",)

    def make(self):
        return frames.Transmitter()

    def break_(self, m):
        flicker(m, self.signal("o__valid", "encoder"))

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)


class FramesMemory(Harness):
    """Whatever the line brings, a frame never runs over the receiver's memory, and of a good one every byte but the CRC is handed on."""

    block = "gateware.link.frames.Receiver"
    mutant = "the bytes of an overlong frame are counted on"
    mutant_depth = 6

    def make(self):
        return frames.Receiver()

    def break_(self, m):
        m.d.sync += self.signal("count").eq(MAX_FRAME + 2)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        count, position = self.signal("count"), self.signal("position")
        handed, last = Signal(9), past(m, count)
        taken = dut.o.valid & dut.o.ready
        with m.If(self.in_state("GATHER")):
            m.d.sync += handed.eq(0)
        with m.Elif(taken):
            m.d.sync += handed.eq(handed + 1)
        m.d.comb += [Assert(count <= MAX_FRAME + 1), Assert((count == last) | (count == last + 1) | (count == 0))]
        with m.If(~self.in_state("GATHER")):
            m.d.comb += [Assert((count >= MIN_FRAME) & (count <= MAX_FRAME)), Assert(position == handed)]
            m.d.comb += Assert(position < count - CRC_BYTES)
        with m.If(taken):
            m.d.comb += Assert(dut.o.p.last == (handed + 1 == dut.length + 2))


class FramesStream(Harness):
    """Bytes of good frames keep the stream contract; the length stays while they are handed on."""

    block = "gateware.link.frames.Receiver"
    mutant = "a byte is offered every other cycle"
    mutant_depth = 4

    def make(self):
        return frames.Receiver()

    def break_(self, m):
        flicker(m, self.dut.o.valid)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)
        busy, length = past(m, dut.busy), past(m, dut.length)
        with m.If(busy & dut.busy):
            m.d.comb += Assert(dut.length == length)


class _Queue(wiring.Component):
    """The FIFO of a link, shorter and narrower: of the session, or of the small one."""

    i: In(stream.Signature(2))
    o: Out(stream.Signature(2))

    def __init__(self, *, small: bool) -> None:
        self._small = small
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = (Fifo if self._small else SyncFIFOBuffered)(width=2, depth=4)
        wiring.connect(m, wiring.flipped(self.i), fifo.i if self._small else fifo.w_stream)
        wiring.connect(m, fifo.o if self._small else fifo.r_stream, wiring.flipped(self.o))
        return m


class FifoKeeps(Harness):
    """No byte that the session's FIFO took is lost, doubled, changed or overtaken; what it offers keeps the stream contract."""

    block = "amaranth.lib.fifo.SyncFIFOBuffered, 4 x 2 bits"
    most = 4
    mode = "bmc"
    depth = 14
    registers = True
    quick = False
    mutant = "it takes one byte more than it holds"
    mutant_at = ("fifo",)
    mutant_depth = 14

    def make(self):
        return _Queue(small=False)

    def break_(self, m):
        m.d.comb += self.signal("w_rdy", "fifo").eq(1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)
        # Any one byte by its number; it must come out under the same number.
        chosen, word, given, got = Signal(4), Signal(2), Signal(4), Signal(4)
        m.d.comb += chosen.eq(AnyConst(4))
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += given.eq(given + 1)
            with m.If(given == chosen):
                m.d.sync += word.eq(dut.i.payload)
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += got.eq(got + 1)
            with m.If(got == chosen):
                m.d.comb += Assert(dut.o.payload == word)
        m.d.comb += Assert((given - got)[:4] <= self.most)


class SmallFifoKeeps(FifoKeeps):
    """No byte that the small link's FIFO took is lost, doubled, changed or overtaken; what it offers keeps the stream contract."""

    block = "rtl.lib.fifo.Fifo, 4 x 2 bits"
    most = 5  # one of them is on offer

    def make(self):
        return _Queue(small=True)

    def break_(self, m):
        m.d.comb += self.signal("i__ready", "fifo").eq(1)

"""Properties of the link: UART, COBS, frames, and the executor that does each command once."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from firmware_py.framing import CRC_BYTES, MAX_FRAME, MIN_FRAME, Opcode
from gateware import cobs, frames, uart
from gateware.session import Executor

from .harness import Harness, holds, past

__all__ = [
    "CobsRoundTrip",
    "DecoderStream",
    "EncoderStream",
    "ExactlyOnce",
    "ExecutorStreams",
    "FifoKeeps",
    "FramesMemory",
    "FramesStream",
    "GrantFits",
    "TransmitterStream",
    "UartReceiverStream",
    "UartRoundTrip",
]

ORDER_DEPTH = 16


class _Executor(Harness):
    """Gives the executor frames as the receiver does, and knows where in a frame it is.

    `taken` counts the bytes that are taken of the frame in work, all of them once its last was taken.
    """

    block = "gateware.session.Executor"

    def make(self):
        return Executor(order_depth=ORDER_DEPTH)

    def frames(self, m: Module):
        """Assume whole frames of two bytes or more; return (strobe, bytes taken) and assert that the executor never loses its place."""
        dut = self.dut
        take, at = dut.i.valid & dut.i.ready, Signal(9)
        holds(m, dut.i, Assume)
        m.d.comb += [Assume(dut.i_length <= MAX_FRAME - MIN_FRAME), Assume((at == 0) | (dut.i_length == past(m, dut.i_length)))]
        m.d.comb += Assume(dut.i.p.last == (at == dut.i_length + 1))
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
        ]
        m.d.comb += [Assert(~when | rule) for when, rule in rules]
        return take, at, taken


class ExactlyOnce(_Executor):
    """A duplicate never passes: of two frames of one number in one session at most one changes anything, until 255 others were accepted."""

    mutant = "the number that is expected next does not move on"
    mutant_depth = 56
    quick = False

    def break_(self, m):
        m.d.sync += self.signal("expected").eq(0)

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
            (~self.in_state("OPCODE"), ~due | anew),
            (spent & ~mine & ~self.in_state("OPCODE"), before),
        ]
        m.d.comb += [Assert(~when | rule) for when, rule in rules]


class GrantFits(_Executor):
    """A granted sample always has room, and credit is never cleared, nor training started, while one is handed over."""

    mutant = "a grant is not compared with the room there is"
    mutant_depth = 44
    quick = False

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If((fsm.state == fsm.encoding["EXECUTE"]) & (self.signal("opcode") == Opcode.GRANT)):
            m.d.sync += fsm.state.eq(fsm.encoding["GRANT"])

    def check(self, m: Module, dut):
        _, at, taken = self.frames(m)
        # Only a grant takes room away.
        room, given = past(m, dut.order_room), past(m, dut.order.valid & dut.order.ready)
        m.d.comb += Assume(dut.order_room + given >= room)
        left = (self.signal("length") + 2 - taken)[1:] + (self.in_state("ORDER") | self.signal("index")[0])
        with m.If(self.in_state("GRANT", "ORDER")):
            m.d.comb += Assert(dut.order_room >= left)
        with m.If(dut.order.valid):
            m.d.comb += [Assert(dut.order_room != 0), Assert(~dut.clear_credit), Assert(~dut.start)]


class ExecutorStreams(_Executor):
    """Answers, sample indices and bus requests keep their contracts."""

    mutant = "an answer's status is that of the last command until it is sent"
    mutant_depth = 16

    def break_(self, m):
        with m.If(self.dut.o.valid):
            m.d.sync += self.signal("status").eq(0)

    def check(self, m: Module, dut):
        self.frames(m)
        holds(m, dut.o, Assert)
        holds(m, dut.order, Assert)
        waits = past(m, dut.bus.request & ~dut.bus.ack)
        held = [(port, past(m, port)) for port in (dut.bus.addr, dut.bus.write)] + [(dut.bus.w_data, past(m, dut.bus.w_data))]
        with m.If(waits):
            m.d.comb += [Assert(dut.bus.request), *(Assert(port == last) for port, last in held)]


class UartReceiverStream(Harness):
    """Received bytes keep the stream contract, whatever the line does: a byte that waits is never overwritten."""

    block = "gateware.uart.Receiver"
    mutant = "a new byte takes the place of one that waits"
    mutant_depth = 90
    quick = False

    def make(self):
        return uart.Receiver(clocks_per_bit=4)

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If((fsm.state == fsm.encoding["STOP"]) & (self.signal("timer") == 0) & self.dut.rx):
            m.d.sync += self.dut.o.payload.eq(self.signal("shift"))

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
        m.submodules.encoder = encoder = cobs.Encoder()
        m.submodules.decoder = decoder = cobs.Decoder()
        wiring.connect(m, wiring.flipped(self.i), encoder.i)
        wiring.connect(m, encoder.o, decoder.i)
        wiring.connect(m, decoder.o, wiring.flipped(self.o))
        return m


class UartRoundTrip(Harness):
    """Two bytes sent at any moments are received: these, in order, and nothing else."""

    block = "gateware.uart, both"
    mode = "bmc"
    depth = 96
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
    """A frame of up to three bytes of any value, coded and decoded, is the same frame, with a sound end, however its reader pauses."""

    block = "gateware.cobs, both"
    mode = "bmc"
    depth = 34
    mutant = "a zero is sent as it is"
    mutant_depth = 34
    mutant_at = ("encoder",)
    quick = False
    bytes = 3

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

    block = "gateware.cobs.Decoder"
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

    block = "gateware.cobs.Encoder"
    mutant = "sending goes on without waiting"

    def make(self):
        return cobs.Encoder()

    def break_(self, m):
        with m.If(self.dut.o.valid):
            m.d.sync += self.signal("position").eq(self.signal("position") + 1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)


class TransmitterStream(Harness):
    """Bytes of a frame on their way out keep the stream contract."""

    block = "gateware.frames.Transmitter"
    mutant = "sending goes on without waiting"
    mutant_at = ("encoder",)
    mutant_depth = 26

    def make(self):
        return frames.Transmitter()

    def break_(self, m):
        with m.If(self.dut.o.valid):
            m.d.sync += self.signal("position", "encoder").eq(self.signal("position", "encoder") + 1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)


class FramesMemory(Harness):
    """Whatever the line brings, a frame never runs over the receiver's memory, and of a good one every byte but the CRC is handed on."""

    block = "gateware.frames.Receiver"
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
            m.d.comb += [Assert((count >= MIN_FRAME) & (count <= MAX_FRAME)), Assert(position == handed), Assert(position < count - CRC_BYTES)]
        with m.If(taken):
            m.d.comb += Assert(dut.o.p.last == (handed + 1 == dut.length + 2))


class FramesStream(Harness):
    """Bytes of good frames keep the stream contract; the length stays while they are handed on."""

    block = "gateware.frames.Receiver"
    mutant = "the next byte is fetched before this one was taken"
    mutant_depth = 10

    def make(self):
        return frames.Receiver()

    def break_(self, m):
        self_state = self.inner.find_generated("fsm")
        with m.If(self_state.state == self_state.encoding["GATHER"]):
            m.d.sync += self_state.state.eq(self_state.encoding["HAND"])
        with m.If(self.dut.o.valid):
            m.d.sync += self.signal("position").eq(self.signal("position") + 1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)
        busy, length = past(m, dut.busy), past(m, dut.length)
        with m.If(busy & dut.busy):
            m.d.comb += Assert(dut.length == length)


class _Queue(wiring.Component):
    """The FIFO of the session, shorter."""

    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=4)
        wiring.connect(m, wiring.flipped(self.i), fifo.w_stream)
        wiring.connect(m, fifo.r_stream, wiring.flipped(self.o))
        return m


class FifoKeeps(Harness):
    """No byte that the session's FIFO took is lost, doubled, changed or overtaken; what it offers keeps the stream contract."""

    block = "SyncFIFOBuffered, of 4"
    mode = "bmc"
    depth = 20
    mutant = "it takes one byte more than it holds"
    mutant_at = ("fifo",)
    mutant_depth = 14

    def make(self):
        return _Queue()

    def break_(self, m):
        m.d.comb += self.signal("w_rdy", "fifo").eq(1)

    def check(self, m: Module, dut):
        holds(m, dut.i, Assume)
        holds(m, dut.o, Assert)
        # Any one byte by its number; it must come out under the same number.
        chosen, word, given, got = Signal(4), Signal(8), Signal(4), Signal(4)
        m.d.comb += chosen.eq(AnyConst(4))
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += given.eq(given + 1)
            with m.If(given == chosen):
                m.d.sync += word.eq(dut.i.payload)
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += got.eq(got + 1)
            with m.If(got == chosen):
                m.d.comb += Assert(dut.o.payload == word)
        m.d.comb += Assert((given - got)[:4] <= 4)

"""Frames in hardware: CRC checked on the way in, added on the way out (firmware_py/framing.py)."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportInvalidTypeForm=false

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.framing import CRC_BYTES, MAX_FRAME, MIN_FRAME
from backpulse.gateware.link.cobs import FRAME, Decoder, Encoder
from backpulse.gateware.link.crc import Crc32

__all__ = ["FRAME", "RECEIVED", "Receiver", "Transmitter"]

RECEIVED = data.StructLayout({"data": 8, "last": 1})
"""A byte of a good frame: opcode, sequence number, payload."""


class Receiver(wiring.Component):
    """Passes on the good frames of a line, without their CRC, and drops all others.

    A byte takes two cycles on its way in and two on its way out. The input stalls while a frame is passed on.

    Members
    -------
    i
        Bytes of the line.
    o
        `RECEIVED` bytes.
    length
        Bytes of the payload, while the frame is passed on.
    busy
        A frame is being passed on.
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(RECEIVED))
    length: Out(8)
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder()
        m.submodules.crc = check = Crc32()
        m.submodules.memory = memory = Memory(shape=8, depth=256, init=[])
        write = memory.write_port()
        read = memory.read_port()

        # The whole frame is stored before its end tells whether it is good; one too long is not counted
        # further.
        count = Signal(8)
        position = Signal(8)
        good = decoder.o.p.good & check.good & (count >= MIN_FRAME) & (count <= MAX_FRAME)

        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        m.d.comb += [
            self.length.eq(count - MIN_FRAME),
            write.addr.eq(count),
            write.data.eq(decoder.o.p.data),
            read.addr.eq(position),
            read.en.eq(0),
            check.data.eq(decoder.o.p.data),
            self.o.p.data.eq(read.data),
            self.o.p.last.eq(position == count - (CRC_BYTES + 1)),
        ]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("GATHER"))
            with m.State("GATHER"):
                m.d.comb += decoder.o.ready.eq(check.ready)
                m.d.sync += position.eq(0)
                with m.If(decoder.o.valid & decoder.o.ready):
                    with m.If(decoder.o.p.end):
                        m.d.comb += check.start.eq(1)
                        m.d.sync += count.eq(Mux(good, count, 0))
                        with m.If(good):
                            m.next = "FETCH"
                    with m.Else():
                        m.d.comb += [check.valid.eq(1), write.en.eq(1)]
                        m.d.sync += count.eq(Mux(count > MAX_FRAME, count, count + 1))
            with m.State("FETCH"):
                m.d.comb += read.en.eq(1)
                m.next = "PASS"
            with m.State("PASS"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += position.eq(position + 1)
                    m.next = "FETCH"
                    with m.If(self.o.p.last):
                        m.d.sync += count.eq(0)
                        m.next = "GATHER"
        return m


class Transmitter(wiring.Component):
    """Adds the CRC to a frame of up to 246 bytes and sends it when it is complete.

    A `first` byte starts the frame anew and drops what came before. The input stalls while a frame is sent.

    Members
    -------
    i
        `FRAME` bytes: opcode, sequence number, payload.
    o
        Bytes of the line.
    busy
        A frame is being sent.
    """

    i: In(stream.Signature(FRAME))
    o: Out(stream.Signature(8))
    busy: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = check = Crc32()
        m.submodules.encoder = encoder = Encoder()

        tail = Signal()
        position = Signal(range(CRC_BYTES))
        crc_bytes = Array(check.crc.word_select(i, 8) for i in range(CRC_BYTES))

        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        m.d.comb += [
            self.busy.eq(tail | encoder.busy),
            check.data.eq(self.i.p.data),
            check.valid.eq(self.i.valid & self.i.ready),
        ]
        # The bytes of the frame go by, then those of the CRC that they made.
        with m.If(tail):
            m.d.comb += [
                encoder.i.valid.eq(check.ready),
                encoder.i.p.data.eq(crc_bytes[position]),
                encoder.i.p.last.eq(position == CRC_BYTES - 1),
            ]
            with m.If(encoder.i.valid & encoder.i.ready):
                m.d.sync += position.eq(position + 1)
                with m.If(encoder.i.p.last):
                    m.d.comb += check.start.eq(1)
                    m.d.sync += tail.eq(0)
        with m.Elif(check.ready):
            m.d.comb += [
                encoder.i.valid.eq(self.i.valid),
                self.i.ready.eq(encoder.i.ready),
                # While the encoder drops the frame that is started anew, so does the CRC.
                check.start.eq(self.i.valid & self.i.p.first & ~encoder.i.ready),
                encoder.i.p.data.eq(self.i.p.data),
                encoder.i.p.first.eq(self.i.p.first),
            ]
            m.d.sync += tail.eq(check.valid & self.i.p.last)
        return m

"""COBS in hardware: frames to zero-delimited bytes and back (firmware_py/framing.py)."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportInvalidTypeForm=false

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["DECODED", "FRAME", "Decoder", "Encoder"]

DECODED = data.StructLayout({"data": 8, "end": 1, "good": 1})
"""A byte of a frame, or (`end`) its end without a byte; `good` then says that the coding was sound."""
FRAME = data.StructLayout({"data": 8, "first": 1, "last": 1})
"""A byte of a frame on its way out."""


class Decoder(wiring.Component):
    """Decodes a byte a cycle, without delay. Empty frames are dropped; the next stage checks the length.

    Members
    -------
    i
        Bytes of the line.
    o
        `DECODED` words; stalls the input.
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(DECODED))

    def elaborate(self, platform):
        m = Module()
        remaining = Signal(8)
        started = Signal()
        delimiter = self.i.payload == 0
        # A code byte says how far it is to the next one, which stands for a zero: all but a frame's first do.
        is_code = remaining == 0
        silent = ~started & (delimiter | is_code)

        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~silent),
            self.i.ready.eq(self.o.ready | silent),
            self.o.p.data.eq(Mux(is_code, 0, self.i.payload)),
            self.o.p.end.eq(delimiter),
            self.o.p.good.eq(is_code),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                started.eq(~delimiter),
                remaining.eq(Mux(delimiter, 0, Mux(is_code, self.i.payload, remaining) - 1)),
            ]
        return m


class Encoder(wiring.Component):
    """Gathers a frame of up to 254 bytes, then sends it with its delimiter.

    A byte takes a cycle on its way in, a zero two; a byte out takes two. A `first` byte starts the frame anew
    and drops what was gathered before. The input stalls while a frame is sent.

    Members
    -------
    i
        `FRAME` bytes.
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
        m.submodules.memory = memory = Memory(shape=8, depth=256, init=[])
        write = memory.write_port()
        read = memory.read_port()

        # The block that is being gathered: the next byte's place, the place kept for its code byte, and that
        # code.
        place = Signal(8, init=1)
        code_place = Signal(8)
        code = Signal(8, init=1)
        position = Signal(8)
        clean = Signal(init=1)
        after_zero = Signal()
        closing = Signal()
        taken = self.i.valid & self.i.ready
        zero = self.i.p.data == 0
        fresh = [place.eq(1), code_place.eq(0), code.eq(1), clean.eq(1)]

        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(self.i.p.data),
            read.addr.eq(position),
            read.en.eq(0),
        ]
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("GATHER"))
            with m.State("GATHER"):
                m.d.comb += self.i.ready.eq(~self.i.p.first | clean)
                m.d.sync += [after_zero.eq(zero), closing.eq(self.i.p.last), position.eq(0)]
                with m.If(self.i.valid & ~self.i.ready):
                    m.d.sync += fresh
                with m.If(taken):
                    m.d.comb += write.en.eq(~zero)
                    m.d.sync += [place.eq(place + 1), code.eq(Mux(zero, code, code + 1)), clean.eq(0)]
                    with m.If(zero | self.i.p.last):
                        m.next = "CODE"
            with m.State("CODE"):
                # Closes a block: at a zero, whose place becomes that of the next code byte, and at the
                # frame's end.
                m.d.comb += [write.addr.eq(code_place), write.data.eq(code), write.en.eq(1)]
                m.d.sync += [code_place.eq(place - 1), code.eq(1), after_zero.eq(0)]
                with m.If(~closing):
                    m.next = "GATHER"
                with m.Elif(~after_zero):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += read.en.eq(1)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(Mux(position == place, 0, read.data))]
                with m.If(self.o.ready):
                    m.d.sync += position.eq(position + 1)
                    m.next = "FETCH"
                    with m.If(position == place):
                        m.d.sync += fresh
                        m.next = "GATHER"
        return m

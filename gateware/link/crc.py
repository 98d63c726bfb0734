"""CRC-32 in two cycles a byte: half the logic of a byte a cycle, and a UART never comes near either."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportGeneralTypeIssues=false, reportInvalidTypeForm=false

from amaranth.hdl import Module, Mux, ResetInserter, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

__all__ = ["Crc32"]


class Crc32(wiring.Component):
    """The CRC of `binascii.crc32`. A byte is taken when `valid` and `ready`; the next must wait one cycle.

    Members
    -------
    start
        Begins a new CRC; not together with `valid`.
    data, valid, ready
        Bytes.
    crc
        CRC of the bytes taken, meaningful while `ready`.
    good
        The bytes taken ended with their own CRC.
    """

    start: In(1)
    data: In(8)
    valid: In(1)
    ready: Out(1, init=1)
    crc: Out(32)
    good: Out(1)

    def elaborate(self, platform):
        m = Module()
        # A reset starts the processor anew: its own `start` would put a multiplexer into every XOR.
        processor = CRC32_ISO_HDLC(data_width=4).create()
        m.submodules.processor = ResetInserter(self.start)(processor)

        upper = Signal(4)
        m.d.comb += [
            processor.data.eq(Mux(self.ready, self.data[:4], upper)),
            processor.valid.eq(self.valid | ~self.ready),
            self.crc.eq(processor.crc),
            self.good.eq(processor.match_detected),
        ]
        m.d.sync += self.ready.eq(~(self.valid & self.ready))
        with m.If(self.ready):
            m.d.sync += upper.eq(self.data[4:])
        return m

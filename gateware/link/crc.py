"""CRC-32 in two cycles a byte: half the logic of a byte a cycle, and a UART never comes near either."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.framing import CRC_RESIDUE

__all__ = ["Crc32"]

POLYNOMIAL = 0xEDB88320
"""That of IEEE 802.3, reflected."""
ONES = 0xFFFFFFFF


class Crc32(wiring.Component):
    """The CRC of `binascii.crc32`. A byte is taken when `valid` and `ready`; the next must wait one cycle.

    Members
    -------
    start
        Forgets all bytes; not together with `valid`.
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
        state = Signal(32, init=ONES)
        upper = Signal(4)
        half = Mux(self.ready, self.data[:4], upper)

        # Bits in a list: slices of nested Cats would grow without measure.
        bits = list(state)
        for bit in half:
            odd = bits[0] ^ bit
            bits = [b ^ odd if POLYNOMIAL >> i & 1 else b for i, b in enumerate(bits[1:])] + [odd]

        m.d.comb += [self.crc.eq(~state), self.good.eq(state == CRC_RESIDUE ^ ONES)]
        m.d.sync += self.ready.eq(~(self.valid & self.ready))
        with m.If(self.ready):
            m.d.sync += upper.eq(self.data[4:])
        with m.If(self.start):
            m.d.sync += state.eq(ONES)
        with m.Elif(self.valid | ~self.ready):
            m.d.sync += state.eq(Cat(bits))
        return m

"""The vectors' magnitudes in a lean machine."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.layouts import MagnitudesSignature
from backpulse.rtl.lib.numbers import magnitude

__all__ = ["LeanMagnitudes"]


class LeanMagnitudes(wiring.Component):
    """The magnitudes, as `MagnitudesSignature` says.

    The largest length grows in a register while a vector's words are written, a cycle after each of them, and goes to a table.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(MagnitudesSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        m.submodules.lengths = lengths = Memory(shape=5, depth=c.vectors, init=[])
        w, r = lengths.write_port(), lengths.read_port()

        # A word's size is kept for a cycle: its length takes as long.
        present, length = Signal(range(c.vectors)), Signal(5)
        size, fresh, bits = Signal(c.vector_bits - 1), Signal(), Signal(5)
        m.d.sync += [size.eq(magnitude(self.word)), fresh.eq(self.w_en)]
        for i in range(c.vector_bits - 1):
            with m.If(size[i]):
                m.d.comb += bits.eq(i + 1)
        newest = Signal(5)
        m.d.comb += [newest.eq(Mux(fresh & (bits > length), bits, length)), w.addr.eq(present), w.data.eq(newest), w.en.eq(1)]

        # Cycle 0 reads the source's entry, cycle 1 the target's; the vector last written may still be on its way to the table.
        second, third = Signal(), Signal()
        found, same, sample = Signal(5), Signal(), Signal()
        m.d.comb += [r.addr.eq(Mux(self.begin, self.lookup, self.target)), r.en.eq(self.begin | second)]
        m.d.sync += [second.eq(self.begin), third.eq(second)]
        with m.If(self.begin):
            m.d.sync += [same.eq(present == self.lookup), sample.eq(self.sample)]
        with m.If(sample):
            m.d.comb += found.eq(c.vector_frac)
        with m.Elif(same):
            m.d.comb += found.eq(newest)
        with m.Else():
            m.d.comb += found.eq(r.data)
        with m.If(second):
            m.d.sync += self.magnitude.eq(found)

        m.d.sync += length.eq(newest)
        with m.If(third & self.writes):
            m.d.sync += present.eq(self.target)
            with m.If(self.anew):
                m.d.sync += length.eq(Mux(self.bias, c.unit.bit_length(), 0))
            with m.Elif(present != self.target):
                m.d.sync += length.eq(r.data)
        return m

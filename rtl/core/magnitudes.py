"""The magnitude of each vector: the bit length of the OR of its words' absolute values."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.numbers import magnitude

__all__ = ["Magnitudes"]


class Magnitudes(wiring.Component):
    """A table of magnitudes, and the one that is growing.

    The largest length of a word grows in a register while a vector is written, a cycle after each word, and
    goes to the table. A vector may be written from the fourth cycle after `begin` on, its last word as late
    as in the first cycle of the next instruction.

    Parameters
    ----------
    config
        Vectors and their words.

    Members
    -------
    begin
        First cycle of an instruction.
    lookup, sample
        Vector whose magnitude the instruction needs; whether it lies in the sample page.
    target, writes, anew, bias
        Vector that the instruction writes, if its words are final; whether it writes element 0; whether that
        vector has a bias.
    word, w_en
        A final word as it is written.
    magnitude
        That of `lookup`, from two cycles after `begin` on.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        vector = range(config.vectors)
        super().__init__(
            {
                "begin": In(1),
                "lookup": In(vector),
                "sample": In(1),
                "target": In(vector),
                "writes": In(1),
                "anew": In(1),
                "bias": In(1),
                "word": In(signed(config.vector_bits)),
                "w_en": In(1),
                "magnitude": Out(5),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        m.submodules.lengths = lengths = Memory(shape=5, depth=c.vectors, init=[])
        w = lengths.write_port()
        r = lengths.read_port()

        # The vector that is written, or was last, and its length so far; a word's own length takes a cycle.
        present = Signal(range(c.vectors))
        length = Signal(5)
        size = Signal(c.vector_bits - 1)
        fresh = Signal()
        bits = Signal(5)
        newest = Signal(5)
        m.d.sync += [size.eq(magnitude(self.word)), fresh.eq(self.w_en)]
        for i in range(c.vector_bits - 1):
            with m.If(size[i]):
                m.d.comb += bits.eq(i + 1)
        m.d.comb += [
            newest.eq(Mux(fresh & (bits > length), bits, length)),
            w.addr.eq(present),
            w.data.eq(newest),
            w.en.eq(1),
        ]

        # The first cycle reads the source's entry, the second the target's; the vector last written may still
        # be on its way to the table.
        second = Signal()
        third = Signal()
        found = Signal(5)
        same = Signal()
        sample = Signal()
        m.d.comb += [
            r.addr.eq(Mux(self.begin, self.lookup, self.target)),
            r.en.eq(self.begin | second),
            found.eq(Mux(sample, c.vector_frac, Mux(same, newest, r.data))),
        ]
        m.d.sync += [second.eq(self.begin), third.eq(second), length.eq(newest)]
        with m.If(self.begin):
            m.d.sync += [same.eq(present == self.lookup), sample.eq(self.sample)]
        with m.If(second):
            m.d.sync += self.magnitude.eq(found)

        with m.If(third & self.writes):
            m.d.sync += present.eq(self.target)
            with m.If(self.anew):
                m.d.sync += length.eq(Mux(self.bias, c.unit.bit_length(), 0))
            with m.Elif(present != self.target):
                m.d.sync += length.eq(r.data)
        return m

"""Adds up what lines sample."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.rtl.tile.analog.signature import sample_layout
from backpulse.rtl.tile.analog.tables import sum_layout

__all__ = ["Sums"]


class Sums(wiring.Component):
    """Takes the samples of conversions, one a cycle, and keeps a sum for each line.

    Parameters
    ----------
    lines
        How many lines there are.

    Members
    -------
    samples
        Of the front end; always taken.
    begin
        Strobe, with a conversion's start: its samples are the first of a read if `first` is high, and taken
        off if `negative` is. Both are steady until the next.
    drop
        Level or strobe: no samples come any more.
    waiting
        Samples are still to come, or on their way into the sums.
    at, sum
        A line, and in the next cycle its sum; the sum's `over` is that of all its samples.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        super().__init__(
            {
                "samples": In(stream.Signature(sample_layout())),
                **dict.fromkeys(("begin", "first", "negative", "drop"), In(1)),
                "waiting": Out(1),
                "at": In(range(lines)),
                "sum": Out(sum_layout()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sums = sums = Memory(shape=sum_layout(), depth=self._lines, init=[])
        get = sums.read_port()
        put = sums.write_port()
        line0 = Signal(range(self._lines))
        line1 = Signal.like(line0)
        sample1 = Signal(sample_layout())
        full1 = Signal()
        size = Mux(self.negative, -sample1.value, sample1.value)
        m.d.comb += [
            self.samples.ready.eq(1),
            get.addr.eq(Mux(self.waiting, line0, self.at)),
            self.sum.eq(get.data),
            put.addr.eq(line1),
            put.data.value.eq(Mux(self.first, 0, get.data.value) + size),
            put.data.over.eq(Mux(self.first, 0, get.data.over) | sample1.over),
            put.en.eq(full1),
        ]
        m.d.sync += [
            full1.eq(self.samples.valid & self.waiting),
            sample1.eq(self.samples.payload),
            line1.eq(line0),
        ]
        with m.If(self.samples.valid):
            m.d.sync += line0.eq(line0 + 1)
        with m.If(self.begin):
            m.d.sync += [self.waiting.eq(1), line0.eq(0)]
        with m.If((full1 & sample1.last) | self.drop):
            m.d.sync += self.waiting.eq(0)
        return m

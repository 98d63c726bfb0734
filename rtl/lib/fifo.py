"""A FIFO in block memory that never reads a word in the cycle that writes it."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Fifo"]


class Fifo(wiring.Component):
    """Holds up to `depth` words; a word is offered two cycles after it was taken, or later.

    Parameters
    ----------
    width, depth
        Bits of a word, and number of words, a power of two.

    Members
    -------
    i, o
        Words.
    clear
        Drop all words.
    empty
        The FIFO holds no word.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"FIFO depth must be a power of two, 2 at least, not {depth}")
        self._width, self._depth = width, depth
        super().__init__(
            {
                "i": In(stream.Signature(width)),
                "o": Out(stream.Signature(width)),
                "clear": In(1),
                "empty": Out(1, init=1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.words = words = Memory(shape=self._width, depth=self._depth, init=[])
        w = words.write_port()
        r = words.read_port()
        # One bit more than an address tells a full FIFO from an empty one.
        written = Signal(range(2 * self._depth))
        read = Signal(range(2 * self._depth))
        # The memory's output register holds the word on offer; `stored` says that there are more behind it.
        stored = Signal()
        put = Signal()
        get = Signal()
        m.d.comb += [
            stored.eq(written != read),
            put.eq(self.i.valid & self.i.ready),
            get.eq(stored & (~self.o.valid | self.o.ready)),
            self.i.ready.eq((written ^ read) != self._depth),
            self.empty.eq(~stored & ~self.o.valid),
            w.addr.eq(written),
            w.data.eq(self.i.payload),
            w.en.eq(put),
            r.addr.eq(read),
            r.en.eq(get),
            self.o.payload.eq(r.data),
        ]
        m.d.sync += [
            written.eq(written + put),
            read.eq(read + get),
            self.o.valid.eq(get | (self.o.valid & ~self.o.ready)),
        ]
        with m.If(self.clear):
            m.d.sync += [written.eq(0), read.eq(0), self.o.valid.eq(0)]
        return m

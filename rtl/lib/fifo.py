"""A FIFO in block memory that never reads a word in the cycle that writes it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Fifo"]


class Fifo(wiring.Component):
    """Keeps up to `depth` words, in order; a word is offered two cycles after it came, or later.

    Parameters
    ----------
    width, depth
        Bits of a word, and words; the depth is a power of two.

    Members
    -------
    i, o
        Words.
    clear
        Forget all words.
    empty
        There is no word.
    """

    def __init__(self, *, width: int, depth: int) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"FIFO depth must be a power of two, 2 at least, not {depth}")
        self._width, self._depth = width, depth
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width)), "clear": In(1), "empty": Out(1, init=1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.words = words = Memory(shape=self._width, depth=self._depth, init=[])
        w, r = words.write_port(), words.read_port()
        # One bit more than an address tells a full FIFO from an empty one.
        written, read = Signal(range(2 * self._depth)), Signal(range(2 * self._depth))
        stored, put, get = Signal(), Signal(), Signal()
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
        m.d.sync += [written.eq(written + put), read.eq(read + get)]
        with m.If(get):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.clear):
            m.d.sync += [written.eq(0), read.eq(0), self.o.valid.eq(0)]
        return m

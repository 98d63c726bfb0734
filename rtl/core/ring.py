"""A ring of words that the host reads at any time."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from backpulse.rtl.core.ledger import RING_BITS
from backpulse.rtl.lib.ports import HostPort, answer

__all__ = ["Ring"]


class Ring(wiring.Component):
    """The last words of 16 bits; word n since `clear` is at n modulo the depth.

    The host reads two of them at a time, at any time.

    Parameters
    ----------
    depth
        Words of the ring, a power of two.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__({"clear": In(1), "word": In(16), "en": In(1), "host": In(HostPort(RING_BITS))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ring = ring = Memory(shape=data.ArrayLayout(16, 2), depth=self._depth // 2, init=[])
        w = ring.write_port(granularity=1)
        r = ring.read_port()
        place = Signal(range(self._depth))
        with m.If(self.clear):
            m.d.sync += place.eq(0)
        with m.Elif(self.en):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            w.addr.eq(place[1:]),
            *(half.eq(self.word) for half in w.data),
            w.en.eq(self.en << place[0]),
            r.addr.eq(self.host.addr),
        ]
        answer(m, self.host, r.data, (self.host.addr >= self._depth // 2) | self.host.write)
        return m

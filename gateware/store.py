"""The sample store in on-chip memory."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from firmware_py.config import Config
from rtl.ports import HostPort, StorePort

__all__ = ["Store"]


class Store(wiring.Component):
    """A memory that the host and the loader share, one access at a time; where both ask, the host goes first.

    An access takes three cycles, one of them from the memories to a register. The host, behind its serial line, leaves the loader far
    more than it needs.

    Parameters
    ----------
    config
        Depth of the store.

    Members
    -------
    host
        The STORE window.
    loader
        The loader's reads.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._bits = (config.store_words - 1).bit_length()
        super().__init__({"host": In(HostPort(self._bits)), "loader": In(StorePort(config))})

    def elaborate(self, platform) -> Module:
        m = Module()
        host, loader = self.host, self.loader
        m.submodules.memory = memory = Memory(shape=32, depth=self._config.store_words, init=[])
        w, r = memory.write_port(), memory.read_port()

        begin, reading, done, for_host = Signal(), Signal(), Signal(), Signal()
        inside, word = host.addr < self._config.store_words, Signal(32, reset_less=True)
        m.d.comb += [
            begin.eq((host.request | loader.request) & ~reading & ~done),
            w.addr.eq(host.addr),
            w.data.eq(host.w_data),
            w.en.eq(begin & host.request & host.write & inside),
            r.addr.eq(Mux(host.request, host.addr, loader.addr)),
            r.en.eq(begin),
            host.r_data.eq(word),
            loader.data.eq(word),
            host.ack.eq(done & for_host),
            loader.ack.eq(done & ~for_host),
        ]
        m.d.sync += [reading.eq(begin), done.eq(reading), word.eq(r.data), host.error.eq(~inside)]
        with m.If(begin):
            m.d.sync += for_host.eq(host.request)
        return m

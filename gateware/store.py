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

    An access takes two cycles. The host, behind its serial line, leaves the loader far more than it needs.

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

        busy, chosen = Signal(), Signal()
        inside = host.addr < self._config.store_words
        m.d.comb += [chosen.eq(host.request & ~busy)]
        m.d.comb += [
            w.addr.eq(host.addr),
            w.data.eq(host.w_data),
            w.en.eq(chosen & host.write & inside),
            r.addr.eq(Mux(chosen, host.addr, loader.addr)),
            r.en.eq(1),
            host.r_data.eq(r.data),
            loader.data.eq(r.data),
        ]
        m.d.sync += [
            busy.eq((host.request | loader.request) & ~busy),
            host.ack.eq(chosen),
            host.error.eq(~inside),
            loader.ack.eq(loader.request & ~host.request & ~busy),
        ]
        return m

"""The sample store in on-chip memory."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.clocks import gated_domain
from backpulse.rtl.lib.ports import HostPort, StorePort

__all__ = ["Store", "bank_depths"]

BANK_BITS = 12
"""Address bits of a bank: the depth of a block memory 4 bits wide, so that no bank needs a multiplexer."""


def bank_depths(config: Config) -> list[int]:
    """Return the words of each bank of a configuration's store."""
    full, rest = divmod(config.store_words, 1 << BANK_BITS)
    return [1 << BANK_BITS] * full + [rest] * bool(rest)


class Store(wiring.Component):
    """A memory that the host and the loader share, one access at a time; where both ask, the host goes first.

    An access takes four cycles: block memories are slow and lie all over the chip, so there are registers
    behind each bank of them and behind the choice of a bank. The host, behind its serial line, leaves the
    loader far more than it needs.

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
        begin = Signal()
        stage = Signal(3)
        for_host = Signal()
        done = stage[-1]
        inside = host.addr < self._config.store_words
        address = Signal(self._bits)
        word = Signal(32, reset_less=True)
        m.d.comb += address.eq(Mux(host.request, host.addr, loader.addr))
        gated_domain(m, platform, "store", awake=host.request | loader.request | stage.any())

        words = []
        for i, depth in enumerate(bank_depths(self._config)):
            m.submodules[f"bank_{i}"] = bank = Memory(shape=32, depth=depth, init=[])
            w = bank.write_port(domain="store")
            r = bank.read_port(domain="store")
            out = Signal(32, reset_less=True)
            m.d.comb += [
                w.addr.eq(host.addr),
                w.data.eq(host.w_data),
                w.en.eq(begin & host.request & host.write & inside & (host.addr >> BANK_BITS == i)),
                r.addr.eq(address),
                r.en.eq(begin),
            ]
            m.d.store += out.eq(r.data)
            words.append(out)

        m.d.comb += [
            begin.eq((host.request | loader.request) & (stage == 0)),
            host.r_data.eq(word),
            loader.data.eq(word),
            host.ack.eq(done & for_host),
            loader.ack.eq(done & ~for_host),
        ]
        chosen = Signal(range(len(words)))
        m.d.store += [stage.eq(Cat(begin, stage)), word.eq(Array(words)[chosen]), host.error.eq(~inside)]
        with m.If(begin):
            m.d.store += [for_host.eq(host.request), chosen.eq(address >> BANK_BITS)]
        return m

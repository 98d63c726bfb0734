"""The sample store in the UP5K's single-port memories: 128 KiB that nothing else of the machine can use."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from typing import Any

from amaranth.hdl import Array, Cat, ClockSignal, Const, Instance, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.ports import HostPort, StorePort

__all__ = ["WORDS_MAX", "Spram", "SpramStore"]

DEPTH, BITS = 1 << 14, 16
WORDS_MAX = 2 * DEPTH
"""32-bit words of the four memories together."""


class Spram(wiring.Component):
    """One SB_SPRAM256KA, 16384 words of 16 bits: reads or writes a word a cycle; data come in the next."""

    addr: In(14)
    w_data: In(BITS)
    write: In(1)
    select: In(1)
    r_data: Out(BITS)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.ram = Instance(
            "SB_SPRAM256KA",
            i_ADDRESS=self.addr,
            i_DATAIN=self.w_data,
            i_MASKWREN=Const(0xF, 4),
            i_WREN=self.write,
            i_CHIPSELECT=self.select,
            i_CLOCK=ClockSignal(),
            i_STANDBY=Const(0, 1),
            i_SLEEP=Const(0, 1),
            i_POWEROFF=Const(1, 1),
            o_DATAOUT=self.r_data,
        )
        return m


class SpramStore(wiring.Component):
    """Same ports as `gateware.chip.store.Store`: one access at a time, the host first.

    An access takes two cycles, and four in `Store`.

    Parameters
    ----------
    config
        Depth of the store.
    block, depth
        Component of one memory, with the ports of `Spram`, and its words: a power of two.

    Raises
    ------
    ValueError
        If the store is larger than the memories.
    """

    def __init__(self, config: Config, *, block: type[wiring.Component] = Spram, depth: int = DEPTH) -> None:
        if config.store_words > WORDS_MAX:
            raise ValueError(
                f"Sample store in SPRAM must be at most {WORDS_MAX} words, not {config.store_words}"
            )
        self._config = config
        self._block = block
        self._bits = (depth - 1).bit_length()
        bits = (config.store_words - 1).bit_length()
        super().__init__({"host": In(HostPort(bits)), "loader": In(StorePort(config))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        host, loader = self.host, self.loader
        banks = -(-self._config.store_words >> self._bits)

        busy = Signal()
        chosen = Signal()
        write = Signal()
        inside = host.addr < self._config.store_words
        address = Mux(chosen, host.addr, loader.addr)
        m.d.comb += [chosen.eq(host.request & ~busy), write.eq(chosen & host.write & inside)]

        words = []
        bank = Signal(range(max(banks, 2)))
        m.d.sync += bank.eq(address >> self._bits)
        for i in range(banks):
            halves = []
            for half in range(2):
                m.submodules[f"ram_{i}_{half}"] = ram = self._block()
                m.d.comb += [
                    ram.addr.eq(address[: self._bits]),
                    ram.w_data.eq(host.w_data.word_select(half, BITS)),
                    ram.write.eq(write),
                    ram.select.eq((address >> self._bits) == i),
                ]
                halves.append(ram.r_data)
            words.append(Cat(halves))
        word = Array(words)[bank]
        m.d.comb += [host.r_data.eq(word), loader.data.eq(word)]
        m.d.sync += [
            busy.eq((host.request | loader.request) & ~busy),
            host.ack.eq(chosen),
            host.error.eq(~inside),
            loader.ack.eq(loader.request & ~host.request & ~busy),
        ]
        return m

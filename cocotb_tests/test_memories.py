"""Vector memory, reading ports, magnitudes, samples and store; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from unittest import mock

import pytest
from amaranth.hdl import Array, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.config import DEFAULT
from backpulse.gateware.chip.store import Store
from backpulse.rtl.core.magnitudes import Magnitudes
from backpulse.rtl.core.samples import Samples
from backpulse.rtl.core.vectors import ReadPort, VectorMemory
from backpulse.rtl.lib.ports import HostPort, Operand, element_layout
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

CONFIG = replace(DEFAULT, vector_words=64, page_bytes=32, store_words=72, order_depth=16)
SAMPLE_BYTES = 40
"""Bytes of what lies in a reading port's sample page."""


class PortOnMemory(wiring.Component):
    """A reading port on vector memory; its sample page holds its own addresses."""

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "run": In(1),
                "clear": In(1),
                "operand": In(Operand(CONFIG)).array(2),
                "use_second": In(1),
                "o": Out(stream.Signature(element_layout(config))),
                "w_en": In(1),
                "w_addr": In(16),
                "w_data": In(signed(config.acc_bits)),
                "host": In(HostPort(17)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = VectorMemory(self._config)
        m.submodules.port = port = ReadPort(self._config, runs=2, samples=True)
        connect(m, port.memory, memory.read_a)
        connect(m, port.o, flipped(self.o))
        connect(m, flipped(self.host), memory.host)
        m.d.comb += [getattr(port, name).eq(getattr(self, name)) for name in ("run", "clear", "use_second")]
        m.d.comb += [port.operand[i].eq(self.operand[i]) for i in range(2)]
        m.d.comb += [getattr(memory, name).eq(getattr(self, name)) for name in ("w_en", "w_addr", "w_data")]
        with m.If(port.page.en):
            m.d.sync += [port.page.data.eq(port.page.addr), port.page.beyond.eq(port.page.addr >= SAMPLE_BYTES)]
        return m


class SamplesOnStore(wiring.Component):
    """The loader with the store."""

    def __init__(self, config):
        self._samples, self._store = Samples(config), Store(config)
        members = {name: member for name, member in self._samples.signature.members.items() if name != "store"}
        super().__init__({**members, "host": self._store.signature.members["host"]})

    def elaborate(self, platform):
        m = Module()
        m.submodules.samples, m.submodules.store = samples, store = self._samples, self._store
        connect(m, samples.store, store.loader)
        connect(m, flipped(self.host), store.host)
        connect(m, flipped(self.order), samples.order)
        connect(m, flipped(self.page), samples.page)
        m.d.comb += [getattr(samples, name).eq(getattr(self, name)) for name in ("clear", "stride", "take")]
        m.d.comb += [getattr(self, name).eq(getattr(samples, name)) for name in ("credit", "room", "ready", "busy")]
        return m


BLOCKS = {
    "port": (PortOnMemory, "vectors_bench"),
    "magnitudes": (Magnitudes, "vectors_bench"),
    "samples": (SamplesOnStore, "samples_bench"),
}


class _Opaque(Memory):
    """A memory whose reading ports do not see what is written in the same cycle."""

    def read_port(self, *, transparent_for=(), **arguments):
        return super().read_port(**arguments)


class _Colliding(wiring.Component):
    """A memory that gives a word's inverse when it is written in the cycle in which it is read, as a Gowin part may (`_APART_OF_GOWIN`)."""

    def __init__(self, **arguments) -> None:
        self._memory = Memory(**arguments)
        super().__init__({})

    def write_port(self, **arguments):
        self._write = self._memory.write_port(**arguments)
        return self._write

    def read_port(self, **arguments):
        self._read = self._memory.read_port(**arguments)
        self._data = Signal.like(self._read.data)
        return SimpleNamespace(addr=self._read.addr, en=self._read.en, data=self._data)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = self._memory
        collides = Signal()
        m.d.store += collides.eq(self._write.en & (self._write.addr == self._read.addr))
        m.d.comb += self._data.eq(Mux(collides, ~self._read.data, self._read.data))
        return m


def _always_first(condition, then, otherwise):
    return Value.cast(then)


WRONG = {
    "port": {"rtl.core.vectors.Memory": _Opaque},
    "magnitudes": {"rtl.core.magnitudes.Mux": _always_first},
    "samples": {
        "rtl.core.samples.Mux": _always_first,
        "gateware.chip.store.Mux": _always_first,
        "gateware.chip.store.Array": lambda words: Array([words[0]] * len(words)),  # always the first bank
    },
}
"""Faults of each block, by what is patched."""
SEVERAL_BANKS = mock.patch("backpulse.gateware.chip.store.BANK_BITS", 4)
with SEVERAL_BANKS:
    VARIANTS = {block: Variants.patched(partial(kind, CONFIG), "backpulse", WRONG[block]) for block, (kind, _) in BLOCKS.items()}
    COLLIDING = Variants.patched(partial(SamplesOnStore, CONFIG), "backpulse.gateware.chip.store", {"Memory": _Colliding})


def _run(run, block, variant, pauses):
    told = {"config": CONFIG.to_words(), "block": block, "pauses": pauses, "sample_bytes": SAMPLE_BYTES}
    with SEVERAL_BANKS:
        run(VARIANTS[block], BLOCKS[block][1], name=block, mutant=VARIANTS[block].number(variant), **told)


@pytest.mark.parametrize(
    ("block", "pauses"),
    [("port", PATTERNS), ("magnitudes", ["never"]), ("samples", ["never", "bursts"])],
    ids=["port", "magnitudes", "samples"],
)
def test_golden(block, pauses):
    _run(run_cocotb, block, "none", pauses)


def test_what_a_bank_reads_of_a_word_being_written_does_not_matter():
    with SEVERAL_BANKS:
        told = {"config": CONFIG.to_words(), "block": "samples", "pauses": ["bursts"], "sample_bytes": SAMPLE_BYTES}
        run_cocotb(COLLIDING, "samples_bench", name="colliding", mutant=COLLIDING.number("Memory"), **told)


@pytest.mark.parametrize(("block", "what"), [(block, what) for block, wrong in WRONG.items() for what in wrong])
def test_broken(block, what):
    _run(expect_failure, block, what, ["never"])

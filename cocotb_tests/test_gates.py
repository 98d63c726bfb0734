"""The vendor's cell models run in Verilator: a memory and multipliers as synthesis makes them, and a single-port memory."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

import re

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.gateware.chip.spram import Spram
from backpulse.gateware.sim.gatesim import synthesise, tools_missing
from cocotb_tests.runner import expect_failure, run_cocotb

pytestmark = pytest.mark.skipif(tools_missing() is not None, reason=tools_missing() or "")


class Cells(wiring.Component):
    """One of each; a `broken` one takes the sign off a product."""

    w_addr: In(8)
    w_data: In(16)
    byte_en: In(2)
    r_addr: In(8)
    r_en: In(1)
    r_data: Out(16)
    a: In(16)
    b: In(16)
    product: Out(signed(32))
    product_unsigned: Out(32)
    store_addr: In(14)
    store_in: In(16)
    store_en: In(1)
    store_write: In(1)
    store_out: Out(16)

    def __init__(self, *, broken: bool = False) -> None:
        self._broken = broken
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=16, depth=256, init=[])
        w, r = memory.write_port(granularity=8), memory.read_port()
        m.submodules.store = store = Spram()
        m.d.comb += [
            w.addr.eq(self.w_addr),
            w.data.eq(self.w_data),
            w.en.eq(self.byte_en),
            r.addr.eq(self.r_addr),
            r.en.eq(self.r_en),
            self.r_data.eq(r.data),
            store.addr.eq(self.store_addr),
            store.w_data.eq(self.store_in),
            store.select.eq(self.store_en),
            store.write.eq(self.store_write),
            self.store_out.eq(store.r_data),
        ]
        a, b = (self.a, self.b) if self._broken else (self.a.as_signed(), self.b.as_signed())
        m.d.sync += [self.product.eq(a * b), self.product_unsigned.eq(self.a * self.b)]
        return m


def test_cell_models():
    netlist = (run_cocotb(Cells(), "gates_bench", synthesise=synthesise) / "netlist.v").read_text()
    for cell, count in (("SB_RAM40_4K", 1), ("SB_MAC16", 2), ("SB_SPRAM256KA", 1)):
        assert len(re.findall(rf"^ +{cell} ", netlist, re.MULTILINE)) == count


def test_broken():
    expect_failure(Cells(broken=True), "gates_bench", synthesise=synthesise)

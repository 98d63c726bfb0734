"""Every signal of the boards' designs has a name, by which it is known in waves.

It is read in the format that synthesis reads; the export to Verilog keeps these names.
"""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal

pytest.importorskip("amaranth_boards")

from backpulse.gateware.bitstream.build import prepare
from backpulse.gateware.boards.boards import BOARDS

UNNAMED = re.compile(r"^ +wire .*(\\\$(?:signal|signature)\S*)$", re.MULTILINE)
"""Name that amaranth gives to a signal whose own it cannot tell."""


@pytest.mark.parametrize("name", BOARDS)
def test_signals_of_boards_have_names(name):
    assert not UNNAMED.findall(prepare(BOARDS[name]).files["top.il"])


class Nameless(Elaboratable):
    def __init__(self):
        self.o = Signal()

    def elaborate(self, platform):
        m = Module()
        a, b = [Signal(), Signal()]
        m.d.sync += [a.eq(~b), b.eq(a), self.o.eq(b)]
        return m


def test_a_signal_without_a_name_is_found():
    nameless = Nameless()
    assert len(UNNAMED.findall(rtlil.convert(nameless, ports=[nameless.o]))) == 2

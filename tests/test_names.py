"""Every signal of the boards' designs has a name, by which it is known in waves.

It is read in the format that synthesis reads; the export to Verilog keeps these names.
"""

import re
from dataclasses import replace

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal

pytest.importorskip("amaranth_boards")

from backpulse.gateware.bitstream.build import prepare
from backpulse.gateware.boards.boards import BOARDS

UNNAMED = re.compile(r"^ +wire .*(\\\$(?:signal|signature)\S*)$", re.MULTILINE)
"""Name that amaranth gives to a signal whose own it cannot tell."""
LANES, STORE_WORDS = 4, 4096 + 256
"""Enough of an emulated tile's lanes, each of which is elaborated anew by the same lines, and of samples: more than a bank holds."""


@pytest.mark.parametrize("name", BOARDS)
def test_signals_of_boards_have_names(name):
    board = BOARDS[name]
    config = replace(board.config, store_words=min(board.config.store_words, STORE_WORDS))
    if board.front_end is None:  # else the columns are those of its wires
        config = replace(config, tile_cols=min(config.tile_cols, LANES))
    assert not UNNAMED.findall(prepare(replace(board, config=config)).files["top.il"])


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

"""The emulated tile against the device model: formats, devices, pauses, abort, host port; and broken tiles that must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportGeneralTypeIssues=false

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from unittest import mock

import pytest
from amaranth.hdl import Cat
from amaranth.lib.fifo import SyncFIFO

from backpulse.firmware_py.config import DEFAULT, IDEAL, LEAN, TABLE
from backpulse.firmware_py.table_device import ROOTS
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.lean import LeanTile
from cocotb_tests.mutants import Mutants, Variants
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

CONFIGS = {
    "full": replace(DEFAULT, tile_rows=8, tile_cols=4),
    "three tiles": replace(DEFAULT, tile_rows=16, tile_cols=5, tiles=3, spread=0),
    "ideal": replace(IDEAL, tile_rows=16, tile_cols=5),
    "one column": replace(DEFAULT, tile_rows=6, tile_cols=1, read_noise=0),
    "one cell": replace(IDEAL, tile_rows=1, tile_cols=1, read_noise=1),
    "one step": replace(DEFAULT, tile_rows=6, tile_cols=3, spread=0, steps=1, bounds=0, cell_bits=14, cell_frac=13),
    "lean": replace(LEAN, tile_rows=16, tiles=2, cell_bits=11, cell_frac=10),
    "table": replace(TABLE, tile_rows=8, tile_cols=5),
    "table formats": replace(TABLE, tile_rows=6, tile_cols=3, tiles=2, spread=0, read_noise=0, cell_bits=14, cell_frac=12, pulse_max=7),
    "formats": replace(DEFAULT, tile_rows=5, tile_cols=11, drive_bits=6, sense_bits=8, cell_bits=14, cell_frac=12, pulse_max=7),
}
PAUSED = ("full", "three tiles", "lean", "formats")


def tile(config):
    """Return the tile of a configuration."""
    return LeanTile(config) if config.lean else EmulatedTile(config)


def _truncate(value, n):
    return value >> n


def _no_clamp(value, low, high):
    return value


def _no_random(state):
    return state


class ShortFifo(SyncFIFO):
    """Has half the room, if it is the design's fault: words that are asked for without any get lost under back-pressure."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(FLOW_MUTANTS.fault("converter.SyncFIFO", 1, 0) & (self.level >= self.depth // 2)):
            m.d.comb += self.w_rdy.eq(0)
        return m


WRONG = {
    "lane.rshift": _truncate,
    "lane.clamp": _no_clamp,
    "lane.xorshift": _no_random,
    "lane.STUCK": 99,
    "converter.rshift": _truncate,
    "converter.xorshift": _no_random,
}
WRONG_IN_LEAN = {
    "lean.rounded": _truncate,
    "lean.clip": lambda value, bits: (value[:bits].as_signed(), value[-1]),
    "lean.STEP_FRAC": 5,
}
WRONG_IN_TABLE = {
    "table_lane.rshift": _truncate,
    "table_lane.clamp": _no_clamp,
    "table_lane.companion": _no_random,
    "table_lane._lifted": lambda value, shift: value << 2,
    "table_lane._segment": lambda cell, up: Cat(cell[-6:-1], ~cell[-1], up),
    "table_lane._root_at": lambda kind, size: (kind >> 1) * ROOTS + size,
    "table_lane._moves": lambda leaks, pulsed, stuck: leaks | (pulsed & ~stuck),
    "leak._entry": lambda periods: periods[:4],
}
MUTANTS = Mutants(tile(CONFIGS["full"]), tuple(WRONG))
TABLE_MUTANTS = Mutants(tile(CONFIGS["table"]), tuple(WRONG_IN_TABLE))
FLOW_MUTANTS = Mutants(tile(CONFIGS["formats"]), ("converter.SyncFIFO",))


DESIGNS = {
    "full": (MUTANTS, lambda: MUTANTS.patched("backpulse.rtl.tile", WRONG)),
    "table": (TABLE_MUTANTS, lambda: TABLE_MUTANTS.patched("backpulse.rtl.tile", WRONG_IN_TABLE)),
    "formats": (FLOW_MUTANTS, lambda: mock.patch("backpulse.rtl.tile.converter.SyncFIFO", ShortFifo)),
    "lean": (Variants.patched(partial(tile, CONFIGS["lean"]), "backpulse.rtl.tile", WRONG_IN_LEAN), nullcontext),
}
"""Designs that are compiled for their faults, and run without any, too; with what makes these."""


def _run(run, name, *, fault="none", **arguments):
    """Run the bench on a configuration."""
    config = CONFIGS[name]
    design, patched = DESIGNS.get(name) or (tile(config), nullcontext)
    mutant = DESIGNS[name][0].number(fault) if name in DESIGNS else 0
    with patched():
        run(design, "tile_bench", name=f"tile_{name.replace(' ', '_')}", config=config.to_words(), mutant=mutant, **arguments)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "table"])
def test_golden(name):
    _run(run_cocotb, name, pauses=PATTERNS if name in PAUSED else ["never"])


def test_golden_table():
    _run(run_cocotb, "table", pauses=["often"], aborts=12)


@pytest.mark.parametrize(
    ("config", "name"),
    [(config, name) for config, wrong in (("full", WRONG), ("table", WRONG_IN_TABLE), ("lean", WRONG_IN_LEAN)) for name in wrong],
)
def test_broken_arithmetic(config, name):
    _run(expect_failure, config, fault=name, testcase="commands", pauses=["never"])


def test_broken_flow():
    _run(expect_failure, "formats", fault="converter.SyncFIFO", testcase="commands", pauses=["often"])

"""The emulated tile against the device model: formats, devices, pauses, abort, host port; and broken tiles that must be noticed."""

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Cat
from amaranth.lib.fifo import SyncFIFO

from backpulse.firmware_py.config import DEFAULT, IDEAL, LEAN, TABLE
from backpulse.firmware_py.table_device import ROOTS
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.lean import LeanTile
from cocotb_tests.mutants import Mutants
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


def run(name: str, **arguments) -> None:
    """Run the bench on a configuration."""
    config = CONFIGS[name]
    run_cocotb(tile(config), "tile_bench", config=config.to_words(), **arguments)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "table"])
def test_golden(name):
    run(name, pauses=PATTERNS if name in PAUSED else ["never"])


def test_golden_table():
    """In the design that is compiled for its faults, without any."""
    with TABLE_MUTANTS.patched("backpulse.rtl.tile", WRONG_IN_TABLE):
        config = CONFIGS["table"].to_words()
        run_cocotb(TABLE_MUTANTS, "tile_bench", config=config, mutant=0, pauses=["often"], aborts=12)


def _truncate(value, n):
    return value >> n


def _no_clamp(value, low, high):
    return value


def _no_random(state):
    return state


def _short_fifo(*, width, depth):
    return SyncFIFO(width=width, depth=depth // 2)


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
LEAN_MUTANTS = Mutants(tile(CONFIGS["lean"]), tuple(WRONG_IN_LEAN))


@pytest.mark.parametrize(
    ("mutants", "config", "wrong", "name"),
    [
        *((MUTANTS, "full", WRONG, name) for name in ("none", *WRONG)),
        *((TABLE_MUTANTS, "table", WRONG_IN_TABLE, name) for name in WRONG_IN_TABLE),
        *((LEAN_MUTANTS, "lean", WRONG_IN_LEAN, name) for name in ("none", *WRONG_IN_LEAN)),
    ],
    ids=[
        *(f"full-{name}" for name in ("none", *WRONG)),
        *(f"table-{name}" for name in WRONG_IN_TABLE),
        *(f"lean-{name}" for name in ("none", *WRONG_IN_LEAN)),
    ],
)
def test_broken_arithmetic(mutants, config, wrong, name):
    run = run_cocotb if name == "none" else expect_failure
    arguments = {"config": CONFIGS[config].to_words(), "mutant": mutants.number(name), "pauses": ["never"]}
    with mutants.patched("backpulse.rtl.tile", wrong):
        run(mutants, "tile_bench", testcase="commands", **arguments)


def test_broken_step():
    config = CONFIGS["lean"]
    with mock.patch("backpulse.rtl.tile.lean.STEP_FRAC", 5):
        expect_failure(LeanTile(config), "tile_bench", testcase="commands", config=config.to_words(), pauses=["never"])


def test_broken_flow():
    """Words asked for without room in the FIFO get lost under back-pressure."""
    config = CONFIGS["formats"]
    with mock.patch("backpulse.rtl.tile.converter.SyncFIFO", _short_fifo):
        expect_failure(EmulatedTile(config), "tile_bench", testcase="commands", config=config.to_words(), pauses=["often"])

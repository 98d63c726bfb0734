"""The pulse planner against the golden counts, and broken planners that must be noticed."""

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring

from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS
from firmware_py.config import DEFAULT
from rtl.planner import Planner

CONFIGS = {
    "4 lanes": replace(DEFAULT, tile_rows=8, tile_cols=4),
    "5 lanes": replace(DEFAULT, tile_rows=16, tile_cols=5, tiles=3),
    "1 lane": replace(DEFAULT, tile_rows=3, tile_cols=1),
    "9 lanes": replace(DEFAULT, tile_rows=5, tile_cols=9, vector_bits=14, vector_frac=10, pulse_max=6),
}


def run(name: str, **arguments) -> None:
    """Run the bench on a configuration."""
    config = CONFIGS[name]
    run_cocotb(Planner(config), "planner_bench", config=config.to_words(), **arguments)


@pytest.mark.parametrize("name", CONFIGS)
def test_all(name):
    run(name, pause="never")


@pytest.mark.parametrize("pause", PATTERNS[1:])
@pytest.mark.parametrize("name", ["5 lanes", "9 lanes"])
def test_pauses(name, pause):
    run(name, pause=pause, testcase=["plans", "clear"])


@pytest.mark.parametrize(
    ("what", "variant"),
    [
        ("rshift_by", lambda value, n: value >> n),
        ("xorshift", lambda state: state),
        ("PLANNED_MAX", 16383),
        ("sum_tree", lambda m, terms, valid: (terms[0], valid)),
    ],
)
def test_broken(what, variant):
    config = CONFIGS["4 lanes"]
    with mock.patch(f"rtl.planner.{what}", variant):
        expect_failure(Planner(config), "planner_bench", testcase="plans", config=config.to_words(), pause="never")


class Hasty(wiring.Component):
    """A planner that does not wait until its counts are taken."""

    def __init__(self, config):
        self._planner = Planner(config)
        super().__init__(self._planner.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.planner = planner = self._planner
        for name in ("cmd", "i_column", "i_row", "host"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(planner, name))
        m.d.comb += [getattr(self, name).eq(getattr(planner, name)) for name in ("up", "down", "clipped", "settled")]
        m.d.comb += [self.o_counts.payload.eq(planner.o_counts.payload), self.o_counts.valid.eq(planner.o_counts.valid)]
        m.d.comb += [planner.o_counts.ready.eq(1), planner.clear.eq(self.clear)]
        return m


def test_broken_flow():
    config = CONFIGS["4 lanes"]
    expect_failure(Hasty(config), "planner_bench", testcase="plans", config=config.to_words(), pause="often")

"""The whole machine behind the link against the golden machine; broken ones must be noticed."""

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Signal

from backpulse.firmware_py.config import DEFAULT, IDEAL
from backpulse.firmware_py.isa import LEGAL, Function, Op
from backpulse.gateware.chip.top import Machine
from backpulse.gateware.sim.virtual_board import Simulator
from backpulse.rtl.lib.clocks import resting_domain
from cocotb_tests.runner import expect_failure, run_cocotb

SIZES = {
    "store_words": 64,
    "order_depth": 16,
    "result_depth": 16,
    "output_depth": 32,
    "program_words": 64,
    "regions": 16,
    "vectors": 32,
    "vector_words": 128,
}
SMALL = replace(DEFAULT, tile_rows=8, tile_cols=5, tiles=6, page_bytes=32, **SIZES)
LEAN = replace(IDEAL, tile_rows=12, tile_cols=4, tiles=2, page_bytes=32, **SIZES)
SMALLEST = replace(
    IDEAL, tile_rows=16, tile_cols=4, tiles=4, page_bytes=32, cell_bits=11, cell_frac=10, lean=1, **(SIZES | {"output_depth": 0})
)
SCHEDULES = ("progressive", "progressive-exact", "progressive-corrected", "deferred")
RUNS = [
    *({"schedule": schedule, "device": "ecram", "lr": lr} for schedule, lr in zip(SCHEDULES, (0.5, 2.0, 0.25, 1.0), strict=True)),
    {"layers": [9, 7, 4], "network": {"activation": "tanh", "output": "tanh"}, "schedule": "progressive-corrected", "lr": 4.0},
    {"layers": [6, 9, 3], "network": {"activation": "relu", "output": "linear"}, "stochastic": False, "orientations": [True, False]},
    {"layers": [3, 4, 4, 2], "network": {"loss": "cross-entropy", "bias": False}, "orientations": [False, True, True], "device": "ecram"},
    {"layers": [4, 2], "schedule": "deferred", "lr": 0.01},
]


def _run(config, **arguments) -> None:
    run_cocotb(Machine(config), "core_bench", config=config.to_words(), **arguments)


def test_trains():
    _run(SMALL, runs=RUNS, testcase="trains")


def test_trains_ideal():
    """Here clocks of parts that rest stand still, as in the virtual board."""
    runs = [{key: value for key, value in run.items() if key != "device"} for run in RUNS if "layers" not in run]
    _run(LEAN, runs=runs, testcase="trains", platform=Simulator())


def test_trains_lean():
    sigmoid = [run for run in RUNS if "activation" not in run.get("network", {})]
    runs = [{key: value for key, value in run.items() if key != "device"} for run in sigmoid[2:]]
    _run(SMALLEST, runs=runs, testcase="trains")


@pytest.mark.parametrize("platform", [None, Simulator()], ids=["boards", "virtual board"])
def test_stops_and_faults(platform):
    _run(SMALL, runs=[{"device": "ecram"}], stops=True, testcase=["stops", "faults"], platform=platform)


def test_stops_and_faults_lean():
    _run(SMALLEST, runs=[{}], stops=True, testcase=["stops", "faults"])


@pytest.mark.parametrize(
    ("what", "variant"),
    [
        ("backpulse.rtl.units.units.auto_range", lambda config, magnitude, enable: 0),  # drives and reads are not shifted
        ("backpulse.rtl.core.sequencer.ALU_CYCLES", 12),  # right words, wrong cycles
    ],
)
def test_broken(what, variant):
    with mock.patch(what, variant):
        expect_failure(Machine(LEAN), "core_bench", config=LEAN.to_words(), runs=[{}], testcase="trains")


@pytest.mark.parametrize("part", ["host", "cells", "pulse", "convert"])
def test_broken_resting(part):
    """A part of the tile sleeps on in the first cycle that it has something to do; the way of the host, which waits, for good."""

    def late(m, platform, name, *, awake):
        if name == part:
            begun = Signal()
            m.d.sync += begun.eq(awake if part != "host" else 0)
            awake = begun & awake
        resting_domain(m, platform, name, awake=awake)

    with mock.patch("backpulse.rtl.tile.emulated.resting_domain", late):
        expect_failure(Machine(LEAN), "core_bench", platform=Simulator(), config=LEAN.to_words(), runs=[{}], testcase="trains")


def test_broken_fetch():
    """One illegal pair of operation and function slips through."""
    with mock.patch("backpulse.rtl.core.fetch.LEGAL", [*LEGAL, (int(Op.PULSE), int(Function.NONE))]):
        expect_failure(Machine(LEAN), "core_bench", config=LEAN.to_words(), runs=[{}], stops=True, testcase="faults")

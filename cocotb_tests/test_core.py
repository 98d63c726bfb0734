"""The whole machine behind the link against the golden machine; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Signal

from backpulse.firmware_py.config import DEFAULT, IDEAL, LEAN
from backpulse.firmware_py.isa import Function, Op, legal
from backpulse.firmware_py.timing import ALU_CYCLES
from backpulse.gateware.chip.top import Machine
from backpulse.gateware.sim.virtual_board import Simulator
from backpulse.rtl.lib.clocks import gated_domain
from backpulse.rtl.units.reader import auto_range
from cocotb_tests.mutants import Mutants
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.test_differential import MACHINES

SIZES = {
    "store_words": 64,
    "order_depth": 16,
    "result_depth": 16,
    "output_depth": 32,
    "trace_words": 512,
    "program_words": 64,
    "regions": 16,
    "vectors": 32,
    "vector_words": 128,
}
SMALL = replace(DEFAULT, tile_rows=8, tile_cols=5, tiles=6, page_bytes=32, **SIZES)
IDEAL_CELLS = replace(IDEAL, tile_rows=12, tile_cols=4, tiles=2, page_bytes=32, **SIZES)
SMALLEST = replace(
    LEAN, tile_rows=16, tiles=4, page_bytes=32, cell_bits=11, cell_frac=10, **(SIZES | {"output_depth": 0, "trace_words": 0})
)
PARTS = ("host", "cells", "pulse", "convert")
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


def test_boards():
    _run(SMALL, runs=RUNS, stops={"device": "ecram"})


def test_virtual_board():
    """Here clocks of parts that rest stand still."""
    _run(SMALL, stops={"device": "ecram"}, testcase=["stops", "faults"], platform=Simulator())


def test_table():
    """With noise, spread, stuck cells and leak; columns that are loaded while rows leak, and longer than that."""
    runs = [{"layers": [1, 4, 2], "network": {"bias": False}}, {"layers": [4, 3, 2], "schedule": "deferred"}]
    _run(MACHINES["table"], runs=[{**run, "device": "table"} for run in runs], testcase="trains")


def test_without_prefetch():
    """A full machine that fetches an instruction only when the one before has ended: the same words, and the cycles that it says."""
    _run(replace(SMALL, prefetch=0), runs=RUNS[2:6], stops={}, testcase=["trains", "faults"])


def test_lean():
    sigmoid = [run for run in RUNS if "activation" not in run.get("network", {})]
    runs = [{key: value for key, value in run.items() if key != "device"} for run in sigmoid[2:]]
    _run(SMALLEST, runs=runs, stops={})


MUTANTS = Mutants(Machine(IDEAL_CELLS), (*PARTS, "auto range", "fetch", "cycles"))


def _late(m, platform, name, *, awake):
    """Do as `gated_domain` does; a faulty part sleeps on in the first cycle that it has something to do, the way of the host for good."""
    if name in PARTS:
        begun = Signal()
        m.d.sync += begun.eq(awake if name != "host" else 0)
        awake = MUTANTS.fault(name, begun & awake, awake)
    gated_domain(m, platform, name, awake=awake)


def _unshifted(config, magnitude, enable):
    """Shift neither drives nor reads."""
    return MUTANTS.fault("auto range", 0, auto_range(config, magnitude, enable))


def _credulous(config):
    """Let one illegal pair of operation and function slip through."""
    op, function = legal(config)[0]
    return [*legal(config), (MUTANTS.fault("fetch", int(Op.PULSE), op), MUTANTS.fault("fetch", int(Function.NONE), function))]


class _FewerCycles(int):
    """ALU_CYCLES, but compared with what may be two less."""

    def __sub__(self, one):
        return MUTANTS.fault("cycles", int(self) - 2 - one, int(self) - one)


def _run_ideal(run, name, **arguments) -> None:
    """Run the bench on the design that is compiled for its faults, with one of them or without any."""
    with (
        mock.patch("backpulse.rtl.tile.emulated.gated_domain", _late),
        mock.patch("backpulse.rtl.units.units.auto_range", _unshifted),
        mock.patch("backpulse.rtl.core.prefetch.legal", _credulous),
        mock.patch("backpulse.rtl.core.sequencer.ALU_CYCLES", _FewerCycles(ALU_CYCLES)),
    ):
        told = {"config": IDEAL_CELLS.to_words(), "stops": {}, "mutant": MUTANTS.number(name)}
        run(MUTANTS, "core_bench", name="ideal_cells", platform=Simulator(), **told, **arguments)


def test_virtual_board_ideal():
    runs = [{key: value for key, value in run.items() if key != "device"} for run in RUNS if "layers" not in run]
    _run_ideal(run_cocotb, "none", runs=[{}, *runs], testcase=["trains", "faults"])


@pytest.mark.parametrize(("name", "testcase"), [*((part, "trains") for part in PARTS), ("auto range", "trains"), ("fetch", "faults")])
def test_broken(name, testcase):
    _run_ideal(expect_failure, name, testcase=testcase)


def test_broken_cycles():
    """Right words, wrong cycles."""
    _run_ideal(expect_failure, "cycles", testcase="trains")

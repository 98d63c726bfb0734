"""The pulse planner against the golden counts, and broken planners that must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from unittest import mock

import pytest
from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, connect, flipped

from backpulse.firmware_py.config import DEFAULT, LEAN, DeviceKind
from backpulse.rtl.units.lean_arithmetic import LeanArithmetic
from backpulse.rtl.units.lean_planner import LeanPlanner
from backpulse.rtl.units.multiplier import CLIENTS
from backpulse.rtl.units.planner import Planner, plan_layout
from backpulse.rtl.units.serial_planner import SerialPlanner
from cocotb_tests.mutants import Mutants, Variants
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

CONFIGS = {
    "4 lanes": replace(DEFAULT, tile_rows=8, tile_cols=4),
    "5 lanes": replace(DEFAULT, tile_rows=16, tile_cols=5, tiles=3),
    "1 lane": replace(DEFAULT, tile_rows=3, tile_cols=1),
    "lean": replace(LEAN, tile_rows=16, cell_bits=11, cell_frac=10),
    "real": replace(DEFAULT, tile_rows=8, tile_cols=5, device=DeviceKind.REAL, spread=0, read_noise=0),
    "9 lanes": replace(DEFAULT, tile_rows=5, tile_cols=9, vector_bits=14, vector_frac=10, pulse_max=6),
}
PAUSED = ("5 lanes", "lean", "real", "9 lanes")


class ScaledPlanner(wiring.Component):
    """A lean planner with the arithmetic that scales its columns; a command brings along what is steady in the machine."""

    _OWN = ("o_counts", "up", "down", "clipped", "settled", "clear", "host")

    def __init__(self, config):
        self._config, self._planner = config, LeanPlanner(config)
        members = {name: self._planner.signature.members[name] for name in self._OWN}
        word = In(stream.Signature(signed(config.vector_bits)))
        super().__init__({"cmd": In(stream.Signature(plan_layout(config))), "i_column": word, "i_row": word, **members})

    def elaborate(self, platform):
        m = Module()
        m.submodules.planner = planner = self._planner
        m.submodules.arithmetic = arithmetic = LeanArithmetic(self._config)
        for name in CLIENTS:
            connect(m, getattr(arithmetic, name), getattr(planner, name))
        for name in ("o_counts", "host"):
            connect(m, flipped(getattr(self, name)), getattr(planner, name))
        for name in ("up", "down", "clipped", "settled"):
            m.d.comb += getattr(self, name).eq(getattr(planner, name))
        kept = Signal(plan_layout(self._config))
        with m.If(self.cmd.valid & self.cmd.ready):
            m.d.sync += kept.eq(self.cmd.p)
        columns = planner.i_column.ready
        m.d.comb += [
            planner.clear.eq(self.clear),
            planner.cmd.valid.eq(self.cmd.valid),
            self.cmd.ready.eq(planner.cmd.ready),
            *(planner.cmd.p[name].eq(self.cmd.p[name]) for name in ("rows", "col0", "cols")),
            *(getattr(planner, name).eq(kept[name]) for name in ("exponent", "scale_log2", "magnitude", "stochastic")),
            planner.i_column.valid.eq(self.i_column.valid),
            planner.i_row.valid.eq(self.i_row.valid),
            self.i_column.ready.eq(planner.i_column.ready),
            self.i_row.ready.eq(planner.i_row.ready),
            planner.i_column.p.eq(self.i_column.p < 0),
            planner.i_row.p.eq(self.i_row.p < 0),
            planner.scaled.eq(arithmetic.scaled),
            arithmetic.i_a.p.word.eq(Mux(columns, self.i_column.p, self.i_row.p)),
            arithmetic.take.eq(self.i_column.valid & columns),
            arithmetic.planner.eq(1),
            arithmetic.mantissa.eq(kept.mantissa),
            arithmetic.lose.eq(planner.lose),
        ]
        return m


def planner(config):
    """Return the planner of a configuration."""
    if config.device is DeviceKind.REAL:
        return SerialPlanner(config)
    return ScaledPlanner(config) if config.lean else Planner(config)


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


WRONG = {
    "4 lanes": {
        "planner.rshift_by": lambda value, n: value >> n,
        "planner.xorshift": lambda state: state,
        "planner.sum_tree": lambda m, terms, valid: (terms[0], valid),
        "planner.PLANNED_MAX": 16383,
    },
    "lean": {
        "lean_planner.xorshift": lambda state: state,
        "lean_arithmetic.rshift_parts": lambda m, value, n, width: ((value >> n)[:width], Const(0, 1), (value >> n)[width:].any()),
    },
    "real": {
        "serial_planner.rshift_by": lambda value, n: value >> n,
        "serial_planner.xorshift": lambda state: state,
    },
}
"""What is patched, by configurations."""


def _variants(name, **others):
    return Variants.patched(partial(planner, CONFIGS[name]), "backpulse.rtl.units", WRONG[name], **others)


LEAN_MUTANTS = Mutants(planner(CONFIGS["lean"]), tuple(WRONG["lean"]))
DESIGNS = {
    "4 lanes": (_variants("4 lanes", flow=Hasty(CONFIGS["4 lanes"])), nullcontext),
    "real": (_variants("real"), nullcontext),
    "lean": (LEAN_MUTANTS, lambda: LEAN_MUTANTS.patched("backpulse.rtl.units", WRONG["lean"])),
}
"""Designs that are compiled for their faults, and run without any, too; with what makes these."""


def _run(run, name, design=None, **arguments):
    """Run the bench on a configuration."""
    config = CONFIGS[name]
    design, patched = (design, nullcontext) if design else DESIGNS.get(name) or (planner(config), nullcontext)
    with patched():
        run(design, "planner_bench", name="planner", config=config.to_words(), **arguments)


def _broken(name, what, pause):
    _run(expect_failure, name, testcase="plans", pauses=[pause], mutant=DESIGNS[name][0].number(what))


@pytest.mark.parametrize("name", CONFIGS)
def test_golden(name):
    cases = 50 if CONFIGS[name].lean else 200  # a lean planner takes many cycles for each
    _run(run_cocotb, name, cases=cases, pauses=PATTERNS if name in PAUSED else ["never"])


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, wrong in WRONG.items() for what in wrong])
def test_broken(name, what):
    _broken(name, what, "never")


def test_broken_constant():
    with mock.patch("backpulse.rtl.units.lean_planner.RANDOM_BITS", 15):
        _run(expect_failure, "lean", planner(CONFIGS["lean"]), testcase="plans", pauses=["never"])


def test_broken_flow():
    _broken("4 lanes", "flow", "often")

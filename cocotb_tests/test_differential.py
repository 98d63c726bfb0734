"""Random programs on the whole machine, full and small, against the golden machine: seconds of it here, more of it with `make fuzz`.

RANDOM_SEED chooses the programs.
"""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Module

from backpulse.firmware_py.config import DEFAULT, LEAN, TABLE
from backpulse.firmware_py.registers import Counter
from backpulse.gateware.chip.top import Machine
from backpulse.rtl.core.ledger import Ledger
from cocotb_tests.mutants import Mutants, Variants, through
from cocotb_tests.runner import expect_failure, run_cocotb

SIZES = {
    "tile_rows": 8,
    "tile_cols": 4,
    "tiles": 1,
    "program_words": 32,
    "regions": 3,
    "vectors": 8,
    "vector_words": 64,
    "page_bytes": 32,
    "store_words": 64,
    "order_depth": 16,
    "result_depth": 16,
}
FULL = {**SIZES, "trace_words": 64}
ONE_STEP = {"spread": 0, "read_noise": 0, "steps": 1, "bounds": 0, "prefetch": 0, "cell_bits": 12, "cell_frac": 11}
MACHINES = {
    "full": replace(DEFAULT, **FULL, output_depth=32),
    "one step": replace(DEFAULT, **FULL, **ONE_STEP, output_depth=0),
    "table": replace(TABLE, **FULL, output_depth=32),
    "lean": replace(LEAN, **SIZES, cell_bits=11, cell_frac=10),
}
SOME, FEW, MANY = 120, 30, 3000
"""Examples; few where each has a thousand words more to write."""


class Forgetful(Ledger):
    """Has room for the counts of one ERR until its turn: those of short samples are lost."""

    def __init__(self, config, most, bursts):
        super().__init__(config, most, {counter: 1 if counter in (Counter.HITS, Counter.RESULTS) else n for counter, n in bursts.items()})


class EitherLedger(Ledger):
    """The sound ledger and a forgetful one, of which the design's fault chooses."""

    def __init__(self, config, most, bursts):
        super().__init__(config, most, bursts)
        self._ledgers = Variants(Ledger(config, most, bursts), {"forgetful": Forgetful(config, most, bursts)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ledgers = ledgers = self._ledgers
        through(m, self, ledgers, but=("mutant",))
        m.d.comb += ledgers.mutant.eq(LEAN_MUTANTS.mutant)
        return m


with mock.patch("backpulse.rtl.core.core.Ledger", EitherLedger):
    LEAN_MUTANTS = Mutants(Machine(MACHINES["lean"]), ("forgetful",))


def _run(machine: str, examples: int, run=run_cocotb, fault: str = "none") -> None:
    """Run the bench on a machine; what a broken one does not pass nobody reads, so it need not be shrunk."""
    config = MACHINES[machine]
    design = LEAN_MUTANTS if machine == "lean" else Machine(config)
    told = {"config": config.to_words(), "mutant": LEAN_MUTANTS.number(fault), "examples": examples, "shrink": run is run_cocotb}
    with mock.patch("backpulse.rtl.core.core.Ledger", EitherLedger if machine == "lean" else Ledger):
        run(design, "differential_bench", name="machine", **told)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda name: name.replace(" ", "-"))
def test_some_programs(machine):
    _run(machine, FEW if machine == "table" else SOME)


def test_broken():
    _run("lean", SOME, expect_failure, "forgetful")


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=lambda name: name.replace(" ", "-"))
def test_many_programs(machine):
    _run(machine, MANY)

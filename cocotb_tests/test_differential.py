"""Random programs on the whole machine, full and small, against the golden machine: seconds of it here, more of it with `make fuzz`.

RANDOM_SEED chooses the programs.
"""

from dataclasses import replace
from unittest import mock

import pytest

from backpulse.firmware_py.config import DEFAULT, LEAN, TABLE
from backpulse.firmware_py.registers import Counter
from backpulse.gateware.chip.top import Machine
from backpulse.rtl.core.ledger import Ledger
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


def _run(machine: str, examples: int, run=run_cocotb) -> None:
    """Run the bench on a machine; what a broken one does not pass nobody reads, so it need not be shrunk."""
    config = MACHINES[machine]
    run(Machine(config), "differential_bench", config=config.to_words(), examples=examples, shrink=run is run_cocotb)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda name: name.replace(" ", "-"))
def test_some_programs(machine):
    _run(machine, FEW if machine == "table" else SOME)


class Forgetful(Ledger):
    """Has room for the counts of one ERR until its turn: those of short samples are lost."""

    def __init__(self, config, most, bursts):
        super().__init__(config, most, {counter: 1 if counter in (Counter.HITS, Counter.RESULTS) else n for counter, n in bursts.items()})


def test_broken():
    with mock.patch("backpulse.rtl.core.core.Ledger", Forgetful):
        _run("lean", SOME, expect_failure)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES, ids=lambda name: name.replace(" ", "-"))
def test_many_programs(machine):
    _run(machine, MANY)

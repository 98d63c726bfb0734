"""Both ledgers; broken ones must be noticed."""

from dataclasses import replace
from unittest import mock

import pytest

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.registers import Counter
from backpulse.rtl.core.counters import Counters
from backpulse.rtl.core.ledger import ONCE, Ledger
from backpulse.rtl.units.arithmetic import NORM_EXPONENT
from cocotb_tests.runner import expect_failure, run_cocotb

CONFIG = replace(DEFAULT, result_depth=32)
WIDTHS = dict.fromkeys(Counter, 1) | {Counter.LOSS: 32, Counter.PULSES_UP: 7, Counter.PULSES_DOWN: 7, Counter.VECTOR_SATURATED: 2}


def _run(kind, run):
    widths = [WIDTHS[counter] for counter in Counter]
    run(kind(CONFIG, WIDTHS), "ledger_bench", config=CONFIG.to_words(), widths=widths, norm_exponent=NORM_EXPONENT)


@pytest.mark.parametrize("kind", [Ledger, Counters])
def test_golden(kind):
    _run(kind, run_cocotb)


@pytest.mark.parametrize(("what", "variant"), [("ROUND", 20), ("ONCE", (*ONCE, Counter.SENSE_CLIPPED)), ("NORM_EXPONENT", 3)])
def test_broken(what, variant):
    with mock.patch(f"backpulse.rtl.core.ledger.{what}", variant):
        _run(Ledger, expect_failure)

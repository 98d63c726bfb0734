"""The ledger, lean and not; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace
from unittest import mock

import pytest

from backpulse.firmware_py.config import DEFAULT, LEAN
from backpulse.firmware_py.isa import NORM_EXPONENT
from backpulse.firmware_py.registers import Counter
from backpulse.rtl.core.ledger import Ledger
from cocotb_tests.runner import expect_failure, run_cocotb

CONFIGS = {"full": replace(DEFAULT, result_depth=32), "lean": replace(LEAN, result_depth=32)}
MOST = dict.fromkeys(Counter, 1) | {
    Counter.LOSS: 0xFFFFFFFF,
    Counter.PULSES_UP: 256 * 31,
    Counter.PULSES_DOWN: 124,
    Counter.VECTOR_SATURATED: 2,
}
"""PULSES_UP is given more than a half word holds in a round, as on the widest tile."""


def _run(config, run, kind=Ledger, bursts=None):
    most = MOST | ({Counter.PULSES_MISSED: 0} if config.lean else {})
    run(kind(config, most, bursts or {}), "ledger_bench", config=config.to_words(), most=[*most.values()], norm_exponent=NORM_EXPONENT)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_golden(config):
    _run(config, run_cocotb)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("what", "variant"), [("ROUND", 20), ("NORM_EXPONENT", 3), ("EMPTY", 0)])
def test_broken(what, variant, config):
    with mock.patch(f"backpulse.rtl.core.ledger.{what}", variant):
        _run(config, expect_failure)


class Errorless(Ledger):
    """Has no errors: answers where there is no ring, and to writes."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.results.error.eq(0)
        return m


def test_broken_ring():
    _run(CONFIGS["full"], expect_failure, Errorless)


def test_broken_halves():
    # What LOSS is given beyond a half word is lost.
    _run(CONFIGS["full"], expect_failure, bursts={Counter.LOSS: 0xFFFF})

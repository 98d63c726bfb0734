"""The ledger, lean and not; broken ones must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false

from dataclasses import replace
from functools import partial

import pytest

from backpulse.firmware_py.config import DEFAULT, LEAN
from backpulse.firmware_py.isa import NORM_EXPONENT
from backpulse.firmware_py.registers import Counter
from backpulse.rtl.core.ledger import Ledger
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb

CONFIGS = {"full": replace(DEFAULT, result_depth=32), "lean": replace(LEAN, result_depth=32)}
MOST = dict.fromkeys(Counter, 1) | {
    Counter.LOSS: 0xFFFFFFFF,
    Counter.PULSES_UP: 256 * 31,
    Counter.PULSES_DOWN: 124,
    Counter.VECTOR_SATURATED: 2,
}
"""PULSES_UP is given more than a half word holds in a round, as on the widest tile."""


class Errorless(Ledger):
    """Has no errors: answers where there is no ring, and to writes."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.results.error.eq(0)
        return m


CONSTANTS = {"ROUND": 20, "NORM_EXPONENT": 3, "EMPTY": 0}
"""What is patched, to another number."""


def _most(config):
    return MOST | ({Counter.PULSES_MISSED: 0} if config.lean else {})


def _made(config, kind=Ledger, bursts=None):
    return kind(config, _most(config), bursts or {})


def _variants(config):
    # What LOSS is given beyond a half word is lost.
    more = {} if config.lean else {"ring": _made(config, Errorless), "halves": _made(config, bursts={Counter.LOSS: 0xFFFF})}
    return Variants.patched(partial(_made, config), "backpulse.rtl.core.ledger", CONSTANTS, **more)


LEDGERS = {name: _variants(config) for name, config in CONFIGS.items()}


def _run(run, name, variant):
    config, ledgers = CONFIGS[name], LEDGERS[name]
    told = {"config": config.to_words(), "most": [*_most(config).values()], "norm_exponent": NORM_EXPONENT}
    run(ledgers, "ledger_bench", name=f"{name}_ledger", mutant=ledgers.number(variant), **told)


@pytest.mark.parametrize("name", CONFIGS)
def test_golden(name):
    _run(run_cocotb, name, "none")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("what", CONSTANTS)
def test_broken(what, name):
    _run(expect_failure, name, what)


def test_broken_ring():
    _run(expect_failure, "full", "ring")


def test_broken_halves():
    _run(expect_failure, "full", "halves")

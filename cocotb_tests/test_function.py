"""Functions and derivatives against the golden model; broken ones must be noticed."""

from dataclasses import replace
from functools import partial

import pytest

from backpulse.firmware_py.activation import tanh_table
from backpulse.firmware_py.config import DEFAULT
from backpulse.rtl.units.activation import Derivative, Finish
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

CONFIGS = {
    "default": DEFAULT,
    "narrow": replace(DEFAULT, vector_bits=14, vector_frac=11, pre_frac=9, acc_bits=22, drive_bits=7),
    "coarse": replace(DEFAULT, vector_frac=10, pre_frac=12),
}
BLOCKS = {"derivative": Derivative, "finish": Finish}


def _truncate(value, n):
    return value >> n


def _shifted_table(config):
    return (*tanh_table(config)[1:], 0)


WRONG = {"derivative": {"rshift": _truncate}, "finish": {"rshift": _truncate, "tanh_table": _shifted_table}}
"""Faults of each block, by what is patched."""
VARIANTS = {
    block: Variants.patched(partial(kind, DEFAULT), "backpulse.rtl.units.activation", WRONG[block]) for block, kind in BLOCKS.items()
}


def _run(run, component, block, config, pauses, mutant=0):
    run(component, "function_bench", name=block, config=config.to_words(), block=block, pauses=pauses, mutant=mutant)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_golden(block, name):
    config = CONFIGS[name]
    _run(run_cocotb, VARIANTS[block] if config is DEFAULT else BLOCKS[block](config), block, config, PATTERNS[:3])


@pytest.mark.parametrize(("block", "what"), [(block, what) for block, wrong in WRONG.items() for what in wrong])
def test_broken(block, what):
    _run(expect_failure, VARIANTS[block], block, DEFAULT, ["never"], VARIANTS[block].number(what))

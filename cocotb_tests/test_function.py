"""Functions and derivatives against the golden model; broken ones must be noticed."""

from dataclasses import replace
from functools import partial
from unittest import mock

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


WRONG = {
    ("derivative", "rshift"): _truncate,
    ("finish", "rshift"): _truncate,
    ("finish", "tanh_table"): _shifted_table,
}
"""Faults by block and what is patched."""


def _variants(block):
    kind, patched = BLOCKS[block], {what: wrong for (where, what), wrong in WRONG.items() if where == block}
    make = partial(kind, DEFAULT)
    broken = {what: (make, mock.patch(f"backpulse.rtl.units.activation.{what}", wrong)) for what, wrong in patched.items()}
    return Variants(make(), broken)


VARIANTS = {block: _variants(block) for block in BLOCKS}


def _run(run, component, block, config, pauses, mutant=0):
    run(component, "function_bench", name=block, config=config.to_words(), block=block, pauses=pauses, mutant=mutant)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_golden(block, name):
    config = CONFIGS[name]
    _run(run_cocotb, VARIANTS[block] if config is DEFAULT else BLOCKS[block](config), block, config, PATTERNS[:3])


@pytest.mark.parametrize(("block", "what"), WRONG)
def test_broken(block, what):
    _run(expect_failure, VARIANTS[block], block, DEFAULT, ["never"], VARIANTS[block].number(what))

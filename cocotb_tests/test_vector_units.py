"""The vector arithmetic and the two ends of a read against the golden functions; broken ones must be noticed."""

from dataclasses import replace
from functools import partial

import pytest
from amaranth.hdl import Const

from backpulse.firmware_py.config import DEFAULT
from backpulse.rtl.units.arithmetic import Alu
from backpulse.rtl.units.reader import Driver, Receiver
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.streams import PATTERNS

NARROW = replace(DEFAULT, vector_bits=14, vector_frac=11, pre_frac=9, acc_bits=26, drive_bits=7, sense_bits=9)
CONFIGS = {"default": DEFAULT, "narrow": NARROW}


BLOCKS = {"driver": (Driver, "reader_bench"), "receiver": (Receiver, "reader_bench"), "alu": (Alu, "alu_bench")}


def _truncate(value, n, *, most=None):
    return (value >> n)[: len(value) + 1].as_signed()


def _truncate_parts(m, value, n, width):
    return (value >> n)[:width], Const(0, 1), (value >> n)[width:].any()


def _no_sat(value, limit):
    return value, value > limit


WRONG = {
    "driver": {"reader.rshift_parts": _truncate_parts},
    "receiver": {"reader.rshift_by": _truncate},
    "alu": {"arithmetic.rshift_by": _truncate, "arithmetic.sat": _no_sat},
}
"""Faults of each block, by what is patched."""
VARIANTS = {block: Variants.patched(partial(kind, DEFAULT), "backpulse.rtl.units", WRONG[block]) for block, (kind, _) in BLOCKS.items()}


def _run(run, component, block, config, pauses, mutant=0):
    run(component, BLOCKS[block][1], name=block, config=config.to_words(), block=block, pauses=pauses, mutant=mutant)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_golden(block, name):
    config = CONFIGS[name]
    _run(run_cocotb, VARIANTS[block] if config is DEFAULT else BLOCKS[block][0](config), block, config, PATTERNS[:3])


@pytest.mark.parametrize(("block", "what"), [(block, what) for block, wrong in WRONG.items() for what in wrong])
def test_broken(block, what):
    _run(expect_failure, VARIANTS[block], block, DEFAULT, ["never"], VARIANTS[block].number(what))

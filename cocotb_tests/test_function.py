"""Functions and derivatives against the golden model; broken ones must be noticed."""

from dataclasses import replace
from unittest import mock

import pytest

from backpulse.firmware_py.activation import tanh_table
from backpulse.firmware_py.config import DEFAULT
from backpulse.rtl.units.activation import Derivative, Finish
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


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_golden(block, name):
    config = CONFIGS[name]
    run_cocotb(BLOCKS[block](config), "function_bench", config=config.to_words(), block=block, pauses=PATTERNS[:3])


@pytest.mark.parametrize(
    ("block", "what", "variant"),
    [
        ("derivative", "backpulse.rtl.units.activation.rshift", _truncate),
        ("finish", "backpulse.rtl.units.activation.rshift", _truncate),
        ("finish", "backpulse.rtl.units.activation.tanh_table", _shifted_table),
    ],
)
def test_broken(block, what, variant):
    with mock.patch(what, variant):
        expect_failure(BLOCKS[block](DEFAULT), "function_bench", config=DEFAULT.to_words(), block=block, pauses=["never"])

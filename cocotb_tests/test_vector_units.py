"""The vector arithmetic and the two ends of a read against the golden functions; broken ones must be noticed."""

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Const

from backpulse.firmware_py.config import DEFAULT
from backpulse.rtl.units.arithmetic import Alu
from backpulse.rtl.units.reader import Driver, Receiver
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


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("block", BLOCKS)
def test_golden(block, name):
    component, bench = BLOCKS[block]
    run_cocotb(component(CONFIGS[name]), bench, config=CONFIGS[name].to_words(), block=block, pauses=PATTERNS[:3])


@pytest.mark.parametrize(
    ("block", "what", "variant"),
    [
        ("driver", "backpulse.rtl.units.reader.rshift_parts", _truncate_parts),
        ("receiver", "backpulse.rtl.units.reader.rshift_by", _truncate),
        ("alu", "backpulse.rtl.units.arithmetic.rshift_by", _truncate),
        ("alu", "backpulse.rtl.units.arithmetic.sat", _no_sat),
    ],
)
def test_broken(block, what, variant):
    component, bench = BLOCKS[block]
    with mock.patch(what, variant):
        expect_failure(component(DEFAULT), bench, config=DEFAULT.to_words(), block=block, pauses=["never"])

"""The student kit on models of its chips; broken ones must be noticed."""

import pytest

from backpulse.gateware.front_end.models import STUDENT_VERILOG
from cocotb_tests.runner import expect_failure, run_cocotb
from cocotb_tests.student_board import MUTANTS, StudentBoard

BOARD = StudentBoard()


def _run(run, *, pauses=("never",), **arguments) -> None:
    run(BOARD, "student_bench", verilog=STUDENT_VERILOG, pauses=pauses, sets=2, falls=6, width_min=BOARD.width_min, **arguments)


def test_golden():
    _run(run_cocotb, pauses=("never", "bursts"))


@pytest.mark.parametrize("name", MUTANTS)
def test_broken(name):
    testcase = "falls_at_any_time" if name == "enable" else "drives_and_senses"
    _run(expect_failure, mutant=MUTANTS.index(name) + 1, testcase=testcase)

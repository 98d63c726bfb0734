from unittest import mock

import pytest

from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb
from gateware import session
from gateware.session import Executor, Session

DEPTH = 1024


def test_session():
    run_cocotb(Session(order_depth=DEPTH), "session_bench", frames=180)


BROKEN = {
    "remembers_too_much": (mock.patch.object(session, "WINDOW", 16), "random_commands/source_pause=never/sink=never"),
    "longer_reads": (mock.patch.object(session, "MAX_WORDS", 61), "random_commands/source_pause=never/sink=never"),
    "never_busy": (mock.patch.object(session, "ANYTIME", frozenset(range(16))), "machine_in_any_state"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule(name):
    patch, testcase = BROKEN[name]
    with patch:
        expect_failure(Session(order_depth=DEPTH), "session_bench", name=name, testcase=testcase, frames=180)


class KeepsCredit(Executor):
    """Does not clear the credit when a session opens."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.clear_credit.eq(0)
        return m


def test_broken_credit():
    with mock.patch.object(session, "Executor", KeepsCredit):
        expect_failure(Session(order_depth=DEPTH), "session_bench", name="keeps_credit", testcase="noise")


def test_order_depth():
    refused("Order depth must be a positive integer, not 0", Session, order_depth=0)

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from dataclasses import replace
from unittest import mock

import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from backpulse.firmware_py.config import LEAN as SMALL
from backpulse.firmware_py.registers import WINDOW_SHIFT
from backpulse.gateware.link import session
from backpulse.gateware.link.session import Executor, Session
from backpulse.gateware.link.small_link import SmallLink
from cocotb_tests.mutants import Variants
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb

DEPTH = 1024
LEAN = replace(SMALL, tile_rows=8, order_depth=DEPTH)
SMALL_FRAMES = 40


class SmallOnToy(wiring.Component):
    """The small link as the session's bench sees it: the machine's credit, which it asks for, is what there is no room for."""

    def __init__(self, link: type[SmallLink] = SmallLink):
        self._link = link(LEAN)
        super().__init__({**self._link.signature.members, "order_room": In(range(DEPTH + 1))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = self._link
        bus, inside, asked = link.bus, Signal(), Signal()
        for name in ("rx", "tx", "order"):
            ends = getattr(self, name), getattr(link, name)
            wiring.connect(m, wiring.flipped(ends[0]), ends[1])
        m.d.comb += [
            link.state.eq(self.state),
            *(getattr(self, name).eq(getattr(link, name)) for name in ("start", "halt", "abort", "clear_credit", "busy")),
            inside.eq(bus.addr >> WINDOW_SHIFT == 0),
            *(getattr(self.bus, name).eq(getattr(bus, name)) for name in ("addr", "w_data", "write")),
            self.bus.request.eq(bus.request & ~inside),
            bus.ack.eq(Mux(inside, bus.request, self.bus.ack)),
            bus.error.eq(~inside & self.bus.error),
            bus.r_data.eq(Mux(asked, DEPTH - self.order_room, self.bus.r_data)),
        ]
        with m.If(bus.request):
            m.d.sync += asked.eq(inside)
        return m


class NeverPushes(SmallLink):
    """Sends the CRC's state as if nothing left it."""

    def elaborate(self, platform):
        self._program = [word & ~2 if word >> 12 == 12 else word for word in self._program]
        return super().elaborate(platform)


class KeepsCredit(Executor):
    """Does not clear the credit when a session opens."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.clear_credit.eq(0)
        return m


NEVER = "random_commands/source_pause=never/sink=never"
BROKEN = {
    "remembers_too_much": (mock.patch.object(session, "WINDOW", 16), NEVER),
    "longer_reads": (mock.patch.object(session, "MAX_WORDS", 61), NEVER),
    "never_busy": (mock.patch.object(session, "ANYTIME", frozenset(range(16))), "machine_in_any_state"),
    "keeps_credit": (mock.patch.object(session, "Executor", KeepsCredit), "noise"),
}
"""What is patched, and the test that must notice."""


def _made():
    return Session(order_depth=DEPTH)


SESSIONS = Variants(_made(), {name: (_made, patch) for name, (patch, _) in BROKEN.items()})
SMALL_LINKS = Variants(SmallOnToy(), {"never_pushes": SmallOnToy(NeverPushes)})


def test_session():
    run_cocotb(SESSIONS, "session_bench", name="sessions", frames=180)


def test_small_link():
    run_cocotb(SMALL_LINKS, "session_bench", name="small_link", frames=SMALL_FRAMES)


def test_broken_small_link():
    number = SMALL_LINKS.number("never_pushes")
    expect_failure(SMALL_LINKS, "session_bench", name="small_link", testcase="noise", frames=SMALL_FRAMES, mutant=number)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_rule(name):
    testcase = BROKEN[name][1]
    expect_failure(SESSIONS, "session_bench", name="sessions", testcase=testcase, frames=180, mutant=SESSIONS.number(name))


def test_order_depth():
    refused("Build digest must have 32 bytes, not 3", SmallLink, LEAN, build_digest=b"abc")
    refused("Order depth must be a positive integer, not 0", Session, order_depth=0)

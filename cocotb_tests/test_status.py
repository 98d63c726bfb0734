"""A tile's status; a broken one must be noticed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from backpulse.firmware_py.registers import Capability, TileKind
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.rtl.tile.status import TileStatus
from cocotb_tests.mutants import Variants
from cocotb_tests.runner import expect_failure, run_cocotb

FACTS = TileFacts(kind=TileKind.ANALOG, capabilities=Capability.WORK | Capability.TRIPS, profiles=16, safe_cycles=500)


class Forgetful(TileStatus):
    """Keeps the last cause."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.cause != 0):
            m.d.sync += self.trip.eq(self.cause)
        return m


VARIANTS = Variants(TileStatus(FACTS), {"forgetful": Forgetful(FACTS)})


def _run(run, variant) -> None:
    facts = [(int(word), value) for word, value in FACTS.words().items()]
    run(VARIANTS, "status_bench", name="status", facts=facts, mutant=VARIANTS.number(variant))


def test_golden():
    _run(run_cocotb, "none")


def test_broken():
    _run(expect_failure, "forgetful")

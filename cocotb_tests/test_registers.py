# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false

from unittest import mock

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import SMALL
from backpulse.firmware_py.registers import WINDOW_SHIFT, Window
from backpulse.gateware.chip import registers
from backpulse.gateware.chip.registers import Bank
from backpulse.gateware.link.bus import ADDRESS_BITS, Decoder
from backpulse.rtl.lib.ports import HostPort
from cocotb_tests.mutants import Variants
from cocotb_tests.refused import refused
from cocotb_tests.runner import expect_failure, run_cocotb

SETTINGS = ("entry", "bank", "stride", "watchdog", "trace_on", "trace_read")
LIVE = ("session", "state", "fault", "credit", "trace_written")


class Mapped(wiring.Component):
    """The bank and a small window behind the decoder."""

    def __init__(self):
        self._bank = Bank(SMALL)
        members = self._bank.signature.members
        super().__init__(
            {
                "bus": In(HostPort(ADDRESS_BITS)),
                "store": Out(HostPort(5)),
                **{name: members[name] for name in (*SETTINGS, *LIVE, "ledger")},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder({Window.REGISTERS: WINDOW_SHIFT, Window.STORE: 5})
        m.submodules.bank = bank = self._bank
        wiring.connect(m, wiring.flipped(self.bus), decoder.bus)
        wiring.connect(m, decoder.registers, bank.bus)
        wiring.connect(m, decoder.store, wiring.flipped(self.store))
        wiring.connect(m, bank.ledger, wiring.flipped(self.ledger))
        m.d.comb += [getattr(self, name).eq(getattr(bank, name)) for name in SETTINGS]
        m.d.comb += [getattr(bank, name).eq(getattr(self, name)) for name in LIVE]
        return m


VARIANTS = Variants(Mapped(), {"fewer live": (Mapped, mock.patch.object(registers, "LIVE", ("STATE", "FAULT", "CREDIT")))})


def _run(run, variant):
    run(VARIANTS, "registers_bench", name="register_map", mutant=VARIANTS.number(variant))


def test_registers():
    _run(run_cocotb, "none")


def test_broken_live_register():
    _run(expect_failure, "fewer live")


def test_validation():
    refused("Build digest must have 32 bytes, not 3", Bank, SMALL, build_digest=b"abc")
    refused("Offset width of window STORE must be 1 to 28 bits, not 29", Decoder, {Window.STORE: 29})

"""The register bank: the REGISTERS window, built from the list in firmware_py/registers.py."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from itertools import combinations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import (
    REG,
    REGISTER_WORDS,
    REGISTERS,
    TRACE_REGISTERS,
    WINDOW_SHIFT,
    Register,
)
from backpulse.gateware.link.registers import LEDGER, LIVE, OVER_BUS, SETTINGS, constants
from backpulse.rtl.core.ledger import LEDGER_BITS
from backpulse.rtl.lib.ports import HostPort

__all__ = ["Bank", "Live"]


def _name(register: Register) -> str:
    return register.name.lower()


def _settings(settings: tuple[Register, ...] = SETTINGS) -> dict[str, wiring.Member]:
    return {_name(r): Out(r.bits, init=r.reset) for r in settings}


class Bank(wiring.Component):
    """Answers a request in the next cycle; an unlisted address, or a write to a read-only one, is an error.

    Constants and settings are read from one memory, so that they cost no multiplexers. Counters and scale
    registers belong to the core, which also writes them: requests for them are passed on.

    Parameters
    ----------
    config
        Configuration of the machine.
    build_digest
        SHA-256 that identifies the bitstream.

    Members
    -------
    bus
        Port of the bus.
    ledger
        Port to the core's counters and scale registers.
    session, state, fault, credit
        What the live registers read.
    entry, bank, stride, watchdog
        Settings.
    trace_on, trace_read, trace_written
        Settings and live register of a machine with a ring of trace records.

    Raises
    ------
    ValueError
        If the digest does not have 32 bytes, or a register has no value.
    """

    def __init__(self, config: Config, *, build_digest: bytes = bytes(32)) -> None:
        self._init = [0] * REGISTER_WORDS
        of_trace = TRACE_REGISTERS if config.trace_words else ()
        self._registers = (*REGISTERS, *of_trace)
        self._settings = (*SETTINGS, *(r for r in of_trace if r.access == "rw"))
        self._live = (*LIVE, *(r.name for r in of_trace if r.access == "r"))
        fixed = constants(config, build_digest)
        for name, words in [*fixed.items(), *((r.name, [r.reset]) for r in SETTINGS)]:
            self._init[REG[name].address : REG[name].address + len(words)] = words
        super().__init__(
            {
                "bus": In(HostPort(WINDOW_SHIFT)),
                "ledger": Out(HostPort(LEDGER_BITS)),
                "session": In(64),
                "state": In(2),
                "fault": In(32),
                "credit": In(32),
                **{_name(REG[name]): In(32) for name in self._live if name not in LIVE},
                **_settings(self._settings),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=REGISTER_WORDS, init=self._init)
        write = memory.write_port()
        read = memory.read_port()

        address = Signal(range(REGISTER_WORDS))
        inside = ~self.bus.addr[len(address) :].any()
        # What the list says of an address: the bits that its register has, and who answers.
        listed = Signal()
        writable = Signal()
        kept = Signal(32)
        of_core = Signal()
        is_live = Signal()
        live = Signal(32)
        # The access: a cycle for the address, then the answer, or the core's.
        begun = Signal()
        passes = Signal()
        ready = Signal()
        error = Signal()

        m.d.sync += is_live.eq(0)
        with m.Switch(address):
            for register in self._registers:
                for i in range(register.count):
                    with m.Case(register.address + i):
                        m.d.comb += [
                            listed.eq(1),
                            writable.eq(register.access == "rw"),
                            of_core.eq(register.name in LEDGER),
                            kept.eq((1 << register.bits) - 1),
                        ]
                        if register.name in self._live:
                            value = Value.cast(getattr(self, _name(register)))
                            m.d.sync += [is_live.eq(1), live.eq(value[32 * i : 32 * i + 32])]

        m.d.comb += [
            address.eq(self.bus.addr),
            read.addr.eq(address),
            write.addr.eq(address),
            write.data.eq(self.bus.w_data & kept),
            write.en.eq(ready & self.bus.write & ~error),
            self.ledger.addr.eq(address),
            self.ledger.w_data.eq(self.bus.w_data),
            self.ledger.write.eq(self.bus.write),
            self.ledger.request.eq(self.bus.request & begun & passes),
            self.bus.ack.eq(ready),
            self.bus.r_data.eq(Mux(is_live, live, read.data)),
            self.bus.error.eq(error),
        ]
        allowed = inside & listed & (writable | ~self.bus.write)
        m.d.sync += [
            begun.eq(self.bus.request & ~self.bus.ack),
            error.eq(~allowed),
            passes.eq(of_core & allowed),
            ready.eq(self.bus.request & begun & ~ready & ~passes),
        ]
        with m.If(self.ledger.request):
            m.d.comb += [
                self.bus.ack.eq(self.ledger.ack),
                self.bus.r_data.eq(self.ledger.r_data),
                self.bus.error.eq(self.ledger.error),
            ]
        for register in self._settings:
            with m.If(write.en & (address == register.address)):
                m.d.sync += getattr(self, _name(register)).eq(self.bus.w_data)
        return m


class Live(wiring.Component):
    """The registers behind a `SmallLink`: live ones, counters, scale registers, and copies of the settings.

    The link keeps all other registers and never asks for an unlisted address. An answer comes in the next
    cycle. Of the address of a live register or a setting, two bits are decoded.

    Parameters
    ----------
    config
        Of the machine.

    Members
    -------
    bus, ledger, state, fault, credit, entry, bank, stride, watchdog
        As in `Bank`.

    Raises
    ------
    ValueError
        If two registers are the same in these bits.
    """

    def __init__(self, config: Config) -> None:
        for group in (OVER_BUS, SETTINGS):
            for one, other in combinations(group, 2):
                if one.address & 3 == other.address & 3:
                    raise ValueError(
                        f"Registers {one.name} and {other.name} must differ in the last two bits of their "
                        f"addresses if lean, but have {one.address} and {other.address}"
                    )
        super().__init__(
            {
                "bus": In(HostPort(WINDOW_SHIFT)),
                "ledger": Out(HostPort(LEDGER_BITS)),
                "state": In(2),
                "fault": In(32),
                "credit": In(range(config.order_depth + 1)),
                **_settings(),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        ready = Signal()
        own = Signal()  # not the core's
        m.d.sync += ready.eq(bus.request & ~ready & own)
        m.d.comb += [
            own.eq(~bus.addr[6]),
            self.ledger.addr.eq(bus.addr),
            self.ledger.w_data.eq(bus.w_data),
            self.ledger.write.eq(bus.write),
            self.ledger.request.eq(bus.request & ~own),
            bus.ack.eq(ready | (self.ledger.request & self.ledger.ack)),
            bus.r_data.eq(self.ledger.r_data),
        ]
        with m.If(own):
            m.d.comb += bus.r_data.eq(0)
            with m.Switch(bus.addr[:2]):
                for register in OVER_BUS:
                    with m.Case(register.address & 3):
                        m.d.comb += bus.r_data.eq(getattr(self, _name(register)))
        for register in SETTINGS:
            with m.If(ready & bus.write & (bus.addr[:2] == register.address & 3)):
                m.d.sync += getattr(self, _name(register)).eq(bus.w_data)
        return m

"""The register bank: the REGISTERS window, built from the list in firmware_py/registers.py."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import ABI_VERSION, Config
from backpulse.firmware_py.registers import REG, REGISTER_WORDS, REGISTERS, WINDOW_SHIFT, Register
from backpulse.rtl.core.ledger import LEDGER_BITS
from backpulse.rtl.lib.ports import HostPort

__all__ = ["Bank", "Live"]

LIVE = ("SESSION", "STATE", "FAULT", "CREDIT")
"""Registers that the rest of the machine computes; the others never change, or only by the host."""
LEDGER = ("COUNTER", "SCALE")
"""Registers that the core keeps. Bit 4 of their addresses tells them apart, there too."""


def _name(register: Register) -> str:
    return register.name.lower()


class Bank(wiring.Component):
    """Answers a request in the next cycle; an unlisted address, and a write to a read-only one, with an error.

    Constants and settings are read from one memory, so that they cost no multiplexers. Counters and scale registers belong to the
    core, which also writes them: requests for them are passed on.

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

    Raises
    ------
    ValueError
        If the digest does not have 32 bytes.
    """

    def __init__(self, config: Config, *, build_digest: bytes = bytes(32)) -> None:
        if len(build_digest) != 32:
            raise ValueError(f"Build digest must have 32 bytes, not {len(build_digest)}")
        constants = {
            "MAGIC": [REG["MAGIC"].reset],
            "ABI": [ABI_VERSION],
            "CONFIG_WORDS": [REG["CONFIG_WORDS"].reset],
            "CONFIG": config.to_words(),
            "CONFIG_DIGEST": _words(config.digest),
            "BUILD_DIGEST": _words(build_digest),
        }
        self._settings = [r for r in REGISTERS if r.access == "rw" and r.name not in LEDGER]
        self._init = [0] * REGISTER_WORDS
        for name, words in [*constants.items(), *((r.name, [r.reset]) for r in self._settings)]:
            self._init[REG[name].address : REG[name].address + len(words)] = words
        super().__init__(
            {
                "bus": In(HostPort(WINDOW_SHIFT)),
                "ledger": Out(HostPort(LEDGER_BITS)),
                "session": In(64),
                "state": In(2),
                "fault": In(32),
                "credit": In(32),
                **{_name(r): Out(r.bits, init=r.reset) for r in self._settings},
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=REGISTER_WORDS, init=self._init)
        write, read = memory.write_port(), memory.read_port()

        address = Signal(range(REGISTER_WORDS))
        inside = ~self.bus.addr[len(address) :].any()
        # What an address means takes a cycle.
        begun, ready, error, passes = Signal(), Signal(), Signal(), Signal()
        live, kept = Signal(32), Signal(32)
        is_live, listed, writable, passed = Signal(), Signal(), Signal(), Signal()

        m.d.sync += is_live.eq(0)
        with m.Switch(address):
            for register in REGISTERS:
                for i in range(register.count):
                    with m.Case(register.address + i):
                        m.d.comb += [listed.eq(1), writable.eq(register.access == "rw"), passed.eq(register.name in LEDGER)]
                        m.d.comb += kept.eq((1 << register.bits) - 1)
                        if register.name in LIVE:
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
            passes.eq(passed & allowed),
            ready.eq(self.bus.request & begun & ~ready & ~passes),
        ]
        with m.If(self.ledger.request):
            m.d.comb += [self.bus.ack.eq(self.ledger.ack), self.bus.r_data.eq(self.ledger.r_data), self.bus.error.eq(self.ledger.error)]
        for register in self._settings:
            with m.If(write.en & (address == register.address)):
                m.d.sync += getattr(self, _name(register)).eq(self.bus.w_data)
        return m


class Live(wiring.Component):
    """What `SmallLink` asks the machine for: live registers, counters and scale registers; it writes settings here too.

    The link keeps all other registers and asks for nothing that is not there. An answer comes in the next cycle.

    Parameters
    ----------
    config
        Of the machine.

    Members
    -------
    bus, ledger, state, fault, credit, entry, bank, stride, watchdog
        As in `Bank`.
    """

    def __init__(self, config: Config) -> None:
        self._settings = [r for r in REGISTERS if r.access == "rw" and r.name not in LEDGER]
        super().__init__(
            {
                "bus": In(HostPort(WINDOW_SHIFT)),
                "ledger": Out(HostPort(LEDGER_BITS)),
                "state": In(2),
                "fault": In(32),
                "credit": In(range(config.order_depth + 1)),
                **{_name(r): Out(r.bits, init=r.reset) for r in self._settings},
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus, ready, own = self.bus, Signal(), Signal()
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
                for name in ("STATE", "FAULT", "CREDIT"):
                    with m.Case(REG[name].address & 3):
                        m.d.comb += bus.r_data.eq(getattr(self, name.lower()))
        for register in self._settings:
            with m.If(ready & bus.write & (bus.addr[:2] == register.address & 3)):
                m.d.sync += getattr(self, _name(register)).eq(bus.w_data)
        return m


def _words(digest: bytes) -> list[int]:
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]

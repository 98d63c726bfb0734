"""The whole board: UART, session, bus, registers, sample store, controller and tiles, emulated or others."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from collections.abc import Callable

from amaranth.hdl import DomainRenamer, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import WINDOW_SHIFT, Window
from backpulse.firmware_py.registers import State as Seen
from backpulse.gateware.chip.registers import Bank, Live
from backpulse.gateware.chip.store import Store
from backpulse.gateware.link.bus import ADDRESS_BITS, Decoder
from backpulse.gateware.link.session import Session
from backpulse.gateware.link.small_link import CLOCKS_MIN, SmallLink
from backpulse.gateware.link.uart import Uart, divisor
from backpulse.rtl.core.core import Core, host_windows
from backpulse.rtl.core.trace import Trace
from backpulse.rtl.lib.clocks import gated_domain
from backpulse.rtl.lib.ports import HostPort
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.lean import LeanTile

__all__ = ["Machine", "Top"]

QUIET_BITS = 6
"""The link's clock is gated after 2 ** QUIET_BITS quiet cycles: more than any path in it has registers."""


class Machine(wiring.Component):
    """Everything behind the link: the golden machine of firmware_py/machine.py in hardware.

    Parameters
    ----------
    config
        Configuration of the machine.
    build_digest
        SHA-256 that identifies the bitstream.
    store
        Component of the sample store.
    tile
        Makes the tile of a configuration: a component with `TileSignature`. A lean machine has its own.
    small
        The link keeps constants and settings, as `SmallLink` does.

    Members
    -------
    bus
        All addresses. Windows other than ANYTIME must not be used while a sample is being processed.
    start, halt, abort, clear_credit
        Commands, high for one cycle.
    order, order_room
        Indices of granted samples, and how many more can be.
    nonce
        For the SESSION register; not used with a small link.
    state, busy
        State of the controller; whether it or the core is busy.
    """

    def __init__(
        self,
        config: Config,
        *,
        build_digest: bytes = bytes(32),
        store: type[wiring.Component] = Store,
        tile: Callable[[Config], wiring.Component] = EmulatedTile,
        small: bool = False,
    ) -> None:
        self._config = config
        self._store = store
        self._tile = LeanTile if config.lean else tile
        self._small = small
        self._bank = Live(config) if small else Bank(config, build_digest=build_digest)
        super().__init__(
            {
                "bus": In(HostPort(ADDRESS_BITS)),
                "start": In(1),
                "halt": In(1),
                "abort": In(1),
                "clear_credit": In(1),
                "order": In(stream.Signature(16)),
                "order_room": Out(range(config.order_depth + 1)),
                "nonce": In(64),
                "state": Out(Seen),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        m.submodules.core = core = Core(c)
        m.submodules.tile = tile = self._tile(c)
        m.submodules.store = store = self._store(c)
        m.submodules.bank = bank = self._bank
        own = {Window.REGISTERS: WINDOW_SHIFT, Window.STORE: len(store.host.addr)}
        if c.trace_words:
            m.submodules.trace = trace = Trace(c)
            own[Window.TRACE] = len(trace.host.addr)
        m.submodules.decoder = decoder = Decoder({**own, **host_windows(c)})

        connect(m, flipped(self.bus), decoder.bus)
        connect(m, decoder.registers, bank.bus)
        connect(m, decoder.store, store.host)
        for window in host_windows(c):
            name = window.name.lower()
            connect(m, getattr(decoder, name), getattr(core, name))
        connect(m, bank.ledger, core.ledger)
        connect(m, core.store, store.loader)
        if c.trace_words:
            connect(m, decoder.trace, trace.host)
            connect(m, core.to_tile, trace.core)
            connect(m, trace.to_tile, tile)
            m.d.comb += [
                trace.on.eq(bank.trace_on),
                trace.read.eq(bank.trace_read),
                bank.trace_written.eq(trace.written),
            ]
        else:
            connect(m, core.to_tile, tile)
        connect(m, flipped(self.order), core.order)
        m.d.comb += [
            *(
                getattr(core, name).eq(getattr(self, name))
                for name in ("start", "halt", "abort", "clear_credit")
            ),
            *(
                getattr(core, name).eq(getattr(bank, name))
                for name in ("entry", "bank", "stride", "watchdog")
            ),
            bank.state.eq(core.state),
            bank.fault.eq(core.fault),
            bank.credit.eq(core.credit),
            self.order_room.eq(core.room),
            self.state.eq(core.state),
            self.busy.eq(core.busy),
        ]
        if not self._small:
            m.d.comb += bank.session.eq(self.nonce)
        return m


class Top(wiring.Component):
    """A board, for any platform with a clock and two UART pins.

    The link of a lean machine is a `SmallLink`.

    Parameters
    ----------
    config
        What the machine is.
    clk_hz, baud
        Frequency of the clock, and speed of the line.
    build_digest
        SHA-256 that identifies the bitstream.
    store
        Component of the sample store.
    tile
        As of `Machine`.

    Members
    -------
    rx, tx
        UART pins; `rx` must be synchronous to the clock.
    busy
        The machine is busy, or the link is: bytes are on their way in or out.
    state
        State of the controller, for lights.

    Raises
    ------
    ValueError
        If the clock cannot make the baud rate, or a small link cannot keep up with it.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    busy: Out(1)
    state: Out(Seen)

    def __init__(
        self,
        config: Config,
        *,
        clk_hz: float,
        baud: float,
        build_digest: bytes = bytes(32),
        store: type[wiring.Component] = Store,
        tile: Callable[[Config], wiring.Component] = EmulatedTile,
    ) -> None:
        clocks = divisor(clk_hz=clk_hz, baud=baud)
        if config.lean and clocks < CLOCKS_MIN:
            most = clk_hz / CLOCKS_MIN
            raise ValueError(
                f"Baud rate of a lean machine must be at most {most:.0f} with a clock of {clk_hz:.0f} Hz, "
                f"not {baud:.0f}"
            )
        self._small = config.lean
        self._uart = Uart(clk_hz=clk_hz, baud=baud)
        self._session = (
            SmallLink(config, build_digest=build_digest)
            if config.lean
            else Session(order_depth=config.order_depth)
        )
        self._machine = Machine(
            config, build_digest=build_digest, store=store, tile=tile, small=bool(config.lean)
        )
        super().__init__()

    def elaborate(self, platform) -> Module:
        m = Module()
        uart, session = self._uart, self._session
        m.submodules.uart = DomainRenamer("link")(uart)
        m.submodules.session = DomainRenamer("link")(session)
        m.submodules.machine = machine = self._machine
        connect(m, uart.o, session.rx)
        connect(m, session.tx, uart.i)
        connect(m, session.bus, machine.bus)
        connect(m, session.order, machine.order)
        link_busy = session.busy | uart.busy
        m.d.comb += [
            uart.rx.eq(self.rx),
            self.tx.eq(uart.tx),
            *(
                getattr(machine, name).eq(getattr(session, name))
                for name in ("start", "halt", "abort", "clear_credit")
            ),
            session.state.eq(machine.state),
            self.state.eq(machine.state),
            self.busy.eq(machine.busy | link_busy),
        ]
        # The link's clock is gated when its last bytes have gone through all registers; that of a small link
        # never is, as its processor always runs.
        quiet = Signal(QUIET_BITS)
        m.d.sync += quiet.eq(Mux(link_busy | ~self.rx, 0, quiet + ~quiet.all()))
        gated_domain(m, platform, "link", awake=1 if self._small else ~self.rx | ~quiet.all())
        if not self._small:
            m.d.comb += [machine.nonce.eq(session.nonce), session.order_room.eq(machine.order_room)]
        return m

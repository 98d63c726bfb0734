"""The bus from the link to whatever has an address: one master, one window of addresses for each slave."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.registers import WINDOW_SHIFT, Window
from backpulse.rtl.lib.ports import HostPort

__all__ = ["ADDRESS_BITS", "Decoder"]

ADDRESS_BITS = 32


class Decoder(wiring.Component):
    """Passes a request to the slave whose window it points into; an address without one is an error.

    The request and its answer are registered: they go a long way through the chip. `r_data` stays until the
    next access.

    Parameters
    ----------
    windows
        Width of the offset of each window; larger offsets are errors.

    Members
    -------
    bus
        Port of the master.
    registers, program, ...
        Port of each slave, named as its window.

    Raises
    ------
    ValueError
        If an offset is wider than a window.
    """

    def __init__(self, windows: Mapping[Window, int]) -> None:
        for window, bits in windows.items():
            if not 1 <= bits <= WINDOW_SHIFT:
                raise ValueError(
                    f"Offset width of window {window.name} must be 1 to {WINDOW_SHIFT} bits, not {bits}"
                )
        self._windows = dict(windows)
        slaves = {window.name.lower(): Out(HostPort(bits)) for window, bits in windows.items()}
        super().__init__({"bus": In(HostPort(ADDRESS_BITS)), **slaves})

    def elaborate(self, platform):
        m = Module()
        number = self.bus.addr[WINDOW_SHIFT:]
        offset = self.bus.addr[:WINDOW_SHIFT]
        waits = Signal()
        missing = Signal()
        found = Signal(len(self._windows))
        acks = [missing]
        errors = [missing]
        words = []
        for i, (window, bits) in enumerate(self._windows.items()):
            slave = getattr(self, window.name.lower())
            select = Signal(name=f"select_{window.name.lower()}")
            m.d.sync += select.eq(Mux(found[i], waits, 0))
            m.d.comb += [
                found[i].eq((number == window) & ~offset[bits:].any()),
                slave.addr.eq(offset),
                slave.w_data.eq(self.bus.w_data),
                slave.write.eq(self.bus.write),
                slave.request.eq(select & ~self.bus.ack),
            ]
            acks.append(select & slave.ack)
            errors.append(select & slave.error)
            words.append(select.replicate(32) & slave.r_data)
        m.d.comb += waits.eq(self.bus.request & ~self.bus.ack)
        # Only the slave that was selected has an answer: the others add zeros. Without a window the decoder
        # answers itself, in the cycle in which a slave could at the earliest.
        m.d.sync += [
            missing.eq(Mux(found.any(), 0, waits)),
            self.bus.ack.eq(reduce(or_, acks) & ~self.bus.ack),
            self.bus.error.eq(reduce(or_, errors)),
        ]
        with m.If(reduce(or_, acks)):
            m.d.sync += self.bus.r_data.eq(reduce(or_, words))
        return m

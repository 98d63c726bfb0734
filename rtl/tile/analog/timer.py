"""The timer of pulses and reads: the only source of edges on lines."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TIME_BITS", "PulseTimer"]

TIME_BITS = 32
"""Bits of a time, in cycles."""


class PulseTimer(wiring.Component):
    """Lifts the gate for a pulse of so many cycles, or for a read until that ends.

    Behind a pulse the gate is low for `gap` + 2 cycles at least.

    Parameters
    ----------
    bits
        Of a time.

    Members
    -------
    pulse, read
        Strobes, while `free`: a pulse of `width` cycles; a read.
    stop
        Strobe, in a read: the gate falls.
    width, gap, settle, delay
        Cycles: of a pulse, 1 at least; from a pulse to the next rise; from the rise of a read to `settled`;
        from a pulse to `quiet`.
    gate
        Lines are away from rest; `pulsing`: for a pulse.
    free, quiet
        The gate may rise; as long as it should be low behind the last pulse it has been.
    last
        The last cycle of a pulse.
    settled
        The lines of a read have settled.
    """

    def __init__(self, *, bits: int = TIME_BITS) -> None:
        self._bits = bits
        super().__init__(
            {
                **dict.fromkeys(("pulse", "read", "stop"), In(1)),
                **dict.fromkeys(("width", "gap", "settle", "delay"), In(bits)),
                **dict.fromkeys(("gate", "pulsing", "free", "quiet", "last", "settled"), Out(1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        left = Signal(self._bits)
        over = Signal()
        rest = Signal(self._bits)
        m.d.comb += [over.eq(left == 0), self.quiet.eq(rest == 0)]
        with m.If(~over):
            m.d.sync += left.eq(left - 1)
        with m.If(~self.quiet):
            m.d.sync += rest.eq(rest - 1)
        with m.FSM():
            with m.State("REST"):
                m.d.comb += self.free.eq(1)
                m.d.sync += self.pulsing.eq(self.pulse)
                with m.If(self.pulse):
                    m.d.sync += [left.eq(self.width - 1), self.gate.eq(1)]
                    m.next = "PULSE"
                with m.Elif(self.read):
                    m.d.sync += [left.eq(self.settle), self.gate.eq(1)]
                    m.next = "READ"
            with m.State("PULSE"):
                m.d.comb += self.last.eq(over)
                with m.If(over):
                    m.d.sync += [left.eq(self.gap), rest.eq(self.delay), self.gate.eq(0)]
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(over):
                    m.next = "REST"
            with m.State("READ"):
                m.d.comb += self.settled.eq(over)
                with m.If(self.stop):
                    m.d.sync += self.gate.eq(0)
                    m.next = "REST"
        return m

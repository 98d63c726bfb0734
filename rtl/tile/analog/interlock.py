"""The interlock: last before the gate and the drivers, it trusts nothing that comes from elsewhere."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.registers import Cause
from backpulse.rtl.tile.analog.timer import TIME_BITS

__all__ = ["BUDGET_BITS", "Interlock"]

BUDGET_BITS = 32
"""Bits of the budget of pulses."""


class Interlock(wiring.Component):
    """Switches drivers and gate off in the cycle in which there is a reason to, until it is armed again.

    Reasons are: `disarm`, an open circuit, a failure of the front end, a gate that is high for longer than
    its limit, and a pulse beyond the budget. All but the first are a `cause`, and while there is a `trip` it
    cannot be armed. After a reset it is not armed.

    Parameters
    ----------
    cells
        Most cells that a pulse is given to.
    bits
        Of a time.

    Members
    -------
    arm
        Strobe, with the gate low: drivers may be on. The count of pulses begins anew.
    disarm
        Level or strobe: they may not.
    trip
        What has tripped before and is not cleared yet.
    closed, failed
        As of `FrontEndSignature`.
    i_gate, pulse, cells
        The gate as it is wanted; whether it is for a pulse, and of so many cells; steady while it is high.
    limit, read_limit
        Most cycles of a gate for a pulse and for a read; not changed while it is high.
    allow, allowed
        Strobe: `allowed` pulses may be given from now on; all ones: as many as are asked for.
    on, o_gate
        Drivers may be on; the gate. For the front end.
    armed
        As it was before this cycle.
    cause
        Why drivers are switched off in this cycle, or zero.
    budget
        Pulses that may still be given.
    pulses
        Pulses begun since it was armed; each cell's is one.
    """

    def __init__(self, *, cells: int, bits: int = TIME_BITS) -> None:
        self._bits = bits
        super().__init__(
            {
                **dict.fromkeys(("arm", "disarm", "closed", "i_gate", "pulse", "allow"), In(1)),
                "trip": In(Cause),
                "failed": In(Cause),
                "cells": In(range(cells + 1)),
                "limit": In(bits),
                "read_limit": In(bits),
                "allowed": In(BUDGET_BITS),
                **dict.fromkeys(("on", "o_gate", "armed"), Out(1)),
                "cause": Out(Cause),
                "budget": Out(BUDGET_BITS, init=-1),
                "pulses": Out(64),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        before = Signal()
        left = Signal(self._bits)
        begins = Signal()
        beyond = Signal()
        too_long = Signal()
        limit = Mux(self.pulse, self.limit, self.read_limit)
        m.d.comb += [
            begins.eq(self.i_gate & ~before & self.pulse),
            beyond.eq(begins & (self.cells > self.budget)),
            too_long.eq(self.i_gate & (Mux(before, left, limit) == 0)),
        ]
        # The first that holds.
        with m.If(self.armed):
            with m.If(~self.closed):
                m.d.comb += self.cause.eq(Cause.INTERLOCK)
            with m.Elif(self.failed != Cause.NONE):
                m.d.comb += self.cause.eq(self.failed)
            with m.Elif(too_long):
                m.d.comb += self.cause.eq(Cause.WIDTH)
            with m.Elif(beyond):
                m.d.comb += self.cause.eq(Cause.BUDGET)
        m.d.comb += [
            self.on.eq(self.armed & ~self.disarm & (self.cause == Cause.NONE)),
            self.o_gate.eq(self.i_gate & self.on),
        ]
        untripped = (self.trip == Cause.NONE) & (self.cause == Cause.NONE)
        m.d.sync += [
            self.armed.eq(self.on | (self.arm & ~self.disarm & untripped & ~self.i_gate)),
            before.eq(self.i_gate),
            left.eq(Mux(before, left, limit) - self.i_gate),
        ]
        with m.If(self.on & begins):
            m.d.sync += self.pulses.eq(self.pulses + self.cells)
            with m.If(~self.budget.all()):
                m.d.sync += self.budget.eq(self.budget - self.cells)
        with m.If(self.arm):
            m.d.sync += self.pulses.eq(0)
        with m.If(self.allow):
            m.d.sync += self.budget.eq(self.allowed)
        return m

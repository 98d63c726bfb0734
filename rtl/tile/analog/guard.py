"""What is allowed, by host and interlock: the ARRAY window, arming, limits, trips."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.analog import CODE_BITS
from backpulse.firmware_py.registers import ArrayWord, Cause
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.rtl.tile.analog.interlock import BUDGET_BITS, Interlock
from backpulse.rtl.tile.analog.words import ArrayWords
from backpulse.rtl.tile.signature import HostSignature
from backpulse.rtl.tile.status import TileStatus

__all__ = ["Guard"]


class Guard(wiring.Component):
    """Status, words and interlock of an analog tile: nothing else decides whether drivers may be on.

    Parameters
    ----------
    facts, constants
        Words of ARRAY that never change.
    cells
        As of `Interlock`.

    Members
    -------
    host, inner
        The tile's port for the host; the same without the ARRAY window.
    idle, busy
        No command is executing, no work of the host's; as `TileSignature`.
    start, work
        As of `TileStatus`.
    i_gate, pulse, cells
        The gate that is wanted, as of `Interlock`.
    closed, failed, temperature
        As of `FrontEndSignature`.
    on, gate, sdo_delay
        For the front end.
    armed
        Drivers were allowed to be on in the cycle before.
    trip, budget
        As of `TileStatus`.
    code_limit, read_code_limit
        The largest sizes of codes, of pulses and of reads.
    """

    def __init__(self, facts: TileFacts, constants: dict[ArrayWord, int], *, cells: int) -> None:
        self._facts, self._constants, self._cells = facts, constants, cells
        super().__init__(
            {
                "host": In(HostSignature()),
                "inner": Out(HostSignature()),
                **dict.fromkeys(("idle", "busy", "i_gate", "pulse", "closed"), In(1)),
                "start": Out(1),
                "work": In(32),
                "cells": In(range(cells + 1)),
                "failed": In(Cause),
                "temperature": In(16),
                **dict.fromkeys(("on", "gate", "armed"), Out(1)),
                "sdo_delay": Out(4),
                "trip": Out(Cause),
                "budget": Out(BUDGET_BITS),
                "code_limit": Out(CODE_BITS - 1),
                "read_code_limit": Out(CODE_BITS - 1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.status = status = TileStatus(self._facts)
        m.submodules.words = words = ArrayWords(self._constants)
        m.submodules.interlock = interlock = Interlock(cells=self._cells)
        connect(m, flipped(self.host), status.bus)
        connect(m, status.inner, words.bus)
        connect(m, words.inner, flipped(self.inner))
        m.d.comb += [
            interlock.trip.eq(status.trip),
            interlock.arm.eq(words.arm),
            interlock.disarm.eq(words.disarm),
            interlock.closed.eq(self.closed),
            interlock.failed.eq(self.failed),
            interlock.i_gate.eq(self.i_gate),
            interlock.pulse.eq(self.pulse),
            interlock.cells.eq(self.cells),
            interlock.limit.eq(words.limit),
            interlock.read_limit.eq(words.read_limit),
            interlock.allow.eq(status.allow),
            interlock.allowed.eq(status.bus.w_data),
            words.idle.eq(self.idle),
            words.armed.eq(interlock.armed),
            words.pulses.eq(interlock.pulses),
            words.temperature.eq(self.temperature),
            status.idle.eq(self.idle),
            status.busy.eq(self.busy),
            status.safe.eq(~self.gate),
            status.armed.eq(interlock.armed),
            status.closed.eq(self.closed),
            status.limit.eq(words.limit),
            status.cause.eq(interlock.cause),
            status.budget.eq(interlock.budget),
            status.work.eq(self.work),
            self.start.eq(status.start),
            self.on.eq(interlock.on),
            self.gate.eq(interlock.o_gate),
            self.armed.eq(interlock.armed),
            self.sdo_delay.eq(words.sdo_delay),
            self.trip.eq(status.trip),
            self.budget.eq(interlock.budget),
            self.code_limit.eq(words.code_limit),
            self.read_code_limit.eq(words.read_code_limit),
        ]
        return m

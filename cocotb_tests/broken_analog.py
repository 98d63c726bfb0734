"""Analog tiles with one fault each, of timer, interlock, scaling, order or sign: all in one design."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false

from contextlib import ExitStack, contextmanager
from unittest import mock

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from backpulse.firmware_py.analog import ARM_SECOND, Phase
from backpulse.firmware_py.registers import Cause
from backpulse.rtl.tile.analog import guard, tile
from cocotb_tests.mutants import Mutants, through

FAULTS = {
    "long pulse": "pulses",
    "no gap": "pulses",
    "early": "reads",
    "gate opens late": "trips",
    "cut pulse counts": "trips",
    "armed by one word": "arming",
    "trip forgets": "trips",
    "failure unheard": "trips",
    "budget": "budget",
    "width limit": "limits",
    "offset": "reads",
    "factor": "reads",
    "truncated": "reads",
    "over is silent": "reads",
    "order": "reads",
    "row": "pulses",
    "second phase": "reads",
    "polarity": "pulses",
    "slots": "pulses",
    "code limit": "limits",
}
"""Each fault, and the test that sees it."""


class _Faulty(wiring.Component):
    """A part of the tile behind faults of its ports."""

    def __init__(self, inner: wiring.Component, fault) -> None:
        self._inner, self._fault = inner, fault
        super().__init__(inner.signature)

    def elaborate(self, platform: object) -> Module:
        """Connect the sound part, and then what is wrong."""
        m = Module()
        m.submodules.inner = self._inner
        through(m, self, self._inner)
        m.d.comb += self._break(m, self._inner, self._fault)
        return m

    def _break(self, m: Module, inner, fault) -> list:
        raise NotImplementedError


class _Timer(_Faulty):
    def _break(self, m, inner, fault):
        return [
            inner.width.eq(fault("long pulse", self.width + 1, self.width)),
            inner.gap.eq(fault("no gap", 0, self.gap)),
            inner.settle.eq(fault("early", 0, self.settle)),
        ]


class _Guard(_Faulty):
    def _break(self, m, inner, fault):
        # One that says that drivers are still on, in the cycle in which they are not any more.
        before = Signal()
        m.d.sync += before.eq(inner.on)
        late = before & self.i_gate
        return [
            self.gate.eq(fault("gate opens late", late, fault("cut pulse counts", late, inner.gate))),
            inner.failed.eq(fault("failure unheard", Cause.NONE, self.failed)),
            inner.cells.eq(fault("budget", 1, self.cells)),
            self.code_limit.eq(fault("code limit", 32767, inner.code_limit)),
        ]


class _Interlock(_Faulty):
    def _break(self, m, inner, fault):
        return [
            inner.trip.eq(fault("trip forgets", Cause.NONE, self.trip)),
            inner.limit.eq(fault("width limit", self.limit + 1, self.limit)),
        ]


class _Words(_Faulty):
    def _break(self, m, inner, fault):
        second = inner.disarm & (self.bus.w_data == ARM_SECOND)
        return [
            self.arm.eq(fault("armed by one word", inner.arm | second, inner.arm)),
            self.disarm.eq(fault("armed by one word", inner.disarm & ~second, inner.disarm)),
        ]


class _Scale(_Faulty):
    def _break(self, m, inner, fault):
        return [
            inner.single.eq(fault("offset", 0, self.single)),
            inner.drives.eq(fault("factor", -self.drives, self.drives)),
            inner.product.eq(fault("truncated", self.product >> 14 << 14, self.product)),
            self.o.p.over.eq(fault("over is silent", 0, inner.o.p.over)),
        ]


class _Source(_Faulty):
    def _break(self, m, inner, fault):
        return [
            self.drive_at.eq(fault("order", inner.drive_at ^ 1, inner.drive_at)),
            inner.row.eq(fault("row", Mux(self.row == 0, self.row, self.row - 1), self.row)),
            inner.phase.eq(fault("second phase", Mux(self.phase == Phase.READ_NEGATIVE, Phase.READ, self.phase), self.phase)),
        ]


class _Slots(_Faulty):
    def _break(self, m, inner, fault):
        return [
            inner.polarity.eq(fault("polarity", ~self.polarity, self.polarity)),
            self.until.eq(fault("slots", self.slot, inner.until)),
        ]


PARTS = {
    (tile, "PulseTimer"): _Timer,
    (tile, "Guard"): _Guard,
    (tile, "Scale"): _Scale,
    (tile, "CodeSource"): _Source,
    (tile, "Slots"): _Slots,
    (guard, "Interlock"): _Interlock,
    (guard, "ArrayWords"): _Words,
}


@contextmanager
def broken(mutants: Mutants):
    """Elaborate a tile with these faults while it lasts."""

    def made(sound, faulty):
        return lambda *arguments, **named: faulty(sound(*arguments, **named), mutants.fault)

    with ExitStack() as stack:
        for (module, name), faulty in PARTS.items():
            stack.enter_context(mock.patch.object(module, name, made(getattr(module, name), faulty)))
        yield

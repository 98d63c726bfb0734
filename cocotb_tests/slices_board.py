"""Slices and the models of their chips in one component, with lines between them that are late or wrong."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.gateware.front_end.models import SliceChips
from backpulse.gateware.front_end.slice_pins import Times
from backpulse.gateware.front_end.slices import Slices
from cocotb_tests.mutants import through

LAGS = 16
MUTANTS = ("toggle", "latch", "clear", "enable", "swapped", "early switches")
"""Faults of the pins: `toggle` moves with the gate alone; codes are latched with each frame; clear, and the switches' supply, come a
cycle late; rows and columns swap their answers; switches are set while lines are at their codes."""
TIMES = Times(reset=0.2e-6, wake=1e-6, switch_wake=2e-6, switch=0.2e-6, latch=40e-9, busy=5e-6, alive=1e-6)
CLK_HZ = 100e6
"""That of the benches' clock."""


class SlicesBoard(wiring.Component):
    """The front end on its chips.

    Parameters
    ----------
    slices, divisor
        As of `Slices`.

    Members
    -------
    lag
        Half bits by which answers come later.
    mutant
        Number of a fault in MUTANTS, from 1 on; 0: none.
    """

    def __init__(self, *, slices: int, divisor: int) -> None:
        self._half = divisor // 2
        self._front = Slices(slices=slices, clk_hz=CLK_HZ, divisor=divisor, times=TIMES)
        self._chips = SliceChips(slices)
        front, chips = self._front.signature.members, self._chips.signature.members
        super().__init__(
            {
                **{name: member for name, member in front.items() if name != "pins"},
                **{name: member for name, member in chips.items() if name != "pins"},
                **{name: Out(1) for name in ("toggle", "clr_n", "enable", "alive", "cs_dac_n", "cs_adc_n", "cs_switch_n", "ldac_n")},
                "lag": In(range(LAGS)),
                "mutant": In(range(len(MUTANTS) + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        """Return the two, connected."""
        m = Module()
        m.submodules.front = front = self._front
        m.submodules.chips = chips = self._chips
        through(m, self, front, but=("pins",))
        through(m, self, chips, but=("pins",))
        pins, its = front.pins, chips.pins
        wrong = {name: self.mutant == i for i, name in enumerate(MUTANTS, 1)}
        for name, member in pins.signature.members.items():
            if member.flow == Out:
                m.d.comb += getattr(its, name).eq(getattr(pins, name))
                if name in self.signature.members:
                    m.d.comb += getattr(self, name).eq(getattr(its, name))
            elif name not in ("sdo_a", "sdo_b"):
                m.d.comb += getattr(pins, name).eq(getattr(its, name))
        late = {name: Signal(name=f"late_{name}") for name in ("clr_n", "enable")}
        m.d.sync += [signal.eq(getattr(pins, name)) for name, signal in late.items()]
        with m.If(wrong["toggle"]):
            m.d.comb += its.toggle.eq(self.gate)
        with m.If(wrong["latch"]):
            m.d.comb += its.ldac_n.eq(pins.cs_dac_n)
        with m.If(wrong["clear"]):
            m.d.comb += its.clr_n.eq(late["clr_n"])
        with m.If(wrong["enable"]):
            m.d.comb += its.enable.eq(late["enable"])
        with m.If(wrong["early switches"] & ~pins.cs_switch_n):
            m.d.comb += its.toggle.eq(1)
        for name, other in (("sdo_a", "sdo_b"), ("sdo_b", "sdo_a")):
            now = Signal.like(getattr(its, name))
            m.d.comb += now.eq(Mux(wrong["swapped"], getattr(its, other), getattr(its, name)))
            steps = [now]
            for _ in range((LAGS - 1) * self._half):
                step = Signal.like(now, name=f"{name}_later")
                m.d.sync += step.eq(steps[-1])
                steps.append(step)
            with m.Switch(self.lag):
                for lag in range(LAGS):
                    with m.Case(lag):
                        m.d.comb += getattr(pins, name).eq(steps[lag * self._half])
        return m

"""Phase-locked loops of the three families: from an oscillator to the machine's clock."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

import math
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Instance, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import Out

__all__ = ["Pll", "Setting", "find_setting"]

TOLERANCE = 1e-3
"""How far, as a fraction, the clock may be from the one asked for: the UART's share of its 2 % is little."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Divisors of a PLL: reference divider `ref`, loop multiplier `mul`, output divider `out`."""

    ref: int
    mul: int
    out: int
    clk_hz: float


# Each family's ranges, from its data sheet: reference divisor, multiplier, output divisor, phase detector and
# oscillator in Hz. iCE40 multiplies up to the oscillator; ECP5 and Gowin feed the loop from the output, so
# `mul` there is from reference to output.
_RANGES: dict[str, dict[str, Any]] = {
    "ice40": {
        "refs": range(1, 17),
        "muls": range(1, 129),
        "outs": [2**q for q in range(1, 7)],
        "pfd": (10e6, 133e6),
        "vco": (533e6, 1066e6),
    },
    "ecp5": {
        "refs": range(1, 129),
        "muls": range(1, 81),
        "outs": range(1, 129),
        "pfd": (3.125e6, 400e6),
        "vco": (400e6, 800e6),
    },
    "gowin": {
        "refs": range(1, 65),
        "muls": range(1, 65),
        "outs": [2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128],
        "pfd": (3e6, 400e6),
        "vco": (400e6, 1200e6),
    },
}


def find_setting(family: str, osc_hz: float, clk_hz: float) -> Setting:
    """Return the divisors whose clock is nearest to `clk_hz`; of equals, the one with the fastest oscillator.

    Raises
    ------
    ValueError
        If none comes within 0.1 %.
    """
    r = _RANGES[family]
    (slowest_pfd, fastest_pfd), (slowest_vco, fastest_vco) = r["pfd"], r["vco"]
    clocks = (
        (osc_hz / ref * mul / (out if family == "ice40" else 1), ref, mul, out)
        for ref in r["refs"]
        if slowest_pfd <= osc_hz / ref <= fastest_pfd
        for mul in r["muls"]
        for out in r["outs"]
    )
    ranked = (
        (abs(actual - clk_hz), -actual * out, ref, mul, out, actual)
        for actual, ref, mul, out in clocks
        if slowest_vco <= actual * out <= fastest_vco
    )
    error, _, ref, mul, out, actual = min(ranked, default=(math.inf, 0, 0, 0, 0, 0))
    if error > TOLERANCE * clk_hz:
        near = f": the nearest is {actual / 1e6:.3f} MHz" if actual else ""
        raise ValueError(f"The PLL cannot make {clk_hz / 1e6:g} MHz from {osc_hz / 1e6:g} MHz{near}")
    return Setting(ref=ref, mul=mul, out=out, clk_hz=actual)


class Pll(wiring.Component):
    """Drives `clk` from the oscillator's pin.

    Parameters
    ----------
    family
        ice40, ecp5 or gowin.
    pin
        Port of the oscillator, requested with `dir="-"`.
    osc_hz, clk_hz
        Frequencies in and out.

    Members
    -------
    clk, locked
        The clock, and whether it is steady.
    osc
        The oscillator's clock; none on iCE40, whose PLL takes the pin for itself.

    Raises
    ------
    ValueError
        If the PLL cannot make the clock.
    """

    clk: Out(1)
    locked: Out(1)
    osc: Out(1)

    def __init__(self, family: str, pin: Any, *, osc_hz: float, clk_hz: float) -> None:
        self._family = family
        self._pin = pin
        self._osc_hz = osc_hz
        self.setting = find_setting(family, osc_hz, clk_hz)
        super().__init__()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        s = self.setting
        if self._family == "ice40":
            m.submodules.pll = Instance(
                "SB_PLL40_PAD",
                p_FEEDBACK_PATH="SIMPLE",
                p_DIVR=s.ref - 1,
                p_DIVF=s.mul - 1,
                p_DIVQ=s.out.bit_length() - 1,
                p_FILTER_RANGE=_filter_range(self._osc_hz / s.ref),
                i_PACKAGEPIN=self._pin.io,
                i_RESETB=1,
                i_BYPASS=0,
                o_PLLOUTGLOBAL=self.clk,
                o_LOCK=self.locked,
            )
            return m

        m.submodules.buffer = buffer = io.Buffer("i", self._pin)
        m.d.comb += self.osc.eq(buffer.i)
        if self._family == "ecp5":
            m.submodules.pll = Instance(
                "EHXPLLL",
                p_CLKI_DIV=s.ref,
                p_CLKFB_DIV=s.mul,
                p_CLKOP_DIV=s.out,
                p_CLKOP_CPHASE=s.out - 1,
                p_CLKOP_ENABLE="ENABLED",
                p_FEEDBK_PATH="CLKOP",
                i_CLKI=buffer.i,
                i_CLKFB=self.clk,
                i_RST=0,
                i_STDBY=0,
                i_PHASESEL0=0,
                i_PHASESEL1=0,
                i_PHASEDIR=0,
                i_PHASESTEP=0,
                i_PHASELOADREG=0,
                i_PLLWAKESYNC=0,
                i_ENCLKOP=1,
                o_CLKOP=self.clk,
                o_LOCK=self.locked,
            )
        elif self._osc_hz == s.clk_hz:
            m.d.comb += [self.clk.eq(buffer.i), self.locked.eq(1)]
        else:
            m.submodules.pll = Instance(
                "rPLL",
                p_FCLKIN=f"{self._osc_hz / 1e6:g}",
                p_DEVICE="GW1NR-9C",
                p_IDIV_SEL=s.ref - 1,
                p_FBDIV_SEL=s.mul - 1,
                p_ODIV_SEL=s.out,
                i_CLKIN=buffer.i,
                i_CLKFB=0,
                i_RESET=0,
                i_RESET_P=0,
                o_CLKOUT=self.clk,
                o_LOCK=self.locked,
            )
        return m


def _filter_range(pfd_hz: float) -> int:
    """Return the iCE40 loop filter for a phase detector frequency (Lattice's table)."""
    return next(
        i for i, limit in enumerate((17e6, 26e6, 44e6, 66e6, 101e6, 134e6), start=1) if pfd_hz < limit
    )

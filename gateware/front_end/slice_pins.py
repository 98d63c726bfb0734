"""What slices are made of: pins between FPGA and chips, and how long the chips take."""

import math
from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.gateware.front_end.alive import ALIVE_S

__all__ = ["SIDE", "SLICES", "TIMES", "SlicePins", "Times"]

SIDE = 8
"""Rows of a slice, and columns."""
SLICES = (1, 2, 4)
"""How many there can be."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long the chips take, in seconds. [K]: not from a sheet; the wiring page says the doubt."""

    reset: float = 2e-6
    """Reset of the converters."""
    wake: float = 20e-3
    """From the end of that to the first frame. [K]"""
    switch_wake: float = 150e-6
    """From power of the switches to the first frame; their sheet asks for 120 us."""
    switch: float = 1e-6
    """A switch opens or closes: within 0.615 us."""
    latch: float = 40e-9
    """LDAC is low. [K]"""
    busy: float = 50e-6
    """Longest burst of conversions: with a longer one the converter has failed. [K]: it takes 8 us."""
    pulse: float = 20e-6
    """Shortest pulse that gets to its voltage and back. [K]"""
    alive: float = ALIVE_S
    """Half a period of `alive`."""

    def cycles(self, name: str, clk_hz: float) -> int:
        """Return one of them in clock cycles, rounded up, at least one."""
        return max(1, math.ceil(round(getattr(self, name) * clk_hz, 6)))


TIMES = Times()


class SlicePins(wiring.Signature):
    """Pins of the front end, as levels; those with a member a slice are lines of its own.

    Members
    -------
    sclk, cs_dac_n, cs_adc_n, cs_switch_n, sdi
        Serial lines to the chips.
    sdo_a, sdo_b
        Answers of the ADC: results of rows, of columns.
    ldac_n
        Loads the codes into the registers that `toggle` switches to.
    toggle
        High: lines are at their codes, low: at 0 V.
    clr_n
        Low: all lines are at 0 V, and stay there until codes are loaded anew.
    convst, busy
        Starts conversions; high while they last.
    reset_n
        Low: converters are reset.
    enable
        Supply of the switches: low opens all of them.
    alarm_n
        Low: a DAC had a frame with a wrong CRC, or is too hot.
    alive
        Toggles while drivers are on, for a detector of missing pulses.
    interlock
        High: the interlock's circuit is closed.
    """

    def __init__(self, slices: int) -> None:
        resting_high = ("sclk", "cs_dac_n", "cs_adc_n", "cs_switch_n", "ldac_n")
        super().__init__(
            {
                **{name: Out(1, init=1) for name in resting_high},
                **{name: Out(1) for name in ("toggle", "clr_n", "convst", "reset_n", "enable", "alive")},
                "sdi": Out(slices),
                **{name: In(slices) for name in ("sdo_a", "sdo_b", "busy")},
                **{name: In(1) for name in ("alarm_n", "interlock")},
            }
        )

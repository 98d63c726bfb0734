"""What the student kit is made of: pins between FPGA and modules, and how long the modules take."""

import math
from dataclasses import dataclass

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.gateware.front_end.alive import ALIVE_S

__all__ = ["LINES", "SIDE", "TIMES", "StudentPins", "Times"]

SIDE = 4
"""Rows, and columns."""
LINES = 2 * SIDE


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long the modules take, in seconds."""

    wake: float = 10e-3
    """From the end of set-up to quiet lines. [K]"""
    switch: float = 1e-6
    """The switches close. [K]"""
    alive: float = ALIVE_S
    """Half a period of `alive`."""

    def cycles(self, name: str, clk_hz: float) -> int:
        """Return one of them in clock cycles, rounded up, at least one."""
        return max(1, math.ceil(round(getattr(self, name) * clk_hz, 6)))


TIMES = Times()


class StudentPins(wiring.Signature):
    """Pins of the student kit, as levels.

    Members
    -------
    sclk, cs_dac_n, sdi
        To the Pmod DA4.
    sclk_adc, cs_adc_n, sdo
        To the four Pmod AD1 together, and the answers of their converters, one a line.
    enable
        Closes the switches between amplifiers and lines; low opens all.
    alive
        Toggles while drivers are on, for a detector of missing pulses.
    interlock
        High: the interlock's circuit is closed.
    """

    def __init__(self) -> None:
        resting_high = ("sclk", "cs_dac_n", "sclk_adc", "cs_adc_n")
        super().__init__(
            {
                **{name: Out(1, init=1) for name in resting_high},
                **{name: Out(1) for name in ("sdi", "enable", "alive")},
                "sdo": In(LINES),
                "interlock": In(1),
            }
        )

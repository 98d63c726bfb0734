"""A front end in Python for the bench of the analog tile: lines of random conductances between each other, and what was driven on them.

It looks at the design when something changes, not in every cycle.
"""

import random
from dataclasses import dataclass, field

import cocotb
import numpy as np
from cocotb.triggers import Event, FallingEdge, First, RisingEdge

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.firmware_py.registers import Cause
from backpulse.rtl.tile.analog.signature import code_layout, sample_layout
from cocotb_tests.streams import cycle, cycles, nonzero, pack, unpack

Codes = tuple[int | None, ...]
"""Codes of all lines, None for one that is open."""
RAIL = (1 << (SAMPLE_BITS - 1)) - 1
"""Largest sample."""


@dataclass(kw_only=True)
class Drive:
    """Lines were away from rest, once."""

    codes: Codes
    begin: int
    end: int = 0
    conversions: list[int] = field(default_factory=list)
    """The cycle of each."""

    @property
    def width(self) -> int:
        """Cycles."""
        return self.end - self.begin


class Lines:
    """What lines sense of each other's codes."""

    def __init__(self, rng: random.Random, count: int) -> None:
        self._offsets = [rng.randint(-300, 300) for _ in range(count)]
        self._matrix = np.array([[rng.randint(-4096, 4096) for _ in range(count)] for _ in range(count)], np.int64)

    def samples(self, codes: Codes, number: int) -> list[tuple[int, bool]]:
        """Return the sample of each line and whether its converter is at its rail, of a conversion since the lines were driven."""
        driven = np.array([code or 0 for code in codes], np.int64)
        values = (self._matrix @ driven >> (CODE_BITS - 4)) + self._offsets + 7 * number
        return [(int(np.clip(value, -RAIL - 1, RAIL)), bool(abs(value) > RAIL)) for value in values]


class FrontModel:
    """Drives the port `front` of the design.

    Members
    -------
    load, convert, setup
        Cycles from the last code until codes are in place; from the strobe to the first sample; from `on` to `ready`.
    room
        Codes are taken while the gate is high.
    drives
        What was driven, oldest first.
    """

    def __init__(self, dut, lines: Lines, count: int) -> None:
        self.dut, self.lines, self._count = dut, lines, count
        self.load, self.convert, self.setup, self.room = 12, 9, 5, True
        self.drives: list[Drive] = []
        self._next: list[int | None] = []
        self._codes: Codes = ()
        self._gate_fell = Event()
        pins = ("on", "ready", "loaded", "gate", "convert", "failed", "closed", "temperature")
        self._pins = {name: getattr(dut, f"front__{name}") for name in pins}
        self._codes_pins = [getattr(dut, f"front__codes__{part}") for part in ("payload", "valid", "ready")]
        self._samples_pins = [getattr(dut, f"front__samples__{part}") for part in ("payload", "valid", "ready")]
        for name in ("ready", "loaded", "failed", "temperature"):
            self._pins[name].value = 0
        self._pins["closed"].value = 1
        self._codes_pins[2].value = 0
        self._samples_pins[1].value = 0
        self._tasks = []
        cocotb.start_soon(self._power())
        cocotb.start_soon(self._gate())

    def fail(self, cause: Cause) -> None:
        """Report a failure until drivers go off."""
        self._pins["failed"].value = cause

    async def _power(self) -> None:
        on, edge = self._pins["on"], FallingEdge(self.dut.clk)
        while True:
            if not int(on.value):
                await RisingEdge(on)
            await cycles(self.dut, self.setup)
            self._pins["ready"].value = 1
            self._tasks = [cocotb.start_soon(self._take_codes()), cocotb.start_soon(self._convert())]
            if int(on.value):
                await FallingEdge(on)
            for task in self._tasks:
                task.cancel()
            await edge
            self._pins["ready"].value, self._pins["loaded"].value, self._pins["failed"].value = 0, 0, 0
            self._codes_pins[2].value, self._samples_pins[1].value = 0, 0
            await edge

    async def _gate(self) -> None:
        gate = self._pins["gate"]
        while True:
            await RisingEdge(gate)
            assert int(self._pins["loaded"].value), "the gate rose before the codes were in place"
            assert int(self._pins["on"].value)
            assert len(self._codes) == self._count
            self.drives.append(Drive(codes=self._codes, begin=cycle()))
            await First(FallingEdge(self.dut.clk), FallingEdge(gate))
            if not self.room:
                self._codes_pins[2].value = 0
            if int(gate.value):
                await FallingEdge(gate)
            self.drives[-1].end = cycle()
            self._gate_fell.set()

    async def _low(self) -> None:
        """Wait until the gate is low."""
        while int(self._pins["gate"].value):
            self._gate_fell.clear()
            await self._gate_fell.wait()
            await FallingEdge(self.dut.clk)

    async def _take_codes(self) -> None:
        payload, valid, ready = self._codes_pins
        edge, layout = FallingEdge(self.dut.clk), code_layout()
        while True:
            taken: list[int | None] = []
            while True:
                await edge
                if not self.room:
                    await self._low()
                ready.value = 1
                await nonzero(self.dut, valid)
                if not int(ready.value):
                    continue
                word = unpack(layout, int(payload.value))
                taken.append(None if word["open"] else word["code"])
                if len(taken) == 1:
                    await edge
                    self._pins["loaded"].value = 0
                    ready.value = 0
                if word["last"]:
                    break
            await edge
            ready.value = 0
            assert len(taken) == self._count, f"{len(taken)} codes came, not {self._count}"
            await self._low()
            await cycles(self.dut, self.load)
            self._codes = tuple(taken)
            self._pins["loaded"].value = 1

    async def _convert(self) -> None:
        strobe, edge = self._pins["convert"], FallingEdge(self.dut.clk)
        payload, valid, _ = self._samples_pins
        layout = sample_layout()
        while True:
            await edge
            await nonzero(self.dut, strobe)
            assert int(self._pins["gate"].value), "a conversion while lines are at rest"
            drive = self.drives[-1]
            samples = self.lines.samples(drive.codes, len(drive.conversions))
            drive.conversions.append(cycle())
            await cycles(self.dut, self.convert)
            for i, (value, over) in enumerate(samples):
                await edge
                payload.value = pack(layout, {"value": value, "over": over, "last": i == len(samples) - 1})
                valid.value = 1
            await edge
            valid.value = 0

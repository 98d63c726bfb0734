"""The analog tile and an array as a circuit in lock step: ngspice's transients with amplifiers that have poles, and cells that move."""

import os
from typing import Any

import numpy as np
import pytest

from backpulse.firmware_py import physical as places
from backpulse.firmware_py.analog_profiles import cycles_of, front_end_of
from backpulse.firmware_py.array import Array, FrontEnd, Read, Wires, Write
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.physical import physical
from backpulse.rtl.tile.signature import Status
from tests.analog_lab import Lab
from tests.array_world import World
from tests.ngspice import library
from tests.ngspice_transient import Transient
from tests.spice_array import circuit, outputs

CLOCK_KHZ = 1000
ARRAY = Array(
    read=Read(reference="calibrated"),
    wires=Wires(row_ohm=2.0, col_ohm=2.0, driver_ohm=2.0),
    write=Write(steepness=20.0),
    front_end=FrontEnd(kind="student", pulse_s=50e-6),
)
UNIT = (ARRAY.cells.g_max - ARRAY.cells.g_min) / 2
PULSES = np.array([[0, 0, 0, 0], [0, 3, 0, -2], [0, 0, 0, 0], [-2, 0, 0, 1]])
"""Counts of the cells that are pulsed."""


class Circuit:
    """The array in ngspice, and the model of the virtual board beside it, moved by the same edges."""

    def __init__(self, transient: Transient, folder: Any) -> None:
        self.tables = physical(ARRAY, CLOCK_KHZ)
        self.transient, self.world = transient, World(folder, self.tables)
        self.pulses = 0
        self._cycle, self._codes = 0, np.zeros(8, int)
        self.differences: list[float] = []
        self.go(20)

    def go(self, cycle: int) -> None:
        """Go on to a clock cycle with the lines as they are."""
        if cycle > self._cycle:
            volts = self._codes * self.tables.numbers[places.VOLTS_OF_CODE] + self.tables.offset
            probes = self.transient.step((cycle - self._cycle) / CLOCK_KHZ / 1000, volts.tolist())
            self.output, self.cells = outputs(probes, self.tables)
            self._cycle = cycle

    def moved(self, cycle: int, codes: Any) -> None:
        """Lines are at other codes."""
        self.go(cycle + 20)
        self.world.drive(cycle + 20, np.array(codes))
        self.pulses += self._codes.any() and not any(codes)
        self._codes = np.array(codes)

    def sampled(self, cycle: int) -> list[int]:
        """Lines are sampled."""
        self.go(cycle + 20)
        samples = np.rint((self.output + self.tables.numbers[places.REST_VOLTS]) / self.tables.numbers[places.VOLTS_OF_SAMPLE]).astype(int)
        self.differences.append(float(np.abs(samples - self.world.convert()).max()))
        return (-samples).tolist()

    @property
    def steps(self) -> np.ndarray:
        """How far cells have moved, in steps of the device."""
        return (self.cells - self.tables.cells / (1 << 14)) / PRESETS["ideal"].dw_min

    @property
    def foretold(self) -> np.ndarray:
        """The same by the model of the virtual board, which is held to nodal analysis."""
        return (self.world.cells - self.tables.cells) / (1 << 14) / PRESETS["ideal"].dw_min


@pytest.fixture
def bench(tmp_path):
    if library() is None:
        if os.environ.get("NGSPICE") == "required":  # .ci/run has installed it
            pytest.fail("libngspice0 is not installed: apt-get install libngspice0")
        pytest.skip("libngspice0 is not installed")
    netlist, probes = circuit(physical(ARRAY, CLOCK_KHZ), UNIT, CLOCK_KHZ * 1000)
    with Transient(netlist, 8, probes) as transient:
        spice = Circuit(transient, tmp_path)
        yield Lab(ARRAY, CLOCK_KHZ, spice.moved, spice.sampled), spice


def test_pulses_and_reads_of_a_transient_are_those_of_nodal_analysis(bench):
    """Named cells move, within 2 % of what nodal analysis says; others less than a thousandth of a step; words are right."""
    lab, spice = bench

    async def test(lab, ctx):
        drives = [127, -64, 32, 90]
        before = await lab.read(ctx, Op.READ, drives), await lab.read(ctx, Op.READT, drives)
        for words, cells in zip(before, (spice.tables.cells, spice.tables.cells.T), strict=True):
            assert np.abs(np.array(drives) @ cells / (1 << 14) - words).max() < 4  # 12 bits
        await lab.command(ctx, Op.PULSE)
        await lab.give(ctx, lab.tile.counts, PULSES.tolist())
        status, asked, done = await lab.completion(ctx)
        assert (status, asked, done) == (Status.OK, 8, 8)
        await lab.read(ctx, Op.READ, drives)

    lab.run(test)
    named = PULSES != 0
    assert spice.pulses == 3 + 2 + 2 + 1 + 2 * 3  # and three reads of two phases
    assert np.abs(spice.steps[named] / PULSES[named] - 1).max() < 0.2
    assert np.abs(spice.steps[named] / spice.foretold[named] - 1).max() < 0.02
    assert np.abs(spice.steps[~named]).max() < 1e-3
    assert max(spice.differences) <= 16  # one step of 12 bits


def test_an_interlock_that_opens_in_the_middle_of_a_pulse(bench):
    """Lines are at rest in the same step, and the cut pulse, which moves its cell by a part of a step, is not counted."""
    lab, spice = bench
    width = cycles_of(front_end_of(ARRAY).pulse_s, CLOCK_KHZ)

    async def test(lab, ctx):
        await lab.command(ctx, Op.PULSE)
        counts = [[0, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        await lab.give(ctx, lab.tile.counts, counts[:2])
        for _ in range(3):
            await ctx.tick().until(lab.front.gate)
            begun = lab.cycle
            if _ < 2:
                await ctx.tick().until(~lab.front.gate)
        await ctx.tick().repeat(width // 2)
        assert lab.cycle < begun + width
        assert ctx.get(lab.front.gate)
        ctx.set(lab.front.closed, 0)
        assert not ctx.get(lab.front.gate)
        assert not ctx.get(lab.front.on)
        status, asked, done = await lab.completion(ctx)
        assert (status, asked, done) == (Status.FAILED, 5, 2)
        await ctx.tick().repeat(20)
        assert not ctx.get(lab.front.gate)

    lab.run(test)
    spice.go(lab.cycle + 20)
    assert spice.pulses == 3
    assert 2.3 < spice.steps[1, 1] / (spice.foretold[1, 1] / 2.5) < 2.7


def test_a_reset_in_the_middle_of_a_pulse_is_at_once():
    """Lines are at rest in the next clock cycle, and nothing is driven until the tile is armed again."""
    edges: list[bool] = []
    lab = Lab(ARRAY, CLOCK_KHZ, lambda cycle, codes: edges.append(any(codes)), lambda cycle: [0] * 8)
    width = cycles_of(front_end_of(ARRAY).pulse_s, CLOCK_KHZ)
    counts = [[0, 0, 0, 0], [0, 5, 0, 0]]

    async def test(lab, ctx):
        await lab.command(ctx, Op.PULSE)
        await lab.give(ctx, lab.tile.counts, counts)
        await ctx.tick().until(lab.front.gate)
        await ctx.tick().repeat(width // 2)
        assert ctx.get(lab.front.gate)
        ctx.set(lab.reset, 1)
        await ctx.tick()
        assert not ctx.get(lab.front.gate)
        assert not ctx.get(lab.front.on)
        ctx.set(lab.reset, 0)
        await ctx.tick().repeat(3 * width)
        assert (edges.count(True), edges[-1]) == (1, False)
        await lab.command(ctx, Op.PULSE)
        assert (await lab.completion(ctx))[0] is Status.FAILED
        assert (edges.count(True), edges[-1]) == (1, False)

    lab.run(test)

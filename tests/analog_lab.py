"""The analog tile in Amaranth's simulator, with lines in Python or ngspice behind its front end's port."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from backpulse.firmware_py.analog import (
    ARM_FIRST,
    ARM_SECOND,
    CALIBRATION,
    LINE_WORDS,
    PROFILE_WORDS,
    FrontEnd,
    LineWord,
)
from backpulse.firmware_py.analog_profiles import config_of, lines, nominal, profile_words
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ArrayWord, Window
from backpulse.rtl.tile.analog.tile import AnalogTile
from backpulse.rtl.tile.signature import Status, window_code

LOAD_CYCLES = 20
"""Of a set of codes."""


class Lab:
    """A tile, its front end, and what is behind it.

    Parameters
    ----------
    array : Array
        With a front end.
    clock_khz : int
    moved : callable
        Called with the cycle and the codes of all lines whenever they change: (cycle, codes).
    sampled : callable
        Called with the cycle of a conversion; returns samples as `FrontEndSignature` has them.

    Attributes
    ----------
    cycle : int
        The clock cycle.
    reset, front
        The reset of the tile; its front end's port.
    """

    def __init__(
        self,
        array: Array,
        clock_khz: int,
        moved: Callable[[int, Sequence[int]], None],
        sampled: Callable[[int], Sequence[int]],
    ) -> None:
        self.array, self.clock_khz, self._moved, self._sampled = array, clock_khz, moved, sampled
        self.config, self.lines = config_of(array, DEFAULT), lines(array)
        self.cycle = 0
        self.reset = Signal()
        self.tile = AnalogTile(self.config, self.lines, clk_khz=clock_khz, width_min=2, front_end=FrontEnd.STUDENT)
        self.front = self.tile.front

    def run(self, test: Callable[["Lab", Any], Awaitable[None]]) -> None:
        """Run a test bench, called with this and the simulator's context, on a tile that is armed and has the array's profile."""
        m = Module()
        m.submodules.tile = ResetInserter(self.reset)(self.tile)
        simulator = Simulator(m)
        simulator.add_clock(1e-3 / self.clock_khz)

        async def all_of_it(ctx: Any) -> None:
            await self._set_up(ctx)
            await test(self, ctx)

        for background in (self._clock, self._drive, self._load, self._convert):
            simulator.add_testbench(background, background=True)
        simulator.add_testbench(all_of_it)
        simulator.run()

    # What the front end does

    async def _clock(self, ctx: Any) -> None:
        ctx.set(self.front.closed, 1)
        async for _ in ctx.tick():
            self.cycle += 1
            ctx.set(self.front.ready, ctx.get(self.front.on))

    async def _drive(self, ctx: Any) -> None:
        self._codes: list[int] = [0] * self.lines.count
        async for gate in ctx.changed(self.front.gate):
            self._moved(self.cycle, self._codes if gate[0] else [0] * self.lines.count)

    async def _load(self, ctx: Any) -> None:
        codes = self.front.codes
        while True:
            taken: list[int] = []
            while len(taken) < self.lines.count:
                ctx.set(codes.ready, ~ctx.get(self.front.gate) & 1)
                _, _, valid, payload, ready = await ctx.tick().sample(codes.valid, codes.payload, codes.ready)
                if valid and ready:
                    taken.append(payload.code)
                    ctx.set(self.front.loaded, 0)
            ctx.set(codes.ready, 0)
            await ctx.tick().repeat(LOAD_CYCLES)
            self._codes = taken
            ctx.set(self.front.loaded, ctx.get(self.front.on))

    async def _convert(self, ctx: Any) -> None:
        samples = self.front.samples
        while True:
            await self._until(ctx, self.front.convert)
            for k, value in enumerate(found := list(self._sampled(self.cycle))):
                ctx.set(samples.payload, {"value": value, "over": 0, "last": k == len(found) - 1})
                ctx.set(samples.valid, 1)
                await self._until(ctx, samples.ready)
            ctx.set(samples.valid, 0)

    @staticmethod
    async def _until(ctx: Any, signal: Signal) -> None:
        """Wait for a clock edge with a signal; in the background, where the simulator's own `until` cannot be cut off."""
        while not (await ctx.tick().sample(signal))[2]:
            pass

    # What the core and the host do

    async def write(self, ctx: Any, window: Window, at: int, word: int) -> None:
        """Write a word as the host does."""
        host = self.tile.host
        ctx.set(host.window, window_code(window))
        ctx.set(host.addr, at)
        ctx.set(host.w_data, word & 0xFFFFFFFF)
        ctx.set(host.write, 1)
        ctx.set(host.request, 1)
        (error,) = await ctx.tick().sample(host.error).until(host.ack)
        ctx.set(host.request, 0)
        assert not error, f"word {at} of {window.name} cannot be written"

    async def _set_up(self, ctx: Any) -> None:
        for at, word in enumerate(profile_words(self.array.profiles[0], self.array, self.config, self.clock_khz)):
            if word or at == PROFILE_WORDS - 1:
                await self.write(ctx, Window.TILE, at, word)
        for line in range(self.lines.count):
            for word, value in nominal(self.array, self.config).items():
                if word in (LineWord.GAIN, LineWord.FACTOR):
                    await self.write(ctx, Window.TILE, CALIBRATION + LINE_WORDS * line + word, value)
        for word in (ArrayWord.LIMIT, ArrayWord.READ_LIMIT, ArrayWord.CODE_LIMIT, ArrayWord.READ_CODE_LIMIT):
            await self.write(ctx, Window.ARRAY, word, 30_000)
        for step in (ARM_FIRST, ARM_SECOND):
            await self.write(ctx, Window.ARRAY, ArrayWord.ARM, step)
        await ctx.tick().repeat(4)

    async def command(self, ctx: Any, op: Op) -> None:
        """Give a command for the whole tile."""
        cmd = self.tile.cmd
        size = {"rows": self.lines.rows, "cols": self.lines.logical_cols}
        ctx.set(cmd.payload, {"op": op, "tile": 0, "row0": 0, "col0": 0, **size, "profile": 0, "bank": 0, "tag": 1})
        ctx.set(cmd.valid, 1)
        await ctx.tick().until(cmd.ready)
        ctx.set(cmd.valid, 0)

    async def give(self, ctx: Any, stream: Any, payloads: Sequence[Any]) -> None:
        """Give words on a stream."""
        for payload in payloads:
            ctx.set(stream.payload, payload)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)

    async def read(self, ctx: Any, op: Op, drives: Sequence[int]) -> list[int]:
        """Return the sense words of a READ or READT."""
        await self.command(ctx, op)
        await self.give(ctx, self.tile.drive, drives)
        words, sense = [], self.tile.sense
        ctx.set(sense.ready, 1)
        for _ in range(self.lines.logical_cols if op is Op.READ else self.lines.rows):
            (payload,) = await ctx.tick().sample(sense.payload).until(sense.valid)
            words.append(payload.value)
        ctx.set(sense.ready, 0)
        assert (await self.completion(ctx))[0] is Status.OK
        return words

    async def completion(self, ctx: Any) -> tuple[Status, int, int]:
        """Return how a command ends: status, pulses asked for, pulses done."""
        completion = self.tile.completion
        ctx.set(completion.ready, 1)
        ctx.set(self.tile.short.ready, 1)
        (payload,) = await ctx.tick().sample(completion.payload).until(completion.valid)
        ctx.set(completion.ready, 0)
        return payload.status, payload.asked, payload.done

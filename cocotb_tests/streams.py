"""Drivers and checkers of Amaranth streams for benches.

Everything is driven at the falling clock edge and sampled when that time step has settled, which is what the next rising edge sees.
Whoever has nothing to do sleeps: a cycle that Python looks at takes as long as a hundred that it does not.
Payloads are plain Python: an integer, a dict for a struct layout, a list for an array layout.
"""

import os
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
from amaranth.hdl import Shape
from amaranth.lib import data, enum
from cocotb.clock import Clock
from cocotb.simtime import get_sim_time
from cocotb.triggers import Event, FallingEdge, First, ReadOnly, Timer, ValueChange

from cocotb_tests.parameters import parameters

PERIOD_NS = 10
"""Of the clock."""

Pattern = Callable[[], bool]
Layout = Any
"""Shape of a payload. Amaranth's own name for it, ShapeLike, is no type of the numbers and layouts that it stands for."""


def generator(number: int) -> random.Random:
    """Return the random numbers of one part of a bench, those of RANDOM_SEED."""
    return random.Random(1000 * int(os.environ["COCOTB_RANDOM_SEED"]) + number)


def never() -> bool:
    """Never pause."""
    return False


def often(probability: float, seed: int) -> Pattern:
    """Pause in each cycle with a probability."""
    random_ = generator(seed)
    return lambda: random_.random() < probability


def bursts(seed: int) -> Pattern:
    """Alternate runs of 1 to 12 cycles without and with pauses."""
    random_ = generator(seed)
    state = [False, 0]

    def pattern() -> bool:
        if not state[1]:
            state[:] = [not state[0], random_.randint(1, 12)]
        state[1] -= 1
        return bool(state[0])

    return pattern


PATTERNS = ("never", "often", "bursts", "late")
"""Names of pause patterns. A sink with `late` is ready only after it has seen valid: a source that waits for ready hangs there."""


def pattern(name: str, seed: int) -> Pattern:
    """Return the pause pattern of a name; `late` is the sinks' own, for a source it means rarely sending."""
    return {"never": never, "often": often(0.4, seed), "bursts": bursts(seed), "late": often(0.8, seed)}[name]


def pack(layout: Layout, value: Any) -> int:
    """Return the bits of a Python value in a layout."""
    if isinstance(layout, data.StructLayout):
        return sum(pack(field.shape, value[name]) << field.offset for name, field in layout)
    if isinstance(layout, data.ArrayLayout):
        width = Shape.cast(layout.elem_shape).width
        return sum(pack(layout.elem_shape, v) << i * width for i, v in enumerate(value))
    return int(getattr(value, "value", value)) & ((1 << Shape.cast(layout).width) - 1)


def unpack(layout: Layout, bits: int) -> Any:
    """Return the Python value of bits in a layout."""
    if isinstance(layout, data.StructLayout):
        return {name: unpack(field.shape, bits >> field.offset) for name, field in layout}
    if isinstance(layout, data.ArrayLayout):
        width = Shape.cast(layout.elem_shape).width
        return [unpack(layout.elem_shape, bits >> i * width) for i in range(layout.length)]
    shape = Shape.cast(layout)
    bits &= (1 << shape.width) - 1
    value = bits - (1 << shape.width) if shape.signed and bits >> (shape.width - 1) else bits
    return layout(value) if isinstance(layout, enum.EnumType) else value


def choose_mutant(dut: Any) -> None:
    """Give the design the fault that the test wants, if any."""
    if mutant := parameters().get("mutant"):
        dut.mutant.value = mutant


async def start(dut: Any) -> None:
    """Start the clock and reset the design; returns at a falling edge, out of reset. Inputs should have been set before."""
    dut.rst.value = 1
    choose_mutant(dut)
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, "ns").start())
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


async def cycles(dut: Any, count: int = 1) -> None:
    """Wait for falling edges."""
    if count > 1:
        await Timer((count - 1) * PERIOD_NS + PERIOD_NS // 4, "ns")
    if count > 0:
        await FallingEdge(dut.clk)


async def nonzero(dut: Any, *signals: Any) -> None:
    """Sleep until one of the signals is not zero when a falling edge has settled; return then, in the read-only phase."""
    await ReadOnly()
    while not any(int(signal.value) for signal in signals):
        await (First(*map(ValueChange, signals)) if len(signals) > 1 else ValueChange(*signals))
        if int(dut.clk.value):  # it changed with a register, not with an input
            await FallingEdge(dut.clk)
        await ReadOnly()


def cycle() -> int:
    """Return the number of the clock cycle."""
    return int(get_sim_time("ns")) // PERIOD_NS


class Source:
    """Drives a stream input of the design.

    Parameters
    ----------
    dut, name
        Design and name of its stream port.
    layout
        Shape of the payload.
    pause
        Called before each new word; True holds it back for a cycle.

    Members
    -------
    sent, times
        Count of words taken, and the clock cycle of each.
    """

    def __init__(self, dut: Any, name: str, layout: Layout, *, pause: Pattern = never) -> None:
        self._dut, self._layout, self.pause = dut, layout, pause
        self._payload, self._valid, self._ready = (getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready"))
        self._queue: deque[Any] = deque()
        self._filled, self._empty = Event(), Event()
        self._valid.value, self._payload.value = 0, 0
        self.sent = 0
        self.times: list[int] = []
        self._task = cocotb.start_soon(self._run())

    def send(self, values: Iterable[Any]) -> None:
        """Queue words."""
        self._queue.extend(values)
        if self._queue:
            self._filled.set()

    def drop(self) -> None:
        """Forget what waits; a word on offer is taken back at the next falling edge."""
        self._queue.clear()
        self._task.cancel()
        self._task = cocotb.start_soon(self._run())

    async def drain(self) -> None:
        """Wait until all queued words are taken."""
        while self._queue:
            self._empty.clear()
            await self._empty.wait()
            await FallingEdge(self._dut.clk)

    async def _run(self) -> None:
        edge = FallingEdge(self._dut.clk)
        while True:
            await edge
            offering = bool(self._queue) and not self.pause()
            self._valid.value = int(offering)
            if offering:
                self._payload.value = pack(self._layout, self._queue[0])
                await nonzero(self._dut, self._ready)
                self._queue.popleft()
                self.sent += 1
                self.times.append(cycle())
                if not self._queue:
                    self._empty.set()
            elif not self._queue:
                self._empty.set()
                self._filled.clear()
                await self._filled.wait()


class Sink:
    """Takes the words of a stream output and checks the contract: a word on offer stays, unchanged, until it is taken.

    Parameters
    ----------
    dut, name, layout
        As for `Source`.
    pause
        Called each cycle; True means not ready. The name `late` instead: ready only in the cycle after valid was seen.

    Members
    -------
    words
        What was taken, oldest first; `times` has the clock cycle of each.
    """

    def __init__(self, dut: Any, name: str, layout: Layout, *, pause: Pattern | str = never) -> None:
        self._dut, self._name, self._layout, self.pause = dut, name, layout, pause
        self._payload, self._valid, self._ready = (getattr(dut, f"{name}__{part}") for part in ("payload", "valid", "ready"))
        self._ready.value = 0
        self.words: list[Any] = []
        self.times: list[int] = []
        self._came = Event()
        self._waiting: int | None = None
        self._excused = -1
        cocotb.start_soon(self._run())

    def forget(self) -> None:
        """Allow the word on offer to vanish in this cycle or the next (abort)."""
        self._excused = cycle() + 1

    async def get(self) -> Any:
        """Take the oldest word, waiting for it."""
        await self.wait(1)
        self.times.pop(0)
        return self.words.pop(0)

    async def wait(self, count: int, *, limit: int = 4000) -> None:
        """Wait until `count` words are there, at most `limit` cycles for each."""
        while len(self.words) < count:
            self._came.clear()
            await First(self._came.wait(), Timer(limit * PERIOD_NS, "ns"))
            assert self._came.is_set(), f"{self._name}: no word for {limit} cycles"
            await FallingEdge(self._dut.clk)

    def expect(self, values: list[Any]) -> None:
        """Compare all words taken with what should have come, and start anew."""
        for i, (got, want) in enumerate(zip(self.words, values, strict=False)):
            assert got == want, f"{self._name}: word {i} is {got}, not {want}"
        assert len(self.words) == len(values), f"{self._name}: {len(self.words)} words came, not {len(values)}"
        self.words, self.times = [], []

    async def _run(self) -> None:
        seen, edge, reset = False, FallingEdge(self._dut.clk), self._dut.rst
        while True:
            await edge
            ready = seen if isinstance(self.pause, str) else not self.pause()
            self._ready.value = int(ready)
            if self._waiting is None and (self.pause is never or isinstance(self.pause, str)):
                await nonzero(self._dut, self._valid)
            else:
                await ReadOnly()
            if int(reset.value):
                continue
            valid = int(self._valid.value)
            bits = int(self._payload.value) if valid else 0
            if self._waiting is not None and cycle() > self._excused:
                assert valid, f"{self._name}: valid fell before the word was taken"
                assert bits == self._waiting, f"{self._name}: payload changed while it waited"
            seen = bool(valid) and not ready
            self._waiting = bits if seen else None
            if valid and ready:
                self.words.append(unpack(self._layout, bits))
                self.times.append(cycle())
                self._came.set()


def sink_pause(name: str, seed: int) -> Pattern | str:
    """Return what `Sink` takes as `pause` for a pattern name."""
    return "late" if name == "late" else pattern(name, seed)

"""A tile in Python that does what a script says: slow, failing, miscounting, tripping, or right."""

from collections.abc import Callable
from dataclasses import dataclass

import cocotb
import numpy as np
from amaranth.hdl import signed
from cocotb.triggers import FallingEdge, First, ReadOnly, RisingEdge, Timer

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import own_words, shared_words, update
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import Cause, Window
from backpulse.rtl.tile.signature import Status, command_layout, completion_layout, counts_layout, sense_layout, short_layout, window_code
from cocotb_tests.streams import PERIOD_NS, Sink, Source, cycles, nonzero

FOREVER = 1 << 30


@dataclass(kw_only=True)
class Plan:
    """How a command is done; a command without one is done rightly and at once."""

    wait: int = 0
    """Cycles before its answer, and before its completion."""
    progress: int = 0
    """Cycles from one strobe of progress to the next meanwhile, 0 for none."""
    status: Status = Status.OK
    cause: Cause = Cause.NONE
    words: int | None = None
    """Sense words that are given before the completion, if not all."""
    over: bool = False
    """Say of each sense word that a converter was at its rail."""
    asked: int = 0
    """Pulses that are counted too many."""
    missed: tuple[int, ...] = ()
    """Pulses that rows do not get: the first row that was to get so many, then the next."""
    named: int = 0
    """Pulses more that the records of rows name."""
    late: bool = False
    """The records of rows come after the completion."""
    tag: int = 0
    """Difference to the right tag."""


class ScriptedTile:
    """The tile of an `OpenMachine`: ideal cells, held by a golden machine, which answers the host too.

    Parameters
    ----------
    dut, config
        The design and its configuration.

    Members
    -------
    script
        Called with each command, its operation and number from 0 on; returns how it is done.
    commands
        What came.
    done
        Pulses that were applied.
    parking
        Cycles from an abort until no driver is on.
    """

    def __init__(self, dut, config: Config) -> None:
        self.dut, self.config, self.inner = dut, config, GoldenMachine(config)
        self.cmd = Sink(dut, "pins__cmd", command_layout(config))
        self.drive = Sink(dut, "pins__drive", signed(config.drive_bits))
        self.counts = Sink(dut, "pins__counts", counts_layout(config))
        self.sense = Source(dut, "pins__sense", sense_layout(config))
        self.completion = Source(dut, "pins__completion", completion_layout(config))
        self.short = Source(dut, "pins__short", short_layout(config))
        self.script: Callable[[dict, int], Plan] = lambda _command, _number: Plan()
        self.commands: list[dict] = []
        self.done, self.parking = 0, 3
        self.aborts = 0
        for name in ("busy", "trip", "progress", "host__ack", "host__r_data", "host__error"):
            getattr(dut, f"pins__{name}").value = 0
        dut.pins__safe.value = 1
        cocotb.start_soon(self._run())
        cocotb.start_soon(self._count_aborts())
        cocotb.start_soon(self._host())

    async def _count_aborts(self) -> None:
        while True:
            await RisingEdge(self.dut.pins__abort)
            self.aborts += 1

    async def _host(self) -> None:
        dut = self.dut
        windows = {window_code(w): w for w in (Window.CELLS, Window.SPREAD, Window.RANDOM, Window.TILE, Window.ARRAY)}
        while True:
            await FallingEdge(dut.clk)
            await nonzero(dut, dut.pins__host__request)
            address = windows[int(dut.pins__host__window.value)].base | int(dut.pins__host__addr.value)
            write, data = int(dut.pins__host__write.value), int(dut.pins__host__w_data.value)
            await FallingEdge(dut.clk)
            try:
                word, error = (self.inner.write(address, data), 0) if write else (self.inner.read(address), 0)
            except BusError:
                word, error = 0, 1
            dut.pins__host__r_data.value, dut.pins__host__error.value, dut.pins__host__ack.value = word or 0, error, 1
            await FallingEdge(dut.clk)
            dut.pins__host__ack.value = 0

    async def sleep(self, count: int, progress: int = 0) -> bool:
        """Wait for some cycles, with strobes of progress; return whether the command was aborted meanwhile."""
        dut = self.dut
        while count > 0 and not int(dut.pins__abort.value):
            step = min(count, progress or count)
            await First(Timer((step - 1) * PERIOD_NS + 1, "ns"), RisingEdge(dut.pins__abort))
            await FallingEdge(dut.clk)
            count -= step
            if progress:
                dut.pins__progress.value = 1
                await FallingEdge(dut.clk)
                dut.pins__progress.value = 0
        await ReadOnly()
        aborted = bool(int(dut.pins__abort.value))
        await FallingEdge(dut.clk)
        return aborted

    async def _run(self) -> None:
        while True:
            await self.cmd.wait(1, limit=FOREVER)
            command = await self.cmd.get()
            plan = self.script(command, len(self.commands))
            self.commands.append(command)
            self.dut.pins__safe.value = 0
            await self._do(command, plan)
            self.dut.pins__safe.value = 1
            self.drive.words, self.counts.words = [], []

    async def _complete(self, command: dict, plan: Plan, status: Status, *, asked: int = 0, done: int = 0) -> None:
        self.done += done
        tag = (command["tag"] + plan.tag) % 16
        cause = plan.cause if status is Status.FAILED else Cause.NONE
        self.completion.send([{"tag": tag, "asked": asked + plan.asked, "done": done, "status": status, "cause": cause}])
        await self.completion.drain()

    async def _do(self, command: dict, plan: Plan) -> None:
        if plan.status is Status.REFUSED:
            await self.sleep(plan.wait, plan.progress)
            await self._complete(command, plan, Status.REFUSED)
            return
        pulses = command["op"] == Op.PULSE
        source, needed = self.drive, command["cols" if command["op"] == Op.READT else "rows"]
        if pulses:
            source = self.counts
        # The data, or an abort.
        while len(source.words) < needed and not int(self.dut.pins__abort.value):
            await FallingEdge(self.dut.clk)
        if await self.sleep(plan.wait, plan.progress) or len(source.words) < needed:
            await self._aborted(command, plan, pulses)
            return
        if pulses:
            asked, done, records = self._pulse(command, plan)
            for record in [] if plan.late else records:
                self.short.send([record])
            await self.short.drain()
            aborted = await self.sleep(plan.wait, plan.progress)
            await self._complete(command, plan, Status.ABORTED if aborted else plan.status, asked=asked, done=done)
            self.short.send(records if plan.late else [])
            return
        words = self._read(command, self.drive.words[:needed])[: plan.words]
        self.sense.send([word | {"over": 1} for word in words] if plan.over else words)
        if await self.sleep(plan.wait, plan.progress):
            self.sense.drop()
            await self._aborted(command, plan, pulses)
            return
        if plan.words is None:
            await self.sense.drain()
        await self._complete(command, plan, plan.status)

    async def _aborted(self, command: dict, plan: Plan, pulses: bool) -> None:
        """Park, and say that of what was taken one pulse less was done."""
        await cycles(self.dut, self.parking)
        asked = sum(abs(n) for row in self.counts.words for n in row) if pulses else 0
        await self._complete(command, plan, Status.ABORTED, asked=asked, done=max(asked - 1, 0))

    def _place(self, command: dict) -> tuple[slice, slice]:
        row = command["tile"] * self.config.tile_rows + command["row0"]
        return slice(row, row + command["rows"]), slice(command["col0"], command["col0"] + command["cols"])

    def _read(self, command: dict, drives: list[int]) -> list[dict]:
        block = self.inner.memory.cells[self._place(command)].astype(np.int64)
        sums = [rshift(int(s), self.config.sense_shift) for s in np.array(drives) @ (block if command["op"] == Op.READ else block.T)]
        most = self.config.sense_max
        return [{"value": sat(s, most), "over": int(abs(s) > most), "last": int(i == len(sums) - 1)} for i, s in enumerate(sums)]

    def _pulse(self, command: dict, plan: Plan) -> tuple[int, int, list[dict]]:
        """Apply the counts; return pulses asked and done, and the records of rows."""
        rows, _ = self._place(command)
        cells, shared = self.inner.memory.cells, shared_words(self.inner.memory.tile, self.config.cell_bits)
        asked, records, left = 0, [], list(plan.missed)
        for i, line in enumerate(self.counts.words[: command["rows"]]):
            size = sum(map(abs, line))
            asked += size
            for column, count in enumerate(line):
                cells[rows.start + i, column] = update(int(cells[rows.start + i, column]), count, own_words(0, shared), 0, shared)
            if left and size > left[0]:
                records.append({"row": command["row0"] + i, "asked": size, "done": size - left.pop(0)})
        assert not left, "the rows get too few pulses"
        if records:
            records[-1]["done"] -= plan.named
        return asked, asked - sum(plan.missed), records

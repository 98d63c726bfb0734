"""Bench of the pulse planner: random vectors, scales and regions against the golden model's counts."""

import cocotb
import numpy as np
from amaranth.hdl import signed
from cocotb.triggers import FallingEdge, ReadOnly

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.golden import pulse_shift
from backpulse.firmware_py.isa import SCALE_LOG2_MAX
from backpulse.firmware_py.streams import xorshift
from backpulse.rtl.tile.signature import counts_layout
from backpulse.rtl.units.planner import plan_layout
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, nonzero, pattern, sink_pause, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])


class TB:
    """Planner, drivers, monitors and model; the model is written from docs/machine.md with the golden functions."""

    def __init__(self, dut, *, pause: str = "never", seed: int = 1) -> None:
        self.dut, self.rng = dut, generator(seed)
        word = signed(CONFIG.vector_bits)
        self.cmd = Source(dut, "cmd", plan_layout(CONFIG), pause=pattern(pause, seed + 1))
        self.columns = Source(dut, "i_column", word, pause=pattern(pause, seed + 2))
        self.rows = Source(dut, "i_row", word, pause=pattern(pause, seed + 3))
        self.counts = Sink(dut, "o_counts", counts_layout(CONFIG), pause=sink_pause(pause, seed + 4))
        self.host = HostPortDriver(dut)
        self.states = [self.rng.getrandbits(32) or 1 for _ in range(CONFIG.tile_cols)]
        self.totals = np.zeros(3, np.int64)
        dut.clear.value = 0
        cocotb.start_soon(self._add_totals())

    async def _add_totals(self) -> None:
        pulses = [getattr(self.dut, name) for name in ("up", "down", "clipped")]
        while True:
            await FallingEdge(self.dut.clk)
            await nonzero(self.dut, *pulses)
            if not int(self.dut.rst.value):
                self.totals += [int(pin.value) for pin in pulses]

    async def begin(self) -> None:
        """Reset and seed the rounding streams."""
        await start(self.dut)
        for lane, word in enumerate(self.states):
            await self.host.write(lane, word)

    async def compare_states(self) -> None:
        """Read the rounding streams back."""
        for lane, word in enumerate(self.states):
            assert await self.host.read(lane) == word, f"rounding state of lane {lane}"

    def case(self) -> tuple[dict, list[int], list[int]]:
        """Return a random command and its vectors: usual ones, and extremes in every field."""
        rng, top = self.rng, CONFIG.vector_max
        col0 = rng.randrange(CONFIG.tile_cols)
        rows, cols = rng.randint(1, CONFIG.tile_rows), rng.randint(1, CONFIG.tile_cols - col0)
        size = rng.choice([top, top // 16, 200, 3])
        columns = [rng.choice([0, size, -size, rng.randint(-size, size)]) for _ in range(cols)]
        most = rng.choice([top, CONFIG.unit, top // 64, top // 512])
        lines = [rng.choice([0, most, -most, rng.randint(-most, most)]) for _ in range(rows)]
        magnitude, scale_log2 = max(map(abs, columns)).bit_length(), rng.randint(0, SCALE_LOG2_MAX)
        # The largest row word then asks for 1/2 to 4096 pulses, a small one for few: planned words of few bits matter most there.
        exponent = scale_log2 + 40 - 16 - magnitude - (CONFIG.vector_bits - 1) + rng.randint(-1, 12)
        command = {
            "rows": rows,
            "col0": col0,
            "cols": cols,
            "mantissa": rng.choice([0, 1, 65535, rng.randint(32768, 65535)]) if rng.random() < 0.3 else rng.randint(32768, 65535),
            "exponent": rng.randint(-128, 127) if rng.random() < 0.2 else exponent,
            "scale_log2": scale_log2,
            "magnitude": magnitude,
            "stochastic": rng.randrange(2),
        }
        return command, columns, lines

    def plan(self, command: dict, columns: list[int], lines: list[int]) -> tuple[list[list[int]], list[int]]:
        """Return the rows of counts and the totals."""
        f, q = pulse_shift(command["exponent"], command["scale_log2"], command["magnitude"])
        planned = [0] * CONFIG.tile_cols
        for j, b in enumerate(columns):
            planned[command["col0"] + j] = 0 if q > 3 else sat(rshift(b * command["mantissa"], f), 32767)
        counts, totals = [], [0, 0, 0]
        for a in lines:
            self.states = [xorshift(s) for s in self.states]
            line = []
            for p, state in zip(planned, self.states, strict=True):
                u = a * p
                n = ((abs(u) >> 8 * q) + (state >> 16 if command["stochastic"] else 0x8000)) >> 16
                count = min(n, CONFIG.pulse_max)
                totals[0 if u > 0 else 1] += count
                totals[2] += n > count
                line.append(count if u > 0 else -count)
            counts.append(line)
        return counts, totals

    def send(self, command: dict, columns: list[int], lines: list[int]) -> None:
        """Queue a command and its vectors."""
        self.cmd.send([command])
        self.columns.send(columns)
        self.rows.send(lines)

    async def settle(self) -> None:
        """Wait until the planner is at rest."""
        await FallingEdge(self.dut.clk)
        while not int(self.dut.settled.value):
            await FallingEdge(self.dut.clk)

    async def run(self) -> list[int]:
        """Plan a random case and compare; returns the totals."""
        case = self.case()
        self.totals[:] = 0
        self.send(*case)
        counts, totals = self.plan(*case)
        await self.counts.wait(len(counts))
        await self.settle()
        self.counts.expect(counts)
        assert list(self.totals) == totals, f"totals are {self.totals}, not {totals}, for {case[0]}"
        return totals


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def plans(dut, pause):
    """Random cases give the golden counts, totals and rounding states."""
    tb = TB(dut, pause=pause)
    await tb.begin()
    seen = np.zeros(3, np.int64)
    for _ in range(PARAMETERS.get("cases", 200)):
        seen += await tb.run()
    assert seen.all(), f"the cases had no pulses up, down or clipped: {seen}"
    await tb.compare_states()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut):
    """A word a cycle: the first row follows the last column, and counts come four cycles behind their row, two, or one a lane and five."""
    tb = TB(dut)
    await tb.begin()
    for _ in range(6):
        case = tb.case()
        tb.columns.times, tb.rows.times, tb.counts.times = [], [], []
        tb.send(*case)
        await tb.counts.wait(case[0]["rows"])
        await tb.settle()
        first = tb.columns.times[0]
        rows_first = first + case[0]["cols"] + 1
        assert tb.columns.times == list(range(first, first + case[0]["cols"]))
        # One multiplier takes a cycle a lane.
        real = CONFIG.device is DeviceKind.REAL
        period = CONFIG.tile_cols + 5 if real else 1
        rows_first += 2 * real
        assert tb.rows.times == list(range(rows_first, rows_first + period * case[0]["rows"], period))
        assert tb.counts.times == [t + (period if real else 2 if CONFIG.lean else 4) for t in tb.rows.times]
        tb.counts.words, tb.counts.times = [], []


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def host_port(dut):
    """Lanes that are not there are an error, and so is any access while a command is executing."""
    tb = TB(dut)
    await tb.begin()
    for address, value in ((CONFIG.tile_cols, None), (CONFIG.tile_cols, 5), (1023, 5)):
        _, error = await tb.host.access(address, value)
        assert error
    case = tb.case()
    tb.cmd.send([case[0]])
    await cycles(dut, 3)
    for value in (None, 5):
        _, error = await tb.host.access(0, value)
        assert error, "the host got in while a command was executing"
    tb.columns.send(case[1])
    tb.rows.send(case[2])
    counts, _ = tb.plan(*case)
    await tb.counts.wait(len(counts))
    tb.counts.expect(counts)
    await tb.settle()
    await tb.compare_states()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def clear(dut, pause):
    """A command can be dropped at any moment: the totals are those of the rows that were taken, and the next one is right."""
    tb = TB(dut, pause=pause)
    await tb.begin()
    for _ in range(20):
        case = tb.case()
        tb.totals[:] = 0
        tb.send(*case)
        await cycles(dut, tb.rng.randint(0, case[0]["rows"] + case[0]["cols"] + 8))
        dut.clear.value = 1
        for source in (tb.cmd, tb.columns, tb.rows):
            source.drop()
        tb.counts.forget()
        await cycles(dut, 2)
        dut.clear.value = 0
        await cycles(dut, 4)
        await ReadOnly()
        assert int(dut.settled.value), "not settled after being cleared"
        await cycles(dut, 4)
        taken = [count for row in tb.counts.words for count in row]
        assert list(tb.totals[:2]) == [sum(n for n in taken if n > 0), -sum(n for n in taken if n < 0)], (
            "totals of the rows that were taken"
        )
        tb.counts.words, tb.counts.times = [], []
        tb.states = [await tb.host.read(lane) for lane in range(CONFIG.tile_cols)]
        await tb.run()

"""Bench of the tap on a tile's answers: what the core takes is what the ring holds, once and in order; off, it is not there."""

import cocotb
from cocotb.triggers import FallingEdge

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.trace import Kind, Record, parse, ring_units
from backpulse.rtl.tile.signature import Status, command_layout, completion_layout, counts_layout, sense_layout, short_layout
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycle, cycles, generator, pattern, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
UNITS = ring_units(CONFIG)
ANSWERS = {"sense": sense_layout(CONFIG), "short": short_layout(CONFIG), "completion": completion_layout(CONFIG)}
WANTED = {"cmd": command_layout(CONFIG), "counts": counts_layout(CONFIG)}


class TB:
    """A tile and a core of random words around the tap, and the host that empties the ring."""

    def __init__(self, dut, pause: str) -> None:
        self.dut, self.rng = dut, generator(7)
        idle = iter(range(1, 99))

        def paused():
            return pattern(pause, next(idle))

        self.answers = {name: Source(dut, f"to_tile__{name}", layout, pause=paused()) for name, layout in ANSWERS.items()}
        # The core takes completions and rows at once.
        self.taken = {
            name: Sink(dut, f"core__{name}", layout, **({"pause": paused()} if name == "sense" else {})) for name, layout in ANSWERS.items()
        }
        self.asks = {name: Source(dut, f"core__{name}", layout, pause=paused()) for name, layout in WANTED.items()}
        self.asked = {name: Sink(dut, f"to_tile__{name}", layout) for name, layout in WANTED.items()}
        self.sent: dict[str, list] = {name: [] for name in ANSWERS}
        self.records: list[Record] = []
        self.units: list[int] = []
        self.read = 0
        self.done = False
        self.host = HostPortDriver(dut)
        for name in (
            "on",
            "read",
            "core__drive__valid",
            "core__abort",
            "core__host__request",
            "to_tile__progress",
            "to_tile__drive__ready",
        ):
            getattr(dut, name).value = 0

    def give(self, name: str, word: dict, **record) -> None:
        """Let the tile answer."""
        self.answers[name].send([word])
        self.sent[name].append(word)
        self.records.append(Record(Kind[name.upper()], **record))

    async def command(self, op: Op, size: int, rows_short: int = 0) -> None:
        """Do a command from its beginning until the core has all answers."""
        rng = self.rng
        self.asks["cmd"].send([dict.fromkeys(WANTED["cmd"].members, 0) | {"op": int(op)}])
        await self.asked["cmd"].wait(1)
        self.asked["cmd"].words.clear()
        status, cause = (0, 0) if rng.random() < 0.8 else (rng.randrange(1, 4), rng.randrange(10))
        asked = done = rows = 0
        if op is Op.PULSE:
            self.asks["counts"].send([[0] * CONFIG.tile_cols] * size)
            await self.asked["counts"].wait(size)
            self.asked["counts"].words.clear()
            asked, rows = rng.randrange(CONFIG.tile_rows * CONFIG.tile_cols * CONFIG.pulse_max + 1), size
            done = rng.randrange(asked + 1)
            for _ in range(rows_short):
                row = {"row": rng.randrange(CONFIG.tile_rows), "asked": rng.randrange(60), "done": rng.randrange(60)}
                self.give("short", row, **row)
            await self.taken["short"].wait(len(self.sent["short"]))
        else:
            limit = 1 << CONFIG.sense_bits - 1
            for i in range(size):
                word = {"value": rng.randrange(-limit, limit), "over": rng.randrange(2), "last": int(i == size - 1)}
                self.give("sense", word, **word)
            if rng.random() < 0.5:
                await self.taken["sense"].wait(len(self.sent["sense"]))
        word = {"tag": rng.randrange(16), "asked": asked, "done": done, "status": Status(status), "cause": cause}
        self.give("completion", word, status=status, cause=cause, op=int(op), asked=asked, done=done, rows=rows)
        for name, words in self.sent.items():
            await self.taken[name].wait(len(words))

    async def empty(self) -> None:
        """Read what the ring holds, and free its room."""
        fresh = (int(self.dut.written.value) - self.read) % (2 * UNITS)
        assert fresh <= UNITS, "more units were written than the ring holds"
        for n in range(self.read, self.read + fresh):
            pair = await self.host.read(n % UNITS // 2)
            self.units.append(pair >> 16 * (n % 2) & 0xFFFF)
        self.read = (self.read + fresh) % (2 * UNITS)
        self.dut.read.value = self.read

    async def host_reads(self, pause: str) -> None:
        """Empty the ring again and again, until the commands are done and nothing is left."""
        idle = pattern(pause, 98)
        while not self.done or int(self.dut.written.value) != self.read:
            await FallingEdge(self.dut.clk)
            if not idle():
                await self.empty()

    def judge(self) -> None:
        """Compare what came through and what was recorded with what the tile gave; a completion may stand before its sense words."""
        for name, words in self.sent.items():
            self.taken[name].expect(words)
        found = list(parse(self.units))
        for kind in (Kind.SENSE, Kind.SHORT, Kind.COMPLETION):
            assert [r for r in found if r.kind is kind] == [r for r in self.records if r.kind is kind], kind.name
        pulses = [r for r in found if r.kind is Kind.SHORT or r.op == Op.PULSE]
        assert pulses == [r for r in self.records if r.kind is Kind.SHORT or r.op == Op.PULSE]


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def records(dut, pause):
    """A ring that is often full loses, doubles and reorders nothing; what the core gets is what the tile gave."""
    tb = TB(dut, pause)
    await start(dut)
    dut.on.value = 1
    await cycles(dut)
    reading = cocotb.start_soon(tb.host_reads("late" if pause == "never" else pause))
    for number in range(24):
        op = tb.rng.choice([Op.READ, Op.READT, Op.PULSE])
        await tb.command(op, tb.rng.choice([1, 2, UNITS + 3]) if op is not Op.PULSE else 1 + number % 3, number % 4)
    await cycles(dut, 4)
    tb.done = True
    await reading
    tb.judge()
    assert not int(dut.core__progress.value)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def full(dut):
    """A ring that nobody empties holds the tile back, shows progress, keeps what it has, and goes on where it stopped."""
    tb = TB(dut, "never")
    await start(dut)
    dut.on.value = 1
    await cycles(dut)
    task = cocotb.start_soon(tb.command(Op.READ, UNITS + 5))
    await cycles(dut, 3 * UNITS)
    assert int(dut.written.value) == UNITS
    assert len(tb.taken["sense"].words) == UNITS
    assert int(dut.core__progress.value), "a tile that waits for the ring shows no progress"
    for _ in range(3):
        await tb.empty()
        await cycles(dut, 2 * UNITS)
    await task
    await tb.empty()
    tb.judge()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def no_delay(dut):
    """Off, nothing waits and nothing is written; on, sense words and completions of reads pass in the cycle in which they come."""
    for on in (0, 1):
        tb = TB(dut, "never")
        await start(dut)
        dut.on.value = on
        await cycles(dut)
        begun = cycle()
        await tb.command(Op.READ, UNITS - 1)
        assert cycle() - begun < UNITS + 12
        for name in ("sense", "completion"):
            assert tb.taken[name].times == tb.answers[name].times, name
        if not on:
            await tb.command(Op.PULSE, 2, 2)
            for name in ("short", "completion"):
                assert tb.taken[name].times == tb.answers[name].times, name
        assert int(dut.written.value) == on * UNITS
        dut.on.value = 0
        await cycles(dut, 2)
        assert int(dut.written.value) == 0

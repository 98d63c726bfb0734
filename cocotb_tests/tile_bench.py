"""Bench of a tile: random commands against the device model and the contract of rtl/tile/signature.py."""

import cocotb
from amaranth.hdl import signed
from cocotb.triggers import ReadOnly

from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    PERSISTENT_SHIFT,
    STREAM_SHIFT,
    TABLE_PART_SHIFT,
    TILE_WORDS,
    ArrayWord,
    Cause,
    Stream,
    TableParameter,
    TileParameter,
    TileState,
    Window,
)
from backpulse.firmware_py.table_device import CLASSES, LEAKS, ROOTS, SEGMENTS
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.rtl.tile.converter import row_stages
from backpulse.rtl.tile.signature import Status, command_layout, completion_layout, counts_layout, sense_layout, window_code
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycle, cycles, generator, pattern, sink_pause, start
from cocotb_tests.tile_models import CONFIG, FULL, TABLES, Model, TableModel

PARAMETERS = parameters()
SEED = 1
ABORT_CYCLES = EMULATED.safe_cycles


def completion(command: dict, *, asked: int, done: int, status: Status) -> dict:
    """Return what ends a command; an emulated tile never fails, and so gives no cause."""
    return {"tag": command["tag"], "asked": asked, "done": done, "status": status, "cause": Cause.NONE}


class TB:
    """Tile, drivers, monitors and model."""

    def __init__(self, dut, *, pause: str = "never", seed: int = SEED) -> None:
        self.dut, self.rng, self.tag = dut, generator(seed), 0
        self.model = TableModel(self.rng) if TABLES else Model(self.rng)
        self.cmd = Source(dut, "cmd", command_layout(CONFIG), pause=pattern(pause, seed + 1))
        self.drive = Source(dut, "drive", signed(CONFIG.drive_bits), pause=pattern(pause, seed + 2))
        self.counts = Source(dut, "counts", counts_layout(CONFIG), pause=pattern(pause, seed + 3))
        self.sense = Sink(dut, "sense", sense_layout(CONFIG), pause=sink_pause(pause, seed + 4))
        self.completion = Sink(dut, "completion", completion_layout(CONFIG), pause=sink_pause(pause, seed + 5))
        self.host = HostPortDriver(dut)
        dut.abort.value = 0
        if TABLES:
            dut.aging.value = 0

    async def begin(self) -> None:
        """Reset, and bring the tile to the model's state."""
        await start(self.dut)
        await self.upload()

    async def upload(self) -> None:
        """Write everything."""
        for window, offset, value in self.model.words():
            await self.host.write(offset, value, window=window_code(window))

    async def compare(self) -> None:
        """Read everything back."""
        for window, offset, value in self.model.words():
            word = await self.host.read(offset, window=window_code(window))
            assert word == value & 0xFFFFFFFF, f"{window.name} 0x{offset:x} is 0x{word:x}, not 0x{value & 0xFFFFFFFF:x}"

    def command(self, op: int, *, whole: bool = False) -> dict:
        """Return a command for a random region."""
        rng, self.tag = self.rng, (self.tag + 1) % 16
        row0, col0 = (0, 0) if whole else (rng.randrange(CONFIG.tile_rows), rng.randrange(CONFIG.tile_cols))
        rows, cols = CONFIG.tile_rows - row0, CONFIG.tile_cols - col0
        if not whole:
            rows, cols = rng.choice([1, rows, rng.randint(1, rows)]), rng.choice([1, cols, rng.randint(1, cols)])
        return {
            "op": op,
            "tile": rng.randrange(CONFIG.tiles),
            "row0": row0,
            "rows": rows,
            "col0": col0,
            "cols": cols,
            "profile": 0,
            "bank": rng.randrange(2),
            "tag": self.tag,
        }

    def data(self, command: dict) -> list:
        """Return random drives or rows of counts for a command; small drives now and then, so that not all senses clip."""
        rng, most = self.rng, CONFIG.pulse_max
        if command["op"] == Op.PULSE:
            inside = range(command["col0"], command["col0"] + command["cols"])
            lines = [[rng.choice([0, rng.randint(-most, most)]) for _ in range(CONFIG.tile_cols)] for _ in range(command["rows"])]
            return [[count if c in inside else 0 for c, count in enumerate(line)] for line in lines]
        most = rng.choice([1, CONFIG.drive_max // 8, CONFIG.drive_max])
        return [rng.randint(-most, most) for _ in range(command["rows" if command["op"] == Op.READ else "cols"])]

    def send(self, command: dict, words: list) -> None:
        """Queue a command and its data; the rows of a table device leak before."""
        self.model.leak(command)
        self.cmd.send([command])
        (self.counts if command["op"] == Op.PULSE else self.drive).send(words)

    async def age(self, samples: int) -> None:
        """Let so many samples of a training begin; the next command comes as soon as it may after the last."""
        await cycles(self.dut, 1)
        self.dut.aging.value = 1
        await cycles(self.dut, samples)
        self.dut.aging.value = 0
        self.model.age += samples

    async def run(self, command: dict) -> None:
        """Do a command in the tile and in the model, and compare."""
        words = self.data(command)
        if TABLES:
            await self.age(self.rng.choice([0, 0, 1, 3]))
        self.send(command, words)
        ended = await self.completion.get()
        pulses = 0
        if command["op"] == Op.PULSE:
            pulses = self.model.pulse(command, words)
            self.sense.expect([])
        else:
            await self.sense.wait(command["cols" if command["op"] == Op.READ else "rows"])
            self.sense.expect(self.model.read(command, words))
        assert ended == completion(command, asked=pulses, done=pulses, status=Status.OK)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def commands(dut, pause):
    """Random commands on random regions give the model's senses, completions and cells."""
    tb = TB(dut, pause=pause)
    await tb.begin()
    for i in range(PARAMETERS.get("commands", 40)):
        await tb.run(tb.command([Op.READ, Op.PULSE, Op.READT][i % 3], whole=i % 5 == 0))
    tb.completion.expect([])
    await tb.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def latency(dut):
    """Without pauses every command takes exactly the cycles that its docstring says."""
    tb = TB(dut)
    await tb.begin()
    full = {Op.READ: 4, Op.READT: 3 + row_stages(CONFIG), Op.PULSE: 8 if TABLES else 5}
    beyond = {Op.READ: 3, Op.READT: 3, Op.PULSE: 2} if CONFIG.lean else full
    for i in range(9):
        command = tb.command([Op.READ, Op.PULSE, Op.READT][i % 3])
        tb.send(command, tb.data(command))
        source = tb.counts if command["op"] == Op.PULSE else tb.drive
        before = source.sent
        await tb.completion.wait(1)
        first = source.times[before]
        expected = command["rows"] + beyond[command["op"]] + (0 if command["op"] == Op.PULSE else command["cols"])
        assert tb.completion.times.pop() - first == expected, f"{command['op'].name} {command['rows']} x {command['cols']}"
        if command["op"] != Op.PULSE:
            assert tb.sense.times[-1] - first == expected
            assert tb.sense.times[-1] - tb.sense.times[0] == len(tb.sense.times) - 1
        tb.sense.words, tb.sense.times, tb.completion.words = [], [], []


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def host_port(dut):
    """What is not there is an error and changes nothing; so is any access while a command is executing."""
    tb = TB(dut)
    await tb.begin()
    kept = 1 << PERSISTENT_SHIFT
    beyond = (CONFIG.rows << CELL_ROW_SHIFT, CONFIG.tile_cols)
    absent = [(Window.CELLS, offset) for offset in (*beyond, *((kept | offset for offset in beyond) if TABLES else (kept,)))]
    sizes = (4 * SEGMENTS, CLASSES * ROOTS, LEAKS, len(TableParameter), CONFIG.rows, 0) if TABLES else (0,)
    absent += [(Window.TABLE, part << TABLE_PART_SHIFT | size) for part, size in enumerate(sizes)]
    absent += [(Window.SPREAD, CONFIG.tile_cols), (Window.RANDOM, Stream.ROUNDING << STREAM_SHIFT), (Window.RANDOM, 3 << STREAM_SHIFT)]
    absent += [(Window.RANDOM, Stream.READ << STREAM_SHIFT | 2), (Window.RANDOM, Stream.WRITE << STREAM_SHIFT | CONFIG.tile_cols)]
    absent += [(Window.TILE, offset) for offset in (TileParameter.READ_SIGMA + 1, TileParameter.ROOT - 1, TILE_WORDS, 1 << 27)]
    absent += [(Window.SPREAD, 0)] * (not CONFIG.spread) + [(Window.RANDOM, Stream.WRITE << STREAM_SHIFT)] * (not FULL)
    absent += [(Window.RANDOM, Stream.READ << STREAM_SHIFT)] * (not CONFIG.read_noise)
    for window, offset in absent:
        for value in (None, 0x5A5A5A5A):
            _, error = await tb.host.access(offset, value, window=window_code(window))
            assert error, f"{window.name} 0x{offset:x} is no error"
    command = tb.command(Op.READ, whole=True)
    tb.send(command, [])
    await cycles(dut, 3)
    for value in (None, 77):
        _, error = await tb.host.access(0, value)
        assert error, "the host got in while a command was executing"
    words = tb.data(command)
    tb.drive.send(words)
    await tb.sense.wait(command["cols"])
    tb.sense.expect(tb.model.read(command, words))
    await tb.completion.get()
    await tb.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def abort(dut, pause):
    """An abort at any moment ends the command at a row, safely and soon, and the next command is right again."""
    tb = TB(dut, pause=pause)
    if TABLES:
        tb.model.leaks = False  # nobody sees from outside whether a leak has begun
    await tb.begin()
    await cycles(dut)
    for i in range(PARAMETERS.get("aborts", 24)):
        command = tb.command([Op.READ, Op.PULSE, Op.READT][i % 3], whole=i % 2 == 0)
        words = tb.data(command)
        before = (tb.counts if command["op"] == Op.PULSE else tb.drive).sent
        tb.send(command, words)
        await cycles(dut, tb.rng.randint(0, command["rows"] + command["cols"] + 14))
        dut.abort.value = 1
        tb.cmd.drop()
        tb.drive.drop()
        tb.sense.forget()
        began = cycle()
        for held in range(1 + tb.rng.choice([1, 3])):
            await ReadOnly()
            for name in ("cmd", "drive", "counts")[: 3 if held else 1]:
                assert not int(getattr(dut, f"{name}__ready").value), f"{name} is taken during an abort"
            await cycles(dut, 1)
        dut.abort.value = 0
        tb.counts.drop()
        await cycles(dut, ABORT_CYCLES - (cycle() - began))
        await ReadOnly()
        assert int(dut.safe.value), "not safe in time after an abort"
        await cycles(dut, 60)
        assert len(tb.completion.words) <= 1
        if tb.completion.words:
            ended, source = tb.completion.words[0], tb.counts if command["op"] == Op.PULSE else tb.drive
            taken = words[: source.sent - before]
            pulses = tb.model.pulse(command, taken) if command["op"] == Op.PULSE else 0
            assert (ended["tag"], ended["asked"], ended["done"]) == (command["tag"], pulses, pulses)
            assert ended["status"] == Status.ABORTED or (ended["status"] == Status.OK and len(taken) == len(words))
        tb.completion.words, tb.completion.times, tb.sense.words, tb.sense.times = [], [], [], []
        if CONFIG.read_noise:
            for bank in range(2):
                tb.model.noise[bank] = await tb.host.read(Stream.READ << STREAM_SHIFT | bank, window=window_code(Window.RANDOM))
        await tb.run(tb.command(Op.READ))
    await tb.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms", skip=not TABLES)
async def withdrawn(dut):
    """A command that an abort takes back while its rows leak is not done; they have leaked, no driver is on, and the next one is right."""
    tb = TB(dut)
    await tb.begin()
    for i in range(12):
        command = tb.command([Op.READ, Op.PULSE, Op.READT][i % 3], whole=i % 2 == 0) | {"bank": 0}
        await tb.age(1)
        tb.send(command, [])
        for _ in range(tb.rng.randint(2, command["rows"] + 8)):
            await ReadOnly()
            assert int(dut.safe.value), "a driver is on while rows leak"
            await cycles(dut, 1)
        assert int(dut.busy.value)
        tb.cmd.drop()
        await cycles(dut, command["rows"] + 10)
        assert not int(dut.busy.value)
        assert not tb.completion.words
        await tb.run(tb.command(Op.READT))
    await tb.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def refused(dut):
    """An operation or a profile that a tile does not know is refused, and takes no data."""
    tb = TB(dut)
    await tb.begin()
    profiled = [] if CONFIG.lean else [(op, profile) for op in (Op.READ, Op.READT, Op.PULSE) for profile in (EMULATED.profiles, 15)]
    for op, profile in [(Op.END, 0), *profiled]:
        command = tb.command(op) | {"profile": profile}
        tb.send(command, [])
        assert await tb.completion.get() == completion(command, asked=0, done=0, status=Status.REFUSED)
        assert int(dut.safe.value)
    await tb.run(tb.command(Op.PULSE))
    await tb.compare()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def array_window(dut):
    """The ARRAY window says what the tile is, while a command is executing too; that of a lean machine is an error."""
    tb = TB(dut)
    await tb.begin()
    code = window_code(Window.ARRAY)
    if CONFIG.lean:
        assert (await tb.host.access(ArrayWord.KIND, window=code))[1]
        return
    facts = {**EMULATED.words(), ArrayWord.TRIP: Cause.NONE, ArrayWord.WORK: 0}

    async def compare(state: TileState) -> None:
        for word, value in {**facts, ArrayWord.STATE: state}.items():
            assert await tb.host.read(word, window=code) == value, word.name

    await compare(TileState.SAFE)
    assert not (await tb.host.access(ArrayWord.TRIP, 0, window=code))[1]
    command = tb.command(Op.READ)
    words = tb.data(command)
    tb.send(command, [])
    await cycles(dut, 3)
    await compare(TileState(0))
    assert (await tb.host.access(ArrayWord.TRIP, 0, window=code))[1], "TRIP is written while a command is executing"
    tb.drive.send(words)
    await tb.completion.get()
    tb.sense.expect(tb.model.read(command, words))
    await cycles(dut, 2)
    await compare(TileState.SAFE)

"""The analog tile with its drivers, a front end in Python, and the model of what it should do."""

import itertools
import random

from amaranth.hdl import signed

from backpulse.firmware_py import analog
from backpulse.firmware_py.analog import (
    ARM_FIRST,
    ARM_SECOND,
    CALIBRATION,
    CODE_BITS,
    DIRECT_CODES,
    DIRECT_SAMPLES,
    LINE_WORDS,
    OVER_AT,
    PROFILE_WORDS,
    LineCalibration,
    LineClass,
    Phase,
    Profile,
    Setting,
)
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ArrayWord, Cause, TileState, Window
from backpulse.rtl.tile.signature import Status, command_layout, completion_layout, counts_layout, sense_layout, short_layout, window_code
from cocotb_tests.analog_front import FrontModel, Lines
from cocotb_tests.analog_model import AnalogModel
from cocotb_tests.host_port import HostPortDriver
from cocotb_tests.parameters import parameters
from cocotb_tests.streams import Sink, Source, cycles, generator, pattern, sink_pause, start

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
LINES = analog.Lines.from_word(PARAMETERS["lines"])
LIMIT, READ_LIMIT = 60, 20_000
CODE_LIMIT, READ_CODE_LIMIT = 20_000, 9_000
WIDTH_MIN = 4


class TB:
    """Tile, drivers, monitors, front end and model."""

    def __init__(self, dut, *, pause: str = "never", seed: int = 1) -> None:
        self.dut, self.rng, self.tag = dut, generator(seed), 0
        self.cmd = Source(dut, "cmd", command_layout(CONFIG), pause=pattern(pause, seed + 1))
        self.drive = Source(dut, "drive", signed(CONFIG.drive_bits), pause=pattern(pause, seed + 2))
        self.counts = Source(dut, "counts", counts_layout(CONFIG), pause=pattern(pause, seed + 3))
        self.sense = Sink(dut, "sense", sense_layout(CONFIG), pause=sink_pause(pause, seed + 4))
        self.completion = Sink(dut, "completion", completion_layout(CONFIG), pause=sink_pause(pause, seed + 5))
        self.short = Sink(dut, "short", short_layout(CONFIG), pause=sink_pause(pause, seed + 6))
        self.host = HostPortDriver(dut)
        self.front = FrontModel(dut, Lines(self.rng, LINES.count), LINES.count)
        self.model = AnalogModel(lines=LINES, sense_max=CONFIG.sense_max, code_limit=CODE_LIMIT, read_code_limit=READ_CODE_LIMIT)
        self.model.profiles = {number: random_profile(self.rng, number) for number in range(6)}
        self.model.calibration = [random_line(self.rng) for _ in range(LINES.count)]
        dut.abort.value = 0

    async def begin(self, *, armed: bool = True) -> None:
        """Reset, write all tables and limits, and arm."""
        await start(self.dut)
        await self.upload()
        if armed:
            await self.arm()

    async def upload(self) -> None:
        """Write tables and limits."""
        for number, profile in self.model.profiles.items():
            await self.table(PROFILE_WORDS * number, profile.to_words())
        for line, words in enumerate(self.model.calibration):
            await self.table(CALIBRATION + LINE_WORDS * line, words.to_words())
        for word, value in (
            (ArrayWord.LIMIT, LIMIT),
            (ArrayWord.READ_LIMIT, READ_LIMIT),
            (ArrayWord.CODE_LIMIT, self.model.code_limit),
            (ArrayWord.READ_CODE_LIMIT, self.model.read_code_limit),
        ):
            assert await self.put(word, value)

    async def table(self, offset: int, words: list[int]) -> None:
        """Write words of the TILE window."""
        for i, word in enumerate(words):
            await self.host.write(offset + i, word, window=window_code(Window.TILE))

    async def look(self, offset: int) -> int:
        """Read a word of the TILE window."""
        return await self.host.read(offset, window=window_code(Window.TILE))

    async def get(self, word: ArrayWord) -> int:
        """Read a word of the ARRAY window."""
        return await self.host.read(word, window=window_code(Window.ARRAY))

    async def put(self, word: int, value: int) -> bool:
        """Write a word of the ARRAY window; return whether that was possible."""
        _, error = await self.host.access(word, value, window=window_code(Window.ARRAY))
        return not error

    async def arm(self) -> None:
        """Arm in two steps, and wait until the front end is ready."""
        assert await self.put(ArrayWord.ARM, ARM_FIRST)
        assert await self.put(ArrayWord.ARM, ARM_SECOND)
        await cycles(self.dut, self.front.setup + 5)
        assert await self.get(ArrayWord.STATE) == TileState.SAFE | TileState.ARMED | TileState.INTERLOCK

    def command(self, op: int, *, profile: int | None = None, whole: bool = False) -> dict:
        """Return a command for a random region."""
        rng, self.tag = self.rng, (self.tag + 1) % 16
        row0, col0 = (0, 0) if whole else (rng.randrange(LINES.rows), rng.randrange(LINES.logical_cols))
        rows, cols = LINES.rows - row0, LINES.logical_cols - col0
        if not whole:
            rows, cols = rng.choice([1, rows, rng.randint(1, rows)]), rng.choice([1, cols, rng.randint(1, cols)])
        region = {"row0": row0, "rows": rows, "col0": col0, "cols": cols}
        number = rng.choice([*self.model.profiles]) if profile is None else profile
        return {"op": op, "tile": 0, **region, "profile": number, "bank": rng.randrange(2), "tag": self.tag}

    def drives(self, command: dict) -> list[int]:
        """Return random drives; small ones now and then, so that not all senses clip."""
        most = self.rng.choice([4, CONFIG.drive_max // 4, CONFIG.drive_max])
        return [self.rng.choice([0, self.rng.randint(-most, most)]) for _ in range(command["rows" if command["op"] == Op.READ else "cols"])]

    def rows_of_counts(self, command: dict, most: int) -> list[list[int]]:
        """Return random rows of counts, of which some have none."""
        rng, inside = self.rng, range(command["col0"], command["col0"] + command["cols"])
        rows = [
            [rng.choice([0, rng.randint(-most, most)]) * (c in inside) for c in range(CONFIG.tile_cols)] for _ in range(command["rows"])
        ]
        return [row if rng.random() < 0.8 else [0] * len(row) for row in rows]

    def send(self, command: dict, words: list) -> None:
        """Queue a command and its data."""
        self.cmd.send([command])
        (self.counts if command["op"] == Op.PULSE else self.drive).send(words)

    async def read(self, command: dict, drives: list[int]) -> list[dict]:
        """Do a READ or READT in the tile and in the model, and compare; return the sense words."""
        self.front.drives.clear()
        self.send(command, drives)
        ended = await self.completion.get()
        profile = self.model.profiles[command["profile"]]
        codes, words = self.model.sense(command, drives, self.front.lines.samples)
        assert [drive.codes for drive in self.front.drives] == codes, f"codes of {command}"
        for drive in self.front.drives:
            assert len(drive.conversions) == 1 << profile.averages_log2
            assert drive.conversions[0] - drive.begin >= profile.settle, "a conversion before lines have settled"
        self.sense.expect(words)
        assert ended == ending(command)
        return words

    async def pulse(self, command: dict, counts: list[list[int]]) -> int:
        """Do a PULSE in the tile and in the model, and compare; return how many pulses lines have got."""
        self.front.drives.clear()
        self.send(command, counts)
        ended = await self.completion.get()
        pulses = list(self.model.pulses(command, counts))
        self.compare_pulses(command, pulses)
        asked = sum(abs(n) for row in counts for n in row)
        assert ended == ending(command, asked=asked, done=asked)
        self.sense.expect([])
        self.short.expect([])
        return len(pulses)

    def compare_pulses(self, command: dict, pulses: list) -> None:
        """Compare what was driven with pulses of the model: codes, widths, gaps."""
        profile = self.model.profiles[command["profile"]]
        drives = self.front.drives
        assert [drive.codes for drive in drives] == [codes for codes, _, _ in pulses], f"codes of {command}"
        assert {drive.width for drive in drives} <= {profile.width}, f"widths of {command}"
        for one, other in itertools.pairwise(drives):
            assert other.begin - one.end >= profile.gap, f"gap of {command}"

    async def direct(self, what: int, profile: int, pulses: int, codes: list[Setting]) -> None:
        """Do a direct operation and wait for its end."""
        self.front.drives.clear()
        await self.table(DIRECT_CODES, [code.to_word() for code in codes])
        word = what | profile << 4 | pulses << 8
        assert await self.put(ArrayWord.WORK, word)
        for _ in range(400):
            if not (left := await self.get(ArrayWord.WORK)):
                return
            assert left == word
            await cycles(self.dut, 8)
        raise AssertionError("WORK does not end")

    async def sums(self) -> list[tuple[int, bool]]:
        """Return what the last measurement has summed up, and which lines were at a rail."""
        words = [await self.look(DIRECT_SAMPLES + line) for line in range(LINES.count)]
        low = [word & (1 << OVER_AT) - 1 for word in words]
        return [(one - (one >> (OVER_AT - 1) << OVER_AT), bool(word >> OVER_AT)) for one, word in zip(low, words, strict=True)]

    def settings(self) -> list[Setting]:
        """Return random direct codes."""
        return [random_setting(self.rng) for _ in range(LINES.count)]


def ending(command: dict, *, asked: int = 0, done: int = 0, status: Status = Status.OK, cause: Cause = Cause.NONE) -> dict:
    """Return what ends a command."""
    return {"tag": command["tag"], "asked": asked, "done": done, "status": status, "cause": cause}


def random_setting(rng: random.Random) -> Setting:
    """Return a line's setting: a small code, any code, the extremes, or an open line."""
    most = 1 << (CODE_BITS - 1)
    code = rng.choice([0, rng.randint(-9000, 9000), rng.randint(-most, most - 1), -most, most - 1])
    return Setting(code=code, open=rng.random() < 0.2)


def random_profile(rng: random.Random, number: int) -> Profile:
    """Return a profile; the first numbers have what a bench should not miss."""
    return Profile(
        two_phase=number % 3 != 0,
        unipolar=number % 3 == 2,
        averages_log2=(0, 0, 1, 3, 0, 2)[number % 6],
        scale=rng.choice([rng.randint(0, 80 << 8), rng.randint(0, 1 << 18)]),
        sense_shift=(0, 1, 0, 0, 0, 2)[number % 6],
        settle=rng.randint(0, 20),
        width=rng.randint(WIDTH_MIN, LIMIT),
        gap=rng.choice([0, rng.randint(0, 30)]),
        delay=rng.choice([0, rng.randint(0, 60)]),
        settings={(phase, kind): random_setting(rng) for phase in Phase for kind in LineClass},
    )


def random_line(rng: random.Random) -> LineCalibration:
    """Return a line's calibration."""
    return LineCalibration(
        trim=rng.choice([0, rng.randint(-200, 200), rng.randint(-30_000, 30_000)]),
        offset=rng.randint(-500, 500),
        gain=rng.choice([rng.randint(1000, 6000), rng.randint(1000, 6000), rng.randint(0, (1 << 18) - 1)]),
        factor=rng.choice([rng.randint(-60_000, 60_000), rng.randint(-(1 << 19), (1 << 19) - 1)]),
    )

"""What a tile holds and should answer, from the golden functions: for benches of tiles."""

import random
from collections.abc import Iterator

import numpy as np

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import STUCK, fixed_words, own_words, parameter_bits, shared_words, twins, update, write_noise
from backpulse.firmware_py.formats import rshift, sat
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    PERSISTENT_SHIFT,
    STREAM_SHIFT,
    TABLE_PART_SHIFT,
    TILE_WORDS,
    Stream,
    TableParameter,
    TablePart,
    TileParameter,
    Window,
)
from backpulse.firmware_py.streams import gauss, xorshift
from backpulse.firmware_py.table_device import LEAKS, NO_SPREAD, PERIOD_MASK, spread_offset, table_leak, table_seen, table_update
from backpulse.firmware_py.table_device import STUCK as STUCK_CELL
from cocotb_tests.parameters import parameters
from cocotb_tests.random_tables import random_spread, random_tables

PARAMETERS = parameters()
CONFIG = Config.from_words(PARAMETERS["config"])
FULL = CONFIG.device is not DeviceKind.IDEAL
TABLES = CONFIG.device is DeviceKind.TABLE


class Model:
    """What the tile holds and should answer, from the golden functions.

    `age` is of the table device alone: how many samples of training have begun; and so is `leaks`, whether its rows leak.
    """

    age = 0
    leaks = False

    def __init__(self, rng: random.Random) -> None:
        shape = (CONFIG.rows, CONFIG.tile_cols)
        top = CONFIG.cell_max
        self.cells = np.array([rng.randint(-top, top) for _ in range(shape[0] * shape[1])], np.int64).reshape(shape)
        bounds = [rng.choice([STUCK & 15, rng.randint(0, 15), rng.randint(0, 15)]) for _ in range(self.cells.size)]
        spread = [bound << 4 | rng.randint(0, 15) for bound in bounds]
        self.spread = np.array(spread, np.int64).reshape(shape) * CONFIG.spread
        self.write = [rng.getrandbits(32) or 1 for _ in range(CONFIG.tile_cols)]
        self.noise = [rng.getrandbits(32) or 1 for _ in range(2)]
        words = {
            TileParameter.BASE_UP: rng.randint(0, 65535),
            TileParameter.BASE_DOWN: rng.randint(0, 65535),
            TileParameter.SLOPE_UP: rng.randint(-32768, 32767),
            TileParameter.SLOPE_DOWN: rng.randint(-32768, 32767),
            TileParameter.BOUND_UP: rng.randint(top // 2, top * 2 // 3),
            TileParameter.BOUND_DOWN: -rng.randint(top // 2, top * 2 // 3),
            TileParameter.STEP_UNIT: 15,
            TileParameter.BOUND_UNIT: top // 3 // 8,
            TileParameter.READ_SIGMA: rng.randint(1000, 65535),
        }
        roots = {TileParameter.ROOT + n: rng.randint(0, 65535) for n in range(32)}
        self.tile = np.zeros(TILE_WORDS, np.int64)
        for offset, word in (words | roots).items():
            bits = parameter_bits(CONFIG, offset) or 0
            self.tile[offset] = word % (1 << bits) if bits >= 0 else word
        # What a tile goes by without saying so.
        self.unseen = self.tile.copy()
        for offset, word in fixed_words(CONFIG).items():
            self.unseen[offset] = word
        for offset in words:
            for twin in twins(CONFIG, offset):
                self.unseen[twin] = self.tile[offset]

    def words(self) -> Iterator[tuple[Window, int, int]]:
        """Yield window, offset and value of everything that the tile holds, in an order in which a host may write it."""
        for row in range(CONFIG.rows):
            for col in range(CONFIG.tile_cols):
                yield Window.CELLS, row << CELL_ROW_SHIFT | col, int(self.cells[row, col])
                if CONFIG.spread:
                    yield Window.SPREAD, row << CELL_ROW_SHIFT | col, int(self.spread[row, col])
        for lane, word in enumerate(self.write if FULL else []):
            yield Window.RANDOM, Stream.WRITE << STREAM_SHIFT | lane, word
        for bank, word in enumerate(self.noise if CONFIG.read_noise else []):
            yield Window.RANDOM, Stream.READ << STREAM_SHIFT | bank, word
        for offset in range(TILE_WORDS):
            if parameter_bits(CONFIG, offset) is not None:
                yield Window.TILE, offset, int(self.tile[offset])

    def sense(self, total: int, bank: int) -> dict:
        """Return the sense word of a sum, but for `last`."""
        if CONFIG.read_noise:
            self.noise[bank] = xorshift(self.noise[bank])
            total += gauss(self.noise[bank]) * int(self.tile[TileParameter.READ_SIGMA])
        value = rshift(int(total), CONFIG.sense_shift)
        return {"value": sat(value, CONFIG.sense_max), "over": int(abs(value) > CONFIG.sense_max), "last": 0}

    def block(self, command: dict) -> tuple[slice, slice]:
        """Return the rows and columns of a command's region."""
        row = command["tile"] * CONFIG.tile_rows + command["row0"]
        return slice(row, row + command["rows"]), slice(command["col0"], command["col0"] + command["cols"])

    def read(self, command: dict, drives: list[int]) -> list[dict]:
        """Return the sense words of READ or READT."""
        block = self.cells[self.block(command)]
        sums = np.array(drives) @ (block if command["op"] == Op.READ else block.T)
        words = [self.sense(int(s), command["bank"]) for s in sums]
        words[-1]["last"] = 1
        return words

    def leak(self, command: dict) -> None:
        """Let the rows of a command leak before it, where they do."""

    def pulse(self, command: dict, counts: list[list[int]]) -> int:
        """Apply the rows of counts that came and return the pulses in them."""
        rows, _ = self.block(command)
        shared = shared_words(self.unseen, CONFIG.cell_bits)
        for row, line in enumerate(counts, rows.start):
            if FULL:
                self.write = [xorshift(w) for w in self.write]
            for col, count in enumerate(line):
                noise = write_noise(self.tile, abs(count), self.write[col]) if FULL else 0
                cell, spread = int(self.cells[row, col]), int(self.spread[row, col])
                self.cells[row, col] = update(cell, count, own_words(spread, shared), noise, shared)
        return sum(abs(n) for line in counts for n in line)


class TableModel(Model):
    """The same of the table device: random tables, spreads, stuck cells, classes, apparent noise and leak."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        top = CONFIG.cell_max
        self.kept = np.array([rng.randint(-top - 1, top) for _ in range(self.cells.size)], np.int64).reshape(self.cells.shape)
        self.spread = random_spread(rng, self.cells.shape) if CONFIG.spread else np.full(self.cells.shape, NO_SPREAD)
        self.table = random_tables(rng, CONFIG)
        self.tile = np.array(self.table.tile_words(), np.int64)
        self.leaks = True
        self.age = rng.getrandbits(32)
        # Most rows were visited lately.
        ages = (rng.choice((0, 1, LEAKS - 1, LEAKS, LEAKS + 3, rng.getrandbits(16))) for _ in range(CONFIG.rows))
        self.visits = np.array([self.period - age & PERIOD_MASK for age in ages], np.int64)

    @property
    def period(self) -> int:
        """Number of the period that AGE lies in."""
        return (self.age & 0xFFFFFFFF) >> self.table.leak_period & PERIOD_MASK

    def words(self) -> Iterator[tuple[Window, int, int]]:
        """Yield everything, as the linear device's; what stays of cells behind what reads see, which sets both."""
        yield from super().words()
        for row in range(CONFIG.rows):
            for col in range(CONFIG.tile_cols):
                yield Window.CELLS, 1 << PERSISTENT_SHIFT | row << CELL_ROW_SHIFT | col, int(self.kept[row, col])
        parameters = [*self.table.parameters(), self.age]
        parameters[TableParameter.LEAK_ON] = int(self.leaks)
        parts = {
            TablePart.SEGMENTS: self.table.segments(),
            TablePart.ROOT: self.table.roots(),
            TablePart.LEAK: self.table.leak,
            TablePart.PARAMETERS: parameters,
            TablePart.VISITED: self.visits,
        }
        for part, values in parts.items():
            for index, value in enumerate(values):
                yield Window.TABLE, part << TABLE_PART_SHIFT | index, int(value)

    def leak(self, command: dict) -> None:
        """Let the rows of a command leak before it."""
        known = command["profile"] == 0 and command["op"] in (Op.READ, Op.READT, Op.PULSE)
        if not self.leaks or command["bank"] or not known:
            return
        rows, _ = self.block(command)
        for row in range(rows.start, rows.stop):
            periods = (self.period - self.visits[row]) & PERIOD_MASK
            self.visits[row] = self.period
            spread = self.spread[row]
            self.kept[row], self.cells[row] = table_leak(self.kept[row], self.cells[row], periods, self.table, spread)

    def pulse(self, command: dict, counts: list[list[int]]) -> int:
        """Apply the rows of counts that came and return the pulses in them."""
        rows, _ = self.block(command)
        for row, line in enumerate(counts, rows.start):
            self.write = [xorshift(w) for w in self.write]
            count, word, spread = np.array(line, np.int64), np.array(self.write, np.int64), self.spread[row]
            self.kept[row] = table_update(self.kept[row], count, word, self.table, spread)
            moved = (count != 0) & (spread_offset(spread) != STUCK_CELL)
            self.cells[row] = np.where(moved, table_seen(self.kept[row], word, self.table), self.cells[row])
        return sum(abs(n) for line in counts for n in line)

"""The bench on which an array is checked: what is known of it, what a read or a pulse should do, and how it is left as it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from matplotlib.axes import Axes

from backpulse.firmware_py.config import DeviceKind
from backpulse.firmware_py.device import FACTOR_FRAC, UPDATE_FRAC, Device
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.image import device_image, tile_image
from backpulse.firmware_py.isa import Region, Vector
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    REG,
    TILE_WORDS,
    ArrayWord,
    Capability,
    State,
    TileKind,
    TileParameter,
    TileState,
    Window,
)
from backpulse.firmware_py.streams import GAUSS_SIGMA, seed_states
from backpulse.firmware_py.table_device import TableDevice, carried
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_budget import Budget
from backpulse.host.array_chain import Chain
from backpulse.host.array_operations import cell_sense, pulse, read, read_map, rectangle
from backpulse.host.board import Board
from backpulse.host.commands import reads, word_array
from backpulse.host.stop import Stop
from backpulse.host.table_state import TableState

SIGMAS = 6.0
"""Standard deviations of noise that a word may be off: one of 10^9 is beyond."""
AVERAGES = 16
"""Reads of each line of a map, where reads have noise."""
NOISE_READS = 64
"""Reads that the noise is measured with, where nobody knows it."""
WATCHDOG = 1 << 17
"""Cycles without progress that end an instruction of an emulated tile here, which takes hundreds: a broken one is not waited for."""
LAID = 0.75
"""Part of the sense full scale that random drives of the cells which are laid reach with four standard deviations."""
DISTURBS = 100_000
"""Reads of the read-disturb check, if nothing else is said."""
SEED = 14

Tell = Callable[[int, int], None]


class NotTestedError(Exception):
    """A check cannot be made of this array, and why."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a check has found; it is passed if `value` is `limit` at most."""

    value: float
    limit: float
    unit: str
    said: str
    """What the value is of; behind "; worst: ", where."""
    picture: Callable[[Axes], None] | None = None
    details: dict[str, float | int | str] = field(default_factory=dict)
    """More figures, for the JSON."""

    def __post_init__(self) -> None:
        if not self.value:  # then no place is the worst
            object.__setattr__(self, "said", self.said.partition("; worst: ")[0])

    @property
    def passed(self) -> bool:
        """Whether the array does what is asked of it."""
        return self.value <= self.limit


class Bench:
    """A board whose array is checked.

    Parameters
    ----------
    board : Board
    device : Device or TableDevice
        What the emulated tile's parameters are set to.
    wires : float
        Most sense words, at full scale, by which a cell's two directions may differ for the resistance of wires.
    reads : int
        Reads of the read-disturb check.
    budget : Budget, optional
        Where the pulses of all checks are counted: what would go beyond is refused, and the check is not made.
    report : callable, optional
        Called with (done, total) within a check.

    Attributes
    ----------
    exact : bool
        An emulated tile whose cells can be read: each sense word is known.
    noise : float
        Standard deviation of a read, in sense words.
    coarse : float
        Sense words that the steps of converters take from a read or add to it, at most.
    """

    def __init__(
        self,
        board: Board,
        device: Device | TableDevice,
        *,
        wires: float = 0.0,
        reads: int = DISTURBS,
        budget: Budget | None = None,
        report: Tell | None = None,
    ) -> None:
        self.board, self.config, self.device, self.wires, self.reads = board, board.config, carried(device, board.config), wires, reads
        self.budget, board.pulsed = budget, budget.pulsed if budget else None
        self.report: Tell = report or (lambda done, total: None)
        self.claims, self.kind = board.facts.capabilities, board.facts.kind
        self._armed = Capability.ARM in self.claims and TileState.ARMED in board.tile_state()[0]
        self.exact = self.kind is TileKind.EMULATED and Capability.CELLS_READ in self.claims
        self.noise = 0.0
        self.coarse = AnalogTile(board).coarse(0) if Capability.DIRECT in self.claims else 0.0
        self.reseed(0)

    def reseed(self, number: int) -> None:
        """Begin the random numbers of a check, which are the same whatever was checked before."""
        self.rng = np.random.default_rng((SEED, number))

    @property
    def steady(self) -> bool:
        """Whether what pulses do to a cell is known: an exact array on which all steps are one."""
        d = self.device
        return self.exact and d.is_ideal

    @property
    def limits(self) -> str:
        """What the limits come from, in a sentence."""
        if self.exact and not self.noise:
            return "An emulated tile without read noise: every sense word and cell is known, and no word may differ"
        if self.exact:
            return f"An emulated tile with read noise of {self.noise:.2f} LSB: rounding and {SIGMAS:g} standard deviations"
        wires = f", and {self.wires:.2f} LSB for its wires" if self.wires else ""
        steps = f", converters' steps of {self.coarse:.2f} LSB at most" if self.coarse else ""
        return (
            f"Cells that nobody knows: the read map stands for them. Read noise, measured, {self.noise:.2f} LSB; limits are "
            f"roundings{steps} and {SIGMAS:g} standard deviations{wires}"
        )

    # What the board is at the beginning and at the end

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Prepare the array for the checks; behind the body everything is written back that can be, and the board rests."""
        board, link = self.board, self.board.link
        board.stop()
        watchdog, scale = link.read_words(REG["WATCHDOG"].address, 1), link.read_words(REG["SCALE"].address, 1)
        cells = board.read_cells(self.report) if Capability.CELLS_READ in self.claims else None
        modelled = self.config.device is not DeviceKind.REAL
        parameters = self._parameters() if modelled else []
        random, spread = board.read_random(), board.read_spread()
        table = TableState.read(board) if board.tables else None
        try:
            self._prepare(modelled)
            yield
        finally:
            with board.heeding(Stop()):
                self.rest()
                link.write_words(REG["WATCHDOG"].address, watchdog)
                link.write_words(REG["SCALE"].address, scale)
                if modelled:
                    board.write(tile_image(parameters))
                    board.write_spread(spread)
                if cells is not None and Capability.CELLS_WRITE in self.claims:
                    board.write_cells(cells)
                if table:
                    table.write(board)
                board.write_random(random)

    def _parameters(self) -> list[int]:
        last, root = TileParameter.READ_SIGMA, TileParameter.ROOT
        words, tables = self.board.link.read_words(Window.TILE.base, last + 1), TILE_WORDS - root
        return [*words, *[0] * (root - last - 1), *self.board.link.read_words(Window.TILE.base + root, tables)]

    def _prepare(self, modelled: bool) -> None:
        board, config = self.board, self.config
        if self.kind is TileKind.EMULATED:
            board.link.write_words(REG["WATCHDOG"].address, [WATCHDOG])
        if modelled:
            words = self.device.tile_words(config)
            board.write(device_image(self.device, config))
            board.write_spread(self.device.spread_words(config, SEED))
            board.write_random(seed_states(config, SEED))
            self.noise = words[TileParameter.READ_SIGMA] * GAUSS_SIGMA / (1 << config.sense_shift)
        self.lay()
        if not self.exact:
            whole = rectangle(config)
            drives = np.tile(self.drives(1, config.tile_rows), (NOISE_READS, 1))
            self.noise = float(read(board, whole, drives).std(axis=0).max())

    def rest(self) -> None:
        """Bring the board to rest, whatever it does: no trip, no fault, no program that runs; what was armed is so again, as it was."""
        board, link = self.board, self.board.link
        link.started = True
        board.stop()
        if board.tile_state()[1]:
            link.write_words(Window.ARRAY.base + ArrayWord.TRIP, [0])
        if board.status()[0] is State.FAULT:
            Chain(board, [[]], [Vector(base=0, length=1)], np.zeros((1, 4), np.int8), [rectangle(self.config)]).start()
            board.stop()
        if self._armed and TileState.ARMED not in board.tile_state()[0]:  # a trip of a check's has switched the drivers off
            AnalogTile(board).arm()

    # Drives and cells

    def drives(self, count: int, lines: int) -> np.ndarray:
        """Return random drives: int64 of shape (count, lines)."""
        most = self.config.drive_max
        return self.rng.integers(-most, most + 1, (count, lines))

    def lay(self, cells: np.ndarray | None = None) -> None:
        """Write cells (int64 of all tiles; random ones by default) where the host can, of a size that random drives do not overdrive."""
        if Capability.CELLS_WRITE not in self.claims:
            return
        config = self.config
        if cells is None:
            units = LAID * (1 << config.sense_scale_log2) * 3 / (4 * np.sqrt(max(config.tile_rows, config.tile_cols)))
            most = int(min(units, 0.8 * self.device.bound_up, -0.8 * self.device.bound_down) * (1 << config.cell_frac))
            cells = np.random.default_rng(SEED).integers(-most, most + 1, (config.rows, config.tile_cols))
        self.board.write_cells(cells, self.report)

    def cells(self, region: Region) -> np.ndarray:
        """Return the cells of a region: int64 of shape (rows, columns)."""
        first = region.tile * self.config.tile_rows + region.row0
        longest = self.board.link.payload
        at = [Window.CELLS.base + (row << CELL_ROW_SHIFT) + region.col0 for row in range(first, first + region.rows)]
        requests = [request for address in at for request in reads(address, region.cols, longest)]
        self.board.link.exchange(requests)
        return word_array(requests).reshape(region.rows, region.cols).view(np.int32).astype(np.int64)

    @property
    def averages(self) -> int:
        """Reads of each line of a map."""
        return 1 if self.exact and not self.noise else AVERAGES

    def map(self, region: Region, *, transposed: bool = False) -> np.ndarray:
        """Return the read map of a region, as `read_map` does."""
        return read_map(self.board, region, transposed=transposed, averages=self.averages, report=self.report)

    def observe(self, region: Region) -> np.ndarray:
        """Return a region's cells in sense words, as finely as can be: float64 of shape (rows, columns)."""
        if self.exact:
            return self.cells(region) * cell_sense(self.config) / (1 << self.config.cell_frac)
        return self.map(region)

    @property
    def seen(self) -> float:
        """Sense words that two looks at a cell which did not move may differ."""
        return 0.0 if self.exact else 1.0 + 2 * self.coarse + SIGMAS * self.noise * np.sqrt(2 / self.averages)

    def tolerance(self, *, reads: int = 1) -> float:
        """Return the sense words that the mean of several reads of the same may differ from another, or from what is known."""
        if self.exact and not self.noise:
            return 0.0
        return 1.0 + 2 * self.coarse + SIGMAS * self.noise * np.sqrt(2 / reads)

    # What should be

    def known(self, region: Region, *, transposed: bool = False) -> np.ndarray:
        """Return what `expect` is computed from: a region's cells if the array is exact, else its read map in this direction."""
        return self.cells(region) if self.exact else self.map(region, transposed=transposed)

    def known_tiles(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what is known of each tile, for reads and for transposed reads: the same array where that is the cells."""
        found = []
        for region in self.tiles():
            forward = self.known(region)
            found.append((forward, forward if self.exact else self.known(region, transposed=True)))
        return found

    def expect(self, known: np.ndarray, drives: np.ndarray, *, transposed: bool = False) -> tuple[np.ndarray, float]:
        """Return what lines should sense (float64 of shape (reads, lines)), and how many words that may be wrong.

        Parameters
        ----------
        known : ndarray
            Of `known`: the rows and columns that are read.
        drives : ndarray
            Of shape (reads, driven lines).
        transposed : bool
            Whether the columns are driven.
        """
        if self.exact:
            return self.sensed(known, drives, transposed=transposed)
        share, most = drives / self.config.drive_max, self.config.sense_max
        # The map's words are rounded, and so is the sum, by converters too.
        steps, most_shares = self.coarse**2 / 3, (share**2).sum(axis=1).max(initial=0)
        rounding = np.sqrt(most_shares * (1 / 12 + steps + self.noise**2 / self.averages) + steps + self.noise**2)
        return np.clip(share @ (known.T if transposed else known), -most, most), 0.5 + SIGMAS * float(rounding)

    def sensed(self, cells: np.ndarray, drives: np.ndarray, *, transposed: bool = False) -> tuple[np.ndarray, float]:
        """Return, as `expect` does, what an emulated tile senses of cells."""
        bits, most = self.config.sense_shift, self.config.sense_max
        sums = drives @ (cells.T if transposed else cells)
        if self.noise:
            return np.clip(sums / (1 << bits), -most, most), 0.5 + SIGMAS * self.noise
        return np.clip(_rounded(sums, bits), -most, most).astype(float), 0.0

    def pulsed(self, cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return what cells are after counts of pulses in one go, on a `steady` array: int64."""
        words = self.device.tile_words(self.config)
        moved = _rounded(counts * (words[TileParameter.BASE_UP] << FACTOR_FRAC), UPDATE_FRAC)
        return np.clip(cells + moved, words[TileParameter.BOUND_DOWN], words[TileParameter.BOUND_UP])

    @property
    def one_word(self) -> int:
        """Cell words of one pulse, on a `steady` array."""
        return int(self.pulsed(np.zeros(1, np.int64), np.ones(1, np.int64))[0])

    @property
    def one(self) -> float:
        """Sense words of one pulse, on a `steady` array."""
        return self.one_word * cell_sense(self.config) / (1 << self.config.cell_frac)

    @cached_property
    def dose(self) -> int:
        """Pulses that move a cell so far that it can be told, four times `seen` or more, and half of `pulse_max` at least."""
        region, count = rectangle(self.config, rows=min(8, self.config.tile_rows)), max(1, self.config.pulse_max // 2)
        if self.exact:
            return count
        before = self.map(region)
        towards = np.where(before > 0, -1, 1)
        for total in (count * 4**step for step in range(6)):
            pulse(self.board, region, towards * total)
            moved = float(np.median(np.abs(self.map(region) - before)))
            pulse(self.board, region, -towards * total)
            if moved >= 4 * self.seen:
                return total
        raise NotTestedError(f"{total:,} pulses move half of the cells by less than {4 * self.seen:.1f} LSB, and less cannot be told")

    def tiles(self) -> list[Region]:
        """Return the whole of each tile."""
        return [rectangle(self.config, tile) for tile in range(self.config.tiles)]


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Return `rshift` of each value."""
    return np.vectorize(lambda value: rshift(int(value), bits), otypes=[np.int64])(values)


def where(cells: np.ndarray, region: Region) -> str:
    """Return the place of the largest of a region's values as text."""
    row, col = np.unravel_index(int(np.argmax(cells)), cells.shape)
    return f"tile {region.tile} row {region.row0 + int(row)} column {region.col0 + int(col)}"

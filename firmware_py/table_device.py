"""The table device: a cell whose step is read from a table of its conductance; its words, and what a tile does with them in integers.

The range of a cell word is parted into `SEGMENTS` equal segments. For each direction a segment has the step at its lower end, the
difference to that at its upper end, and a class of write noise; inside a segment the step is interpolated. Any measured pulse response is
such a table, and so is the linear step of `Device`. Nothing here is compiled: kernels and RTL are held to these functions.
"""

# Over 400 lines: words, formula and what fits them are one format.

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from backpulse.firmware_py.config import DEFAULT, TABLE, Config, DeviceKind
from backpulse.firmware_py.device import STEP_FRAC, Device, normal
from backpulse.firmware_py.registers import TILE_WORDS, TableParameter, TablePart, TileParameter
from backpulse.firmware_py.streams import GAUSS_SIGMA, companion, draws, gauss

_gauss, _companion = (getattr(function, "py_func", function) for function in (gauss, companion))  # also where nothing is compiled
SEGMENTS_LOG2 = 6
SEGMENTS = 1 << SEGMENTS_LOG2
"""Segments of a direction."""
BASE_BITS, DELTA_BITS, CLASS_BITS = 16, 16, 4
"""Bits of a segment's words: step at its lower end, difference to that at its upper end (signed), class of noise."""
CLASSES = 1 << CLASS_BITS
"""Class c has c / 15 of the largest write noise."""
ROOT_BITS = 16
"""Bits of a word of write noise."""
ROOTS = 32
"""Words of a class, one for each count from 0."""
MOST_SHIFT = 5
"""Most bits by which all steps and noises of a table are shifted left."""
MOST_STEP = ((1 << BASE_BITS) - 1) << MOST_SHIFT
"""Largest step, in 1/64 cell LSB: 2 device units but for a part in 65536."""
SPREAD_BITS = 32
"""Bits of a spread word: factor of steps up and of steps down, 8 each, and how far the bounds are moved, signed."""
SPREAD_FRAC = 5
"""Fraction bits of a cell's factors."""
SPREAD_ONE = 1 << SPREAD_FRAC
"""A factor of 1."""
NO_SPREAD = SPREAD_ONE << 8 | SPREAD_ONE
"""Spread word of a cell as the table says."""
OFFSET_AT = 16
"""Position of the bounds' offset in a spread word."""
MOST_OFFSET = 32767
"""Most cell LSB by which a cell's bounds lie farther apart, or nearer, on each side."""
STUCK = -MOST_OFFSET - 1
"""Offset that says that a cell never moves."""
STUCK_WORD = NO_SPREAD + (STUCK << OFFSET_AT)
"""Spread word, of 32 bits and signed, of a cell that never moves."""
UPDATE_FRAC = STEP_FRAC + SPREAD_FRAC
"""Fraction bits of an update before its one rounding: of steps times factors, and of write noise."""
APPARENT_FRAC = 3
"""Fraction bits of apparent noise, in cell LSB."""
LEAKS = 16
"""Words of the leak's table: entry k is what k periods take, the last also what more do; the first is not used."""
LEAK_FRAC = LEAK_BITS = 16
"""Fraction bits of a leak, and its bits."""
VISIT_BITS = 16
"""Bits that are kept of the period of a row's last visit."""
PERIOD_MASK = (1 << VISIT_BITS) - 1
"""Those."""
FLAT_PARTS = {
    TablePart.SEGMENTS: 4 * SEGMENTS,
    TablePart.ROOT: CLASSES * ROOTS,
    TablePart.LEAK: LEAKS,
    TablePart.PARAMETERS: int(TableParameter.AGE),
}
"""Parts of the TABLE window that are a device's, each from its beginning, and how many words of each."""
FLAT_WORDS = sum(FLAT_PARTS.values())
"""Words of the TABLE window that a device has (`TableWords.flat`): all but its cells' age."""
TABLE_BITS = {
    TableParameter.SHIFT: 3,
    TableParameter.APPARENT: 8,
    TableParameter.REST: -16,
    TableParameter.LEAK_ON: 1,
    TableParameter.LEAK_PERIOD: 4,
    TableParameter.AGE: 32,
}
"""Bits of the table device's parameters, negative for signed ones."""
SPAN = 4.0
"""Device units from the lowest cell word to the highest, where a cell has 2 bits before its point."""
NODES = np.linspace(-SPAN / 2, SPAN / 2, SEGMENTS + 1)
"""Conductances at the ends of the segments, device units."""
MOST_SPREAD = 0.35
"""Largest spread from cell to cell, relative, that the linear-step device's codes of 4 bits hold."""
WIDEST = {"step_spread": 2.0, "symmetry_spread": 0.9, "bound_spread": 1.0}
"""Largest spreads of a table device."""
MOST_APPARENT = ((1 << TABLE_BITS[TableParameter.APPARENT]) - 1) * GAUSS_SIGMA / (1 << APPARENT_FRAC + TABLE.cell_frac)
"""Largest apparent noise of a cell with the default's words, device units."""
_DEAD_ZONE = 64
"""A leak takes about this part of a cell at a time, so that small conductances leak, too."""


@dataclass(frozen=True)
class TableWords:
    """A table as a tile holds it.

    Parameters
    ----------
    base, delta, kind : ndarray
        int64 of shape (2, SEGMENTS), way up first: step at the lower end of a segment in 1/64 cell LSB before the shift, difference to that
        at the upper end, class of noise.
    root : ndarray
        int64 of shape (CLASSES, ROOTS): write noise of n pulses in one go, in 2^-11 cell LSB before the shift.
    bound_up, bound_down : int
        Cell words.
    shift : int
        Bits by which steps and noise are shifted left.
    cell_bits : int
        Bits of a cell.
    apparent : int
        Apparent noise, in 1/8 cell LSB.
    read_sigma : int
        Of the tile's read noise.
    leak : ndarray
        int64 of shape (LEAKS,): what of its distance from `rest` a cell loses in so many periods, in 2^-16; zeros: no leak.
    leak_period : int
        log2 of the samples of a period.
    rest : int
        Cell word that a leak goes to.
    """

    base: np.ndarray
    delta: np.ndarray
    kind: np.ndarray
    root: np.ndarray
    bound_up: int
    bound_down: int
    shift: int
    cell_bits: int
    apparent: int = 0
    read_sigma: int = 0
    leak: np.ndarray = field(default_factory=lambda: np.zeros(LEAKS, np.int64))
    leak_period: int = 0
    rest: int = 0

    def segments(self) -> np.ndarray:
        """Return the segments as the TABLE window has them: uint32 of shape (4 SEGMENTS,), two words each, way up first."""
        low = self.base | (self.delta & ((1 << DELTA_BITS) - 1)) << BASE_BITS
        return np.stack([low, self.kind], axis=-1).astype("<u4").ravel()

    def roots(self) -> np.ndarray:
        """Return the write noise as the TABLE window has it: uint32 of shape (CLASSES ROOTS,)."""
        return self.root.astype("<u4").ravel()

    def flat(self) -> np.ndarray:
        """Return all words of the TABLE window that a device has, uint32: segments, roots, leak, parameters (`image.table_image`)."""
        return np.concatenate([self.segments(), self.roots(), self.leak.astype("<u4"), self.parameters()])

    def parameters(self) -> np.ndarray:
        """Return the parameters but for AGE, uint32, by `TableParameter`."""
        values = {
            TableParameter.SHIFT: self.shift,
            TableParameter.APPARENT: self.apparent,
            TableParameter.REST: self.rest,
            TableParameter.LEAK_ON: int(self.leak.any()),
            TableParameter.LEAK_PERIOD: self.leak_period,
        }
        return (np.array([values[p] for p in TableParameter if p in values]) & 0xFFFFFFFF).astype("<u4")

    def tile_words(self) -> list[int]:
        """Return the words of the TILE window, signed where the parameter is."""
        words = [0] * TILE_WORDS
        words[TileParameter.BOUND_UP], words[TileParameter.BOUND_DOWN] = self.bound_up, self.bound_down
        words[TileParameter.READ_SIGMA] = self.read_sigma
        return words


@dataclass(frozen=True, kw_only=True)
class TableDevice:
    """One kind of analog memory by its measured step, in device units.

    Raises
    ------
    ValueError
        If a value does not fit the words of a table.
    """

    name: str
    up: tuple[float, ...]
    """Mean step of a potentiation at each of `NODES`, not negative."""
    down: tuple[float, ...]
    """Mean step of a depression likewise, as a positive number."""
    noise_up: tuple[float, ...]
    """Standard deviation of a potentiation's step in each segment."""
    noise_down: tuple[float, ...]
    """That of a depression."""
    bound_up: float = 1.0
    """Upper bound of the conductance."""
    bound_down: float = -1.0
    """Lower bound of the conductance."""
    apparent_noise: float = 0.0
    """Standard deviation of what a pulse adds to the conductance until the next pulse, and no longer."""
    read_noise: float = 0.0
    """Standard deviation of a read, in sense LSB."""
    step_spread: float = 0.0
    """Standard deviation of the step from cell to cell, relative; log-normal."""
    symmetry_spread: float = 0.0
    """Standard deviation of what steps up have more, and steps down less, from cell to cell; relative."""
    bound_spread: float = 0.0
    """Standard deviation of the bounds from cell to cell, relative to half the range."""
    stuck: float = 0.0
    """Fraction of cells that never move."""
    leak_samples: float = 0.0
    """Samples in which a cell's distance from `leak_rest` falls to 1/e; 0: no leak."""
    leak_rest: float = 0.0
    """Conductance that a leak goes to."""

    def __post_init__(self) -> None:
        for name, count in (("up", SEGMENTS + 1), ("down", SEGMENTS + 1), ("noise_up", SEGMENTS), ("noise_down", SEGMENTS)):
            values = np.asarray(getattr(self, name), np.float64)
            if values.shape != (count,):
                raise ValueError(f"Table {name} must have {count} numbers, not {values.size}")
            if not (np.isfinite(values).all() and (values >= 0).all()):
                raise ValueError(f"Table {name} must have numbers from 0, not {values[~(values >= 0)][0]:g}")
        if not (0.05 <= self.bound_up <= 1.95 and -1.95 <= self.bound_down <= -0.05):
            raise ValueError(
                f"Table bounds must be from -1.95 to -0.05 and from 0.05 to 1.95, not {self.bound_down:g} and {self.bound_up:g}"
            )
        limits = {"read_noise": (0.0, 64.0), "stuck": (0.0, 1.0), "leak_rest": (self.bound_down, self.bound_up)}
        limits |= {name: (0.0, most) for name, most in WIDEST.items()}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"Table {name} must be from {low:g} to {high:g}, not {getattr(self, name):g}")
        if self.leak_samples != 0 and not 1 <= self.leak_samples <= 1e9:
            raise ValueError(f"Table leak_samples must be 0, for no leak, or from 1 to 1e9, not {self.leak_samples:g}")
        self.words()

    @classmethod
    def of_linear(cls, device: Device) -> Self:
        """Return a linear-step device as a table."""
        up = device.dw_min * np.maximum(1 - device.slope_up * NODES / device.bound_up, 0)
        down = device.dw_min * np.maximum(1 - device.slope_down * NODES / device.bound_down, 0)
        noise = (device.write_noise * device.dw_min,) * SEGMENTS
        return cls(
            name=device.name,
            up=tuple(up.tolist()),
            down=tuple(down.tolist()),
            noise_up=noise,
            noise_down=noise,
            **{name: getattr(device, name) for name in ("bound_up", "bound_down", "step_spread", "bound_spread", "stuck", "read_noise")},
        )

    @property
    def dw_min(self) -> float:
        """Mean step of one pulse at zero, of both directions: what a learning rate is a multiple of."""
        return float(np.mean([np.interp(0.0, NODES, self.up), np.interp(0.0, NODES, self.down)]))

    @property
    def is_ideal(self) -> bool:
        """False: tiles of the ideal device carry no table."""
        return False

    @property
    def states(self) -> float:
        """Conductance states between the bounds, of the step at zero."""
        return (self.bound_up - self.bound_down) / self.dw_min

    def check(self, config: Config) -> None:
        """Raise ValueError if a configuration's tiles cannot carry this device."""
        if config.device is not DeviceKind.TABLE:
            raise ValueError(
                f"Device {self.name} is a table of steps, and this board's tiles carry none: take golden://, sim:// or a board with the "
                "table device, or its linear fit, --device FILE:linear"
            )
        if (self.step_spread or self.symmetry_spread or self.bound_spread or self.stuck) and not config.spread:
            raise ValueError(f"Device {self.name} has cell-to-cell spread, and this board has no spread words")
        if self.read_noise and not config.read_noise:
            raise ValueError(f"Device {self.name} has read noise and this board was built without; choose a device without")

    def words(self, config: Config = TABLE) -> TableWords:
        """Return the words of a tile.

        Raises
        ------
        ValueError
            If a step is too large for the largest shift.
        """
        lsb = 1 << config.cell_frac
        # A step larger than the range ends where one as large does.
        steps = np.minimum([self.up, self.down], self.bound_up - self.bound_down) * (lsb << STEP_FRAC)
        if 0 < steps.max() - MOST_STEP <= steps.max() / 1000:
            steps = np.minimum(steps, MOST_STEP)
        noises = np.array([self.noise_up, self.noise_down])
        most = float(noises.max())
        counts = np.sqrt(np.arange(ROOTS))
        roots = np.outer(np.arange(CLASSES) / (CLASSES - 1), counts) * (most * lsb / GAUSS_SIGMA * (1 << UPDATE_FRAC))
        limits = (
            (steps.max(), (1 << BASE_BITS) - 1),
            (np.abs(np.diff(steps)).max(), (1 << (DELTA_BITS - 1)) - 2),  # rounding may add 1
            (roots.max(), (1 << ROOT_BITS) - 1),
        )
        shift = next((e for e in range(MOST_SHIFT + 1) if all(value <= limit << e for value, limit in limits)), None)
        if shift is None:
            over = max(value / (limit << MOST_SHIFT) for value, limit in limits)
            raise ValueError(f"Table device {self.name} has a step or write noise {over:.3g} times as large as its words hold")
        apparent = round(self.apparent_noise * lsb / GAUSS_SIGMA * (1 << APPARENT_FRAC))
        if apparent >> TABLE_BITS[TableParameter.APPARENT]:
            holds = ((1 << TABLE_BITS[TableParameter.APPARENT]) - 1) * self.apparent_noise / apparent
            raise ValueError(f"Table apparent_noise must be from 0 to {holds:.3g}, not {self.apparent_noise:g}")
        nodes = np.rint(steps / (1 << shift)).astype(np.int64)
        kind = np.rint(noises / most * (CLASSES - 1)).astype(np.int64) if most else np.zeros((2, SEGMENTS), np.int64)
        leak, period = self._leak()
        return TableWords(
            base=nodes[:, :-1],
            delta=np.diff(nodes),
            kind=kind,
            root=np.rint(roots / (1 << shift)).astype(np.int64),
            bound_up=min(round(self.bound_up * lsb), config.cell_max),
            bound_down=max(round(self.bound_down * lsb), -config.cell_max),
            shift=shift,
            cell_bits=config.cell_bits,
            apparent=apparent,
            read_sigma=round(self.read_noise * (1 << config.sense_shift) / GAUSS_SIGMA),
            leak=leak,
            leak_period=period,
            rest=min(max(round(self.leak_rest * lsb), -config.cell_max), config.cell_max),
        )

    def tile_words(self, config: Config) -> list[int]:
        """Return the TILE window's words (64, signed where the parameter is)."""
        self.check(config)
        return self.words(config).tile_words()

    def _leak(self) -> tuple[np.ndarray, int]:
        """Return the leak of 0 to 15 periods, and log2 of a period in samples."""
        if not self.leak_samples:
            return np.zeros(LEAKS, np.int64), 0
        period = min(max(int(np.log2(self.leak_samples / _DEAD_ZONE)), 0), (1 << TABLE_BITS[TableParameter.LEAK_PERIOD]) - 1)
        left = np.exp(-np.arange(LEAKS) * (1 << period) / self.leak_samples)
        return np.minimum(np.rint((1 - left) * (1 << LEAK_FRAC)).astype(np.int64), (1 << LEAK_FRAC) - 1), period

    def spread_words(self, config: Config, seed: int) -> np.ndarray:
        """Return one spread word a cell: uint32 of shape (rows of all tiles, columns).

        They are the same on every computer, but where an exponential lies within one part in 10^15 of half a code.
        """
        return self.spread(config.rows * config.tile_cols, seed, config).reshape(config.rows, config.tile_cols)

    def spread(self, cells: int, seed: int, config: Config = TABLE) -> np.ndarray:
        """Return the spread words of so many cells, uint32."""
        fine = 1 << 12
        log_sigma = np.sqrt(np.log1p(self.step_spread**2))  # of mean 1 and this standard deviation
        factor = np.exp(normal(cells, seed, 1, log_sigma * fine) / fine - log_sigma**2 / 2)
        tilt = np.clip(normal(cells, seed, 5, self.symmetry_spread * fine) / fine, -0.95, 0.95)
        sigma = self.bound_spread * (self.bound_up - self.bound_down) / 2 * (1 << config.cell_frac)
        offset = np.clip(normal(cells, seed, 2, sigma), -MOST_OFFSET, MOST_OFFSET)
        if self.stuck:
            offset = np.where(draws(cells, seed, 0x57, 3) < self.stuck * 2**32, STUCK, offset)
        return spread_words(factor * (1 + tilt), factor * (1 - tilt), offset)


def carried(device: Device | TableDevice, config: Config) -> Device | TableDevice:
    """Return a device as the tiles of a configuration carry it: tables carry every one."""
    return TableDevice.of_linear(device) if config.device is DeviceKind.TABLE and isinstance(device, Device) else device


def spread_words(up: np.ndarray, down: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return spread words, uint32, of factors (1: as the table says), limited to what their bytes hold, and offsets of bounds, cell LSB."""
    factors = [np.clip(np.rint(f * SPREAD_ONE), 0, 255).astype(np.int64) for f in (up, down)]
    return (factors[0] | factors[1] << 8 | (offset & 0xFFFF) << OFFSET_AT).astype(np.uint32)


def spread_offset(spread: np.ndarray | int) -> np.ndarray:
    """Return how far spread words move the bounds, cell LSB, or STUCK; int64."""
    return (np.asarray(spread, np.int64) >> OFFSET_AT & 0xFFFF ^ -STUCK) + STUCK


def table_step(g: np.ndarray, up: np.ndarray, words: TableWords) -> tuple[np.ndarray, np.ndarray]:
    """Return the step of one pulse in 1/64 cell LSB before the shift, and its class of noise; int64 arrays of one shape.

    u = G + 2^15;  k = u >> 10;  low = u & 1023
    step = max(0, base + ((delta * low) >> 10))
    """
    low_bits = words.cell_bits - SEGMENTS_LOG2
    u = g + (1 << (words.cell_bits - 1))
    k, low, way = u >> low_bits, u & ((1 << low_bits) - 1), np.where(up, 0, 1)
    return np.maximum(words.base[way, k] + (words.delta[way, k] * low >> low_bits), 0), words.kind[way, k]


def table_update(g: np.ndarray, count: np.ndarray, word: np.ndarray, words: TableWords, spread: np.ndarray | int = NO_SPREAD) -> np.ndarray:
    """Return what stays of cells after `count` pulses (signed) in one go.

        total = (+- n * f * step + gauss(word) * root[class][n]) << shift
        G     = clamp(G + rshift(total, 11), low, high)

    Parameters
    ----------
    g, count, word : ndarray
        int64 of one shape: cells, pulses, words of the write stream.
    words : TableWords
    spread : ndarray or int
        Spread word of each cell.
    """
    step, kind = table_step(g, count > 0, words)
    spread = np.asarray(spread, np.int64)
    factor = np.where(count > 0, spread & 255, spread >> 8 & 255)
    total = (count * factor * step + _gauss(word) * words.root[kind, np.abs(count)]) << words.shift
    low, high = own_bounds(words, spread)
    wanted = g + _rshift(total, UPDATE_FRAC)
    return np.where((count == 0) | _stuck(spread), g, np.where(wanted > high, high, np.maximum(wanted, low)))


def own_bounds(words: TableWords, spread: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bounds of cells, int64: their own, limited to cell words."""
    offset = spread_offset(spread)
    return _word(words.bound_down - offset, words), _word(words.bound_up + offset, words)


def _stuck(spread: np.ndarray | int) -> np.ndarray:
    """Return which cells never move."""
    return spread_offset(spread) == STUCK


def table_seen(g: np.ndarray, word: np.ndarray, words: TableWords) -> np.ndarray:
    """Return what reads see of cells that have just moved: what stays of them, and apparent noise from the word that moved them."""
    return _word(g + _rshift(_gauss(_companion(word)) * words.apparent, APPARENT_FRAC), words)


def table_leak(
    g: np.ndarray, seen: np.ndarray, periods: np.ndarray | int, words: TableWords, spread: np.ndarray | int = NO_SPREAD
) -> tuple[np.ndarray, np.ndarray]:
    """Return what stays of cells, and what reads see of them, after so many periods of leaking; int64."""
    lost = _rshift((g - words.rest) * words.leak[np.minimum(periods, LEAKS - 1)], LEAK_FRAC)
    lost = np.where((np.asarray(periods) == 0) | _stuck(spread), 0, lost)
    return g - lost, _word(seen - lost, words)


def _word(value: np.ndarray | int, words: TableWords) -> np.ndarray:
    """Limit to what a cell word holds."""
    most = 1 << (words.cell_bits - 1)
    return np.clip(value, -most, most - 1)


def _rshift(value: np.ndarray, bits: int) -> np.ndarray:
    """Shift an array right as `formats.rshift` does a number."""
    return np.sign(value) * ((np.abs(value) + ((1 << bits) >> 1)) >> bits)


def ramps(device: TableDevice, pulses: np.ndarray, start: float | np.ndarray, cells: int = 1, seed: int = 1) -> np.ndarray:
    """Return the conductances of cells that get a train of pulses, as they are read.

    Parameters
    ----------
    device : TableDevice
    pulses : ndarray
        Pulses in one go, -31 to 31, (n,): the train, the same for all cells.
    start : float or ndarray
        Conductance before it, device units.
    cells : int
        How many, each with its own spread and noise.
    seed : int
        Of both.

    Returns
    -------
    ndarray
        float64 of shape (n + 1, cells), device units: before the train and after each of its members.
    """
    words = device.words()
    lsb = 1 << DEFAULT.cell_frac
    spread = device.spread(cells, seed)
    low, high = own_bounds(words, spread)
    cell = np.clip(np.broadcast_to(np.rint(np.asarray(start) * lsb).astype(np.int64), cells), low, high)
    read = np.empty((len(pulses) + 1, cells))
    first = draws(cells, seed, 0x57, 6)
    read[0] = table_seen(cell, first, words)
    for n, count in enumerate(np.asarray(pulses, np.int64)):
        noise = draws(cells, seed, 0x57, 4, start=n * cells)
        cell = table_update(cell, np.full(cells, count), noise, words, spread)
        read[n + 1] = table_seen(cell, noise, words) if count else read[n]
    return read / lsb

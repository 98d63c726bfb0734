"""The table device: a cell whose step is read from a table of its conductance; its words, and what a pulse does in integers.

The range of a cell word is parted into `SEGMENTS` equal segments. For each direction a segment has the step at its lower end, the
difference to that at its upper end, and a class of write noise; inside a segment the step is interpolated. Any measured pulse response is
such a table, and so is the linear step of `Device`. Nothing here is compiled: a kernel that carries tables is held to these functions.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from backpulse.firmware_py.config import DEFAULT, Config
from backpulse.firmware_py.device import FACTOR_FRAC, STEP_FRAC, UPDATE_FRAC, Device
from backpulse.firmware_py.streams import GAUSS_SIGMA, draws, gauss

SEGMENTS_LOG2 = 6
SEGMENTS = 1 << SEGMENTS_LOG2
"""Segments of a direction."""
BASE_BITS, DELTA_BITS, CLASS_BITS = 16, 16, 4
"""Bits of a segment's words: step at its lower end, difference to that at its upper end (signed), class of noise."""
CLASSES = 1 << CLASS_BITS
"""Class c has c / 15 of the largest write noise."""
ROOT_BITS = 16
"""Bits of a word of write noise."""
MOST_SHIFT = 6
"""Most bits by which all steps and noises of a table are shifted left."""
SPAN = 4.0
"""Device units from the lowest cell word to the highest, where a cell has 2 bits before its point."""
NODES = np.linspace(-SPAN / 2, SPAN / 2, SEGMENTS + 1)
"""Conductances at the ends of the segments, device units."""
MOST_SPREAD = 0.35
"""Largest spread from cell to cell, relative: what codes of 4 bits hold."""


@dataclass(frozen=True)
class TableWords:
    """A table as a tile holds it.

    Parameters
    ----------
    base, delta, kind : ndarray
        int64 of shape (2, SEGMENTS), way up first: step at the lower end of a segment in 1/64 cell LSB before the shift, difference to that
        at the upper end, class of noise.
    root : ndarray
        int64 of shape (CLASSES, pulse_max + 1): write noise of n pulses in one go.
    bound_up, bound_down : int
        Cell words.
    shift : int
        Bits by which steps and noise are shifted left.
    cell_bits : int
        Bits of a cell.
    """

    base: np.ndarray
    delta: np.ndarray
    kind: np.ndarray
    root: np.ndarray
    bound_up: int
    bound_down: int
    shift: int
    cell_bits: int

    def packed(self) -> np.ndarray:
        """Return the segments as int64 words of 36 bits, (2, SEGMENTS): base, above it delta, above that the class."""
        return self.base | (self.delta & ((1 << DELTA_BITS) - 1)) << BASE_BITS | self.kind << (BASE_BITS + DELTA_BITS)


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
    """Standard deviation of a reading that no later reading keeps."""
    step_spread: float = 0.0
    """Standard deviation of the step from cell to cell, relative."""
    bound_spread: float = 0.0
    """Standard deviation of the bounds from cell to cell, relative to half the range."""

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
        for name in ("step_spread", "bound_spread"):
            if not 0 <= getattr(self, name) <= MOST_SPREAD:
                raise ValueError(f"Table {name} must be from 0 to {MOST_SPREAD}, not {getattr(self, name):g}")
        self.words()

    @classmethod
    def of_linear(cls, device: Device) -> Self:
        """Return a linear-step device as a table."""
        up = device.dw_min * np.maximum(1 - device.slope_up * NODES / device.bound_up, 0)
        down = device.dw_min * np.maximum(1 - device.slope_down * NODES / device.bound_down, 0)
        noise = (device.write_noise * device.dw_min,) * SEGMENTS
        return cls(
            name=device.name,
            up=tuple(up),
            down=tuple(down),
            noise_up=noise,
            noise_down=noise,
            bound_up=device.bound_up,
            bound_down=device.bound_down,
            step_spread=device.step_spread,
            bound_spread=device.bound_spread,
        )

    @property
    def dw_min(self) -> float:
        """Mean step of one pulse at zero, of both directions: what a learning rate is a multiple of."""
        return float(np.mean([np.interp(0.0, NODES, self.up), np.interp(0.0, NODES, self.down)]))

    def words(self, config: Config = DEFAULT) -> TableWords:
        """Return the words of a tile.

        Raises
        ------
        ValueError
            If a step is too large for the largest shift.
        """
        lsb = 1 << config.cell_frac
        steps = np.array([self.up, self.down]) * (lsb << STEP_FRAC)
        noises = np.array([self.noise_up, self.noise_down])
        most = float(noises.max())
        counts = np.sqrt(np.arange(config.pulse_max + 1))
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
        nodes = np.rint(steps / (1 << shift)).astype(np.int64)
        kind = np.rint(noises / most * (CLASSES - 1)).astype(np.int64) if most else np.zeros((2, SEGMENTS), np.int64)
        return TableWords(
            base=nodes[:, :-1],
            delta=np.diff(nodes),
            kind=kind,
            root=np.rint(roots / (1 << shift)).astype(np.int64),
            bound_up=min(round(self.bound_up * lsb), config.cell_max),
            bound_down=max(round(self.bound_down * lsb), -config.cell_max),
            shift=shift,
            cell_bits=config.cell_bits,
        )


def table_step(g: np.ndarray, up: np.ndarray, words: TableWords) -> tuple[np.ndarray, np.ndarray]:
    """Return the step of one pulse in 1/64 cell LSB before the shift, and its class of noise; int64 arrays of one shape.

    u = G + 2^15;  k = u >> 10;  low = u & 1023
    step = max(0, base + ((delta * low) >> 10))
    """
    low_bits = words.cell_bits - SEGMENTS_LOG2
    u = g + (1 << (words.cell_bits - 1))
    k, low, way = u >> low_bits, u & ((1 << low_bits) - 1), np.where(up, 0, 1)
    return np.maximum(words.base[way, k] + (words.delta[way, k] * low >> low_bits), 0), words.kind[way, k]


def table_update(
    g: np.ndarray,
    count: np.ndarray,
    word: np.ndarray,
    words: TableWords,
    factor: np.ndarray | int = 1 << FACTOR_FRAC,
    bounds: tuple[np.ndarray | int, np.ndarray | int] | None = None,
) -> np.ndarray:
    """Return cells after `count` pulses (signed) in one go.

        total = (+- n * f * step + gauss(word) * root[class][n]) << shift
        G     = clamp(G + rshift(total, 13), lo, hi)

    Parameters
    ----------
    g, count, word : ndarray
        int64 of one shape: cells, pulses, words of the write stream.
    words : TableWords
    factor : ndarray or int
        f of each cell, 128 without spread.
    bounds : tuple of ndarray or int, optional
        lo and hi of each cell; the table's if not given.
    """
    step, kind = table_step(g, count > 0, words)
    total = (count * factor * step + gauss.py_func(word) * words.root[kind, np.abs(count)]) << words.shift
    low, high = bounds or (words.bound_down, words.bound_up)
    return np.where(count == 0, g, np.clip(g + _rshift(total, UPDATE_FRAC), low, high))


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
    half = (words.bound_up - words.bound_down) / 2
    normal = np.random.RandomState(seed).standard_normal
    spread = np.rint((1 << FACTOR_FRAC) * (1 + np.clip(device.step_spread * normal(cells), -0.9, 0.9))).astype(np.int64)
    moved = np.rint(np.clip(device.bound_spread * normal(cells), -0.9, 0.9) * half).astype(np.int64)
    high = np.minimum(words.bound_up + moved, DEFAULT.cell_max)
    low = np.maximum(words.bound_down - moved, -DEFAULT.cell_max)
    cell = np.clip(np.broadcast_to(np.rint(np.asarray(start) * lsb).astype(np.int64), cells), low, high)
    read = np.empty((len(pulses) + 1, cells))
    read[0] = cell
    for n, count in enumerate(np.asarray(pulses, np.int64)):
        noise = draws(cells, seed, 0x57, 4, start=n * cells)
        cell = table_update(cell, np.full(cells, count), noise, words, spread, (low, high))
        read[n + 1] = cell
    return read / lsb + device.apparent_noise * normal(read.shape)

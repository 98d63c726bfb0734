"""The device model of the emulated tile: presets in the field's units, and the words that a tile takes.

State-dependent linear step (Gokmen, Vlasov, Frontiers in Neuroscience 10:333, 2016, and the LinearStep device of later simulators): a
potentiation moves a conductance w by dw_min (1 - slope_up w / bound_up), a depression by dw_min (1 - slope_down w / bound_down).
"""

from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.jit import inlined
from backpulse.firmware_py.lanes import count, peak, where
from backpulse.firmware_py.registers import TILE_WORDS, TileParameter
from backpulse.firmware_py.streams import GAUSS_SIGMA, draws, gauss

_BASE_UP, _BASE_DOWN, _SLOPE_UP, _SLOPE_DOWN, _BOUND_UP, _BOUND_DOWN, _STEP_UNIT, _BOUND_UNIT, _READ_SIGMA, _ROOT = (
    int(p) for p in TileParameter
)
SLICE = 1 << 14
"""Cells whose spread words are drawn at a time: as many as a processor's cache holds."""
STEP_FRAC = 6
"""Fraction bits of a step, in cell LSB."""
FACTOR_FRAC = 7
"""Fraction bits of a cell's step factor."""
UPDATE_FRAC = STEP_FRAC + FACTOR_FRAC
"""Fraction bits of an update before its one rounding."""
SLOPE_SHIFT = 16
"""Bits that slope * G loses."""
PARAMETER_BITS = {
    TileParameter.BASE_UP: 16,
    TileParameter.BASE_DOWN: 16,
    TileParameter.SLOPE_UP: -16,
    TileParameter.SLOPE_DOWN: -16,
    TileParameter.BOUND_UP: -16,
    TileParameter.BOUND_DOWN: -16,
    TileParameter.STEP_UNIT: 4,
    TileParameter.BOUND_UNIT: 12,
    TileParameter.READ_SIGMA: 16,
    TileParameter.ROOT: 16,
}
"""Bits of the words of the TILE window, negative for signed ones; ROOT stands for its whole table."""
_TWINS = {TileParameter.BASE_UP: TileParameter.BASE_DOWN, TileParameter.SLOPE_UP: TileParameter.SLOPE_DOWN}
"""Words of the way up that a configuration with one step uses for the way down too."""
SLOPE_MAX = 32767
"""Largest slope word."""
STUCK = -8
"""Bound code of a cell that never moves."""
STANDING = 0.25
"""Real cells as they stand at first are within this share of the bounds around zero."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """One kind of analog memory, in device units (a weight of 1 is one unit times weight_scale).

    Raises
    ------
    ValueError
        If a value does not fit the words of the emulated tile.
    """

    name: str
    dw_min: float = 0.002
    """Conductance step of one pulse at the symmetry point."""
    bound_up: float = 1.0
    """Upper bound of the conductance."""
    bound_down: float = -1.0
    """Lower bound of the conductance."""
    slope_up: float = 0.0
    """Relative loss of the potentiation step at the upper bound."""
    slope_down: float = 0.0
    """Relative loss of the depression step at the lower bound."""
    write_noise: float = 0.0
    """Standard deviation of one pulse's step, in dw_min."""
    step_spread: float = 0.0
    """Standard deviation of dw_min from cell to cell, relative."""
    bound_spread: float = 0.0
    """Standard deviation of the bounds from cell to cell, relative."""
    stuck: float = 0.0
    """Fraction of cells that never move."""
    read_noise: float = 0.0
    """Standard deviation of a read, in sense LSB."""

    def __post_init__(self) -> None:
        limits = {
            "dw_min": (1e-4, 0.06),
            "bound_up": (0.05, 1.9),
            "bound_down": (-1.9, -0.05),
            "slope_up": (0.0, 1.0),
            "slope_down": (0.0, 1.0),
            "write_noise": (0.0, 10.0),
            "step_spread": (0.0, 0.35),
            "bound_spread": (0.0, 0.35),
            "stuck": (0.0, 1.0),
            "read_noise": (0.0, 64.0),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"Device parameter {name} must be from {low} to {high}, not {getattr(self, name)}")
        most = 0.0125 / self.dw_min
        if self.write_noise > most:
            raise ValueError(f"Device parameter write_noise must be at most {most:.3g} at this dw_min, not {self.write_noise}")

    @property
    def is_ideal(self) -> bool:
        """True if the ideal build of a tile (no slope, write noise or spread) can carry it."""
        return not any((self.slope_up, self.slope_down, self.write_noise, self.step_spread, self.bound_spread, self.stuck))

    @property
    def states(self) -> float:
        """Conductance states between the bounds."""
        return (self.bound_up - self.bound_down) / self.dw_min

    def check(self, config: Config) -> None:
        """Raise ValueError if a configuration's tiles cannot carry this device."""
        if config.device is DeviceKind.TABLE:
            raise ValueError(f"Device {self.name} is a linear step, and the board's tiles carry tables: make it one (table_device.carried)")
        if config.device is DeviceKind.IDEAL and not self.is_ideal:
            raise ValueError(
                f"Device {self.name} needs a tile with the linear-step model; this board has the ideal one. Choose --device ideal"
            )
        if (self.step_spread or self.bound_spread or self.stuck) and not config.spread:
            raise ValueError(
                f"Device {self.name} has cell-to-cell spread, and this board has no spread words. "
                "Choose a device without spread, such as ecram-uniform"
            )
        if not config.bounds and (self.bound_up, self.bound_down) != (1.0, -1.0):
            raise ValueError(f"Device {self.name} has bounds of its own, and this board's are fixed. Choose bound_up 1 and bound_down -1")
        if config.steps == 1 and self.slope_up * self.bound_down != self.slope_down * self.bound_up:
            raise ValueError(
                f"Device {self.name} has steps that depend on the direction, and this board has one step for both. "
                "Choose slope_up / bound_up equal to slope_down / bound_down"
            )
        if self.read_noise and not config.read_noise:
            raise ValueError(f"Device {self.name} has read noise and this board was built without; choose a device without")

    def tile_words(self, config: Config) -> list[int]:
        """Return the TILE window's words (64, signed where the parameter is)."""
        self.check(config)
        lsb = 1 << config.cell_frac
        base = self.dw_min * lsb * (1 << STEP_FRAC)
        slope_lsb = (1 << SLOPE_SHIFT) / lsb
        step_unit, bound_unit = _code_units(self, config)
        words = [0] * TILE_WORDS
        words[TileParameter.BASE_UP] = words[TileParameter.BASE_DOWN] = round(base)
        words[TileParameter.SLOPE_UP] = round(base * self.slope_up / self.bound_up * slope_lsb)
        words[TileParameter.SLOPE_DOWN] = round(base * self.slope_down / self.bound_down * slope_lsb)
        words[TileParameter.BOUND_UP] = round(self.bound_up * lsb)
        words[TileParameter.BOUND_DOWN] = round(self.bound_down * lsb)
        for offset, word in fixed_words(config).items():
            words[offset] = word
        words[TileParameter.STEP_UNIT] = step_unit
        words[TileParameter.BOUND_UNIT] = bound_unit
        words[TileParameter.READ_SIGMA] = round(self.read_noise * (1 << config.sense_shift) / GAUSS_SIGMA)
        for n in range(config.pulse_max + 1):
            sigma = self.write_noise * self.dw_min * lsb * n**0.5
            words[TileParameter.ROOT + n] = round(sigma / GAUSS_SIGMA * (1 << UPDATE_FRAC))
        steepest = max(abs(words[TileParameter.SLOPE_UP]), abs(words[TileParameter.SLOPE_DOWN]))
        if steepest > SLOPE_MAX:
            most = self.dw_min * SLOPE_MAX / steepest
            raise ValueError(
                f"Device {self.name} has too steep a step: with these slopes dw_min must be at most {most:.3g}, not {self.dw_min:.3g}"
            )
        return words

    def spread_words(self, config: Config, seed: int) -> np.ndarray:
        """Return one spread byte a cell: uint8 of shape (rows of all tiles, columns)."""
        shape = (config.rows, config.tile_cols)
        count = config.rows * config.tile_cols
        step_unit, bound_unit = _code_units(self, config)
        code = np.zeros(count, np.int64)
        if step_unit:
            sigma_codes = self.step_spread * (1 << FACTOR_FRAC) / step_unit
            code |= np.clip(normal(count, seed, 1, sigma_codes), -8, 7) & 15
        bound = np.zeros(count, np.int64)
        if bound_unit:
            mean_bound = (self.bound_up - self.bound_down) / 2 * (1 << config.cell_frac)
            bound = np.clip(normal(count, seed, 2, self.bound_spread * mean_bound / bound_unit), -7, 7)
        if self.stuck:
            bound = np.where(draws(count, seed, 0x57, 3) < self.stuck * 2**32, STUCK, bound)
        return (code | (bound & 15) << 4).astype(np.uint8).reshape(shape)


def standing(bound_up: float, bound_down: float, config: Config, seed: int) -> np.ndarray:
    """Return the words of real cells between such bounds as they stand at first, float64 (rows of all tiles, columns)."""
    bound = STANDING * min(bound_up, -bound_down)
    uniform = draws(config.rows * config.tile_cols, seed, 0x5EA1, 0).reshape(config.rows, config.tile_cols) / 2.0**31 - 1.0
    return np.rint(uniform * bound * (1 << config.cell_frac))


def _code_units(device: Device, config: Config) -> tuple[int, int]:
    """Return (step_unit, bound_unit): a code of 7 is about 2.5 sigma, limited to what the words hold."""
    step_unit = min(15, round(device.step_spread * (1 << FACTOR_FRAC) * 2.5 / 7)) if device.step_spread else 0
    lsb = 1 << config.cell_frac
    room = config.cell_max - round(max(device.bound_up, -device.bound_down) * lsb)
    inner = round(min(device.bound_up, -device.bound_down) * lsb)
    bound = device.bound_spread * (device.bound_up - device.bound_down) / 2 * lsb * 2.5 / 7
    return max(step_unit, int(device.step_spread > 0)), min(round(bound), room // 7, inner // 8)


def normal(count: int, seed: int, kind: int, sigma: float) -> np.ndarray:
    """Return integers of a near-normal distribution, int64 (count,): sum of 12 16-bit uniforms less 6, the same on every computer."""
    values = np.empty(count, np.int64)
    for start in range(0, count, SLICE):
        part = values[start : start + SLICE]
        words = (draws(len(part), seed, 0x57, kind, start=start + k * count) for k in range(6))
        total = sum((u & 0xFFFF) + (u >> 16) for u in words) - 12 * 32768
        part[:] = np.floor(total * (sigma / 65536.0) + 0.5)
    return values


class Bounded(Protocol):
    """A device with bounds, in device units."""

    @property
    def bound_up(self) -> float:
        """Upper bound of the conductance."""
        ...

    @property
    def bound_down(self) -> float:
        """Lower bound."""
        ...


def quantise_cells(device: Bounded, config: Config, weights: np.ndarray, weight_scale: float) -> np.ndarray:
    """Return cell words (int64) of logical weights, clamped to the device's nominal bounds and to a cell word."""
    lsb = 1 << config.cell_frac
    words = np.floor(np.asarray(weights, np.float64) / weight_scale * lsb + 0.5)
    low, high = round(device.bound_down * lsb), round(device.bound_up * lsb)
    return np.clip(words, max(low, -config.cell_max), min(high, config.cell_max)).astype(np.int64)


def with_values(device: Device, **values: float) -> Device:
    """Return a device with some parameters changed; unknown names raise ValueError."""
    known = {f.name for f in fields(device)}
    for name in values:
        if name not in known:
            raise ValueError(f"Unknown device parameter {name}; known are {', '.join(sorted(known - {'name'}))}")
    return replace(device, **values)


def parameter_bits(config: Config, offset: int) -> int | None:
    """Return the bits of a TILE word: negative if signed, 0 if this build leaves it out, None if there is no such word."""
    if config.device is DeviceKind.REAL:
        return None
    linear = config.device is DeviceKind.LINEAR_STEP
    if TileParameter.ROOT <= offset < TILE_WORDS:
        present = linear and offset <= TileParameter.ROOT + config.pulse_max
        return PARAMETER_BITS[TileParameter.ROOT] if present else 0
    if offset not in set(map(int, TileParameter)):
        return None
    parameter = TileParameter(offset)
    if parameter in _TWINS.values() and config.steps == 1:
        return 0
    if parameter in (TileParameter.BASE_UP, TileParameter.BASE_DOWN):
        return min(PARAMETER_BITS[parameter], config.cell_frac + 2) if config.device is not DeviceKind.TABLE else 0
    if parameter in (TileParameter.SLOPE_UP, TileParameter.SLOPE_DOWN):
        present = linear
    elif parameter in (TileParameter.BOUND_UP, TileParameter.BOUND_DOWN):
        present = bool(config.bounds)
    elif parameter in (TileParameter.STEP_UNIT, TileParameter.BOUND_UNIT):
        present = linear and bool(config.spread)
    else:
        present = parameter is not TileParameter.READ_SIGMA or bool(config.read_noise)
    return PARAMETER_BITS[parameter] if present else 0


def twins(config: Config, offset: int) -> list[int]:
    """Return the TILE words that follow the one at `offset`: with one step, those of the way up are for both directions."""
    return [int(_TWINS[TileParameter(offset)])] if config.steps == 1 and offset in _TWINS else []


def fixed_words(config: Config) -> dict[int, int]:
    """Return the TILE words that a configuration has fixed, by offset: without bounds of their own, cells end where their words do."""
    if config.bounds:
        return {}
    return {_BOUND_UP: config.cell_max, _BOUND_DOWN: -config.cell_max - 1}


@inlined
def shared_words(tile, cell_bits):
    """Return the words that all updates share, which a compiler can keep: two bases, slopes, bounds, units, the sign bit of a cell."""
    return (
        (np.int64(tile[_BASE_UP]), np.int64(tile[_BASE_DOWN])),
        (np.int64(tile[_SLOPE_UP]), np.int64(tile[_SLOPE_DOWN])),
        (np.int64(tile[_BOUND_UP]), np.int64(tile[_BOUND_DOWN])),
        (np.int64(tile[_STEP_UNIT]), np.int64(tile[_BOUND_UNIT])),
        1 << (cell_bits - 1),
    )


@inlined
def write_noise(tile, size, word):
    """Return the noise of `size` pulses in one go, before the rounding; `word` is the lane's write-noise word. int64 or lanes."""
    root = where(size == 1, tile[_ROOT + 1], where(size == 2, tile[_ROOT + 2], 0 * size))
    if count(size > 2):  # rare: looking for each number is then sooner done than each lane's look into the table
        for n in range(3, peak(size) + 1):
            root = where(size == n, tile[_ROOT + n], root)
    return gauss(word) * root


@inlined
def own_words(spread, shared):
    """Return what a cell's spread word says, 0 where there is none: its step factor, upper and lower bound, whether it is stuck.

    f = 128 + step_code * step_unit. int64 or lanes.
    """
    (bound_up, bound_down), (step_unit, bound_unit) = shared[2], shared[3]
    step, bound = (spread & 15) ^ 8, (spread >> 4) ^ 8  # codes and 8
    more = bound * bound_unit
    factor = (1 << FACTOR_FRAC) - 8 * step_unit + step * step_unit
    return factor, bound_up - 8 * bound_unit + more, bound_down + 8 * bound_unit - more, bound == STUCK + 8


@inlined
def update(g, pulses, own, noise, shared):
    """Return a cell after pulses (signed) in one go; `own` is from `own_words`, `shared` from `shared_words`. int64 or lanes.

    The largest product, 31 pulses of the largest step, takes 30 bits (docs/machine.md, The tile):

        step  = max(0, base - ((slope * G) >> 16))
        G     = clamp(G + rshift(+- n * f * step + noise, 13), lo, hi)
    """
    wanted = g + rshift(pulses * _weight(g, pulses > 0, own, shared) + noise, UPDATE_FRAC)
    return _bounded(g, wanted, pulses == 0, own, shared)


@inlined
def take(g, pulses, own, noise, chance, shared):
    """Return a cell after a part of pulses, float64 as their noise: `update`, but rounded up with the probability of what is cut off.

    `chance` is uniform from 0 to 1: a disturbance far below one cell LSB moves the cell as far in the long run as it should.
    """
    wanted = g + np.int64(np.floor((pulses * _weight(g, pulses > 0.0, own, shared) + noise) / (1 << UPDATE_FRAC) + chance))
    return _bounded(g, wanted, pulses == 0.0, own, shared)


@inlined
def _weight(g, up, own, shared):
    """Return what one pulse up or down moves a cell by, in 2^-13 cell LSB."""
    bases, slopes = shared[:2]
    base, slope = where(up, bases[0], bases[1]), where(up, slopes[0], slopes[1])
    return own[0] * max(base - (slope * g >> SLOPE_SHIFT), 0)


@inlined
def _bounded(g, wanted, still, own, shared):
    """Return what a cell that wants to move to a place moves to: its bounds end it, and a stuck cell never moves."""
    _, high, low, stuck = own
    sign = shared[4]
    moved = where(wanted > high, high, max(wanted, low))
    # Bounds may be beyond a cell word, which keeps its low bits.
    moved = ((moved & (2 * sign - 1)) ^ sign) - sign
    return where(still | stuck, g, moved)


_ECRAM = Device(
    name="ecram",
    dw_min=0.002,
    bound_up=1.17,
    bound_down=-0.83,
    slope_up=0.115,
    slope_down=0.509,
    write_noise=0.3,
    step_spread=0.1,
    bound_spread=0.05,
)

PRESETS = {
    d.name: d
    for d in (
        Device(name="ideal"),
        _ECRAM,
        replace(_ECRAM, name="ecram-uniform", step_spread=0.0, bound_spread=0.0),
        Device(
            name="ecram-mo",
            dw_min=2.82e-4,
            bound_up=1.17,
            bound_down=-0.83,
            slope_up=0.415,
            slope_down=0.734,
            write_noise=2.0,
            step_spread=0.1,
            bound_spread=0.05,
        ),
    )
}
"""Devices by name, with the field's usual figures: ideal (1000 states), ECRAM of Li (IEDM 2018), with cells alike, of oxide (IEDM 2019)."""


def device_for(config: Config) -> Device:
    """Return the ECRAM of Li with as much of it as a board can carry."""
    if config.device is DeviceKind.IDEAL:
        return PRESETS["ideal"]
    return PRESETS["ecram" if config.spread else "ecram-uniform"]

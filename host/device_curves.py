"""What a measurement says of itself: its range, mean ramps, spread, drift, doubts."""

from dataclasses import dataclass, field

import numpy as np

from backpulse.host.device_models import LEAST_SHARE, Curve
from backpulse.host.device_noise import MANY_RAMPS, aligned
from backpulse.host.device_traces import Measured, Ramp, Steps
from backpulse.host.errors import InputError

GRID = np.linspace(0, 1, 65)
"""Places of the range that tables of several devices are averaged at."""
MOST_PULSES = 2000
"""Pulses that a table of steps is followed for."""
FEW_POINTS = 16
"""Fewer points of a ramp are warned of."""
DIFFERENT = 0.1
"""Share of the range by which ends may differ, and of pulses by which cycles may drift, without a warning."""


@dataclass
class Ways:
    """A measurement in its range.

    Parameters
    ----------
    low, high : float
        Ends of the range, in siemens or as the file's numbers.
    curves : dict
        Mean ramp by direction (True: up).
    steps : dict
        Of tables: places, mean steps and their sigma by direction, in ranges.
    spread : dict
        From cell to cell: `step`, `symmetry` (of steps up against those down) and `bound`, relative; empty where there is one device.
    drift : float or None
        Change of the pulses that a ramp takes, from the first quarter of the cycles to the last.
    shift : tuple of float or None
        Standard deviations of the ends of the range, lower and upper, from ramp to ramp of one device, in ranges: the curves are without
        this movement. None of few ramps.
    warnings : list of str
    """

    low: float
    high: float
    curves: dict[bool, Curve] = field(default_factory=dict)
    steps: dict[bool, tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    drift: float | None = None
    shift: tuple[float, float] | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def range(self) -> float:
        """From the lowest to the highest conductance."""
        return self.high - self.low


def ways_of(measured: Measured) -> Ways:
    """Return the mean ramps of a measurement and what it says of cells and cycles."""
    return _of_steps(measured.steps) if measured.steps else _of_ramps(measured.ramps)


def _of_ramps(ramps: list[Ramp]) -> Ways:
    devices, shift = list(dict.fromkeys(ramp.device for ramp in ramps)), None
    if len(devices) == 1:
        ramps, shift = aligned(ramps)
    values = np.concatenate([ramp.g for ramp in ramps])
    ways = Ways(float(values.min()), float(values.max()))
    ways.shift = shift and (shift[0] / ways.range, shift[1] / ways.range)
    for up in (True, False):
        placed = [(ramp.n - ramp.n[0], (ramp.g - ways.low) / ways.range) for ramp in ramps if ramp.up is up]
        ways.curves[up] = Curve(up, *_mean(placed), tuple(placed))
        _doubts(ways, up)
    _ends(ways)
    if len(devices) > 1:
        own = [[ramp for ramp in ramps if ramp.device == device] for device in devices]
        lows = np.array([min(ramp.g.min() for ramp in of) for of in own])
        highs = np.array([max(ramp.g.max() for ramp in of) for of in own])
        up, down = (
            np.array([np.mean([np.ptp(ramp.g) / max(ramp.n[-1] - ramp.n[0], 1) for ramp in of if ramp.up is up] or [np.nan]) for of in own])
            for up in (True, False)
        )
        _spread(ways, lows, highs, up, down)
    ways.drift = _drift(ways, ramps)
    return ways


def _mean(placed: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of ramps, as long as half of them go on."""
    if len(placed) == 1:
        return placed[0]
    ends = np.sort([n[-1] for n, _ in placed])
    n = np.arange(int(ends[len(ends) // 2]) + 1, dtype=np.float64)
    total, there = np.zeros(len(n)), np.zeros(len(n))
    for at, x in placed:
        inside = n <= at[-1]
        total[inside] += np.interp(n[inside], at, x)
        there += inside
    return n, total / there


def _of_steps(tables: list[Steps]) -> Ways:
    devices = list(dict.fromkeys(table.device for table in tables))
    ends = {d: (min(t.g[0] for t in tables if t.device == d), max(t.g[-1] for t in tables if t.device == d)) for d in devices}
    lows, highs = np.array([ends[d][0] for d in devices]), np.array([ends[d][1] for d in devices])
    ways = Ways(float(lows.mean()), float(highs.mean()))
    mean_steps = []
    for up in (True, False):
        of = [table for table in tables if table.up is up]
        sign = 1 if up else -1
        scaled = []
        for table in of:
            low, high = ends[table.device]
            x = (table.g - low) / (high - low)
            scaled.append((x, sign * table.mean / (high - low), table.sigma / (high - low)))
        x = scaled[0][0] if len(of) == 1 else GRID
        mean = np.mean([np.interp(x, at, step) for at, step, _ in scaled], axis=0)
        sigma = np.sqrt(np.mean([np.interp(x, at, noise) ** 2 for at, _, noise in scaled], axis=0))
        if mean.mean() <= 0:
            raise InputError(f"{of[0].where}: the mean step goes against its direction: mend the signs, or name the columns anew")
        if (mean < 0).any():
            ways.warnings.append(
                f"Pulses {_word(up)} move the wrong way in {100 * np.mean(mean < 0):.0f} % of the range: taken as the least step"
            )
        by_device = {table.device: float(np.mean(step)) for table, (_, step, _) in zip(of, scaled, strict=True)}
        mean_steps.append(np.array([by_device.get(device, np.nan) for device in devices]) * (highs - lows))
        ways.steps[up] = (x, np.maximum(mean, LEAST_SHARE * mean.mean()), sigma)
        ways.curves[up] = _followed(up, x, ways.steps[up][1])
    if len(devices) > 1:
        _spread(ways, lows, highs, *mean_steps)
    return ways


def _followed(up: bool, x: np.ndarray, steps: np.ndarray) -> Curve:
    """Return the ramp that a table of steps makes, from one end of the range to the other."""
    at = [0.0 if up else 1.0]
    while len(at) <= MOST_PULSES and 0 <= at[-1] <= 1:
        at.append(at[-1] + (1 if up else -1) * float(np.interp(at[-1], x, steps)))
    at[-1] = min(max(at[-1], 0.0), 1.0)
    n, places = np.arange(len(at), dtype=np.float64), np.array(at)
    return Curve(up, n, places, ((n, places),))


def _word(up: bool) -> str:
    return "up" if up else "down"


def _doubts(ways: Ways, up: bool) -> None:
    """Warn of few points and ways that turn back."""
    from scipy.ndimage import uniform_filter1d

    curve = ways.curves[up]
    if len(curve.x) < FEW_POINTS:
        ways.warnings.append(
            f"The ramp {_word(up)} has {len(curve.x)} points only: give at least {FEW_POINTS} for a fit that can be trusted"
        )
    window = max(min(9, len(curve.x) // 8), len(curve.x) // 40, 1)
    smooth = uniform_filter1d(curve.x, window)[window // 2 : len(curve.x) - window // 2] * (1 if up else -1)
    back = np.maximum.accumulate(smooth) - smooth
    if back.max() > max(0.05, 6 * curve.floor() / np.sqrt(window)):
        at = int(np.argmax(back)) + window // 2
        ways.warnings.append(
            f"The ramp {_word(up)} is not monotone: it goes back by {100 * back.max():.0f} % of the range at pulse {curve.n[at]:.0f}, "
            "which no model of one step has"
        )


def _ends(ways: Ways) -> None:
    """Warn of ranges that differ in the two directions."""
    ends = {up: (float(curve.x.min()), float(curve.x.max())) for up, curve in ways.curves.items()}
    apart = max(abs(ends[True][k] - ends[False][k]) for k in (0, 1))
    if apart > DIFFERENT + 4 * max(curve.floor() for curve in ways.curves.values()):
        (a, b), (c, d) = ends[True], ends[False]
        ways.warnings.append(
            f"The ranges differ: up {100 * a:.0f} to {100 * b:.0f} % and down {100 * c:.0f} to {100 * d:.0f} % of the whole; where one "
            "direction has no data its step is extended"
        )


def _spread(ways: Ways, lows: np.ndarray, highs: np.ndarray, up: np.ndarray, down: np.ndarray) -> None:
    """Take the spread of cells: of steps relative to their mean, of what ways up have more than ways down, of ends to half the range.

    `up` and `down` are the mean steps of each device, NaN where it has no such way.
    """
    half = (highs - lows).mean() / 2
    bound = float(np.sqrt((np.var(lows, ddof=1) + np.var(highs, ddof=1)) / 2) / half)
    if bound > 1:
        ways.warnings.append(
            f"The ranges of the devices differ by {100 * bound:.0f} % of half of one: they are on no common scale, each is taken in its own"
        )
        up, down = up / (highs - lows), down / (highs - lows)
    else:
        ways.spread["bound"] = bound
    logs = np.log(np.maximum([up, down], 1e-300))
    ways.spread["step"] = float(np.std(np.nanmean(logs, axis=0), ddof=1))
    both = ~np.isnan(logs).any(axis=0)
    if both.sum() > 1:
        ways.spread["symmetry"] = float(np.std((logs[0] - logs[1])[both] / 2, ddof=1))


def _drift(ways: Ways, ramps: list[Ramp]) -> float | None:
    """Return how the pulses that ramps take through the middle of the range change with the cycles, and warn if they do."""
    changes = []
    for up in (True, False):
        of = [ramp for ramp in ramps if ramp.up is up]
        if len({ramp.device for ramp in of}) > 1 or len(of) < MANY_RAMPS:
            continue
        taken = np.array([np.sum((x > 0.25) & (x < 0.75)) + 1.0 for _, x in ways.curves[up].ramps])
        quarter = len(taken) // 4
        changes.append(float(taken[-quarter:].mean() / taken[:quarter].mean() - 1))
    if not changes:
        return None
    worst = max(changes, key=abs)
    if abs(worst) > DIFFERENT:
        ways.warnings.append(f"The device drifts with its cycles: ramps take {100 * worst:+.0f} % pulses at the end, and no model has that")
    return worst

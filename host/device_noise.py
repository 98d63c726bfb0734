"""What a measurement says of noise and of cycles: what stays of a pulse, what a reading alone has, and how ramps of one device differ."""

from dataclasses import dataclass, replace

import numpy as np

from backpulse.host.device_models import Curve, Fitted
from backpulse.host.device_traces import Ramp

LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Pulses between the points that noise is told by."""
LONG_LAG = 48
"""Lags up to here at least tell noise that lasts for some pulses from noise that stays."""
LASTS = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
"""Pulses that such noise is tried to last for."""
CLEARER = 0.5
"""A model of more parts is taken where it leaves less than this share of what the simpler one does."""
WINDOWS = 0.9
"""Share of what starts of their own leave of ramps, below which windows of their own are taken."""
PARTS = 8
"""Of the range, whose noise is told apart."""
LEAST_PAIRS = 60
"""Fewest pairs of points that tell the noise of such a part."""
MANY_RAMPS = 8
"""Ramps of one device and direction from which drift, and what differs from ramp to ramp, are told."""
LEAST_COMMON = 16
"""Points that they must have in common for that."""


@dataclass(frozen=True)
class Noise:
    """Noise in ranges; places of the range are from 0 to 1.

    Parameters
    ----------
    apparent : float
        Of a reading, which the next one does not keep.
    lasting : float
        Of readings, which some keep and none for long.
    lasts : float
        Pulses after which 1/e of that is left; 0 where nobody knows.
    persistent : dict
        Of a pulse, which stays: places and standard deviations by direction (True: up).
    step : float or None
        Standard deviation of the steps from ramp to ramp of one device, relative; None of few ramps.
    """

    apparent: float
    lasting: float
    lasts: float
    persistent: dict[bool, tuple[np.ndarray, np.ndarray]]
    step: float | None = None

    @property
    def reading(self) -> float:
        """All that a reading has and no cell keeps."""
        return float(np.hypot(self.apparent, self.lasting))


def noise(curves: dict[bool, Curve], fitted: dict[bool, Fitted]) -> Noise:
    """Tell what of the noise stays.

    The variance of what a model leaves of G[n + L] - G[n] grows as 2 a^2 + 2 b^2 (1 - exp(-L / T)) + L p^2: a is the noise of a reading, b
    that of readings which lasts for some T pulses, and p that of a pulse, which stays.
    """
    pairs = {up: _differences(fitted[up]) for up in curves}
    whole = {up: _parts({lag: left for lag, (_, left) in of.items()}) for up, of in pairs.items()}
    apparent, lasting = (float(np.sqrt(np.mean([part[k] ** 2 for part in whole.values()]))) for k in (0, 1))
    persistent = {up: _by_place(pairs[up], whole[up]) for up in curves}
    steps = []
    for up, curve in curves.items():
        if len(curve.ramps) >= MANY_RAMPS:
            stays, differ, wobble = _of_ramps(fitted[up], apparent, persistent[up])
            persistent[up] = (persistent[up][0], stays * persistent[up][1])
            steps.append(differ)
            lasting = max(lasting, float(np.sqrt(max(wobble**2 - apparent**2, 0.0))))
    step = float(np.sqrt(np.mean(np.square(steps)))) if steps else None
    return Noise(apparent, lasting, max(part[2] for part in whole.values()), persistent, step)


def _by_place(pairs: dict[int, tuple[np.ndarray, np.ndarray]], whole: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise that stays in parts of the range."""
    a, b, lasts, p = whole
    edges = np.linspace(0, 1, PARTS + 1)
    found = np.full(PARTS, p)
    for k in range(PARTS if p else 0):
        inside = {lag: left[(at >= edges[k]) & (at <= edges[k + 1])] for lag, (at, left) in pairs.items()}
        known = [(lag, float(np.var(left))) for lag, left in inside.items() if len(left) >= LEAST_PAIRS]
        if known:
            lag, variance = np.array(known).T
            rest = variance - 2 * a**2 - 2 * b**2 * _lost(lag, lasts)
            trust = 1 / np.maximum(variance * np.sqrt(lag), 1e-30) ** 2
            found[k] = np.sqrt(max(np.sum(trust * lag * rest) / np.sum(trust * lag**2), 0.0))
    return (edges[1:] + edges[:-1]) / 2, found


def _of_ramps(fitted: Fitted, apparent: float, persistent: tuple[np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    """Return the share of the noise of pulses that whole ramps keep, how their steps differ, relative, and what comes and goes in them.

    A pulse's noise p at place x has moved a ramp that is n pulses on by p s(n) / s(x), s being the step, and steps larger by f move it by
    f n s(n); the variance over the ramps is the sum of both.
    """
    from scipy.optimize import nnls

    ramps = fitted.curve.ramps
    common = min(len(x) for _, x in ramps)
    all_of = np.array([x[:common] for _, x in ramps])
    mean = all_of.mean(axis=0)
    step = np.maximum(fitted.steps(mean), 1e-9)
    variance = np.maximum(all_of.var(axis=0, ddof=1) - apparent**2, 0.0)
    walked = np.concatenate([[0.0], np.cumsum((np.interp(mean, *persistent) / step)[:-1] ** 2)])
    gone = np.arange(common, dtype=np.float64) ** 2
    trust = 1 / (variance + variance.mean() / 4)
    columns = np.stack([walked, gone], axis=1) * (step**2 * trust)[:, None]
    (stays, differ), _ = nnls(columns, variance * trust)
    stays = min(stays, 1.0)
    basis = np.linalg.qr(np.stack([np.ones(common), step * np.arange(common)], axis=1))[0]
    own = (all_of - mean).T
    wobble = float(np.mean((own - basis @ (basis.T @ own)) ** 2)) * (1 - stays)
    return float(np.sqrt(stays)), float(np.sqrt(differ)), float(np.sqrt(wobble))


def _lost(lag: np.ndarray, lasts: float) -> np.ndarray:
    """Return the share of lasting noise that is another one so many pulses later."""
    return -np.expm1(-lag / lasts) if lasts else np.zeros(len(lag))


def _parts(lefts: dict[int, np.ndarray]) -> tuple[float, float, float, float]:
    """Return apparent noise, lasting noise and its pulses, persistent noise of a direction."""
    from scipy.optimize import nnls

    found = [(float(lag), float(np.var(left))) for lag, left in lefts.items() if len(left) > 3]
    if not found:
        return 0.0, 0.0, 0.0, 0.0
    lag, variance = np.array(found).T
    trust = 1 / np.maximum(variance * np.sqrt(lag), 1e-30)  # of fewer independent pairs the longer they are

    def solve(*columns: np.ndarray) -> tuple[np.ndarray, float]:
        return nnls(np.stack(columns, axis=1) * trust[:, None], variance * trust)

    (a2, p2), left = solve(np.full(len(lag), 2.0), lag)
    best = (a2, 0.0, 0.0, p2)
    if lag[-1] >= LONG_LAG:
        for lasts in LASTS:
            (a2, b2, p2), less = solve(np.full(len(lag), 2.0), 2 * _lost(lag, lasts), lag)
            if less < CLEARER * left:
                best, left = (a2, b2, lasts, p2), less / CLEARER
    a2, b2, lasts, p2 = best
    return float(np.sqrt(a2)), float(np.sqrt(b2)), lasts, float(np.sqrt(p2))


def _differences(fitted: Fitted) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return, by lag, the places and what the model leaves of the way between two points so many pulses apart."""
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    sign, ramps = 1 if fitted.curve.up else -1, fitted.curve.ramps
    ways = [np.concatenate([[0.0], np.cumsum(sign * fitted.steps(x[:-1]) * np.diff(n))]) for n, x in ramps]
    for lag in LAGS:
        parts = [
            (x[:-lag], (x[lag:] - x[:-lag]) - (way[lag:] - way[:-lag])) for (_, x), way in zip(ramps, ways, strict=True) if len(x) > 4 * lag
        ]
        if parts:
            # Less each ramp's own mean: cells and cycles that differ are no noise.
            found[lag] = (np.concatenate([at for at, _ in parts]), np.concatenate([left - left.mean() for _, left in parts]))
    return found


def aligned(ramps: list[Ramp]) -> tuple[list[Ramp], tuple[float, float] | None]:
    """Return the ramps of one device without what moves their window from ramp to ramp, and the standard deviations of its two ends.

    A ramp is the mean of all, m(n), but for a window of its own or a start of its own, and for steps that are larger or smaller by a share
    f: m(n) + c + f n m'(n), or m(n) + (d + f n) m'(n). Where the windows leave clearly less than the starts do, they are it: the device
    is at the same place of its curve, and reads otherwise; ramps tell best of the end that they begin at. Few ramps are returned as they
    are, with None.
    """
    from scipy.ndimage import uniform_filter1d

    by_way = {up: [ramp for ramp in ramps if ramp.up is up] for up in (True, False)}
    common = {up: min((len(ramp.g) for ramp in of), default=0) for up, of in by_way.items()}
    if any(len(of) < MANY_RAMPS or common[up] < LEAST_COMMON for up, of in by_way.items()):
        return ramps, None
    shifts: dict[bool, np.ndarray] = {}
    left = np.zeros(2)
    for up, of in by_way.items():
        g = np.array([ramp.g[: common[up]] for ramp in of])
        mean = g.mean(axis=0)
        step = uniform_filter1d(np.gradient(mean), 9)
        for k, first in enumerate((np.ones(common[up]), step)):
            columns = np.stack([first, step * np.arange(common[up])], axis=1)
            values = np.linalg.lstsq(columns, (g - mean).T, rcond=None)[0]
            left[k] += np.sum(((g - mean).T - columns @ values) ** 2)
            if not k:
                shifts[up] = values[0]
    if left[0] > WINDOWS * left[1]:
        return ramps, (0.0, 0.0)
    moved = {id(ramp): shift for up, of in by_way.items() for ramp, shift in zip(of, shifts[up], strict=True)}
    low, high = (float(np.std(shifts[up], ddof=1)) for up in (True, False))
    return [replace(ramp, g=ramp.g - moved[id(ramp)]) for ramp in ramps], (low, high)

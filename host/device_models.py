"""Models of a pulse's step by conductance, fitted to the conductance over the pulses: linear, soft bounds, exponential, power, table.

x is the place in the measured range, 0 to 1, and t the way gone in the direction of travel: x upwards, 1 - x downwards. A model is
judged by the root mean square of what it leaves of G(n), as a person sees it in a picture, not by steps: errors that add up count.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

NODES = 33
"""Nodes of a table over the range, its ends among them."""
MOST_STEPS = 128
"""Steps that a ramp is followed in; of longer ones several pulses are taken in one."""
MOST_POINTS, MOST_RAMPS = 1536, 24
"""Points that a fit sees, of longer ramps means of neighbours; and ramps, of more some evenly chosen."""
LEAST_SHARE = 0.02
"""Smallest step at a node, in mean steps: a cell would never leave a place without any."""
STIFFNESS, LEAST_STIFFNESS = 0.3, 2e-3
"""What a table pays for bends, in noise floors, and at least, in ranges: where few pulses tell of a node, its neighbours do."""

Step = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Curve:
    """The mean ramp of one direction.

    Parameters
    ----------
    up : bool
    n : ndarray
        Pulses, from 0.
    x : ndarray
        Place in the range, 0 to 1.
    ramps : tuple
        Pulses and places of each ramp that it is the mean of.
    """

    up: bool
    n: np.ndarray
    x: np.ndarray
    ramps: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def pulses(self) -> float:
        """Pulses of the ramp."""
        return float(self.n[-1])

    @property
    def mean_step(self) -> float:
        """Range by pulse."""
        return max(float(abs(self.x[-1] - self.x[0])) / self.pulses, 1e-9)

    def floor(self) -> float:
        """Return what a mean of nine neighbours leaves: no model that is smooth does better."""
        if len(self.x) < 18:
            return 0.0
        from scipy.ndimage import uniform_filter1d

        left = self.x - uniform_filter1d(self.x, 9)
        return float(np.sqrt(np.mean(left[4:-4] ** 2)))

    def points(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Return pulses, places and weights of what a fit sees: of at most `MOST_RAMPS` ramps at most `MOST_POINTS` points together."""
        chosen = [self.ramps[k] for k in np.unique(np.linspace(0, len(self.ramps) - 1, MOST_RAMPS).astype(int))]
        size = -(-sum(len(x) for _, x in chosen) // MOST_POINTS)
        found = []
        for n, x in chosen:
            starts = np.arange(0, len(x), size)
            counts = np.diff(np.append(starts, len(x)))
            found.append((np.add.reduceat(n, starts) / counts, np.add.reduceat(x, starts) / counts, np.sqrt(counts)))
        return found


@dataclass(frozen=True)
class Model:
    """A form of the step.

    Parameters
    ----------
    name : str
    step : function
        Of t, (batch,), and parameters, (batch, count), to the step, (batch,).
    first, low, high : tuple of float
        Parameters to begin with, and their limits; the first one is in mean steps.
    """

    name: str
    step: Step
    first: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


MODELS = (
    Model("linear", lambda t, p: p[:, 0] * (1 - (1 - p[:, 1]) * t), (1.5, 0.5), (1e-3, 0.0), (100.0, 1.0)),
    Model("soft bounds", lambda t, p: p[:, 0] * (1 - t), (3.0,), (1e-3,), (100.0,)),
    Model(
        "exponential",
        lambda t, p: p[:, 0] * np.exp(-p[:, 1] * t) + p[:, 2],
        (1.5, 1.0, 0.1),
        (1e-4, -20.0, 0.0),
        (1000.0, 20.0, 10.0),
    ),
    Model(
        "power",
        lambda t, p: p[:, 0] * np.maximum(1 - t, 1e-9) ** p[:, 1] + p[:, 2],
        (1.5, 1.0, 0.1),
        (1e-4, 0.0, 0.0),
        (1000.0, 20.0, 10.0),
    ),
)
"""Closed forms. NeuroSim's A and B are the exponential of pulses whose step is linear in the conductance: it is no model of its own."""


def _table_step(t: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    place = np.clip(t, 0, 1) * (NODES - 1)
    k = np.minimum(place.astype(np.int64), NODES - 2)
    batch = np.arange(len(t))
    low = nodes[batch, k]
    return low + (nodes[batch, k + 1] - low) * (place - k)


@dataclass(frozen=True)
class Fitted:
    """A model with its parameters.

    Parameters
    ----------
    name : str
    curve : Curve
        What it was fitted to.
    values : ndarray
        Parameters of the step; those that are steps are in units of the range.
    start : float
        Place where the ramps begin, their mean.
    residual : float
        Root mean square of what is left of all ramps, in ranges.
    """

    name: str
    curve: Curve
    values: np.ndarray
    start: float
    residual: float

    def steps(self, x: np.ndarray) -> np.ndarray:
        """Return the step at places of the range, positive in both directions."""
        t = np.clip(x if self.curve.up else 1 - x, 0, 1)
        return np.maximum(_STEPS[self.name](t, np.broadcast_to(self.values, (len(t), len(self.values)))), 0)

    def ramp(self) -> tuple[np.ndarray, np.ndarray]:
        """Return pulses and places of the fitted ramp."""
        start = np.array([self.start if self.curve.up else 1 - self.start])
        n, t = follow(_STEPS[self.name], self.values[None], start, self.curve.pulses)
        return n, t[:, 0] if self.curve.up else 1 - t[:, 0]


_STEPS: dict[str, Step] = {model.name: model.step for model in MODELS} | {"table": _table_step}
NAMES = tuple(_STEPS)
"""Models by name."""


def follow(step: Step, values: np.ndarray, start: np.ndarray, pulses: float) -> tuple[np.ndarray, np.ndarray]:
    """Follow ramps of several sets of parameters at once.

    Parameters
    ----------
    step : function
    values : ndarray
        (batch, count).
    start : ndarray
        t before the first pulse, (batch,).
    pulses : float

    Returns
    -------
    n : ndarray
        Pulses, (points,).
    t : ndarray
        (points, batch).
    """
    size = max(-(-int(np.ceil(pulses)) // MOST_STEPS), 1)
    count = max(-(-int(np.ceil(pulses)) // size), 1)
    t = np.empty((count + 1, len(values)))
    t[0] = now = start
    for k in range(1, count + 1):
        if size == 1:
            now = now + step(now, values)
        else:  # several pulses in one, each from where half of them have led
            now = now + size * step(np.minimum(now + (size - 1) / 2 * step(now, values), 1.0), values)
        t[k] = now = np.clip(now, -0.2, 1.0)
    return np.arange(count + 1) * float(size), t


def fit(name: str, curve: Curve, first: np.ndarray | None = None) -> Fitted:
    """Fit a model to a ramp.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    curve : Curve
    first : ndarray, optional
        Of a table: steps at the nodes to begin with, upwards in x.
    """
    from scipy.optimize import least_squares

    points = curve.points()
    unit = curve.mean_step
    closed = next((model for model in MODELS if model.name == name), None)
    stiffness = 0.0
    if closed:
        step, begin, low, high = closed.step, np.array(closed.first), np.array(closed.low), np.array(closed.high)
        scale = np.array([unit if k != 1 else 1.0 for k in range(len(begin))])
    else:
        step = _table_step
        nodes = np.ones(NODES) if first is None else (first if curve.up else first[::-1]) / unit
        low, high = np.full(NODES, LEAST_SHARE), np.full(NODES, max(200.0, 1.5 / unit))
        begin, scale = np.clip(nodes, 1.5 * LEAST_SHARE, high * 0.9), np.full(NODES, unit)
        stiffness = max(STIFFNESS * curve.floor(), LEAST_STIFFNESS) * np.sqrt(sum(len(n) for n, _, _ in points))
    count, ramps = len(begin), len(points)
    n = [at for at, _, _ in points]
    target = np.concatenate([x if curve.up else 1 - x for _, x, _ in points])
    weights = np.concatenate([weight for _, _, weight in points])
    of_ramp = np.repeat(np.arange(ramps), [len(at) for at in n])
    begin = np.concatenate([begin, np.clip([x[0] if curve.up else 1 - x[0] for _, x, _ in points], -0.1, 0.9)])
    low, high = np.append(low, np.full(ramps, -0.15)), np.append(high, np.full(ramps, 1.0))
    scale = np.append(scale, np.ones(ramps))

    def residuals(batch: np.ndarray) -> np.ndarray:
        """Return what sets of parameters leave, (points, batch): weighted points, and the bends of a table."""
        values = batch * scale
        sets, starts = values[:, :count], values[:, count:]
        at, t = follow(step, np.repeat(sets, ramps, axis=0), starts.ravel(), max(float(times[-1]) for times in n))
        t = t.reshape(len(at), len(batch), ramps)
        times = np.concatenate(n)
        k = np.minimum((times / at[1]).astype(np.int64), len(at) - 2)
        share = ((times - at[k]) / at[1])[:, None]
        left = (t[k, :, of_ramp] * (1 - share) + t[k + 1, :, of_ramp] * share - target[:, None]) * weights[:, None]
        if stiffness:
            relative = batch[:, :count]
            bends = np.diff(relative, 2, axis=1) / (1 + 0.5 * (relative[:, 2:] + relative[:, :-2]))
            left = np.concatenate([left, stiffness * bends.T])
        return left

    def jacobian(values: np.ndarray) -> np.ndarray:
        moves = 1e-6 * np.maximum(np.abs(values), 1e-2)
        moves = np.where(values + moves > high, -moves, moves)
        # A start moves its own ramp alone, so that one set moves all of them.
        moved = [np.eye(len(values))[:count] * moves, np.where(np.arange(len(values)) >= count, moves, 0.0)[None]]
        all_of = residuals(np.concatenate([values[None], values + moved[0], values + moved[1]]))
        found = np.zeros((len(all_of), len(values)))
        found[:, :count] = (all_of[:, 1:-1] - all_of[:, :1]) / moves[:count]
        rows = np.arange(len(of_ramp))
        found[rows, count + of_ramp] = (all_of[rows, -1] - all_of[rows, 0]) / moves[count + of_ramp]
        return found

    begin = np.clip(begin, low + 1e-9, high - 1e-9)
    solved = least_squares(
        lambda v: residuals(v[None])[:, 0],
        begin,
        jacobian,  # pyright: ignore[reportArgumentType] - SciPy's annotation knows the names alone
        (low, high),
        ftol=1e-5,
        max_nfev=60,
    )
    values, starts = solved.x[:count] * scale[:count], solved.x[count:]
    left = []
    chosen = [curve.ramps[k] for k in np.unique(np.linspace(0, len(curve.ramps) - 1, MOST_RAMPS).astype(int))]
    at, t = follow(step, np.repeat(values[None], ramps, axis=0), starts, max(float(times[-1]) for times, _ in chosen))
    for k, (times, x) in enumerate(chosen):
        left.append(np.interp(times, at, t[:, k]) - (x if curve.up else 1 - x))
    start = float(np.mean(starts)) if curve.up else 1 - float(np.mean(starts))
    return Fitted(name, curve, values, start, float(np.sqrt(np.mean(np.concatenate(left) ** 2))))


def fit_all(curve: Curve, steps: tuple[np.ndarray, np.ndarray] | None = None) -> dict[str, Fitted]:
    """Fit every model to a ramp.

    Parameters
    ----------
    curve : Curve
    steps : tuple of ndarray, optional
        Places and mean steps, where these were measured: the table is then theirs, and nothing is left to fit.
    """
    fitted = {model.name: fit(model.name, curve) for model in MODELS}
    x = np.linspace(0, 1, NODES)
    if steps is None:
        best = min(fitted.values(), key=lambda one: one.residual)
        fitted["table"] = fit("table", curve, best.steps(x))
        return fitted
    nodes = _projected(*steps)
    made = Fitted("table", curve, nodes if curve.up else nodes[::-1], float(curve.x[0]), 0.0)
    left = np.interp(curve.n, *made.ramp()) - curve.x
    fitted["table"] = replace(made, residual=float(np.sqrt(np.mean(left**2))))
    return fitted


def _projected(x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the steps at the nodes whose interpolation is nearest to a measured table."""
    from scipy.optimize import nnls

    fine = np.linspace(0, 1, 16 * (NODES - 1) + 1)
    place = fine * (NODES - 1)
    hats = np.maximum(1 - np.abs(place[:, None] - np.arange(NODES)), 0)
    return np.maximum(nnls(hats, np.interp(fine, x, steps))[0], LEAST_SHARE * steps.mean())

"""The map of `compare --map`: how far schedules are below `software`, over learning rate and width and over rate and depth.

Each point is a network at a rate on a device; its accuracy is the mean of the last epochs over the seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from backpulse.host.departure import DRIFTING, bound_of
from backpulse.host.settings import SOFTWARE, Prepared, Settings
from backpulse.host.sweep_table import summarise

RATES = {
    "sigmoid": (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0),
    "tanh": (0.025, 0.05, 0.1, 0.2, 0.4, 0.8),
    "relu": (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4),
}
"""By the function of the hidden layers: octaves from where all schedules learn alike to where `software` fails, too."""
WIDTHS, HIDDEN = (16, 32, 64, 128), 2
"""Widths at one number of hidden layers."""
DEPTHS, WIDTH = (1, 2, 3, 4, 6, 10), 32
"""Numbers of weight layers at one width."""
DEVICES = ("ideal", "ecram")
LAST = 3
"""Epochs whose accuracies are averaged: those of relu are noisy."""
LEARNS, UNSTEADY = 80.0, 5.0
"""Software's least accuracy, and its largest deviation over the seeds, in percent, where a departure can be spoken of."""
DEPARTS = 3.0
"""Points below `software` from which on a schedule has departed."""
NOISE = 0.3
"""Points that are none: distances are interpolated as powers of the rate, from there on."""
BY = ("activation", "device", "layers", "lr", "schedule")

Point = dict[str, Any]
"""`activation`, `device`, `layers`, `lr`, and for `software` and each schedule [mean, deviation] of the accuracy in percent."""


class Departure(NamedTuple):
    """Where a schedule leaves software: between two rates of the map, 0 or inf where it is beyond them."""

    low: float
    high: float
    at: float
    """Interpolated; the rate next to it where it is beyond the map's."""

    @property
    def inside(self) -> bool:
        """Whether it lies between rates of the map."""
        return self.low > 0 and self.high < np.inf

    def agrees(self, rate: float, factor: float) -> bool:
        """Say whether a predicted rate is within a factor of what is known of the departure."""
        if self.inside:
            return self.at / factor <= rate <= self.at * factor
        return rate <= self.high * factor if self.low == 0 else rate >= self.low / factor


def layers_of(inputs: int, outputs: int) -> tuple[list[str], list[str]]:
    """Return the networks of the map, as texts: by width, and by depth."""

    def text(width: int, hidden: int) -> str:
        return "-".join(map(str, (inputs, *[width] * hidden, outputs)))

    return [text(width, HIDDEN) for width in WIDTHS], [text(WIDTH, depth - 1) for depth in DEPTHS]


def runs_of(
    first: Settings, schedules: Iterable[str], rates: Mapping[str, Sequence[float]], devices: Iterable[str], seeds: int
) -> list[Settings]:
    """Return the settings of all runs, small networks first; those of `software` have the first device's name.

    Parameters
    ----------
    first : Settings
        What they have in common; of its layers inputs and outputs.
    schedules : iterable of str
        Besides `software`.
    rates : mapping
        Rates by the function of the hidden layers.
    devices : iterable of str
    seeds : int
        Runs of each, with seeds 1 to this.
    """
    network, devices = first.network, list(devices)
    texts = sorted({text: None for part in layers_of(network.layers[0], network.layers[-1]) for text in part}, key=_size)
    kinds = [(SOFTWARE, devices[0]), *product((name for name in schedules if name != SOFTWARE), devices)]
    return [
        first.changed(layers=layers, activation=activation, lr=lr, seed=seed, schedule=schedule, device=device)
        for layers, (activation, some), (schedule, device) in product(texts, rates.items(), kinds)
        for lr, seed in product(some, range(1, seeds + 1))
    ]


def _size(layers: str) -> int:
    sizes = [int(size) for size in layers.split("-")]
    return sum(a * b for a, b in pairwise(sizes))


def points_of(results: Iterable[tuple[Settings, Mapping[str, Any]]]) -> list[Point]:
    """Return the points of all runs."""
    software: dict[tuple[Any, ...], list[float]] = {}
    found: dict[tuple[Any, ...], Point] = {}
    for group in summarise(results, BY):
        activation, device, layers, lr, schedule = (group[name] for name in BY)
        ends = 100 * np.mean([curve[-LAST:] for curve in group["curves"]], axis=1)
        accuracy = [round(float(ends.mean()), 2), round(float(ends.std()), 2)]
        if schedule == SOFTWARE:
            software[activation, layers, lr] = accuracy
        else:
            place: Point = dict(zip(BY, (activation, device, layers, lr), strict=False))
            found.setdefault(tuple(place.values()), place)[schedule] = accuracy
    return [{**point, SOFTWARE: software[activation, layers, lr]} for (activation, _, layers, lr), point in found.items()]


def below(point: Point, schedule: str) -> float:
    """Return by how many points a schedule is below software."""
    return point[SOFTWARE][0] - point[schedule][0]


def learns(point: Point) -> bool:
    """Whether software learns, and much the same with every seed."""
    mean, deviation = point[SOFTWARE]
    return mean > LEARNS and deviation < UNSTEADY


def departure(points: Iterable[Point], schedule: str) -> Departure | None:
    """Return where a schedule leaves software with a rising rate, of the points of one network on one device.

    Rates below those at which it is near software do not count: a device may need more epochs there than software does. None where
    software learns at no rate.
    """
    steady = sorted((p["lr"], below(p, schedule)) for p in points if learns(p))
    if not steady:
        return None
    near = [place for place, (_, distance) in enumerate(steady) if distance <= DEPARTS]
    if not near:
        return Departure(0.0, steady[0][0], steady[0][0])
    for (low, close), (high, far) in pairwise(steady[near[0] :]):
        if far > DEPARTS:
            share = np.log(DEPARTS / max(close, NOISE)) / np.log(far / max(close, NOISE))
            return Departure(low, high, float(low * (high / low) ** share))
    return Departure(steady[-1][0], np.inf, steady[-1][0])


def departures(points: Sequence[Point], schedule: str) -> dict[tuple[str, str, str], Departure]:
    """Return the departures of a schedule by (activation, device, layers)."""
    groups: dict[tuple[str, str, str], list[Point]] = {}
    for p in points:
        groups.setdefault((p["activation"], p["device"], p["layers"]), []).append(p)
    return {key: found for key, some in groups.items() if (found := departure(some, schedule))}


def bounds(first: Settings, data: Prepared, unit: int, pairs: Iterable[tuple[str, str]], seeds: int) -> dict[tuple[str, str], float]:
    """Return the rate at which `progressive` should depart, the geometric mean over the seeds, by (activation, layers)."""

    def rate(activation: str, layers: str) -> float:
        runs = [first.changed(activation=activation, layers=layers, seed=seed, schedule=DRIFTING) for seed in range(1, seeds + 1)]
        return float(np.exp(np.mean([np.log(bound_of(run, data, unit)) for run in runs])))

    return {pair: rate(*pair) for pair in dict.fromkeys(pairs)}

"""The map of docs/learning.md (`make map`): runs on all cores, kept in build/map; started again, only what is missing is done.

From there to docs/map.json, one point a line, and to the picture and the section of the page.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.config import DEFAULT
from backpulse.host.cli_map import said
from backpulse.host.comparing import MAPPED, do_all
from backpulse.host.departure import DRIFTING, LIMIT, RANGE, SAMPLES, STEPS
from backpulse.host.learning_map import (
    DEPARTS,
    DEVICES,
    LAST,
    LEARNS,
    RATES,
    UNSTEADY,
    Departure,
    Point,
    below,
    bounds,
    departures,
    learns,
    points_of,
    runs_of,
)
from backpulse.host.learning_map_plots import plot_learning_map
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.sweep_run import prepared
from backpulse.host.sweep_view import duration
from backpulse.host.view import Terminal

from .table import PAGE, table, with_section

FOLDER = Path(__file__).parents[1] / "build" / "map"
DOCS = Path(__file__).parents[1] / "docs"
SUMMARY = DOCS / "map.json"
EPOCHS, SEEDS = 10, 3
STAYS = 1.0
"""Points from software within which `progressive` needs no remark."""
FACTOR = 2.0
"""What the bound should be within, in rate."""
TILE = "128x32"


def elsewhere() -> Iterator[Settings]:
    """Yield points of other kinds: layers of unequal width, cross-entropy, other data."""
    for layers, lr in product(("64-128-32-10", "64-32-128-10", "64-64-16-10", "64-16-64-10"), (0.125, 0.25, 0.5, 1.0)):
        yield Settings(layers=layers, lr=lr)
    for layers, lr in product(("64-32-10", "64-96-10", "64-32-32-10", "64-96-96-10"), (0.02, 0.05, 0.1, 0.2)):
        yield Settings(layers=layers, loss="cross-entropy", lr=lr)
    others = (("breast-cancer", "30-{}-2"), ("wine", "13-{}-3"))
    for (dataset, layers), hidden, lr in product(others, ("64", "128", "32-32", "64-64"), (0.25, 0.5, 1.0)):
        yield Settings(dataset=dataset, layers=layers.format(hidden), lr=lr)


def results() -> tuple[list[Point], float]:
    """Do the missing runs; return the points of the map and elsewhere, each with its bound, and the seconds that all runs took."""
    mapped = runs_of(Settings(), MAPPED, RATES, DEVICES, SEEDS)
    others = [
        point.changed(seed=seed, schedule=name) for point in elsewhere() for name in (SOFTWARE, DRIFTING) for seed in range(1, SEEDS + 1)
    ]
    done, _ = do_all([*mapped, *others], EPOCHS, TILE, FOLDER, Terminal())
    points = [{"part": "map", **point} for point in points_of(done[: len(mapped)])]
    for kind in dict.fromkeys((one.dataset, one.loss) for one in others):
        some = [(one, result) for one, result in done[len(mapped) :] if (one.dataset, one.loss) == kind]
        points += [{"part": "elsewhere", "dataset": kind[0], "loss": kind[1], **point} for point in points_of(some)]
    for point in points:
        point["bound"] = bound_at(point.get("dataset", "digits"), point.get("loss", "squared"), point["activation"], point["layers"])
    return points, sum(result["seconds"] for _, result in done)


@cache
def bound_at(dataset: str, loss: str, activation: str, layers: str) -> float | None:
    """Return the bound's rate; None if the network sends no error back."""
    first = Settings(dataset=dataset, loss=loss, activation=activation, layers=layers)
    (rate,) = bounds(first, prepared(first, DEFAULT.drive_max), DEFAULT.drive_max, [(activation, layers)], SEEDS).values()
    return float(f"{rate:.4g}") if rate < np.inf else None


def save(points: Iterable[Point], file: Path) -> None:
    """Write points, one a line."""
    file.write_text("[\n" + ",\n".join(json.dumps(p) for p in points) + "\n]\n")


def limits_of(points: Iterable[Point]) -> dict[tuple[str, str], float]:
    """Return the bounds of the map by (activation, layers)."""
    return {(p["activation"], p["layers"]): p["bound"] or np.inf for p in points}


def predicted(points: Sequence[Point]) -> list[tuple[tuple[str, str, str], Departure, float]]:
    """Return (activation, device, layers), departure and bound of the map's networks that send an error back."""
    limits = limits_of(points)
    found = [(key, place, limits[key[0], key[2]]) for key, place in departures(points, DRIFTING).items()]
    return [one for one in found if one[2] < np.inf]


def accuracy_table(points: Sequence[Point]) -> str:
    """Return the table of bound and measurement: a row a function and device."""

    def rows() -> Iterator[list[str]]:
        for activation, device in product(RATES, DEVICES):
            some = [(place, rate) for key, place, rate in predicted(points) if key[:2] == (activation, device)]
            ratios = [rate / place.at for place, rate in some if place.inside]
            beyond = [place.agrees(rate, FACTOR) for place, rate in some if not place.inside]
            near = sum(1 / FACTOR <= ratio <= FACTOR for ratio in ratios)
            spread = f"{min(ratios):.2f} / {np.median(ratios):.2f} / {max(ratios):.2f}" if ratios else "-"
            yield [activation, device, str(len(ratios)), spread, f"{near} of {len(ratios)}", f"{sum(beyond)} of {len(beyond)}"]

    heads = ["function", "device", "networks that depart at a rate of the map", "bound / measured: least, median, most"]
    return table([*heads, f"within a factor of {FACTOR:g}", "others that agree"], rows())


def outside(points: Sequence[Point]) -> str:
    """Return the networks where bound and measurement do not agree, as a list."""
    told = [
        f"- {activation}, {device}, {layers}: measured {said(place)}, bound {rate:.2g}"
        for (activation, device, layers), place, rate in predicted(points)
        if not place.agrees(rate, FACTOR)
    ]
    return "They do not agree at:\n\n" + "\n".join(told) if told else "They agree at all."


def verdicts(points: Sequence[Point]) -> str:
    """Return the table of how often the sentence is said: a row a group of points on the ideal device."""
    groups = {f"the map, {name}": [p for p in points if p["part"] == "map" and p["activation"] == name] for name in RATES}
    others = [p for p in points if p["part"] == "elsewhere"]
    groups["unequal widths"] = [p for p in others if p["dataset"] == "digits" and p["loss"] == "squared"]
    groups["cross-entropy"] = [p for p in others if p["loss"] == "cross-entropy"]
    groups["breast-cancer, wine"] = [p for p in others if p["dataset"] != "digits"]

    def rows() -> Iterator[list[str]]:
        for name, some in groups.items():
            held = [p for p in some if learns(p) and p["device"] == "ideal" and p["bound"]]
            departing, staying = [p for p in held if below(p, DRIFTING) > DEPARTS], [p for p in held if abs(below(p, DRIFTING)) < STAYS]
            yield [name, *(f"{sum(p['lr'] > p['bound'] for p in part)} of {len(part)}" for part in (departing, staying))]

    return table(["points", f"said where it departs by more than {DEPARTS:g}", f"said where it stays within {STAYS:g}"], rows())


def equal(points: Iterable[Point], device: str) -> str:
    """Return at how many points of the map, at up to half the bound, `progressive` is as good as the default schedule."""
    low = [p for p in points if p["device"] == device and learns(p) and p["bound"] and p["lr"] <= p["bound"] / 2]
    distances = [p[DEFAULT_SCHEDULE][0] - p[DRIFTING][0] for p in low]
    return f"{sum(d < STAYS for d in distances)} of {len(distances)} points on the {device} device (most: {max(distances):.1f})"


def exact_text(points: Iterable[Point]) -> str:
    """Return how near the default schedule is to software."""
    parts = []
    for device in DEVICES:
        held = [p for p in points if p["part"] == "map" and p["device"] == device and learns(p)]
        far = max(held, key=lambda p: below(p, DEFAULT_SCHEDULE))
        near = sum(below(p, DEFAULT_SCHEDULE) <= DEPARTS for p in held)
        place = f"{far['layers']}, {far['activation']}, lr {far['lr']:g}"
        parts.append(f"- at {near} of {len(held)} points on the {device} device (farthest: {below(far, DEFAULT_SCHEDULE):.1f}, {place})")
    return "\n".join(parts)


def section(points: Sequence[Point], seconds: float) -> str:
    """Return the section of docs/learning.md."""
    mapped = [p for p in points if p["part"] == "map"]
    ratios = [rate / place.at for _, place, rate in predicted(mapped) if place.inside]
    near = sum(1 / FACTOR <= ratio <= FACTOR for ratio in ratios)
    ranges = ", ".join(f"{value:g} for {name}" for name, value in RANGE.items())
    return f"""
## Where `{DRIFTING}` leaves software

Digits, sigmoid outputs, squared error, {EPOCHS} epochs, {SEEDS} seeds: {len(mapped)} points, over rate and width (2 hidden layers) and over
rate and depth (width 32, 1 to 10 weight layers), on two devices. Accuracies of this section are means of the last {LAST} epochs.
Written by `make map`, whose runs took {duration(seconds)}, one after the other; `backpulse compare --map` draws it for other data.
`docs/map.json` has the figures.

![How far two schedules are below software, over learning rate, width and depth, with the bound](images/map.png)

Of the points at which `software` exceeds {LEARNS:g} % with a deviation below {UNSTEADY:g}, `{DEFAULT_SCHEDULE}`, the default, is at most
{DEPARTS:g} points below it

{exact_text(mapped)}

`deferred` sends the same error: there, too, every layer is read before it is pulsed, and the cells are the same bits.

Up to half the rate of the bound `{DRIFTING}` equals exact, and holds one error vector less: it is within {STAYS:g} point of
`{DEFAULT_SCHEDULE}` at {" and ".join(equal(mapped, device) for device in DEVICES)}.

### The bound

`{DRIFTING}` pulses a layer, W + eta d aᵀ, before the error passes it. What it sends back is e + eta ‖d‖² a: the error that `deferred`
sends, and a drift along the units' own activations, always outwards. Where ‖W‖ has settled, 2 eta d·Wa + eta² ‖d‖²‖a‖² = 0 on average:
read before the pulse, a·e is -½ eta ‖d‖²‖a‖², and a layer's own pulses push the activities below it down; read after it, the
same product is +½ eta ‖d‖²‖a‖², and they push them up, until units are at their ends and tell no sample from another.

How fast, compared with learning? On average over samples, the weights below (driven with b) change along G = E[f′ e bᵀ] by the error,
and along eta D, D = E[f′ ‖d‖² a bᵀ], by the drift. Of what either adds to pre-activations, that counts which differs from sample to
sample: G b′ and eta D b′, with b′ = b - E[b]. What arrives of one layer's drift adds to that of the next. So it departs at

    eta = {LIMIT:g} · R / Σ ‖D b′‖ / ‖G b′‖

summed over hidden layers, with norms over the first {SAMPLES} samples of the run, and R the pre-activation at which a unit would be at its
end if it went on with its steepest slope ({ranges}). D and G are those of the place where learning
begins: from the initial weights {STEPS} steps of gradient descent, after which the outputs know how frequent the classes are, and nothing
else. No run is needed, and {LIMIT:g} is the only fitted number. Form and number were chosen on earlier points of widths 32 to 256 with 1 to
4 hidden layers on the ideal device; width 16, deeper networks and ECRAM were new to them. A run of `{DRIFTING}` beyond the bound says so
before it begins.

Measured is the rate at which it is {DEPARTS:g} points below `software`, interpolated between the octaves of the map. The bound is within a
factor of {FACTOR:g} of it at {near} of {len(ratios)} networks:

{accuracy_table(mapped)}

Others leave software at no rate of the map, or at every one; the bound agrees if it is not on the wrong side by more than the factor.
{outside(mapped)}

The bound knows nothing of devices. On ECRAM two hidden layers of sigmoid begin to learn later than in float64 (`{DEFAULT_SCHEDULE}`, too,
is behind at low rates), and the drift has that much longer.

As a warning, also for what the map does not hold (layers of unequal width, cross-entropy, other data; ideal device):

{verdicts(points)}
"""


def main() -> None:
    """Do what is missing, and write summary, picture and section."""
    points, seconds = results()
    save(points, SUMMARY)
    mapped = [p for p in points if p["part"] == "map"]
    heading = f"Points below software: digits, {EPOCHS} epochs, {SEEDS} seeds"
    plot_learning_map(DOCS / "images" / "map.png", heading, mapped, limits_of(mapped), MAPPED)
    PAGE.write_text(with_section(PAGE.read_text(), section(points, seconds)))


if __name__ == "__main__":
    main()

"""From the runs of benchmarks/schedules.py to docs/schedules.json, and from that file to the picture and section of docs/learning.md."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.network import Network
from backpulse.host.departure import DRIFTING, EARLY_SAMPLES, RULES, drift
from backpulse.host.plots import ACCENT, CYCLE, GRID, INK, SOFT, STYLE
from backpulse.host.settings import SOFTWARE

from .table import PAGE, table, with_section

DOCS = Path(__file__).parents[1] / "docs"
SUMMARY = DOCS / "schedules.json"
PICTURE = DOCS / "images" / "schedules.png"
LAST = slice(7, 10)
"""Epochs 8 to 10, whose accuracies are averaged: those of relu are noisy."""
NEAR, FAR = 1.5, 5.0
"""Points below software that the default schedule may be at 90 % of the grid, and nowhere."""
STAYS, DEPARTS = 1.0, 3.0
"""Points from software within which `progressive` needs no remark, and below it beyond which it needs one."""
LEARNS, UNSTEADY = 50.0, 5.0
"""Software's least accuracy, and largest deviation over the seeds, in percent, at points where a departure can be spoken of."""
FITTED = ("grid", "steep", "beside", "further")
"""Parts that the rule is fitted on."""
GROUPS = {"where the rule was fitted": FITTED, "fresh points": ("fresh",), "other kinds": ("elsewhere",)}
"""Parts that pictures and tables put together."""

Point = dict[str, Any]


def summarise(part: str, runs: Iterable[dict[str, Any]]) -> list[Point]:
    """Return the points of some runs: mean and deviation over the seeds of the last accuracies, in percent, and what explains them."""
    groups: dict[tuple[Any, ...], dict[str, list[dict[str, Any]]]] = {}
    names = ("dataset", "loss", "layers", "activation", "lr")
    for one in runs:
        groups.setdefault(tuple(one[name] for name in names), {}).setdefault(one["schedule"], []).append(one)
    found = []
    for values, schedules in groups.items():
        point: Point = {"part": part, **dict(zip(names, values, strict=True))}
        for name, some in schedules.items():
            accuracies = [100 * np.mean(one["test_accuracy"][LAST]) for one in some]
            entry = {"mean": np.mean(accuracies), "std": np.std(accuracies), "seeds": len(some)}
            if name != SOFTWARE:
                steps = np.mean([one["counters"]["STEPS"][-1] for one in some])
                entry |= {k: np.mean([one[k] for one in some]) for k in ("early_loss", "full_cells")}
                counters = (counter for counter in some[0]["counters"] if counter != "STEPS")
                entry |= {c.lower(): np.mean([one["counters"][c][-1] for one in some]) / steps for c in counters}
            point[name] = {k: round(float(v), 4) if k != "seeds" else v for k, v in entry.items()}
        found.append(point)
    return found


def save(points: list[Point]) -> None:
    """Write docs/schedules.json, one point a line."""
    SUMMARY.write_text("[\n" + ",\n".join(json.dumps(p) for p in points) + "\n]\n")


def below(point: Point, schedule: str) -> float:
    """Return by how many points a schedule is below software."""
    return point[SOFTWARE]["mean"] - point[schedule]["mean"]


def steady(points: Iterable[Point]) -> list[Point]:
    """Return the points of the grid where software exceeds 90 % with a deviation below 1: those that the default schedule is held to."""
    return [p for p in points if p["part"] == "grid" and p[SOFTWARE]["mean"] > 90 and p[SOFTWARE]["std"] < 1]


def drift_of(point: Point) -> float:
    """Return the drift of a point at the early loss of its `progressive` runs."""
    network = Network.parse(point["layers"], activation=point["activation"], loss=point["loss"])
    return drift(network, point["lr"], point[DRIFTING]["early_loss"])


def judged(points: Iterable[Point], activation: str, parts: Iterable[str]) -> list[tuple[float, float]]:
    """Return (drift, points below software), by rising drift, of the points of some parts at which software learns steadily."""
    return sorted(
        (drift_of(p), below(p, DRIFTING))
        for p in points
        if p["activation"] == activation and p["part"] in parts and p[SOFTWARE]["mean"] > LEARNS and p[SOFTWARE]["std"] < UNSTEADY
    )


def cost(pairs: list[tuple[float, float]], limit: float) -> int:
    """Return what a limit costs: one a sentence where the schedule stays near, two a departure unsaid, which costs its user more."""
    return sum(d > limit and abs(b) < STAYS for d, b in pairs) + 2 * sum(d <= limit and b > DEPARTS for d, b in pairs)


def fit(points: list[Point], activation: str) -> float:
    """Return the limit of the drift that costs least on the fitted points; of equal ones the middle, as a ratio."""
    pairs = judged(points, activation, FITTED)
    edges = [(low * high) ** 0.5 for (low, _), (high, _) in pairwise(pairs)]
    least = min(cost(pairs, edge) for edge in edges)
    best = [edge for edge in edges if cost(pairs, edge) == least]
    return (best[0] * best[-1]) ** 0.5


def picture(points: list[Point], path: Path) -> None:
    """Draw how far the two schedules are below software: a panel a schedule, function and rate, its cells width by hidden layers."""
    grid = {(p["activation"], p["lr"], p["layers"]): p for p in points if p["part"] == "grid"}
    functions = sorted({a for a, _, _ in grid}, key=list(RULES).index)
    with rc_context(STYLE):
        figure = Figure(figsize=(13, 7.6), layout="constrained")
        figure.suptitle("Points below software, mean of epochs 8 to 10", fontsize=14, fontweight="bold", x=0.01, ha="left")
        figure.get_layout_engine().set(wspace=0.04)  # type: ignore[union-attr]  # there is one: the layout is constrained
        sides = list(figure.subfigures(1, 2))  # type: ignore[arg-type]  # an array, as there are two
        for side, schedule in zip(sides, (DEFAULT_SCHEDULE, DRIFTING), strict=True):
            side.suptitle(schedule, fontsize=12, color=ACCENT, fontweight="bold")
            panels = side.subplots(len(functions), 3, sharex=True, sharey=True)
            for row, activation in zip(panels, functions, strict=True):
                rates = sorted({lr for a, lr, _ in grid if a == activation})
                for axes, lr in zip(row, rates, strict=True):
                    _panel(axes, f"{activation}, lr {lr:g}", {k[2]: p for k, p in grid.items() if k[:2] == (activation, lr)}, schedule)
            for axes in panels[-1]:
                axes.set_xlabel("width")
            for axes in panels[:, 0]:
                axes.set_ylabel("hidden layers")
        figure.savefig(path, dpi=110)


def _panel(axes: Axes, title: str, points: dict[str, Point], schedule: str) -> None:
    sizes = {layers: (len(layers.split("-")) - 2, int(layers.split("-")[1])) for layers in points}
    depths, widths = sorted({d for d, _ in sizes.values()}), sorted({w for _, w in sizes.values()})
    values = np.full((len(depths), len(widths)), np.nan)
    for layers, point in points.items():
        if point[SOFTWARE]["mean"] > LEARNS:
            values[depths.index(sizes[layers][0]), widths.index(sizes[layers][1])] = below(point, schedule)
    axes.set_title(title, fontsize=10)
    axes.grid(visible=False)
    axes.set_facecolor("#e3e8ec")
    axes.imshow(values, cmap="Reds", vmin=0, vmax=12, origin="lower", aspect="auto")
    for (row, col), value in np.ndenumerate(values):
        if np.isnan(value):
            axes.text(col, row, f"software\n< {LEARNS:.0f} %", ha="center", va="center", fontsize=7, color=SOFT)
            continue
        digits = 0 if abs(value) >= 10 else 1
        words = f"{round(value, digits) + 0.0:.{digits}f}"
        axes.text(col, row, words, ha="center", va="center", fontsize=9, color="white" if value > 8 else INK)
    axes.set_xticks(range(len(widths)), [str(w) for w in widths])
    axes.set_yticks(range(len(depths)), [str(d) for d in depths])
    axes.tick_params(length=0)


def drift_picture(points: list[Point], path: Path) -> None:
    """Draw the departure of `progressive` over its drift, divided by the limit: where the rule was fitted, beside, and elsewhere."""
    with rc_context(STYLE):
        figure = Figure(figsize=(13, 4.2), layout="constrained")
        row = figure.subplots(1, len(GROUPS), sharex=True, sharey=True)
        for axes, (name, parts) in zip(row, GROUPS.items(), strict=True):
            axes.set_title(name.capitalize())
            axes.axhspan(STAYS, DEPARTS, color=GRID, linewidth=0)
            axes.axvline(1, color=INK, linewidth=1.2, linestyle="--")
            for (activation, rule), color in zip(RULES.items(), CYCLE, strict=False):
                pairs = judged(points, activation, parts)
                axes.scatter([d / rule.limit for d, _ in pairs], [b for _, b in pairs], s=18, color=color, label=activation)
            axes.set_xscale("log")
            axes.set_yscale("symlog", linthresh=DEPARTS)
            ticks = (-3, -1, 0, 1, 3, 10, 30, 90)
            axes.set_yticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.set_xlabel("drift / limit")
        row[0].set_ylabel("points below software")
        row[0].legend(loc="upper left")
        figure.savefig(path, dpi=110)


def _accuracy(entry: dict[str, Any]) -> str:
    return f"{entry['mean']:.1f} ± {entry['std']:.1f}"


def outside(points: list[Point]) -> str:
    """Return the table of the steady points where the default schedule is farther below software than it should be, with their counters."""
    far = sorted((p for p in steady(points) if below(p, DEFAULT_SCHEDULE) > NEAR), key=lambda p: -below(p, DEFAULT_SCHEDULE))
    if not far:
        return "None lies outside."
    heads = ["point", SOFTWARE, DEFAULT_SCHEDULE, "pulses clipped a step", "sense clipped", "saturated", "cells at a bound"]
    rows = []
    for p in far:
        e = p[DEFAULT_SCHEDULE]
        counters = [f"{e[name]:.3f}" for name in ("pulses_clipped", "sense_clipped", "vector_saturated", "full_cells")]
        rows.append([f"{p['layers']} {p['activation']} {p['lr']:g}", _accuracy(p[SOFTWARE]), _accuracy(e), *counters])
    return "Outside lie:\n\n" + table(heads, rows)


def results(points: list[Point], activation: str) -> str:
    """Return the table of the grid for one function: software, default schedule, `progressive`."""
    some = {(p["layers"], p["lr"]): p for p in points if p["part"] == "grid" and p["activation"] == activation}
    rates = sorted({lr for _, lr in some})
    names = (SOFTWARE, DEFAULT_SCHEDULE, DRIFTING)

    def rows() -> Iterator[list[str]]:
        for layers in sorted({layers for layers, _ in some}, key=lambda text: (text.count("-"), [int(n) for n in text.split("-")])):
            yield [layers, *(" / ".join(f"{some[layers, lr][name]['mean']:.1f}" for name in names) for lr in rates)]

    return table([activation, *(f"lr {lr:g}" for lr in rates)], rows())


def verdicts(points: list[Point]) -> str:
    """Return the table of how often the sentence is said: a row a function and group of parts."""

    def rows() -> Iterator[list[str]]:
        for activation, rule in RULES.items():
            for name, parts in GROUPS.items():
                pairs = judged(points, activation, parts)
                departing, staying = [d for d, b in pairs if b > DEPARTS], [d for d, b in pairs if abs(b) < STAYS]
                said = [f"{sum(d > rule.limit for d in some)} of {len(some)}" for some in (departing, staying)]
                if pairs:
                    yield [activation, f"{rule.limit:g}", name, *said]

    heads = ["function", "limit", "points", f"said where it departs by more than {DEPARTS:g}", f"said where it stays within {STAYS:g}"]
    return table(heads, rows())


def write(points: list[Point], same: list[bool]) -> None:
    """Write docs/schedules.json, pictures, and the section of docs/learning.md; `same` says which `deferred` runs are alike."""
    save(points)
    picture(points, DOCS / "images" / "schedules.png")
    drift_picture(points, DOCS / "images" / "departure.png")
    PAGE.write_text(with_section(PAGE.read_text(), section(points, same)))


def section(points: list[Point], same: list[bool]) -> str:
    """Return the section of docs/learning.md."""
    held = steady(points)
    distances = [below(p, DEFAULT_SCHEDULE) for p in held]
    near = sum(d <= NEAR for d in distances)
    farthest = held[int(np.argmax(distances))]
    seeds = points[0][SOFTWARE]["seeds"]
    total = sum(p["part"] == "grid" for p in points)
    slow = [p for p in points if p["part"] == "grid" and p[SOFTWARE]["mean"] <= LEARNS]
    functions, least = ", ".join(sorted({p["activation"] for p in slow})), min(p["layers"].count("-") - 1 for p in slow)
    sigmoid, tanh, relu = (RULES[name] for name in ("sigmoid", "tanh", "relu"))
    lead = max(-below(p, DEFAULT_SCHEDULE) for p in points if p["part"] == "grid")
    tables = "\n\n".join(results(points, activation) for activation in RULES)
    return f"""
## Schedules by width, depth and rate

Digits, one to four hidden layers of one width, sigmoid outputs, squared error, 10 epochs, {seeds} seeds, ideal device. Accuracies of this
section are means of epochs 8 to 10. Written by `make schedules`; `docs/schedules.json` has deviations and counters too.

![How far the two schedules are below software, for each function, rate, width and depth](images/schedules.png)

At {len(held)} of the {total} points `software` exceeds 90 % with a standard deviation below 1. `{DEFAULT_SCHEDULE}`, the default, is not
more than {NEAR:g} points below it at {near} of them ({100 * near / len(held):.0f} %); the farthest, {farthest["layers"]} with
{farthest["activation"]} at lr {farthest["lr"]:g}, is {max(distances):.2f} points below. {outside(points)}

At {len(slow)} points ({functions}, {least} hidden layers or more) `software` has not passed {LEARNS:.0f} % in 10 epochs; there the array,
which leaves the plateau at the start sooner, is up to {lead:.0f} points above it. `deferred`, run at {len(same)} points of all sizes, ends
with the same cells as `{DEFAULT_SCHEDULE}` at {sum(same)} of them: on the ideal device both send back the same error.

{tables}

Each cell: `software` / `{DEFAULT_SCHEDULE}` / `{DRIFTING}`.

## When `{DRIFTING}` departs

It pulses a layer before the error has passed it, and sends back e + eta ‖d‖² a: the error, and a drift along the layer's input a. Its size
relative to what of the error tells samples apart is, but for a constant,

    drift = eta · 2 loss · s² · w^p / f^(h - 1)

with the loss over the first {EARLY_SAMPLES} samples of the run (2 loss is the squared output error), s the steepest slope of the outputs
(1/4 for sigmoid; 1 with cross-entropy, which leaves it out), w the geometric mean of the h hidden widths, and f what a hidden layer passes
on of the error. Hidden sigmoid units all drive at about 1/2, so that their drifts add up, and pass on a quarter at the most:
p = {sigmoid.power:g}, f = {sigmoid.slope:g}. Those of tanh and relu change from sample to sample, and saturate or are off in part:
p = {tanh.power:g}, f = {tanh.slope:g} and p = {relu.power:g}, f = {relu.slope:g} part the fitted points best. A run of `{DRIFTING}` whose
drift exceeds the limit of its function says so, once, on standard error and in `warnings` of the JSON.

![Points below software over drift divided by limit: where the rule was fitted, fresh points, other kinds](images/departure.png)

Form and limits were fitted on the grid, on points beside it (widths 40, 48, 80, 96, 160 and 192, rates between) and, since tanh and
relu hardly depart there, at higher rates (0.2 to 0.8 at widths 32, 56, 112 and 128). Two earlier forms with other f and p were each wrong
at one of some fifty points that were fresh to them, at relu and at tanh, and those points then joined the fit. The fresh points of
the present one (widths 56, 72, 112 and 144, other rates and seeds) were run when it was settled. Of other kinds are layers of
unequal width, which speak for the geometric mean, cross-entropy, breast-cancer and wine: there it warns too early and misses some.
Points where `software` has not passed {LEARNS:.0f} %, or varies by {UNSTEADY:g} points or more from seed to seed, are left out: there is
nothing to depart from. Grey in the picture: neither near nor far.

{verdicts(points)}
"""

"""From the runs of benchmarks/schedules.py to docs/schedules.json, and from that file to the picture and section of docs/learning.md."""

import json
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firmware_py.compiler import DEFAULT_SCHEDULE
from firmware_py.network import Network
from host.departure import DRIFTING, LIMITS, drift
from host.plots import ACCENT, INK, SOFT, STYLE
from host.settings import SOFTWARE

from .table import table

DOCS = Path(__file__).parents[1] / "docs"
SUMMARY = DOCS / "schedules.json"
PICTURE = DOCS / "images" / "schedules.png"
LAST = slice(7, 10)
"""Epochs 8 to 10, whose accuracies are averaged: those of relu are noisy."""
NEAR, FAR = 1.5, 5.0
"""Points below software that the default schedule may be at 90 % of the grid, and nowhere."""
STAYS, DEPARTS = 1.0, 3.0
"""Points below software up to which `progressive` needs no remark, and beyond which it needs one."""
LEARNS = 50.0
"""Accuracy in percent below which software has not begun to learn, and nothing can be said of a departure."""

Point = dict[str, Any]


def summarise(part: str, runs: Iterable[dict[str, Any]]) -> list[Point]:
    """Return the points of some runs: mean and deviation over the seeds of the last accuracies in percent, and the means of what explains them."""
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
                entry |= {
                    "early_loss": np.mean([one["early_loss"] for one in some]),
                    "full_cells": np.mean([one["full_cells"] for one in some]),
                }
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


def judged(points: Iterable[Point], activation: str, part: str) -> Iterator[tuple[float, float]]:
    """Yield (drift, points below software) of the points of a part at which software learns."""
    for p in points:
        if p["activation"] == activation and p["part"] == part and p[SOFTWARE]["mean"] > LEARNS:
            yield drift_of(p), below(p, DRIFTING)


def fit(points: list[Point], activation: str) -> float:
    """Return the limit of the drift that parts best what departs in the grid from what stays; of equal ones the middle, as a ratio."""
    pairs = sorted(judged(points, activation, "grid"))
    edges = np.sqrt([a[0] * b[0] for a, b in zip(pairs, pairs[1:], strict=False)])
    wrong = [sum((d > edge and b < STAYS) or (d <= edge and b > DEPARTS) for d, b in pairs) for edge in edges]
    best = [edge for edge, count in zip(edges, wrong, strict=True) if count == min(wrong)]
    return float(np.sqrt(best[0] * best[-1]))


def picture(points: list[Point], path: Path) -> None:
    """Draw how far the two schedules are below software: a panel a schedule, function and rate, its cells width by hidden layers."""
    grid = {(p["activation"], p["lr"], p["layers"]): p for p in points if p["part"] == "grid"}
    functions = sorted({a for a, _, _ in grid}, key=list(LIMITS).index)
    with rc_context(STYLE):
        figure = Figure(figsize=(13, 7.6), layout="constrained")
        figure.suptitle("Points below software, mean of epochs 8 to 10", fontsize=14, fontweight="bold", x=0.01, ha="left")
        figure.get_layout_engine().set(wspace=0.04)  # type: ignore[union-attr]
        sides = figure.subfigures(1, 2)
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
    axes.imshow(values, cmap="YlOrRd", vmin=0, vmax=12, origin="lower", aspect="auto")
    for (row, col), value in np.ndenumerate(values):
        if np.isnan(value):
            axes.text(col, row, "software\nfails", ha="center", va="center", fontsize=7, color=SOFT)
            continue
        digits = 0 if abs(value) >= 10 else 1
        axes.text(col, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=9, color="white" if value > 8 else INK)
    axes.set_xticks(range(len(widths)), [str(w) for w in widths])
    axes.set_yticks(range(len(depths)), [str(d) for d in depths])
    axes.tick_params(length=0)

"""The picture of the map: distances from `software`, where they begin, and where the bound says that they do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from backpulse.host.departure import DRIFTING
from backpulse.host.learning_map import DEPARTS, LEARNS, Point, below, departures, layers_of, learns
from backpulse.host.plots import GRID, INK, STYLE, save
from backpulse.host.sweep_table import said
from backpulse.host.terminal import plain

COLORS, MOST = "Reds", 12.0
"""One hue from light to dark, so that it is read in grey, too; distances from 0 to this."""
DARK = 0.6
"""Share of it from which on a cell is written on in white."""
BOUND = "#10496e"
MARKER: Any = {"color": "white", "markeredgecolor": "black", "markersize": 6}
ABOVE = 0.22
"""By what numbers are above the middle of their cells, where the line is."""
HALO = [withStroke(linewidth=4, foreground="white")]


def plot_learning_map(
    path: Path, heading: str, points: Sequence[Point], bounds: Mapping[tuple[str, str], float], schedules: Sequence[str]
) -> None:
    """Draw a row for each device and function, and for each schedule a panel by width and one by depth.

    Parameters
    ----------
    path : Path
    heading : str
    points : sequence of dict
        As of `learning_map.points_of`.
    bounds : mapping
        Rate from which on `progressive` should depart, by (activation, layers); it is drawn in that schedule's panels.
    schedules : sequence of str
    """
    sizes = points[0]["layers"].split("-")
    parts = layers_of(int(sizes[0]), int(sizes[-1]))
    rows = list(dict.fromkeys((p["device"], p["activation"]) for p in points))
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(2 + 6.4 * len(schedules), 2 + 2.3 * len(rows)), layout="constrained")
        figure.suptitle(plain(heading), fontsize=14, fontweight="bold", x=0.01, ha="left", parse_math=False)
        panels = figure.subplots(len(rows), 2 * len(schedules), squeeze=False)
        for line, (device, activation) in zip(panels, rows, strict=True):
            some = [p for p in points if (p["device"], p["activation"]) == (device, activation)]
            for column, axes in enumerate(line):
                schedule, by_depth = schedules[column // 2], column % 2
                axes.set_title(f"{schedule}\n{activation}, {device}" if not by_depth else " \n ", fontsize=10)
                texts = parts[by_depth]
                labels = [str(text.count("-")) for text in texts] if by_depth else [text.split("-")[1] for text in texts]
                axes.set_yticks(range(len(texts)), labels)
                axes.set_ylabel("weight layers" if by_depth else "width")
                _cells(axes, [p for p in some if p["layers"] in texts], texts, schedule)
                if schedule == DRIFTING:
                    _lines(axes, some, texts, bounds)
        for axes in panels[-1]:
            axes.set_xlabel("learning rate")
        figure.legend(handles=_legend(), loc="outside lower left", ncols=3)
        save(figure, path, dpi=110)


def _rates(points: Sequence[Point]) -> list[float]:
    return sorted({p["lr"] for p in points})


def _cells(axes: Axes, points: Sequence[Point], texts: Sequence[str], schedule: str) -> None:
    """Draw the distances of one panel, with their numbers."""
    rates = _rates(points)
    values = np.full((len(texts), len(rates)), np.nan)
    for p in points:
        if learns(p):
            values[texts.index(p["layers"]), rates.index(p["lr"])] = below(p, schedule)
    axes.grid(visible=False)
    axes.set_facecolor(GRID)
    axes.imshow(values, cmap=COLORS, vmin=0, vmax=MOST, origin="lower", aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            words = f"{value:.0f}" if abs(value) >= 10 else f"{round(value, 1) + 0.0:.1f}"
            axes.text(column, row + ABOVE, words, ha="center", va="center", fontsize=7.5, color="white" if value > DARK * MOST else INK)
    axes.set_xticks(range(len(rates)), [said(rate) for rate in rates], fontsize=8)
    axes.tick_params(length=0)


def _lines(axes: Axes, points: Sequence[Point], texts: Sequence[str], bounds: Mapping[tuple[str, str], float]) -> None:
    """Draw bound and measured departure over the cells of one panel."""
    rates = np.log(_rates(points))

    def across(rate: float) -> float:
        return float((np.log(rate) - rates[0]) / (rates[-1] - rates[0]) * (len(rates) - 1))

    activation = points[0]["activation"]
    line = [(across(bounds[activation, text]), row) for row, text in enumerate(texts) if np.isfinite(bounds[activation, text])]
    axes.plot(*zip(*line, strict=True), color=BOUND, linewidth=2, path_effects=HALO, scalex=False, scaley=False)
    for (_, _, text), found in departures(points, DRIFTING).items():
        if text in texts and found.inside:
            axes.plot(across(found.at), texts.index(text), "o", scalex=False, scaley=False, **MARKER)


def _legend() -> list[Line2D | Patch]:
    measured = f"measured: {DEPARTS:g} points below software"
    return [
        Line2D([], [], color=BOUND, label=f"bound: {DRIFTING} departs beyond"),
        Line2D([], [], linestyle="", marker="o", label=measured, **MARKER),
        Patch(color=GRID, label=f"software below {LEARNS:g} %, or not steady"),
    ]

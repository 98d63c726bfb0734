"""Pictures of sweeps: the heat map of two settings. The curves are those of a comparison (`plots.plot_comparison`)."""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpulse.host.plots import SOFT, STYLE, save
from backpulse.host.sweep_table import Group, said, title
from backpulse.host.terminal import plain

COLORS = "viridis"
MOST_PANELS = 12
MOST_NUMBERS = 80
"""Cells of a panel in which the numbers can still be read."""
WIDE = 20.0
"""Ratio of the ends from which on an axis of numbers is logarithmic."""
FILLED = 0.5
"""Share of the cells that must have a value; what is emptier, as random draws are, is drawn as points."""


def axes_of(groups: Sequence[Group], by: Sequence[str]) -> tuple[str, str]:
    """Return the settings for x and y: the two with the most values, a number before others for x."""
    most = sorted(by, key=lambda name: -len({group[name] for group in groups}))[:2]
    first, second = sorted(most, key=lambda name: not _numbers(groups, name))
    return first, second


def plot_map(path: Path, heading: str, groups: Sequence[Group], by: Sequence[str], *, x: str, y: str) -> None:
    """Draw the mean test accuracy over two settings, one panel for each combination of the others.

    Parameters
    ----------
    path : Path
    heading : str
    groups : sequence of dict
        As of `sweep_table.summarise`.
    by : sequence of str
        Settings that tell groups from each other.
    x, y : str
        Two of them.
    """
    rest = [name for name in by if name not in (x, y)]
    panels: dict[tuple[Any, ...], list[Group]] = {}
    for group in groups:
        panels.setdefault(tuple(group[name] for name in rest), []).append(group)
    left_out = len(panels) - MOST_PANELS
    shown = list(panels.values())[:MOST_PANELS]
    wide = len(shown) if len(shown) <= 3 else math.ceil(math.sqrt(len(shown)))
    high = math.ceil(len(shown) / wide)
    values = [100 * group["mean"] for some in shown for group in some]
    limits = (min(values), max(min(values) + 1e-9, *values))
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(1.5 + 5 * wide, 1.2 + 4 * high), layout="constrained")
        more = f"  (the first {MOST_PANELS} of {len(panels)} panels)" if left_out > 0 else ""
        figure.suptitle(plain(heading) + more, fontsize=14, fontweight="bold", x=0.01, ha="left", parse_math=False)
        cells = list(figure.subplots(high, wide, squeeze=False).flat)
        for axes in cells[len(shown) :]:
            axes.set_visible(False)
        for axes, some in zip(cells, shown, strict=False):
            axes.set_title(plain(title(some[0], rest)) if rest else "", fontsize=11, parse_math=False)
            axes.set_xlabel(x)
            axes.set_ylabel(y)
            image = _panel(axes, some, [_values(groups, name) for name in (x, y)], (x, y), limits)
        figure.colorbar(image, ax=cells[: len(shown)], fraction=0.04, aspect=30, label="test accuracy, %")
        save(figure, path, dpi=120)


def _panel(axes: Axes, groups: Sequence[Group], values: list[list[Any]], names: tuple[str, str], limits: tuple[float, float]) -> Any:
    """Draw one panel: a grid of cells, or points where there would be more gaps than cells."""
    across, up = values
    low, high = limits
    if len(groups) < FILLED * len(across) * len(up):
        return _points(axes, groups, names, limits)
    picture = np.full((len(up), len(across)), np.nan)
    for group in groups:
        picture[up.index(group[names[1]]), across.index(group[names[0]])] = 100 * group["mean"]
    axes.grid(visible=False)
    image = axes.imshow(picture, cmap=COLORS, vmin=low, vmax=high, origin="lower", aspect="auto", interpolation="nearest")
    labels = [[said(value, name) for value in of] for of, name in zip(values, names, strict=True)]
    axes.set_xticks(range(len(across)), labels[0], rotation=45 if max(map(len, labels[0])) > 6 else 0)
    axes.set_yticks(range(len(up)), labels[1])
    if picture.size <= MOST_NUMBERS:
        for row, column in product(range(len(up)), range(len(across))):
            if not np.isnan(value := picture[row, column]):
                color = "white" if value < low + 0.6 * (high - low) else "black"
                axes.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=8, color=color)
    return image


def _points(axes: Axes, groups: Sequence[Group], names: tuple[str, str], limits: tuple[float, float]) -> Any:
    places = []
    for name, axis in zip(names, (axes.xaxis, axes.yaxis), strict=True):
        found = [group[name] for group in groups]
        if _numbers(groups, name):
            positive = min(found) > 0
            if positive and max(found) > WIDE * min(found):
                (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
            places.append(found)
        else:
            values = _values(groups, name)
            axis.set_ticks(range(len(values)), [said(value, name) for value in values])
            places.append([values.index(value) for value in found])
    colors = [100 * group["mean"] for group in groups]
    return axes.scatter(*places, c=colors, cmap=COLORS, vmin=limits[0], vmax=limits[1], s=70, edgecolors=SOFT, linewidths=0.6)


def _numbers(groups: Sequence[Group], name: str) -> bool:
    return all(isinstance(group[name], int | float) and not isinstance(group[name], bool) for group in groups)


def _values(groups: Sequence[Group], name: str) -> list[Any]:
    """Return the values of a setting in the order of an axis: numbers and layers by size, the others as they come."""
    found = list(dict.fromkeys(group[name] for group in groups))
    if _numbers(groups, name):
        return sorted(found)
    if name == "layers":
        return sorted(found, key=lambda text: (text.count("-"), [int(part) for part in text.split("-")]))
    return found

"""Pictures of what the commands with an array measure."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from backpulse.firmware_py.config import Config
from backpulse.host.cell_names import cell_name
from backpulse.host.cell_values import UP
from backpulse.host.plots import ACCENT, ARRAY_COLORS, CYCLE, REFERENCE, SOFT, STYLE, mosaic_picture, save
from backpulse.host.terminal import plain

NAMED = 10
"""Lines of a picture that have a name; of more cells all are drawn alike."""


@contextmanager
def picture(path: Path, title: str, columns: int, *, wide: float = 4.6) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure and its axes side by side, and save it behind the body."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(wide * columns, 4.6), layout="constrained")
        figure.suptitle(plain(title), fontsize=13, parse_math=False)
        axes = figure.subplots(1, columns, squeeze=False)[0]
        yield figure, list(axes)
        save(figure, path, 110)


def plot_map(path: Path, board: str, forward: np.ndarray, backward: np.ndarray, config: Config) -> None:
    """Draw the read map of both directions in siemens, and what they differ by."""
    with picture(path, f"Read map of {board}", 3) as (figure, axes):
        both = 1e6 * np.array([forward, backward])
        colors: Any = {"cmap": "viridis", "vmin": both.min(), "vmax": max(both.max(), both.min() + 1e-9)}
        for at, title in enumerate(("READ", "READT")):
            image = mosaic_picture(axes[at], f"{title}, µS", both[at], config, **colors)
        figure.colorbar(image, ax=axes[:2], shrink=0.8)
        differ = both[0] - both[1]
        most = max(float(np.abs(differ).max()), 0.01)
        image = mosaic_picture(axes[2], "READ less READT, µS", differ, config, cmap=ARRAY_COLORS, vmin=-most, vmax=most)
        figure.colorbar(image, ax=axes[2], shrink=0.8)


def _lines(axes: Axes, x: Any, values: np.ndarray, places: np.ndarray, *, name: bool = True, **more: Any) -> None:
    """Draw a line a cell, in microsiemens, from values of shape (points, cells)."""
    several = len(places) > NAMED
    for i, place in enumerate(places.tolist()):
        color = ACCENT if several else CYCLE[i % len(CYCLE)]
        label = cell_name(*place) if name and not several else None
        axes.plot(
            x, 1e6 * values[:, i], color=color, alpha=0.35 if several else 1.0, linewidth=0.9 if several else 1.8, label=label, **more
        )
    axes.set_ylabel("µS")
    if name and not several:
        axes.legend()


def plot_curves(path: Path, board: str, places: np.ndarray, pulses: Sequence[int], directions: Sequence[str], values: np.ndarray) -> None:
    """Draw response curves, conductances of shape (points, cells), and the step of a pulse over the conductance where it began."""
    with picture(path, f"Response of {board}", 2, wide=6) as (_, (left, right)):
        left.set_title("Conductance")
        left.set_xlabel("pulse")
        _lines(left, pulses, values, places)
        right.set_title("Step of a pulse")
        right.set_xlabel("conductance before it, µS")
        right.set_ylabel("nS")
        ways = np.array([direction == UP for direction in directions[1:]], bool)
        steps = np.diff(values, axis=0)
        for way, color, label in ((ways, ACCENT, "up"), (~ways, REFERENCE, "down")):
            right.plot(1e6 * values[:-1][way].ravel(), 1e9 * steps[way].ravel(), ".", color=color, markersize=4, alpha=0.6, label=label)
        right.axhline(0, color=SOFT, linewidth=0.8)
        right.legend()


def plot_endurance(path: Path, board: str, places: np.ndarray, cycles: Sequence[int], high: np.ndarray, low: np.ndarray) -> None:
    """Draw both ends of the cells' windows and their width over the cycles, of shape (cycles, cells)."""
    with picture(path, f"Endurance of {board}", 2, wide=6) as (_, (left, right)):
        left.set_title("High and low end")
        _lines(left, cycles, high, places)
        _lines(left, cycles, low, places, name=False, linestyle="--")
        right.set_title("Window")
        _lines(right, cycles, high - low, places)
        for axes in (left, right):
            axes.set_xlabel("cycle")


def plot_retention(path: Path, board: str, seconds: Sequence[float], values: np.ndarray) -> None:
    """Draw how far cells have moved over time: the middle one, and bands of half and of 90 % of them."""
    with picture(path, f"Retention of {board}", 1, wide=8) as (_, (axes,)):
        moved = 1e9 * (values - values[0])
        low, quarter, middle, upper, high = np.percentile(moved, [5, 25, 50, 75, 95], axis=1)
        axes.fill_between(seconds, low, high, color=ACCENT, alpha=0.12, linewidth=0, label="90 % of the cells")
        axes.fill_between(seconds, quarter, upper, color=ACCENT, alpha=0.25, linewidth=0, label="half of them")
        axes.plot(seconds, middle, "-o", color=ACCENT, markersize=4, label="the middle one")
        axes.set_title("Change since the first look")
        axes.set_xlabel("s")
        axes.set_ylabel("nS")
        if len(seconds) > 1:
            axes.set_xscale("symlog", linthresh=max(min(seconds[1:]), 1e-3))
        axes.legend()


def plot_programmed(path: Path, title: str, left: np.ndarray, residuals: Sequence[float], config: Config) -> None:
    """Draw how program-and-verify converged: what was left after each round, cell by cell at the end, and as a histogram.

    `left` is in sense LSB, NaN where nothing was asked for, of shape (rows of all tiles, columns).
    """
    with picture(path, title, 3) as (figure, (curve, cells, histogram)):
        curve.set_title("Left after each round")
        curve.set_xlabel("round")
        curve.set_ylabel("sense LSB, RMS")
        curve.semilogy(range(len(residuals)), np.maximum(residuals, 1e-3), "-o", color=ACCENT, markersize=5, markerfacecolor="white")
        curve.xaxis.set_major_locator(MaxNLocator(integer=True))
        most = max(float(np.nanmax(np.abs(left))), 1e-3)
        image = mosaic_picture(cells, "Wanted less measured, sense LSB", left, config, cmap=ARRAY_COLORS, vmin=-most, vmax=most)
        figure.colorbar(image, ax=cells, shrink=0.8)
        histogram.set_title("The same")
        histogram.hist(left[~np.isnan(left)], 41, color=ACCENT)
        histogram.set_xlabel("sense LSB")
        histogram.set_ylabel("cells")


def plot_iv(path: Path, title: str, volts: np.ndarray, amperes: np.ndarray, back: np.ndarray) -> None:
    """Draw the current of a cell over its voltage, there and back again, as it is and its size on a logarithmic scale."""
    with picture(path, title, 2, wide=5) as (_, axes):
        for way, color, label in ((False, ACCENT, "there"), (True, REFERENCE, "back")):
            at, micro = volts[back == way], 1e6 * amperes[back == way]
            axes[0].plot(at, micro, ".-", color=color, label=label, linewidth=1.4)
            axes[1].semilogy(at, np.maximum(np.abs(micro), 1e-6), ".-", color=color, linewidth=1.4)
        for one, name in zip(axes, ("Current, µA", "Its size, µA"), strict=True):
            one.set_title(name)
            one.set_xlabel("V")
        axes[0].legend()

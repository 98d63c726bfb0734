"""The picture of a pulse ledger."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from backpulse.firmware_py.config import Config
from backpulse.host.ledger import ledger_arrays
from backpulse.host.plots import ACCENT, ARRAY_COLORS, REFERENCE, STYLE, mosaic_picture, save


def plot_ledger(path: Path, title: str, ledger: np.ndarray, config: Config) -> None:
    """Draw the pulses that each cell got, their balance, and how they are spread over the cells.

    Parameters
    ----------
    path : Path
    title : str
    ledger : ndarray
        int of shape (`tape.LEDGER_PLANES`, rows of all tiles, columns).
    config : Config
        Of the board.
    """
    arrays = ledger_arrays(ledger)
    done, balance = arrays["done"].astype(float), (arrays["up"] - arrays["down"]).astype(float)
    missed = int((arrays["asked"] - arrays["done"]).sum())
    unsure = int(arrays["unsure"].sum())
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(13, 7.5), layout="constrained")
        short = f", {missed:,} of {int(arrays['asked'].sum()):,} not done for sure ({unsure:,} unsure)" if missed else ""
        figure.suptitle(
            f"{title}   ·   {int(done.sum()):,} pulses{short}", fontsize=14, fontweight="bold", x=0.01, ha="left", parse_math=False
        )
        top, bottom = figure.subplots(2, 2)
        pulses_done(figure, top[0], done, config)
        bound = max(float(np.percentile(np.abs(balance), 99.5)), 1.0)
        mosaic_with_bar(figure, top[1], "Up less down", balance, config, {"cmap": ARRAY_COLORS, "vmin": -bound, "vmax": bound})
        pulses_a_cell(bottom[0], arrays)
        pulses_a_row(bottom[1], arrays, config)
        save(figure, path, dpi=120)


def pulses_done(figure: Figure, axes: Axes, done: np.ndarray, config: Config) -> None:
    """Draw the pulses of each cell, shape (rows of all tiles, columns); those without any stay blank."""
    colors = {"cmap": "viridis", "norm": LogNorm(1, max(float(done.max()), 2.0))}
    mosaic_with_bar(figure, axes, "Pulses done", np.where(done == 0, np.nan, done), config, colors)


def mosaic_with_bar(figure: Figure, axes: Axes, title: str, cells: np.ndarray, config: Config, colors: dict[str, Any]) -> None:
    """Draw what is to be said of each cell, with its scale; arguments as of `mosaic_picture`."""
    image = mosaic_picture(axes, title, cells, config, **colors)
    figure.colorbar(image, ax=axes, fraction=0.04, pad=0.01)


def pulses_a_cell(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw how many cells got how many pulses, of a ledger's columns."""
    axes.set_title("Pulses a cell")
    used = arrays["asked"] > 0
    bins = np.linspace(0, max(int(arrays["up"].max()), int(arrays["down"].max()), 1), 50).tolist()
    axes.hist(arrays["up"][used], bins, histtype="step", color=ACCENT, linewidth=2, label="up")
    axes.hist(arrays["down"][used], bins, histtype="step", color=REFERENCE, linewidth=2, label="down")
    axes.set_xlabel("pulses done")
    axes.set_ylabel("cells")
    axes.set_yscale("log")
    axes.legend(loc="upper right")


def pulses_a_row(axes: Axes, arrays: dict[str, np.ndarray], config: Config, *, columns: bool = False) -> None:
    """Draw the pulses of each row, or of each column of all tiles, of a ledger's columns."""
    what, across = ("column", 0) if columns else ("row", 1)
    axes.set_title(f"Pulses a {what}")
    axes.plot(arrays["asked"].sum(axis=across), color=REFERENCE, linewidth=1.6, linestyle="--", label="asked")
    axes.plot(arrays["done"].sum(axis=across), color=ACCENT, linewidth=1.8, label="done")
    axes.set_xlabel(f"{what}, {config.tile_cols if columns else config.tile_rows} a tile")
    axes.set_ylabel("pulses")
    axes.legend(loc="upper right")

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
        most = max(done.max(), 2.0)
        done[done == 0] = np.nan
        _tiles(figure, top[0], "Pulses done", done, config, {"cmap": "viridis", "norm": LogNorm(1, most)})
        bound = max(float(np.percentile(np.abs(balance), 99.5)), 1.0)
        _tiles(figure, top[1], "Up less down", balance, config, {"cmap": ARRAY_COLORS, "vmin": -bound, "vmax": bound})
        _histogram(bottom[0], arrays)
        _by_row(bottom[1], arrays, config)
        save(figure, path, dpi=120)


def _tiles(figure: Figure, axes: Axes, title: str, cells: np.ndarray, config: Config, colors: dict[str, Any]) -> None:
    image = mosaic_picture(axes, title, cells, config, **colors)
    figure.colorbar(image, ax=axes, fraction=0.04, pad=0.01)


def _histogram(axes: Axes, arrays: dict[str, np.ndarray]) -> None:
    axes.set_title("Pulses a cell")
    used = arrays["asked"] > 0
    bins = np.linspace(0, max(int(arrays["up"].max()), int(arrays["down"].max()), 1), 50).tolist()
    axes.hist(arrays["up"][used], bins, histtype="step", color=ACCENT, linewidth=2, label="up")
    axes.hist(arrays["down"][used], bins, histtype="step", color=REFERENCE, linewidth=2, label="down")
    axes.set_xlabel("pulses done")
    axes.set_ylabel("cells")
    axes.set_yscale("log")
    axes.legend(loc="upper right")


def _by_row(axes: Axes, arrays: dict[str, np.ndarray], config: Config) -> None:
    axes.set_title("Pulses a row")
    axes.plot(arrays["asked"].sum(axis=1), color=REFERENCE, linewidth=1.6, linestyle="--", label="asked")
    axes.plot(arrays["done"].sum(axis=1), color=ACCENT, linewidth=1.8, label="done")
    axes.set_xlabel(f"row, {config.tile_rows} a tile")
    axes.set_ylabel("pulses")
    axes.legend(loc="upper right")

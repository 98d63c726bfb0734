"""The picture of an array file."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

from backpulse.host.array_model import Meaning
from backpulse.host.plots import ACCENT, ARRAY_COLORS, REFERENCE, STYLE, save
from backpulse.host.terminal import plain


def plot_array(path: Path, title: str, meaning: Meaning) -> None:
    """Draw the error of the read map, the loss of reads line by line, and the voltage that writes have left."""
    with style.context(["default", {**STYLE, "axes.grid": False}]):
        figure = Figure(figsize=(13, 5), layout="constrained")
        figure.suptitle(plain(title), fontsize=13)
        left, middle, right = figure.subplots(1, 3)
        most = max(float(np.abs(meaning.error).max()), 1e-9)
        _picture(figure, left, meaning.error, "error of the read map, device units", cmap=ARRAY_COLORS, vmin=-most, vmax=most)
        middle.set_title("current that wires take, all lines driven")
        middle.plot(100 * meaning.read_loss, color=ACCENT, label="READ, by sensed column")
        middle.plot(100 * meaning.readt_loss, color=REFERENCE, label="READT, by sensed row")
        middle.set_xlabel("line")
        middle.set_ylabel("% of the current without wires")
        middle.set_ylim(bottom=0)
        middle.grid(visible=True)
        middle.legend()
        _picture(figure, right, meaning.write_share, "share of the programming voltage", cmap="viridis", vmax=1.0)
        save(figure, path, 110)


def _picture(figure: Figure, axes: Any, values: np.ndarray, title: str, **colors: Any) -> None:
    axes.set_title(title)
    axes.set_xlabel("column (of a pair: both)" if "share" in title else "column")
    axes.set_ylabel("row")
    figure.colorbar(axes.imshow(values, aspect="auto", interpolation="nearest", **colors), ax=axes, shrink=0.85)

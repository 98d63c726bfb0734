"""Pictures of a saved run for its report, each small enough for a narrow screen."""

import base64
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpulse.host.ledger_plots import pulses_a_cell, pulses_a_row, pulses_done
from backpulse.host.plots import INK, STYLE, array_picture, conductances, curve
from backpulse.host.saved.folder import SavedRun

NUMBERED = 12
"""Most classes whose confusion matrix has room for numbers."""


def curves(run: SavedRun, reference: dict[str, Any] | None) -> dict[str, str]:
    """Return accuracy and loss of each epoch, beside the reference, as addresses of images by what they show."""
    return {
        "Test accuracy of each epoch": _image(lambda _, axes: curve(axes, "Test accuracy, %", run.result, reference, "test_accuracy", 100)),
        "Training loss of each epoch": _image(lambda _, axes: curve(axes, "Training loss", run.result, reference, "train_loss", 1)),
    }


def array(run: SavedRun) -> dict[str, str]:
    """Return the array before and after, and its conductances, likewise."""
    unit = 1 << run.config.cell_frac
    bound = float(max(np.abs(run.before).max(), np.abs(run.after).max(), 1)) / unit
    used = run.after[run.after != 0]
    vivid = max(float(np.percentile(np.abs(used), 97)) if used.size else 1.0, 1.0) / unit

    def picture(title: str, cells: np.ndarray) -> str:
        def draw(figure: Figure, axes: Axes) -> None:
            image = array_picture(axes, title, cells / unit, run.program, vivid)
            figure.colorbar(image, ax=axes, fraction=0.04, pad=0.01, label="device units", extend="both")

        return _image(draw)

    return {
        "The array before": picture("The array before", run.before),
        "The array after": picture("The array after", run.after),
        "Histogram of conductances": _image(
            lambda _, axes: conductances(axes, run.before / unit, run.after / unit, run.program, bound),
        ),
    }


def pulses(run: SavedRun, ledger: dict[str, np.ndarray]) -> dict[str, str]:
    """Return where the pulses went, of a ledger's columns, likewise."""
    return {
        "Pulses of each cell": _image(lambda figure, axes: pulses_done(figure, axes, ledger["done"].astype(float), run.config)),
        "Histogram of pulses": _image(lambda _, axes: pulses_a_cell(axes, ledger)),
        "Pulses of each row": _image(lambda _, axes: pulses_a_row(axes, ledger, run.config)),
        "Pulses of each column": _image(lambda _, axes: pulses_a_row(axes, ledger, run.config, columns=True)),
    }


def confusion(run: SavedRun) -> dict[str, str]:
    """Return what was taken for what, likewise."""
    matrix = np.array(run.result["confusion"])
    labels = run.manifest["labels"][: len(matrix)]

    def draw(_: Figure, axes: Axes) -> None:
        axes.set_title("What was taken for what")
        axes.grid(visible=False)
        axes.imshow(np.sqrt(matrix), cmap="Greens", vmin=0, aspect="auto")
        axes.set_xlabel("taken for")
        axes.set_ylabel("class")
        if len(matrix) <= NUMBERED:
            axes.set_xticks(range(len(labels)), labels, rotation=0 if max(map(len, labels), default=0) < 4 else 30, parse_math=False)
            axes.set_yticks(range(len(labels)), labels, parse_math=False)
            for row, col in np.argwhere(matrix):
                color = "white" if matrix[row, col] > matrix.max() / 3 else INK
                axes.text(col, row, str(matrix[row, col]), ha="center", va="center", color=color)

    return {"Confusion matrix": _image(draw)}


def _image(draw: Callable[[Figure, Axes], Any]) -> str:
    """Return a picture as the address of an image that is in it."""
    with style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a name in another script: a box stands for it
        figure = Figure(figsize=(5.2, 3.2), layout="constrained")
        draw(figure, figure.subplots())
        file = BytesIO()
        figure.savefig(file, format="png", dpi=150)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

"""Pictures of training runs and comparisons."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config
from backpulse.host.storage import written_whole
from backpulse.host.terminal import plain

INK, SOFT, GRID = "#22313f", "#7b8a97", "#e3e8ec"
ACCENT, REFERENCE, BEFORE, VALIDATION = "#0b7a75", "#d1603d", "#b9c4cc", "#3d5a9e"
CYCLE = ("#0b7a75", "#d1603d", "#3d5a9e", "#b8860b", "#7d3c98")
ARRAY_COLORS = "RdBu_r"
ASPECT = 2.6
"""Wanted width to height of the mosaic of tiles."""
CORNER = 0.5
"""Share of a tile below which the part of it that is used is drawn, and not the whole."""
NAMED = (0.08, 0.06)
"""Share of a picture's width and height that a layer's name needs."""
STYLE: Any = {
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 2.2,
    "figure.facecolor": "white",
}


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a picture, whole or not at all."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of a name in another script: a box stands for it
        with written_whole(path, "picture") as file:
            figure.savefig(file, dpi=dpi, format=path.suffix[1:].lower())


def plot_training(
    path: Path, result: dict[str, Any], *, program: Program, before: np.ndarray, after: np.ndarray, reference: dict[str, Any] | None = None
) -> None:
    """Draw one run: accuracy and loss per epoch, the array before and after, and its histogram.

    Parameters
    ----------
    path : Path
    result : dict
        As of `Trainer.result`.
    program : Program
        For the outlines of the layers.
    before, after : ndarray
        Cell words of shape (rows of all tiles, columns).
    reference : dict, optional
        Result of the software reference: dashed lines.
    """
    settings = result["settings"]
    schedule = "" if settings["lr_schedule"] == "constant" else f" ({settings['lr_schedule']})"
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(13, 8), layout="constrained")
        figure.suptitle(
            f"{settings['layers']} on {plain(Path(settings['dataset']).name)}, trained in the array"
            f"   ·   {settings['schedule']}, {settings['device']} device, learning rate {settings['lr']:g}{schedule}",
            fontsize=14,
            fontweight="bold",
            x=0.01,
            ha="left",
            parse_math=False,  # a $ in a name is a $
        )
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)  # type: ignore[union-attr]
        top, bottom = list(figure.subfigures(2, 1))  # type: ignore[arg-type]
        curves = top.subplots(1, 2)
        curve(curves[0], "Test accuracy, %", result, reference, "test_accuracy", 100)
        curve(curves[1], "Training loss", result, reference, "train_loss", 1)
        if settings["lr_schedule"] != "constant":
            _rates(curves[1], result["learning_rate"])
        unit = 1 << program.config.cell_frac
        bound = float(max(np.abs(before).max(), np.abs(after).max(), 1)) / unit
        vivid = max(float(np.percentile(np.abs(after[after != 0]), 97)) if after.any() else 1.0, 1.0) / unit
        before_axes, after_axes, last = bottom.subplots(1, 3)
        for axes, title, cells in zip((before_axes, after_axes), ("The array before", "The array after"), (before, after), strict=True):
            image = array_picture(axes, title, cells / unit, program, vivid)
        bottom.colorbar(image, ax=[before_axes, after_axes], fraction=0.03, pad=0.01, aspect=30, label="device units", extend="both")
        conductances(last, before / unit, after / unit, program, bound)
        save(figure, path, dpi=120)


def curve(axes: Axes, title: str, result: dict[str, Any], reference: dict[str, Any] | None, key: str, factor: float) -> None:
    """Draw what a result says of each epoch, beside the reference's, if there is one.

    Parameters
    ----------
    axes, title
    result : dict
        As of `Trainer.result`.
    reference : dict or None
        With the same list.
    key : str
        Which list.
    factor : float
        Of the numbers: 100 for percent.
    """
    values = np.array(result[key]) * factor
    epochs = np.arange(1, len(values) + 1)
    axes.set_title(title)
    axes.set_xlabel("epoch")
    if reference:
        other = np.array(reference[key]) * factor
        axes.plot(np.arange(1, len(other) + 1), other, "--", color=REFERENCE, label="software, float64", linewidth=1.8)
    if result[(validated := key.replace("test", "validation").replace("train", "validation"))]:
        axes.plot(epochs, np.array(result[validated]) * factor, ":", color=VALIDATION, label="in the array, validation part")
    axes.plot(epochs, values, "-o", color=ACCENT, label="in the array", markersize=5, markerfacecolor="white", markeredgewidth=2)
    if len(values):
        text = f"{values[-1]:.1f} %" if factor == 100 else f"{values[-1]:.3f}"
        above = len(values) > 1 and values[-1] > values[-2]  # where the curve does not come from
        place = (0, 8 if above else -16)
        axes.annotate(text, (epochs[-1], values[-1]), place, textcoords="offset points", ha="center", color=ACCENT, weight="bold")
    axes.set_xlim(0.5, max(len(values), 2) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.15)
    axes.legend(loc="lower right" if factor == 100 else "upper right")


def _rates(axes: Axes, rates: Sequence[float]) -> None:
    """Draw the learning rate of each epoch behind the curves."""
    other = axes.twinx()
    other.step(np.arange(1, len(rates) + 1), rates, where="mid", color=SOFT, linewidth=1.2)
    other.set_ylabel("learning rate")
    other.set_ylim(bottom=0)
    other.grid(visible=False)


def _mosaic(tiles: int, high: int, wide: int) -> int:
    """Return how many tiles of a picture stand side by side, for a pleasant shape."""
    return min(range(1, tiles + 1), key=lambda n: abs(np.log(n * wide / (-(-tiles // n) * high) / ASPECT)))


def mosaic(cells: np.ndarray, config: Config) -> np.ndarray:
    """Return the tiles side by side, rows to the right and columns downwards; what is missing in the last line is nan.

    Parameters
    ----------
    cells : ndarray
        Of shape (rows of all tiles, columns).
    config : Config
        Of the board.
    """
    tiles = [cells[t * config.tile_rows : (t + 1) * config.tile_rows].T.astype(float) for t in range(config.tiles)]
    wide = _mosaic(len(tiles), config.tile_cols, config.tile_rows)
    tiles += [np.full_like(tiles[0], np.nan)] * (-len(tiles) % wide)
    return np.block([tiles[i : i + wide] for i in range(0, len(tiles), wide)])


def mosaic_picture(axes: Axes, title: str, cells: np.ndarray, config: Config, **colors: Any) -> Any:
    """Draw the tiles, rows to the right and columns downwards.

    Parameters
    ----------
    axes, title
    cells : ndarray
        Of shape (rows of all tiles, columns).
    config : Config
        Of the board.
    **colors
        As of `imshow`.
    """
    picture = mosaic(cells, config)
    axes.set_title(title)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])
    count = "" if config.tiles == 1 else f"{config.tiles} tiles, each "
    axes.set_xlabel(f"{count}{config.tile_rows} rows")
    axes.set_ylabel(f"{config.tile_cols} columns")
    axes.set_facecolor("#f4f6f7")
    return axes.imshow(picture, interpolation="nearest", aspect="auto", **colors)


def carrying(program: Program) -> np.ndarray:
    """Return which cells carry weights: bool of shape (rows of all tiles, columns)."""
    used = np.zeros((program.config.rows, program.config.tile_cols), bool)
    for placement in program.placements:
        for block in placement.blocks:
            r = block.region
            row0 = r.tile * program.config.tile_rows + r.row0
            used[row0 : row0 + r.rows, r.col0 : r.col0 + r.cols] = True
    return used


def array_picture(axes: Axes, title: str, cells: np.ndarray, program: Program, bound: float) -> Any:
    """Draw the tiles with the layers outlined; of one tile that is used in a corner alone, that corner."""
    config = program.config
    image = mosaic_picture(axes, title, cells, config, cmap=ARRAY_COLORS, vmin=-bound, vmax=bound)
    wide = _mosaic(config.tiles, config.tile_cols, config.tile_rows)
    height, width = image.get_array().shape
    regions = [(placement.layer, block.region) for placement in program.placements for block in placement.blocks]
    used_width, used_height = max(r.row0 + r.rows for _, r in regions), max(r.col0 + r.cols for _, r in regions)
    if config.tiles == 1 and used_width * used_height < CORNER * width * height:
        axes.set_xlabel(f"{used_width} of {width} rows")
        axes.set_ylabel(f"{used_height} of {height} columns")
        width, height = used_width, used_height
        axes.set_xlim(-0.5, width - 0.5)
        axes.set_ylim(height - 0.5, -0.5)
    for layer, r in regions:
        x = (r.tile % wide) * config.tile_rows + r.row0 - 0.5
        y = (r.tile // wide) * config.tile_cols + r.col0 - 0.5
        axes.add_patch(Rectangle((x, y), r.rows, r.cols, fill=False, edgecolor=INK, linewidth=0.9))
        if r.rows > NAMED[0] * width and r.cols > NAMED[1] * height:
            margin = 0.008 * width
            text = axes.text(x + r.rows - margin, y + r.cols - 0.01 * height, f"W{layer}", ha="right", va="bottom", weight="bold")
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    return image


def conductances(axes: Axes, before: np.ndarray, after: np.ndarray, program: Program, bound: float) -> None:
    """Draw the conductances of the cells that carry weights."""
    used = carrying(program)
    bins = np.linspace(-bound, bound, min(61, 2 * int(np.sqrt(used.sum())) + 1)).tolist()  # few cells, few bins
    axes.set_title("Conductances")
    axes.hist(before[used], bins, color=BEFORE, label="before")
    axes.hist(after[used], bins, histtype="step", color=ACCENT, linewidth=2, label="after")
    axes.set_xlabel("device units")
    axes.set_ylabel("cells")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="upper right")


def plot_comparison(path: Path, title: str, curves: Sequence[tuple[str, np.ndarray]]) -> None:
    """Draw test accuracy per epoch of several runs: mean over the seeds, a band from the worst to the best.

    Parameters
    ----------
    curves : sequence of (name, accuracies)
        Accuracies of shape (seeds, epochs), as fractions.
    """
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(11, 6.5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(plain(title), fontsize=14, parse_math=False)
        axes.set_xlabel("epoch")
        axes.set_ylabel("test accuracy, %")
        styles = ("-", "--", ":", "-.")
        for number, (name, accuracy) in enumerate(curves):
            epochs = np.arange(1, accuracy.shape[1] + 1)
            color = INK if name.startswith("software") else CYCLE[number % len(CYCLE)]
            mean = 100 * accuracy.mean(axis=0)
            axes.fill_between(epochs, 100 * accuracy.min(axis=0), 100 * accuracy.max(axis=0), color=color, alpha=0.13, linewidth=0)
            axes.plot(epochs, mean, styles[number // len(CYCLE) % len(styles)], color=color, label=f"{name}:  {mean[-1]:.1f} %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right")
        save(figure, path, dpi=120)

"""Pictures of devices: the measurement with its twin, and the twin alone."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from backpulse.firmware_py.table_device import NODES, TableDevice, ramps
from backpulse.host.device_file import DeviceFile
from backpulse.host.plots import ACCENT, GRID, REFERENCE, SOFT, STYLE, save
from backpulse.host.terminal import plain

MOST_GOES, MOST_IN_ONE = 2000, 31
"""Goes of pulses that a twin is followed for in a picture, and pulses in one."""
COLORS = {"up": ACCENT, "down": REFERENCE}
PREFIXES = ((1e-3, "mS", 1e3), (1e-6, "µS", 1e6), (1e-9, "nS", 1e9), (0.0, "pS", 1e12))


def unit_of(device: DeviceFile | None) -> tuple[str, float]:
    """Return the unit of conductances in pictures and tables, and what they are multiplied by."""
    if device is None:
        return "device units", 1.0
    if device.scale.unit != "S":
        return "as measured", 1.0
    return next((name, factor) for least, name, factor in PREFIXES if device.scale.high >= least)


def twin_ramp(device: DeviceFile, up: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return pulses and conductances of the twin without noise, from where the fitted ramp begins."""
    points = np.array(device.curves.up if up else device.curves.down)
    size = int(min(-(-int(points[-1, 0]) // MOST_GOES), MOST_IN_ONE)) or 1
    goes = min(int(points[-1, 0]) // size, MOST_GOES)
    table = device.table_device
    quiet = TableDevice(
        name=table.name,
        up=table.up,
        down=table.down,
        noise_up=(0.0,) * len(table.noise_up),
        noise_down=(0.0,) * len(table.noise_down),
        bound_up=table.bound_up,
        bound_down=table.bound_down,
    )
    read = ramps(
        quiet, np.full(goes, size if up else -size), float(device.units(device.curves.start_up if up else device.curves.start_down))
    )
    return np.arange(goes + 1) * size, device.conductance(read[:, 0])


def plot_device(path: Path, device: DeviceFile) -> None:
    """Draw data and twin: conductance over the pulses, steps over the conductance, and what each model leaves."""
    unit, factor = unit_of(device)
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(15, 5), layout="constrained")
        figure.suptitle(plain(f"{device.name}: {', '.join(device.source.files)[:80]}"), fontsize=13, parse_math=False)
        left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 0.8))
        begin = 0.0
        for word, points in (("up", np.array(device.curves.up)), ("down", np.array(device.curves.down))):
            n, g = twin_ramp(device, word == "up")
            left.plot(
                begin + points[:, 0],
                factor * points[:, 1],
                ".",
                color=SOFT,
                markersize=4,
                label="measured (mean)" if word == "up" else None,
            )
            left.plot(begin + n, factor * g, color=COLORS[word], label=f"twin, {word}", alpha=0.9)
            begin += points[-1, 0]
        left.axhline(factor * device.scale.zero, color=GRID, zorder=0)
        left.annotate(f"zero: {device.scale.zero_is}", (0, factor * device.scale.zero), color=SOFT, fontsize=9, va="bottom")
        left.set_title("pulse response")
        left.set_xlabel("pulse, up and then down")
        left.set_ylabel(f"conductance, {unit}")
        left.legend()
        _steps(middle, device, unit, factor)
        _residuals(right, device)
        save(figure, path, 110)


def _steps(axes: Axes, device: DeviceFile, unit: str, factor: float) -> None:
    """Draw the steps of the table, and their noise as a band."""
    table = device.table_device
    inside = np.abs(NODES - (table.bound_up + table.bound_down) / 2) <= (table.bound_up - table.bound_down) / 2 + 1e-9
    g = factor * device.conductance(NODES[inside])
    size = (device.scale.high - device.scale.low) / (table.bound_up - table.bound_down) * factor
    for word, steps, noise in (("up", table.up, table.noise_up), ("down", table.down, table.noise_down)):
        step, band = size * np.array(steps)[inside], size * np.append(noise, noise[-1])[inside]
        axes.plot(g, step, color=COLORS[word], label=f"step {word}")
        axes.fill_between(g, np.maximum(step - band, 0), step + band, color=COLORS[word], alpha=0.15, linewidth=0)
    if device.measured.symmetry is not None:
        place = device.scale.low + device.measured.symmetry * (device.scale.high - device.scale.low)
        axes.axvline(factor * place, color=SOFT, linestyle=":", linewidth=1.2, label="symmetry point")
    axes.set_title("step of a pulse, and its noise")
    axes.set_xlabel(f"conductance, {unit}")
    axes.set_ylabel(unit)
    axes.set_ylim(0, min(axes.get_ylim()[1], 3 * size * max(np.max(np.array(s)[inside]) for s in (table.up, table.down))))
    axes.legend()


def _residuals(axes: Axes, device: DeviceFile) -> None:
    """Draw what each model leaves of the measured ramps."""
    names = list(device.residuals)
    at = np.arange(len(names))
    for k, word in enumerate(("up", "down")):
        values = [device.residuals[name][k] for name in names]
        bars = axes.barh(at + 0.2 - 0.4 * k, values, 0.38, color=COLORS[word], label=word)
        axes.bar_label(bars, [f"{value:.2g}" for value in values], padding=3, fontsize=8, color=SOFT)
    axes.set_yticks(at, names)
    axes.margins(x=0.15)
    axes.set_ylim(len(names) + 0.3, -0.6)
    axes.set_title("left by models, % of range")
    axes.legend(loc="lower right", ncols=2, fontsize=9)


def plot_response(path: Path, title: str, signs: np.ndarray, read: np.ndarray, unit: str) -> None:
    """Draw simulated cells over a train of pulses.

    Parameters
    ----------
    path : Path
    title : str
    signs : ndarray
        The train, (n,).
    read : ndarray
        (n + 1, cells), in `unit`.
    unit : str
    """
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(11, 5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(plain(title), parse_math=False)
        pulses = np.arange(len(read))
        axes.plot(pulses, read[:, : min(20, read.shape[1])], color=SOFT, linewidth=0.6, alpha=0.5)
        axes.plot(pulses, read.mean(axis=1), color=ACCENT, label=f"mean of {read.shape[1]}")
        turns = np.flatnonzero(np.diff(signs)) + 1
        for turn in turns[:40]:
            axes.axvline(turn, color=GRID, linewidth=1, zorder=0)
        axes.set_xlabel("pulse")
        axes.set_ylabel(f"conductance, {unit}")
        axes.legend()
        save(figure, path, 110)


def plot_retention(path: Path, title: str, accuracy: float | None, later: list[dict[str, Any]]) -> None:
    """Draw accuracies over the time without pulses.

    Parameters
    ----------
    path : Path
    title : str
    accuracy : float or None
        At first.
    later : list of dict
        `seconds`, `accuracy` and perhaps `accuracy_mean` of each time, as the JSON of `infer` has them.
    """
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(plain(title), parse_math=False)
        rows = sorted(later, key=lambda row: row["seconds"])
        # The wide line is seen beside the narrow one where both are the same.
        ways = (("accuracy", "as it is", REFERENCE, 5), ("accuracy_mean", "with the mean shift compensated", ACCENT, 2))
        for name, label, color, width in ways:
            known = [row for row in rows if row.get(name) is not None]
            if known:
                seconds, shares = [row["seconds"] for row in known], [100 * row[name] for row in known]
                axes.plot(seconds, shares, "o-", color=color, label=label, linewidth=width, markersize=3 * width**0.7)
        if accuracy is not None:
            axes.axhline(100 * accuracy, color=SOFT, linestyle=":", label="at first")
        axes.set_xscale("log")
        axes.set_xticks([row["seconds"] for row in rows], [row["after"] for row in rows])
        axes.minorticks_off()
        axes.set_xlabel("time without pulses")
        axes.set_ylabel("accuracy, %")
        axes.legend()
        save(figure, path, 110)

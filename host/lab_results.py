"""What is found on an array in the lab: numbers in siemens and volts, each saved as a table, drawn, and told as JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.host.array_cells import Verified
from backpulse.host.cell_names import cell_name
from backpulse.host.cell_values import DOWN, UP
from backpulse.host.csv_tables import write_table


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What every result has; `save` writes its table (CSV), `plot` a picture (.png, .svg, .pdf).

    Parameters
    ----------
    board : str
        Where it was found.
    array : dict
        What the array says that it is.
    scale : str
        What siemens rest on.
    complete : bool
        False if it was stopped before its end.
    """

    board: str
    array: dict[str, Any]
    scale: str
    complete: bool = True

    def _write(self, path: str | Path, text: str, columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]], **more: str) -> None:
        stopped = {} if self.complete else {"stopped": "by the user, before the end"}
        write_table(Path(path), {"backpulse": f"array {text}", "board": self.board, **more, **stopped}, columns, list(rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadMap(Measured):
    """The read map of an array.

    Attributes
    ----------
    forward, backward : ndarray
        Conductances by READ and by READT in siemens, float64 of shape (rows of all tiles, columns).
    figures : dict
        Least, mean and most; how far the two differ, RMS and worst, and where; N² g R, if the array file tells it.
    """

    read_profile: int
    averages: int
    forward: np.ndarray
    backward: np.ndarray
    figures: dict[str, Any]
    config: Config

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array map`."""
        about = {"board": self.board, "array": self.array, "read_profile": self.read_profile, "averages": self.averages}
        return {**about, **self.figures, "forward_s": self.forward.tolist(), "backward_s": self.backward.tolist()}

    def save(self, path: str | Path) -> None:
        """Write the table, which `arm`, `program` and `Lab.program` take."""
        rows = ((r, c, float(self.forward[r, c]), float(self.backward[r, c])) for r, c in np.ndindex(self.forward.shape))
        text = "map: conductance by READ and by READT, siemens"
        self._write(path, text, ("row", "column", "forward_S", "backward_S"), rows, scale=self.scale)

    def plot(self, path: str | Path) -> None:
        """Draw both directions, and what they differ by."""
        from backpulse.host.lab_plots import plot_map  # matplotlib takes its time

        plot_map(Path(path), self.board, self.forward, self.backward, self.config)


@dataclass(frozen=True, kw_only=True, eq=False)
class _OfCells(Measured):
    """What named cells did; `places` are row (of all tiles) and column of each, int64 of shape (cells, 2)."""

    read_profile: int
    places: np.ndarray

    @property
    def cells(self) -> list[str]:
        """Names of the cells."""
        return [cell_name(*place) for place in self.places.tolist()]

    def _about(self, **profiles: int) -> dict[str, Any]:
        about = {"board": self.board, "array": self.array, "read_profile": self.read_profile, **profiles}
        return {**about, "complete": self.complete, "cells": self.cells}


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves(_OfCells):
    """Response curves of cells.

    Attributes
    ----------
    pulses : list of int
        Pulses given before each point: 0, 1, 2, ...
    directions : list of str
        Of the last one: start, up or down.
    conductance : ndarray
        Siemens, float64 of shape (points, cells).
    """

    pulse_profile: int
    pulses: list[int]
    directions: list[str]
    conductance: np.ndarray

    @property
    def steps(self) -> dict[str, np.ndarray]:
        """Mean step of a pulse up and down in siemens, float64 of shape (cells,); NaN where there was none."""
        ways, moved = np.array(self.directions[1:]), np.diff(self.conductance, axis=0)
        none = np.full(self.conductance.shape[1], np.nan)
        return {way: moved[ways == way].mean(axis=0) if (ways == way).any() else none for way in (UP, DOWN)}

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array pulse`."""
        steps = {f"step_{way}_s": step.tolist() for way, step in self.steps.items()}
        lists = {"pulses": self.pulses, "directions": self.directions, "conductance_s": self.conductance.tolist()}
        return {**self._about(pulse_profile=self.pulse_profile), **lists, **steps}

    def save(self, path: str | Path) -> None:
        """Write the table."""
        rows = (
            (*place, pulse, direction, float(value))
            for place, values in zip(self.places.tolist(), self.conductance.T, strict=True)
            for pulse, direction, value in zip(self.pulses, self.directions, values, strict=True)
        )
        text = "pulse: conductance in siemens after each pulse; pulse 0 is what the cell was before"
        self._write(path, text, ("row", "column", "pulse", "direction", "conductance_S"), rows, scale=self.scale)

    def plot(self, path: str | Path) -> None:
        """Draw the curves, and the step of a pulse over the conductance."""
        from backpulse.host.lab_plots import plot_curves  # matplotlib takes its time

        plot_curves(Path(path), self.board, self.places, self.pulses, self.directions, self.conductance)


@dataclass(frozen=True, kw_only=True, eq=False)
class Endurance(_OfCells):
    """What cycles of pulses up and down did to cells.

    Attributes
    ----------
    cycles : list of int
        Those that were measured.
    pulses_a_cycle : int
    high, low : ndarray
        Both ends of each cycle in siemens, float64 of shape (cycles measured, cells).
    budget : dict
        The pulses that a cell may have and has had (`pulses_allowed`, `pulses_most`, `ledger`), if the array file has a budget.
    pulses_ever : ndarray or None
        Pulses that each cell has had ever, int64 of shape (cells,), if the array file has a budget.
    """

    pulse_profile: int
    cycles: list[int]
    pulses_a_cycle: int
    high: np.ndarray
    low: np.ndarray
    budget: Mapping[str, Any]
    pulses_ever: np.ndarray | None

    @property
    def window(self) -> np.ndarray:
        """Width of each window, of the shape of `high`."""
        return self.high - self.low

    @property
    def midpoint(self) -> np.ndarray:
        """Middle of each window, of the shape of `high`."""
        return (self.high + self.low) / 2

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array endurance`."""
        lists = {"high_s": self.high, "low_s": self.low, "window_s": self.window, "midpoint_s": self.midpoint}
        about = {**self._about(pulse_profile=self.pulse_profile), "cycles": self.cycles, "pulses_a_cycle": self.pulses_a_cycle}
        return {**about, **{name: values.tolist() for name, values in lists.items()}, **self.budget}

    def save(self, path: str | Path) -> None:
        """Write the table."""
        half, lists = self.pulses_a_cycle // 2, (self.high, self.low, self.window, self.midpoint)
        rows = (
            (*place, cycle, self.pulses_a_cycle * cycle, *(float(values[n, i]) for values in lists))
            for i, place in enumerate(self.places.tolist())
            for n, cycle in enumerate(self.cycles)
        )
        text = f"endurance: cycles of {half} pulses up and {half} down; conductances in siemens"
        columns = ("row", "column", "cycle", "pulses", "high_S", "low_S", "window_S", "midpoint_S")
        self._write(path, text, columns, rows, scale=self.scale)

    def plot(self, path: str | Path) -> None:
        """Draw both ends of the windows and their width over the cycles."""
        from backpulse.host.lab_plots import plot_endurance  # matplotlib takes its time

        plot_endurance(Path(path), self.board, self.places, self.cycles, self.high, self.low)


@dataclass(frozen=True, kw_only=True, eq=False)
class Retention(_OfCells):
    """What cells were at some times, without pulses.

    Attributes
    ----------
    seconds : list of float
        Since the first look, which is at 0.
    conductance : ndarray
        Siemens, float64 of shape (looks, cells).
    """

    seconds: list[float]
    conductance: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array retention`."""
        return {**self._about(), "seconds": self.seconds, "conductance_s": self.conductance.tolist()}

    def save(self, path: str | Path) -> None:
        """Write the table."""
        rows = (
            (at, *place, float(value))
            for at, look in zip(self.seconds, self.conductance, strict=True)
            for place, value in zip(self.places.tolist(), look, strict=True)
        )
        text = "retention: conductance in siemens, seconds after the first look"
        self._write(path, text, ("time_s", "row", "column", "conductance_S"), rows, scale=self.scale)

    def plot(self, path: str | Path) -> None:
        """Draw how far cells have moved."""
        from backpulse.host.lab_plots import plot_retention  # matplotlib takes its time

        plot_retention(Path(path), self.board, self.seconds, self.conductance)


@dataclass(frozen=True, kw_only=True, eq=False)
class IVCurve(Measured):
    """The current of a cell over its voltage, there and back again.

    Attributes
    ----------
    volts, amperes : ndarray
        float64 of shape (points,).
    back, over : ndarray
        Whether it is on its way back, and whether the converter was at its rail: bool of shape (points,).
    """

    cell: str
    compliance: float
    volts: np.ndarray
    amperes: np.ndarray
    back: np.ndarray
    over: np.ndarray

    @property
    def turned(self) -> int | None:
        """The first point at the compliance or at the rail, where it has turned; None if it came to its end."""
        at = np.flatnonzero(self.over | (np.abs(self.amperes) >= self.compliance))
        return int(at[0]) if len(at) else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array iv`."""
        points = {name: getattr(self, name).tolist() for name in ("volts", "amperes", "back", "over")}
        return {"board": self.board, "cell": self.cell, "compliance_a": self.compliance, "complete": self.complete, **points}

    def save(self, path: str | Path) -> None:
        """Write the table."""
        points = zip(self.volts.tolist(), self.amperes.tolist(), self.back.tolist(), self.over.tolist(), strict=True)
        rows = ((n, "back" if back else "there", volts, amperes, int(over)) for n, (volts, amperes, back, over) in enumerate(points))
        text = f"iv: current through cell {self.cell} over its voltage, compliance {self.compliance:g} A"
        self._write(path, text, ("point", "direction", "volts_V", "current_A", "over"), rows)

    def plot(self, path: str | Path) -> None:
        """Draw the curve, and its size on a logarithmic scale."""
        from backpulse.host.lab_plots import plot_iv  # matplotlib takes its time

        plot_iv(Path(path), f"{self.cell} of {self.board}", self.volts, self.amperes, self.back)


@dataclass(frozen=True, kw_only=True, eq=False)
class Forming(Measured):
    """What forming would drive, or has done.

    Attributes
    ----------
    code : str
        Names what cells may be driven with; given as `confirm`, they are.
    drives : list of (str, str)
        What that is, in words.
    target : float
        Ohms below which a cell is formed.
    steps : dict
        By (row of all tiles, column): volts of each pulse, 0 before the first, and the ohms behind it. Empty if nothing was driven.
    """

    code: str
    drives: list[tuple[str, str]]
    target: float
    steps: dict[tuple[int, int], list[tuple[float, float]]]

    @property
    def driven(self) -> bool:
        """Whether cells were driven."""
        return bool(self.steps)

    @property
    def formed(self) -> list[str]:
        """Names of the cells that are formed."""
        return [cell_name(*place) for place, steps in self.steps.items() if steps and steps[-1][1] < self.target]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array form`; infinite resistances are None."""
        if not self.driven:
            return {"board": self.board, "code": self.code, "drives": dict(self.drives)}
        formed = self.formed
        cells = [
            {
                "cell": (name := cell_name(*place)),
                "formed": name in formed,
                "volts": [volts for volts, _ in steps],
                "ohms": [ohms if np.isfinite(ohms) else None for _, ohms in steps],
            }
            for place, steps in self.steps.items()
        ]
        return {"board": self.board, "target_ohm": self.target, "complete": self.complete, "cells": cells}

    def save(self, path: str | Path) -> None:
        """Write the table."""
        rows = ((*place, n, *step) for place, steps in self.steps.items() for n, step in enumerate(steps))
        text = f"form: resistance after each pulse, target {self.target:g} ohm; volts 0: before the first"
        self._write(path, text, ("row", "column", "pulse", "volts_V", "resistance_ohm"), rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Programmed(Measured):
    """What program-and-verify came to.

    Attributes
    ----------
    target : str
        What the cells were to be, in words.
    conductance : ndarray
        Siemens as measured at the end, NaN where nothing was asked for: float64 of shape (rows of all tiles, columns).
    left : ndarray
        What is left of what was wanted, in sense LSB; of the same shape.
    verified : Verified
        Rounds, pulses, residuals.
    """

    target: str
    conductance: np.ndarray
    left: np.ndarray
    verified: Verified
    config: Config

    @property
    def off(self) -> list[str]:
        """Names of the cells that did not follow."""
        return [cell_name(*place) for place in self.verified.off]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array program`."""
        cells = [[None if np.isnan(value) else value for value in row] for row in self.conductance.tolist()]
        about = {"board": self.board, "array": self.array, "target": self.target}
        return {**about, **self.verified.to_dict(), "conductance_s": cells}

    def plot(self, path: str | Path) -> None:
        """Draw how it converged, and what is left."""
        from backpulse.host.lab_plots import plot_programmed  # matplotlib takes its time

        plot_programmed(Path(path), f"{self.target} on {self.board}", self.left, self.verified.residuals, self.config)

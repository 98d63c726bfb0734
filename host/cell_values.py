"""Named cells of an array, measured and pulsed over the tile contract: what response curves, retention and endurance are made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.isa import Region
from backpulse.host.array_budget import Budget
from backpulse.host.array_operations import Tell, cell_sense, one_hot, pulse, read, rectangle
from backpulse.host.board import Board

UP, DOWN, START = "up", "down", "start"
"""Directions of a response curve's points; the first is what the cell was before."""


@dataclass(frozen=True)
class _Part:
    """The named cells of a tile."""

    region: Region
    """Their bounding box."""
    rows: np.ndarray
    """Rows of it that have named cells."""
    cols: np.ndarray
    at: np.ndarray
    """Their places in it: int64 of shape (cells, 2)."""


class NamedCells:
    """Some cells of an array.

    Operations on them take the place of the program and the samples that the board held.

    Parameters
    ----------
    board : Board
    named : ndarray
        Which cells: bool of shape (rows of all tiles, columns).
    read_profile, pulse_profile : int
    averages : int
        Reads of each line.
    budget : Budget, optional
        Where pulses are counted.

    Attributes
    ----------
    places : ndarray
        Row (of all tiles) and column of each cell: int64 of shape (cells, 2).
    """

    def __init__(
        self,
        board: Board,
        named: np.ndarray,
        *,
        read_profile: int = 0,
        pulse_profile: int = 0,
        averages: int = 1,
        budget: Budget | None = None,
    ) -> None:
        self._board, self._named, self._profiles, self._averages, self._budget = (
            board,
            named,
            (read_profile, pulse_profile),
            averages,
            budget,
        )
        self.places = np.argwhere(named)
        self._unit = cell_sense(board.config)
        self._parts: list[_Part] = []
        high = board.config.tile_rows
        for tile in range(board.config.tiles):
            at = np.argwhere(named[tile * high : (tile + 1) * high])
            if len(at):
                first, last = at.min(axis=0), at.max(axis=0)
                rows, cols = (last - first + 1).tolist()
                inside = at - first
                region = rectangle(board.config, tile, int(first[0]), rows, int(first[1]), cols)
                self._parts.append(_Part(region, np.unique(inside[:, 0]), np.unique(inside[:, 1]), inside))

    def read(self, report: Tell | None = None) -> np.ndarray:
        """Return the cells in device units, float64 in the order of `places`: each line alone, driven fully, in the direction of fewer."""
        found = []
        for part in self._parts:
            transposed = len(part.cols) < len(part.rows)
            lines, count = (part.cols, part.region.cols) if transposed else (part.rows, part.region.rows)
            drives = np.tile(one_hot(self._board.config, count)[lines], (self._averages, 1))
            words = read(self._board, part.region, drives, transposed=transposed, profile=self._profiles[0], report=report)
            mean = words.reshape(self._averages, len(lines), -1).mean(axis=0)
            driven, sensed = part.at.T[::-1] if transposed else part.at.T
            found.append(mean[np.searchsorted(lines, driven), sensed])
        return np.concatenate(found) / self._unit

    def pulse(self, count: int) -> None:
        """Give each cell so many pulses; positive is potentiation."""
        plane = np.where(self._named, count, 0)
        if self._budget:
            self._budget.check(np.abs(plane))
            self._budget.add(plane)  # before they are given: of what is broken off nobody knows how many were
        high = self._board.config.tile_rows
        for part in self._parts:
            r = part.region
            pulse(
                self._board,
                r,
                plane[r.tile * high + r.row0 :][: r.rows, r.col0 : r.col0 + r.cols],
                profile=self._profiles[1],
            )

    def check_budget(self, pulses: int) -> None:
        """Refuse so many pulses a cell if they would go beyond the budget, before the first is given."""
        if self._budget:
            self._budget.check(np.where(self._named, pulses, 0))


@dataclass(frozen=True)
class Point:
    """A point of the response curves."""

    pulse: int
    """Pulses given so far."""
    direction: str
    """Of the last one."""
    values: np.ndarray
    """Device units, in the order of `NamedCells.places`."""


def response_curves(cells: NamedCells, pulses: int, cycles: int = 1, report: Tell | None = None) -> Iterator[Point]:
    """Pulse cells up and down again, one pulse at a time, and yield what they are after each.

    Parameters
    ----------
    cells : NamedCells
    pulses : int
        In each direction.
    cycles : int
        How often up and down.
    report : callable, optional
        Called with (pulses done, pulses to do).

    Raises
    ------
    InputError
        If the pulses would go beyond the cells' budget.
    """
    total = 2 * pulses * cycles
    cells.check_budget(total)
    yield Point(0, START, cells.read())
    for done in range(total):
        up = done // pulses % 2 == 0
        cells.pulse(1 if up else -1)
        yield Point(done + 1, UP if up else DOWN, cells.read())
        if report:
            report(done + 1, total)


@dataclass(frozen=True)
class Cycle:
    """What cells are at either end of a cycle, device units in the order of `NamedCells.places`."""

    number: int
    high: np.ndarray
    low: np.ndarray


def endurance(cells: NamedCells, pulses: int, cycles: int, every: int = 1, report: Tell | None = None) -> Iterator[Cycle]:
    """Pulse cells up and down again many times; yield both ends of the first cycle, of each `every`-th, and of the last.

    Parameters
    ----------
    cells : NamedCells
    pulses : int
        In each direction of a cycle.
    cycles, every : int
    report : callable, optional
        Called with (cycles done, cycles).

    Raises
    ------
    InputError
        If the pulses would go beyond the cells' budget.
    """
    cells.check_budget(2 * pulses * cycles)
    for number in range(1, cycles + 1):
        seen = number in (1, cycles) or number % every == 0
        cells.pulse(pulses)
        high = cells.read() if seen else None
        cells.pulse(-pulses)
        if high is not None:
            yield Cycle(number, high, cells.read())
        if report:
            report(number, cycles)


@dataclass(frozen=True)
class Look:
    """What cells are at a time."""

    seconds: float
    """Since the first look, when it began."""
    values: np.ndarray
    """Device units, in the order of `NamedCells.places`."""


def retention(
    cells: NamedCells, times: Sequence[float], clock: Callable[[], float], wait: Callable[[float], None], report: Tell | None = None
) -> Iterator[Look]:
    """Yield what cells are at first, and at some times after that.

    Parameters
    ----------
    cells : NamedCells
    times : sequence of float
        Seconds, rising.
    clock : callable
        The time in seconds.
    wait : callable
        Lets at most so many seconds pass.
    report : callable, optional
        Called with (whole seconds since the first look, those of the last).
    """
    begun = clock()
    yield Look(0.0, cells.read())
    for time in times:
        while (left := begun + time - clock()) > 0:
            wait(left)
            if report:
                report(int(clock() - begun), max(1, int(times[-1])))
        seconds = clock() - begun
        yield Look(seconds, cells.read())

"""Sweeps of single cells by direct operations: current over voltage, and forming by a ramp of pulses."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.analog import CODE_BITS, GAIN_FRAC, LineWord
from backpulse.firmware_py.analog_profiles import code_of
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.array import FrontEnd as FrontEndTable
from backpulse.firmware_py.registers import ArrayWord
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_operations import Tell
from backpulse.host.array_setup import full_drive, in_units
from backpulse.host.errors import InputError, wrong_input

MOST_POINTS = 100_000
"""Of a sweep."""


@dataclass(frozen=True)
class Point:
    """A point of a sweep: volts across the cell, and the current through it in amperes."""

    volts: float
    amperes: float
    back: bool
    """On the way back to the start."""
    over: bool
    """The converter was at its rail: the current is larger than it says."""


class CellBench:
    """One cell of an array, with direct operations.

    Its column is at 0 V and senses; other rows are at 0 V and other columns at half the cell's voltage: so the column senses this cell
    alone, and no other cell sees more than half of its voltage.

    Parameters
    ----------
    tile : AnalogTile
    array : Array
        With a front end.
    row, col : int
        Logical column; of a pair it is the half that goes up.
    profile : int
        For times and averages.
    """

    def __init__(self, tile: AnalogTile, array: Array, row: int, col: int, profile: int) -> None:
        self._tile, self._profile = tile, profile
        lines = tile.lines
        self._row, self._col = row, lines.rows + col * lines.pieces
        self._cols = slice(lines.rows, lines.rows + lines.cols)
        front = array.front_end
        assert front is not None
        self._front: FrontEndTable = front
        table = tile.calibration()
        self._offset = int(table[LineWord.OFFSET][self._col])
        # A sense LSB is a device unit at full drive over 2^sense_frac (`nominal`), and a gain is sense LSB of a sample.
        sense = array.pieces * array.cells.per_unit * front.read_volts / (1 << tile.board.config.sense_frac)
        self._of_sample = sense * int(table[LineWord.GAIN][self._col]) / (1 << GAIN_FRAC)

    def read(self, volts: float) -> Point:
        """Measure the current at a voltage."""
        codes = np.zeros(self._tile.lines.count, np.int64)
        codes[self._cols] = code_of(volts / 2, self._front)
        codes[self._row], codes[self._col] = code_of(volts, self._front), 0
        found = self._tile.measure(codes, profile=self._profile)
        return Point(volts, (float(found.values[self._col]) - self._offset) * self._of_sample, False, bool(found.over[self._col]))

    def ohms(self) -> float:
        """Return the cell's resistance at the voltage of a full read; infinite if there is no current."""
        code = full_drive(self._tile.profile(self._profile), self._tile.board.config.drive_max)
        point = self.read(code / (1 << CODE_BITS - 1) * self._front.drive_volts)
        return point.volts / point.amperes if point.amperes > 0 else float("inf")

    def pulse(self, volts: float, profile: int) -> None:
        """Give the cell one pulse: row and column at half of the voltage either way, all others at 0 V."""
        codes = np.zeros(self._tile.lines.count, np.int64)
        half = code_of(volts / 2, self._front)
        codes[self._row], codes[self._col] = half, -half
        self._tile.pulse(codes, 1, profile=profile)


def ramp(start: float, stop: float, step: float, name: str) -> list[float]:
    """Return the voltages from one to another.

    Raises
    ------
    InputError
        If the step is none, or there are too many.
    """
    if not step > 0 or not np.isfinite([start, stop, step]).all():
        raise InputError(
            f"The step of {name} must be a positive number of volts, and its ends numbers, not {step:g} from {start:g} to {stop:g}"
        )
    count = int(abs(stop - start) / step + 1e-9) + 1
    if count > MOST_POINTS:
        raise InputError(f"{name} has {count:,} steps, and may have {MOST_POINTS:,}: take a larger step")
    found = [start + (step if stop >= start else -step) * n for n in range(count)]
    return found if abs(found[-1] - stop) < 1e-9 else [*found, stop]


def check_volts(tile: AnalogTile, array: Array, volts: float, word: ArrayWord, advice: str) -> None:
    """Refuse a line's voltage beyond what the board is armed for.

    Raises
    ------
    InputError
        If it is; no line is driven.
    """
    front = array.front_end
    assert front is not None
    with wrong_input():
        code = abs(code_of(volts, front))
    limit = tile.words[word]
    if code > limit:
        raise InputError(
            f"A line would get {abs(volts):.4g} V, and the limit is {in_units(word, limit, front, tile.clock_khz)}: {advice}; "
            "no line was driven"
        )


def sweep(cell: CellBench, volts: list[float], compliance: float, report: Tell | None = None) -> Iterator[Point]:
    """Yield the points of a sweep there and back again; it turns where the current reaches the compliance.

    Parameters
    ----------
    cell : CellBench
    volts : list of float
        On the way there.
    compliance : float
        Amperes.
    report : callable, optional
        Called with (points done, points at most).
    """
    total, there = 2 * len(volts) - 1, 0
    for n, value in enumerate(volts):
        point = cell.read(value)
        yield point
        there = n
        if report:
            report(n + 1, total)
        if point.over or abs(point.amperes) >= compliance:
            break
    for n, value in enumerate(reversed(volts[:there])):
        point = cell.read(value)
        yield Point(point.volts, point.amperes, True, point.over)
        if report:
            report(there + n + 2, total)


@dataclass(frozen=True)
class Formed:
    """A step of forming: volts of the pulse, 0 before the first, and the resistance behind it in ohms."""

    volts: float
    ohms: float


def form(cell: CellBench, volts: list[float], target: float, profile: int, before: Callable[[float], None]) -> Iterator[Formed]:
    """Pulse a cell with rising voltages until its resistance is below a target, and yield what each pulse came to.

    Parameters
    ----------
    cell : CellBench
    volts : list of float
    target : float
        Ohms.
    profile : int
        Of the pulses' width.
    before : callable
        Called with the voltage before each pulse.
    """
    found = Formed(0.0, cell.ohms())
    yield found
    for value in volts:
        if found.ohms < target:
            return
        before(value)
        cell.pulse(value, profile)
        found = Formed(value, cell.ohms())
        yield found

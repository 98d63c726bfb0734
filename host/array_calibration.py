"""The calibration of an array, measured by direct operations: offsets, trims, gains and factors of its lines.

By superposition the sample of a line is its own offset and a sum over the others, each with the difference of its voltage: so lines that
are driven one by one give the weights of that sum, lines at code 0 how far they are from one voltage, and the weights of known resistors
the gain. Nothing of it depends on what the cells are, but the gain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np

from backpulse.firmware_py.analog import FACTOR_BITS, GAIN_BITS, OFFSET_BITS, TRIM_BITS, LineWord, Reference
from backpulse.firmware_py.analog_profiles import nominal
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.registers import ArrayWord
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_operations import Tell
from backpulse.host.array_setup import full_drive
from backpulse.host.calibration_file import Calibration, array_digest
from backpulse.host.errors import HostError, InputError

STRANGE = 0.2
"""A cell whose resistor reads so much more or less than it should is named: a wrong wire, a short, an open."""
NAMED = 6
"""Cells and lines that a sentence names."""


@dataclass(frozen=True)
class Measured:
    """What direct operations found.

    Parameters
    ----------
    weights : ndarray
        Samples of line i for a code of line j, float64 of shape (lines, lines); zero where i is j.
    zero, open : ndarray
        Samples with all lines at code 0, and with none connected.
    switched : bool
        Whether lines can be disconnected.
    """

    weights: np.ndarray
    zero: np.ndarray
    open: np.ndarray
    switched: bool


@dataclass(frozen=True)
class Found:
    """A calibration, and what is to be told of it."""

    calibration: Calibration
    figures: dict[str, float]
    remarks: list[str]


def calibrate(tile: AnalogTile, array: Array, known: np.ndarray | None, *, profile: int = 0, report: Tell | None = None) -> Found:
    """Measure a calibration, with drives of a full read of a profile.

    Parameters
    ----------
    tile : AnalogTile
        Armed, its profiles those of the array.
    array : Array
        With a front end.
    known : ndarray, optional
        Conductances of the cells in siemens, float64 of shape (rows, physical columns): known resistors, or devices that are all in one
        known state. Without them gains are those of perfect parts.
    profile : int
    report : callable, optional
        Called with (measurements done, measurements).

    Raises
    ------
    HostError
        If a line is at its rail, or cells read other than known resistors can.
    InputError
        If a number is beyond what the tables hold.
    """
    lines = tile.lines
    code = full_drive(tile.profile(profile), tile.board.config.drive_max)
    perfect = nominal(array, tile.board.config)
    assert array.front_end is not None
    ideal = array.front_end.feedback_ohm * array.front_end.drive_volts / array.front_end.sense_volts  # samples of a code and a siemens
    remarks: list[str] = []
    total = 2 * (lines.rows + lines.cols) + 5
    used = lines.rows + lines.cols
    tables = {at: np.full(lines.count, float(word)) for at, word in perfect.items()}
    tile.write_calibration(tables, 0)
    with tile.averaging(profile):
        measured = _measure(tile, code, profile, lambda done: report(done, total) if report else None)
        if measured.switched:
            tables[LineWord.TRIM] = -np.rint(_offsets(measured))
        else:
            remarks.append("The front end cannot disconnect lines: their own offsets, and so trims, are taken to be zero")
        _check_range(tables)
        tile.write_calibration(tables, 0)
        tables[LineWord.OFFSET] = tile.measure(np.zeros(lines.count, int), profile=profile).values
        if report:
            report(total, total)
    kappa = np.full(lines.count, ideal)
    worst = {at: float(np.abs(tables[at]).max()) for at in (LineWord.OFFSET, LineWord.TRIM)}
    figures = {"offset_worst_samples": worst[LineWord.OFFSET], "trim_worst_codes": worst[LineWord.TRIM]}
    method = "gains of perfect parts, factors of the file's wires"
    if known is not None:
        expected = _siemens(array, known)
        cells = np.where(expected > 0, measured.weights[:used, :used], 0.0)
        sums = expected.sum(axis=1)
        kappa[:used] = np.where(sums > 0, cells.sum(axis=1) / np.where(sums > 0, sums, 1.0), ideal)
        figures |= _compare(tile, cells, kappa[:used, None] * expected, kappa[:used] / ideal)
        method = "gains and factors of known resistors"
    tables[LineWord.GAIN] = perfect[LineWord.GAIN] * ideal / kappa
    if lines.reference is Reference.CALIBRATED:
        others = np.array([lines.cols] * lines.rows + [lines.rows] * lines.cols)
        effective = _siemens(array, np.full((lines.rows, lines.cols), array.cells.mid))
        tables[LineWord.FACTOR][:used] = perfect[LineWord.FACTOR] * effective.sum(axis=1) / others / array.cells.mid
    _check_range(tables)
    calibration = Calibration(
        date=datetime.now(UTC).replace(microsecond=0),
        temperature=tile.words[ArrayWord.TEMPERATURE] or None,
        array=array_digest(array, lines, tile.front_end),
        name=array.name,
        method=method,
        **{at.name.lower(): np.rint(values).astype(int).tolist() for at, values in tables.items()},
    )
    return Found(calibration, figures, remarks)


def _measure(tile: AnalogTile, code: int, profile: int, report: Callable[[int], None]) -> Measured:
    lines = tile.lines
    nothing, used = np.zeros(lines.count, int), lines.rows + lines.cols
    done = 0

    def measure(codes: np.ndarray, connected: np.ndarray | None = None) -> np.ndarray:
        nonlocal done
        found = tile.measure(codes, connected=connected, profile=profile)
        done += 1
        report(done)
        over = np.flatnonzero(found.over & (codes == 0))
        if len(over):
            names = ", ".join(line_name(tile, line) for line in over[:NAMED].tolist())
            raise HostError(
                f"The converter of {names} is at its rail when one other line is driven for a read",
                "look for a short there, or choose a lower read_volts or feedback_ohm",
            )
        return found.values

    apart = np.zeros(lines.count, bool)
    zero, alone = measure(nothing), measure(nothing, apart)
    weights = np.zeros((lines.count, lines.count))
    for line in range(used):
        one = nothing.copy()
        one[line] = code
        ways = [measure(one), measure(-one)]
        weights[:, line] = (ways[0] - ways[1]) / (2 * code)
        weights[line, line] = 0.0
    # A disconnected line senses nothing of the line that it sees most of.
    row, col = np.unravel_index(int(weights[: lines.rows, lines.rows : used].argmax()), (lines.rows, lines.cols))
    one = nothing.copy()
    one[lines.rows + col] = code
    but = np.ones(lines.count, bool)
    but[row] = False
    moved = measure(one, but)[row] - measure(-one, but)[row]
    switched = abs(moved) < 0.1 * 2 * code * weights[row, lines.rows + col]
    return Measured(weights, zero, alone, bool(switched))


def _offsets(measured: Measured) -> np.ndarray:
    """Return the voltages of lines at code 0, as codes, less their mean: of that no cell sees anything."""
    laplacian = np.diag(measured.weights.sum(axis=1)) - measured.weights
    scale = np.maximum(np.diag(laplacian), 1e-12)
    found = np.linalg.lstsq(laplacian / scale[:, None], (measured.open - measured.zero) / scale, rcond=1e-9)[0]
    return np.where(np.diag(laplacian) > 0, found, 0.0)


def _siemens(array: Array, g: np.ndarray) -> np.ndarray:
    """Return what a line senses of each other through the file's wires, siemens of shape (lines, lines), of cells of `g` siemens."""
    rows, cols = g.shape
    if not any((array.wires.row_ohm, array.wires.col_ohm, array.wires.driver_ohm)):
        whole = g
        found = np.zeros((rows + cols, rows + cols))
        found[:rows, rows:], found[rows:, :rows] = whole, whole.T
        return found
    from backpulse.firmware_py.physical import nodal  # SciPy takes its time

    unit = array.pieces * array.cells.per_unit
    perfect = array.model_copy(update={"stuck": [], "open": [], "short": [], "dead": type(array.dead)()})
    of_rows, of_cols = nodal(perfect, g / unit).currents(np.eye(rows + cols)[:rows], np.eye(rows + cols)[rows:])
    found = np.vstack([of_rows, of_cols]) * unit
    found[:rows, :rows] = found[rows:, rows:] = 0.0
    return found


def _compare(tile: AnalogTile, found: np.ndarray, expected: np.ndarray, gains: np.ndarray) -> dict[str, float]:
    """Return how far the weights of known cells are from what they should be; refuse those that are too far."""
    off = np.where(expected > 0, found / np.where(expected > 0, expected, 1.0) - 1, 0.0)

    def named(texts: list[str]) -> str:
        return ", ".join(texts[:NAMED]) + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")

    name = partial(line_name, tile)
    if cells := [f"{name(j)} on {name(i)} {100 * off[i, j]:+.0f} %" for i, j in np.argwhere(np.abs(off) > STRANGE).tolist()]:
        raise HostError(f"Cells do not read as what is known of them: {named(cells)}", "look at wiring and values")
    if strange := [f"{name(i)} {100 * (gains[i] - 1):+.0f} %" for i in np.flatnonzero(np.abs(gains - 1) > STRANGE).tolist()]:
        raise HostError(f"Lines sense more or less than [front_end] says: {named(strange)}", "look at feedback_ohm, volts and known values")
    return {"gain_worst": float(np.abs(gains - 1).max()), "cell_worst": float(np.abs(off).max())}


def _check_range(tables: dict[LineWord, np.ndarray]) -> None:
    limits = {LineWord.TRIM: TRIM_BITS - 1, LineWord.OFFSET: OFFSET_BITS - 1, LineWord.GAIN: GAIN_BITS, LineWord.FACTOR: FACTOR_BITS - 1}
    for at, values in tables.items():
        most = (1 << limits[at]) - 1
        worst = float(np.abs(values).max(initial=0))
        if not worst <= most:
            raise InputError(
                f"A line's {at.name.lower()} is {worst:.0f}, and the tile holds {most} at most: change read_volts or feedback_ohm"
            )


def line_name(tile: AnalogTile, line: int) -> str:
    """Return what messages call a line: r3, c5, g2."""
    lines = tile.lines
    if line < lines.rows:
        return f"r{line}"
    return f"c{line - lines.rows}" if line < lines.rows + lines.cols else f"g{line - lines.rows - lines.cols}"

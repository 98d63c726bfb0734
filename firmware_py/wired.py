"""The tables of an array model, from its description: what the compiled models of an array, here and in the virtual board, compute with.

Everything is in natural units: a conductance of 1 is that of one device unit, a voltage of 1 full drive (or the whole programming voltage),
and so a current of 1 is what a cell of one device unit gives at full drive. A wire or cell without resistance has `LEAST_OHM`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import Capability, TileKind
from backpulse.firmware_py.tile_facts import EMULATED, TileFacts

if TYPE_CHECKING:
    from backpulse.firmware_py.array import Array

LEAST_OHM = 1e-3
"""Resistance that a wire has at least: far below what any read can tell."""
LEAK = 1e-9
"""Conductance from each node to ground: with it a line that nothing drives has a voltage too."""
READ, READT, WRITE = 0, 1, 2
"""Ways in which the ends of lines are used."""
MIDPOINT, LINE, PAIRS = 0, 1, 2
"""Reference schemes; a calibrated factor is a midpoint with factors."""
SCHEME, PHASES, AVERAGES, WIRED_WRITE, PIECES = range(5)
"""Places in Wired.sizes; PIECES are the physical columns of a logical one."""
MID, PER_WORD, DRIVE_STEP, DRIVE_ONE, SENSE_ONE, RAIL, ADC_STEP, NOISE, TOLERANCE, STEEPNESS, BIAS = range(11)
"""Places in Wired.numbers: conductance of a cell at zero, and of one LSB of a cell word; drive LSB of a converter's step; voltage of a
drive LSB; sense LSB of a current of 1; rail, step (0: none) and noise of a converter in sense LSB; largest error of a current; steepness
of a write, and the size of the voltage of lines that are not selected in it."""
GAIN, OFFSET, RESIDUE, DRIVE, DRIVER, SENSOR = range(6)
"""Places in Wired.row_line and col_line: of each line relative gain, offset and residue in sense LSB, relative drive, and conductance of
its end when it is driven and when it is sensed."""
PLACES = (
    *("READ", "WRITE", "MIDPOINT", "LINE", "PAIRS"),
    *("SCHEME", "PHASES", "AVERAGES", "WIRED_WRITE", "PIECES"),
    *("MID", "PER_WORD", "DRIVE_STEP", "DRIVE_ONE", "SENSE_ONE", "RAIL", "ADC_STEP", "NOISE", "TOLERANCE", "STEEPNESS", "BIAS"),
    *("GAIN", "OFFSET", "RESIDUE", "DRIVE", "DRIVER", "SENSOR"),
)
"""Names of these, for a model in another language."""
SIZES, NUMBERS, LINE_FIELDS = PIECES + 1, BIAS + 1, SENSOR + 1
"""How many places there are."""
TABLES = ("sizes", "numbers", "row_line", "col_line", "fixed", "row_wire", "col_wire", "zero_rows", "zero_cols")
"""The fields of Wired that are no scratch."""
TOLERANCE_OF_SCALE = 2e-8
"""Largest error of a current by relaxation, of full scale."""


class Wired(NamedTuple):
    """An array as compiled functions take it. R and C are the physical rows and columns of a tile."""

    sizes: np.ndarray  # int64 (5)
    numbers: np.ndarray  # float64 (11)
    row_line: np.ndarray  # float64 (tiles, R, 6)
    col_line: np.ndarray  # float64 (tiles, C, 6)
    fixed: np.ndarray  # float64 (tiles, R, C): conductance of what is no device; negative where there is one
    row_wire: np.ndarray  # float64 (tiles, C, R): conductance of a row's wire before column j at [j, i]
    col_wire: np.ndarray  # float64 (tiles, R, C): of a column's wire before row i at [i, j]
    zero_rows: np.ndarray  # float64 (tiles, R + 1, C): current of column j when all cells are zero and rows 0 .. i - 1 have full drive
    zero_cols: np.ndarray  # float64 (tiles, C + 1, R): of row i when columns 0 .. j - 1 have
    fresh: np.ndarray  # int64 (1): the tile whose cells are factored in the scratch below, or -1
    g: np.ndarray  # float64 (R, C) scratch: conductances of a tile's cells
    gt: np.ndarray  # float64 (C, R) scratch: the same, transposed
    u: np.ndarray  # float64 (R, C) scratch: voltages of the columns' nodes
    v: np.ndarray  # float64 (C, R) scratch: of the rows' nodes
    col_m: np.ndarray  # float64 (R, C) scratch: factors of the columns' matrices, as the next three
    col_l: np.ndarray  # float64 (R, C)
    row_m: np.ndarray  # float64 (C, R)
    row_l: np.ndarray  # float64 (C, R)
    row_drive: np.ndarray  # float64 (R) scratch: voltages at the rows' ends
    col_drive: np.ndarray  # float64 (C)
    row_current: np.ndarray  # float64 (R) scratch: currents into the rows' ends
    col_current: np.ndarray  # float64 (C)
    asked: np.ndarray  # int32 (tile_rows, tile_cols) scratch: counts of a PULSE
    words: np.ndarray  # int32, same shape: its write-noise words
    moves: np.ndarray  # float64 (R, C) scratch: pulses that its cells take
    line: np.ndarray  # float64 (3, C) scratch of one row


def wired(array: "Array", config: Config) -> Wired:
    """Return the tables of an array behind a configuration's tiles.

    The noise of its converters, and the rounding of pulses that wires weaken, come from the machine's read-noise streams: configurations of
    such arrays have them (`Array.needs_noise`).

    Raises
    ------
    ValueError
        If the array names lines or cells that the tiles do not have.
    """
    array.check(config.rows, config.tile_cols)
    read, cells, wires = array.read, array.cells, array.wires
    pairs, line = read.reference == "pairs", read.reference == "line"
    tiles, pieces = config.tiles, array.pieces
    rows, cols = config.tile_rows + line, pieces * config.tile_cols + line
    unit = pieces * cells.per_unit
    mid = cells.mid / unit
    sense_one = float(1 << config.sense_frac)
    rail = read.full_scale * cells.g_max / unit * sense_one

    def conductance(ohm: float) -> float:
        return 1.0 / (max(ohm, LEAST_OHM) * unit)

    random = np.random.RandomState(array.seed)

    def lines(count: int, ohm: float) -> np.ndarray:
        found = np.empty((tiles, count, LINE_FIELDS))
        found[..., GAIN] = 1 + read.gain_error * random.standard_normal((tiles, count))
        found[..., OFFSET] = read.offset * random.standard_normal((tiles, count))
        found[..., RESIDUE] = read.residue * random.standard_normal((tiles, count))
        found[..., DRIVE] = 1 + read.drive_error * random.standard_normal((tiles, count))
        found[..., DRIVER] = conductance(ohm + wires.driver_ohm)
        found[..., SENSOR] = conductance(ohm + wires.sense_ohm)
        return found

    row_line, col_line = lines(rows, wires.row_ohm), lines(cols, wires.col_ohm)
    fixed = np.full((tiles, rows, cols), -1.0)
    row_wire = np.full((tiles, cols, rows), conductance(wires.row_ohm))
    col_wire = np.full((tiles, rows, cols), conductance(wires.col_ohm))
    if line:
        fixed[:, -1, :] = fixed[:, :, -1] = mid
    for one in array.stuck:
        tile, row = divmod(one.row, config.tile_rows)
        for side in range(pieces):
            half = one.value * (0.5 - side if pairs else 1.0)
            fixed[tile, row, pieces * one.col + side] = max(mid + half, 0.0)
    for one in array.short:
        tile, row = divmod(one.row, config.tile_rows)
        fixed[tile, row, pieces * one.col + (one.side == "minus")] = conductance(one.ohm)
    for one in array.open:
        tile, row = divmod(one.row, config.tile_rows)
        col = pieces * one.col + (one.side == "minus")
        if one.what == "cell":
            fixed[tile, row, col] = 0.0
        elif one.what == "row":
            _cut(row_wire[tile, :, row], row_line[tile, row], col)
        else:
            _cut(col_wire[tile, :, col], col_line[tile, col], row)
    for row in array.dead.rows:
        _cut(row_wire[row // config.tile_rows, :, row % config.tile_rows], row_line[row // config.tile_rows, row % config.tile_rows], 0)
    for col in array.dead.cols:
        for tile in range(tiles):
            for side in range(pieces):
                _cut(col_wire[tile, :, 0], col_line[tile, pieces * col + side], 0)

    def scratch(*size: int) -> np.ndarray:
        return np.zeros(size)

    writes = array.write is not None
    scheme = PAIRS if pairs else LINE if line else MIDPOINT
    third = array.write is not None and array.write.scheme == "third"
    numbers = {
        MID: mid,
        PER_WORD: (0.5 if pairs else 1.0) / (1 << config.cell_frac),
        DRIVE_STEP: float(1 << max(0, config.drive_bits - read.drive_bits)),
        DRIVE_ONE: 1.0 / (1 << config.drive_frac),
        SENSE_ONE: sense_one,
        RAIL: rail if read.adc_bits else np.inf,
        ADC_STEP: rail / (1 << (read.adc_bits - 1)) if read.adc_bits else 0.0,
        NOISE: read.noise,
        TOLERANCE: TOLERANCE_OF_SCALE * (1 << config.sense_scale_log2),
        STEEPNESS: array.write.steepness if array.write else 1.0,
        BIAS: 1 / 6 if third else 0.0,
    }
    tables = Wired(
        sizes=np.array([scheme, read.phases, read.averages, int(writes), pieces]),
        numbers=np.array([numbers[k] for k in range(len(numbers))]),
        row_line=row_line,
        col_line=col_line,
        fixed=fixed,
        row_wire=row_wire,
        col_wire=col_wire,
        zero_rows=np.broadcast_to(mid * np.arange(rows + 1.0)[:, None], (tiles, rows + 1, cols)).copy(),
        zero_cols=np.broadcast_to(mid * np.arange(cols + 1.0)[:, None], (tiles, cols + 1, rows)).copy(),
        fresh=np.full(1, -1),
        g=scratch(rows, cols),
        gt=scratch(cols, rows),
        u=scratch(rows, cols),
        v=scratch(cols, rows),
        col_m=scratch(rows, cols),
        col_l=scratch(rows, cols),
        row_m=scratch(cols, rows),
        row_l=scratch(cols, rows),
        row_drive=scratch(rows),
        col_drive=scratch(cols),
        row_current=scratch(rows),
        col_current=scratch(cols),
        asked=np.zeros((config.tile_rows, config.tile_cols), np.int32),
        words=np.zeros((config.tile_rows, config.tile_cols), np.int32),
        moves=scratch(rows, cols),
        line=scratch(3, cols),
    )
    if read.reference == "calibrated":
        _calibrate(tables)
    return tables


def facts(array: "Array") -> TileFacts:
    """Return what a tile with this array says of itself."""
    phases = Capability.TWO_PHASE if array.read.phases == 2 else Capability(0)
    return replace(EMULATED, kind=TileKind.MODEL, capabilities=EMULATED.capabilities | phases)


def _cut(wire: np.ndarray, line: np.ndarray, place: int) -> None:
    """Break a line's wire just before a place; its first piece is at the line's end."""
    if place:
        wire[place] = 0.0
    else:
        line[[DRIVER, SENSOR]] = 0.0


def _calibrate(tables: Wired) -> None:
    """Measure what the array gives with all cells at zero, each line driven for itself; undriven lines are at 0 V."""
    from backpulse.firmware_py.nodal import Nodal  # SciPy takes its time

    tiles, rows, cols = tables.fixed.shape
    for tile in range(tiles):
        fixed = tables.fixed[tile]
        g = np.where(fixed < 0, tables.numbers[MID], fixed)
        forward = Nodal(tables, tile, g, READ).currents(np.eye(rows), np.zeros((cols, rows)))[1]
        tables.zero_rows[tile, 1:] = np.cumsum(forward.T, axis=0)
        backward = Nodal(tables, tile, g, READT).currents(np.zeros((rows, cols)), np.eye(cols))[0]
        tables.zero_cols[tile, 1:] = np.cumsum(backward.T, axis=0)

"""The tables of a physical array behind a front end, from its description: what the virtual board's model of it computes with.

Each line has an amplifier at its end, which holds it at a voltage and senses its current, so that all lines are driven at all times. A
conductance of 1 is that of one device unit, as in `wired`; voltages are volts, and a current of 1 is that of one device unit at 1 V. Each
physical cell is a device of its own, in cell LSB, also where two make a pair.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from backpulse.firmware_py.analog import CODE_BITS, SAMPLE_BITS
from backpulse.firmware_py.analog_profiles import front_end_of, lines
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import DEFAULT, Config
from backpulse.firmware_py.device import standing
from backpulse.firmware_py.table_device import TableDevice
from backpulse.firmware_py.wired import DRIVER, MID, PER_WORD, TOLERANCE_OF_SCALE, WRITE, Wired, wired

if TYPE_CHECKING:
    from backpulse.firmware_py.nodal import Nodal

ROW_COUNT, COL_COUNT, ADC_BITS, SEED = range(4)
"""Places in Physical.sizes: physical rows and columns, bits of the converters that sense, first state of the random numbers."""
VOLTS_OF_CODE, VOLTS_OF_SAMPLE, REST_VOLTS, NOISE_VOLTS, PULSE_VOLTS, PULSE_CYCLES, LAW, ZERO, PER_LSB, TOLERANCE = range(10)
"""Places in Physical.numbers: volts of one code and of one sample of SAMPLE_BITS; of an amplifier's output at rest, from the middle of
its converter; noise of a conversion; voltage and clock cycles of the pulse that moves a cell by one step; steepness of the law between, or
0: a cell that sees WHOLE_PULSE of the voltage takes all of it, and others nothing; conductance of a cell at zero and of one LSB of a cell;
largest error of a current."""
PLACES = (
    *("ROW_COUNT", "COL_COUNT", "ADC_BITS", "SEED"),
    *("VOLTS_OF_CODE", "VOLTS_OF_SAMPLE", "REST_VOLTS", "NOISE_VOLTS"),
    *("PULSE_VOLTS", "PULSE_CYCLES", "LAW", "ZERO", "PER_LSB", "TOLERANCE"),
)
"""Names of these, for the model in another language."""
SIZES, NUMBERS = SEED + 1, TOLERANCE + 1
WHOLE_PULSE = 0.75
"""Share of the programming voltage from which on a cell counts as pulsed: half-selected ones see 0.5 of it."""
LEAST_PULSE = 1e-7
"""Part of a pulse below which nothing moves: what reads do."""


class Physical(NamedTuple):
    """A physical array. R and C are its rows and columns; lines are rows, then columns."""

    sizes: np.ndarray  # int64 (4)
    numbers: np.ndarray  # float64 (10)
    parameters: np.ndarray  # float64 (64): the device's, as in the TILE window of an emulated tile
    row_end: np.ndarray  # float64 (R): conductance from a row's amplifier to its first node
    col_end: np.ndarray  # float64 (C)
    offset: np.ndarray  # float64 (R + C): volts of a line whose code is 0
    feedback: np.ndarray  # float64 (R + C): volts at the amplifier's output of a current of 1
    row_wire: np.ndarray  # float64 (C, R): as in Wired
    col_wire: np.ndarray  # float64 (R, C)
    fixed: np.ndarray  # float64 (R, C): conductance of what is no device; negative where there is one
    cells: np.ndarray  # float64 (R, C): where devices stand at first, in LSB
    spread: np.ndarray  # float64 (R, C): their spread bytes

    def to_bytes(self) -> bytes:
        """Return what the model loads."""
        return b"".join(np.ascontiguousarray(part).tobytes() for part in self)

    def conductances(self, cells: np.ndarray | None = None) -> np.ndarray:
        """Return the conductances of all cells, of devices at some LSB, or where they stand at first."""
        found = self.numbers[ZERO] + (self.cells if cells is None else cells) * self.numbers[PER_LSB]
        return np.where(self.fixed < 0, np.maximum(found, 0.0), self.fixed)


def physical(array: Array, clock_khz: int, config: Config = DEFAULT) -> Physical:
    """Return the tables of an array with a front end.

    Parameters
    ----------
    array : Array
    clock_khz : int
        Clock of the front end.
    config : Config
        For the format of cells.

    Raises
    ------
    ValueError
        If the array has no front end, or names lines and cells that it does not have.
    """
    front, found, tables = front_end_of(array), lines(array), _wired(array, config)
    inside = replace(DEFAULT, tile_rows=found.rows, tile_cols=found.cols, cell_bits=config.cell_bits, cell_frac=config.cell_frac)
    device = array.inside
    if isinstance(device, TableDevice):
        raise ValueError(f"device {device.name} has step tables, which the model of a front end lacks: give its linear fit, FILE:linear")
    cells = array.cells
    unit = (cells.g_max - cells.g_min) / (1 if array.read.reference == "pairs" else 2)
    random = np.random.RandomState(array.seed)
    count = found.rows + found.cols
    of_one = front.feedback_ohm * unit
    numbers = {
        VOLTS_OF_CODE: front.drive_volts / (1 << (CODE_BITS - 1)),
        VOLTS_OF_SAMPLE: front.sense_volts / (1 << (SAMPLE_BITS - 1)),
        REST_VOLTS: front.converters.rest_volts,
        NOISE_VOLTS: front.noise_mv / 1000,
        PULSE_VOLTS: front.pulse_volts,
        PULSE_CYCLES: front.pulse_s * clock_khz * 1000,
        LAW: array.write.steepness if array.write else 0.0,
        ZERO: tables.numbers[MID],
        PER_LSB: tables.numbers[PER_WORD],
        TOLERANCE: TOLERANCE_OF_SCALE * front.sense_volts / of_one,
    }
    return Physical(
        sizes=np.array([found.rows, found.cols, front.converters.sense_bits, array.seed or 1]),
        numbers=np.array([numbers[k] for k in range(NUMBERS)]),
        parameters=np.array(device.tile_words(inside), float),
        row_end=tables.row_line[0, :, DRIVER],
        col_end=tables.col_line[0, :, DRIVER],
        offset=front.offset_mv / 1000 * random.standard_normal(count),
        feedback=of_one * (1 + front.gain_error * random.standard_normal(count)),
        row_wire=tables.row_wire[0],
        col_wire=tables.col_wire[0],
        fixed=tables.fixed[0],
        cells=standing(device.bound_up, device.bound_down, inside, array.seed).astype(float),
        spread=device.spread_words(inside, array.seed).astype(float),
    )


def _wired(array: Array, config: Config) -> Wired:
    found = lines(array)
    plain = array.model_copy(update={"front_end": None, "profile": []})
    return wired(plain, replace(config, tiles=1, tile_rows=found.rows, tile_cols=found.logical_cols))


def nodal(array: Array, g: np.ndarray, *, connected: np.ndarray | None = None, config: Config = DEFAULT) -> "Nodal":
    """Return the nodal analysis of an array with a front end, whose voltages and currents are in volts and as in `Physical`.

    Parameters
    ----------
    g : ndarray
        Conductances of the cells, float64 of shape (R, C).
    connected : ndarray, optional
        Which lines are, bool of shape (R + C).
    """
    from backpulse.firmware_py.nodal import Nodal  # SciPy takes its time

    tables = _wired(array, config)
    if connected is not None:
        tables.row_line[0, ~connected[: len(g)], DRIVER] = 0.0
        tables.col_line[0, ~connected[len(g) :], DRIVER] = 0.0
    return Nodal(tables, 0, g, WRITE)

"""The virtual board with analog tile, front end, chips and a physical array: what it reads, pulses, and leaves when hosts are gone."""

from contextlib import contextmanager

import numpy as np
import pytest

from backpulse.firmware_py.analog import GAIN_FRAC, LineWord
from backpulse.firmware_py.analog_profiles import front_end_of
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.physical import nodal, physical
from backpulse.gateware.sim.front_end_board import CLOCK_KHZ
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_calibration import calibrate
from backpulse.host.array_file import parse_array
from backpulse.host.array_operations import read, rectangle
from backpulse.host.urls import Address, board_config, open_board

TEXT = """
[front_end]
kind = "slices"
offset_mv = 2.0
gain_error = 0.01
[wires]
row_ohm = {ohm}
col_ohm = {ohm}
driver_ohm = {ohm}
[read]
reference = "calibrated"
"""


@contextmanager
def lab(text):
    """Open an array's virtual board, which is armed."""
    array = parse_array(text, "array.toml")
    config = board_config(None, PRESETS["ideal"], array=array)
    with open_board(Address("sim://", array), config=config) as board:
        yield board, AnalogTile(board), array


def perfect(array, config, tables, region, drives, factors, *, transposed):
    """Return the sense words of perfect converters: currents by nodal analysis, rounded once."""
    front, unit = front_end_of(array), 1.0
    lines = sum(tables.cells.shape)
    first, count = (region.col0, region.cols) if transposed else (region.row0, region.rows)
    volts = np.zeros((lines, len(drives)))
    rows = tables.cells.shape[0]
    at = first + (rows if transposed else 0)
    volts[at : at + count] = drives.T / (1 << config.drive_frac) * front.read_volts
    of_rows, of_cols = nodal(array, tables.conductances()).currents(volts[:rows], volts[rows:])
    sensed = of_rows[region.row0 :][: region.rows] if transposed else of_cols[region.col0 :][: region.cols]
    words = sensed.T / (unit * front.read_volts) * (1 << config.sense_frac)
    words -= drives.sum(axis=1)[:, None] * factors / (1 << GAIN_FRAC)
    return np.clip(np.rint(words), -config.sense_max, config.sense_max)


@pytest.mark.parametrize("ohm", [2.0, 0.5])
def test_sense_words_of_a_calibrated_array_are_those_of_perfect_converters(ohm):
    """200 random reads each way, through all serial frames: within 1 LSB of nodal analysis; at 0.5 Ω, of the product without wires too."""
    with lab(TEXT.format(ohm=ohm)) as (board, tile, array):
        tables, rng = physical(array, CLOCK_KHZ), np.random.default_rng(7)
        unit = array.cells.per_unit
        found = calibrate(tile, array, tables.conductances() * unit).calibration
        tile.write_calibration(found.tables, found.number)
        factors = np.array(found.tables[LineWord.FACTOR])
        worst = []
        for k in range(10):
            rows, cols = (8, 8) if k < 5 else rng.integers(1, 9, 2).tolist()
            region = rectangle(board.config, 0, int(rng.integers(9 - rows)), rows, int(rng.integers(9 - cols)), cols)
            for transposed in (False, True):
                drives = rng.integers(-127, 128, (20, cols if transposed else rows))
                words = read(board, region, drives, transposed=transposed)
                of = factors[region.row0 :][:rows] if transposed else factors[8 + region.col0 :][:cols]
                right = perfect(array, board.config, tables, region, drives, of, transposed=transposed)
                worst.append(np.abs(words - right).max())
                cells = tables.cells[region.row0 :, region.col0 :][:rows, :cols] / (1 << board.config.cell_frac)
                product = drives @ (cells.T if transposed else cells)
                print(ohm, k, transposed, worst[-1], np.abs(words - product).max(), np.abs(right).max())
        assert max(worst) <= 1

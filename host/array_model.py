"""What an array file means: the error of its read map, and what its wires cost reads and writes."""

from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.array_tile import lone_pulses
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.nodal import Nodal
from backpulse.firmware_py.relaxation import fill
from backpulse.firmware_py.wired import DRIVE, GAIN, MID, PAIRS, PIECES, READ, READT, SCHEME, Wired, wired


@dataclass(frozen=True)
class Meaning:
    """What an array of one tile does, found by nodal analysis.

    Parameters
    ----------
    weights, error : ndarray
        Random cells in device units, and the error of their read map there, (rows, columns).
    read_loss, readt_loss : ndarray
        Part of the current that wires cost a column of a READ and a row of a READT with all lines at full drive and all cells at g_max.
    write_share : ndarray
        Share of the programming voltage at a cell that is pulsed alone with all cells at zero, (physical rows, physical columns).
    figure : float
        N^2 g R: N the longer side in cells, g that of g_max, R the larger resistance of a piece of wire.
    """

    weights: np.ndarray
    error: np.ndarray
    read_loss: np.ndarray
    readt_loss: np.ndarray
    write_share: np.ndarray
    figure: float

    @classmethod
    def of(cls, array: Array, config: Config) -> "Meaning":
        """Find it for the first tile of a configuration."""
        tables = wired(array, config)
        rows, cols = config.tile_rows, config.tile_cols
        lsb = 1 << config.cell_frac
        cells = np.random.RandomState(array.seed).randint(-lsb, lsb + 1, (config.rows, cols)).astype(np.int16)
        weights = cells[:rows] / lsb
        fill(tables, cells, 0, 0)
        error = _map(tables, rows, cols) - weights
        most = 2 * tables.numbers[MID] * array.cells.g_max / (array.cells.g_max + array.cells.g_min)
        full = np.where(tables.fixed[0] < 0, most, tables.g)
        shape = tables.g.shape
        ones = np.ones(shape[0]), np.ones(shape[1])
        nothing = np.zeros(shape[0]), np.zeros(shape[1])
        of_cols = Nodal(tables, 0, full, READ).currents(ones[0], nothing[1])[1]
        of_rows = Nodal(tables, 0, full, READT).currents(nothing[0], ones[1])[0]
        share = np.zeros(shape)
        lone_pulses(tables, np.zeros_like(cells), 0, share)
        used = tables.sizes[PIECES] * cols
        return cls(
            weights=weights,
            error=error,
            read_loss=_loss(of_cols, full.sum(axis=0))[:used],
            readt_loss=_loss(of_rows, full.sum(axis=1))[:rows],
            write_share=share[:rows, :used],
            figure=float(array.n2gr(max(shape), array.cells.g_max)),
        )

    def figures(self) -> dict[str, float]:
        """Return the numbers that stand for all this, by name."""
        return {
            "map_error_rms": float(np.sqrt(np.mean(self.error**2))),
            "map_error_worst": float(np.abs(self.error).max()),
            "read_loss_worst": float(self.read_loss.max()),
            "readt_loss_worst": float(self.readt_loss.max()),
            "write_share_worst": float(self.write_share.min()),
            "n2gr": self.figure,
        }


def _loss(current: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    """Return the part that is missing, of lines that would have some."""
    return np.where(ideal > 0, 1 - current / np.where(ideal > 0, ideal, 1.0), 0.0)


def _map(tables: Wired, rows: int, cols: int) -> np.ndarray:
    """Return what one-hot READs say of the cells in `tables.g`, in device units: no noise, no converter's steps."""
    lines = tables.g.shape[0]
    drives = np.diag(tables.row_line[0, :, DRIVE])
    current = Nodal(tables, 0, tables.g, READ).currents(drives, np.zeros((tables.g.shape[1], lines)))[1].T
    current = (current * tables.col_line[0, :, GAIN])[:rows]
    if tables.sizes[SCHEME] == PAIRS:
        return current[:, 0 : 2 * cols : 2] - current[:, 1 : 2 * cols : 2]
    if current.shape[1] > cols:  # one more column holds zero
        return current[:, :cols] - current[:, -1:]
    return current[:, :cols] - np.diff(tables.zero_rows[0], axis=0)[:rows].mean(axis=0)[:cols]

"""Nodal analysis of an array with wire resistance, the reference of all other models: one sparse system, solved directly.

Each cell is a conductance between a node of its row's wire and one of its column's; Kirchhoff's current law holds at both. The matrix is
symmetric and positive definite: row nodes first, cell by cell, then column nodes.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from backpulse.firmware_py.wired import DRIVER, LEAK, READ, READT, SENSOR, WRITE, Wired


class Nodal:
    """A tile with some conductances of its cells, factored.

    Parameters
    ----------
    wired : Wired
        The array.
    tile : int
    g : ndarray
        Conductances of the cells, float64 of shape (R, C), in the units of `wired`.
    way : int
        READ, READT or WRITE: which lines' ends are drivers.
    """

    def __init__(self, wired: Wired, tile: int, g: np.ndarray, way: int) -> None:
        rows, cols = g.shape
        self._shape = rows, cols
        self._row_end = wired.row_line[tile, :, SENSOR if way == READT else DRIVER]
        self._col_end = wired.col_line[tile, :, SENSOR if way == READ else DRIVER]
        assert way in (READ, READT, WRITE)
        node = np.arange(rows * cols).reshape(rows, cols)
        of_rows, of_cols = node, node + rows * cols
        branches = [
            (of_rows, of_cols, g),
            (of_rows[:, :-1], of_rows[:, 1:], wired.row_wire[tile, 1:].T),
            (of_cols[:-1], of_cols[1:], wired.col_wire[tile, 1:]),
        ]
        diagonal = np.full(2 * rows * cols, LEAK)
        diagonal[of_rows[:, 0]] += self._row_end
        diagonal[of_cols[0]] += self._col_end
        places, others, values = [np.arange(2 * rows * cols)], [np.arange(2 * rows * cols)], [diagonal]
        for first, second, branch in branches:
            a, b, y = first.ravel(), second.ravel(), branch.ravel()
            places += [a, b, a, b]
            others += [a, b, b, a]
            values += [y, y, -y, -y]
        entries = np.concatenate(values), (np.concatenate(places), np.concatenate(others))
        # A symmetric order of elimination, and no pivots: the matrix is positive definite.
        self._solve = splu(
            coo_matrix(entries).tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        ).solve

    def voltages(self, row_drive: np.ndarray, col_drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the voltages of the rows' and the columns' nodes, (R, C, ...), for voltages at the lines' ends, (R, ...) and (C, ...)."""
        rows, cols = self._shape
        source = np.zeros((2 * rows * cols, *row_drive.shape[1:]))
        source[np.arange(rows) * cols] = (self._row_end * row_drive.T).T
        source[rows * cols + np.arange(cols)] = (self._col_end * col_drive.T).T
        found = self._solve(source)
        return found[: rows * cols].reshape(rows, cols, *source.shape[1:]), found[rows * cols :].reshape(rows, cols, *source.shape[1:])

    def currents(self, row_drive: np.ndarray, col_drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the currents out of the lines' ends, of rows and of columns: what amplifiers there sense."""
        of_rows, of_cols = self.voltages(row_drive, col_drive)
        return (self._row_end * (of_rows[:, 0] - row_drive).T).T, (self._col_end * (of_cols[0] - col_drive).T).T

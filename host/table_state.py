"""What a board of the table device holds more than others: its tables, what stays of its cells, and their age."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from backpulse.firmware_py.image import AGE, ages_image, persistent_image, table_address, table_image
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, PERSISTENT_SHIFT, TablePart, Window
from backpulse.firmware_py.table_device import FLAT_PARTS, FLAT_WORDS
from backpulse.host.board import Board
from backpulse.host.commands import reads, word_array


@dataclass(frozen=True)
class TableState:
    """A table device at rest.

    Parameters
    ----------
    words : ndarray
        uint32: those of `TableWords.flat`.
    persistent : ndarray
        int16 of shape (rows of all tiles, columns): what stays of the cells, where reads see the apparent noise, too.
    ages : ndarray
        uint32 of shape (1 + rows of all tiles,): samples trained, and for each row the period of its last visit.
    """

    words: np.ndarray
    persistent: np.ndarray
    ages: np.ndarray

    @classmethod
    def new(cls, words: np.ndarray, cells: np.ndarray) -> Self:
        """Return that of cells which have just been written."""
        return cls(words, np.asarray(cells, np.int16), np.zeros(1 + len(cells), np.uint32))

    @classmethod
    def read(cls, board: Board) -> Self:
        """Return that of a board at rest."""
        rows, cols = board.config.rows, board.config.tile_cols
        runs = [(table_address(part), count) for part, count in FLAT_PARTS.items()]
        runs += [(Window.CELLS.base + (1 << PERSISTENT_SHIFT) + (row << CELL_ROW_SHIFT), cols) for row in range(rows)]
        runs += [(table_address(TablePart.PARAMETERS) + AGE, 1), (table_address(TablePart.VISITED), rows)]
        requests = [request for address, count in runs for request in reads(address, count, board.link.payload)]
        board.link.exchange(requests)
        words, persistent, ages = np.split(word_array(requests), [FLAT_WORDS, FLAT_WORDS + rows * cols])
        return cls(words, persistent.astype(np.uint16).view(np.int16).reshape(rows, cols), ages)

    def write(self, board: Board) -> None:
        """Write it to a board, behind its cells."""
        board.write([*table_image(self.words), *persistent_image(self.persistent), *ages_image(self.ages)])

"""Cells by name, as commands take them: r3c5, or whole areas, r0-3c0-7."""

import re

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.host.errors import InputError

_PART = re.compile(r"r(\d{1,6})(?:-(\d{1,6}))?c(\d{1,3})(?:-(\d{1,3}))?")


def parse_cells(text: str | None, config: Config, option: str = "--cells") -> np.ndarray:
    """Return which cells a text names: bool of shape (rows of all tiles, columns); all of them without a text.

    Parameters
    ----------
    text : str or None
        Cells and areas joined by commas, as in r3c5,r0-3c0-7: rows counted over all tiles, columns of each.
    config : Config
        Of the board.
    option : str
        Where the text comes from, for messages.

    Raises
    ------
    InputError
        If it is no such text, or the board has no such cell.
    """
    rows, cols = config.rows, config.tile_cols
    if text is None:
        return np.ones((rows, cols), np.bool_)
    named = np.zeros((rows, cols), np.bool_)
    for part in (part.strip() for part in text.split(",")):
        match = _PART.fullmatch(part)
        if not match:
            raise InputError(f"{option} takes cells and areas joined by commas, as in r3c5,r0-3c0-7, not {part!r:.40}")
        row0, row1, col0, col1 = (int(match[n] or match[n - 1]) for n in (1, 2, 3, 4))
        if not (row0 <= row1 < rows and col0 <= col1 < cols):
            raise InputError(f"{option} names {part}, but this board's cells are rows 0 to {rows - 1} and columns 0 to {cols - 1}")
        named[row0 : row1 + 1, col0 : col1 + 1] = True
    return named


def one_cell(text: str, config: Config, option: str = "--cell") -> tuple[int, int]:
    """Return row (of all tiles) and column of the one cell that a text names, as in r3c5.

    Raises
    ------
    InputError
        If it names none or several, or the board has no such cell.
    """
    cells = np.argwhere(parse_cells(text, config, option))
    if len(cells) != 1:
        raise InputError(f"{option} names one cell, as in r3c5, not {text!r:.40}")
    return int(cells[0, 0]), int(cells[0, 1])


def cell_name(row: int, col: int) -> str:
    """Return what `parse_cells` calls a cell."""
    return f"r{row}c{col}"

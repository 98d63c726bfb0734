"""Measured spread from cell to cell: read from a file, and put in the place of what is drawn."""

import csv
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.table_device import MOST_OFFSET, SPREAD_ONE, STUCK, TableDevice, spread_offset, spread_words
from backpulse.host.errors import InputError

FIELDS = ("up", "down", "bound", "stuck")
"""What a map may say of a cell: factors of its steps, how far each of its bounds is moved outwards in shares of half the range, whether it
never moves."""
MOST_FACTOR = 255 / SPREAD_ONE
"""Largest factor that a spread word holds."""
_ALLOWED = {"up": (0.0, MOST_FACTOR), "down": (0.0, MOST_FACTOR), "bound": (-1.0, 1.0), "stuck": (0.0, 1.0)}


@dataclass(frozen=True)
class SpreadMap:
    """What was measured, cell by cell.

    Parameters
    ----------
    path : Path
        The file.
    fields : dict
        float64 of one shape (rows, columns) by a name of `FIELDS`: the first rows of all tiles, NaN where nothing was measured.
    """

    path: Path
    fields: dict[str, np.ndarray]

    @property
    def digest(self) -> str:
        """Digest of all that was measured."""
        found = sha256()
        for name, field in sorted(self.fields.items()):
            found.update(f"{name} {field.shape}".encode() + np.asarray(field, "<f8").tobytes())
        return found.hexdigest()

    def onto(self, words: np.ndarray, device: TableDevice, config: Config) -> np.ndarray:
        """Return spread words, uint32 (rows of all tiles, columns), with what was measured in the place of what was drawn.

        Raises
        ------
        InputError
            If the map has more rows or columns, or the board has no spread words.
        """
        rows, cols = next(iter(self.fields.values())).shape
        if not config.spread:
            raise InputError(f"{self.path} has the spread of cells, and this board has no spread words: leave --spread out")
        if rows > config.rows or cols > config.tile_cols:
            raise InputError(
                f"{self.path} has {rows} rows and {cols} columns of cells, and the board has {config.rows} rows of {config.tile_cols}: "
                "choose larger tiles or more, --tile and --tiles, or a smaller map"
            )
        new = words.copy()
        part = words[:rows, :cols].astype(np.int64)
        offset = spread_offset(part)
        drawn = {"up": (part & 255) / SPREAD_ONE, "down": (part >> 8 & 255) / SPREAD_ONE, "stuck": (offset == STUCK).astype(float)}
        half = (device.bound_up - device.bound_down) / 2 * (1 << config.cell_frac)
        drawn["bound"] = np.where(offset == STUCK, 0, offset) / half
        found = {name: np.where(np.isnan(field), drawn[name], field) for name, field in {**drawn, **self.fields}.items()}
        offset = np.clip(np.rint(found["bound"] * half), -MOST_OFFSET, MOST_OFFSET).astype(np.int64)
        new[:rows, :cols] = spread_words(found["up"], found["down"], np.where(found["stuck"] > 0, STUCK, offset))
        return new


def read_map(path: Path) -> SpreadMap:
    """Read a map: a `.npz` with arrays of the names in `FIELDS`, (rows, columns) each, or a `.csv` with a line for each cell.

    A `.csv` has a header with row, column (both from 0) and one or more of these names; an empty field is not measured.

    Raises
    ------
    InputError
        If it cannot be read or is none; the sentence says where.
    """
    try:
        fields = _of_arrays(path) if path.suffix == ".npz" else _of_lines(path)
    except OSError as error:
        raise InputError(f"The spread map {path} cannot be read: {reason(error)}: give a .npz or .csv with {', '.join(FIELDS)}") from error
    shapes = {field.shape for field in fields.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise InputError(f"{path}: its arrays must have one shape, (rows, columns), not {' and '.join(map(str, sorted(shapes)))}")
    for name, field in fields.items():
        low, high = _ALLOWED[name]
        wrong = ~(np.isnan(field) | ((field >= low) & (field <= high)))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InputError(
                f"{path}: {name} must be from {low:g} to {high:.4g}, not {field[row, column]:g} (row {row}, column {column}, from 0)"
            )
    return SpreadMap(path, fields)


def _of_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            found = {name: np.asarray(file[name], np.float64) for name in FIELDS if name in file.files}
            if not found:
                raise InputError(f"{path} has none of the arrays {', '.join(FIELDS)}, but {', '.join(file.files) or 'nothing'}")
            return found
    except (ValueError, TypeError, EOFError, KeyError) as error:
        raise InputError(f"{path} is no .npz of numbers ({error!s:.80}): save it with numpy.savez") from error


def _of_lines(path: Path) -> dict[str, np.ndarray]:
    try:
        lines = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: give a .npz, or a .csv with a header row,column,{','.join(FIELDS)}") from error
    heads = [head.strip().lower() for head in lines[0]] if lines else []
    names = [head for head in heads if head in FIELDS]
    if not {"row", "column"} <= {*heads} or not names or len({*heads}) != len(heads) or {*heads} - {"row", "column", *FIELDS}:
        raise InputError(f"{path}: line 1 must name the columns row, column and one or more of {', '.join(FIELDS)}, joined by commas")
    places, values = [], []
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        if len(line) != len(heads):
            raise InputError(f"{path}: line {number} must have {len(heads)} fields, not {len(line)}")
        given = dict(zip(heads, line, strict=True))
        try:
            places.append((int(given["row"]), int(given["column"])))
            values.append([float(given[name]) if given[name].strip() else np.nan for name in names])
        except ValueError as error:
            raise InputError(f"{path}: line {number} must have numbers, whole ones for row and column ({error!s:.60})") from error
        if min(places[-1]) < 0:
            raise InputError(f"{path}: line {number}: row and column are counted from 0, and one is {min(places[-1])}")
        if max(places[-1]) >= _MOST_LINES:
            raise InputError(f"{path}: line {number}: row and column must be below {_MOST_LINES}, not {max(places[-1])}")
    if not places:
        raise InputError(f"{path} has a header and no cells: give a line for each")
    at = np.array(places)
    fields = {name: np.full(tuple(at.max(axis=0) + 1), np.nan) for name in names}
    for name, column in zip(names, np.array(values).T, strict=True):
        fields[name][at[:, 0], at[:, 1]] = column
    return fields


_MOST_LINES = 1 << 20
"""Rows or columns of a map: more no board has."""

"""Files of measured numbers as laboratories have them, taken apart into blocks of columns: text with any marks, or .xlsx.

A block is a table without a line of words in it: an empty line, a comment or a header begins another one. Rows are numbered as an
editor and a spreadsheet number them, from 1, the header counted.
"""

import csv
import io
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.places import reason
from backpulse.host.errors import InputError
from backpulse.host.tables import DASH, NUMBER, count, is_missing, is_number, some
from backpulse.host.text_tables import decode

SEPARATORS = {"tab": "\t", ";": ";", "|": "|", ",": ",", "space": r"\s+"}
"""Separators by their names on the command line."""
DECIMALS = (".", ",")
COMMENT = re.compile(r"\s*(#|%|//|!)")
SAMPLE = 200
"""Lines that separator and decimal mark are told by."""
MOST_BYTES = 1 << 30

_ODD = re.compile(r'^(?:[ \t;,|]*|[^\n]*[^\d\s.,;|+\-eE"\n][^\n]*)$', re.MULTILINE)
"""A line that is not of numbers alone, or is empty."""
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?", re.ASCII)
_SHEET = b"PK\3\4"


@dataclass(kw_only=True)
class Block:
    """Columns of numbers.

    Parameters
    ----------
    file : str
        Where it is from, for messages.
    names : list of str
        One a column, empty where it has none.
    values : ndarray
        float64 of shape (rows, columns), NaN where a cell is empty or of words.
    rows : ndarray
        int64: the number of each row in the file.
    words : dict
        Columns of words, by their place: a list of str, one a row.
    title : str
        Comments and lines of words above it.
    """

    file: str
    names: list[str]
    values: np.ndarray
    rows: np.ndarray
    words: dict[int, list[str]] = field(default_factory=dict)
    title: str = ""

    def cell(self, row: int, column: int) -> str:
        """Return what messages call a cell: its row in the file, and its column with the name."""
        name = self.names[column]
        return f"row {self.rows[row]}, column {column + 1}{f' ({name})' if name else ''}"


def read_blocks(path: Path, separator: str | None = None, decimal: str | None = None) -> list[Block]:
    """Read a file.

    Parameters
    ----------
    path : Path
    separator : str, optional
        A name of `SEPARATORS`; told from the file if not given.
    decimal : str, optional
        `.` or `,`; likewise.

    Raises
    ------
    InputError
        If the file cannot be read, has no numbers, may be read in two ways, or has a cell that is no number; the message names the cell.
    """
    for option, value, allowed in (("--separator", separator, tuple(SEPARATORS)), ("--decimal", decimal, DECIMALS)):
        if value is not None and value not in allowed:
            raise InputError(f"{option} must be one of {' '.join(allowed)}, not {value!r:.20}")
    name = path.name
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{name} is larger than 1 GiB: give a part of it, such as every tenth pulse")
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}: give a file of measured conductances (docs/devices.md)") from error
    if not raw.strip():
        raise InputError(f"{name} is empty: it must hold measured conductances")
    blocks = _sheets(name, raw) if raw[:4] == _SHEET else _text_blocks(name, decode(name, raw), separator, decimal)
    blocks = [block for block in (_trimmed(block) for block in blocks) if block.values.size]
    if not blocks:
        raise InputError(f"{name} has no row of numbers: it must hold measured conductances, one ramp a column say")
    return _joined(blocks)


def _trimmed(block: Block) -> Block:
    """Leave out columns without any value, which a separator at the end of lines makes."""
    used = [k for k in range(block.values.shape[1]) if k in block.words or not np.isnan(block.values[:, k]).all()]
    words = {used.index(k): words for k, words in block.words.items()}
    names = [block.names[k] for k in used]
    return Block(file=block.file, names=names, values=block.values[:, used], rows=block.rows, words=words, title=block.title)


def _joined(blocks: list[Block]) -> list[Block]:
    """Join blocks of one row each, where an empty line stands after every row."""
    if len(blocks) < 3 or any(len(b.rows) > 1 or b.words for b in blocks) or len({b.values.shape[1] for b in blocks}) > 1:
        return blocks
    values, rows = np.concatenate([b.values for b in blocks]), np.concatenate([b.rows for b in blocks])
    return [Block(file=blocks[0].file, names=blocks[0].names, values=values, rows=rows, title=blocks[0].title)]


def _text_blocks(name: str, text: str, separator: str | None, decimal: str | None) -> list[Block]:
    """Take a text apart."""
    separator, decimal = _marks(name, text, separator, decimal)
    parts: list[tuple[int, int, int, list[str], list[str]]] = []  # first and last place, row, names, lines of words above
    names: list[str] = []
    title: list[str] = []
    begun, row, at = 0, 1, 0

    def end(place: int, first_row: int) -> None:
        nonlocal names, title
        if text[begun:place].strip():
            parts.append((begun, place, first_row, names, title))
            names, title = [], []

    first = 1
    for found in _ODD.finditer(text):
        row += text.count("\n", at, found.start())
        at = found.start()
        line = found[0]
        cells = _split(line, separator)
        comment = COMMENT.match(line)
        if not comment and line.strip(" \t;,|") and _is_data(cells, decimal, text[begun:at], text[found.end() + 1 : found.end() + 400]):
            continue
        end(at, first)
        begun, first = found.end() + 1, row + 1
        if not line.strip(" \t;,|"):
            continue
        title.append(line.strip())
        names = _split(COMMENT.sub("", line, count=1), separator) if comment else cells
    end(len(text), first)
    return [_parsed(name, text[a:b], row, names, title, separator, decimal) for a, b, row, names, title in parts]


def _split(line: str, separator: str) -> list[str]:
    if separator == SEPARATORS["space"]:
        return line.split()
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _plain(cell: str, decimal: str) -> str:
    return cell.replace(",", ".") if decimal == "," and _DECIMAL_COMMA.fullmatch(cell) else cell


def _is_data(cells: list[str], decimal: str, above: str, below: str) -> bool:
    """Say whether a line with words is a row: some of its cells are numbers, and it is not the first above a row of numbers alone."""
    numbers = [is_number(_plain(cell, decimal)) for cell in cells]
    if not any(numbers):
        return all(is_missing(cell) or cell == DASH for cell in cells)
    if any(is_missing(cell) or cell == DASH for cell in cells) or above.strip():
        return True
    if not all(cell.isdecimal() for cell, number in zip(cells, numbers, strict=True) if number):
        return True  # columns are numbered by whole numbers
    return bool(_ODD.match(below.split("\n", 1)[0] or "x"))  # the next one has words too


def _marks(name: str, text: str, separator: str | None, decimal: str | None) -> tuple[str, str]:
    """Return separator and decimal mark."""
    lines = [line for line in text[:200_000].split("\n") if re.search(r"\d", line) and not COMMENT.match(line)]
    numeric = [line for line in lines if not _ODD.fullmatch(line)][:SAMPLE] or lines[:SAMPLE]
    if not numeric:
        raise InputError(f"{name} has no row of numbers: it must hold measured conductances, one ramp a column say")
    sep = SEPARATORS[separator] if separator else None
    if sep is None:
        sep = next((mark for mark in ("\t", ";", "|") if sum(mark in line for line in numeric) > len(numeric) / 2), None)
    unquoted = [re.sub(r'"[^"]*"', "0", line) for line in numeric]
    commas = [line.count(",") for line in unquoted]
    if sep is None and not any(commas):
        sep = SEPARATORS["space"] if any(len(line.split()) > 1 for line in numeric) else ","
    if sep is None:
        spaced = [line.split() for line in numeric]
        if all(len(cells) > 1 and all(_DECIMAL_COMMA.fullmatch(cell) or is_number(cell) for cell in cells) for cells in spaced):
            sep = SEPARATORS["space"]
        else:
            _check_commas(name, text, unquoted, decimal)
            sep = "," if decimal != "," or any('"' in line for line in numeric) else SEPARATORS["space"]
    if decimal is None:
        cells = [cell for line in numeric for cell in _split(line, sep)]
        with_comma = sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells)
        with_point = sum("." in cell for cell in cells)
        decimal = "," if with_comma > with_point else "."
    if decimal == "," and sep == "," and not any('"' in line for line in numeric):
        raise InputError(
            f"{name}: commas cannot part the columns and be decimal marks too: part the columns by semicolons, or give --decimal ."
        )
    return sep, decimal


def _check_commas(name: str, text: str, numeric: list[str], decimal: str | None) -> None:
    """Refuse lines of whole numbers and commas, which part columns or are decimal marks."""
    counts = {line.count(",") for line in numeric}
    if decimal is not None or any("." in line for line in numeric) or len(counts) != 1 or (n := counts.pop()) % 2 == 0:
        return
    first = next((line for line in text.split("\n") if line.strip()), "")
    if COMMENT.match(first):
        first = COMMENT.sub("", first, count=1)
    if re.search("[A-Za-z]", re.sub(r"[eE][+-]?\d", "", first)):
        if first.count(",") == n:
            return  # a header with as many names
        readings = f"a header of {count(first.count(',') + 1, 'name')} stands above rows such as {numeric[0].strip():.40}"
    else:
        readings = f"rows such as {numeric[0].strip():.40}"
    one = numeric[0].strip().split(",")
    as_decimals = " and ".join(f"{a}.{b}" for a, b in zip(one[::2], one[1::2], strict=True))
    raise InputError(
        f"{name}: {readings} may be {n + 1} whole numbers ({' and '.join(one)}) or {as_decimals} with decimal commas: give --decimal . for "
        "the first, and for the second --decimal , with semicolons, tabs or blanks between the columns"
    )


def _parsed(name: str, text: str, row: int, names: list[str], title: list[str], separator: str, decimal: str) -> Block:
    """Return the block of a piece of text without headers."""
    import pandas

    spaces = separator == SEPARATORS["space"]
    lines = text.split("\n") if spaces else io.StringIO(text)
    width = max(len(line.split()) if spaces else line.count(separator) + 1 for line in lines)
    options: dict[str, Any] = {
        "header": None,
        "names": range(width),
        "index_col": False,
        "sep": separator,
        "decimal": decimal,
        "skipinitialspace": True,
        "skip_blank_lines": False,
    }
    raw = text.strip("\n").encode()
    try:
        try:
            frame = pandas.read_csv(io.BytesIO(raw), dtype=np.float64, na_values=[DASH], **options)
            values, words = frame.to_numpy(), {}
        except (ValueError, OverflowError):
            frame = pandas.read_csv(io.BytesIO(raw), dtype=str, na_filter=False, **options)
            values, words = _cells(name, [frame[k].str.strip().tolist() for k in range(width)], names, row, decimal)
    except pandas.errors.ParserError as error:
        raise InputError(f"{name}: a quotation mark that opens a cell is not closed: close it, or leave it out") from error
    rows = row + np.arange(len(values))
    names = names if len(names) == width else [*names, *[""] * (width - len(names))] if 0 < len(names) < width else [""] * width
    block = Block(file=name, names=names, values=values, rows=rows, words=words, title=" ".join(title))
    wrong = np.argwhere(np.isinf(values))
    if len(wrong):
        raise InputError(f"{name}: {block.cell(*wrong[0])} is beyond the range of numbers: mend the cell")
    return block


def _cells(name: str, columns: list[list[str]], names: list[str], row: int, decimal: str) -> tuple[np.ndarray, dict[int, list[str]]]:
    """Return numbers and the columns of words; refuse words among numbers."""
    values = np.full((len(columns[0]), len(columns)), np.nan)
    words: dict[int, list[str]] = {}
    for k, column in enumerate(columns):
        meaning = [None if is_missing(cell) or cell == DASH else _plain(cell, decimal) for cell in column]
        numbers = [cell is not None and is_number(cell) for cell in meaning]
        strays = [n for n, cell in enumerate(meaning) if cell is not None and not numbers[n]]
        if strays and 2 * len(strays) > len(strays) + sum(numbers) and not any(numbers):
            words[k] = column
            continue
        if strays:
            at = strays[0]
            label = f" ({names[k]})" if k < len(names) and names[k] else ""
            if _DECIMAL_COMMA.fullmatch(column[at]) or (decimal == "," and NUMBER.fullmatch(column[at].replace(",", ""))):
                why = f"with another decimal mark than the others, '{decimal}': write all alike, or give --decimal"
            else:
                why = "not a number: mend the cell, or empty it at the end of a ramp"
            raise InputError(f"{name}: row {row + at}, column {k + 1}{label} is '{column[at]:.40}', {why}")
        values[:, k] = [float(cell) if cell is not None else np.nan for cell in meaning]
    return values, words


def _sheets(name: str, raw: bytes) -> list[Block]:
    """Return the blocks of all sheets of a spreadsheet."""
    import pandas

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's, of styles and extensions that hold no cell
            sheets = pandas.read_excel(io.BytesIO(raw), sheet_name=None, header=None, dtype=object, engine="openpyxl")
    except Exception as error:  # openpyxl raises what a damaged archive makes its parts raise
        raise InputError(
            f"{name} is an archive and no spreadsheet that can be read ({error!s:.60}): save it as .xlsx or CSV anew"
        ) from error
    blocks: list[Block] = []
    for sheet, frame in sheets.items():
        label = name if len(sheets) == 1 else f"{name}, sheet {sheet}"
        rows = [["" if pandas.isna(cell) else str(cell).strip() for cell in line] for line in frame.to_numpy(dtype=object)]
        blocks += _sheet_blocks(label, rows)
    return blocks


def _sheet_blocks(name: str, lines: list[list[str]]) -> list[Block]:
    """Return the blocks of one sheet."""
    blocks: list[Block] = []
    names: list[str] = []
    title: list[str] = []
    begun: int | None = None
    for n, cells in enumerate([*lines, []]):
        numbers = any(is_number(_plain(cell, ",")) for cell in cells)
        if numbers and begun is None:
            begun = n
        if not numbers and begun is not None:
            columns = [list(column) for column in zip(*lines[begun:n], strict=True)]
            values, words = _cells(name, columns, names, begun + 1, ",")
            width = len(columns)
            shown = names if len(names) == width else [""] * width
            rows = np.arange(begun + 1, n + 1)
            blocks.append(Block(file=name, names=shown, values=values, rows=rows, words=words, title=" ".join(title)))
            begun, names, title = None, [], []
        if not numbers and any(cells):
            names = list(cells)
            title.append(some([cell for cell in cells if cell], 8))
    return blocks

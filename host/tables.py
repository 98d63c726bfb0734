"""Tables of text as people have them: separators, quotes, comments, row numbers, headers or none; every cell stays the word it is.

pandas' reader takes the file apart; what it would pass over in silence (rows too short, comments, encodings) is looked at here.
"""

import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from .errors import InputError

SEPARATORS = ("\t", ";", "|", ",")
SPACES = " "
"""The separator of columns set apart by runs of blanks."""
SNIFFED = 50
"""Lines that separator and quotes are told by."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "nan", "null"})
"""Words, in small letters, that say that there is no value."""
DASH = "-"
"""Among numbers it says so, too; among words it may be one."""


def is_missing(word: str) -> bool:
    """Say whether a word means that there is no value."""
    return word.lower() in MISSING


def is_number(word: str) -> bool:
    """Say whether a word is a decimal number (Python's own `float` would take 1_000 and inf, too)."""
    return NUMBER.fullmatch(word) is not None


def some(names: list[str], most: int = 6) -> str:
    """Join names by commas; of a long list the first few and the count of the others."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


@dataclass(frozen=True)
class Words:
    """A column of words.

    Parameters
    ----------
    codes : ndarray
        int64, (rows,): which of `words` stands in each row.
    words : list of str
        Different words, without blanks around them.
    """

    codes: np.ndarray
    words: list[str]

    @classmethod
    def of(cls, cells: np.ndarray) -> "Words":
        """Take a column of text cells apart (object array)."""
        from pandas import factorize  # half a second that other data need not wait for

        codes, found = factorize(cells)
        words: dict[str, int] = {}
        place = np.array([words.setdefault(str(word).strip(), len(words)) for word in found], np.int64)
        return cls(place[codes], list(words))

    def take(self, rows: np.ndarray) -> "Words":
        """Return some of the rows; words that are in none of them are left out."""
        codes = self.codes[rows]
        there = np.bincount(codes, minlength=len(self.words)) > 0
        return Words((np.cumsum(there) - 1)[codes], [word for word, is_there in zip(self.words, there, strict=True) if is_there])

    @property
    def counts(self) -> np.ndarray:
        """Rows of each word."""
        return np.bincount(self.codes, minlength=len(self.words))

    @property
    def present(self) -> list[str]:
        """The words that are values."""
        return [word for word in self.words if not is_missing(word)]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows and columns before anything is believed of them.

    Parameters
    ----------
    name : str
        The file, for messages.
    columns : tuple of str
        Names; the number of a column, from 1, where it has no name.
    named : bool
        Whether the data itself names its columns.
    cells : list of Words, or ndarray
        The columns of a text, or float64 of shape (rows, columns), NaN where there is no value.
    rows : ndarray
        int64: the number of each row in the file, from 0.
    separator : str
        What stands between the columns of a text.
    remarks : list of str
        What the user should know of the reading.
    """

    name: str
    columns: tuple[str, ...]
    named: bool
    cells: list[Words] | np.ndarray
    rows: np.ndarray
    separator: str = ","
    remarks: list[str] = field(default_factory=list)

    def take(self, rows: np.ndarray) -> "Table":
        """Return some of the rows."""
        cells = self.cells[rows] if isinstance(self.cells, np.ndarray) else [column.take(rows) for column in self.cells]
        return Table(
            name=self.name,
            columns=self.columns,
            named=self.named,
            cells=cells,
            rows=self.rows[rows],
            separator=self.separator,
            remarks=self.remarks,
        )


def decode(name: str, raw: bytes) -> str:
    """Return the text of a file.

    Raises
    ------
    InputError
        If it is in no encoding that can be told for certain.
    """
    if raw[:4] == b"PK\3\4":
        raise InputError(f"{name} is an archive or a spreadsheet, not text: save the sheet as CSV")
    try:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            text = raw.decode("utf-16")
        else:
            text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte {raw[error.start]:#04x} in line {raw[: error.start].count(10) + 1}"
        raise InputError(f"{name} is no UTF-8 text ({where}): save it with the encoding UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise InputError(f"{name} holds bytes that are no text: save it as CSV with the encoding UTF-8")
    return text


def read_table(name: str, raw: bytes) -> Table:
    """Read a table of text.

    Raises
    ------
    InputError
        If it is no table, or its rows are not of one length.
    """
    try:
        return _read(name, raw)
    except csv.Error as error:
        raise InputError(f"{name} is no table: {error}; is a quotation mark not closed?") from error


def _read(name: str, raw: bytes) -> Table:
    remarks: list[str] = []
    comments, text = _comments(decode(name, raw))
    sample = [line for line in text.splitlines()[:SNIFFED] if line.strip()]
    if not sample:
        raise InputError(f"{name} is empty: it must hold at least a header and samples")
    quote = _quote(sample)
    separator = _separator(sample, quote)
    if separator is None:
        raise InputError(f"{name} has one column only: it must have at least one feature and the label, separated by commas")
    between = separator
    if separator == SPACES:
        between, text = "\t", "\n".join(re.sub(r"[ \t]+", "\t", line.strip()) for line in text.splitlines())
    cells = _cells(name, text, between, quote)
    columns = [Words.of(cells[:, k]) for k in range(cells.shape[1])]
    header = _header(columns)
    first = 1 if header else 0
    if header:
        names = [column.words[column.codes[0]] for column in columns]
    else:
        names, remark = _commented_names(comments, between, len(columns))
        remarks.append(f"{name} has no header: {remark}")
    if comments and (header or "number" in remarks[-1]):
        remarks.append(f"{name}: {len(comments)} line{'s' * (len(comments) > 1)} with # before the table skipped")
    filled = np.any([np.array([word != "" for word in column.words])[column.codes] for column in columns], axis=0)
    filled[:first] = False
    rows = np.flatnonzero(filled)
    if len(rows) == 0:
        raise InputError(f"{name} holds no samples: it must have a header line and one line a sample")
    if len(rows) < len(cells) - first:
        remarks.append(f"{name}: {len(cells) - first - len(rows)} rows without any value left out")
    return Table(
        name=name,
        columns=_unique(name, names),
        named=header or bool(any(names)),
        cells=[column.take(rows) for column in columns],
        rows=rows - first,
        separator=separator,
        remarks=remarks,
    )


def _comments(text: str) -> tuple[list[str], str]:
    """Part the # lines before the table from the table."""
    lines = text.splitlines(keepends=True)
    if lines and re.fullmatch(r"sep=.\s*", lines[0]):  # a line for spreadsheets; the lines themselves say as much
        del lines[0]
    count = next((n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")), len(lines))
    comments = [line.lstrip().lstrip("#").strip() for line in lines[:count] if line.strip()]
    return comments, "".join(lines[count:])


def _quote(sample: list[str]) -> str:
    """Return the quotation mark: the single one where cells begin and end with it and none with the double one."""
    text = "\n".join(sample)
    single = re.search(r"(?m)(^|[,;|\t])\s*'[^'\n]*'\s*([,;|\t]|$)", text)
    return "'" if single and '"' not in text else '"'


def _separator(sample: list[str], quote: str) -> str | None:
    """Return the separator that parts the lines alike; None if there is one column only."""
    best, most = None, 0.0
    for separator in (*SEPARATORS, SPACES):
        if separator == SPACES and best is not None:
            break
        lines = sample if separator != SPACES else [line.strip() for line in sample]
        widths = [len(line) for line in csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=True)]
        wide = Counter(width for width in widths if width > 1)
        share = max(wide.values(), default=0) / len(sample)  # a quotation that never ends swallows lines
        if share > most + 0.1:
            best, most = separator, share
    return best


def _cells(name: str, text: str, separator: str, quote: str) -> np.ndarray:
    """Return all cells of the table, the header among them: object array of str, (lines, columns)."""
    import pandas

    lines = csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=True)
    widths = [len(next(lines, [])) for _ in range(2)]
    # A separator at the end of the header or of the other lines is an empty column.
    width = max(widths) if abs(widths[0] - widths[1]) == 1 else widths[0]
    try:
        frame = pandas.read_csv(
            io.StringIO(text),
            header=None,
            names=[str(k) for k in range(width)],
            index_col=False,
            sep=separator,
            quotechar=quote,
            skipinitialspace=True,
            dtype=object,
            na_filter=False,
        )
    except pandas.errors.ParserError as error:
        _check_widths(name, text, separator, quote, width)
        raise InputError(f"{name} is no table: a quotation mark that opens a cell is not closed") from error
    cells = frame.to_numpy(dtype=object)
    if (cells[:, -1] == "").any():  # pandas fills rows that are too short
        _check_widths(name, text, separator, quote, width)
    return cells


def _check_widths(name: str, text: str, separator: str, quote: str, width: int) -> None:
    """Name the first row that has not as many columns as the first line."""
    lines = csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=True)
    widths = np.array([len(line) for line in lines if len(line) > 1 or any(map(str.strip, line))])
    rest = widths[1:]
    if len(rest) and widths[0] == width - 1 and (rest == width).all():
        return _check_padding(name, text, separator, quote, width)
    if len(rest) and widths[0] == width and (rest == width - 1).all():
        return None
    wrong = np.flatnonzero(rest != widths[0])
    if wrong.size:
        count = int(rest[wrong[0]])
        raise InputError(
            f"{name}: row {wrong[0] + 1} has {count} column{'s' * (count != 1)}, but the first line has {widths[0]}: mend the row "
            "(a cell with a separator in it needs quotation marks)"
        )
    return None


def _check_padding(name: str, text: str, separator: str, quote: str, width: int) -> None:
    """Refuse lines with one column more than the header, unless it is an empty one at the end."""
    for row, line in enumerate(csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=True)):
        if len(line) == width and line[-1].strip():
            raise InputError(f"{name}: row {max(1, row)} has {width} columns, but the header has {width - 1}: name every column")


def _header(columns: list[Words]) -> bool:
    """Say whether the first line names the columns.

    It does if it has a word above numbers. Else, if it has words, none of them comes again in its column, and its numbers, as names
    of channels or wavelengths do, grow from left to right. A line of numbers alone names columns only if it counts them.
    """
    first = [column.words[column.codes[0]] for column in columns]
    below = [Words(c.codes[1:], c.words) for c in columns]
    texts = [k for k, word in enumerate(first) if not is_number(word) and not is_missing(word)]
    for k in texts:
        there = [w for w, n in zip(below[k].words, below[k].counts, strict=True) if n and not is_missing(w)]
        if there and all(map(is_number, there)):
            return True
    numbers = [float(word) for word in first if is_number(word)]
    counted = [str(k) for k in range(len(first))], [str(k + 1) for k in range(len(first))]
    if not texts:
        return len(first) > 2 and first in counted
    recurs = any(below[k].counts[columns[k].codes[0]] for k in texts)
    grows = all(a < b for a, b in itertools.pairwise(numbers))
    return not recurs and grows and len(numbers) != 1


def _commented_names(comments: list[str], separator: str, width: int) -> tuple[list[str], str]:
    """Return the names of columns without a header: those of a # line before the table, if it has as many (numpy.savetxt writes it)."""
    if comments:
        names = [cell.strip() for cell in next(csv.reader([comments[-1]], delimiter=separator, skipinitialspace=True), [])]
        if len(names) == width and not any(map(is_number, names)):
            return names, f"the # line before the table names the columns ({some(names)})"
    return [""] * width, f"columns are called by their number, 1 to {width}"


def _unique(name: str, names: list[str]) -> tuple[str, ...]:
    """Return names, the number of a column where it has none; refuse two columns of one name."""
    full = [" ".join(text.split()) or str(k + 1) for k, text in enumerate(names)]
    twice = [text for text, count in Counter(full).items() if count > 1]
    if twice:
        places = [k + 1 for k, text in enumerate(full) if text == twice[0]]
        raise InputError(f"{name}: columns {places[0]} and {places[1]} are both called {twice[0]}: give every column a name of its own")
    return tuple(full)

"""Tables of text as people have them: separators, quotes, comments, row numbers, headers or none; every cell stays the word it is.

pandas' reader takes the file apart; what it would pass over in silence (rows too short, comments, encodings) is looked at here.
"""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from backpulse.host.errors import InputError
from backpulse.host.tables import DASH, Table, Words, count, is_missing, is_number, some

SEPARATORS = ("\t", ";", "|", ",")
SPACES = " "
"""The separator of columns set apart by runs of blanks."""
SNIFFED = 50
"""Lines that separator and quotes are told by."""
CONVERT = "if it is from Windows: iconv -f WINDOWS-1252 -t UTF-8 {0} > new.csv"
"""What to do about text of another encoding, with the file's name."""
LEAST_ALIKE = 0.1
"""Share of lines of one width below which what parts them is no separator."""
VALUES = frozenset({DASH, "none", "inf", "+inf", "-inf", "infinity"})
"""Words, in small letters, that stand among numbers and are no names."""


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
        raise InputError(f"{name} is no UTF-8 text ({where}): save it with the encoding UTF-8 ({CONVERT.format(name)})") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise InputError(f"{name} holds bytes that are no text: save it as CSV with the encoding UTF-8")
    return text


def read_table(name: str, raw: bytes, known: Sequence[str] | None = None) -> Table:
    """Read a table of text.

    Parameters
    ----------
    name : str
        The file, for messages.
    raw : bytes
    known : sequence of str, optional
        Names of the columns that a network was trained on, none if they had no names; not given for data to train on.

    Raises
    ------
    InputError
        If it is no table, its rows are not of one length, or its first line may be either names or a sample.
    """
    try:
        return _read(name, raw, known)
    except csv.Error as error:
        raise InputError(f"{name} is no table ({error}): close every quotation mark, or save it as CSV anew") from error


def _read(name: str, raw: bytes, known: Sequence[str] | None) -> Table:
    remarks: list[str] = []
    comments, text = _comments(decode(name, raw))
    sample = [line for line in text.splitlines()[:SNIFFED] if line.strip()]
    if not sample:
        raise InputError(f"{name} is empty: it must hold at least a header and samples")
    quote = _quote(sample)
    separator = _separator(sample, quote)
    if separator is None and known is not None:
        separator = ","  # a feature alone may be classified
    if separator is None:
        raise InputError(f"{name} has one column only: it must have at least one feature and the label, separated by commas")
    between = separator
    if separator == SPACES:
        between, text = "\t", "\n".join(re.sub(r"[ \t]+", "\t", line.strip()) for line in text.splitlines())
    cells = _cells(name, text, between, quote)
    columns = [Words.of(cells[:, k]) for k in range(cells.shape[1])]
    names = [column.words[column.codes[0]] for column in columns]
    header, doubtful = _header(name, columns, known)
    first = 1 if header else 0
    if not header:
        names, remark = _commented_names(comments, between, len(columns))
        remarks.append(f"{name} has no header: {remark}")
    elif doubtful:
        remarks.append(f"{name}: the first line ({some(names)}) is taken as the names of the columns, not as a row")
    if comments and (header or not any(names)):
        remarks.append(f"{name}: {count(len(comments), 'line')} with # before the table skipped")
    filled = np.any([np.array([word != "" for word in column.words])[column.codes] for column in columns], axis=0)
    filled[:first] = False
    rows = np.flatnonzero(filled)
    if len(rows) == 0:
        raise InputError(f"{name} holds no samples: it must have a header line and one line a sample")
    if len(rows) < len(cells) - first:
        remarks.append(f"{name}: {count(len(cells) - first - len(rows), 'row')} without any value left out")
    return Table(
        name=name,
        columns=_unique(name, names),
        named=any(names),
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
    marked = [line.lstrip().startswith("#") for line in lines]
    before = next((n for n, line in enumerate(lines) if line.strip() and not marked[n]), len(lines))
    # Where values such as colours begin with #, or a column is called so, a line of as many cells as the last one is of the table.
    last = next((line for line in reversed(lines) if line.strip()), "")
    values = any(marked[before:]) or before == len(lines)
    for n, line in enumerate(lines[:before]):
        named = re.match(r"""\s*["']?#["']?\s*[,;|\t]""", line)
        if (values or named) and any(line.count(mark) == last.count(mark) > 0 for mark in SEPARATORS):
            before = n
            break
    comments = [line.lstrip().lstrip("#").strip() for line in lines[:before] if line.strip()]
    return comments, "".join(lines[before:])


def _quote(sample: list[str]) -> str:
    """Return the quotation mark: the single one where cells begin and end with it and none with the double one."""
    text = "\n".join(sample)
    single = re.search(r"(?m)(^|[,;|\t])\s*'[^'\n]*'\s*([,;|\t]|$)", text)
    return "'" if single and '"' not in text else '"'


def _separator(sample: list[str], quote: str) -> str | None:
    """Return the separator that parts the lines, the first among them, best alike; None if there is one column only.

    Of several that do so, the cells of the right one are numbers; else it makes the most columns.
    """
    best, most = None, (False, 0.0, 0.0, 0)
    for separator in (*SEPARATORS, SPACES):
        if separator == SPACES and best is not None:
            break
        lines = sample if separator != SPACES else [line.strip() for line in sample]
        parted = list(csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=True))
        widths = [len(cells) for cells in parted]
        width, often = max(Counter(width for width in widths if width > 1).items(), key=lambda found: found[1], default=(1, 0))
        share = often / len(sample)  # a quotation that never ends swallows lines
        alike = widths[0] > 1 and abs(widths[0] - width) <= 1
        numbers = sum(is_number(cell.strip().replace(",", ".", 1)) for cells in parted for cell in cells) / sum(widths)
        rank = (alike, round(share, 1), round(numbers, 1), width)
        if share > LEAST_ALIKE and rank > most:
            best, most = separator, rank
    return best


def _cells(name: str, text: str, separator: str, quote: str) -> np.ndarray:
    """Return all cells of the table, the header among them: object array of str, (lines, columns)."""
    import pandas

    lines = csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=True)
    widths = [len(next(lines, [])) for _ in range(2)]
    if widths[1] and abs(widths[0] - widths[1]) > 1:
        _check_widths(name, text, separator, quote)
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
        _check_widths(name, text, separator, quote)
        raise InputError(f"{name} is no table: a quotation mark that opens a cell is not closed: close it, or leave it out") from error
    cells = frame.to_numpy(dtype=object)
    if (cells[:, -1] == "").any():  # pandas fills rows that are too short
        _check_widths(name, text, separator, quote)
    return cells


def _check_widths(name: str, text: str, separator: str, quote: str) -> None:
    """Name the first line that has not as many columns as the others; an empty one at the end is none."""
    lines = csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=True)
    lines = (line for line in lines if len(line) > 1 or any(map(str.strip, line)))
    first = next(lines)
    found = np.array([(len(line), line[-1].strip() == "") for line in lines])
    if not len(found):
        return
    rest, padded = found.T
    usual = int(np.bincount(rest).argmax())
    if len(first) == usual or 2 * np.sum(rest == usual) <= len(rest):
        wrong = np.flatnonzero(rest != len(first))
        if wrong.size:
            raise InputError(
                f"{name}: row {wrong[0] + 1} has {count(int(rest[wrong[0]]), 'column')}, but the first line has {len(first)}: mend the "
                "row (a cell with a separator in it needs quotation marks)"
            )
        return
    trailing = (len(first) == usual + 1 and not first[-1].strip()) or (len(first) == usual - 1 and padded.all())
    if not trailing or (rest != usual).any():
        raise InputError(
            f"{name}: the first line ({', '.join(first)[:40]}) has {count(len(first), 'column')}, but the rows have {usual}: name every "
            "column once; if it is no header, remove it or mark it with #"
        )


def _header(name: str, columns: list[Words], known: Sequence[str] | None) -> tuple[bool, bool]:
    """Say whether the first line names the columns, and whether that is doubtful.

    It does if it has all `known` names, or two and at least half of them, so that the others are missed by name. Else a line of words
    does if one stands above numbers, or none comes again in its column. If it has numbers too, as names of channels or wavelengths,
    they grow from left to right, and none of its words comes again. A line of numbers alone names columns if it counts them and three
    or more of the numbers never come again. In data to classify, where a row too many is an answer too many, such a line is refused.
    """
    first = [column.words[column.codes[0]] for column in columns]
    found = len({*(known or ())} & set(first))
    if known and (found == len(known) or (found > 1 and 2 * found >= len(known))):
        return True, False
    texts = [k for k, word in enumerate(first) if not (is_number(word) or is_missing(word) or word.lower() in VALUES)]
    numbers = [k for k, word in enumerate(first) if is_number(word)]
    below = [Words(column.codes[1:], column.words) for column in columns]
    again = np.array([words.counts[column.codes[0]] > 0 for words, column in zip(below, columns, strict=True)])
    if not texts:
        names = first[1:] if first[0] == "" else first
        counted = [str(k) for k in range(len(names))], [str(k + 1) for k in range(len(names))]
        fresh = int(np.sum(~again[numbers]))
        doubtful = names in counted and (fresh > 2 or (known is not None and fresh == len(numbers) > 1))
        if doubtful and known is not None and len(below[0].codes):
            raise InputError(
                f"{name}: the first line ({some(first)}) may be the names of the columns or a sample: remove it if it is no sample, else "
                "put a line with the names above it"
            )
        return doubtful and known is None, True
    if not numbers:
        there = ([w for w, n in zip(below[k].words, below[k].counts, strict=True) if n and not is_missing(w)] for k in texts)
        above = any(bool(words) and all(map(is_number, words)) for words in there)
        return above or not again[texts].any(), bool(again[texts].any())
    grows = all(a < b for a, b in itertools.pairwise(float(first[k]) for k in numbers))
    return known is None and grows and len(texts) + len(numbers) > 2 and not again[texts].any(), True


def _commented_names(comments: list[str], separator: str, width: int) -> tuple[list[str], str]:
    """Return the names of columns without a header: those of a # line before the table, if it has as many (numpy.savetxt writes it)."""
    if comments:
        names = [cell.strip() for cell in next(csv.reader([comments[-1]], delimiter=separator, skipinitialspace=True), [])]
        if len(names) == width and not any(map(is_number, names)):
            return names, f"the # line before the table names the columns ({some(names)})"
    return [""] * width, f"columns are called by their number, 1 to {width}"


def _unique(name: str, names: list[str]) -> tuple[str, ...]:
    """Return names, with a number for a column that has none; refuse two columns of one name."""
    nameless = "unnamed " if any(names) else ""
    full = [" ".join(text.split()) or f"{nameless}{k + 1}" for k, text in enumerate(names)]
    twice = [text for text, times in Counter(full).items() if times > 1]
    if twice:
        places = [k + 1 for k, text in enumerate(full) if text == twice[0]]
        raise InputError(f"{name}: columns {places[0]} and {places[1]} are both called {twice[0]}: give every column a name of its own")
    return tuple(full)

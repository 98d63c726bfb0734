"""What the columns of a table are: numbers, true/false, words of few kinds, or nothing that a network can learn from."""

import csv
import io
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.words import nearest
from backpulse.host.errors import InputError
from backpulse.host.tables import DASH, NUMBER, Table, Words, is_missing, is_number, some

SWITCHES = {"true": "false", "yes": "no", "t": "f", "y": "n"}
"""Words for true, in small letters, with the word for false that goes with each."""
MOST_WORDS = 100
"""Different words of a text column, each of which becomes an input."""
FEW = 20
"""Different values of a column that may well be names of kinds, be they numbers."""
EXACT = 1 << 53
"""Whole numbers beyond this are not all float64."""

_COMMA = re.compile(r"[+-]?\d+(,\d+)*([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ].*)?|\d{1,2}:\d{2}(:\d{2}.*)?"
    r"|\d{1,2}[- ][A-Za-z]{3,9}[-, ]+\d{2,4}|[A-Za-z]{3,9} \d{1,2},? \d{4}",
    re.ASCII,
)
_UNIT = re.compile(rf"(?P<before>[^\w\s+.\-]*)\s*(?:{NUMBER.pattern})\s*(?P<after>[^\d.\-]*)", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A source column and how it becomes inputs.

    Parameters
    ----------
    name : str
        As in the data; its number, from 1, if it has no name.
    kind : str
        `KINDS`: a number is one input, true/false one of 0 and 1, and text one input of 0 and 1 for each of its words.
    categories : tuple of str
        The words of a text column, in alphabetical order.
    fill : float, str or None
        What stands for a missing cell: a number, for true/false 0 or 1, for text one of its words; None if nothing may be missing.
    """

    name: str
    kind: str = "number"
    categories: tuple[str, ...] = ()
    fill: float | str | None = None

    @property
    def width(self) -> int:
        """Number of inputs."""
        return len(self.categories) if self.kind == "text" else 1


KINDS = ("number", "true-false", "text")


class UnusableError(Exception):
    """A column that no network can learn from; the message says why in a few words."""


def parse_names(text: str | None, option: str) -> list[str]:
    """Part names joined by commas; a name with a comma in it is quoted.

    Raises
    ------
    InputError
        If there is an empty one among them.
    """
    if text is None:
        return []
    try:
        names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    except csv.Error:
        names = []
    if not names or "" in names:
        raise InputError(f"{option} {text!r:.60} names an empty column: give names or numbers from 1, joined by commas")
    return names


def join_names(names: Sequence[str]) -> str:
    """Join names so that `parse_names` parts them again."""
    joined = io.StringIO()
    csv.writer(joined, lineterminator="").writerow(names)
    return joined.getvalue()


def drop_option(names: Sequence[str]) -> str:
    """Return the option that leaves columns out, as a shell takes it."""
    return f"--drop {shlex.quote(join_names(names))}"


def find(table: Table, name: str, option: str) -> int:
    """Return the place of a column by its name or its number from 1; a name goes first."""
    if name in table.columns:
        at = table.columns.index(name)
        if name.isdecimal() and at + 1 != int(name) and table.named:
            table.remarks.append(f"{option} {name} is the column named {name}, column {at + 1} of {table.name}")
        return at
    if name.isdecimal() and 1 <= int(name) <= len(table.columns):
        at = int(name) - 1
        if table.named and any(map(is_number, table.columns)):
            table.remarks.append(f"{option} {name} is column {name} of {table.name}, which is named {table.columns[at]}")
        return at
    allowed = some(list(table.columns), 20) if table.named else f"the numbers 1 to {len(table.columns)}"
    raise InputError(f"{table.name} has no column {name}{nearest(name, table.columns)}: {option} must be one of {allowed}")


def learn(table: Table, at: int) -> Column:
    """Say what a column is.

    Raises
    ------
    UnusableError
        If no network can learn from it.
    InputError
        If single cells of a column of numbers are no numbers.
    """
    name = table.columns[at]
    if isinstance(table.cells, np.ndarray):
        return Column(name=name)
    words, rows = table.cells[at], len(table.rows)
    present, numbers = words.present, _but_dashes(words)
    if numbers and all(map(is_number, numbers)):
        return Column(name=name)
    if numbers and all(_COMMA.fullmatch(word) or is_number(word) for word in numbers):
        if decimal_comma(table, words):
            if not any(decimal_comma(table, other) and not _thousands(other) for other in table.cells):
                word = next(word for word in numbers if "," in word)
                raise InputError(
                    f"{table.name}: column {name} has numbers such as {word}, which may be {word.replace(',', '.')} or "
                    f"{word.replace(',', '')}: write them without commas"
                )
            return Column(name=name)
        raise UnusableError(f"numbers with commas such as '{next(w for w in numbers if ',' in w)}'; write 1234.5")
    if any({word.lower() for word in present} <= set(pair) for pair in SWITCHES.items()):
        return Column(name=name, kind="true-false")
    if all(map(_DATE.fullmatch, present)):
        return _refuse(f"dates or times such as '{present[0]}'")
    _check_strays(table, at)
    if len(present) > FEW and _unit(present):
        return _refuse(f"numbers with a unit such as '{present[0]}'; leave the numbers only")
    if len(present) > 3 and 2 * len(present) > rows:
        return _refuse(f"a different word in nearly every row such as '{present[0][:40]}'")
    if len(present) > MOST_WORDS:
        return _refuse(f"{len(present)} different words, more than {MOST_WORDS}, such as '{present[0][:40]}'")
    return Column(name=name, kind="text", categories=tuple(sorted(present)))


def _refuse(reason: str) -> Column:
    raise UnusableError(reason)


def _but_dashes(words: Words) -> list[str]:
    """Return the words that are values, if a dash is none."""
    return [word for word in words.present if word != DASH]


def decimal_comma(table: Table, words: Words) -> bool:
    """Say whether a column's numbers have a decimal comma; where commas part the columns none has."""
    present = _but_dashes(words)
    return table.separator != "," and any("," in word for word in present) and all(_DECIMAL_COMMA.fullmatch(word) for word in present)


def _thousands(words: Words) -> bool:
    """Say whether all commas of a column's numbers may part thousands as well."""
    return all(_THOUSANDS.fullmatch(word) for word in words.present if "," in word)


def _unit(present: list[str]) -> bool:
    """Say whether all words are numbers with one unit."""
    found = [_UNIT.fullmatch(word) for word in present]
    return all(found) and len({(m["before"].strip(), m["after"].strip()) for m in found if m}) == 1


def _check_strays(table: Table, at: int) -> None:
    """Refuse a few words among numbers, unless the column has few values, each of them more than once."""
    assert not isinstance(table.cells, np.ndarray)
    words = table.cells[at]
    counts = dict(zip(words.words, words.counts, strict=True))
    present = _but_dashes(words)
    strays = [word for word in present if not is_number(word)]
    among = sum(counts[word] for word in present)
    if 2 * sum(counts[word] for word in strays) > among:
        return
    if len(present) <= FEW and all(counts[word] > 1 for word in strays):
        return
    stray = words.words.index(strays[0])
    row = int(table.rows[np.flatnonzero(words.codes == stray)[0]])
    raise InputError(
        f"{table.name}: row {row + 1}, column {table.columns[at]} is '{strays[0]}', not a number: mend the cell, empty it and give "
        f"--missing, or leave the column out with {drop_option([table.columns[at]])}"
    )


def values(table: Table, at: int, column: Column) -> np.ndarray:
    """Return a column as float64 (rows,): numbers, 0 and 1, or the number of the word; NaN where there is no value.

    Raises
    ------
    InputError
        If a cell is not what the column holds; the message names it.
    """
    if isinstance(table.cells, np.ndarray):
        if column.kind != "number":
            raise InputError(
                f"{table.name}: column {column.name} holds numbers, but the network was trained on {_kind(column)}: give the same"
            )
        return table.cells[:, at]
    words = table.cells[at]
    comma = column.kind == "number" and decimal_comma(table, words)
    meaning = np.full(len(words.words), np.nan)
    for k, word in enumerate(words.words):
        if (is_missing(word) and word not in column.categories) or (word == DASH and column.kind == "number"):
            continue
        try:
            meaning[k] = _value(word.replace(",", ".") if comma else word, column)
        except ValueError as error:
            row = int(table.rows[np.flatnonzero(words.codes == k)[0]])
            raise InputError(f"{table.name}: row {row + 1}, column {column.name} is '{word}', {error}; mend the cell") from None
    return meaning[words.codes]


def _kind(column: Column) -> str:
    return f"the words {some(list(column.categories))}" if column.kind == "text" else f"{column.kind} values"


def _value(word: str, column: Column) -> float:
    """Return what a word stands for, or raise ValueError with the end of a sentence."""
    if column.kind == "text":
        if word not in column.categories:
            raise ValueError(f"which is none of the words it was trained on: {some(list(column.categories), 12)}")
        return float(column.categories.index(word))
    if column.kind == "true-false":
        if word.lower() not in {*SWITCHES, *SWITCHES.values()}:
            raise ValueError("neither true nor false")
        return float(word.lower() in SWITCHES)
    if not is_number(word):
        raise ValueError("not a number")
    number = float(word)
    if not np.isfinite(number):
        raise ValueError("beyond the range of float64")
    if abs(number) >= EXACT and word.lstrip("+-").isdecimal() and int(word) != int(number):
        raise ValueError(f"a whole number that float64 cannot keep exactly: leave the column out with {drop_option([column.name])}")
    return number

"""Tables before anything is believed of them: columns of words or of numbers, their names, and the rows' numbers in the file."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from backpulse.firmware_py.words import nearest

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


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 row, 2 rows."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def with_nearest(unknown: Iterable[str], names: Iterable[str]) -> str:
    """Join unknown names by commas, each with the nearest right one."""
    return ", ".join(name + nearest(name, names) for name in unknown)


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
        Names. Without any, a column is called by its number, from 1; one without a name among others `unnamed` and its number.
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

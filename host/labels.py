"""Which column is the label, and what its words are as classes."""

import itertools
import re
from collections import Counter

import numpy as np

from backpulse.host.columns import EXACT
from backpulse.host.errors import InputError
from backpulse.host.features import MOST_CLASSES
from backpulse.host.tables import DASH, Table, Words, count, is_missing, is_number, some

UNLABELLED = -1
"""The class of a sample without label."""
USUAL_NAMES = ("class", "label", "target", "y", "species")
"""Names that a label's column often has."""
MANY = 20
"""So many classes may be there with few samples each."""
LEAST_SAMPLES = 3
"""Of each class on average, where there are many: fewer are a measured quantity, a name or an identifier."""
MEASURED = "measured numbers are no classes; BackpulseRegressor learns them, in Python"
"""What to do about a quantity."""


def guess(table: Table, candidates: list[int]) -> int:
    """Choose the label's column: the one with a usual name, else the last; say so.

    Raises
    ------
    InputError
        If that column cannot be a label; the message names those that can.
    """
    assert not isinstance(table.cells, np.ndarray)
    usual = [k for k in candidates if table.columns[k].lower() in USUAL_NAMES]
    by_name = len(usual) == 1 and usual[0] != candidates[-1]
    at = usual[0] if by_name else candidates[-1]
    reason = _implausible(table.cells[at])
    if reason:
        possible = [table.columns[k] for k in candidates if _likely(table.cells[k])]
        ways = f"it could be {some(possible, 12)}" if possible else "no column looks like one"
        raise InputError(
            f"{table.name}: {'' if by_name else 'the last '}column {table.columns[at]} cannot be the label ({reason}): name the label's "
            f"column with --target ({ways}){f'; {MEASURED}' if 'measured' in reason else ''}"
        )
    why = "by its name" if by_name else "the last column"
    table.remarks.append(f"{table.name}: column {table.columns[at]} is taken as the label ({why}); --target names another")
    return at


def without_dashes(column: Words) -> Words:
    """Return a column with dashes among numbers as what they are there: missing values."""
    values = [word for word in column.present if word != DASH]
    if not values or not all(map(is_number, values)):
        return column
    return Words(column.codes, ["" if word == DASH else word for word in column.words])


def _exact(word: str) -> float:
    """Return the value of a number, a whole one beyond what float64 keeps as it is."""
    value = float(word)
    return int(word) if EXACT <= abs(value) < np.inf and word.lstrip("+-").isdecimal() else value


def _implausible(column: Words) -> str | None:
    """Say why a column cannot be a label, or None."""
    column = without_dashes(column)
    present, rows = column.present, int(sum(n for w, n in zip(column.words, column.counts, strict=True) if not is_missing(w)))
    if len(present) < 2:
        return "it has one value only" if present else "it has no values"
    if all(map(is_number, present)) and any(not float(word).is_integer() for word in present):
        return f"it holds measured numbers such as {next(w for w in present if not float(w).is_integer())}"
    if _too_many(len(present), rows):
        return f"it has {len(present)} different values in {rows} rows"
    return None


def _likely(column: Words) -> bool:
    """Say whether a column looks like a label: few values, most of them more than once."""
    return not _implausible(column) and 2 * len(column.present) <= len(column.codes)


def _too_many(classes: int, rows: int) -> bool:
    return classes > MANY and rows < LEAST_SAMPLES * classes


def from_array(name: str, y: np.ndarray, names: tuple[str, ...] = ()) -> Words:
    """Return an array of labels as words: numbers, true/false or text, of shape (samples,) or (samples, 1).

    Parameters
    ----------
    name : str
        Of the data, for messages.
    y : ndarray
    names : tuple of str
        What the numbers 0, 1, 2, ... of `y` are called, if they have names.

    Raises
    ------
    InputError
        If it holds something else, or `names` has no name for a number.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(f"{name} has labels of shape {y.shape}: give one label a sample")
    if y.dtype.kind not in "biufUS":
        raise InputError(f"{name} has labels of type {y.dtype}: they must be whole numbers from 0, or text")
    found, codes = np.unique(text(name, y), return_inverse=True)
    if names:
        if y.dtype.kind not in "iu" or (len(y) and (found.min() < 0 or found.max() >= len(names))):
            raise InputError(f"{name} has {count(len(names), 'class name')}, so y must hold numbers from 0 to {len(names) - 1}")
        words = [names[k] for k in found]
    elif y.dtype.kind == "f":
        words = ["" if np.isnan(v) else str(int(v)) if np.isfinite(v) and v == int(v) else str(v) for v in found.tolist()]
    else:
        words = [str(v).strip() for v in found.tolist()]
    twice = next((word for word, times in Counter(words).items() if times > 1), None)
    if twice is not None:
        raise InputError(f"{name} has labels that differ from '{twice}' in blanks only: write each class in one way")
    return Words(codes.reshape(-1).astype(np.int64), words)


def text(name: str, array: np.ndarray) -> np.ndarray:
    """Return an array with bytes as the text that they are, and anything else as it is.

    Raises
    ------
    InputError
        If they are no UTF-8.
    """
    if array.dtype.kind != "S":
        return array
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} holds the bytes {error.object!r}, which are no UTF-8 text: save text as numpy's str") from None


def number(name: str, column: Words, rows: np.ndarray, names: tuple[str, ...] = (), *, inside: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """Number the classes: as `names` does, else numbers in their order and words in alphabetical order, called as the data has them.

    Parameters
    ----------
    name : str
        Of the data, for messages.
    column : Words
    rows : ndarray
        Number of each row in the file, from 0.
    names : tuple of str
        All classes, if the data has such a list.
    inside : bool
        Whether the labels are a column of a table, so that another one may be named.

    Returns
    -------
    labels : tuple of str
    y : ndarray
        int64, (rows,); `UNLABELLED` where there is no label.

    Raises
    ------
    InputError
        If a number is no class number, if one is written in two ways, or if the labels are not classes.
    """
    present = column.present
    another = "name another column with --target, or " if inside else ""
    if names:
        labels = list(names)
    elif all(map(is_number, present)):
        for word in present:
            if not float(word).is_integer() or float(word) < 0:
                row = rows[np.flatnonzero(column.codes == column.words.index(word))[0]]
                raise InputError(
                    f"{name}: row {row + 1} has label {word}; labels are whole numbers from 0, or words: {another}number the classes "
                    f"({MEASURED})"
                )
        labels = sorted(present, key=_exact)
        for one, other in itertools.pairwise(labels):
            if _exact(one) == _exact(other):
                raise InputError(f"{name}: the labels {one} and {other} are one number: write each class in one way")
    else:
        labels = sorted(present)
    samples = int(sum(n for w, n in zip(column.words, column.counts, strict=True) if not is_missing(w)))
    if len(labels) > MOST_CLASSES:
        raise InputError(f"{name} has {len(labels)} classes: at most {MOST_CLASSES} can be told apart, so {another}sort them into fewer")
    if _too_many(len(labels), samples):
        raise InputError(
            f"{name} has {len(labels)} different labels in {samples} rows, so they are measured numbers, names or identifiers, no "
            f"classes: {another}sort them into few classes"
        )
    numbers = {word: k for k, word in enumerate(labels)}
    y = np.array([numbers.get(word, UNLABELLED) for word in column.words], np.int64)[column.codes]
    return tuple(labels), y


def known(name: str, column: Words, labels: tuple[str, ...], rows: np.ndarray, where: str | None = None) -> np.ndarray:
    """Number labels as in training: int64 (rows,), `UNLABELLED` where there is none.

    Parameters
    ----------
    name : str
        Of the data, for messages.
    column : Words
    labels : tuple of str
        The classes of the training.
    rows : ndarray
        Number of each row in the file, from 0.
    where : str, optional
        Which column of a table is taken as the label, why, and the way out.

    Raises
    ------
    InputError
        If a label is none of the network's.
    """
    numbers = {label: k for k, label in enumerate(labels)}
    by_value = {_exact(label): k for k, label in enumerate(labels) if is_number(label)}
    classes = np.full(len(column.words), UNLABELLED)
    for k, word in enumerate(column.words):
        if (is_missing(word) or (word == DASH and len(by_value) == len(labels))) and word not in numbers:
            continue
        found = numbers.get(word, by_value.get(_exact(word)) if is_number(word) else None)
        if found is None:
            row = rows[np.flatnonzero(column.codes == k)[0]]
            raise InputError(
                f"{name}: row {row + 1} has label {word}, which the checkpoint's network does not know "
                f"(but {some(list(labels), 12)}); {where or 'leave the labels out'}"
            )
        classes[k] = found
    return classes[column.codes].astype(np.int64)


def alike(words: tuple[str, ...]) -> list[str]:
    """Return words that differ in capitals, blanks and punctuation only: most likely one in several spellings (A and A- are two grades)."""
    groups: dict[str, list[str]] = {}
    for word in words:
        groups.setdefault(re.sub(r"[\s._]+|-(?=.)", "", word).lower(), []).append(word)
    return [" and ".join(group) for group in groups.values() if len(group) > 1 and not all(map(is_number, group))]

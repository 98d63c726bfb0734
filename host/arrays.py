"""What an array must be to be samples or classes: nothing is converted that would not keep its value."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from backpulse.host.columns import EXACT
from backpulse.host.errors import InputError
from backpulse.host.tables import count


def plain_array(name: str, value: Any) -> np.ndarray:
    """Return an array of what may be a list, or refuse what is no array or has masked cells."""
    if np.ma.is_masked(value):
        raise InputError(f"{name} has masked cells, which have no value: fill them, or leave their samples out")
    try:
        return np.asarray(value)
    except ValueError:
        raise InputError(f"{name} has rows that are not of one length: give arrays of numbers") from None


PART = 1 << 20
"""Numbers that are worked on at a time: as float64 they fill a cache, and never the memory."""


def parts(x: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of an array, some at a time."""
    rows = max(1, PART // max(1, x.shape[1]))
    return (x[at : at + rows] for at in range(0, len(x), rows))


def real_numbers(name: str, x: Any, columns: Sequence[str] = (), *, holes: bool = False, pixels: bool = False) -> np.ndarray:
    """Return an array as float64 of shape (samples, features), every number of it kept; of `pixels`, bytes as they are.

    Raises
    ------
    InputError
        If it holds complex numbers, text, NaN (unless `holes` may be there), infinite numbers or such as float64 cannot keep, or nothing.
    """
    x = plain_array(name, x)
    if x.dtype.kind == "c":
        raise InputError(f"{name} holds complex numbers: give real features, such as the two parts or magnitude and phase as columns")
    if x.dtype.kind not in "biuf":
        raise InputError(f"{name} has features of type {x.dtype}: they must be numbers")
    if x.ndim < 2 or 0 in x.shape:
        raise InputError(f"{name} holds no samples: it must have at least two of each class, of shape (samples, features)")
    x = x.reshape(len(x), -1)
    if pixels and x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore"):  # what overflows is named below
        numbers = x.astype(np.float64)
    bad = np.isinf(numbers) if holes else ~np.isfinite(numbers)
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        bad |= np.clip(numbers, -EXACT, EXACT).astype(x.dtype) != x
    if bad.any():
        row, column = np.argwhere(bad)[0]
        value = x[row, column]
        what = "beyond what float64 keeps exactly" if np.isfinite(value) else "not a finite number"
        raise InputError(
            f"{name}: row {row + 1}, column {columns[column] if columns else column + 1} is {value!s}, {what}: mend it, or drop its row"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        wide = np.flatnonzero(np.isinf(np.fmax.reduce(numbers, axis=0) - np.fmin.reduce(numbers, axis=0)))
    if wide.size:
        column = columns[wide[0]] if columns else wide[0] + 1
        raise InputError(f"{name}: column {column} has a range beyond float64: scale its numbers down")
    return numbers


def class_numbers(name: str, y: Any, samples: int, classes: int, least: int) -> np.ndarray:
    """Return class numbers as int64 (samples,), or refuse them."""
    y = plain_array(name, y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.shape != (samples,):
        raise InputError(f"{name} has {count(samples, 'sample')} but labels of shape {y.shape}: give one label a sample")
    if y.dtype.kind not in "biuf":
        raise InputError(f"{name} has classes of type {y.dtype}: they must be whole numbers from 0")
    wrong = np.flatnonzero(~((y >= least) & (y < classes) & (y == np.floor(y))))
    if wrong.size:
        raise InputError(
            f"{name}: row {wrong[0] + 1} has class {y[wrong[0]]}, but classes are whole numbers from 0 to {classes - 1}, one for each name "
            "in labels"
        )
    return y.astype(np.int64)

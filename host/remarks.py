"""What looks wrong in data that can be trained on: sentences for the user, said once before training."""

import re

import numpy as np

from backpulse.host.columns import drop_option
from backpulse.host.datasets import Dataset
from backpulse.host.labels import alike
from backpulse.host.scaling import LEAST_FOR_BOUNDS, Scaler, bounds
from backpulse.host.tables import count, is_number, some

SMALL_TEST = 10
"""Test samples below which one of them is worth more than the differences that one looks for."""
ONE_SIDED = 0.9
"""Share of one class from which always naming it looks like learning."""
MANY_NUMBERED = 20
"""Classes with numbers for names from which they may be a measured quantity."""
OUTSIDE = 0.1
"""Share of the range, and of the rows, from which values beyond the range of the training are no chance."""
FAR = 3
"""Widths of the other values from which one that comes again is too far from them to be measured."""
BEYOND = 0.1
"""The same of one made of nines, which is a mark more often than not."""
SEVERAL = 4
"""Different values from which a single one below 0 is no code of few, as -1, 0 and 1 are."""
SQUEEZED = 1 / 20
"""Share of the range below which the inner half of the values has too few drive words, here `FEW_WORDS` at most."""
FEW_WORDS = 12
SURE = 10
"""Rows from which whole numbers without a gap, in any order, are no chance."""
GAPS = 1.25
"""Width of the range of such numbers, in rows."""
GLANCE = 1000
"""Rows that tell at a glance that a column has more values than there are classes."""


def inspect(data: Dataset, train: np.ndarray, test: np.ndarray) -> list[str]:
    """Return remarks on a data set and its two parts (sample indices)."""
    found = [*_classes(data), *_parts(data, train, test)]
    found += _pixels(data) if data.image else [*_columns(data, train), *_copies(data)]
    return [f"{data.name}: {remark}" for remark in found]


def beyond_training(data: Dataset, scaler: Scaler) -> list[str]:
    """Return a remark on each column of numbers that often lies beyond the range that training saw, as in another unit."""
    found = []
    with np.errstate(over="ignore"):  # that of a constant column is as wide as numbers go
        low, high = scaler.center + scaler.floor * scaler.half, scaler.center + scaler.half
        margin = OUTSIDE * (high - low)
        outside = (data.x < low - margin) | (data.x > high + margin)
    for column, at in zip(data.features.columns, data.features.starts, strict=True):
        rows = int(outside[:, at].sum())
        if column.kind == "number" and rows > OUTSIDE * len(data.x):
            found.append(
                f"{data.name}: column {column.name} is beyond the range of the training ({low[at]:g} to {high[at]:g}) in {rows} of "
                f"{count(len(data.x), 'row')}, and clipped: is it in another unit?"
            )
    return found if not data.image else found[:1]


def _classes(data: Dataset) -> list[str]:
    found = []
    labels = data.features.labels
    counts = np.bincount(data.y, minlength=len(labels))
    single = [labels[k] for k in np.flatnonzero(counts == 1)]
    if single:
        found.append(f"class {some(single)} has one sample only, which is trained on and never tested")
    if counts.max() >= ONE_SIDED * len(data.y):
        most = int(counts.argmax())
        share = 100 * counts[most] / len(data.y)
        found.append(f"{share:.1f} % of the samples are of class {labels[most]}: a network that always says so looks good, too")
    strays = [label for label in labels if not is_number(label)]
    if 0 < len(strays) <= len(labels) - len(strays) > 1:
        found.append(
            f"labels that are words among numbers, each a class of its own: {some(strays)}; if one marks a missing label, empty its cells "
            "and give --missing drop"
        )
    twins = alike(labels)
    if twins:
        found.append(f"labels {some(twins)} differ in capitals and punctuation only, and are trained as different classes")
    if data.features.label is not None and len(labels) > MANY_NUMBERED and all(word.isdecimal() for word in labels):
        found.append(f"column {data.features.label} has {len(labels)} numbers, which are trained as classes without an order")
    return found


def _parts(data: Dataset, train: np.ndarray, test: np.ndarray) -> list[str]:
    if len(test) < SMALL_TEST and len(train):
        return [f"the test part has {count(len(test), 'sample')}: its accuracy says little"]
    return []


def _columns(data: Dataset, train: np.ndarray) -> list[str]:
    """Look at the columns of numbers one by one."""
    found = []
    x, columns = data.x[train], data.features.columns
    starts = data.features.starts
    numbers = [k for k, column in enumerate(columns) if column.kind == "number"]
    low, high = x.min(axis=0), x.max(axis=0)
    wide = np.array([column.width == 1 for column in columns])
    constant = [columns[k].name for k in np.flatnonzero(wide & (low == high)[starts])]
    if constant:
        found.append(f"column {some(constant)} has one value only and says nothing; --drop leaves it out")
    for k in numbers:
        if _counts_rows(columns[k].name, data.x[:, starts[k]], data.rows):
            found.append(
                f"column {columns[k].name} numbers the rows or names them, and is trained on as a measurement; "
                f"{drop_option([columns[k].name])} leaves it out"
            )
    first, last = bounds(x)
    ordered, squeezed = np.sort(data.x, axis=0), []
    least, most = bounds(data.x)
    far = np.sum((ordered < least) | (ordered > most), axis=0)
    for k in numbers:
        at, name = starts[k], columns[k].name
        values = ordered[:, at]
        marked = _mark(values)
        if marked is not None:
            mark, why = marked
            found.append(
                f"column {name} has {mark:.15g} in {np.sum(values == mark)} rows, {why}: if it marks a missing value, empty these cells "
                "and give --missing"
            )
        elif far[at]:
            found.append(
                f"column {name} has {count(far[at], 'value')} far from the others (from {values[0]:g} to {values[-1]:g}), clipped to "
                f"{first[at]:g} .. {last[at]:g}: is one a mark for a missing value?"
            )
        else:
            inner = values[len(values) // 4 : 3 * len(values) // 4 + 1]
            width = inner[-1] - inner[0]
            if width < SQUEEZED * (last[at] - first[at]) and 1 + np.count_nonzero(np.diff(inner)) > FEW_WORDS:
                squeezed.append(f"{name} ({inner[0]:g} to {inner[-1]:g} of {first[at]:g} to {last[at]:g})")
    if squeezed:
        found.append(
            f"half of the values are in a small part of the range, so that few drive words tell them apart: column {some(squeezed)}; "
            "logarithms may say more"
        )
    for column in columns:
        spelt = alike(column.categories)
        if spelt:
            found.append(f"column {column.name}: words {some(spelt)} differ in capitals and punctuation only, and become different inputs")
    for one, twins in _twins(data).items():
        found.append(f"column {some(twins)} is a copy of column {one}; --drop leaves it out")
    return found


def _mark(ordered: np.ndarray) -> tuple[float, str] | None:
    """Return what marks missing values in an ordered column, if anything does so, and what gives it away.

    It is the least or the greatest value, comes again, and is far from all others, or made of nines and beyond the others, as -999 is, or
    the only one below 0, as -1 among counts.
    """
    for value, again in ((ordered[0], ordered[1:2]), (ordered[-1], ordered[-2:-1])):
        others = ordered[ordered != value] if value == again else ordered[:0]
        width = others[-1] - others[0] if len(others) else 0
        gap = np.min(np.abs(others - value)) if width > 0 else 0
        if gap > FAR * width:
            return float(value), "far from all other values"
        if gap > BEYOND * width and re.fullmatch(r"-?99+", f"{value:.15g}"):
            return float(value), "beyond all other values"
        if width > 0 and value < 0 <= others[0] and (np.diff(others) > 0).sum() >= SEVERAL - 1:
            return float(value), "the only value below 0"
    return None


def _pixels(data: Dataset) -> list[str]:
    """Look at the common range of all pixels: whether a few samples, or a few pixels of all samples, make it wide."""
    low, high = float(data.x.min()), float(data.x.max())
    for axis, what in ((1, "samples"), (0, "pixels")):
        least, most = (np.sort(ends.astype(np.float64)) for ends in (data.x.min(axis=axis), data.x.max(axis=axis)))
        cut = max(1, len(least) // 100)
        if len(least) >= LEAST_FOR_BOUNDS and most[-1 - cut] - least[cut] < (high - low) / 10:
            return [
                f"nearly all {what} are from {least[cut]:g} to {most[-1 - cut]:g}, but the common range is from {low:g} to {high:g}, so "
                "that few drive words tell them apart: mend the far values"
            ]
    return []


def _counts_rows(name: str, x: np.ndarray, rows: np.ndarray) -> bool:
    """Say whether a column has a whole number of its own for nearly every row, and is a count of them or called an identifier."""
    different = len(np.unique(x))
    if len(x) < 3 or different < 0.9 * len(x) or not (x == np.floor(x)).all():
        return False
    if any((np.diff(x) == step).all() for step in (np.diff(rows), -np.diff(rows))):
        return True
    total = rows.max() + 1  # rows of the file: some may be left out here
    if SURE <= different == len(x) and np.ptp(x) < GAPS * total and total <= 2 * len(x):
        return True
    called = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return bool({"id", "index", "no", "nr", "number", "row", "unnamed"} & {word.lower() for word in called})


def _twins(data: Dataset) -> dict[str, list[str]]:
    """Return the columns that are copies of an earlier one, by the name of that."""
    seen: dict[bytes, str] = {}
    found: dict[str, list[str]] = {}
    low, high = data.x.min(axis=0), data.x.max(axis=0)
    for column, at in zip(data.features.columns, data.features.starts, strict=True):
        if column.width == 1 and low[at] == high[at]:
            continue
        values = np.ascontiguousarray(data.x[:, at : at + column.width]) + 0.0  # -0 is 0
        first = seen.setdefault(values.tobytes(), column.name)
        if first != column.name:
            found.setdefault(first, []).append(column.name)
    return found


def _copies(data: Dataset) -> list[str]:
    """Find columns that have one value for each class: the label in other words."""
    found = []
    classes = len(np.unique(data.y))
    for column, at in zip(data.features.columns, data.features.starts, strict=True):
        x = data.x[:, at : at + column.width]
        values = x[:, 0] if column.width == 1 else x.argmax(axis=1).astype(np.float64)
        if len(np.unique(values[:GLANCE])) > classes:
            continue
        kinds, codes = np.unique(values, return_inverse=True)
        if len(kinds) == classes == len(np.unique(codes * len(data.features.labels) + data.y)):
            found.append(f"column {column.name} has one value for each class, so it is the label once more; --drop leaves it out")
    return found

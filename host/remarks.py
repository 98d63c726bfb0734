"""What looks wrong in data that can be trained on: sentences for the user, said once before training."""

import numpy as np

from .columns import drop_option
from .datasets import Dataset
from .labels import alike
from .scaling import Scaler, bounds
from .tables import some

SMALL_TEST = 10
"""Test samples below which one of them is worth more than the differences that one looks for."""
ONE_SIDED = 0.9
"""Share of one class from which always naming it looks like learning."""
MANY_NUMBERED = 20
"""Classes with numbers for names from which they may be a measured quantity."""
OUTSIDE = 0.1
"""Share of the range, and of the rows, from which values beyond the range of the training are no chance."""
GLANCE = 1000
"""Rows that tell at a glance that a column has more values than there are classes."""


def inspect(data: Dataset, train: np.ndarray, test: np.ndarray) -> list[str]:
    """Return remarks on a data set and its two parts (sample indices)."""
    found = [*_classes(data), *_parts(data, train, test)]
    if not data.image:
        found += [*_columns(data, train), *_copies(data)]
    return [f"{data.name}: {remark}" for remark in found]


def beyond_training(data: Dataset, scaler: Scaler) -> list[str]:
    """Return a remark on each column of numbers that often lies beyond the range that training saw, as in another unit."""
    found = []
    with np.errstate(over="ignore"):  # that of a constant column is as wide as numbers go
        low, high = scaler.center + scaler.floor * scaler.half, scaler.center + scaler.half
        margin = OUTSIDE * (high - low)
        outside = (data.x < low - margin) | (data.x > high + margin)
    for column, at in zip(data.features.columns, data.features.starts, strict=True):
        count = int(outside[:, at].sum())
        if column.kind == "number" and count > OUTSIDE * len(data.x):
            found.append(
                f"{data.name}: column {column.name} is beyond the range of the training ({low[at]:g} to {high[at]:g}) in {count} of "
                f"{len(data.x)} rows, and clipped: is it in another unit?"
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
    twins = alike(labels)
    if twins:
        found.append(f"labels {some(twins)} differ in capitals and punctuation only, and are trained as different classes")
    if data.features.label is not None and len(labels) > MANY_NUMBERED and all(word.isdecimal() for word in labels):
        found.append(f"column {data.features.label} has {len(labels)} numbers, which are trained as classes without an order")
    return found


def _parts(data: Dataset, train: np.ndarray, test: np.ndarray) -> list[str]:
    if len(test) < SMALL_TEST and len(train):
        return [f"the test part has {len(test)} sample{'s' * (len(test) != 1)}: its accuracy says little"]
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
        if _counts_rows(columns[k].name, data.x[:, starts[k]]):
            found.append(
                f"column {columns[k].name} numbers the rows or names them, and is trained on as a measurement; "
                f"{drop_option([columns[k].name])} leaves it out"
            )
    first, last = bounds(x)
    clipped = _far(data.x)
    for k in numbers:
        at = starts[k]
        if clipped[:, at].any():
            all_low, all_high = data.x[:, at].min(), data.x[:, at].max()
            found.append(
                f"column {columns[k].name} has {clipped[:, at].sum()} values far from the others (from {all_low:g} to {all_high:g}), "
                f"which are clipped to {first[at]:g} .. {last[at]:g}: is one a mark for a missing value?"
            )
    for one, twins in _twins(data).items():
        found.append(f"column {some(twins)} is a copy of column {one}; --drop leaves it out")
    return found


def _far(x: np.ndarray) -> np.ndarray:
    """Return which values are so far from the others that scaling clips them: bool of the shape of `x`."""
    first, last = bounds(x)
    return (x < first) | (x > last)


def _counts_rows(name: str, x: np.ndarray) -> bool:
    """Say whether a column counts 0, 1, 2, ..., or is called an identifier and has another whole number in nearly every row."""
    if len(x) < 3 or not (x == np.floor(x)).all():
        return False
    if (np.diff(x) == 1).all():
        return True
    called = name.lower().replace("_", " ").replace("-", " ").split()
    return bool({"id", "index", "no", "nr", "number", "row"} & set(called)) and len(np.unique(x)) > 0.9 * len(x)


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

"""Data sets: by name, from tables of text, `.npz` and MNIST-format IDX files; looked at, checked and split.

Errors are `InputError` and name the row (from 1, the header not counted) and the column of what is wrong. What is only doubtful is in
`Dataset.warnings`, sentences for the user.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from backpulse.host import labels as label_column
from backpulse.host.arrays import class_numbers, parts, real_numbers
from backpulse.host.columns import Column, UnusableError, drop_option, find, learn, parse_names
from backpulse.host.dataset_file import read_arrays, write_arrays
from backpulse.host.errors import InputError
from backpulse.host.features import Features, check_missing
from backpulse.host.labels import UNLABELLED
from backpulse.host.sources import NAMES, TEXT_ENDINGS, Source, read
from backpulse.host.tables import Table, Words, count, is_missing, some

__all__ = ["NAMES", "TEXT_ENDINGS", "Dataset", "load", "split"]

TEST_FRACTION = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Samples and their classes, checked when made.

    Parameters
    ----------
    name : str
        What the user called it.
    x : array
        Real finite numbers, (samples, inputs); kept as float64, but bytes that are pixels as uint8.
    y : array
        Class numbers from 0, (samples,) or (samples, 1); kept as int64.
    labels : sequence of str
        Names of the classes.
    image : bool
        Whether the inputs are pixels of one range.
    train_size : int
        Samples of the training part where the data brings its own split (they come first), else 0.
    features : Features, optional
        How source columns became `x`; numbers without names if not given.
    rows : array, optional
        Number of each sample in the file, from 0; 0, 1, 2, ... if not given.
    partial : bool
        Whether samples may lack a label (`UNLABELLED`): data to classify.
    warnings : tuple of str
        What the user should know of the reading.

    Raises
    ------
    InputError
        If the arrays are not such.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    labels: Sequence[str]
    image: bool
    train_size: int = 0
    features: Features = None  # type: ignore[assignment]  # made from x and labels below, where not given
    rows: np.ndarray = None  # type: ignore[assignment]  # likewise
    partial: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.labels, str) or not all(isinstance(label, str) for label in self.labels):
            raise InputError(f"{self.name}: labels must be a list of words, the names of the classes, not {self.labels!r}")
        labels = tuple(str(label) for label in self.labels)
        features = self.features or Features.plain(1, labels)
        x = real_numbers(self.name, self.x, [] if self.features is None else input_names(features), pixels=self.image)
        features = self.features or Features.plain(x.shape[1], labels)
        rows = np.arange(len(x)) if self.rows is None else np.asarray(self.rows, np.int64)
        y = class_numbers(self.name, self.y, len(x), len(labels), -1 if self.partial else 0)
        for field, value in {"name": str(self.name), "labels": labels, "x": x, "y": y, "features": features, "rows": rows}.items():
            object.__setattr__(self, field, value)

    @property
    def digest(self) -> str:
        """SHA-256 of samples and classes, in hexadecimal."""
        content = hashlib.sha256()
        for part in parts(self.x):
            content.update(np.ascontiguousarray(part, "<f8").tobytes())
        content.update(np.ascontiguousarray(self.y, "<i8").tobytes())
        return content.hexdigest()

    def check(self, inputs: int, outputs: int) -> None:
        """Refuse a network whose first or last layer does not fit the data, and data that has nothing to be learned.

        Raises
        ------
        InputError
            If the inputs are not the features, a label lies beyond the outputs, or there is one class only.
        """
        if self.x.shape[1] != inputs:
            features = self.x.shape[1]
            words = " (a text column has one for each of its words)" if self.features.one_hot.any() else ""
            raise InputError(
                f"{self.name} has {count(features, 'feature')}{words} but the input layer has {inputs}: "
                f"start --layers with {features}, or leave it out"
            )
        if (self.x == self.x[0]).all():
            raise InputError(f"{self.name} has the same numbers in all samples: there is nothing to learn; give samples that differ")
        classes = np.unique(self.y)
        if len(classes) < 2:
            raise InputError(
                f"{self.name} has one class only, {self.features.labels[classes[0]]}: there is nothing to learn; add samples of another"
                f"{', or name the column of the label with --target' if self.features.label is not None else ''}"
            )
        beyond = np.flatnonzero(self.y >= outputs)
        if beyond.size:
            row, label = int(self.rows[beyond[0]]), self.features.labels[self.y[beyond[0]]]
            raise InputError(
                f"{self.name}: row {row + 1} has label {label}, class {self.y[beyond[0]]}, but the output layer has classes 0 to "
                f"{outputs - 1}: end --layers with at least {int(self.y.max()) + 1}"
            )

    def save(self, path: str | Path) -> None:
        """Write a `.npz` that `load` reads as the same data set: same inputs, classes, split and scaling.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        arrays = {"X": self.x, "y": self.y, "rows": self.rows}
        about = {"features": self.features.to_dict(), "image": self.image, "train_size": self.train_size, "partial": self.partial}
        write_arrays(Path(path), arrays, about)

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the training and the test part: always the same, stratified, one test sample in five.

        Raises
        ------
        InputError
            If no class has two samples.
        """
        return split(self.name, self.y, self.train_size)


def split(name: str, y: np.ndarray, train_size: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the two parts (`Dataset.split`); the only sample of a class is for training."""
    if train_size:
        return np.arange(train_size), np.arange(train_size, len(y))
    chosen = _stratified(y, TEST_FRACTION, SPLIT_SEED)
    if not len(chosen):
        raise InputError(f"{name} has no class with two samples, but training and test need one each: add samples")
    return np.setdiff1d(np.arange(len(y)), chosen), chosen


def validation_of(name: str, y: np.ndarray, train: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Set a share of the training part aside, chosen by the seed in each class alike; return the indices of the rest and of it, in order.

    Raises
    ------
    InputError
        If a share is asked for, and no class has two training samples.
    """
    chosen = _stratified(y[train], share, seed) if share else np.zeros(0, np.int64)
    if share and not len(chosen):
        raise InputError(
            f"{name} has no class with two training samples, but --validation needs one beside that for training: leave it out"
        )
    return np.delete(train, chosen), train[chosen]


def _stratified(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return the indices, in order, of a share of each class: at least one sample, and all but one at most."""
    random = np.random.RandomState(seed)
    chosen = [np.zeros(0, np.int64)]
    for k in np.unique(y):
        members = np.flatnonzero(y == k)
        if len(members) > 1:
            count = min(len(members) - 1, max(1, round(share * len(members))))
            chosen.append(random.permutation(members)[:count])
    return np.sort(np.concatenate(chosen))


def input_names(features: Features) -> list[str]:
    """Return a name for each input: the column's, of text with the word."""
    return [f"{c.name}={word}" if c.kind == "text" else c.name for c in features.columns for word in c.categories or ("",)]


def load(
    source: str | Path,
    *,
    target: str | None = None,
    features: str | None = None,
    drop: str | None = None,
    missing: str | None = None,
    learned: Features | None = None,
) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    source : str or Path
        A name of `NAMES`; a table of text (`TEXT_ENDINGS`, plain or `.gz`); a `.npz` file with `X` and `y`, and perhaps `feature_names`
        and `label_names`; an IDX images file (plain or gzip, the labels file beside it), or a folder of IDX files.
    target : str, optional
        The label's column of a table of text, by name or by number from 1.
    features, drop : str, optional
        Columns to use, columns to leave out: names or numbers joined by commas.
    missing : str, optional
        What to do about cells without a value: drop, mean or median.
    learned : Features, optional
        Those of a training run: columns and labels are then found and numbered as they were there, and labels may be missing.

    Raises
    ------
    InputError
        If there is no such data, or it is damaged, empty, or nothing to learn from.
    """
    check_missing(missing)
    if (whole := _whole(str(source))) and learned in (None, whole.features):
        return whole  # what was asked for at its reading has been done
    found = read(str(source), learned)
    if target is not None and not found.label_inside:
        raise InputError(f"--target names a column of a table of text such as a .csv file, and {source} is not one")
    if learned is None:
        return _training_data(found, target, features, drop, missing)
    return _known_data(found, target, learned)


def _whole(source: str) -> Dataset | None:
    """Return the data set that `Dataset.save` has written, None of any other source."""
    path = Path(source)
    if source in NAMES or path.suffix != ".npz" or not path.is_file() or not (found := read_arrays(path)):
        return None
    arrays, about, features = found
    try:
        given = {"image": about["image"], "train_size": about["train_size"], "partial": about["partial"], "rows": arrays["rows"]}
        return Dataset(name=source, x=arrays["X"], y=arrays["y"], labels=features.labels, features=features, **given)
    except KeyError as error:
        raise InputError(f"{source} is damaged: it has no {error}: take another copy") from error


def _training_data(found: Source, target: str | None, features: str | None, drop: str | None, missing: str | None) -> Dataset:
    """Learn the columns of a table and make the data set."""
    table = found.table
    dropped = [find(table, name, "--drop") for name in parse_names(drop, "--drop")]
    used = sorted({find(table, name, "--features") for name in parse_names(features, "--features")})
    rest = [k for k in range(len(table.columns)) if k not in dropped]
    empty = [k for k in rest if isinstance(table.cells, list) and not table.cells[k].present]
    at = None
    if found.y is None:
        if target is not None:
            at = find(table, target, "--target")
        else:
            at = label_column.guess(table, [k for k in rest if k not in used and k not in empty] or rest)
    if at in used or at in dropped:
        raise InputError(f"{table.name}: column {table.columns[at or 0]} is the label: take it out of --features and --drop")
    if empty and empty != [at]:
        table.remarks.append(f"{table.name}: column {some([table.columns[k] for k in empty])} has no values and is left out")
    places = [k for k in (used or rest) if k not in (*dropped, *empty, at)]
    if not places:
        raise InputError(f"{table.name} has no column left to learn from: give at least one feature")
    columns = _learn_all(table, places)
    label = None if at is None else table.columns[at]
    known = Features(columns=tuple(columns), labels=(), source=table.columns, label=label, named=table.named, missing=missing)
    raw = known.raw(table, places)
    words = found.y if found.y is not None else table.cells[at or 0]
    assert isinstance(words, Words)
    words = words if found.labels else label_column.without_dashes(words)
    keep = _complete(table, columns, raw, words, missing)
    raw, rows = raw[keep], table.rows[keep]
    labels, y = label_column.number(table.name, words.take(keep), rows, found.labels, inside=found.label_inside)
    known = replace(known, labels=labels)
    train_size = int(np.sum(keep < found.train_size))
    if missing in ("mean", "median"):
        known = known.fitted(raw[split(table.name, y, train_size)[0]])
    return _dataset(found, known, raw, y, rows, train_size, partial=False)


def _learn_all(table: Table, places: list[int]) -> list[Column]:
    """Learn all columns, and tell at once which of them cannot be used."""
    columns, unusable = [], {}
    for k in places:
        try:
            columns.append(learn(table, k))
        except UnusableError as reason:
            unusable[table.columns[k]] = str(reason)
    if unusable:
        told = "; ".join(f"{column} ({reason})" for column, reason in unusable.items())
        raise InputError(
            f"{table.name}: a network cannot learn from column{'s' * (len(unusable) > 1)} {told}: leave "
            f"{'them' if len(unusable) > 1 else 'it'} out with {drop_option(list(unusable))}"
        )
    words = [f"{c.name} ({count(len(c.categories), 'word')})" for c in columns if c.kind == "text"]
    switches = [c.name for c in columns if c.kind == "true-false"]
    if words:
        table.remarks.append(f"{table.name}: text becomes one input a word: {some(words, 12)}")
    if switches:
        table.remarks.append(f"{table.name}: true/false becomes the numbers 1 and 0: {some(switches, 12)}")
    return columns


def _complete(table: Table, columns: list[Column], raw: np.ndarray, words: Words, missing: str | None) -> np.ndarray:
    """Return the rows to keep: those with a label, and with `drop` those with all values; tell what is missing."""
    holes = np.isnan(raw)
    unlabelled = np.array([is_missing(word) for word in words.words])[words.codes]
    told = [f"{columns[k].name} ({holes[:, k].sum()})" for k in np.flatnonzero(holes.any(axis=0))]
    if unlabelled.any() and missing is None:
        row = int(np.flatnonzero(unlabelled)[0])
        raise InputError(
            f"{table.name}: row {table.rows[row] + 1} has no label "
            f"({int(unlabelled.sum())} of {count(len(unlabelled), 'row')}): mend them, "
            "or leave them out with --missing drop"
        )
    if told and missing is None:
        raise InputError(
            f"{table.name} has cells without a value in column {some(told, 12)}, first in row "
            f"{table.rows[np.argmax(holes.any(axis=1))] + 1}: --missing drop leaves out the "
            f"{count(int(holes.any(axis=1).sum()), 'row')}, mean or median fills the cells, --drop leaves out a column"
        )
    keep = ~unlabelled & ~holes.any(axis=1) if missing == "drop" else ~unlabelled
    if not keep.any():
        raise InputError(f"{table.name} has no row without a missing value: fill them with --missing median, or --drop {some(told)}")
    if not keep.all():
        table.remarks.append(f"{table.name}: {int((~keep).sum())} of {count(len(keep), 'row')} without a value or a label left out")
    if told and missing != "drop":
        table.remarks.append(_filled(table, missing, told))
    return np.flatnonzero(keep)


def _filled(table: Table, missing: str | None, told: list[str]) -> str:
    """Return the remark on cells that got a value; `told` are the columns with their counts."""
    return f"{table.name}: filled by {missing} of the training part, words by the most frequent: {some(told, 12)}"


def _known_data(found: Source, target: str | None, learned: Features) -> Dataset:
    """Find the columns and labels of a training run in a table."""
    table = found.table
    named = None if target is None else find(table, target, "--target")
    places, at = learned.places(table, named, label_inside=found.label_inside)
    raw = learned.raw(table, places)
    empty = np.isnan(raw)
    filled = [f"{column.name} ({n})" for column, n in zip(learned.columns, empty.sum(axis=0), strict=True) if n and column.fill is not None]
    holes = empty & np.array([column.fill is None for column in learned.columns])
    keep = np.flatnonzero(~holes.any(axis=1))
    if len(keep) < len(raw) and learned.missing != "drop":
        row, k = np.argwhere(holes)[0]
        raise InputError(
            f"{table.name}: row {table.rows[row] + 1}, column {table.columns[places[k]]} has no value, and training had values everywhere: "
            "give one, or train with --missing mean or median"
        )
    if len(keep) == 0:
        raise InputError(f"{table.name} has no row with all values that the network needs: fill the empty cells")
    if len(keep) < len(raw):
        table.remarks.append(f"{table.name}: {len(raw) - len(keep)} of {count(len(raw), 'row')} without a value left out")
    if filled:
        table.remarks.append(_filled(table, learned.missing, filled))
    raw, rows = raw[keep], table.rows[keep]
    words = found.y if found.y is not None or at is None else table.cells[at]
    y = np.full(len(keep), UNLABELLED)
    if isinstance(words, Words):
        where = None
        if at is not None and found.label_inside:
            where, out = f"column {table.columns[at]} is taken as the label", "leave that column out, or name another with --target"
            if named is None and learned.named and table.named:
                where += " by its name"
            elif named is None:
                where, out = f"{where} by its place", "give the columns of the training in their order, or name the label's with --target"
            where = f"{where}: {out}"
        y = label_column.known(table.name, words.take(keep), learned.labels, rows, where)
    return _dataset(found, learned, raw, y, rows, int(np.sum(keep < found.train_size)), partial=True)


def _dataset(
    found: Source, features: Features, raw: np.ndarray, y: np.ndarray, rows: np.ndarray, train_size: int, *, partial: bool
) -> Dataset:
    return Dataset(
        name=found.table.name,
        x=features.inputs(raw),
        y=y,
        labels=features.labels,
        image=found.image,
        train_size=train_size,
        features=features,
        rows=rows,
        partial=partial,
        warnings=tuple(found.table.remarks),
    )

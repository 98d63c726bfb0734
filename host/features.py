"""How the columns of a data set become the inputs of a network: learned from the training data, kept in the checkpoint."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from backpulse.host.columns import KINDS, Column, decimal_comma, drop_option, values
from backpulse.host.errors import InputError
from backpulse.host.tables import Table, count, some, with_nearest

MISSING_CHOICES = ("drop", "mean", "median")
MOST_CLASSES = 1 << 16
"""Classes that a result word can name."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """What was learned about the columns of the training data.

    Parameters
    ----------
    columns : tuple of Column
        The source columns in the order of the inputs.
    labels : tuple of str
        Names of the classes.
    label : str or None
        Name of the label's column; None if the labels stood beside the table.
    source : tuple of str
        All columns of the data in their order, the label and what was left out among them.
    named : bool
        Whether the data named its columns. If not, a name is the column's number in the file, from 1.
    missing : str or None
        What was asked for cells without a value: one of `MISSING_CHOICES`.
    """

    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    source: tuple[str, ...]
    label: str | None = None
    named: bool = False
    missing: str | None = None

    @classmethod
    def plain(cls, inputs: int, labels: Sequence[str]) -> Self:
        """Return those of numbers without names."""
        names = tuple(str(k + 1) for k in range(inputs))
        return cls(columns=tuple(Column(name=name) for name in names), labels=tuple(labels), source=names)

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(column.width for column in self.columns)

    @property
    def one_hot(self) -> np.ndarray:
        """Which inputs are words of a text column: bool, (inputs,)."""
        return np.repeat([c.kind == "text" for c in self.columns], [c.width for c in self.columns])

    @property
    def starts(self) -> np.ndarray:
        """First input of each column: int64, (columns,)."""
        return np.cumsum([0, *(column.width for column in self.columns)])[:-1]

    def raw(self, table: Table, places: Sequence[int]) -> np.ndarray:
        """Return the columns at places of a table: float64 (rows, columns), words as their numbers, NaN where there is no value.

        Pixels that are bytes stay so.
        """
        if isinstance(table.cells, np.ndarray) and all(column.kind == "number" for column in self.columns):
            raw = table.cells if list(places) == list(range(table.cells.shape[1])) else table.cells[:, list(places)]
        else:
            raw = np.column_stack([values(table, at, column) for at, column in zip(places, self.columns, strict=True)])
        infinite = np.isinf(raw)
        if infinite.any():
            row, at = np.argwhere(infinite)[0]
            where = f"row {table.rows[row] + 1}, column {self.columns[at].name}"
            raise InputError(f"{table.name}: {where} is {raw[row, at]}, not a finite number: mend it, or leave its row out")
        for at, column in zip(places, self.columns, strict=True):
            if not isinstance(table.cells, np.ndarray) and column.kind == "number" and decimal_comma(table, table.cells[at]):
                table.remarks.append(f"{table.name}: column {column.name} is read with decimal commas")
        return raw

    def fitted(self, raw: np.ndarray) -> Self:
        """Return the same with what stands for missing cells: mean or median of the training rows, of words the most frequent.

        The mean is the exactly rounded one (`math.fsum`), so that it has the same bits on every computer, as that of numpy and of
        scikit-learn's imputer has not.
        """
        if self.missing not in ("mean", "median"):
            return self
        columns = []
        for k, column in enumerate(self.columns):
            there = raw[~np.isnan(raw[:, k]), k]
            if len(there) == 0:
                raise InputError(f"Column {column.name} has no value in the training part: leave it out with {drop_option([column.name])}")
            if column.kind == "number":
                middle = np.sort(there)[[(len(there) - 1) // 2, len(there) // 2]]
                fill = math.fsum(there) / len(there) if self.missing == "mean" else middle[0] / 2 + middle[1] / 2
                columns.append(replace(column, fill=float(fill)))
            else:
                number = int(np.argmax(np.bincount(there.astype(np.int64))))
                columns.append(replace(column, fill=column.categories[number] if column.kind == "text" else float(number)))
        return replace(self, columns=tuple(columns))

    def inputs(self, raw: np.ndarray) -> np.ndarray:
        """Return the inputs of columns from `raw`: float64 (rows, inputs), missing cells filled (all of them must have a `fill`)."""
        empty = np.isnan(raw)
        if empty.any():
            fills = [c.categories.index(str(c.fill)) if c.kind == "text" and c.fill is not None else c.fill for c in self.columns]
            raw = np.where(empty, np.array(fills, np.float64), raw)
        if all(column.kind != "text" for column in self.columns):
            return raw
        # One comparison makes a one-hot group; scikit-learn's encoder takes a second to import and names no row of an unknown word.
        parts = (
            (raw[:, k, None] == np.arange(column.width)).astype(np.float64) if column.kind == "text" else raw[:, k, None]
            for k, column in enumerate(self.columns)
        )
        return np.concatenate(list(parts), axis=1)

    def places(self, table: Table, target: int | None, *, label_inside: bool) -> tuple[list[int], int | None]:
        """Find the columns of the training data in other data.

        Parameters
        ----------
        table : Table
            The other data; remarks on what is not certain go to it.
        target : int, optional
            Place of the label, if the user named it.
        label_inside : bool
            Whether the label may be a column of that data.

        Returns
        -------
        places of the columns, place of the label or None

        Raises
        ------
        InputError
            If a column is missing, or without names their number does not fit.
        """
        if not (self.named and table.named):
            return self._by_position(table, target, label_inside)
        missing = [column.name for column in self.columns if column.name not in table.columns]
        if missing:
            spelt = {name.lower() for name in missing} & {name.lower() for name in table.columns}
            raise InputError(
                f"{table.name} has no column {some(missing, 12)}, which the network was trained on: it has {some(list(table.columns), 12)}"
                f"{' (capitals count: write the names as in training)' if spelt else ''}"
            )
        places = [table.columns.index(column.name) for column in self.columns]
        if label_inside and target is None and self.label in table.columns:
            target = table.columns.index(self.label)
        ignored = [name for k, name in enumerate(table.columns) if k not in places and k != target]
        if ignored:
            table.remarks.append(f"{table.name}: ignored {some(ignored, 12)}, which the network was not trained on")
        return places, target

    def _by_position(self, table: Table, target: int | None, label_inside: bool) -> tuple[list[int], int | None]:
        """Match columns by their order: all of the training data's, all but the label, or the used ones only."""
        width, used = len(table.columns), [column.name for column in self.columns]
        if label_inside and target is None and width == len(self.source) and self.label is not None:
            target = self.source.index(self.label)
        rest = [k for k in range(width) if k != target]
        orders = [[name for name in self.source if name != self.label], [name for name in self.source if name in used]]
        order = next((names for names in orders if len(names) == len(rest)), None)
        if order is None:
            which = "features" if not label_inside else "columns"
            named = ", or name that of the label with --target" if label_inside and target is None and width == len(used) + 1 else ""
            raise InputError(
                f"{table.name} has {count(width, 'column')}, but the network was trained on {count(len(used), 'feature')}"
                f"{' and a label' if self.label else ''}, and without names on both sides they go by position: give the same {which}{named}"
            )
        places = [rest[order.index(name)] for name in used]
        if self.named or table.named or width != len(self.source):
            whose = f"{table.name} names no columns" if not table.named else "the training data named no columns"
            label = f"column {table.columns[target]} as the label" if target is not None else "no label"
            at = some([table.columns[k] for k in places])
            table.remarks.append(f"{whose}: features are matched by position, with {label}; columns {at} are taken as {some(used)}")
        return places, target

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        columns = []
        for column in self.columns:
            entry: dict[str, Any] = {"name": column.name, "kind": column.kind}
            if column.kind == "text":
                entry["categories"] = list(column.categories)
            if column.fill is not None:
                entry["fill"] = column.fill
            columns.append(entry)
        return {
            "columns": columns,
            "labels": list(self.labels),
            "source": list(self.source),
            "label": self.label,
            "named": self.named,
            "missing": self.missing,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Build from plain values.

        Raises
        ------
        ValueError
            If a field is missing or not as `to_dict` writes it; the message names the field.
        """
        names = ("columns", "labels", "source", "label", "named", "missing")
        if not isinstance(data, dict) or set(data) != set(names):
            raise ValueError(f"features must have the fields {', '.join(names)}")
        _check(isinstance(data["columns"], list) and data["columns"], "columns")
        columns = tuple(_column(entry) for entry in data["columns"])
        used = {column.name for column in columns}
        labels, source, label = data["labels"], data["source"], data["label"]
        _check(len(used) == len(columns), "columns")
        _check(_words(labels) and 2 <= len(labels) <= MOST_CLASSES, "labels")
        _check(isinstance(data["named"], bool), "named")
        _check(_words(source) and used <= set(source), "source")
        _check(data["named"] or source == [str(k + 1) for k in range(len(source))], "source")
        _check(label is None or (isinstance(label, str) and label in source and label not in used), "label")
        _check(data["missing"] is None or data["missing"] in MISSING_CHOICES, "missing")
        return cls(**{**data, "columns": columns, "labels": tuple(labels), "source": tuple(source)})


def check_missing(choice: str | None) -> None:
    """Refuse a choice about missing cells that is none."""
    if choice is not None and choice not in MISSING_CHOICES:
        raise InputError(f"--missing must be one of {', '.join(MISSING_CHOICES)}, not {with_nearest([choice], MISSING_CHOICES)}")


def _check(right: object, field: str) -> None:
    if not right:
        raise ValueError(f"features: {field} is not as it was written")


def _words(value: Any) -> bool:
    """Say whether a value is a list of different strings."""
    return isinstance(value, list) and all(isinstance(word, str) for word in value) and len(set(value)) == len(value)


def _column(entry: Any) -> Column:
    """Build a column from plain values."""
    _check(isinstance(entry, dict) and {"name", "kind"} <= set(entry) <= {"name", "kind", "categories", "fill"}, "columns")
    name, kind, categories, fill = entry["name"], entry["kind"], entry.get("categories", []), entry.get("fill")
    _check(isinstance(name, str) and name, "columns.name")
    _check(isinstance(kind, str) and kind in KINDS, f"columns.kind of {name}")
    _check(_words(categories) and bool(categories) == (kind == "text"), f"columns.categories of {name}")
    if fill is not None and kind == "text":
        _check(fill in categories, f"columns.fill of {name}")
    elif fill is not None:
        _check(type(fill) in (int, float) and math.isfinite(fill), f"columns.fill of {name}")
        _check(kind == "number" or fill in (0, 1), f"columns.fill of {name}")
        fill = float(fill)
    return Column(name=name, kind=kind, categories=tuple(categories), fill=fill)

"""The pulse log: every pulse that a training run asked for, as a NumPy file or CSV."""

import csv
import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

COLUMNS = ("step", "tile", "row", "column", "count")
"""Columns of the log; count is signed, potentiation positive."""
SUFFIXES = (".npz", ".csv")
"""Kinds of file that a log is saved as."""


class PulseLog:
    """Collects the pulses that a golden machine reports (`GoldenMachine(log=...)`)."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def __call__(self, pulses: np.ndarray) -> None:
        """Add pulses: int32 of shape (n, 5), the columns as in COLUMNS."""
        self._parts.append(pulses)

    @property
    def pulses(self) -> np.ndarray:
        """All pulses so far, int32 of shape (n, 5)."""
        return np.concatenate([np.zeros((0, len(COLUMNS)), np.int32), *self._parts])

    def save(self, path: Path) -> None:
        """Write the log to a file of this name.

        Raises
        ------
        ValueError
            If the file's ending is not one of SUFFIXES.
        """
        check_suffix(path)
        with path.open("wb") as file:
            self.write(file, path.suffix)

    def write(self, file: BinaryIO, suffix: str) -> None:
        """Write the log to an open file: one array a column in .npz, one line a pulse in .csv."""
        pulses = self.pulses
        if suffix == ".npz":
            columns: dict[str, Any] = {name: pulses[:, i] for i, name in enumerate(COLUMNS)}
            np.savez_compressed(file, **columns)
            return
        text = io.TextIOWrapper(file, "ascii", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(pulses.tolist())
        text.detach()  # the file is the caller's to close


def check_suffix(path: Path) -> None:
    """Raise ValueError if a log cannot be saved under this name."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"A pulse log is a file ending in {' or '.join(SUFFIXES)}, not {path.name}")

"""The pulse log: every pulse that a training run asked for, as a NumPy file or CSV."""

import csv
from pathlib import Path
from typing import Any

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
        """Write the log: one array a column in .npz, one line a pulse in .csv.

        Raises
        ------
        ValueError
            If the file's ending is neither.
        """
        check_suffix(path)
        pulses = self.pulses
        if path.suffix == ".npz":
            columns: dict[str, Any] = {name: pulses[:, i] for i, name in enumerate(COLUMNS)}
            np.savez_compressed(path, **columns)
            return
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(pulses.tolist())


def check_suffix(path: Path) -> None:
    """Raise ValueError if a log cannot be saved under this name."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"A pulse log is a file ending in {' or '.join(SUFFIXES)}, not {path.name}")

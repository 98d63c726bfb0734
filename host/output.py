"""Writing results: JSON and the pulse log."""

import csv
import json
import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from .errors import InputError

PULSE_COLUMNS = ("step", "tile", "row", "column", "count")


def check_folder(path: Path) -> None:
    """Refuse, before a long run, a file that cannot be written after it.

    Raises
    ------
    InputError
        If its folder is not there.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder {path.parent} for {path.name}: make it first")


def write_json(target: str | None, result: dict[str, Any]) -> None:
    """Write a result to a file, to standard output for `-`, or nowhere for None."""
    if target is None:
        return
    text = json.dumps(result, indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        Path(target).write_text(text)
    except OSError as error:
        raise InputError(f"The file {target} cannot be written: {(error.strerror or str(error)).lower()}") from error


def check_json(target: str | None) -> None:
    """Refuse a `--json` target whose folder is not there."""
    if target not in (None, "-"):
        check_folder(Path(target))


class PulseLog:
    """Every pulse of a run: step, tile, row, column, count (positive is potentiation).

    Parameters
    ----------
    path : Path
        `.npz` (int32 arrays of those names) or `.csv`.

    Raises
    ------
    InputError
        If the file's name has another ending, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        check_folder(path)
        if path.suffix not in (".npz", ".csv"):
            raise InputError(f"--pulse-log must name a .npz or .csv file, not {path}")
        self._path = path
        self._offset = np.zeros(len(PULSE_COLUMNS), np.int32)
        self._parts: list[np.ndarray] = []
        self._file: TextIO | None = None
        if path.suffix == ".csv":
            try:
                self._file = path.open("w", newline="")
            except OSError as error:
                raise InputError(f"The pulse log {path} cannot be written: {(error.strerror or str(error)).lower()}") from error
            csv.writer(self._file).writerow(PULSE_COLUMNS)

    def begin(self, step: int, machine_step: int) -> None:
        """Say which step of the run is to come, and what the machine calls it (it counts evaluated samples too)."""
        self._offset[0] = step - machine_step

    def __call__(self, pulses: np.ndarray) -> None:
        """Take the pulses of a sample: int32 of shape (pulses, 5)."""
        if self._file:
            csv.writer(self._file).writerows((pulses + self._offset).tolist())
        else:
            self._parts.append(pulses + self._offset)

    def close(self) -> None:
        """Finish the file."""
        if self._file:
            self._file.close()
            return
        table = np.concatenate([np.zeros((0, 5), np.int32), *self._parts])
        np.savez_compressed(self._path, allow_pickle=False, **{name: table[:, i] for i, name in enumerate(PULSE_COLUMNS)})

"""Writing results: JSON and the pulse log."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from firmware_py.pulse_log import COLUMNS, PulseLog, check_suffix

from .errors import InputError, StorageError, wrong_input


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


def check_distinct(read: dict[str, Path | str | None], written: dict[str, Path | str | None]) -> None:
    """Refuse, before a run, to write over a file that is read, and two results to one file.

    Parameters
    ----------
    read, written : dict
        Files by the option that names them; None, and - for standard output, are no files.

    Raises
    ------
    InputError
        If two options name one file.
    """
    seen = {os.path.realpath(path): option for option, path in read.items() if path is not None and os.path.isfile(path)}
    for option, path in written.items():
        if path is None or str(path) == "-" or (os.path.exists(path) and not os.path.isfile(path)):
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise InputError(f"{option} {path} would write over the file of {seen[real]}: give it a name of its own")
        seen[real] = option


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
        raise StorageError.of(f"The file {target}", error) from error


def check_json(target: str | None) -> None:
    """Refuse a `--json` target whose folder is not there."""
    if target not in (None, "-"):
        check_folder(Path(target))


class RunLog:
    """The pulse log of a run, in the run's own steps.

    Parameters
    ----------
    path : Path
        `.npz` or `.csv`.

    Raises
    ------
    InputError
        If the file's name has another ending, or there is no such folder.
    """

    def __init__(self, path: Path) -> None:
        check_folder(path)
        with wrong_input():
            check_suffix(path)
        self._path, self._log = path, PulseLog()
        self._offset = np.zeros(len(COLUMNS), np.int32)

    def begin(self, step: int, machine_step: int) -> None:
        """Say which step of the run is to come, and what the machine calls it (it counts evaluated samples too)."""
        self._offset[0] = step - machine_step

    def __call__(self, pulses: np.ndarray) -> None:
        """Take pulses: int32 of shape (n, 5), the columns as in `firmware_py.pulse_log.COLUMNS`."""
        self._log(pulses + self._offset)

    def close(self) -> None:
        """Write the file."""
        try:
            self._log.save(self._path)
        except OSError as error:
            raise StorageError.of(f"The pulse log {self._path}", error) from error

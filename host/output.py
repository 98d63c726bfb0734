"""Results of a run: JSON, pictures and the pulse log are tried before it, and written each for itself after it."""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from backpulse.firmware_py.pulse_log import COLUMNS, PulseLog, check_suffix
from backpulse.host.errors import InputError, StorageError, wrong_input
from backpulse.host.storage import check_writable, written_whole

STDOUT = "-"
"""What stands for standard output where a file is named."""
PICTURES = (".png", ".svg", ".pdf")
"""Endings of pictures."""


def check_outputs(written: Mapping[str, Path | str | None], read: Mapping[str, Path | str | None] | None = None) -> None:
    """Refuse, before a run, what could not be written after it, to write over a file that is read, and two results to one file.

    Parameters
    ----------
    written, read : mapping
        Files by the option that names them; None, and - for standard output, are no files.

    Raises
    ------
    InputError
        If a file cannot be written, has the wrong ending, or is named twice.
    """
    seen = {os.path.realpath(path): option for option, path in (read or {}).items() if path is not None and os.path.isfile(path)}
    for option, path in written.items():
        if path is None:
            continue
        if str(path) == STDOUT and option == "--json":
            if sys.stdout is None:
                raise InputError("--json - needs standard output, which is closed: name a file")
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise InputError(f"{option} {path} would write over the file of {seen[real]}: give it a name of its own")
        seen[real] = option
        if option in ("--plot", "--curves", "--heat-map") and Path(path).suffix.lower() not in PICTURES:
            raise InputError(f"{option} must name a {', '.join(PICTURES[:-1])} or {PICTURES[-1]} file, not {path}")
        if option == "--pulse-log":
            with wrong_input():
                check_suffix(Path(path))
        if option == "--trace" and os.path.lexists(path):
            raise InputError(f"{path} is there, and a trace is never written over: give it another name")
        if option == "--json" and os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
            raise InputError(f"{path} is no regular file: give the name of a file, or - for standard output")
        check_writable(Path(path))


class Results:
    """Results that are written each for itself: one that fails takes no other with it."""

    def __init__(self) -> None:
        self._lost: list[StorageError] = []

    @contextmanager
    def each(self) -> Iterator[None]:
        """Let the body write one result, and keep what it could not."""
        try:
            yield
        except StorageError as error:
            self._lost.append(error)

    def finish(self) -> None:
        """Raise a StorageError that names what could not be written, if anything."""
        if self._lost:
            raise StorageError(". ".join(map(str, self._lost)))


def write_json(target: str | None, result: dict[str, Any]) -> None:
    """Write a result to a file, to standard output for `-`, or nowhere for None."""
    if target is None:
        return
    try:
        text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    except ValueError:
        text = json.dumps(_finite(result), indent=1) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with written_whole(Path(target), "file") as file:
        file.write(text.encode())


def _finite(value: Any) -> Any:
    """Return a result with None for numbers that JSON has not: infinite ones, and those that are none."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class PulseReceiver(Protocol):
    """What a golden machine's pulses of a run go to."""

    def begin(self, step: int, machine_step: int) -> None:
        """Say which step of the run is to come, and what the machine calls it."""
        ...

    def __call__(self, pulses: np.ndarray, /) -> None:
        """Take pulses, as `RunLog` does."""
        ...


class RunLog:
    """The pulse log of a run, in the run's own steps.

    Parameters
    ----------
    path : Path
        `.npz` or `.csv`; `check_outputs` has tried it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._log = path, PulseLog()
        self._offset = np.zeros(len(COLUMNS), np.int32)
        self._written = False

    def begin(self, step: int, machine_step: int) -> None:
        """Say which step of the run is to come, and what the machine calls it (it counts evaluated samples too)."""
        self._offset[0] = step - machine_step

    def __call__(self, pulses: np.ndarray) -> None:
        """Take pulses: int32 of shape (n, 5), the columns as in `firmware_py.pulse_log.COLUMNS`."""
        self._log(pulses + self._offset)

    def close(self) -> None:
        """Write the file, once."""
        if self._written:
            return
        self._written = True
        with written_whole(self._path, "pulse log") as file:
            self._log.write(file, self._path.suffix)

"""The pulse ledger: what happened to each cell, as a table, arrays, or a picture."""

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.tape import ASKED_DOWN, ASKED_UP, DONE_DOWN, DONE_UP, UNSURE
from backpulse.host.errors import InputError
from backpulse.host.storage import written_whole

SUFFIXES = (".npz", ".csv", ".parquet")
"""Kinds of file that a ledger is saved as."""
COUNTS = ("asked", "done", "up", "down", "unsure")
"""Columns of a ledger."""


def ledger_arrays(ledger: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of a ledger, each int64 of shape (rows of all tiles, columns).

    `asked` are the pulses that a cell was asked for, `done` those that it surely got, `up` and `down` the same by their direction, and
    `unsure` those of rows that stopped short after some of their pulses: nobody knows which of its cells got them.
    """
    planes = ledger.astype(np.int64)
    return {
        "asked": planes[ASKED_UP] + planes[ASKED_DOWN],
        "done": planes[DONE_UP] + planes[DONE_DOWN],
        "up": planes[DONE_UP],
        "down": planes[DONE_DOWN],
        "unsure": planes[UNSURE],
    }


def check_ledger_file(path: Path) -> None:
    """Raise InputError if a ledger cannot be saved under this name."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"A pulse ledger is a file ending in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, not {path.name}")
    if path.suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401 - an extra of its own, which pandas looks for too late
        except ModuleNotFoundError as error:
            raise InputError(f"A .parquet file needs the package pyarrow: {install('sweep')}, or name a .csv") from error


def save_ledger(path: Path, ledger: np.ndarray, config: Config) -> None:
    """Write a ledger: one array a column in .npz, one line a cell that was asked for pulses in .csv and .parquet."""
    arrays = ledger_arrays(ledger)
    with written_whole(path, "pulse ledger") as file:
        if path.suffix == ".npz":
            _save(file, arrays)
            return
        import pandas as pd  # takes its time

        rows, cols = np.nonzero(arrays["asked"])
        cells = {"tile": rows // config.tile_rows, "row": rows % config.tile_rows, "column": cols}
        table = pd.DataFrame(cells | {name: array[rows, cols] for name, array in arrays.items()})
        if path.suffix == ".csv":
            file.write(table.to_csv(index=False).encode())
        else:
            packed = io.BytesIO()
            table.to_parquet(packed, index=False)
            file.write(packed.getvalue())


def _save(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType] - numpy's stub has another keyword in mind


def write_counts(path: Path, counts: dict[str, np.ndarray]) -> None:
    """Write the columns of a ledger as .npz."""
    with written_whole(path, "pulse ledger") as file:
        _save(file, counts)


def read_counts(path: Path, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the columns of a ledger saved as .npz, int64 of a shape; zeros if there is no such file yet.

    Raises
    ------
    InputError
        If the file is no ledger, or one of an array of another size.
    """
    if path.suffix != ".npz":
        raise InputError(f"The ledger of an array is an .npz file, not {path.name}: change its name in the array file")
    if not path.exists():
        return {name: np.zeros(shape, np.int64) for name in COUNTS}
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            counts = {name: np.asarray(file[name]) for name in COUNTS}
    except OSError as error:
        raise InputError(f"The ledger {path} cannot be read: {reason(error)}: name another in the array file") from error
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no pulse ledger: name another file in the array file") from error
    for plane in counts.values():
        if plane.shape != shape or plane.dtype.kind not in "iu" or plane.min(initial=0) < 0:
            raise InputError(
                f"The ledger {path} is of {' x '.join(map(str, plane.shape))} cells, and this array has {shape[0]} x {shape[1]}: "
                "name another in the array file"
            )
    return {name: plane.astype(np.int64) for name, plane in counts.items()}

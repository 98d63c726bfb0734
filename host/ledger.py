"""The pulse ledger: what happened to each cell, as a table, arrays, or a picture."""

import io
from pathlib import Path

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.tape import ASKED_DOWN, ASKED_UP, DONE_DOWN, DONE_UP, UNSURE
from backpulse.host.errors import InputError
from backpulse.host.storage import written_whole

SUFFIXES = (".npz", ".csv", ".parquet")
"""Kinds of file that a ledger is saved as."""


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
            raise InputError("A .parquet file needs the package pyarrow: pip install 'backpulse[sweep]', or name a .csv") from error


def save_ledger(path: Path, ledger: np.ndarray, config: Config) -> None:
    """Write a ledger: one array a column in .npz, one line a cell that was asked for pulses in .csv and .parquet."""
    arrays = ledger_arrays(ledger)
    with written_whole(path, "pulse ledger") as file:
        if path.suffix == ".npz":
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType] - numpy's stub has another keyword in mind
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

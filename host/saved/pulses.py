"""The pulse log of a saved run: Parquet parts that appear when they are whole, so that a long run needs no memory for it."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.pulse_log import COLUMNS
from backpulse.host.errors import InputError, StorageError
from backpulse.host.saved.folder import PLANES
from backpulse.host.storage import written_whole

ROOM = 1 << 18
"""Rows that are kept until they are a part: some 7 MB."""
PART_S = 5.0
"""Least time between two parts that are written at the ends of epochs."""


class PulseParts:
    """A receiver of a run's pulses (`output.PulseReceiver`) that counts them for each cell, and writes them to parts of a folder.

    Parameters
    ----------
    folder : Path, optional
        Made with the first part; without it the pulses are only counted.

    Attributes
    ----------
    failed : StorageError or None
        Why a part could not be written: then no more are, and the run goes on.

    Raises
    ------
    InputError
        If the package that writes Parquet is missing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._arrow = arrow() if folder else None
        self._folder = folder
        self._steps = np.zeros(ROOM, np.int64)
        self._rows = np.zeros((ROOM, len(COLUMNS) - 1), np.int32)
        self._count = self._parts = self._offset = 0
        self._written = time.monotonic()
        self._counts: np.ndarray | None = None
        self._tile_rows = 0
        self._finished = False
        self.failed: StorageError | None = None

    def measure(self, config: Config) -> None:
        """Say what array the pulses are of."""
        self._tile_rows = config.tile_rows
        self._counts = np.zeros((len(PLANES), config.rows, config.tile_cols), np.int64)

    def begin(self, step: int, machine_step: int) -> None:
        """Say which step of the run is to come, and what the machine calls it (it counts evaluated samples too)."""
        self._offset = step - machine_step

    def __call__(self, pulses: np.ndarray) -> None:
        """Take pulses: int32 of shape (n, 5), the columns as in `firmware_py.pulse_log.COLUMNS`."""
        while len(pulses):
            if self._count == ROOM:
                self._write()
            some, pulses = np.split(pulses, [min(len(pulses), ROOM - self._count)])
            place = slice(self._count, self._count + len(some))
            self._steps[place] = some[:, 0].astype(np.int64) + self._offset
            self._rows[place] = some[:, 1:]
            self._count += len(some)

    def pause(self) -> None:
        """Write a part if there has been none for a while: what is asked for at the end of an epoch."""
        if time.monotonic() - self._written > PART_S:
            self._write()

    def close(self) -> None:
        """Write what is left, once; there is a part even where no pulse was asked for, so that the folder can be read.

        Raises
        ------
        StorageError
            If not all parts could be written.
        """
        if not self._finished:
            self._finished = True
            self._write()
        if self.failed:
            raise self.failed

    def counts(self) -> dict[str, np.ndarray]:
        """Return the pulses of each cell so far, int64 of shape (rows of all tiles, columns), by `PLANES`."""
        assert self._counts is not None
        planes = self._counts.copy()
        self._add(planes)
        return dict(zip(PLANES, planes, strict=True))

    def _add(self, planes: np.ndarray) -> None:
        """Count the rows that are in no part."""
        tile, row, col, pulses = self._rows[: self._count].T.astype(np.int64)
        cell = (tile * self._tile_rows + row) * planes.shape[2] + col
        for plane, signed in zip(planes, (pulses, -pulses), strict=True):
            plane += np.bincount(cell, np.maximum(signed, 0), plane.size).astype(np.int64).reshape(plane.shape)

    def _write(self) -> None:
        """Write a part, and count its pulses."""
        self._written = time.monotonic()
        if not self._count and (self._parts or not self._finished):
            return
        if self._counts is not None:
            self._add(self._counts)
        if self._folder and not self.failed:
            try:
                self._write_part(self._folder)
            except StorageError as error:
                self.failed = error
        self._count = 0

    def _write_part(self, folder: Path) -> None:
        import pyarrow.parquet as parquet

        assert self._arrow

        columns = [self._steps[: self._count], *self._rows[: self._count].T]
        table = self._arrow.table([self._arrow.array(column) for column in columns], names=list(COLUMNS))
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError.of(f"The folder {folder}", error) from error
        with written_whole(folder / f"part-{self._parts + 1:06}.parquet", "pulse log") as file:
            parquet.write_table(table, file, compression="zstd")
        self._parts += 1


def arrow() -> Any:
    """Import what writes Parquet, which the base installation lacks."""
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        raise InputError(f"Pulses are kept as Parquet ({error.name} is missing): {install('runs')}") from error
    return pyarrow

"""The budget of pulses that each cell of an array stands: counted over all runs in a ledger beside the array file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Region
from backpulse.host.cell_names import cell_name
from backpulse.host.errors import InputError
from backpulse.host.ledger import read_counts, write_counts
from backpulse.host.output import PulseReceiver
from backpulse.host.storage import check_writable

WARNED = 0.8
"""Share of the budget from which a cell is named."""
NAMED = 5
"""Cells that a sentence names."""


@dataclass
class Budget:
    """The pulses of each cell, and how many it stands.

    Parameters
    ----------
    file : Path
        The ledger.
    most : int
        Budget of a cell.
    counts : dict
        As of `ledger_arrays`: int64 of shape (rows of all tiles, columns) by name.
    tile_rows : int
        Rows of a tile.
    """

    file: Path
    most: int
    counts: dict[str, np.ndarray]
    tile_rows: int
    _changed: bool = False

    @classmethod
    def of(cls, array: Array | None, folder: Path, config: Config) -> Self | None:
        """Return the budget that an array file of this folder names, if it does.

        Raises
        ------
        InputError
            If the ledger cannot be read or written, or is of an array of another size.
        """
        if array is None or array.endurance is None:
            return None
        file = folder / array.endurance.ledger
        check_writable(file)
        counts = read_counts(file, (config.rows, config.tile_cols))
        return cls(file, array.endurance.pulses, counts, config.tile_rows)

    @property
    def pulses(self) -> np.ndarray:
        """Pulses that each cell has had, or may have had: int64 of shape (rows of all tiles, columns)."""
        return self.counts["done"] + self.counts["unsure"]

    def check(self, more: np.ndarray) -> None:
        """Refuse pulses, so many more a cell, that would go beyond the budget.

        Raises
        ------
        InputError
            If a cell would have more than it stands.
        """
        after = np.where(more > 0, self.pulses + more, 0)
        if after.max() > self.most:
            row, col = (int(at) for at in np.unravel_index(int(after.argmax()), after.shape))
            raise InputError(
                f"Cell {cell_name(row, col)} has had {self.pulses[row, col]:,} pulses, and {more[row, col]:,} more are beyond the "
                f"{self.most:,} that the array file allows a cell: give fewer, or raise pulses in [endurance]"
            )

    def add(self, counts: np.ndarray) -> None:
        """Count pulses that were given: integers of shape (rows of all tiles, columns), positive is potentiation."""
        up, down = np.maximum(counts, 0), np.maximum(-counts, 0)
        self.add_counts({"asked": up + down, "done": up + down, "up": up, "down": down, "unsure": np.zeros_like(up)})

    def pulsed(self, region: Region, counts: np.ndarray) -> None:
        """Count pulses of a region, (rows, columns), which are about to be given, unless they go beyond the budget.

        Raises
        ------
        InputError
            As `check`.
        """
        plane = np.zeros(self.pulses.shape, np.int64)
        row0 = region.tile * self.tile_rows + region.row0
        plane[row0 : row0 + region.rows, region.col0 : region.col0 + region.cols] = counts
        self.check(np.abs(plane))
        self.add(plane)

    def add_counts(self, counts: dict[str, np.ndarray]) -> None:
        """Count pulses as `ledger_arrays` has them."""
        for name, plane in counts.items():
            self.counts[name] = self.counts[name] + plane
        self._changed = True

    def save(self) -> list[str]:
        """Write the ledger if it has changed; return a remark if cells have had much of their budget."""
        if self._changed:
            write_counts(self.file, self.counts)
            self._changed = False
        return self.remarks()

    def remarks(self) -> list[str]:
        """Return a remark that names cells which have had much of their budget, the most used first, if there are any."""
        pulses = self.pulses
        worn = np.argwhere(pulses >= WARNED * self.most)
        if not len(worn):
            return []
        worn = sorted(worn.tolist(), key=lambda at: (-int(pulses[*at]), at))
        some = ", ".join(f"{cell_name(*at)} ({100 * pulses[*at] / self.most:.0f} %)" for at in worn[:NAMED])
        more = f" and {len(worn) - NAMED} more" if len(worn) > NAMED else ""
        return [f"Cells have had {100 * WARNED:.0f} % or more of their budget of {self.most:,} pulses: {some}{more}"]

    def figures(self) -> dict[str, Any]:
        """Return what JSON says of it."""
        return {"pulses_allowed": self.most, "pulses_most": int(self.pulses.max()), "ledger": str(self.file)}


class CountingLog:
    """A receiver of a golden machine's pulses that counts them for a budget, and hands them on to a log, if there is one."""

    def __init__(self, budget: Budget, log: PulseReceiver | None) -> None:
        self._budget, self._log = budget, log

    def begin(self, step: int, machine_step: int) -> None:
        """As of `PulseReceiver`."""
        if self._log:
            self._log.begin(step, machine_step)

    def __call__(self, pulses: np.ndarray) -> None:
        """Take pulses: int32 of shape (n, 5), the columns as in `firmware_py.pulse_log.COLUMNS`."""
        _, tiles, rows, cols, counts = pulses.T
        for part in (np.maximum(counts, 0), np.minimum(counts, 0)):  # a cell may get both
            plane = np.zeros(self._budget.pulses.shape, np.int64)
            np.add.at(plane, (tiles * self._budget.tile_rows + rows, cols), part)
            self._budget.add(plane)
        if self._log:
            self._log(pulses)

"""Cells of an array that the host cannot write: measured by reads, and pulsed until they read as wanted (program-verify)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.isa import Region
from backpulse.host.array_budget import Budget
from backpulse.host.array_operations import Tell, cell_sense, pulse, read_map, rectangle
from backpulse.host.board import Board
from backpulse.host.tables import count

ROUNDS = 12
"""Most rounds of reading and pulsing."""
AVERAGES = 4
"""Reads of each line in a measurement: read noise of one sense LSB becomes a half."""
TOLERANCE = 0.5
"""Sense words by which a cell may be off: where the converter has no noise it cannot tell less."""
FAR_OFF = 4.0
"""Sense words from which a cell that is still off has not followed its pulses."""
FIRST_SHARE, LATER_SHARE = 1.0, 0.5
"""Share of what a cell is off that the first round and later ones pulse: later ones would chase noise otherwise."""
NEXT_TO = 8.0
"""A measured step is taken to be right within this factor of the expected one."""
MOST_PULSES = 1000
"""Of a cell in one round, in case it does not follow."""
BETTER = 0.98
"""Rounds end where the residual (rms) is not below this share of the one before: what is left is noise, or cells that do not follow."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What program-verify came to; residuals are in sense words (LSB)."""

    rounds: int
    cells: int
    verify_pulses: int
    residual_rms: float
    residual_worst: float
    step: float
    """Mean step of a pulse as measured, in device units."""
    off: list[tuple[int, int]]
    """Row (of all tiles) and column of cells that did not follow."""
    residuals: list[float]
    """What was left (rms) at the beginning and after each round."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @property
    def text(self) -> str:
        """All of it in a sentence."""
        told = (
            f"{count(self.cells, 'cell')} pulsed to the initial weights in {count(self.rounds, 'round')}, {self.verify_pulses:,} pulses: "
            f"{self.residual_rms:.2f} sense LSB off (rms; worst {self.residual_worst:.1f})"
        )
        some = ", ".join(f"row {row} column {col}" for row, col in self.off[:5])
        more = f" and {len(self.off) - 5} more" if len(self.off) > 5 else ""
        return f"{told}; cells that did not follow: {some}{more}" if self.off else told


class Areas:
    """The areas of an array that a program uses, or all of it.

    Operations on them take the place of the program and the samples that the board held.

    Parameters
    ----------
    board : Board
    program : Program, optional
        Whose areas; by default they are all tiles, whole.
    read_profile, pulse_profile : int
    budget : Budget, optional
        Where pulses are counted.
    """

    def __init__(
        self, board: Board, program: Program | None = None, *, read_profile: int = 0, pulse_profile: int = 0, budget: Budget | None = None
    ) -> None:
        self.board, self._profiles, self._budget = board, (read_profile, pulse_profile), budget
        config = board.config
        if program is None:
            named = {f"tile {tile}": rectangle(config, tile) for tile in range(config.tiles)}
        else:
            blocks = [block for placement in program.placements for block in placement.blocks]
            parts = [(block.name, block.region) for block in blocks]
            named = {name: rectangle(config, r.tile, r.row0, r.rows, r.col0, r.cols) for name, r in parts}
        self.named: dict[str, Region] = named
        self.unit = cell_sense(config)
        """Sense words of a device unit, driven alone and fully."""

    def place(self, region: Region) -> tuple[slice, slice]:
        """Return where a region lies in an array of all tiles."""
        row0 = region.tile * self.board.config.tile_rows + region.row0
        return slice(row0, row0 + region.rows), slice(region.col0, region.col0 + region.cols)

    @property
    def used(self) -> np.ndarray:
        """Which cells lie in the areas: bool of shape (rows of all tiles, columns)."""
        used = np.zeros((self.board.config.rows, self.board.config.tile_cols), np.bool_)
        for region in self.named.values():
            used[self.place(region)] = True
        return used

    def measure(self, averages: int = AVERAGES, report: Tell | None = None) -> np.ndarray:
        """Return all cells in device units, float64 of shape (rows of all tiles, columns), zero outside of the areas."""
        found = np.zeros((self.board.config.rows, self.board.config.tile_cols))
        for done, region in enumerate(self.named.values()):
            # Either direction gives the same cells: the one of fewer reads.
            one = read_map(self.board, region, transposed=region.cols < region.rows, profile=self._profiles[0], averages=averages)
            found[self.place(region)] = one / self.unit
            if report:
                report(done + 1, len(self.named))
        return found

    def words(self, cells: np.ndarray) -> np.ndarray:
        """Return cells in device units as cell words: int16."""
        config = self.board.config
        return np.clip(np.rint(cells * (1 << config.cell_frac)), -config.cell_max, config.cell_max).astype(np.int16)

    def pulse(self, counts: np.ndarray) -> None:
        """Give cells their pulses: integers of shape (rows of all tiles, columns)."""
        if self._budget:
            self._budget.check(np.abs(counts))
            self._budget.add(counts)
        for region in self.named.values():
            if (part := counts[self.place(region)]).any():
                pulse(self.board, region, part, profile=self._profiles[1])

    def verify(self, wanted: np.ndarray, step: float, *, rounds: int = ROUNDS, report: Tell | None = None) -> tuple[np.ndarray, Verified]:
        """Pulse the cells of the areas until they read as wanted.

        Parameters
        ----------
        wanted : ndarray
            Device units, of shape (rows of all tiles, columns); cells that are NaN are left as they are.
        step : float
            Device units that a pulse is expected to move a cell; what pulses do move them counts from the first round on.
        rounds : int
            Most rounds of pulses.
        report : callable, optional
            Called with (rounds done, rounds).

        Returns
        -------
        The cells as measured at the end, in device units, and what it came to.
        """
        used, expected = self.used & ~np.isnan(wanted), step
        found, pulses, done, share = self.measure(), 0, 0, FIRST_SHARE
        moved = squares = 0.0
        residuals = [self._residual(wanted, found, used)]
        while done < rounds:
            off = np.where(used, wanted - found, 0.0)
            wrong = np.abs(off) * self.unit > TOLERANCE
            counts = np.where(wrong, np.clip(np.rint(share * off / step), -MOST_PULSES, MOST_PULSES), 0).astype(np.int64)
            if not counts.any():
                break
            self.pulse(counts)
            before, found = found, self.measure()
            moved, squares = moved + float(np.sum((found - before) * counts)), squares + float(np.sum(counts * counts))
            step = min(max(moved / squares, expected / NEXT_TO), expected * NEXT_TO)
            pulses, done, share = pulses + int(np.abs(counts).sum()), done + 1, LATER_SHARE
            residuals.append(self._residual(wanted, found, used))
            if report:
                report(done, rounds)
            if residuals[-1] > BETTER * residuals[-2]:
                break
        left = np.where(used, wanted - found, 0.0) * self.unit
        verified = Verified(
            rounds=done,
            cells=int(used.sum()),
            verify_pulses=pulses,
            residual_rms=residuals[-1],
            residual_worst=float(np.abs(left).max()),
            step=step,
            off=[(int(row), int(col)) for row, col in np.argwhere(np.abs(left) > FAR_OFF)],
            residuals=residuals,
        )
        return found, verified

    def _residual(self, wanted: np.ndarray, found: np.ndarray, used: np.ndarray) -> float:
        """Return what is left (rms) of the cells that are used, in sense words."""
        return float(np.sqrt(np.mean((wanted - found)[used] ** 2))) * self.unit

"""The self-check of a live array: whether its cells and lines do what pulses ask of them, and reads show it.

Backpropagation in an array rests on one identity: after pulses that ask for dW, an error d that is read back through the layer changes by
dW'd. Each area is measured cell by cell, read with one vector in either direction, pulsed, and measured and read again; then the pulses
are taken back. Cells that twice move less than half of what the one in the middle moves are named, and lines where most cells do so.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.isa import Region
from backpulse.host.array_cells import Areas
from backpulse.host.array_operations import Tell, pulse, read, read_map
from backpulse.host.storage import written_whole

MOVE = 8.0
"""Sense words that a cell is to be moved: the converter's rounding is an eighth of it at most."""
LEAST_SHARE = 0.5
"""Share of the usual move below which a cell has not done what was asked."""
MOST_OF_A_LINE = 0.75
"""Share of a line's cells from which the line is to blame."""
FULL = 0.5
"""Share of the sense full scale that a line's change may take."""


@dataclass(frozen=True, kw_only=True)
class AreaCheck:
    """What the self-check found in one area; changes are in sense words."""

    name: str
    cells: int
    pulses: int
    """Of each cell."""
    step_up: float
    """Device units that the cell in the middle moved a pulse."""
    step_down: float
    back_share: float
    """Change of the error read back (READT), of what the cells' own changes make it: 1 if e_after - e_before = dW'd."""
    forward_share: float
    """The same of a forward READ."""
    back_worst: float
    """Largest difference of a line's change from dW'd."""
    forward_worst: float
    dead_rows: list[int]
    dead_cols: list[int]
    bad: list[tuple[int, int, float]]
    """Row, column and value (device units) of cells that did not move as asked, but for those of dead lines."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """What the self-check found in all areas.

    Parameters
    ----------
    board : str
        Where.
    array : dict
        What the array says that it is.
    areas : list of AreaCheck
    """

    board: str
    array: dict[str, Any]
    areas: list[AreaCheck]

    @property
    def lines(self) -> int:
        """Dead lines."""
        return sum(len(one.dead_rows) + len(one.dead_cols) for one in self.areas)

    @property
    def cells(self) -> int:
        """Other cells that did not do what was asked."""
        return sum(len(one.bad) for one in self.areas)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `array self-check`."""
        return {"board": self.board, "array": self.array, "areas": [one.to_dict() for one in self.areas]}

    def save(self, path: str | Path) -> None:
        """Write dead lines and stuck cells as an array file (TOML)."""
        with written_whole(Path(path), "file") as file:
            file.write(map_text(self.areas).encode())


def self_check(areas: Areas, step: float, *, averages: int = 4, report: Tell | None = None) -> list[AreaCheck]:
    """Check the areas of an array; afterwards its cells have had as many pulses up as down.

    Parameters
    ----------
    areas : Areas
    step : float
        Device units that a pulse is expected to move a cell.
    averages : int
        Reads of each line.
    report : callable, optional
        Called with (areas done, areas).
    """
    found = []
    for done, (name, region) in enumerate(areas.named.items()):
        found.append(_check(areas, name, region, step, averages))
        if report:
            report(done + 1, len(areas.named))
    return found


@dataclass(frozen=True)
class _Change:
    """What pulses changed, in sense words; shapes (rows, columns), (columns), (rows)."""

    before: np.ndarray
    cells: np.ndarray
    forward: np.ndarray
    back: np.ndarray
    drives: tuple[int, int]
    """Of the forward read, and of the one back."""


def _pulsed(areas: Areas, region: Region, signs: tuple[np.ndarray, np.ndarray], number: int, step: float, averages: int) -> _Change:
    """Pulse a region, `number` times each cell, and back; return what the pulses changed."""
    board, config = areas.board, areas.board.config
    counts = number * np.outer(*signs)
    # All cells of a line add up: as much drive as leaves the converter room.
    room = FULL * config.sense_max * config.drive_max / (number * step * areas.unit)
    forward_drive, back_drive = (int(max(1, min(config.drive_max, room / len(lines)))) for lines in signs)

    def look() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cells = read_map(board, region, transposed=region.cols < region.rows, averages=averages)
        forward = read(board, region, np.tile(signs[0] * forward_drive, (averages, 1)))
        back = read(board, region, np.tile(signs[1] * back_drive, (averages, 1)), transposed=True)
        return cells, forward.mean(axis=0), back.mean(axis=0)

    before = look()
    pulse(board, region, counts)
    after = look()
    pulse(board, region, -counts)
    cells, forward, back = (b - a for a, b in zip(before, after, strict=True))
    return _Change(before[0], cells, forward, back, (forward_drive, back_drive))


def _check(areas: Areas, name: str, region: Region, step: float, averages: int) -> AreaCheck:
    config, unit = areas.board.config, areas.unit
    rng = np.random.RandomState(region.rows * 1000 + region.cols)
    signs = rng.choice((-1, 1), region.rows), rng.choice((-1, 1), region.cols)
    asked = np.outer(*signs)
    number = int(np.clip(np.ceil(MOVE / (step * unit)), 1, 4 * config.pulse_max))
    change = _pulsed(areas, region, signs, number, step, averages)
    usual = {sign: float(np.median((change.cells * asked)[asked == sign])) if np.any(asked == sign) else 0.0 for sign in (-1, 1)}

    def lazy(cells: np.ndarray, times: int) -> np.ndarray:
        wanted = np.where(asked > 0, usual[1], usual[-1])
        return cells * asked < LEAST_SHARE * times * np.maximum(wanted, LEAST_SHARE * MOVE)

    bad = lazy(change.cells, 1)
    if bad.any():  # chance is not as unkind to a cell twice
        bad &= lazy(_pulsed(areas, region, signs, 2 * number, step, averages).cells, 2)
    dead_rows, dead_cols = (np.flatnonzero(bad.mean(axis=axis) >= MOST_OF_A_LINE) for axis in (1, 0))
    lone = bad.copy()
    lone[dead_rows], lone[:, dead_cols] = False, False
    row0, col0 = areas.place(region)[0].start, region.col0
    forward, back = (
        own * drive / config.drive_max for own, drive in zip((signs[0] @ change.cells, change.cells @ signs[1]), change.drives, strict=True)
    )
    return AreaCheck(
        name=name,
        cells=change.cells.size,
        pulses=number,
        step_up=usual[1] / unit / number,
        step_down=usual[-1] / unit / number,
        back_share=_share(change.back, back, signs[0]),
        forward_share=_share(change.forward, forward, signs[1]),
        back_worst=float(np.abs(change.back - back).max()),
        forward_worst=float(np.abs(change.forward - forward).max()),
        dead_rows=[int(row0 + row) for row in dead_rows],
        dead_cols=[int(col0 + col) for col in dead_cols],
        bad=[(int(row0 + r), int(col0 + c), round(float(change.before[r, c] / unit), 3)) for r, c in np.argwhere(lone)],
    )


def _share(found: np.ndarray, expected: np.ndarray, signs: np.ndarray) -> float:
    """Return how much of an expected change there is, 0 if none is expected."""
    whole = float(np.sum(expected * signs))
    return float(np.sum(found * signs)) / whole if whole else 0.0


def map_text(found: list[AreaCheck]) -> str:
    """Return what was found as the tables of an array file (TOML); columns are those of each tile."""
    rows, cols = sorted({row for one in found for row in one.dead_rows}), sorted({col for one in found for col in one.dead_cols})
    lines = [f"[dead]\nrows = {rows}\ncols = {cols}"]
    lines += [f"[[stuck]]\nrow = {row}\ncol = {col}\nvalue = {value:g}" for one in found for row, col, value in one.bad]
    return "\n\n".join(lines) + "\n"

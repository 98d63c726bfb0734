"""Dead lines of an array: what is left of it, and where a stretch of usable lines is interrupted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from backpulse.firmware_py.config import Config


@dataclass(frozen=True, kw_only=True)
class Dead:
    """Lines that no layer may lie on.

    Parameters
    ----------
    rows
        Counted over all tiles, as in the CELLS window.
    cols
        Of each tile.
    """

    rows: frozenset[int] = frozenset()
    cols: frozenset[int] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "Dead":
        """Read a text such as r3,r17-19,c5: rows and columns by number from 0, or stretches of them.

        Raises
        ------
        ValueError
            If it is none.
        """
        lines: dict[str, set[int]] = {"r": set(), "c": set()}
        for part in filter(None, (part.strip() for part in text.split(","))):
            match = re.fullmatch(r"([rc])(\d{1,6})(?:-(\d{1,6}))?", part)
            if not match or int(match[3] or match[2]) < int(match[2]):
                raise ValueError(f"Dead lines are rows and columns by number, as in r3,r17-19,c5, not {part!r:.40}")
            lines[match[1]].update(range(int(match[2]), int(match[3] or match[2]) + 1))
        return cls(rows=frozenset(lines["r"]), cols=frozenset(lines["c"]))

    @property
    def text(self) -> str:
        """What `parse` reads, in its shortest form."""
        named = (("r", sorted(self.rows)), ("c", sorted(self.cols)))
        return ",".join(_stretch(kind, lines, start, end) for kind, lines in named for start, end in stretches(lines))

    def check(self, config: Config) -> None:
        """Raise ValueError if a board has no such line, or no other line is left."""
        for what, lines, have in (("row", self.rows, config.rows), ("column", self.cols, config.tile_cols)):
            if lines and max(lines) >= have:
                raise ValueError(f"Dead {what} {max(lines)} is none of this board, which has {what}s 0 to {have - 1}")
            if len(lines) == have:
                raise ValueError(f"All {have} {what}s of this board are dead: there is nothing to train")

    def usable_rows(self, config: Config, tile: int) -> list[int]:
        """Return the rows of a tile that can be used, counted in the tile; a tile that the board has not has all of them."""
        return [row for row in range(config.tile_rows) if tile * config.tile_rows + row not in self.rows]

    def usable_cols(self, config: Config) -> list[int]:
        """Return the columns that can be used, of each tile."""
        return [col for col in range(config.tile_cols) if col not in self.cols]

    @cache  # noqa: B019  a run has one or two
    def sizes(self, config: Config) -> tuple[tuple[int, int], ...]:
        """Return the different (rows, columns) that tiles have left, the largest first."""
        with_dead = {row // config.tile_rows for row in self.rows}
        whole = {config.tile_rows} if len(with_dead) < config.tiles else set()
        rows = whole | {len(self.usable_rows(config, tile)) for tile in with_dead}
        return tuple((count, len(self.usable_cols(config))) for count in sorted(rows - {0}, reverse=True))

    def left(self, config: Config) -> str:
        """Say what is left of a board's cells."""
        rows, cols = config.rows - len(self.rows), config.tile_cols - len(self.cols)
        return (
            f"{len(self.rows)} of {config.rows} rows and {len(self.cols)} of {config.tile_cols} columns are dead, {rows * cols:,} of "
            f"{config.rows * config.tile_cols:,} cells are left"
        )


NONE = Dead()
"""No dead lines."""


def stretches(lines: Sequence[int]) -> list[tuple[int, int]]:
    """Return (start, end) of each run of consecutive numbers, as places in ascending `lines`."""
    starts = [at for at in range(len(lines)) if at == 0 or lines[at] != lines[at - 1] + 1]
    return list(zip(starts, [*starts[1:], len(lines)], strict=True)) if starts else []


def _stretch(kind: str, lines: Sequence[int], start: int, end: int) -> str:
    return f"{kind}{lines[start]}" + (f"-{lines[end - 1]}" if end - start > 1 else "")

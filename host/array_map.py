"""What an array file says of lines and cells that cannot be used, for runs on the board that has them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.dead import Dead
from backpulse.host.array_file import read_array
from backpulse.host.errors import InputError
from backpulse.host.tables import count

NAMED = 8
"""Cells that a sentence names."""


def dead_of(array: Array) -> Dead:
    """Return the dead lines of an array file."""
    return Dead(rows=frozenset(array.dead.rows), cols=frozenset(array.dead.cols))


def around(given: dict[str, Any], file: Path | None) -> tuple[dict[str, Any], Array | None]:
    """Return settings that keep off the dead lines of an array file, if there is one, and what it holds.

    Raises
    ------
    InputError
        If the settings name dead lines of their own, or the file is none.
    """
    if file is None:
        return given, None
    if "dead" in given:
        raise InputError(f"{file} names the dead lines, and so does the setting dead: give one of them")
    array = read_array(file)
    return {**given, "dead": dead_of(array).text}, array


def stuck_in(program: Program, cells: Iterable[tuple[int, int]]) -> list[str]:
    """Return cells (row of all tiles, column) that lie in a program's layers, each with what it is there."""
    found = []
    config, network = program.config, program.network
    for row, col in sorted(cells):
        for placement in program.placements:
            for block in placement.blocks:
                r = block.region
                down, across = row - r.tile * config.tile_rows - r.row0, col - r.col0
                if 0 <= down < r.rows and 0 <= across < r.cols:
                    ends = r.row_offset + down, r.col_offset + across
                    source, unit = ends[::-1] if placement.transposed else ends
                    name = "bias" if source == network.layers[placement.layer - 1] else f"input {source}"
                    found.append(f"row {row} column {col} (W{placement.layer}, {name} to unit {unit})")
    return found


def stuck_remark(program: Program, array: Array) -> list[str]:
    """Return a remark that names the stuck cells in a program's layers, if there are any."""
    found = stuck_in(program, ((cell.row, cell.col) for cell in array.stuck))
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    said = f"{count(len(found), 'weight')} lie on stuck cells, which do not learn: {', '.join(found[:NAMED])}{more}"
    return [said] if found else []

"""What an array file says of lines and cells that cannot be used, for runs on the board that has them."""

from collections.abc import Iterable
from typing import Any

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.dead import Dead
from backpulse.host.errors import InputError
from backpulse.host.tables import count

NAMED = 8
"""Cells that a sentence names."""


def dead_of(array: Array) -> Dead:
    """Return the dead lines of an array file."""
    return Dead(rows=frozenset(array.dead.rows), cols=frozenset(array.dead.cols))


def around(given: dict[str, Any], array: Array | None) -> dict[str, Any]:
    """Return settings that keep off the dead lines of an array file, if there is one.

    Raises
    ------
    InputError
        If the settings name other lines.
    """
    if array is None or not (dead := dead_of(array).text):
        return given
    if Dead.parse(given.get("dead") or dead).text != dead:
        raise InputError(f"The array file names the dead lines {dead}, and the setting dead names {given['dead']}: leave it out")
    return {**given, "dead": dead}


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


def stuck_remarks(program: Program, array: Array | None) -> list[str]:
    """Return a remark that names the stuck cells in a program's layers, if there are any."""
    found = stuck_in(program, ((cell.row, cell.col) for cell in array.stuck)) if array else []
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    said = f"{count(len(found), 'weight')} on stuck cells, which do not learn: {', '.join(found[:NAMED])}{more}"
    return [said] if found else []

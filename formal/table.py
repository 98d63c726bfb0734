"""All proofs, and the table of them."""

import inspect
from dataclasses import replace
from unittest import mock

from amaranth.hdl import Fragment

from backpulse.firmware_py.garbage import uncollected
from backpulse.gateware.boards.boards import BOARDS, Board
from backpulse.gateware.chip.board_top import top_of

from . import analog, front_end, lines, link, machine, processor, small_link, tile, trace
from .harness import Proof

__all__ = ["PROOFS", "table"]

PROOFS: dict[str, type[Proof]] = {
    name: proof
    for module in (link, small_link, processor, lines, machine, tile, trace, analog, front_end)
    for name in module.__all__
    if inspect.isclass(proof := getattr(module, name)) and issubclass(proof, Proof)
}
"""The proofs by name."""
COLUMNS = 4
"""Enough of a tile's."""


def carried(board: Board) -> set[str]:
    """Return the classes of all components of a board's bitstream, by module and name.

    The columns of an emulated tile are all alike; those of a front end are its wires.
    """
    found, get = set(), Fragment.get
    if board.front_end is None:
        board = replace(board, config=replace(board.config, tile_cols=min(board.config.tile_cols, COLUMNS)))

    def kept(component, platform):
        found.add(f"{type(component).__module__}.{type(component).__name__}".removeprefix("backpulse."))
        return get(component, platform)

    with mock.patch.object(Fragment, "get", kept), uncollected():
        kept(top_of(board), None)
    return found


def table() -> str:
    """Return the table of docs/proofs.md."""
    boards = {board.name: carried(board) for board in BOARDS.values()}
    lines = ["| proof | block | boards | property | method | its mutant |", "| --- | --- | --- | --- | --- | --- |"]
    for name, proof in PROOFS.items():
        block = proof.block.partition(",")[0]
        on = [board for board, blocks in boards.items() if any(other.startswith(block) for other in blocks)]
        property_ = (proof.__doc__ or "").split("\n")[0]
        where = "all" if len(on) == len(boards) else ", ".join(on)
        lines.append(f"| {name} | {proof.block} | {where} | {property_} | {proof.method()} | {proof.mutant} |")
    return "\n".join(lines)

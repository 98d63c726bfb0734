"""Compares builds with budgets: `python -m backpulse.gateware.bitstream.budgets [--quick] [BOARD ...]`.

Without names it builds all boards. A quick comparison only synthesises: some minutes less, and no clock.
"""

import json
import sys
from pathlib import Path
from typing import Any

from backpulse.firmware_py.places import CacheError
from backpulse.gateware.bitstream.build import build, commands, prepare, tried
from backpulse.gateware.bitstream.reports import RESOURCES, read_netlist
from backpulse.gateware.boards.boards import Board, find_board
from backpulse.gateware.tools import ToolError

__all__ = ["BUDGETS", "broken", "load", "main", "synthesise"]

BUDGETS = Path(__file__).resolve().parents[2] / "budgets"


def broken(result: dict[str, Any], budget: dict[str, Any]) -> list[str]:
    """Return a sentence for each part of a budget that a build breaks."""
    board = result["board"]
    found = [
        f"{board} takes {result[name]} {name}, {result[name] - budget[name]} more than its budget of "
        f"{budget[name]}"
        for name in RESOURCES
        if result[name] > budget[name]
    ]
    if "fmax_mhz" in result and result["fmax_mhz"] < budget["fmax_mhz"]:
        found.append(
            f"{board} reaches {result['fmax_mhz']:.1f} MHz, below its budget of {budget['fmax_mhz']:g} MHz"
        )
    return found


def load(board: Board) -> dict[str, Any]:
    """Return the budget of a board; that of its synthesised netlist is its entry `synthesis`.

    Raises
    ------
    ValueError
        If there is none.
    """
    file = BUDGETS / f"{board.name}.json"
    if not file.exists():
        raise ValueError(f"There is no budget {file.name} in {BUDGETS}")
    return json.loads(file.read_text())


def synthesise(board: Board) -> dict[str, Any]:
    """Return what a board's netlist takes, without place and route.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    plan = prepare(board)
    with tried(board, plan, commands(plan)[:1]) as (folder, said):
        try:
            return {"board": board.name, **read_netlist(board, folder)}
        except FileNotFoundError as error:
            raise ToolError(f"Synthesis of {board.name} failed: {said}") from error


def main(arguments: list[str]) -> int:
    """Build and judge boards; return an exit code."""
    quick = "--quick" in arguments
    names = [name for name in arguments if name != "--quick"]
    bad: list[str] = []
    for name in names or sorted(file.stem for file in BUDGETS.glob("*.json")):
        try:
            board = find_board(name)
            budget = load(board)
            if quick:
                print(f"{name}: synthesis", flush=True)
                bad += broken(synthesise(board), budget["synthesis"])
            else:
                bad += broken(
                    build(board, progress=lambda stage, name=name: print(f"{name}: {stage}", flush=True)),
                    budget,
                )
        except (ToolError, CacheError, ValueError) as error:
            bad.append(str(error))
    for sentence in bad:
        print(sentence, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

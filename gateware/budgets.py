"""Compares builds with stored budgets: `python -m gateware.budgets [BOARD ...]`, all boards that have a budget if none is named."""

import json
import sys
from pathlib import Path
from typing import Any

from .boards import find_board
from .build import build
from .reports import RESOURCES
from .verilator import ToolError

__all__ = ["BUDGETS", "broken", "main"]

BUDGETS = Path(__file__).parent.parent / "budgets"


def broken(result: dict[str, Any], budget: dict[str, Any]) -> list[str]:
    """Return a sentence for each part of a budget that a build breaks."""
    board = result["board"]
    found = [
        f"{board} takes {result[name]} {name}, {result[name] - budget[name]} more than its budget of {budget[name]}"
        for name in RESOURCES
        if result[name] > budget[name]
    ]
    if result["fmax_mhz"] < budget["fmax_mhz"]:
        found.append(f"{board} reaches {result['fmax_mhz']:.1f} MHz, below its budget of {budget['fmax_mhz']:g} MHz")
    return found


def main(names: list[str]) -> int:
    """Build and judge boards; return an exit code."""
    bad: list[str] = []
    for name in names or sorted(file.stem for file in BUDGETS.glob("*.json")):
        try:
            result = build(find_board(name), progress=lambda stage, name=name: print(f"{name}: {stage}", flush=True))
            bad += broken(result, json.loads((BUDGETS / f"{name}.json").read_text()))
        except FileNotFoundError:
            bad.append(f"There is no budget {name}.json in {BUDGETS}")
        except (ToolError, ValueError) as error:
            bad.append(str(error))
    for sentence in bad:
        print(sentence, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

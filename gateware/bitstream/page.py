"""Writes the table of builds in docs/boards.md: `python -m backpulse.gateware.bitstream.page`.

`XDG_CACHE_HOME=$PWD/build backpulse build --board B --json docs/builds/B.json` stores a build, with a path
that is the same everywhere; `make boards` stores what the boards' configurations learn, and in how many
cycles.
"""

import json
import sys
from pathlib import Path
from typing import Any

from backpulse.gateware.bitstream.reports import RESOURCES
from backpulse.gateware.boards.boards import BOARDS, Board

__all__ = ["DOCS", "REFERENCE", "RUNS", "main", "stale", "table"]

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "boards.md"
RUNS = DOCS / "boards.json"
"""What was measured on the virtual boards of all configurations."""
BEGIN, END = "<!-- builds: begin -->", "<!-- builds: end -->"
REFERENCE = "64-32-10"
"""Network by whose steps boards are compared."""


def table(results: dict[str, dict[str, Any]], runs: dict[str, dict[str, Any]]) -> str:
    """Return the table of builds, a row a board."""
    head = [
        "board",
        "part",
        "device",
        "lanes",
        *RESOURCES,
        "clock",
        "reached",
        f"cycles of a {REFERENCE} step",
        "steps/s",
        "accuracy",
    ]
    rows = [head, ["---"] * len(head)]
    rows += [_row(board, results.get(board.name), runs.get(board.name)) for board in BOARDS.values()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(board: Board, result: dict[str, Any] | None, run: dict[str, Any] | None) -> list[str]:
    used, reached, mhz = ["-"] * len(RESOURCES), "not built", board.clk_hz / 1e6
    if result is not None:
        used = [f"{result[name]} ({100 * result['fractions'][name]:.0f} %)" for name in RESOURCES]
        reached = f"{result['fmax_mhz']:.1f} MHz"
    learned = ["-"] * 3  # in front of a physical array
    if run is not None:
        learned = [
            f"{run['cycles_per_step']:g}",
            f"{mhz * 1e6 / run['cycles_per_step']:,.0f}" if result else "-",
            f"{100 * run['test_accuracy'][-1]:.1f} %",
        ]
    return [
        board.name,
        board.part.name,
        (board.front_end or "-") if run is None else run["device"],
        str(board.config.tile_cols),
        *used,
        f"{mhz:g} MHz",
        reached,
        *learned,
    ]


def _renewed() -> str:
    """Return the page with a new table."""
    results = {file.stem: json.loads(file.read_text()) for file in sorted((DOCS / "builds").glob("*.json"))}
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{table(results, json.loads(RUNS.read_text()))}\n{END}{after}"


def stale() -> bool:
    """Return whether the table in docs/boards.md differs from the stored results."""
    return _renewed() != PAGE.read_text()


def main() -> int:
    """Renew the table in docs/boards.md."""
    PAGE.write_text(_renewed())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Makes the reports that `fit` is fitted to: `python -m backpulse.gateware.bitstream.fit_runs [NAME ...]`.

Without names it makes all. Each configuration is synthesised and packed, but not placed: packing counts
everything, and accepts parts that are too small.
"""

import json
import re
import sys
from dataclasses import replace
from typing import Any

from backpulse.firmware_py.config import DEFAULT, IDEAL, Config
from backpulse.gateware.bitstream.build import commands, prepare, tried
from backpulse.gateware.bitstream.fit import REPORTS
from backpulse.gateware.bitstream.reports import count
from backpulse.gateware.boards.boards import BOARDS
from backpulse.gateware.tools import ToolError

__all__ = ["RUNS", "main"]

_SMALL = {
    "tile_rows": 64,
    "tiles": 2,
    "regions": 64,
    "program_words": 128,
    "vector_words": 256,
    "page_bytes": 128,
    "store_words": 2048,
}


def _lean() -> dict[str, Config]:
    """Return what an UP5K can hold: one machine, with memories and cells of different sizes."""
    board = BOARDS["icebreaker"].config
    return {
        "board": board,
        "one-tile": replace(board, tiles=1, regions=8, program_words=64),
        "short": replace(board, tile_rows=64, tiles=2, vector_words=128, page_bytes=64, store_words=2048),
        "tall": replace(board, tile_rows=256, tiles=4),
        "cells-12": replace(board, cell_bits=12, cell_frac=11),
        "cells-13": replace(board, tiles=4, cell_bits=13, cell_frac=12),
    }


def _whole() -> dict[str, Config]:
    ideal, full = replace(IDEAL, **_SMALL), replace(DEFAULT, **_SMALL)
    quiet = replace(full, spread=0)
    return {
        "board-25f": BOARDS["ulx3s-25f"].config,
        "board-85f": BOARDS["ulx3s-85f"].config,
        "board-85f-table": BOARDS["ulx3s-85f-table"].config,
        "ideal-4": replace(ideal, tile_cols=4),
        "ideal-8": replace(ideal, tile_cols=8),
        "ideal-16": replace(ideal, tile_cols=16),
        "ecram-4": replace(quiet, tile_cols=4),
        "ecram-12": replace(quiet, tile_cols=12),
        "spread-4": replace(full, tile_cols=4),
    }


_BOARD_OF = {"ice40": "icebreaker", "ecp5": "ulx3s-85f"}
_HELD_OUT = ("tall", "cells-12", "ideal-8", "ecram-4")
_LOG = re.compile(r"^Info:\s+(\w+):\s+(\d+)\s*/", re.MULTILINE)

RUNS = {
    f"{family}-{name}": (family, name, config)
    for family, configs in (("ice40", _lean()), ("ecp5", _whole()))
    for name, config in configs.items()
}
"""Family, configuration's name and configuration of each report."""


def run(family: str, name: str, config: Config) -> dict[str, Any]:
    """Synthesise and pack one configuration."""
    board = replace(BOARDS[_BOARD_OF[family]], config=config)
    plan = prepare(board)
    synth, pack, _ = commands(plan)
    with tried(board, plan, [synth, [*pack, "--pack-only"]]) as (folder, said):
        counts = {cell: int(used) for cell, used in _LOG.findall((folder / "top.tim").read_text())}
    if not counts:
        raise ToolError(f"The run {family}-{name} counted nothing: {said}")
    return {
        "family": family,
        "name": name,
        "config": config.to_words(),
        "held_out": name in _HELD_OUT,
        **count(family, counts),
    }


def main(names: list[str]) -> int:
    """Make reports and store each as it comes."""
    stored = {
        f"{r['family']}-{r['name']}": r for r in (json.loads(REPORTS.read_text()) if REPORTS.exists() else [])
    }
    for name in names or RUNS:
        stored[name] = run(*RUNS[name])
        print(name, {key: value for key, value in stored[name].items() if key != "config"}, flush=True)
        REPORTS.write_text(
            json.dumps([stored[n] for n in RUNS if n in stored], indent=None).replace("}, {", "},\n{") + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Place and route reports of the three families, in one form."""

import json
from pathlib import Path
from typing import Any

from backpulse.gateware.boards.boards import Board

__all__ = ["CELLS", "RESOURCES", "count", "read_netlist", "read_report"]

RESOURCES = ("luts", "ffs", "brams", "dsps")
"""Resources that a build is judged by, as named in JSON."""

CELLS = {
    "ice40": {"luts": {"ICESTORM_LC": 1}, "brams": {"ICESTORM_RAM": 1}, "dsps": {"ICESTORM_DSP": 1}},
    "ecp5": {
        "luts": {"TRELLIS_COMB": 1},
        "ffs": {"TRELLIS_FF": 1},
        "brams": {"DP16KD": 1},
        "dsps": {"MULT18X18D": 1},
    },
    "gowin": {
        "luts": {"LUT4": 1, "ALU": 1, "RAM16SDP4": 4},
        "ffs": {"DFF": 1},
        "brams": {"BSRAM": 1},
        "dsps": {"MULT18X18": 1},
    },
}
"""Weight of the cells in a family's nextpnr reports; on Gowin an adder's bit takes the place of a LUT."""

_NETLIST = {
    "ice40": {
        "luts": {"SB_LUT4": 1},
        "ffs": {"SB_DFF": 1},
        "brams": {"SB_RAM40_4K": 1},
        "dsps": {"SB_MAC16": 1},
    },
    "ecp5": {
        "luts": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        "ffs": {"TRELLIS_FF": 1},
        "brams": {"DP16KD": 1},
        "dsps": {"MULT18X18D": 1},
    },
    "gowin": {
        "luts": {"LUT": 1, "ALU": 1, "RAM16SDP4": 4},
        "ffs": {"DFF": 1},
        "brams": {"SDP": 1, "SP": 1, "DP": 1, "pROM": 1},
        "dsps": {"MULT": 1},
    },
}
"""Weight of the cells in a synthesised netlist, by the beginning of their type."""


def count(family: str, cells: dict[str, int]) -> dict[str, int]:
    """Return the resources that nextpnr's cells take."""
    return {
        name: sum(n * cells.get(cell, 0) for cell, n in kinds.items())
        for name, kinds in CELLS[family].items()
    }


def read_report(board: Board, folder: Path) -> dict[str, Any]:
    """Return the resources and the clock of a finished build.

    On iCE40 `luts` counts logic cells, each a LUT and a flip-flop; the flip-flops are counted in the netlist.

    Raises
    ------
    ValueError
        If the report names no clock.
    """
    report = json.loads((folder / "report.json").read_text())
    used = count(board.part.family, {cell: entry["used"] for cell, entry in report["utilization"].items()})
    if board.part.family == "ice40":
        used["ffs"] = read_netlist(board, folder)["ffs"]
    if not report["fmax"]:
        raise ValueError(f"The report in {folder} names no clock")
    clock = min(report["fmax"].values(), key=lambda entry: entry["achieved"])
    numbers: dict[str, Any] = {name: used[name] for name in RESOURCES}
    fractions = {name: round(used[name] / getattr(board.part, name), 4) for name in RESOURCES}
    return {
        **numbers,
        "fractions": fractions,
        "fmax_mhz": round(clock["achieved"], 2),
        "target_mhz": board.clk_hz / 1e6,
    }


def read_netlist(board: Board, folder: Path) -> dict[str, int]:
    """Return the resources of a synthesised netlist; packing adds some LUTs to them."""
    file = "top.syn.json" if board.part.family == "gowin" else "top.json"
    cells = json.loads((folder / file).read_text())["modules"]["top"]["cells"].values()
    counted = _NETLIST[board.part.family]
    return {
        name: sum(
            next((n for begin, n in kinds.items() if cell["type"].startswith(begin)), 0) for cell in cells
        )
        for name, kinds in counted.items()
    }

"""What a build says about itself: place and route reports of the three families in one form."""

import json
from pathlib import Path
from typing import Any

from .boards import Board

__all__ = ["CELLS", "RESOURCES", "read_netlist", "read_report"]

RESOURCES = ("luts", "ffs", "brams", "dsps")
"""Resources that a build is judged by, as named in JSON."""

CELLS = {
    "ice40": {"luts": "ICESTORM_LC", "brams": "ICESTORM_RAM", "dsps": "ICESTORM_DSP"},
    "ecp5": {"luts": "TRELLIS_COMB", "ffs": "TRELLIS_FF", "brams": "DP16KD", "dsps": "MULT18X18D"},
    "gowin": {"luts": "LUT4", "ffs": "DFF", "brams": "BSRAM", "dsps": "DSP"},
}
"""Name of each resource in the reports of a family's nextpnr."""

_NETLIST = {
    "ice40": {"luts": {"SB_LUT4": 1}, "ffs": {"SB_DFF": 1}, "brams": {"SB_RAM40_4K": 1}, "dsps": {"SB_MAC16": 1}},
    "ecp5": {
        "luts": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4},
        "ffs": {"TRELLIS_FF": 1},
        "brams": {"DP16KD": 1},
        "dsps": {"MULT18X18D": 1},
    },
    "gowin": {"luts": {"LUT": 1, "ALU": 1, "RAM16SDP4": 4}, "ffs": {"DFF": 1}, "brams": {"SDP": 1, "DP": 1}, "dsps": {"MULT": 1}},
}
"""How cells of a synthesised netlist, by the beginning of their type, count for each resource."""


def read_report(board: Board, folder: Path) -> dict[str, Any]:
    """Return the resources and the clock of a finished build.

    On iCE40 `luts` counts logic cells, each a LUT and a flip-flop; the flip-flops are counted in the netlist.

    Raises
    ------
    ValueError
        If the report names no clock.
    """
    report = json.loads((folder / "report.json").read_text())
    used = {name: report["utilization"].get(cell, {}).get("used", 0) for name, cell in CELLS[board.part.family].items()}
    if board.part.family == "ice40":
        used["ffs"] = read_netlist(board, folder)["ffs"]
    if not report["fmax"]:
        raise ValueError(f"The report in {folder} names no clock")
    clock = min(report["fmax"].values(), key=lambda entry: entry["achieved"])
    numbers: dict[str, Any] = {name: used[name] for name in RESOURCES}
    fractions = {name: round(used[name] / getattr(board.part, name), 4) for name in RESOURCES}
    return {**numbers, "fractions": fractions, "fmax_mhz": round(clock["achieved"], 2), "target_mhz": board.clk_hz / 1e6}


def read_netlist(board: Board, folder: Path) -> dict[str, int]:
    """Return the resources of a synthesised netlist; packing adds some LUTs to them."""
    cells = json.loads((folder / "top.json").read_text())["modules"]["top"]["cells"].values()
    counted = _NETLIST[board.part.family]
    return {
        name: sum(next((n for begin, n in kinds.items() if cell["type"].startswith(begin)), 0) for cell in cells)
        for name, kinds in counted.items()
    }

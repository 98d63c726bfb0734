"""Verilog of Amaranth components."""

from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring


def export(component: wiring.Component, name: str, *, out: Path | None = None) -> str:
    """Return the Verilog of a component, and write it to `out` if that is given.

    The text carries no source locations, so that equal designs give equal text wherever they are built.

    Parameters
    ----------
    component
        Component to elaborate; its signature gives the ports, `clk` and `rst` are added where they are used.
    name
        Name of the top module.
    out
        File to write.
    """
    text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    return text

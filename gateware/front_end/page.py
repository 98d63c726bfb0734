"""Writes netlists and lists of parts into hardware/, and the tables of docs/wiring.md.

`python -m backpulse.gateware.front_end.page` does it; a test asks whether all is as the circuits say.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from amaranth.lib.wiring import Out

from backpulse.gateware.front_end.circuit import Circuit
from backpulse.gateware.front_end.kits import KITS
from backpulse.gateware.front_end.tile import pull_of

__all__ = ["HARDWARE", "PAGE", "files", "main", "stale"]

_ROOT = Path(__file__).resolve().parents[2]
HARDWARE = _ROOT / "hardware"
PAGE = _ROOT / "docs" / "wiring.md"
_SHOWN = ("slices1", "student")
"""Kits whose tables the page has; that of more slices is told by their first."""


def files() -> Iterator[tuple[Path, str]]:
    """Return what lies in hardware/, and the page: each file with its text."""
    for name, kit in KITS.items():
        circuit = kit.circuit()
        yield HARDWARE / f"{name}.net", circuit.to_kicad()
        yield HARDWARE / f"{name}.csv", circuit.to_csv()
    text = PAGE.read_text()
    for name in _SHOWN:
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        circuit = KITS[name].circuit()
        text = f"{before}{begin}\n{_pins(name, circuit)}\n\n{_parts(circuit)}\n{end}{rest.split(end)[1]}"
    yield PAGE, text


def _pins(name: str, circuit: Circuit) -> str:
    """Return the table of the FPGA's pins."""
    members = KITS[name].component(clk_hz=50e6).pins.signature.members
    lines = ["| header | net | direction | at rest | goes to |", "| --- | --- | --- | --- | --- |"]
    for net, pin in circuit.header().items():
        member = members[net if net in members else net.rpartition("_")[0]]
        direction = "out" if member.flow == Out else "in"
        ends = ", ".join(f"{ref} {end}" for ref, end in circuit.far_ends(net) if ref[0] != "R")
        lines.append(f"| {pin} | {net} | {direction} | {pull_of(circuit, net).lower()} | {ends} |")
    return "\n".join(lines)


def _parts(circuit: Circuit) -> str:
    """Return the table of parts."""
    lines = ["| quantity | part | package | role |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {len(refs)} | {value} | {package} | {role} |" for value, package, role, refs in circuit.kinds()
    ]
    return "\n".join(lines)


def stale() -> list[Path]:
    """Return the files that differ from what the circuits say."""
    return [file for file, text in files() if not file.exists() or file.read_text() != text]


def main() -> int:
    """Write all of it."""
    for file, text in files():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

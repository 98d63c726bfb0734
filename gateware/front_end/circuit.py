"""A circuit as parts and nets: what is soldered, simulated and constrained comes from it.

Pins have the names of the data sheets, not numbers: those are for whoever draws the board, from the sheet.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["HEADER", "Circuit", "Part"]

HEADER = "J1"
"""The header of the FPGA's board; its pins have the names of amaranth-boards."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part.

    Members
    -------
    ref
        Its name on the board.
    value
        What to buy.
    package
        Its case.
    role
        What it is there for.
    """

    ref: str
    value: str
    package: str
    role: str


@dataclass
class Circuit:
    """Parts, and nets by name: each the pins that it joins, as (part, pin)."""

    name: str
    parts: dict[str, Part] = field(default_factory=dict)
    nets: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def add(self, ref: str, value: str, package: str, role: str, pins: dict[str, str]) -> None:
        """Add a part; pins are given with their nets."""
        self.parts[ref] = Part(ref=ref, value=value, package=package, role=role)
        self.join(ref, pins)

    def between(self, ref: str, value: str, package: str, role: str, a: str, b: str) -> None:
        """Add a part with two pins, P1 and P2, from one net to another."""
        self.add(ref, value, package, role, {"P1": a, "P2": b})

    def join(self, ref: str, pins: dict[str, str]) -> None:
        """Join pins of a part to nets."""
        for pin, net in pins.items():
            self.nets.setdefault(net, []).append((ref, pin))

    def pins(self, ref: str) -> dict[str, str]:
        """Return the nets of a part's pins."""
        return {pin: net for net, ends in self.nets.items() for part, pin in ends if part == ref}

    def of(self, value: str) -> list[str]:
        """Return the parts of a kind, in order."""
        return [ref for ref, part in self.parts.items() if part.value == value]

    def header(self) -> dict[str, str]:
        """Return the header's pin of each net that goes to the FPGA, without supplies."""
        return {net: pin for pin, net in self.pins(HEADER).items() if pin[-1] in "+-"}

    def far_ends(self, net: str) -> list[tuple[str, str]]:
        """Return the pins that a net joins, without the header's."""
        return [end for end in self.nets[net] if end[0] != HEADER]

    def to_kicad(self) -> str:
        """Return the netlist as KiCad reads it."""
        lines = ['(export (version "E")', f"  (design (source {_quoted(self.name)}))", "  (components"]
        for part in self.parts.values():
            fields = f"(value {_quoted(part.value)}) (footprint {_quoted(part.package)})"
            lines.append(f"    (comp (ref {_quoted(part.ref)}) {fields} (description {_quoted(part.role)}))")
        lines += ["  )", "  (nets"]
        for code, (net, ends) in enumerate(sorted(self.nets.items()), 1):
            lines.append(f"    (net (code {_quoted(str(code))}) (name {_quoted(net)})")
            lines += [f"      (node (ref {_quoted(ref)}) (pin {_quoted(pin)}))" for ref, pin in ends]
            lines.append("    )")
        return "\n".join([*lines, "  )", ")", ""])

    def to_csv(self) -> str:
        """Return the list of parts, a row for each kind and role."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["quantity", "part", "package", "role", "references"])
        for value, package, role, refs in self.kinds():
            writer.writerow([len(refs), value, package, role, " ".join(refs)])
        return text.getvalue()

    def kinds(self) -> Iterator[tuple[str, str, str, list[str]]]:
        """Return parts of a kind and role together: part, package, role, references."""
        found: dict[tuple[str, str, str], list[str]] = {}
        for part in self.parts.values():
            found.setdefault((part.value, part.package, part.role), []).append(part.ref)
        for key, refs in found.items():
            yield (*key, refs)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

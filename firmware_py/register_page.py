"""Keeps the register tables of docs/protocol.md up to date: `python -m firmware_py.register_page docs/protocol.md`."""

import sys
from pathlib import Path

from .registers import REGISTERS, Counter

BEGIN, END = "<!-- registers -->\n", "<!-- end of registers -->\n"


def tables() -> str:
    """Return the tables of registers and counters in Markdown."""
    lines = ["| address | name | words | access | bits | reset | meaning |", "|---|---|---|---|---|---|---|"]
    for r in REGISTERS:
        lines.append(f"| 0x{r.address:02x} | {r.name} | {r.count} | {r.access} | {r.bits} | {r.reset:#x} | {r.description} |")
    lines += ["", "Counters, in the order of their addresses: " + ", ".join(f"{c.value} {c.name}" for c in Counter) + "."]
    return "\n".join(lines) + "\n"


def updated(page: str) -> str:
    """Return a page with the tables between its two marks made anew.

    Raises
    ------
    ValueError
        If a mark is missing.
    """
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The page must have the lines {BEGIN.strip()} and {END.strip()}: put them where the tables belong")
    return head + begin + "\n" + tables() + "\n" + end + tail


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text()))

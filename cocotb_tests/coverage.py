"""Branch coverage of the state machines: which of their transitions no bench has taken.

`make coverage` runs the benches of sound designs with `BRANCHES=1`, which leaves counts, and then sums them up here. A state machine is
known by the Verilog of its transitions, so that those of all configurations count together. A branch counts as taken whenever its block was
evaluated with it, in the middle of a cycle too.
"""

import re
import shutil
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

KEPT = Path(__file__).parent.parent / "build" / "coverage"
_POINT = re.compile("C '.*\x01l\x02(?P<line>\\d+)\x01.*\x01o\x02(?P<kind>\\w+)\x01.*' (?P<count>\\d+)$")
_TRANSITIONS = re.compile(r"^  always @\*.*?^  end$", re.MULTILINE | re.DOTALL)
_MODULE = re.compile(r"^module (\S+) ?\(", re.MULTILINE)
_BROKEN = re.compile(r"\.broken\d")
"""In the names of modules that lie in broken variants (`mutants.Variants`)."""

Machine = tuple[str, str]
"""Name of the module, without where it lies, and the text of the transitions."""


def keep(counts: Path, verilog: Path) -> None:
    """Keep the counts of a simulation with the Verilog that they belong to."""
    KEPT.mkdir(parents=True, exist_ok=True)
    name = f"{verilog.parent.name}-{uuid.uuid4().hex}"
    shutil.move(counts, KEPT / f"{name}.dat")
    shutil.copy(verilog, KEPT / f"{name}.v")


def machines(text: str) -> Iterator[tuple[Machine, int]]:
    """Yield the state machines of a sound design, each with the line at which its transitions begin."""
    modules = [(found.start(), found[1]) for found in _MODULE.finditer(text)]
    for block in _TRANSITIONS.finditer(text):
        if re.search(r"= fsm_state;$", block[0], re.MULTILINE):
            path = max(module for module in modules if module[0] < block.start())[1]
            if _BROKEN.search(path):
                continue
            name = path.removeprefix("\\").rpartition(".")[2]
            yield (name, re.sub(r"\\\$[\w:.$]+", "*", block[0])), text.count("\n", 0, block.start()) + 1


def main() -> None:
    """Print the transitions that were not taken."""
    totals: dict[Machine, Counter[tuple[int, str]]] = defaultdict(Counter)
    for data in KEPT.glob("*.dat"):
        counts: Counter[tuple[int, str]] = Counter()
        points = defaultdict(set)
        for found in filter(None, map(_POINT.match, data.read_text().splitlines())):
            counts[int(found["line"]), found["kind"]] += int(found["count"])
            points[int(found["line"])].add(found["kind"])
        for machine, begin in machines(data.with_suffix(".v").read_text()):
            for line in range(2, machine[1].count("\n") + 1):  # after a condition of the exporter's own
                for kind in points[begin + line]:
                    totals[machine][line, kind] += counts[begin + line, kind]
    taken = sum(count > 0 for points in totals.values() for count in points.values())
    print(f"{taken} of {sum(map(len, totals.values()))} branches of {len(totals)} state machines were taken; those that were not:")
    for (name, text), points in sorted(totals.items()):
        lines = text.splitlines()
        for (line, kind), count in sorted(points.items()):
            if not count:
                state = next((before.strip() for before in reversed(lines[: line + 1]) if re.match(r"      (\d+'|default)", before)), "")
                print(f"{name} state {state} {kind} of {lines[line].strip()} {lines[min(line + 1, len(lines) - 1)].strip()}")


if __name__ == "__main__":
    main()

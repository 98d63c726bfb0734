"""Keeps the tables of the docs that repeat what the code says: `python -m backpulse.firmware_py.pages docs/*.md` writes them anew.

A table stands between the lines `<!-- name -->` and `<!-- end of name -->`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from enum import IntEnum, IntFlag
from pathlib import Path

from backpulse.firmware_py.analog import (
    AVERAGES_AT,
    CODE_OPEN,
    CODES,
    PHASE_WORDS,
    PROFILE_MEANINGS,
    LineClass,
    Phase,
    ProfileFlag,
)
from backpulse.firmware_py.config import DEFAULT, Config
from backpulse.firmware_py.device import PARAMETER_BITS
from backpulse.firmware_py.isa import FIELDS, INSTRUCTION_BITS, OPERATIONS, RESERVED, Function, Operand, Operation, When
from backpulse.firmware_py.registers import (
    REG,
    ArrayWord,
    Capability,
    Cause,
    Counter,
    TableParameter,
    TablePart,
    TileKind,
    TileParameter,
    TileState,
)
from backpulse.firmware_py.table_device import TABLE_BITS


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in Markdown."""
    lines = [list(heads), *([str(cell) for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def registers() -> str:
    """Return the registers and the counters."""
    heads = ("address", "name", "words", "access", "bits", "reset", "meaning")
    known = sorted(REG.values(), key=lambda r: r.address)
    rows = ((f"0x{r.address:02x}", r.name, r.count, r.access, r.bits, f"{r.reset:#x}", r.description) for r in known)
    counters = ", ".join(f"{c.value} {c.name}" for c in Counter)
    return table(heads, rows) + f"\nCounters, in the order of their addresses: {counters}.\n"


def configuration() -> str:
    """Return the words of CONFIG."""
    return table(("word", "field", "default"), ((i, f.name, int(getattr(DEFAULT, f.name))) for i, f in enumerate(fields(Config))))


def instructions() -> str:
    """Return the fields of an instruction word, the operations and the codes of functions."""
    places = [(name, low, width) for name, (low, width) in FIELDS.items()]
    places += [(f"{name} (reserved)", low, width) for name, (low, width) in RESERVED.items()]
    bits = table(("field", "lowest bit", "bits"), places)
    operations = table(
        ("code", "operation", "region", "reads", "writes", "scale registers", "functions"),
        ((op.value, op.name, "yes" if o.region else "", *_operands(o), _functions(o)) for op, o in OPERATIONS.items()),
    )
    functions = ", ".join(f"{f.value} {f.name}" for f in Function)
    return (
        f"{INSTRUCTION_BITS} bits; all that belong to no field or to a reserved one are zero:\n\n{bits}\n"
        "Operations. Of a vector they use the elements at the region's rows, at its columns, or all. In brackets: it is read only if\n"
        "`accumulate` is set, or by a Hadamard function.\n\n"
        f"{operations}\nFunctions: {functions}.\n"
    )


def _operands(operation: Operation) -> tuple[str, str, str]:
    """Return what an operation reads, what it writes, and its scale registers."""

    def text(operand: Operand) -> str:
        when = "" if operand.when is When.ALWAYS else f" ({operand.when.name.lower()})"
        return f"{operand.field} {operand.span.name.lower()}{when}"

    reads = ", ".join(text(o) for o in (operation.first, operation.second, operation.other) if o)
    scales = " > ".join(field for field in (operation.scale, operation.to_scale) if field)
    return reads, text(operation.written) if operation.written else "", scales


def _functions(operation: Operation) -> str:
    if len(operation.functions) == 1:
        return ""
    return "all" if operation.functions == set(Function) else "NONE, HADAMARD"


def parameters() -> str:
    """Return the words of the TILE window."""
    return table(("offset", "name", "bits"), ((p.value, p.name, PARAMETER_BITS[p]) for p in TileParameter))


def table_parameters() -> str:
    """Return the parts of the TABLE window, and the parameters of the table device."""
    parts = ", ".join(f"{part.value} {part.name}" for part in TablePart)
    return f"Parts: {parts}.\n\n" + table(("index", "name", "bits"), ((p.value, p.name, TABLE_BITS[p]) for p in TableParameter))


def array() -> str:
    """Return the words of the ARRAY window, and the codes in them."""

    def codes(numbers: Iterable[IntEnum | IntFlag]) -> str:
        return ", ".join(f"{n.value} {n.name}" for n in numbers)

    return (
        table(("offset", "name"), ((word.value, word.name) for word in ArrayWord))
        + f"\n- KIND: {codes(TileKind)}.\n"
        + f"- CAPABILITIES, a sum: {codes(Capability)}.\n"
        + f"- STATE, a sum: {codes(TileState)}.\n"
        + f"- TRIP, and causes in FAULT: {codes(Cause)}.\n"
    )


def profiles() -> str:
    """Return the words of a profile of the analog tile."""
    words = table(("offset", "name", "meaning"), ((word.value, word.name, text) for word, text in PROFILE_MEANINGS.items()))
    kinds = (", ".join(f"{n.value} {n.name}" for n in numbers) for numbers in (ProfileFlag, Phase, LineClass))
    flags, phases, classes = kinds
    return (
        f"{words}\n- FLAGS: {flags}; bits {AVERAGES_AT} to {AVERAGES_AT + 2}: k.\n"
        f"- The code of a class of lines in a phase lies at {CODES} + {PHASE_WORDS} * phase + class, bit {CODE_OPEN}: not connected.\n"
        f"- Phases: {phases}. Classes: {classes}.\n"
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "registers": registers,
    "configuration": configuration,
    "instructions": instructions,
    "tile parameters": parameters,
    "table parameters": table_parameters,
    "array window": array,
    "profile words": profiles,
}
"""Tables by name."""


def updated(page: str, sections: Mapping[str, Callable[[], str]] = SECTIONS) -> str:
    """Return a page with its tables made anew.

    Parameters
    ----------
    page : str
    sections : mapping
        What makes each table, by name.

    Raises
    ------
    ValueError
        If the page marks no table, names an unknown one or does not end one.
    """
    names = re.findall(r"^<!-- (?!end of )(.+) -->$", page, re.MULTILINE)
    if not names:
        raise ValueError("The page must mark a table by <!-- name --> and <!-- end of name -->")
    for name in names:
        if name not in sections:
            raise ValueError(f"Unknown table {name!r}; there are {', '.join(sections)}")
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        if end not in page:
            raise ValueError(f"The table {name!r} must end with the line {end.strip()}")
        head, _, rest = page.partition(begin)
        page = head + begin + "\n" + sections[name]() + "\n" + end + rest.partition(end)[2]
    return page


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path = Path(argument)
        path.write_text(updated(path.read_text()))

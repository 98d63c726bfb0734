"""Keeps the tables of docs/errors.md: `python -m backpulse.host.pages` writes it anew from `host.errors` and `host.tile`."""

import re
from collections.abc import Iterator
from pathlib import Path

from backpulse.firmware_py.pages import table, updated
from backpulse.host.errors import HostError
from backpulse.host.tile import CAUSES, FAULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"


def kinds(base: type[HostError] = HostError) -> Iterator[type[HostError]]:
    """Yield the kinds of errors, each before its own kinds."""
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def errors() -> str:
    """Return the kinds with their exit codes, and what they advise where the sentence has nothing nearer."""
    heads = ("kind", "exit code", "what it is", "what to do")
    return table(heads, ((kind.__name__, kind.exit_code, _meaning(kind), kind.advice or "the sentence says it") for kind in kinds()))


def faults() -> str:
    """Return the faults of a board."""
    rows = [(f"{code.value}", code.name, *FAULTS[code]) for code in FAULTS]
    return table(("code", "fault", "what has happened", "what to do"), rows)


def causes() -> str:
    """Return the causes of a tile's failures."""
    rows = [(f"{cause.value}", cause.name, *CAUSES[cause]) for cause in CAUSES]
    return table(("code", "cause", "what has happened", "what to do"), rows)


SECTIONS = {"errors": errors, "faults": faults, "causes": causes}


def _meaning(kind: type[HostError]) -> str:
    first = (kind.__doc__ or "").partition("\n")[0]
    return re.sub(r" \(exit code \d+\)", "", first)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(), SECTIONS))

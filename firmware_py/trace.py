"""What a tile has answered, in units of 16 bits: the records of the ring behind TRACE, and of the files made of it (docs/trace.md).

A unit begins with its kind, in the two lowest bits. A sense word is one unit. The completion of a read is one unit as well, that of a
PULSE six: the first, the pulses asked for and done in two units each (low half first), and the rows whose counts were taken. A row that
got fewer pulses than asked for is three units: the first has its number in the tile, then come the pulses asked for and done. It
stands before the completion. The completion of a read may stand before its last sense words.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import islice
from typing import NamedTuple

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import FIELDS, OPERATIONS, REGION_WORDS, Op

UNIT_BITS = 16
"""Bits of a unit; a word of the TRACE window holds two, the first in its low half."""


class Kind(IntEnum):
    """What a record is of: the lowest bits of its first unit."""

    NONE = 0
    SENSE = 1
    COMPLETION = 2
    SHORT = 3


SENSE_BITS = {"kind": (0, 2), "over": (2, 1), "last": (3, 1), "value": (4, 12)}
"""Lowest bit and width of the fields of a sense word's unit; the value is signed."""
COMPLETION_BITS = {"kind": (0, 2), "status": (2, 2), "cause": (4, 4), "op": (8, 4)}
"""The same of a completion's first unit."""
SHORT_BITS = {"kind": (0, 2), "row": (2, 14)}
"""The same of the first unit of a row that stopped short."""
PULSE_UNITS = 6
"""Units of the completion of a PULSE."""
SHORT_UNITS = 3
"""Units of a row that stopped short."""


class Ended(IntEnum):
    """How a tile's command ended: as asked, by an abort, not begun as the tile does not know it, or by a failure."""

    OK = 0
    ABORTED = 1
    REFUSED = 2
    FAILED = 3


def ring_units(config: Config) -> int:
    """Return the units that a machine's ring keeps; its counters TRACE_WRITTEN and TRACE_READ wrap at twice as many."""
    return 2 * config.trace_words


def sample_units(config: Config, words: np.ndarray, regions: np.ndarray) -> int:
    """Return the units that some instructions leave if nothing goes wrong.

    Parameters
    ----------
    config
        Of the machine.
    words
        Instruction words, int64: those of one sample.
    regions
        The table of regions, int64 of shape (regions, `REGION_WORDS`).
    """

    def field(name: str) -> np.ndarray:
        low, width = FIELDS[name]
        return words >> low & (1 << width) - 1

    op, region = field("op"), field("region")
    placed = np.isin(op, [op for op, operation in OPERATIONS.items() if operation.region]) & (region < len(regions))
    sides = regions.reshape(-1, REGION_WORDS)[np.where(placed, region, 0), 1]
    cols, rows = np.minimum(sides & 0xFFFF, config.tile_cols), np.minimum(sides >> 16, config.tile_rows)
    units = np.select([op == Op.READ, op == Op.READT, op == Op.PULSE], [cols + 1, rows + 1, np.full_like(op, PULSE_UNITS)], 0)
    return int(units[placed].sum())


class Record(NamedTuple):
    """A record, of which fields that its kind has not are 0."""

    kind: Kind
    value: int = 0
    over: int = 0
    last: int = 0
    status: int = 0
    cause: int = 0
    op: int = 0
    row: int = 0
    asked: int = 0
    done: int = 0
    rows: int = 0


def parse(units: Iterable[int]) -> Iterator[Record]:
    """Return the records of units, up to one that is not whole.

    Raises
    ------
    ValueError
        If a record begins with a unit that begins none.
    """
    rest = iter(units)
    for number, unit in enumerate(rest):
        kind = unit & 3
        if kind == Kind.SENSE:
            found = _fields(SENSE_BITS, unit)
            sign = 1 << SENSE_BITS["value"][1] - 1
            yield Record(Kind.SENSE, **found | {"value": (found["value"] ^ sign) - sign})
        elif kind == Kind.COMPLETION:
            found = _fields(COMPLETION_BITS, unit)
            more = list(islice(rest, PULSE_UNITS - 1)) if found["op"] == Op.PULSE else [0] * (PULSE_UNITS - 1)
            if len(more) < PULSE_UNITS - 1:
                return
            asked, done = (more[i] | more[i + 1] << UNIT_BITS for i in (0, 2))
            yield Record(Kind.COMPLETION, **found, asked=asked, done=done, rows=more[4])
        elif kind == Kind.SHORT:
            more = list(islice(rest, SHORT_UNITS - 1))
            if len(more) < SHORT_UNITS - 1:
                return
            yield Record(Kind.SHORT, **_fields(SHORT_BITS, unit), asked=more[0], done=more[1])
        else:
            raise ValueError(f"Record {number} of the trace begins with 0x{unit:04x}, which begins none")


def _fields(bits: dict[str, tuple[int, int]], unit: int) -> dict[str, int]:
    return {name: unit >> low & (1 << width) - 1 for name, (low, width) in bits.items() if name != "kind"}

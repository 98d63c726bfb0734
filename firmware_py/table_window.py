"""The TABLE window of the golden machine."""

import numpy as np

from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.registers import TABLE_PART_SHIFT, TableParameter, TablePart
from backpulse.firmware_py.table_device import CLASS_BITS, LEAK_BITS, ROOT_BITS, SEGMENTS, TABLE_BITS, VISIT_BITS
from backpulse.firmware_py.table_memory import Law, segment_words


class TableWindow:
    """Reads and writes the words of the table device; an address without a word is a BusError."""

    def __init__(self, law: Law, cell_bits: int) -> None:
        self._words = {
            TablePart.SEGMENTS: np.zeros(4 * SEGMENTS, np.int64),
            TablePart.ROOT: law.root,
            TablePart.LEAK: law.leak,
            TablePart.PARAMETERS: law.parameters,
            TablePart.VISITED: law.visited,
        }
        self._law, self._low = law, 0
        self._bits = TABLE_BITS | {TableParameter.REST: max(TABLE_BITS[TableParameter.REST], -cell_bits)}

    def read(self, offset: int) -> int:
        """Return a word: of a signed number 32 bits."""
        words, index = self._find(offset)
        return int(words[index])

    def write(self, offset: int, word: int) -> None:
        """Write a word; the first of a segment is kept until the second is written."""
        words, index = self._find(offset)
        match offset >> TABLE_PART_SHIFT:
            case TablePart.SEGMENTS if index % 2 == 0:
                self._low = word
            case TablePart.SEGMENTS:
                words[index - 1], words[index] = self._low, _number(word, CLASS_BITS)
            case TablePart.ROOT:
                words[index] = _number(word, ROOT_BITS)
            case TablePart.LEAK:
                words[index] = _number(word, LEAK_BITS)
            case TablePart.PARAMETERS:
                words[index] = _number(word, self._bits[TableParameter(index)])
            case TablePart.VISITED:
                words[index] = _number(word, VISIT_BITS)
        if offset >> TABLE_PART_SHIFT <= TablePart.ROOT:
            low, kind = self._words[TablePart.SEGMENTS].reshape(-1, 2).T
            self._law.segments[:] = segment_words(low, kind, self._law.root)

    def _find(self, offset: int) -> tuple[np.ndarray, int]:
        part, index = offset >> TABLE_PART_SHIFT, offset & ((1 << TABLE_PART_SHIFT) - 1)
        if part not in set(TablePart) or index >= len(self._words[TablePart(part)]):
            raise BusError
        return self._words[TablePart(part)], index


def _number(word: int, bits: int) -> int:
    """Return a word as a number of so many bits, signed if negative: what does not fit is dropped."""
    low = word & ((1 << abs(bits)) - 1)
    return low - (1 << -bits) if bits < 0 and low >> (-bits - 1) else low

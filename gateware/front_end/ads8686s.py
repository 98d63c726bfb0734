"""ADS8686S: two converters of 16 bits, A and B, of eight inputs each; a CONVST converts a sequence of pairs.

Registers as of SBAS905C. [K] on the wiring page: the last word of a burst, on both lines, has the number of
the last input of A and of B, and the CRC of all results in the order A0 B0 A1 B1 ...
"""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Iterator, Sequence
from enum import IntEnum

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.gateware.front_end.crc8 import BITS as CRC_BITS
from backpulse.gateware.front_end.crc8 import crc8, skip, step

__all__ = ["PAIRS", "RANGES", "WORD_BITS", "Burst", "Register", "last_word", "setup"]

PAIRS = 8
"""Inputs of A, and of B."""
WORD_BITS = 16
RANGES = {2.5: 0b01, 5.0: 0b10, 10.0: 0b00}
"""Bits of an input's range, by its volts."""


class Register(IntEnum):
    """Addresses."""

    CONFIG = 0x02
    RANGE_A1 = 0x04
    """Four inputs a register: A1, A2, B1, B2."""
    SEQUENCE = 0x20
    """Pairs of inputs, one a register."""


_BURST = 1 << 6
_SEQUENCE = 1 << 5
_STATUS = 1 << 1
_CRC = 1 << 0
_LAST_PAIR = 1 << 8


def _write(register: int, value: int) -> int:
    return 1 << 15 | register << 9 | value


def setup(volts: float) -> Iterator[int]:
    """Return the frames after a reset; the first conversion after them loads the sequence.

    Raises
    ------
    ValueError
        If there is no such range.
    """
    if volts not in RANGES:
        raise ValueError(
            f"Range of an ADS8686S must be one of {', '.join(f'{v:g}' for v in RANGES)} V, not {volts:g} V"
        )
    for i in range(4):
        yield _write(Register.RANGE_A1 + i, 0b01010101 * RANGES[volts])
    for i in range(PAIRS):
        yield _write(Register.SEQUENCE + i, i << 4 | i | _LAST_PAIR * (i == PAIRS - 1))
    yield _write(Register.CONFIG, _BURST | _SEQUENCE | _STATUS | _CRC)


def last_word(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the word after a burst with these results."""
    results = b"".join(
        (x & 0xFFFF).to_bytes(2, "big") + (y & 0xFFFF).to_bytes(2, "big") for x, y in zip(a, b, strict=True)
    )
    return (len(a) - 1) << 12 | (len(b) - 1) << 8 | crc8(results)


class Burst(wiring.Component):
    """Takes the words of a burst from all chips at once, keeps the results and judges the last words.

    Parameters
    ----------
    chips
        How many; lines are those of A of all chips, then those of B.

    Members
    -------
    reading
        Words are those of a burst.
    bit, bits, received, answers
        From the shifter.
    done
        Strobe: the last words are in; with it `numbered`: they name the last inputs, and `good`: their CRC is
        that of the results.
    pair, results
        Results of a pair, all lines.
    """

    def __init__(self, chips: int) -> None:
        self._chips = chips
        super().__init__(
            {
                "reading": In(1),
                "bit": In(1),
                "bits": In(2 * chips),
                "received": In(1),
                "answers": In(data.ArrayLayout(WORD_BITS, 2 * chips)),
                "done": Out(1),
                "numbered": Out(1),
                "good": Out(1),
                "pair": In(range(PAIRS)),
                "results": Out(data.ArrayLayout(WORD_BITS, 2 * chips)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        lines = 2 * self._chips
        count = Signal(range(PAIRS + 1))
        last = Signal()
        crcs = Signal(data.ArrayLayout(CRC_BITS, lines))
        m.d.comb += [last.eq(count == PAIRS), self.done.eq(self.reading & self.received & last)]
        with m.If(self.reading & self.received):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        for i in range(lines):
            m.submodules[f"results_{i}"] = results = Memory(shape=WORD_BITS, depth=PAIRS, init=[])
            write, read = results.write_port(), results.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(count[:-1]),
                write.data.eq(self.answers[i]),
                write.en.eq(self.reading & self.received & ~last),
                read.addr.eq(self.pair),
                self.results[i].eq(read.data),
            ]
            # The CRC is linear: that of A's results, with zeros for B's between them, and that of B's, with
            # zeros for A's, make it together.
            b = i >= self._chips
            with m.If(~self.reading | self.done):
                m.d.sync += crcs[i].eq(0)
            with m.Elif(self.received & ~last & ~(b & (count == PAIRS - 1))):
                m.d.sync += crcs[i].eq(skip(crcs[i], WORD_BITS))
            with m.Elif(self.bit & ~last):
                m.d.sync += crcs[i].eq(step(crcs[i], self.bits[i]))
        numbered = Signal(lines)
        good = Signal(lines)
        inputs = Const((PAIRS - 1) << 4 | PAIRS - 1, WORD_BITS - CRC_BITS)
        for i in range(lines):
            chip = i % self._chips
            m.d.comb += [
                numbered[i].eq(self.answers[i][CRC_BITS:] == inputs),
                good[i].eq(self.answers[i][:CRC_BITS] == crcs[chip] ^ crcs[self._chips + chip]),
            ]
        m.d.comb += [self.numbered.eq(numbered.all()), self.good.eq(good.all())]
        return m

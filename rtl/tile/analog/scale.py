"""Makes sense words of the sums of samples."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import (
    AVERAGES_LOG2_MAX,
    FACTOR_BITS,
    GAIN_BITS,
    GAIN_FRAC,
    LINE_WORDS,
    OFFSET_BITS,
    SENSE_SHIFT_MAX,
    SUM_BITS,
    Lines,
    LineWord,
    Reference,
)
from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.numbers import rshift_parts
from backpulse.rtl.tile.analog.codes import region_layout
from backpulse.rtl.tile.analog.multiplier import LEFT_BITS, PRODUCT_BITS
from backpulse.rtl.tile.analog.tables import sum_layout
from backpulse.rtl.tile.signature import sense_layout

__all__ = ["Scale", "drives_bits"]


def drives_bits(config: Config) -> int:
    """Return the bits of the sum of the drives of a read, signed."""
    return (max(config.tile_rows, config.tile_cols) * config.drive_max).bit_length() + 1


class Scale(wiring.Component):
    """Gives the sense words of a read, in order, one in some ten cycles, as `sense_word` of firmware_py says.

    Parameters
    ----------
    config, lines
        Of the tile.

    Members
    -------
    start
        Strobe: begin. A reset drops what is not given. What it is of must be steady:
    transposed, region
        Rows are sensed, not columns; those of the region.
    averages_log2, doubled, single, sense_shift
        log2 of the conversions of a phase; two phases have driven each drive; there was one phase; as
        ProfileWord.SENSE_SHIFT.
    drives
        Sum of the drives.
    running
        Not all words are given.
    o
        Sense words.
    sum_at, sum, line_at, line_word
        Look-ups, answered in the next cycle.
    left, right, product
        Multiplications, answered two cycles later.
    """

    def __init__(self, config: Config, lines: Lines) -> None:
        self._config, self._lines = config, lines
        super().__init__(
            {
                **dict.fromkeys(("start", "transposed", "doubled", "single"), In(1)),
                "region": In(region_layout(config)),
                "averages_log2": In(range(AVERAGES_LOG2_MAX + 1)),
                "sense_shift": In(range(SENSE_SHIFT_MAX + 1)),
                "drives": In(signed(drives_bits(config))),
                "running": Out(1),
                "o": Out(stream.Signature(sense_layout(config))),
                "sum_at": Out(range(lines.count)),
                "sum": In(sum_layout()),
                "line_at": Out(range(LINE_WORDS * lines.count)),
                "line_word": In(signed(FACTOR_BITS)),
                "left": Out(signed(LEFT_BITS)),
                "right": Out(signed(FACTOR_BITS)),
                "product": In(signed(PRODUCT_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, lines, region = self._config, self._lines, self.region
        pairs = int(lines.reference is Reference.PAIRS)
        line = Signal(range(lines.count))
        word = Signal(LineWord)
        left = Signal(range(max(lines.rows, lines.cols) + 1))
        second = Signal()
        level = Signal(signed(SUM_BITS + 1))
        # The sum of samples is made as much larger as the drives' share may be made smaller.
        of_sums = SUM_BITS + GAIN_BITS + SENSE_SHIFT_MAX
        of_drives = drives_bits(config) + FACTOR_BITS + AVERAGES_LOG2_MAX + 1 + SENSE_SHIFT_MAX
        total = Signal(signed(max(of_sums, of_drives) + 1))
        over = Signal()
        size = Signal(len(total) - 1)
        shifted = Signal(range(AVERAGES_LOG2_MAX + 2))
        of_factor = Signal(range(AVERAGES_LOG2_MAX + SENSE_SHIFT_MAX + 2))
        lost = Signal(range(GAIN_FRAC + AVERAGES_LOG2_MAX + SENSE_SHIFT_MAX + 2))
        low, half, beyond = rshift_parts(m, size, lost, config.sense_bits - 1)
        low1 = Signal(len(low) + 1)
        of_pair = ~self.transposed if pairs else Const(0)
        m.d.comb += [
            shifted.eq(self.averages_log2 + self.doubled),
            self.sum_at.eq(line),
            self.line_at.eq(line * LINE_WORDS + word),
            self.running.eq(left != 0),
            self.left.eq(level),
            self.right.eq(self.line_word),
            self.o.p.last.eq(left == 1),
            self.o.p.over.eq(over),
            self.o.p.value.eq(Mux(total < 0, -low1, low1)),
        ]
        m.d.sync += [
            of_factor.eq(shifted + SENSE_SHIFT_MAX - self.sense_shift),
            lost.eq(GAIN_FRAC + of_factor),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [
                    line.eq(Mux(self.transposed, region.row0, lines.rows + (region.col0 << pairs))),
                    total.eq(0),
                    over.eq(0),
                    second.eq(0),
                ]
                with m.If(self.start):
                    m.d.sync += left.eq(Mux(self.transposed, region.rows, region.cols))
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += word.eq(LineWord.OFFSET)
                m.next = "OFFSET"
            with m.State("OFFSET"):
                m.d.comb += word.eq(LineWord.GAIN)
                offset = self.line_word[:OFFSET_BITS].as_signed()
                m.d.sync += [
                    level.eq(self.sum.value - Mux(self.single, offset << self.averages_log2, 0)),
                    over.eq(over | self.sum.over),
                ]
                m.next = "GAIN"
            with m.State("GAIN"):
                m.d.comb += word.eq(LineWord.FACTOR)
                m.next = "FACTOR"
            with m.State("FACTOR"):
                m.d.comb += self.left.eq(0 if pairs else self.drives)
                m.next = "ADD"
            with m.State("ADD"):
                product = self.product << SENSE_SHIFT_MAX
                m.d.sync += total.eq(Mux(second, total - product, total + product))
                m.next = "SUBTRACT"
            with m.State("SUBTRACT"):
                m.d.sync += total.eq(total - (self.product << of_factor))
                m.next = "SIZE"
                with m.If(of_pair & ~second):
                    m.d.sync += [second.eq(1), line.eq(line + 1)]
                    m.next = "SUM"
            with m.State("SIZE"):
                m.d.sync += size.eq(abs(total))
                m.next = "SHIFT"
            with m.State("SHIFT"):
                # Half of one more is one more, and may be the first that is clipped.
                m.d.sync += [low1.eq(low + half), size.eq(beyond)]
                m.next = "CLIP"
            with m.State("CLIP"):
                with m.If(size[0] | low1[-1]):
                    m.d.sync += [low1.eq(config.sense_max), over.eq(1)]
                m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [left.eq(left - 1), line.eq(line + 1), total.eq(0), over.eq(0), second.eq(0)]
                    m.next = "SUM"
                    with m.If(left == 1):
                        m.next = "IDLE"
        return m

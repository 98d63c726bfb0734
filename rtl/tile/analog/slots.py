"""A row of pulse counts, slot by slot: which columns get a pulse, and when another set of them does."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import Lines, Reference
from backpulse.firmware_py.config import Config
from backpulse.rtl.tile.analog.interlock import BUDGET_BITS
from backpulse.rtl.tile.signature import counts_layout

__all__ = ["Slots"]


class Slots(wiring.Component):
    """Keeps a row of counts, and looks at one physical column after the other.

    Parameters
    ----------
    config, lines
        Of the tile.

    Members
    -------
    counts
        A row on offer; `any`: it has a count. `take`: strobe, keep it.
    up, down
        Polarities in which columns of the row get pulses.
    begin
        Strobe: the next column looked at is the first. `polarity` is 1 for down, `slot` the number of a pulse
        in its polarity, from 1 on; both are steady until the last column was looked at.
    budget
        As of the interlock, steady likewise. If it is not enough for all columns of a slot, the first of them
        get what is left.
    look
        Strobe: go on to the next column.
    selected
        This column gets a pulse in this slot.
    number, cut
        How many do; some do not for want of budget.
    until, more
        The last slot of the same columns; there are others behind it.
    asked
        Sum of the sizes of the row's counts, when all columns were looked at once.
    """

    def __init__(self, config: Config, lines: Lines) -> None:
        self._config, self._pairs = config, lines.reference is Reference.PAIRS
        slot = range(config.pulse_max + 1)
        super().__init__(
            {
                "counts": In(counts_layout(config)),
                **dict.fromkeys(("take", "begin", "polarity", "look"), In(1)),
                "budget": In(BUDGET_BITS),
                "slot": In(slot),
                **dict.fromkeys(("any", "up", "down", "selected", "cut", "more"), Out(1)),
                "number": Out(range(lines.cols + 1)),
                "until": Out(slot),
                "asked": Out(range(config.tile_cols * config.pulse_max + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        most, bits = self._config.pulse_max, self._config.count_bits
        row = Signal(self.counts.as_value().shape())
        second = Signal()
        count = row[:bits].as_signed()
        size = Signal(range(most + 1))
        highest = Signal.like(size)
        of_polarity = Signal()
        wanted = Signal()
        counting = Signal()
        last_side = second if self._pairs else Const(1)
        m.d.comb += [
            self.any.eq(self.counts.as_value() != 0),
            size.eq(abs(count)),
            of_polarity.eq((size != 0) & ((count < 0) ^ second == self.polarity)),
            wanted.eq(of_polarity & (size >= self.slot)),
            self.selected.eq(wanted & ((self.budget > self.number) | (self.budget == 0))),
            self.more.eq(highest > self.until),
        ]
        lanes = Signal(range(len(self.counts)))
        with m.If(self.look):
            m.d.sync += second.eq(~last_side)
            with m.If(last_side):
                m.d.sync += [row.eq(row.rotate_right(bits)), lanes.eq(lanes + 1)]
                with m.If(counting):
                    m.d.sync += self.asked.eq(self.asked + size)
                with m.If(lanes == len(self.counts) - 1):
                    m.d.sync += [lanes.eq(0), counting.eq(0)]
            with m.If(of_polarity & (size > highest)):
                m.d.sync += highest.eq(size)
            with m.If(wanted & (size < self.until)):
                m.d.sync += self.until.eq(size)
            with m.If(self.selected):
                m.d.sync += self.number.eq(self.number + 1)
            with m.If(wanted & ~self.selected):
                m.d.sync += self.cut.eq(1)
        with m.If(self.begin):
            m.d.sync += [self.number.eq(0), self.until.eq(most), highest.eq(0), self.cut.eq(0)]
        with m.If(self.take):
            ups, downs = (Cat(side(count) for count in self.counts).any() for side in (_up, _down))
            m.d.sync += [
                row.eq(self.counts),
                self.up.eq(ups | (downs if self._pairs else 0)),
                self.down.eq(downs | (ups if self._pairs else 0)),
                self.asked.eq(0),
                counting.eq(1),
            ]
        return m


def _up(count) -> Value:
    return (count > 0).bool()


def _down(count) -> Value:
    return count[-1]

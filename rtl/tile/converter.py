"""The emulated tile's converter: a sense word a cycle from the lanes' sums, with noise and full scale."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportInvalidTypeForm=false

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.numbers import rshift, sat
from backpulse.rtl.lib.trees import GROUP, sum_tree, tree_stages
from backpulse.rtl.lib.xorshift import gauss, xorshift
from backpulse.rtl.tile.layouts import sum_bits
from backpulse.rtl.tile.signature import sense_layout

__all__ = ["Converter", "ReadNoise", "row_stages"]

FIFO_DEPTH = 8
"""Sense words in the pipeline: at least the cycles from asking for one to having its room back."""
TAIL = 2
"""Adder levels that share a stage with the noise."""


def row_stages(config: Config) -> int:
    """Return the cycles that READT's adder tree adds to the latency of a sense word."""
    return tree_stages(config.tile_cols, tail=TAIL)


NUMBER = signed(10 + 16)
"""Shape of a noise number: gauss times READ_SIGMA."""


class ReadNoise(wiring.Component):
    """The read-noise streams, one a bank.

    Members
    -------
    advance, bank
        Take the next word of a bank.
    number
        Its noise, two cycles after `advance`.
    sigma
        READ_SIGMA.
    host_write, host_bank, host_data
        Write strobe for a bank's state.
    states
        The states.
    """

    advance: In(1)
    bank: In(1)
    sigma: In(16)
    number: Out(NUMBER)
    host_write: In(1)
    host_bank: In(1)
    host_data: In(32)
    states: Out(32, init=1).array(2)

    def elaborate(self, platform) -> Module:
        m = Module()
        states = Array(self.states)
        fresh = Signal()
        word = Signal(32)
        drawn = Signal(signed(10))
        m.d.comb += word.eq(xorshift(states[self.bank]))
        m.d.sync += [fresh.eq(self.advance), drawn.eq(gauss(word))]
        with m.If(self.host_write):
            m.d.sync += states[self.host_bank].eq(self.host_data)
        with m.Elif(self.advance):
            m.d.sync += states[self.bank].eq(word)
        with m.If(fresh):
            m.d.sync += self.number.eq(drawn * self.sigma)
        return m


class Converter(wiring.Component):
    """Turns lane sums into sense words in the order asked.

    A column asked for in cycle Q is offered on `sense` in Q + 5, a row in Q + 5 + `row_stages`; one can be
    asked for in every cycle in which `room` is high. Nothing behind the asking ever stalls: room is kept in a
    FIFO. A reset drops all words in the pipeline.

    Parameters
    ----------
    config
        Widths and columns.

    Members
    -------
    products, totals
        From the lanes: the products of a row three cycles after `ask_row`, the column sums two cycles after
        `ask_column`.
    ask_row, ask_column, column, last
        Ask for the sum of the current row or of a column; `last` marks the end of a command.
    advance, noise
        To and from `ReadNoise`.
    ended
        The word of `last` is offered in the next cycle.
    busy
        Words are in the pipeline, or offered.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "products": In(signed(config.drive_bits + config.cell_bits)).array(config.tile_cols),
                "totals": In(signed(sum_bits(config))).array(config.tile_cols),
                "ask_row": In(1),
                "ask_column": In(1),
                "column": In(range(config.tile_cols)),
                "last": In(1),
                "room": Out(1),
                "advance": Out(1),
                "noise": In(NUMBER),
                "sense": Out(stream.Signature(sense_layout(config))),
                "ended": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        stages = row_stages(config)

        layout = sense_layout(config)
        m.submodules.fifo = fifo = SyncFIFO(width=layout.size, depth=FIFO_DEPTH)

        # Column path: two stages of multiplexers, then the sum with the noise.
        low = (GROUP - 1).bit_length()
        column1 = Signal.like(self.column)
        column2 = Signal.like(self.column)
        group3 = Signal(range(-(-config.tile_cols // GROUP)))
        column_due = _delay(m, self.ask_column, 3)
        groups = [Array(self.totals[i : i + GROUP]) for i in range(0, config.tile_cols, GROUP)]
        shape = signed(sum_bits(config))
        picked3 = Array(Signal(shape, name=f"picked_{i}", reset_less=True) for i in range(len(groups)))
        m.d.sync += [
            column1.eq(self.column),
            column2.eq(column1),
            group3.eq(column2 >> low),
            *(p.eq(g[column2[:low]]) for p, g in zip(picked3, groups, strict=True)),
        ]

        # Row path: the products are there three cycles after asking, then the adder tree.
        row_sum, row_due = sum_tree(m, self.products, _delay(m, self.ask_row, 3), tail=TAIL)

        # The noise takes two cycles: it starts two cycles before the sum.
        m.d.comb += self.advance.eq(_delay(m, self.ask_column, 1) | _delay(m, self.ask_row, stages + 1))
        noise = self.noise if config.read_noise else Const(0, signed(1))
        total = Signal(signed(max(sum_bits(config), NUMBER.width) + 1), reset_less=True)
        m.d.sync += total.eq(Mux(column_due, picked3[group3], row_sum) + noise)

        word = Signal(layout)
        last_column = _delay(m, self.ask_column & self.last, 4)
        last_row = _delay(m, self.ask_row & self.last, stages + 4)
        value, over = sat(rshift(total, config.sense_shift), config.sense_max)
        m.d.comb += [
            word.value.eq(value),
            word.over.eq(over),
            word.last.eq(last_column | last_row),
            fifo.w_data.eq(word),
            fifo.w_en.eq(_delay(m, column_due | row_due, 1)),
            self.ended.eq(word.last),
            self.sense.payload.eq(fifo.r_data),
            self.sense.valid.eq(fifo.r_rdy),
            fifo.r_en.eq(self.sense.ready),
        ]

        left = Signal(range(FIFO_DEPTH + 1), init=FIFO_DEPTH)
        m.d.comb += [self.room.eq(left != 0), self.busy.eq(left != FIFO_DEPTH)]
        m.d.sync += left.eq(left - (self.ask_row | self.ask_column) + (self.sense.valid & self.sense.ready))
        return m


def _delay(m: Module, bit: ValueLike, cycles: int) -> Value:
    late = Value.cast(bit)
    for _ in range(cycles):
        earlier = late
        late = Signal(name="late")
        m.d.sync += late.eq(earlier)
    return late

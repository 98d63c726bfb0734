"""The pulse planner of real arrays: one column after the other, while the row before is pulsed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.numbers import rshift_by
from backpulse.rtl.lib.xorshift import xorshift
from backpulse.rtl.units.planner import BYTES_MAX, PLANNED_MAX, SHIFT_MAX, planner_signature, pulse_shift

__all__ = ["SerialPlanner"]


class SerialPlanner(wiring.Component):
    """A `Planner` in all but time: one multiplier for all columns, and a row takes a cycle a column and five.

    The next row is planned while `o_counts` waits.

    Parameters
    ----------
    config
        As of `Planner`.

    Members
    -------
    As `Planner`. Totals are those of the row that was given in the cycle before. `clear` may leave the
    rounding streams of some lanes a word ahead of the others.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(planner_signature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        config, lanes = self._config, self._config.tile_cols

        # The executing command.
        cmd = self.cmd.payload
        accept = self.cmd.valid & self.cmd.ready
        take_column, take_row, give = (s.valid & s.ready for s in (self.i_column, self.i_row, self.o_counts))
        mantissa = Signal(16)
        stochastic = Signal()
        column = Signal(range(lanes))
        first = Signal.like(column)
        beyond = Signal(range(lanes + 1))
        rows_left = Signal.like(cmd.rows)
        cols_left = Signal.like(cmd.cols)
        to_give = Signal.like(cmd.rows)
        lose = Signal(range(SHIFT_MAX + 1))
        kept = Signal(BYTES_MAX + 1)
        f_of_cmd, q_of_cmd = pulse_shift(m, cmd.exponent, cmd.scale_log2, cmd.magnitude)
        with m.If(accept):
            m.d.sync += [
                rows_left.eq(cmd.rows),
                to_give.eq(cmd.rows),
                cols_left.eq(cmd.cols),
                column.eq(cmd.col0),
                first.eq(cmd.col0),
                beyond.eq(cmd.col0 + cmd.cols),
                mantissa.eq(cmd.mantissa),
                stochastic.eq(cmd.stochastic),
                lose.eq(f_of_cmd),
                kept.eq(1 << q_of_cmd),
            ]

        # Columns: magnitude, product, shift, then saturation into the memory.
        word = data.StructLayout({"size": PLANNED_MAX.bit_length(), "negative": 1})
        m.submodules.planned = planned = Memory(shape=word, depth=lanes, init=[])
        put = planned.write_port()
        get = planned.read_port()
        size_column0 = Signal(config.vector_bits)
        product1 = Signal(config.vector_bits + 16)
        rounded2 = Signal(config.vector_bits + 17)
        place = data.StructLayout({"lane": column.shape(), "negative": 1})
        column0, column1, column2 = (Signal(place, name=f"column{stage}") for stage in range(3))
        loading = Signal(3)
        m.d.comb += [
            self.i_column.ready.eq(cols_left != 0),
            put.addr.eq(column2.lane),
            put.data.size.eq(Mux(rounded2[PLANNED_MAX.bit_length() :].any(), PLANNED_MAX, rounded2)),
            put.data.negative.eq(column2.negative),
            put.en.eq(loading[2]),
        ]
        m.d.sync += [
            loading.eq(Mux(self.clear, 0, Cat(take_column, loading))),
            product1.eq(size_column0 * mantissa),
            column1.eq(column0),
            rounded2.eq(rshift_by(product1, lose)),
            column2.eq(column1),
        ]
        with m.If(take_column):
            m.d.sync += [
                size_column0.eq(abs(self.i_column.payload)),
                column0.negative.eq(self.i_column.payload < 0),
                column0.lane.eq(column),
                column.eq(column + 1),
                cols_left.eq(cols_left - 1),
            ]

        # A row: each lane's words (stage 1), product and state (stage 2), rounded (stage 3), limited into the
        # row; that goes on when it is whole and there is room.
        m.submodules.states = states = Memory(shape=32, depth=lanes, init=[1] * lanes)
        state_put = states.write_port()
        state_get = states.read_port()
        advanced = Signal(32)
        m.d.comb += advanced.eq(xorshift(state_get.data))
        size = Signal(config.vector_bits)
        negative = Signal()
        busy = Signal()
        walking = Signal()
        lane0 = Signal(range(lanes))
        lane1 = Signal.like(lane0)
        inside1 = Signal()
        full = Signal(3)
        last = Signal(3)
        product2 = Signal(config.vector_bits + 15)
        random2 = Signal(16)
        wanted3 = Signal(config.vector_bits)
        negative2 = Signal()
        negative3 = Signal()
        whole = Signal()
        row = Signal(self.o_counts.payload.as_value().shape())
        go_on = Signal()
        m.d.comb += [
            self.i_row.ready.eq((cols_left == 0) & ~loading.any() & (rows_left != 0) & ~busy),
            go_on.eq(whole & (~self.o_counts.valid | self.o_counts.ready)),
            get.addr.eq(lane0),
        ]
        lost = reduce(or_, (product2[8 * k :] & bit.replicate(len(product2)) for k, bit in enumerate(kept)))
        m.d.sync += [
            full.eq(Cat(walking, full)),
            last.eq(Cat(walking & (lane0 == lanes - 1), last)),
            lane1.eq(lane0),
            inside1.eq((lane0 >= first) & (lane0 < beyond)),
            product2.eq(size * Mux(inside1, get.data.size, 0)),
            random2.eq(Mux(stochastic, advanced[16:], 0x8000)),
            negative2.eq(negative ^ (get.data.negative & inside1)),
            wanted3.eq((lost + random2) >> 16),
            negative3.eq(negative2),
        ]
        with m.If(walking):
            m.d.sync += lane0.eq(lane0 + 1)
            with m.If(lane0 == lanes - 1):
                m.d.sync += walking.eq(0)
        with m.If(take_row):
            m.d.sync += [
                size.eq(abs(self.i_row.payload)),
                negative.eq(self.i_row.payload < 0),
                rows_left.eq(rows_left - 1),
                busy.eq(1),
                walking.eq(1),
                lane0.eq(0),
            ]
        clip = wanted3 >= config.pulse_max + 1
        count = Mux(clip, config.pulse_max, wanted3)[: config.count_bits - 1]
        totals = [Signal(port.shape(), name=f"{name}_of_row") for name, port in self._totals()]
        with m.If(full[2]):
            m.d.sync += [
                row.eq(Cat(row[config.count_bits :], Mux(negative3, -count, count)[: config.count_bits])),
                whole.eq(last[2]),
                *(
                    total.eq(total + more)
                    for total, more in zip(
                        totals, (Mux(negative3, 0, count), Mux(negative3, count, 0), clip), strict=True
                    )
                ),
            ]
        offered = [Signal(port.shape(), name=f"{name}_offered") for name, port in self._totals()]
        for (_, port), total in zip(self._totals(), offered, strict=True):
            m.d.sync += port.eq(Mux(give, total, 0))
        given = Signal()
        m.d.sync += given.eq(give)
        with m.If(give):
            m.d.sync += [self.o_counts.valid.eq(0), to_give.eq(to_give - 1)]
        with m.If(go_on):
            m.d.sync += [
                self.o_counts.payload.eq(row),
                self.o_counts.valid.eq(1),
                whole.eq(0),
                busy.eq(0),
                *(there.eq(here) for there, here in zip(offered, totals, strict=True)),
                *(total.eq(0) for total in totals),
            ]
        with m.If(self.clear):
            m.d.sync += [
                *(left.eq(0) for left in (cols_left, rows_left, to_give)),
                *(flag.eq(0) for flag in (busy, walking, full, whole, self.o_counts.valid)),
                *(total.eq(0) for total in totals),
            ]
        m.d.comb += [
            self.settled.eq((to_give == 0) & ~given),
            self.cmd.ready.eq(self.settled & ~self.clear),
        ]

        # The host's words, and the streams: each lane's goes on behind its look-up.
        host = self.host
        asked = Signal()
        chosen = Signal()
        there = (host.addr < lanes) & self.settled
        m.d.sync += [
            asked.eq(host.request & ~asked & ~chosen & ~host.ack),
            chosen.eq(asked),
            host.ack.eq(chosen),
            host.error.eq(~there),
            host.r_data.eq(state_get.data),
        ]
        m.d.comb += [
            state_get.addr.eq(Mux(walking, lane0, host.addr)),
            state_put.addr.eq(Mux(full[0], lane1, host.addr)),
            state_put.data.eq(Mux(full[0], advanced, host.w_data)),
            state_put.en.eq(full[0] | (chosen & host.write & there)),
        ]
        return m

    def _totals(self):
        return (("up", self.up), ("down", self.down), ("clipped", self.clipped))

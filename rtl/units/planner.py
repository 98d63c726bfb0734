"""The pulse planner: turns the outer product of two vectors into rows of pulse counts."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import SCALE_LOG2_MAX
from backpulse.firmware_py.registers import STREAM_SHIFT
from backpulse.rtl.lib.numbers import rshift_by
from backpulse.rtl.lib.ports import HostPort
from backpulse.rtl.lib.trees import GROUP, sum_tree, tree_stages
from backpulse.rtl.lib.xorshift import xorshift
from backpulse.rtl.tile.signature import counts_layout

__all__ = ["Planner", "plan_layout", "planner_signature", "pulse_shift"]

PLANNED_MAX = 32767
"""Largest planned column word P_j."""
SHIFT_MAX = 31
"""Most bits that a column word's product loses."""
BYTES_MAX = 3
"""Most bytes that a row's product may lose and still give a pulse that is not certain to be zero."""


def plan_layout(config: Config) -> data.StructLayout:
    """Return the layout of a PULSE for the planner: region, scales, column vector's magnitude, rounding."""
    return data.StructLayout(
        {
            "rows": range(config.tile_rows + 1),
            "col0": range(config.tile_cols),
            "cols": range(config.tile_cols + 1),
            "mantissa": 16,
            "exponent": signed(8),
            "scale_log2": range(SCALE_LOG2_MAX + 1),
            "magnitude": 5,
            "stochastic": 1,
        }
    )


def pulse_shift(m: Module, exponent, scale_log2, magnitude) -> tuple[Signal, Signal]:
    """Return (f, q) of docs/machine.md: bits that the column words lose, and bytes that the products lose."""
    x = Signal(signed(10))
    t = Signal(signed(11))
    f = Signal(range(SHIFT_MAX + 1))
    q = Signal(6)
    m.d.comb += [
        x.eq(exponent - scale_log2),
        t.eq(24 - x - (magnitude + 1)),
        f.eq(Mux(t < 0, Mux(24 - x < 0, 0, 24 - x), magnitude + 1 + t[:3])),
        q.eq(Mux(t < 0, 0, t[3:])),
    ]
    return f, q


def planner_signature(config: Config) -> wiring.Signature:
    """Return the ports of a planner."""
    word, most = signed(config.vector_bits), config.tile_cols * config.pulse_max
    return wiring.Signature(
        {
            "cmd": In(stream.Signature(plan_layout(config))),
            "i_column": In(stream.Signature(word)),
            "i_row": In(stream.Signature(word)),
            "o_counts": Out(stream.Signature(counts_layout(config))),
            "up": Out(range(most + 1)),
            "down": Out(range(most + 1)),
            "clipped": Out(range(config.tile_cols + 1)),
            "settled": Out(1),
            "clear": In(1),
            "host": In(HostPort(STREAM_SHIFT)),
        }
    )


class Planner(wiring.Component):
    """Plans the pulses of one PULSE after another, bit for bit as docs/machine.md says.

    Takes a command, then one column word a column of the region, then one row word a row, each a word a
    cycle; gives one row of counts a row, in the lanes of the region, zero elsewhere. The first row word can
    follow the last column word after a cycle, and its counts are offered four cycles after it was taken.
    `o_counts` that is not taken holds back the rows, and nothing else waits.

    Parameters
    ----------
    config
        Lanes, rows, widths, pulse_max.

    Members
    -------
    cmd
        `plan_layout`; taken while `settled`.
    i_column, i_row
        Vector words.
    o_counts
        Rows of counts, for the tile.
    up, down, clipped
        Pulses up, pulses down and clipped cells of one row, to be added up in every cycle: zero but for one
        cycle a row.
    settled
        No command is executing and no totals are to come.
    clear
        Level or strobe: drop the executing command, but for the totals of rows that were taken. The rounding
        streams stay where they are.
    host
        The rounding states by lane (window RANDOM, stream ROUNDING). An error beyond the lanes and until
        `settled`.
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
        rows_left = Signal.like(cmd.rows)
        cols_left = Signal.like(cmd.cols)
        to_give = Signal.like(cmd.rows)
        # Which bytes are left of a product has a bit for each case, so that no decoder is on the way to the
        # lanes; none where all are lost.
        lose = Signal(range(SHIFT_MAX + 1))
        kept = Signal(BYTES_MAX + 1)
        f_of_cmd, q_of_cmd = pulse_shift(m, cmd.exponent, cmd.scale_log2, cmd.magnitude)
        with m.If(accept):
            m.d.sync += [
                rows_left.eq(cmd.rows),
                to_give.eq(cmd.rows),
                cols_left.eq(cmd.cols),
                column.eq(cmd.col0),
                mantissa.eq(cmd.mantissa),
                stochastic.eq(cmd.stochastic),
                lose.eq(f_of_cmd),
                kept.eq(1 << q_of_cmd),
            ]

        # Columns: magnitude, product, shift, then saturation into the lane.
        size_column0 = Signal(config.vector_bits)
        product1 = Signal(config.vector_bits + 16)
        rounded2 = Signal(config.vector_bits + 17)
        place = data.StructLayout({"lane": column.shape(), "negative": 1})
        column0, column1, column2 = (Signal(place, name=f"column{stage}") for stage in range(3))
        loading = Signal(3)
        planned = Mux(rounded2[PLANNED_MAX.bit_length() :].any(), PLANNED_MAX, rounded2)
        m.d.comb += self.i_column.ready.eq(cols_left != 0)
        m.d.sync += [
            loading.eq(Mux(self.clear, 0, Cat(take_column, loading))),
            product1.eq(size_column0 * mantissa),
            column1.eq(column0),
            rounded2.eq(rshift_by(product1, lose)),
            column2.eq(column1),
        ]
        with m.If(take_column):
            word = self.i_column.payload
            m.d.sync += [
                size_column0.eq(abs(word)),
                column0.negative.eq(word < 0),
                column0.lane.eq(column),
                column.eq(column + 1),
                cols_left.eq(cols_left - 1),
            ]

        # Rows: taken (stage 1), on their way to multipliers all over the chip (stage 2), multiplied (stage
        # 3), rounded (stage 4), and limited on the way out. All move together.
        full = Signal(4)
        move = Signal()
        size1 = Signal(config.vector_bits)
        negative1 = Signal()
        size2 = Signal(config.vector_bits)
        negative2 = Signal()
        negative3 = Signal(lanes)
        negative4 = Signal(lanes)
        m.d.comb += [
            move.eq(~full[3] | self.o_counts.ready),
            self.i_row.ready.eq((cols_left == 0) & ~loading[0] & (rows_left != 0) & move),
            self.o_counts.valid.eq(full[3]),
        ]
        with m.If(move):
            m.d.sync += [
                full.eq(Cat(take_row, full)),
                size2.eq(size1),
                negative2.eq(negative1),
                negative4.eq(negative3),
                size1.eq(abs(self.i_row.payload)),
                negative1.eq(self.i_row.payload < 0),
            ]
        with m.If(take_row):
            m.d.sync += rows_left.eq(rows_left - 1)
        with m.If(give):
            m.d.sync += to_give.eq(to_give - 1)
        with m.If(self.clear):
            m.d.sync += [full.eq(0), cols_left.eq(0), rows_left.eq(0), to_give.eq(0)]

        states = [Signal(32, init=1, name=f"state_{i}") for i in range(lanes)]
        host_write = Signal(lanes)
        host_lane = Signal(range(max(lanes, 2)))
        advance = full[1] & move
        fresh = Signal()
        planned_negative = Signal(lanes)
        m.d.sync += fresh.eq(accept)  # the first column word is four cycles behind the command
        with m.If(loading[2]):
            m.d.sync += planned_negative.bit_select(column2.lane, 1).eq(column2.negative)
        with m.If(advance):
            m.d.sync += negative3.eq(Mux(negative2, ~planned_negative, planned_negative))
        ups = []
        downs = []
        clips = []
        for i in range(lanes):
            planned_size = Signal(15, name=f"planned_{i}")
            product3 = Signal(config.vector_bits + 15, name=f"product_{i}", reset_less=True)
            with m.If(fresh):
                m.d.sync += planned_size.eq(0)
            with m.Elif(loading[2] & (column2.lane == i)):
                m.d.sync += planned_size.eq(planned)
            with m.If(advance):
                m.d.sync += [product3.eq(size2 * planned_size), states[i].eq(xorshift(states[i]))]
            with m.Elif(host_write[i]):
                m.d.sync += states[i].eq(self.host.w_data)

            # Product and state go on together.
            lost = reduce(
                or_, (product3[8 * k :] & bit.replicate(len(product3)) for k, bit in enumerate(kept))
            )
            wanted = Signal(config.vector_bits, name=f"wanted_{i}")
            with m.If(move):
                m.d.sync += wanted.eq((lost + Mux(stochastic, states[i][16:], 0x8000)) >> 16)
            clip = wanted >= config.pulse_max + 1
            count = Mux(clip, config.pulse_max, wanted)[: config.count_bits - 1]
            m.d.comb += self.o_counts.payload[i].eq(Mux(negative4[i], -count, count))
            ups.append(Mux(negative4[i], 0, count))
            downs.append(Mux(negative4[i], count, 0))
            clips.append(clip)

        # Totals: a register, then the adder tree.
        given = Signal(2 + tree_stages(lanes))
        m.d.comb += given[0].eq(give)
        m.d.sync += given[1:].eq(given[:-1])
        for output, terms in ((self.up, ups), (self.down, downs), (self.clipped, clips)):
            terms3 = [Signal(term.shape(), reset_less=True, name="term") for term in terms]
            with m.If(give):
                m.d.sync += [t3.eq(term) for t3, term in zip(terms3, terms, strict=True)]
            total, _ = sum_tree(m, terms3, given[1])
            m.d.comb += output.eq(Mux(given[-1], total, 0))
        m.d.comb += [
            self.settled.eq((to_give == 0) & ~given[1:].any()),
            self.cmd.ready.eq(self.settled & ~self.clear),
        ]

        # Host: the lane is there in the second cycle, a word of its group in the third, the answer in the
        # fourth.
        inside = Signal()
        writes = Signal()
        with m.If(self.host.request):
            m.d.sync += [
                host_lane.eq(self.host.addr),
                inside.eq(self.host.addr < lanes),
                writes.eq(self.host.write),
            ]
        groups = [Signal(32, name="group", reset_less=True) for _ in range(0, lanes, GROUP)]
        asked = Signal()
        chosen = Signal()
        m.d.sync += [
            asked.eq(self.host.request & ~asked & ~chosen & ~self.host.ack),
            chosen.eq(asked),
            self.host.ack.eq(chosen),
            self.host.error.eq(~(inside & self.settled)),
            host_write.eq(Mux(chosen & writes & inside & self.settled, Const(1, lanes) << host_lane, 0)),
            *(
                group.eq(Array(states[k * GROUP :][:GROUP])[host_lane % GROUP])
                for k, group in enumerate(groups)
            ),
            self.host.r_data.eq(Array(groups)[host_lane // GROUP]),
        ]
        return m

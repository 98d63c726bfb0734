"""The pulse planner of a lean machine: a multiplier and an adder a lane, shared with other units."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import STREAM_SHIFT
from backpulse.rtl.lib.numbers import negated_if
from backpulse.rtl.lib.ports import HostPort
from backpulse.rtl.lib.xorshift import xorshift
from backpulse.rtl.tile.signature import counts_layout
from backpulse.rtl.units.multiplier import CLIENTS, FACTOR_BITS, SIGNED, MultiplierSignature
from backpulse.rtl.units.planner import BYTES_MAX, SHIFT_MAX

__all__ = ["LeanPlanner", "rectangle_layout"]

STATE_BITS = 32
RANDOM_BITS = 16
"""Upper bits of a state that a product is rounded with."""
TOP = 30
"""Bits of a product of two words without sign; a sum that is carried beyond them is a pulse."""


def rectangle_layout(config: Config) -> data.StructLayout:
    """Return the layout of a PULSE for the planner: the rectangle."""
    return data.StructLayout(
        {
            "rows": range(config.tile_rows + 1),
            "col0": range(config.tile_cols),
            "cols": range(config.tile_cols + 1),
        }
    )


class LeanPlanner(wiring.Component):
    """Plans the pulses of one PULSE after another, bit for bit as docs/machine.md says.

    Takes a command, then one column word a column of the region, then one row word a row, each a word a
    cycle; gives one row of counts a row, in the lanes of the region, zero elsewhere. The first row word can
    follow the last column word after two cycles, and its counts are offered two cycles after it was taken.
    `o_counts` that is not taken holds back the rows, and nothing else waits.

    A product is not shifted: instead, what rounds it is shifted the other way, and added by the multiplier.

    Parameters
    ----------
    config
        Lanes, rows, widths, pulse_max.

    Members
    -------
    cmd
        `rectangle_layout`; taken while `settled`.
    exponent, scale_log2, magnitude, stochastic
        Of the scale register, the weight scale, the column vector and the instruction: steady from the
        command until `settled`.
    lose
        Bits that column words lose in scaling.
    i_column, scaled, i_row
        A column's sign; its size, scaled and saturated to 16 bits, two cycles after it was taken; row words.
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
        `settled`. An access turns the states once around, a lane a cycle; a command waits for that.
    derivative, finish, square, scaler
        The clients of the lanes' multipliers, while no row is planned; the scaler scales columns too. To
        the products of the first two the half of `vector_frac` bits is added, one less if negative. The left
        factors of `derivative` and `scaler` are the size of the row word while `i_row` is valid; those of
        `finish` and `square` are always the same word.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        most = config.tile_cols * config.pulse_max
        super().__init__(
            {
                "cmd": In(stream.Signature(rectangle_layout(config))),
                "exponent": In(signed(8)),
                "scale_log2": In(3),
                "magnitude": In(5),
                "stochastic": In(1),
                "lose": Out(range(SHIFT_MAX + 1)),
                "i_column": In(stream.Signature(1)),
                "scaled": In(FACTOR_BITS),
                "i_row": In(stream.Signature(1)),
                "o_counts": Out(stream.Signature(counts_layout(config))),
                "up": Out(range(most + 1)),
                "down": Out(range(most + 1)),
                "clipped": Out(range(config.tile_cols + 1)),
                "settled": Out(1),
                "clear": In(1),
                "host": In(HostPort(STREAM_SHIFT)),
                **{name: In(MultiplierSignature(signed=name in SIGNED)) for name in CLIENTS},
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, lanes = self._config, self._config.tile_cols

        # The executing command.
        cmd = self.cmd.payload
        accept = self.cmd.valid & self.cmd.ready
        take_column, take_row, give = (s.valid & s.ready for s in (self.i_column, self.i_row, self.o_counts))
        column = Signal(range(lanes))
        rows_left = Signal.like(cmd.rows)
        cols_left = Signal.like(cmd.cols)
        with m.If(accept):
            m.d.sync += [rows_left.eq(cmd.rows), cols_left.eq(cmd.cols), column.eq(cmd.col0)]
        with m.If(take_column):
            m.d.sync += [column.eq(column + 1), cols_left.eq(cols_left - 1)]
        with m.If(take_row):
            m.d.sync += rows_left.eq(rows_left - 1)
        q, none = self._shifts(m)

        # Columns: the scaler has the word in the cycle after it was taken, and its size in the next.
        place = data.StructLayout({"lane": column.shape(), "negative": 1, "final": 1})
        column1, column2 = (Signal(place, name=f"column{stage}") for stage in (1, 2))
        loading1 = Signal()
        loading2 = Signal()
        m.d.sync += [
            loading1.eq(take_column & ~self.clear),
            loading2.eq(loading1 & ~self.clear),
            column1.lane.eq(column),
            column1.negative.eq(self.i_column.payload),
            column1.final.eq(cols_left == 1),
            column2.eq(column1),
        ]
        planned = Mux(none, 0, Mux(self.scaled[-1], (1 << FACTOR_BITS - 1) - 1, self.scaled[:-1]))

        # Rows: taken (stage 0), multiplied (stage 1), counted on the way out.
        full1 = Signal()
        full2 = Signal()
        move = Signal()
        negative1 = Signal()
        negative2 = Signal(lanes)
        m.d.comb += [
            move.eq(~full2 | self.o_counts.ready),
            self.i_column.ready.eq(cols_left != 0),
            self.i_row.ready.eq((cols_left == 0) & ~loading1 & (rows_left != 0) & move),
            self.o_counts.valid.eq(full2),
        ]
        with m.If(move):
            m.d.sync += [full1.eq(take_row), full2.eq(full1), negative1.eq(self.i_row.payload)]
        with m.If(self.clear):
            m.d.sync += [full1.eq(0), full2.eq(0), cols_left.eq(0), rows_left.eq(0)]

        # Where a random word goes that is shifted by q bytes: its lower half to byte q, its upper one to the
        # next; nowhere for clients.
        rows, half = full1, config.vector_frac - 1
        always = Signal(BYTES_MAX + 1)
        random = Signal(BYTES_MAX + 1)
        m.d.comb += [
            *(always[k].eq(rows & (q == k)) for k in range(BYTES_MAX + 1)),
            random.eq(Mux(self.stochastic, always, 0)),
        ]

        states = [Signal(STATE_BITS, init=1, name=f"state_{i}") for i in range(lanes)]
        turning = self._host(m, states)
        # Without a reset, so that they can be the multipliers' own registers.
        clients, size = [getattr(self, name) for name in CLIENTS], self.scaler.left
        lefts = [
            Signal(client.left.shape(), name=f"left_{name}", reset_less=True)
            for client, name in zip(clients, CLIENTS, strict=True)
        ]
        lefts[2] = lefts[1]
        for left, client in zip(lefts, clients, strict=True):
            if client is not self.square:
                with m.If(take_row | client.en):
                    m.d.sync += left.eq(
                        Mux(take_row, size, client.left) if client is self.finish else client.left
                    )
        counts = []
        ups = []
        clips = []
        for i, (left, client) in enumerate(zip(lefts, clients, strict=True)):
            last = i == lanes - 1
            right = Signal(client.right.shape(), name=f"right_{i}", reset_less=True)
            negative = Signal(name=f"negative_{i}")
            mine = loading2 & (column2.lane == i)
            # The last lane, which scales the columns, learns with the last of them whether it has one.
            load = loading2 & column2.final if last else mine | accept
            with m.If(load | client.en):
                m.d.sync += right.eq(Mux(mine, planned, Mux(client.en, client.right, 0)))
            with m.If(load):
                m.d.sync += negative.eq(column2.negative)
            with m.If(take_row):
                m.d.sync += states[i].eq(xorshift(states[i]))

            r = states[i][STATE_BITS - RANDOM_BITS :]
            top = r[-1] | ~self.stochastic
            term = Signal(2 * FACTOR_BITS, name=f"term_{i}")
            for bit in range(TOP):
                k, j = divmod(bit, 8)
                high = (
                    Const(0, 1) if k == 0 else (top & always[k - 1] if j == 7 else r[j + 8] & random[k - 1])
                )
                # The half for clients.
                if client is self.derivative or client is self.finish:
                    down = left[-1] if client is self.finish else Const(0, 1)
                    high = high | (~rows & (down if bit < half else ~down if bit == half else 0))
                m.d.comb += term[bit].eq((r[j] & random[k]) | high)
            product = Signal.like(client.product, name=f"product_{i}", reset_less=True)
            ones = Signal(name=f"ones_{i}")
            with m.If(move):
                m.d.sync += [
                    product.eq(left * right + (term.as_signed() if product.shape().signed else term)),
                    ones.eq(r[14:].all() & (~q[0] | r[6:14].all()) & self.stochastic),
                    negative2[i].eq(negative1 ^ negative),
                ]
            m.d.comb += client.product.eq(product)

            most = config.count_bits - 1
            count = Signal(most, name=f"count_{i}")
            above = Signal(name=f"above_{i}")
            wanted = Signal(most, name=f"wanted_{i}")
            with m.Switch(q):
                for k in range(2):
                    with m.Case(k):
                        low = 16 + 8 * k
                        m.d.comb += [
                            wanted.eq(product[low : low + most]),
                            above.eq(product[low + most : TOP + 1].any()),
                        ]
                with m.Default():
                    m.d.comb += wanted.eq(product[TOP] & ones)
            clip = above if config.pulse_max + 1 == 1 << most else above | (wanted > config.pulse_max)
            signed_count = negated_if(negative2[i], Cat(count, Const(0, 1))).as_signed()
            m.d.comb += [
                count.eq(Mux(clip, config.pulse_max, wanted)),
                self.o_counts.payload[i].eq(signed_count),
            ]
            counts.append(count)
            ups.append(Mux(negative2[i], 0, count))
            clips.append(clip)

        # Totals.
        given = Signal()
        total = Signal.like(self.up)
        m.d.sync += given.eq(give)
        for output, terms in ((self.up, ups), (total, counts), (self.clipped, clips)):
            m.d.sync += output.eq(Mux(give, sum(terms), 0))
        m.d.comb += [
            self.down.eq(total - self.up),
            self.settled.eq((rows_left == 0) & ~full1 & ~full2 & ~given),
            self.cmd.ready.eq(self.settled & ~self.clear & ~turning),
        ]
        return m

    def _shifts(self, m: Module) -> tuple[Value, Value]:
        """Compute the shifts of docs/machine.md: `lose`, bytes that products lose, and if nothing is left.

        All are registers, valid before the first column word's product is. Returns the last two.
        """
        t = Signal(signed(11))
        bits = Signal(signed(12))
        q = Signal(2)
        none = Signal()
        # Below zero, 24 - x is magnitude + 1 + t.
        m.d.comb += [
            t.eq(23 + self.scale_log2 - self.magnitude - self.exponent),
            bits.eq(self.magnitude + 1 + Mux(t < 0, t, t[:3])),
        ]
        m.d.sync += [
            self.lose.eq(Mux(bits < 0, 0, bits)),
            q.eq(Mux(t < 0, 0, t[3:5])),
            none.eq(~t[-1] & t[5:].any()),
        ]
        return q, none

    def _host(self, m: Module, states: list[Signal]) -> Signal:
        """Rotate the states once for an access of the host, served at the end; return whether they rotate."""
        host, lanes = self.host, len(states)
        left = Signal(range(lanes))
        turning = Signal()
        here = Signal()
        good = Signal()
        word = Signal(STATE_BITS)
        m.d.comb += [
            good.eq((host.addr < lanes) & self.settled),
            here.eq(turning & host.request & (host.addr == left)),
            host.error.eq(~good),
            host.ack.eq(host.request & Mux(turning, here, ~good)),
            host.r_data.eq(states[-1]),
            word.eq(Mux(here & host.write, host.w_data, states[-1])),
        ]
        with m.If(turning):
            m.d.sync += [
                *(s.eq(before) for s, before in zip(states, [word, *states[:-1]], strict=True)),
                left.eq(left - 1),
                turning.eq(left != 0),
            ]
        with m.Elif(host.request & good & ~self.cmd.valid):
            m.d.sync += [left.eq(lanes - 1), turning.eq(1)]
        return turning

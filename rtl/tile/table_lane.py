"""One lane of the table device: the reads of all lanes, and pulses whose step is looked up in a table."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false, reportReturnType=false

from amaranth.hdl import Cat, Const, Module, Mux, ShapeLike, Signal, Value, ValueLike, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory, ReadPort, WritePort
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.table_device import (
    APPARENT_FRAC,
    BASE_BITS,
    CLASSES,
    LEAK_FRAC,
    OFFSET_AT,
    ROOT_BITS,
    ROOTS,
    SEGMENTS,
    SEGMENTS_LOG2,
    SPREAD_BITS,
    SPREAD_FRAC,
    STUCK,
    UPDATE_FRAC,
)
from backpulse.rtl.lib.numbers import clamp, clip, rshift, times
from backpulse.rtl.lib.xorshift import byte_sum, companion, gauss
from backpulse.rtl.tile.lane import column_sum, lane_members, multiplier, next_state
from backpulse.rtl.tile.layouts import MEAN_BITS, parameter_layout, segment_layout, table_layout

__all__ = ["STAGES", "TableLane"]

STAGES = 10
"""Clock edges from the cycle that takes a row of counts to the cycle that writes its cells."""
FACTOR_BITS = OFFSET_AT // 2
"""Bits of a cell's factor of one way."""
MOST_EVEN = 4
"""Most bits by which a weight is shifted left, so that it fits a multiplier of 18 bits."""


class TableLane(wiring.Component):
    """A column of all tiles. Reads are those of `Lane`.

    Pulses and leaking rows pass through ten stages, one row a cycle, and are written in the last:

    ======  =========================================================
    stage   what is computed
    ======  =========================================================
    1       the cell leaves its memories
    2       n * factor; the random word
    3       the segment leaves its table; distance from rest; two numbers of the word
    4       delta * low, or distance * loss; in 4 to 6 apparent noise
    5       step, or what leaks; the root of the class leaves its table
    6       n * factor * step; the noise of n pulses
    7       the update, rounded; the cell's bounds
    8       what stays, clamped
    9       what reads see
    10      written
    ======  =========================================================

    Parameters
    ----------
    config
        Spread, widths and depth.

    Members
    -------
    As `Lane`; and

    tables, mean
        Parameters of the table device, a `table_layout`, and `Tables.mean`.
    leak, loss
        Valid bits of the stages of a row that leaks, none before stage 3, and what it loses, stage 3.
    root_at, root
        Address of stage 4 in the table of roots, and its word, stage 5.
    host_persistent
        Write strobe for what stays of a cell; `host_cell` writes that, too.
    host_segment, segment_at, host_low
        Write strobe for a segment, its place, and its low word; `host_data` is the high one.
    persistent, segment
        What the host reads, two cycles after `row` and a cycle after `segment_at`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                **lane_members(config, STAGES),
                "tables": In(table_layout(config).size),
                "mean": In(MEAN_BITS),
                "leak": In(STAGES + 1),
                "loss": In(LEAK_FRAC),
                "root_at": Out(range(CLASSES * ROOTS)),
                "root": In(ROOT_BITS),
                "host_persistent": In(1),
                "host_segment": In(1),
                "segment_at": In(range(2 * SEGMENTS)),
                "host_low": In(32),
                "cell": Out(signed(config.cell_bits)),
                "persistent": Out(signed(config.cell_bits)),
                "spread": Out(SPREAD_BITS),
                "state": Out(32, init=1),
                "segment": Out(segment_layout()),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        par = data.View(table_layout(config), self.tables)
        low_bits = config.cell_bits - SEGMENTS_LOG2
        cell = signed(config.cell_bits)

        seen_out, seen_in = self._memory(m, "cells", cell)
        kept_out, kept_in = self._memory(m, "persistents", cell)
        m.d.cells += [self.cell.eq(seen_out.data), self.persistent.eq(kept_out.data)]
        kept = _stages(m, "kept", self.persistent, range(2, 9))
        seen = _stages(m, "seen", self.cell, range(2, 10))

        # Stage 2: counts, and the cell's own factor.
        count1 = Signal(signed(config.count_bits))
        count2 = Signal(signed(config.count_bits))
        size2 = Signal.like(self.size)
        m.d.pulse += [count1.eq(self.count), count2.eq(count1), size2.eq(abs(count1))]
        m.d.comb += self.size.eq(size2)
        up = _stages(m, "up", ~count2[-1], range(2, 8))
        weight2 = size2 << SPREAD_FRAC
        stuck2 = Const(0, 1)
        if config.spread:
            spread_out, spread_in = self._memory(m, "spreads", unsigned(SPREAD_BITS))
            m.d.comb += [spread_in.data.eq(self.host_data), spread_in.en.eq(self.host_spread)]
            m.d.cells += self.spread.eq(spread_out.data)
            factor2 = Mux(up[2], self.spread[:FACTOR_BITS], self.spread[FACTOR_BITS:OFFSET_AT])
            weight2 = times(factor2, size2)[: FACTOR_BITS + len(size2)]
            stuck2 = self.spread[OFFSET_AT:].as_signed() == STUCK
        weight = _stages(m, "weight", weight2, range(2, 6))
        pulsed3 = Signal()
        stuck3 = Signal()
        m.d.pulse += [pulsed3.eq((count2 != 0) & self.pulse[2]), stuck3.eq(stuck2)]
        moves = _stages(m, "moves", _moves(self.leak[3], pulsed3, stuck3), range(3, 11))

        # The segment, in stage 3.
        m.submodules.segments = segments = Memory(shape=segment_layout(), depth=2 * SEGMENTS, init=[])
        segment_out = segments.read_port(domain="pulse")
        segment_in = segments.write_port(domain="pulse")
        m.d.comb += [
            segment_out.addr.eq(Mux(self.pulse[2], _segment(self.persistent, up[2]), self.segment_at)),
            self.segment.eq(segment_out.data),
            segment_in.addr.eq(self.segment_at),
            segment_in.data.eq(Cat(self.host_low, self.host_data)),
            segment_in.en.eq(self.host_segment),
        ]
        base = _stages(m, "base", self.segment.base, range(3, 6))

        # The multiplier: cells in stage 2 of a read, the segment or what leaks in stage 4.
        late3 = self.pulse[3] | self.leak[3]
        entered = Signal(signed(config.cell_bits + 1))
        apart3 = Mux(self.leak[3], par.rest - kept[3], kept[3][:low_bits])
        m.d.cells += entered.eq(Mux(late3, apart3, seen_out.data))
        factor1, product5 = multiplier(m, self, entered, bits=LEAK_FRAC + 1)
        with m.If(late3):
            m.d.comb += factor1.eq(Mux(self.leak[3], self.loss, self.segment.delta))
        column_sum(m, self)

        # Stages 5 and 6.
        step5 = Signal(signed(BASE_BITS + 2))
        m.d.comb += step5.eq(base[5] + (product5 >> low_bits))
        step6 = Signal(BASE_BITS + 1)
        weight6 = Signal(len(weight[5]) + MOST_EVEN)
        leaks6 = Signal(signed(config.cell_bits + 2))
        move7 = Signal(len(step6) + len(weight6))
        m.d.pulse += [
            step6.eq(Mux(step5 < 0, 0, step5)),
            weight6.eq(_lifted(weight[5], par.shift)),
            leaks6.eq(rshift(product5, LEAK_FRAC)),
            move7.eq(step6 * weight6),
        ]
        leaks = _stages(m, "leaks", leaks6, range(6, 8))

        # Stages 7 to 9.
        change7 = Signal(signed(len(move7) + 3))
        change8 = Signal(signed(len(change7) - UPDATE_FRAC + 1))
        moved8 = Signal(signed(len(change8) + 1))
        kept9 = Signal(cell)
        change9 = Signal(signed(config.cell_bits + 2))
        seen9 = Signal(signed(config.cell_bits + 3))
        noise7, apparent9 = self._noise(m, par, size2)
        low8, high8 = self._bounds(m)
        # A bit below the sum carries the one that the negative of a move is more than its inverse.
        down7 = ~up[7]
        moved7 = Cat(down7, move7 ^ down7.replicate(len(move7)), down7).as_signed()
        total7 = (moved7 + Cat(down7, noise7).as_signed()) >> 1
        m.d.comb += [
            change7.eq(Mux(par.shift[0], total7 << 1, total7)),
            moved8.eq(kept[8] + change8),
            seen9.eq(Mux(self.leak[9], seen[9], kept9) + Mux(self.leak[9], change9, apparent9)),
        ]
        m.d.pulse += [
            change8.eq(Mux(self.leak[7], leaks[7], rshift(change7, UPDATE_FRAC))),
            kept9.eq(Mux(self.leak[8], moved8, clamp(moved8, low8, high8))),
            change9.eq(change8),
        ]

        # To the memories, half a chip away.
        kept10 = Signal(cell)
        seen10 = Signal(cell)
        host = self.host_data[: config.cell_bits].as_signed()
        m.d.pulse += [kept10.eq(kept9), seen10.eq(clip(seen9, config.cell_bits)[0])]
        m.d.comb += [
            seen_in.data.eq(Mux(self.host_cell, host, seen10)),
            seen_in.en.eq(moves[10] | self.host_cell),
            kept_in.data.eq(Mux(self.host_cell | self.host_persistent, host, kept10)),
            kept_in.en.eq(moves[10] | self.host_cell | self.host_persistent),
        ]
        return m

    def _noise(self, m: Module, par: data.View, size2: Signal) -> tuple[Signal, Value]:
        """Return write noise for stage 7 and apparent noise for stage 9, of the word of stage 3."""
        size = _stages(m, "size", size2, range(2, 5))
        kind = _stages(m, "kind", self.segment.kind, range(3, 5))
        number4 = Signal(signed(10))
        number5 = Signal.like(number4)
        number6 = Signal(signed(len(number4) + MOST_EVEN))
        root6 = Signal(ROOT_BITS)
        noise7 = Signal(signed(len(number6) + len(root6)))
        m.d.comb += self.root_at.eq(_root_at(kind[4], size[4]))
        m.d.pulse += [
            self.state.eq(next_state(self)),
            number4.eq(gauss(self.state)),
            number5.eq(number4),
            number6.eq(_lifted(number5, par.shift)),
            root6.eq(self.root),
            noise7.eq(number6 * root6),
        ]

        # A sum of bytes has no sign, which makes its product small; their mean is taken off after that.
        bytes4 = Signal(10)
        product5 = Signal(len(bytes4) + len(par.apparent))
        noise6 = Signal(signed(len(product5)))
        apparent7 = Signal(signed(len(noise6) - APPARENT_FRAC + 1))
        m.d.pulse += [
            bytes4.eq(byte_sum(companion(self.state))),
            product5.eq(times(bytes4, par.apparent)),
            noise6.eq(product5 - self.mean),
            apparent7.eq(rshift(noise6, APPARENT_FRAC)),
        ]
        return noise7, _stages(m, "apparent", apparent7, range(7, 10))[9]

    def _memory(self, m: Module, name: str, shape: ShapeLike) -> tuple[ReadPort, WritePort]:
        """Add a memory of all rows; return its ports, which have their addresses."""
        m.submodules[name] = memory = Memory(shape=shape, depth=self._config.rows, init=[])
        reads = memory.read_port(domain="cells")
        writes = memory.write_port(domain="pulse")
        m.d.comb += [reads.addr.eq(self.row), writes.addr.eq(self.write_row)]
        return reads, writes

    def _bounds(self, m: Module) -> tuple[Value, Value]:
        """Return a cell's bounds for stage 8, no wider than a cell word."""
        par = data.View(parameter_layout(self._config), self.parameters)
        bits = self._config.cell_bits
        low7, high7 = par.bound_down, par.bound_up
        if self._config.spread:
            offset6 = _stages(m, "offset", self.spread[OFFSET_AT:].as_signed(), range(2, 7))[6]
            low7 = Signal(signed(SPREAD_BITS - OFFSET_AT + 1))
            high7 = Signal.like(low7)
            m.d.pulse += [low7.eq(par.bound_down - offset6), high7.eq(par.bound_up + offset6)]
        low8 = Signal(signed(bits))
        high8 = Signal(signed(bits))
        m.d.pulse += [low8.eq(clip(low7, bits)[0]), high8.eq(clip(high7, bits)[0])]
        return low8, high8


def _stages(m: Module, name: str, value: ValueLike, stages: range) -> dict[int, Value]:
    """Return a value in each of some stages: as it is in the first, then a register later each."""
    value = Value.cast(value)
    values = {stages[0]: value}
    for stage in stages[1:]:
        values[stage] = Signal(value.shape(), name=f"{name}{stage}")
        m.d.pulse += values[stage].eq(values[stage - 1])
    return values


def _lifted(value: Value, shift: Value) -> Value:
    """Shift left by the even part of SHIFT; the sum of products takes the odd bit."""
    return Mux(shift[2], value << MOST_EVEN, Mux(shift[1], value << 2, value))


def _segment(cell: Value, up: Value) -> Value:
    """Return the place of the segment that a cell lies in, for a direction."""
    return Cat(cell[-SEGMENTS_LOG2:-1], ~cell[-1], ~up)


def _root_at(kind: Value, size: Value) -> Value:
    """Return the place of the root of a class and a count."""
    return kind * ROOTS + size


def _moves(leaks: Value, pulsed: Value, stuck: Value) -> Value:
    """Return whether a cell moves."""
    return (leaks | pulsed) & ~stuck

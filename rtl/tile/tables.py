"""What the lanes of the table device share: parameters, roots, the leak, and the host's way to all tables."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import TABLE_PART_SHIFT, WINDOW_SHIFT, TableParameter, TablePart
from backpulse.firmware_py.streams import GAUSS_MEAN
from backpulse.firmware_py.table_device import CLASSES, LEAK_FRAC, LEAKS, ROOT_BITS, ROOTS, SEGMENTS
from backpulse.rtl.lib.numbers import times
from backpulse.rtl.tile.layouts import MEAN_BITS, segment_layout, table_layout
from backpulse.rtl.tile.leak import Leak

__all__ = ["PAIR", "Roots", "Tables"]

PAIR = 2
"""Lanes that share a table of roots: a block memory has two ports."""


class Roots(wiring.Component):
    """The write noise of each class and count, for a pair of lanes.

    Parameters
    ----------
    lanes
        How many of a pair there are.

    Members
    -------
    look, at, root
        Lanes look at their addresses; a cycle later their words. Else the host has the first port.
    host_at, host_write, host_data
        Where the host reads or writes, and its strobe.
    """

    def __init__(self, lanes: int) -> None:
        places = range(CLASSES * ROOTS)
        super().__init__(
            {
                "look": In(1),
                "at": In(places).array(lanes),
                "root": Out(ROOT_BITS).array(lanes),
                "host_at": In(places),
                "host_write": In(1),
                "host_data": In(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.roots = roots = Memory(shape=unsigned(ROOT_BITS), depth=CLASSES * ROOTS, init=[])
        # A port that reads and writes has one address.
        first = Signal.like(self.host_at)
        m.d.comb += first.eq(Mux(self.look, self.at[0], self.host_at))
        for i, (at, root) in enumerate(zip(self.at, self.root, strict=True)):
            port = roots.read_port(domain="pulse")
            m.d.comb += [port.addr.eq(at if i else first), root.eq(port.data)]
        port = roots.write_port(domain="pulse")
        m.d.comb += [port.addr.eq(first), port.data.eq(self.host_data), port.en.eq(self.host_write)]
        return m


class Tables(wiring.Component):
    """Answers the TABLE window for `TileHost`, and the lanes.

    Parameters
    ----------
    config
        Configuration of the tile.

    Members
    -------
    at, write, data
        Address in TABLE; write strobe and, a cycle later, its word.
    known, word
        There is such a word; what it is, within four cycles.
    parameters
        All but AGE.
    mean
        What APPARENT makes of the mean of a sum of bytes, a cycle later: computed once, for all lanes.
    host_segment, segment_at, host_low, segment
        To all lanes, and from the first one (`TableLane`).
    look, root_at, root
        Lanes look at their roots, as `Roots`.
    aging, row, enter, leaks, loss
        As `Leak`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "at": In(WINDOW_SHIFT),
                "write": In(1),
                "data": In(32),
                "known": Out(1),
                "word": Out(32),
                "parameters": Out(table_layout(config)),
                "mean": Out(MEAN_BITS),
                "host_segment": Out(1),
                "segment_at": Out(range(2 * SEGMENTS)),
                "host_low": Out(32),
                "segment": In(segment_layout()),
                "look": In(1),
                "root_at": In(range(CLASSES * ROOTS)).array(config.tile_cols),
                "root": Out(ROOT_BITS).array(config.tile_cols),
                "aging": In(1),
                "row": In(range(config.rows)),
                "enter": In(1),
                "leaks": Out(1),
                "loss": Out(LEAK_FRAC),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        cols = self._config.tile_cols
        m.d.sync += self.mean.eq(times(Const(GAUSS_MEAN), self.parameters.apparent))
        m.submodules.leak = leak = Leak(self._config)
        roots = [Roots(min(PAIR, cols - i)) for i in range(0, cols, PAIR)]
        for i, pair in enumerate(roots):
            m.submodules[f"roots_{i}"] = pair

        def late(value: ValueLike) -> Signal:
            register = Signal(Value.cast(value).shape())
            m.d.host += register.eq(value)
            return register

        # Addresses and strobes are a cycle late, as are the host's words.
        at, write = late(self.at), late(self.write)
        index, high = at[:TABLE_PART_SHIFT], at[0]
        part = {p: at[TABLE_PART_SHIFT:] == p for p in TablePart}
        depths = {
            TablePart.SEGMENTS: 4 * SEGMENTS,
            TablePart.ROOT: CLASSES * ROOTS,
            TablePart.LEAK: LEAKS,
            TablePart.PARAMETERS: len(TableParameter),
            TablePart.VISITED: self._config.rows,
        }
        with m.Switch(self.at[TABLE_PART_SHIFT:]):
            for p, depth in depths.items():
                with m.Case(p):
                    m.d.comb += self.known.eq(self.at[:TABLE_PART_SHIFT] < depth)

        with m.If(write & part[TablePart.SEGMENTS] & ~high):
            m.d.host += self.host_low.eq(self.data)
        m.d.comb += [
            self.segment_at.eq(at >> 1),
            self.host_segment.eq(write & part[TablePart.SEGMENTS] & high),
            leak.aging.eq(self.aging),
            leak.period.eq(self.parameters.leak_period),
            leak.row.eq(self.row),
            leak.enter.eq(self.enter),
            self.leaks.eq(leak.leaks),
            self.loss.eq(leak.loss),
            leak.host_data.eq(self.data),
            leak.loss_at.eq(at),
            leak.host_age.eq(write & part[TablePart.PARAMETERS] & (index == TableParameter.AGE)),
            leak.host_loss.eq(write & part[TablePart.LEAK]),
            # A row has one register more to go through.
            leak.host_visited.eq(late(write & part[TablePart.VISITED])),
        ]
        for i, pair in enumerate(roots):
            m.d.comb += [
                pair.look.eq(self.look),
                pair.host_at.eq(at),
                pair.host_write.eq(write & part[TablePart.ROOT]),
                pair.host_data.eq(self.data),
            ]
            for lane, (to, of) in enumerate(zip(pair.at, pair.root, strict=True), i * PAIR):
                m.d.comb += [to.eq(self.root_at[lane]), self.root[lane].eq(of)]

        words = {
            TablePart.SEGMENTS: Mux(high, self.segment.kind, Cat(self.segment.base, self.segment.delta)),
            TablePart.ROOT: self.root[0],
            TablePart.LEAK: leak.loss,
            TablePart.PARAMETERS: leak.age,
            TablePart.VISITED: leak.visited,
        }
        with m.Switch(at[TABLE_PART_SHIFT:]):
            for p, word in words.items():
                with m.Case(p):
                    m.d.host += self.word.eq(word)
        for p in TableParameter:
            if p is not TableParameter.AGE:
                own = self.parameters[p.name.lower()]
                with m.If(part[TablePart.PARAMETERS] & (index == p)):
                    m.d.host += self.word.eq(own)
                    with m.If(write):
                        m.d.host += own.eq(self.data)
        return m

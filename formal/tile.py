"""Properties of the emulated tile."""

from dataclasses import replace

from amaranth.hdl import Assert, Assume, ClockDomain, Module, Mux, Signal

from backpulse.firmware_py.config import TABLE
from backpulse.firmware_py.isa import Op
from backpulse.rtl.tile.converter import FIFO_DEPTH, Converter
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.table_lane import STAGES

from .harness import Harness, holds, past
from .machine import TINY

__all__ = ["ConverterRoom", "TableTileAbort", "TableTileLeak", "TileAbort", "TileOverlap", "TileReset", "TileStreams"]

TINY_TABLE = replace(TINY, device=TABLE.device, steps=TABLE.steps, bounds=TABLE.bounds)
"""The smallest tile of the table device."""
ABORT_CYCLES = 8
"""As `rtl.tile.signature.TileSignature` promises of an emulated tile."""


class _Tile(Harness):
    block = "rtl.tile.emulated.EmulatedTile"
    depth = 8

    def make(self):
        return EmulatedTile(TINY)

    def wants(self, m: Module):
        """Assert that the bits which say what a command wants go with its state, and return its operation."""
        fsm, op = self.inner.find_generated("fsm"), Signal.like(self.dut.cmd.p.op)
        with m.If(self.dut.cmd.valid & self.dut.cmd.ready):
            m.d.sync += op.eq(self.dut.cmd.p.op)
        rows, columns, pulses = (fsm.state == fsm.encoding[name] for name in ("DRIVE ROWS", "DRIVE COLUMNS", "PULSE"))
        self.lemmas(
            m,
            self.signal("driving") == (rows | columns),
            self.signal("pulsing") == pulses,
            self.in_state(*({"IDLE", "LEAK", "LEAK SETTLE"} & set(fsm.encoding))) | (self.signal("transposed") == (op == Op.READT)),
            ~rows | (op == Op.READ),
            ~columns | (op == Op.READT),
            ~pulses | (op == Op.PULSE),
        )
        return op


class TileOverlap(_Tile):
    """No read and pulse of a tile overlap: while a pulse is on its way into a cell, no row is driven, asked for or summed up."""

    mutant = "a pulse command completes before its last rows are written"
    mutant_depth = 14

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(fsm.state == fsm.encoding["SETTLE"]):
            m.d.sync += fsm.state.eq(fsm.encoding["IDLE"])

    def check(self, m: Module, dut):
        names = ("drive_row", "ask_row", "ask_column", "add1", "add2", "add3")
        op = self.wants(m)
        reading = sum((self.signal(name) for name in names[1:]), self.signal(names[0])) != 0
        m.d.comb += [
            Assert(~(reading & self.signal("pulse").any())),
            Assert(~dut.counts.ready | (op == Op.PULSE)),
            Assert(~dut.drive.ready | (op == Op.READ) | (op == Op.READT)),
        ]


class TileAbort(_Tile):
    """From any state, a tile whose `abort` is held is safe within 8 cycles, takes no data after the first, and no command until it ends."""

    depth = 12
    mutant = "an abort waits for the end of a read"
    mutant_depth = 24

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(fsm.state == fsm.encoding["CONVERT"]):
            m.d.sync += fsm.state.eq(fsm.encoding["CONVERT"])

    def check(self, m: Module, dut):
        waited = Signal(range(ABORT_CYCLES + 2))
        m.d.sync += waited.eq(waited + (waited <= ABORT_CYCLES))
        with m.If(~dut.abort | dut.safe):
            m.d.sync += waited.eq(0)
        m.d.comb += Assert(waited < ABORT_CYCLES)
        with m.If(dut.abort):
            m.d.comb += Assert(~dut.cmd.ready)
        with m.If(past(m, dut.abort)):
            m.d.comb += [Assert(~dut.drive.ready), Assert(~dut.counts.ready)]


class TableTileAbort(TileAbort):
    """The same of the table device, whose pulses take longer to their cells."""

    def make(self):
        return EmulatedTile(TINY_TABLE)


class TableTileLeak(_Tile):
    """While rows leak, until the last is written, no command is taken or executes and no driver is on; that is rows + 10 cycles at most."""

    mutant = "a command is taken while the last rows that leak are on their way"
    mutant_depth = 14

    def make(self):
        return EmulatedTile(TINY_TABLE)

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(fsm.state == fsm.encoding["LEAK SETTLE"]):
            m.d.sync += fsm.state.eq(fsm.encoding["IDLE"])

    def check(self, m: Module, dut):
        self.wants(m)
        names = ("drive_row", "ask_row", "ask_column", "add1", "add2", "add3", "driving", "pulsing")
        executing = sum((self.signal(name) for name in names[1:]), self.signal(names[0])) != 0
        going, on_the_way = self.signal("leak_going"), self.signal("leak_rows")[: STAGES - 1].any()
        rows, rows_left = TINY_TABLE.tile_rows, self.signal("rows_left")
        waited = Signal(range(rows + 12))
        settling = Signal(range(STAGES))
        in_leak, in_settle = self.in_state("LEAK"), self.in_state("LEAK SETTLE")
        m.d.sync += [waited.eq(Mux(going, waited + 1, 0)), settling.eq(Mux(in_settle, settling + 1, 0))]
        m.d.comb += [
            Assume(~dut.cmd.valid | ((dut.cmd.p.rows > 0) & (dut.cmd.p.rows <= rows))),
            Assert(~on_the_way | ~(executing | self.signal("pulse").any() | dut.cmd.ready | dut.completion.valid)),
            Assert(~(going | on_the_way) | dut.safe),
            Assert(waited < rows + 10),
        ]
        self.lemmas(
            m,
            self.in_state("PULSE", "SETTLE") | ~self.signal("pulse")[: STAGES - 2].any(),
            ~on_the_way | going,
            ~going | ~(executing | self.signal("pulse").any()),
            ~in_leak | ((rows_left > 0) & (waited + rows_left <= rows)),
            ~in_settle | (waited <= rows + settling),
            *(~in_settle | (settling != k) | ~self.signal("leak_rows")[: k + 1].any() for k in range(STAGES)),
        )


class TileReset(_Tile):
    """The cycle after a reset, in any state, no driver is on and nothing is offered."""

    depth = 2
    mutant = "the reset is not connected"
    mutant_depth = 8

    def __init__(self, *, broken: bool = False) -> None:
        self._reset = Signal()
        super().__init__(broken=broken)
        if not broken:
            self._domain = ClockDomain("sync")  # not ResetInserter, which leaves domains inside the tile alone

    def inputs(self):
        return [*super().inputs(), self._reset]

    def check(self, m: Module, dut):
        if not self.broken:
            m.d.comb += self._domain.rst.eq(self._reset)
        with m.If(past(m, self._reset)):
            m.d.comb += [Assert(dut.safe), Assert(~dut.completion.valid), Assert(~dut.sense.valid)]


class TileStreams(_Tile):
    """Sense words and completions keep the stream contract; only an abort drops sense words."""

    mutant = "a completion is offered for one cycle only"
    mutant_depth = 14

    def break_(self, m):
        fsm = self.inner.find_generated("fsm")
        with m.If(fsm.state == fsm.encoding["COMPLETE"]):
            m.d.sync += fsm.state.eq(fsm.encoding["IDLE"])

    def check(self, m: Module, dut):
        self.wants(m)
        holds(m, dut.sense, Assert, drop=dut.abort)
        holds(m, dut.completion, Assert)


class ConverterRoom(Harness):
    """Whoever asks only when there is room loses no sense word: the FIFO is written for each, and never while full."""

    block = "rtl.tile.converter.Converter"
    depth = 6
    mutant = "room is given back when a word is offered, not when it is taken"
    mutant_depth = 16

    def make(self):
        return Converter(TINY)

    def break_(self, m):
        left, dut = self.signal("left"), self.dut
        m.d.sync += left.eq(left - (dut.ask_row | dut.ask_column) + dut.sense.valid)

    def check(self, m: Module, dut):
        asked = dut.ask_row | dut.ask_column
        m.d.comb += [Assume(~(dut.ask_row & dut.ask_column)), Assume(~asked | dut.room)]
        # With two lanes a row takes as long as a column: four cycles to the FIFO.
        way = Signal(4)
        m.d.sync += way.eq(way << 1 | asked)
        fifo_level, w_en = self.signal("level", "fifo"), self.signal("w_en")
        m.d.comb += [Assert(w_en == way[-1]), Assert(~w_en | self.signal("w_rdy", "fifo"))]
        self.lemmas(m, self.signal("left") + way[0] + way[1] + way[2] + way[3] + fifo_level == FIFO_DEPTH)

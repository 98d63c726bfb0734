"""The digital twin of a crossbar: all tiles in on-chip memory, one lane a column, one row a cycle."""

# Over 400 lines: a command's way through the tile is one state machine, whose registers its steps share.
# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from typing import NamedTuple

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, ResetInserter, Signal, Value, ValueLike
from amaranth.lib import wiring

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import Op, Unit, require
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.rtl.lib.clocks import gated_domain
from backpulse.rtl.lib.trees import GROUP, sum_tree
from backpulse.rtl.tile.converter import Converter, ReadNoise
from backpulse.rtl.tile.host import TileHost
from backpulse.rtl.tile.lane import STAGES, Lane
from backpulse.rtl.tile.signature import Status, TileSignature
from backpulse.rtl.tile.status import TileStatus
from backpulse.rtl.tile.table_lane import STAGES as TABLE_STAGES
from backpulse.rtl.tile.table_lane import TableLane
from backpulse.rtl.tile.tables import Tables

__all__ = ["EmulatedTile"]


require("emulated tile", (Op.READ, Op.READT, Op.PULSE), Unit.READER, Unit.PLANNER)


class _LeakPass(NamedTuple):
    """Of the table device: a pass over the rows of the command on offer, before that is taken."""

    due: Signal
    """The command has to wait for it."""
    going: Signal
    rows: Signal
    """Valid bits of the lanes' stages."""
    off: Signal
    """In the last cycles of a PULSE: its drivers are off, those of other devices would be."""


class EmulatedTile(wiring.Component):
    """All tiles of a configuration, emulated word for word as docs/machine.md says, behind `TileSignature`.

    Takes one drive or one row of counts a cycle and gives one sense word a cycle. With T the cycle that takes
    the first word, and no pauses from outside, the last sense word of a READ is offered in cycle T + rows +
    cols + 4, of a READT in T + rows + cols + 3 + `converter.row_stages`; the completion of either comes with
    it. A PULSE completes in T + rows + 5, with the table device in T + rows + 8. If `sense` is not taken,
    reading pauses before words could get lost; drives and counts are never refused while a command wants
    them. After `abort`, which it heeds between two rows, the tile is safe within EMULATED.safe_cycles. Before
    a command is taken whose rows may leak, it is busy with them for rows + 10 cycles. Every pulse is applied;
    it never trips nor fails. A fresh tile's cells are zero and its random states one.

    Parameters
    ----------
    config
        Size, formats, device and noise.

    Members
    -------
    As `TileSignature`.

    Raises
    ------
    ValueError
        If the configuration has no device model.
    """

    def __init__(self, config: Config) -> None:
        if config.device is DeviceKind.REAL:
            raise ValueError("Configuration field device must be a model for an emulated tile, not REAL")
        self._config = config
        super().__init__(TileSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config

        m.submodules.host = host = DomainRenamer("host")(TileHost(config))
        converter = DomainRenamer("convert")(Converter(config))
        m.submodules.converter = converter = ResetInserter({"convert": self.abort})(converter)
        tables = Tables(config) if config.device is DeviceKind.TABLE else None
        stages = STAGES if tables is None else TABLE_STAGES
        lanes = [(Lane if tables is None else TableLane)(config) for _ in range(config.tile_cols)]
        for i, lane in enumerate(lanes):
            m.submodules[f"lane_{i}"] = lane
        m.submodules.status = status = TileStatus(EMULATED)
        wiring.connect(m, wiring.flipped(self.host), status.bus)
        wiring.connect(m, status.inner, host.bus)
        leak, busy = None, ~host.free
        if tables is not None:
            m.submodules.tables = tables
            leak_due = Signal()
            leak_going = Signal()
            leak_rows = Signal(stages + 1)
            leak_off = Signal()
            leak = _LeakPass(due=leak_due, going=leak_going, rows=leak_rows, off=leak_off)
            busy |= leak.going
        m.d.comb += [
            self.busy.eq(busy),
            self.trip.eq(status.trip),
            status.safe.eq(self.safe),
            status.busy.eq(self.busy),
            status.idle.eq(host.idle),
        ]
        wiring.connect(m, converter.sense, wiring.flipped(self.sense))
        noise = ReadNoise() if config.read_noise else None
        host_row = self._connect_host(m, host, lanes, noise)

        # The executing command and its progress.
        bank = Signal()
        transposed = Signal()
        rows_left = Signal(range(config.tile_rows + 1))
        column = Signal(range(config.tile_cols))
        cols_left = Signal(range(config.tile_cols + 1))
        last_row, last_col = rows_left == 1, cols_left == 1
        accept, take_drive, take_counts = (s.valid & s.ready for s in (self.cmd, self.drive, self.counts))
        drive_row = Signal()
        ask_row = Signal()
        ask_column = Signal()
        pulse = Signal(stages + 1)
        next_row, next_column = drive_row | ask_row | take_counts, ask_column | (take_drive & transposed)
        passing = pulse
        if leak is not None:
            next_row, passing = next_row | leak.rows[0], pulse | leak.rows
        done, cmd = self.completion.payload, self.cmd.payload
        # While idle, whatever is offered: that is quicker than to tell a command.
        first = cmd.tile * config.tile_rows + cmd.row0
        with m.If(host.idle):
            m.d.sync += [
                transposed.eq(cmd.op == Op.READT),
                bank.eq(cmd.bank),
                done.tag.eq(cmd.tag),
                done.status.eq(Status.OK),
                rows_left.eq(cmd.rows),
                column.eq(cmd.col0),
                cols_left.eq(cmd.cols),
            ]
        with m.If(next_row):
            m.d.sync += rows_left.eq(rows_left - 1)
        with m.If(next_column):
            m.d.sync += [column.eq(column + 1), cols_left.eq(cols_left - 1)]
        # Each group of lanes counts its rows itself: one register for all memories would be too far from most
        # of them.
        row, write_row, write_at = (
            [Signal(range(config.rows), name=f"{name}_{i}") for i in range(0, config.tile_cols, GROUP)]
            for name in ("row", "write_row", "write_at")
        )
        for read, write, at in zip(row, write_row, write_at, strict=True):
            with m.If(host.idle):
                m.d.sync += [read.eq(Mux(host.free, first, host_row)), write.eq(first)]
            with m.If(next_row):
                m.d.sync += read.eq(read + 1)
            with m.If(passing[stages - 1]):
                m.d.sync += write.eq(write + 1)
            m.d.sync += at.eq(Mux(passing[stages - 1], write, host_row))

        # What a command wants is said by a bit of its own: from there it is a long way back to the vectors.
        driving = Signal()
        pulsing = Signal()
        reads = Signal()
        known = Signal()
        m.d.comb += [
            known.eq(cmd.profile < EMULATED.profiles),
            reads.eq(known & ((cmd.op == Op.READ) | (cmd.op == Op.READT))),
            self.drive.ready.eq(driving),
            self.counts.ready.eq(pulsing),
        ]
        with m.If(accept):
            m.d.sync += [driving.eq(reads), pulsing.eq(known & (cmd.op == Op.PULSE))]
        with m.If(self.abort | (take_drive & Mux(transposed, last_col, last_row))):
            m.d.sync += driving.eq(0)
        with m.If(self.abort | (take_counts & last_row)):
            m.d.sync += pulsing.eq(0)

        # Stage 0 is in the cycle that takes or asks; the lanes do the rest. Each part's clock is gated while
        # its pipeline is empty.
        drive1 = Signal.like(self.drive.payload)
        keep1 = Signal(config.tile_cols)
        kept1 = Signal()
        clear = Signal()
        add1 = Signal()
        add2 = Signal()
        add3 = Signal()
        moving = Signal(3)
        m.d.comb += pulse[0].eq(take_counts)
        # A row or drive has gone through the lanes, to the sums, three cycles later.
        enters = next_row | take_drive | accept
        m.d.sync += [pulse[1:].eq(pulse[:-1]), moving.eq(Cat(enters, moving))]
        gated_domain(m, platform, "host", awake=host.bus.request | ~host.free)
        reads, pulses_on = moving.any(), pulse[1:].any()
        if leak is not None:
            # The multiplier is that of cells.
            pulses_on |= leak.rows.any()
            reads |= pulses_on
        gated_domain(m, platform, "cells", awake=enters | reads | ~host.free)
        gated_domain(m, platform, "pulse", awake=self.counts.valid | pulses_on | ~host.free)
        gated_domain(m, platform, "convert", awake=ask_row | ask_column | converter.busy | self.abort)
        m.d.cells += [
            drive1.eq(self.drive.payload),
            clear.eq(accept),
            add1.eq(drive_row & ~transposed),
            add2.eq(add1),
            add3.eq(add2),
            keep1.eq(Mux(take_drive & transposed, 1 << column, 0)),
            kept1.eq(transposed),
        ]
        for i, lane in enumerate(lanes):
            m.d.comb += [
                lane.parameters.eq(host.parameters),
                lane.row.eq(row[i // GROUP]),
                lane.write_row.eq(write_at[i // GROUP]),
                lane.pulse.eq(pulse),
                lane.count.eq(self.counts.payload[i]),
                lane.drive.eq(drive1),
                lane.keep.eq(keep1[i]),
                lane.kept.eq(kept1),
                lane.add.eq(add3),
                lane.clear.eq(clear),
                converter.products[i].eq(lane.product),
                converter.totals[i].eq(lane.total),
            ]

        m.d.comb += [
            converter.ask_row.eq(ask_row),
            converter.ask_column.eq(ask_column),
            converter.column.eq(column),
            converter.last.eq(Mux(transposed, last_row, last_col)),
        ]
        if noise is not None:
            m.submodules.noise = noise
            m.d.comb += [
                noise.advance.eq(converter.advance),
                noise.bank.eq(bank),
                noise.sigma.eq(host.parameters.read_sigma),
                converter.noise.eq(noise.number),
            ]

        # Every pulse taken is applied, to a stuck cell too: asked and done are one number.
        pulses = Signal.like(done.asked)
        row_pulses, counted = sum_tree(m, [lane.size for lane in lanes], pulse[2])
        with m.If(accept):
            m.d.sync += pulses.eq(0)
        with m.Elif(counted):
            m.d.sync += pulses.eq(pulses + row_pulses)
        m.d.comb += [done.asked.eq(pulses), done.done.eq(pulses)]

        if tables is not None:
            self._connect_tables(m, host, lanes, tables, row=row[0], pulse=pulse, leak=leak)

        self._control(
            m,
            host=host,
            room=converter.room,
            ended=converter.ended,
            settled=~pulse[: stages - 2].any(),
            leak=leak,
            last_row=last_row,
            last_col=last_col,
            known=known,
            drive_row=drive_row,
            ask_row=ask_row,
            ask_column=ask_column,
        )
        return m

    def _connect_host(self, m: Module, host: TileHost, lanes: list[Lane], noise: ReadNoise | None) -> Signal:
        """Lead the host's strobes to the lanes and the read noise, and back what they hold; return its row.

        All that goes far is a cycle late.
        """

        def late(value: ValueLike) -> Signal:
            register = Signal(Value.cast(value).shape())
            m.d.host += register.eq(value)
            return register

        row, w_data, root_at = (late(v) for v in (host.row, self.host.w_data, host.root_at))
        state, root = late(host.write_state), late(host.write_root)
        # A row has one register more to go through.
        cell, spread = late(late(host.write_cell)), late(late(host.write_spread))
        persistent = []
        if self._config.device is DeviceKind.TABLE:
            persistent = late(late(host.write_persistent))
        if self._config.device is not DeviceKind.TABLE:
            m.d.comb += host.root.eq(late(lanes[0].root))
        if noise is not None:
            m.d.comb += [
                noise.host_write.eq(late(host.write_read)),
                noise.host_bank.eq(host.bank),
                noise.host_data.eq(w_data),
                *(host.read_states[i].eq(noise.states[i]) for i in range(2)),
            ]
        for i, lane in enumerate(lanes):
            m.d.comb += [
                lane.host_data.eq(w_data),
                lane.host_cell.eq(cell[i]),
                lane.host_spread.eq(spread[i]),
                host.cells[i].eq(lane.cell),
                host.spreads[i].eq(lane.spread),
            ]
            if self._config.device is DeviceKind.TABLE:
                m.d.comb += [
                    lane.host_state.eq(state[i]),
                    lane.host_persistent.eq(persistent[i]),
                    host.states[i].eq(lane.state),
                    host.persistents[i].eq(lane.persistent),
                ]
            elif self._config.device is not DeviceKind.IDEAL:
                m.d.comb += [
                    lane.host_state.eq(state[i]),
                    lane.host_root.eq(root),
                    lane.root_at.eq(root_at),
                    host.states[i].eq(lane.state),
                ]
        return row

    def _connect_tables(
        self,
        m: Module,
        host: TileHost,
        lanes: list[TableLane],
        tables: Tables,
        *,
        row: Signal,
        pulse: Signal,
        leak: _LeakPass,
    ) -> None:
        """Lead the host's words to the tables, those to the lanes, and say when a leak pass is due."""
        cmd = self.cmd.payload
        leaks = Signal(len(leak.rows))
        passed = Signal()
        in_region = (cmd.op == Op.READ) | (cmd.op == Op.READT) | (cmd.op == Op.PULSE)
        here = self.cmd.valid & (cmd.profile < EMULATED.profiles) & in_region & ~cmd.bank
        m.d.sync += [
            leak.rows[1:].eq(leak.rows[:-1]),
            leaks[4:].eq(leaks[3:-1]),
            # It has been done for the command that is on offer.
            passed.eq(self.cmd.valid & ~self.cmd.ready & (passed | leak.going)),
        ]
        m.d.comb += [
            leak.off.eq(~pulse[: STAGES - 2].any()),
            leak.due.eq(here & tables.parameters.leak_on & ~passed),
            leaks[3].eq(tables.leaks),
            tables.aging.eq(self.aging),
            tables.row.eq(row),
            tables.enter.eq(leak.rows[0]),
            tables.look.eq(pulse[4]),
            tables.at.eq(host.table_at),
            tables.write.eq(host.table_write),
            tables.data.eq(lanes[0].host_data),
            tables.segment.eq(lanes[0].segment),
            host.table_known.eq(tables.known),
            host.table_word.eq(tables.word),
        ]
        for i, lane in enumerate(lanes):
            m.d.comb += [
                lane.tables.eq(tables.parameters),
                lane.mean.eq(tables.mean),
                lane.leak.eq(leaks),
                lane.loss.eq(tables.loss),
                tables.root_at[i].eq(lane.root_at),
                lane.root.eq(tables.root[i]),
                *(
                    getattr(lane, n).eq(getattr(tables, n))
                    for n in ("host_segment", "segment_at", "host_low")
                ),
            ]

    def _control(
        self,
        m: Module,
        *,
        host,
        room,
        ended,
        settled,
        leak,
        last_row,
        last_col,
        known,
        drive_row,
        ask_row,
        ask_column,
    ) -> None:
        """Say what happens in each cycle of a command."""

        def stop_if_aborted() -> None:
            with m.If(self.abort):
                m.d.comb += [drive_row.eq(0), ask_row.eq(0), ask_column.eq(0)]
                m.d.sync += self.completion.payload.status.eq(Status.ABORTED)
                m.next = "SETTLE"

        take_drive = self.drive.valid & self.drive.ready
        with m.FSM():
            with m.State("IDLE"):
                free = host.free & ~self.abort
                if leak is not None:
                    with m.If(free & leak.due):
                        m.next = "LEAK"
                    free &= ~leak.due
                m.d.comb += [self.safe.eq(1), host.idle.eq(1), self.cmd.ready.eq(free)]
                with m.If(self.cmd.valid & self.cmd.ready):
                    with m.Switch(Mux(known, self.cmd.payload.op, 0)):
                        with m.Case(Op.READ):
                            m.next = "DRIVE ROWS"
                        with m.Case(Op.READT):
                            m.next = "DRIVE COLUMNS"
                        with m.Case(Op.PULSE):
                            m.next = "PULSE"
                        with m.Default():
                            m.d.sync += self.completion.payload.status.eq(Status.REFUSED)
                            m.next = "COMPLETE"
            if leak is not None:
                # Cells forget by themselves: no line is driven, and nothing is left that an abort could end.
                with m.State("LEAK"):
                    m.d.comb += [self.safe.eq(1), leak.going.eq(1), leak.rows[0].eq(1)]
                    with m.If(last_row):
                        m.next = "LEAK SETTLE"
                with m.State("LEAK SETTLE"):
                    m.d.comb += [self.safe.eq(1), leak.going.eq(1)]
                    with m.If(~leak.rows[: TABLE_STAGES - 1].any()):
                        m.next = "IDLE"
                m.d.comb += self.progress.eq(leak.going)
            with m.State("DRIVE ROWS"):
                m.d.comb += drive_row.eq(take_drive)
                with m.If(take_drive & last_row):
                    m.next = "SENSE COLUMNS"
                stop_if_aborted()
            with m.State("SENSE COLUMNS"):
                m.d.comb += ask_column.eq(room)
                with m.If(room & last_col):
                    m.next = "CONVERT"
                stop_if_aborted()
            with m.State("DRIVE COLUMNS"):
                with m.If(take_drive & last_col):
                    # The last drive is in its lane when the first row's cells come.
                    m.d.comb += ask_row.eq(room)
                    m.next = "SENSE ROWS"
                    with m.If(room & last_row):
                        m.next = "CONVERT"
                stop_if_aborted()
            with m.State("SENSE ROWS"):
                m.d.comb += ask_row.eq(room)
                with m.If(room & last_row):
                    m.next = "CONVERT"
                stop_if_aborted()
            with m.State("CONVERT"):
                with m.If(ended):
                    m.next = "COMPLETE"
                stop_if_aborted()
            with m.State("PULSE"):
                with m.If(self.counts.valid & last_row):
                    m.next = "SETTLE"
                stop_if_aborted()
            with m.State("SETTLE"):
                if leak is not None:
                    m.d.comb += self.safe.eq(leak.off)
                with m.If(settled):
                    m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += [self.safe.eq(1), self.completion.valid.eq(1)]
                with m.If(self.completion.ready):
                    m.next = "IDLE"

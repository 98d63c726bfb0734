"""The example of docs/tile.md: a tile with one multiplier, one converter and one pulse at a time."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, Capability, Cause, TileKind, Window
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.rtl.lib.numbers import rshift, sat
from backpulse.rtl.tile.signature import Status, TileSignature, command_layout, window_code
from backpulse.rtl.tile.status import TileStatus

__all__ = ["SerialTile"]

STEP = 64
"""Cell words of a pulse."""
WIDTH = 3
"""Cycles of a pulse."""
OFFSET = 3000
"""What the converter reads without a current, before the rounding: two phases cancel it."""
FACTS = TileFacts(
    kind=TileKind.MODEL,
    capabilities=Capability.CELLS_READ
    | Capability.CELLS_WRITE
    | Capability.TWO_PHASE
    | Capability.TRIPS
    | Capability.PULSE_ABORT
    | Capability.BUDGET,
    profiles=1,
    safe_cycles=WIDTH + 8,
)


class SerialTile(wiring.Component):
    """A tile that reads each line twice, with the drives and with their negatives, and pulses cell by cell.

    A sensed line takes four cycles for each driven one, a pulse some six. When the budget of pulses is used
    up it trips.

    Parameters
    ----------
    config
        Of real devices: the parameters of the emulated ones are not there.

    Members
    -------
    As `TileSignature`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(TileSignature(config))

    def elaborate(self, platform) -> Module:
        m, c = Module(), self._config
        m.submodules.status = status = TileStatus(FACTS)
        m.submodules.cells = cells = Memory(shape=signed(c.cell_bits), depth=c.rows * c.tile_cols, init=[])
        get, put = cells.read_port(), cells.write_port()
        host, end = status.inner, self.completion.payload
        wiring.connect(m, wiring.flipped(self.host), status.bus)

        # `inner` runs over driven lines, or the columns of a row of counts; `outer` over the others.
        cmd = Signal(command_layout(c))
        inner = Signal(range(max(c.tile_rows, c.tile_cols)))
        outer = Signal.like(inner)
        down = cmd.op == Op.READ
        last_inner = inner == Mux(down, cmd.rows, cmd.cols) - 1
        last_outer = outer == Mux(down, cmd.cols, cmd.rows) - 1
        row, col = cmd.row0 + Mux(down, inner, outer), cmd.col0 + Mux(down, outer, inner)
        place = (cmd.tile * c.tile_rows + row) * c.tile_cols + col

        # The host: ARRAY is the status's; cells are there while nothing executes.
        looked = Signal()
        host_row, host_col = host.addr[CELL_ROW_SHIFT:], host.addr[:CELL_ROW_SHIFT]
        there = (host.window == window_code(Window.CELLS)) & (host_row < c.rows) & (host_col < c.tile_cols)
        m.d.sync += looked.eq(host.request & ~looked)
        for port in (get, put):
            m.d.comb += port.addr.eq(Mux(status.idle, host_row * c.tile_cols + host_col, place))
        m.d.comb += [
            host.ack.eq(looked),
            host.r_data.eq(get.data),
            host.error.eq(~(there & status.idle)),
            status.safe.eq(self.safe),
            self.trip.eq(status.trip),
        ]

        # A read: each sensed line twice, with one multiplier.
        drives = Array(Signal(signed(c.drive_bits), name=f"drive_{i}") for i in range(1 << len(inner)))
        second = Signal()
        level = Signal(signed(c.acc_bits + c.drive_bits))
        first = Signal.like(level)
        drive = drives[inner]
        summed = level + Mux(second, -drive, drive) * get.data
        word, over = sat(rshift(first - (level + OFFSET), c.sense_shift + 1), c.sense_max)
        m.d.comb += [
            self.sense.payload.value.eq(word),
            self.sense.payload.over.eq(over),
            self.sense.payload.last.eq(last_outer),
        ]

        # A row of counts: each cell's pulses, one by one.
        counts = Signal(self.counts.payload.shape())
        left = Signal(range(c.pulse_max + 1))
        time = Signal(range(WIDTH))
        budget = Signal(32, init=-1)
        asked = sum(abs(count) for count in self.counts.payload)
        lane = col[: max(1, (c.tile_cols - 1).bit_length())]
        count = counts[lane]
        moved = get.data + Mux(count < 0, -STEP, STEP)
        at_bound = (moved > c.cell_max) | (moved < -c.cell_max)
        short = self.short.payload
        m.d.comb += [
            put.data.eq(Mux(status.idle, host.w_data, Mux(at_bound, get.data, moved))),
            short.row.eq(row),
            status.budget.eq(budget),
        ]
        with m.If(status.allow):
            m.d.sync += budget.eq(self.host.w_data)

        def stop_if_aborted() -> None:
            with m.If(self.abort):
                m.d.sync += end.status.eq(Status.ABORTED)
                m.next = "COMPLETE"

        with m.FSM():
            with m.State("IDLE"):
                untripped = status.trip == Cause.NONE
                m.d.comb += [
                    status.idle.eq(1),
                    self.safe.eq(1),
                    put.en.eq(looked & host.write & there),
                    self.cmd.ready.eq(untripped & ~self.abort & ~self.host.request),
                ]
                m.d.sync += [cmd.eq(self.cmd.payload), inner.eq(0), outer.eq(0), level.eq(0), second.eq(0)]
                m.d.sync += [end.eq(0), end.tag.eq(self.cmd.payload.tag), short.asked.eq(0), short.done.eq(0)]
                with m.If(self.cmd.valid & self.cmd.ready):
                    m.next = "DRIVES"
                    with m.If(self.cmd.payload.op == Op.PULSE):
                        m.next = "ROW"
                    with m.If(self.cmd.payload.profile >= FACTS.profiles):
                        m.d.sync += end.status.eq(Status.REFUSED)
                        m.next = "COMPLETE"
            with m.State("DRIVES"):
                m.d.comb += self.drive.ready.eq(~self.abort)
                with m.If(self.drive.valid & self.drive.ready):
                    m.d.sync += [drive.eq(self.drive.payload), inner.eq(inner + 1)]
                    with m.If(last_inner):
                        m.d.sync += inner.eq(0)
                        m.next = "LOOK"
                stop_if_aborted()
            with m.State("LOOK"):
                m.next = "ADD"
                stop_if_aborted()
            with m.State("ADD"):
                m.d.sync += [level.eq(summed), inner.eq(inner + 1)]
                m.next = "LOOK"
                with m.If(last_inner):
                    m.d.sync += [inner.eq(0), second.eq(1)]
                    with m.If(second):
                        m.next = "SENSE"
                    with m.Else():
                        m.d.sync += [first.eq(summed + OFFSET), level.eq(0)]
                stop_if_aborted()
            with m.State("SENSE"):
                m.d.comb += self.sense.valid.eq(1)
                with m.If(self.sense.ready):
                    m.d.sync += [outer.eq(outer + 1), level.eq(0), second.eq(0)]
                    m.next = "LOOK"
                    with m.If(last_outer):
                        m.next = "COMPLETE"
                stop_if_aborted()
            with m.State("ROW"):
                m.d.comb += self.counts.ready.eq(~self.abort)
                m.d.sync += [
                    counts.eq(self.counts.payload),
                    short.asked.eq(asked),
                    short.done.eq(0),
                    inner.eq(0),
                ]
                with m.If(self.counts.valid & self.counts.ready):
                    m.d.sync += end.asked.eq(end.asked + asked)
                    m.next = "CELL"
                stop_if_aborted()
            with m.State("CELL"):
                m.d.sync += [left.eq(abs(count)), time.eq(0)]
                m.next = "PULSE"
            with m.State("PULSE"):
                with m.If(left == 0):
                    m.d.sync += inner.eq(inner + 1)
                    m.next = "CELL"
                    with m.If(last_inner):
                        m.d.sync += outer.eq(outer + 1)
                        m.next = "ROW"
                        with m.If(last_outer):
                            m.next = "COMPLETE"
                with m.Elif((time == 0) & (self.abort | (budget == 0))):
                    m.d.sync += end.status.eq(Mux(self.abort, Status.ABORTED, Status.FAILED))
                    m.d.sync += end.cause.eq(Mux(self.abort, Cause.NONE, Cause.BUDGET))
                    m.d.comb += status.cause.eq(Mux(self.abort, Cause.NONE, Cause.BUDGET))
                    m.next = "SHORT"
                with m.Elif(time == WIDTH - 1):
                    m.d.comb += [put.en.eq(1), self.progress.eq(1)]
                    m.d.sync += [
                        time.eq(0),
                        left.eq(left - 1),
                        end.done.eq(end.done + 1),
                        short.done.eq(short.done + 1),
                    ]
                    with m.If(~budget.all()):
                        m.d.sync += budget.eq(budget - 1)
                with m.Else():
                    m.d.sync += time.eq(time + 1)
            with m.State("SHORT"):
                m.d.comb += [self.safe.eq(1), self.short.valid.eq(1)]
                with m.If(self.short.ready):
                    m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += [self.safe.eq(1), self.completion.valid.eq(1)]
                with m.If(self.completion.ready):
                    m.next = "IDLE"
        return m

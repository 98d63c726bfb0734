"""The example of docs/tile.md: a tile with one multiplier, one converter and one pulse at a time."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from amaranth.hdl import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import Capability, Cause, TileKind
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.rtl.lib.numbers import rshift, sat
from backpulse.rtl.tile.signature import Status, TileSignature, command_layout
from backpulse.rtl.tile.status import TileStatus

__all__ = ["SerialTile"]

STEP = 64
"""Cell words of a pulse."""
WIDTH = 3
"""Cycles of a pulse."""
OFFSET = 3000
"""What the converter reads without a current, before the rounding: two phases cancel it."""
CLAIMS = Capability.TWO_PHASE | Capability.TRIPS | Capability.PULSE_ABORT | Capability.BUDGET
FACTS = TileFacts(kind=TileKind.MODEL, capabilities=CLAIMS, profiles=1, safe_cycles=WIDTH + 8)


class SerialTile(wiring.Component):
    """A tile that reads each line twice, with the drives and with their negatives, and pulses cell by cell.

    A sensed line takes two cycles for each driven one, a pulse three. When the budget of pulses is used up it
    trips. Nobody else reads or writes its cells.

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
        depth, spread = c.rows * c.tile_cols, 3 * c.cell_max // 2
        init = [7919 * i % spread - spread // 2 for i in range(depth)]
        m.submodules.cells = cells = Memory(shape=signed(c.cell_bits), depth=depth, init=init)
        get, put = cells.read_port(domain="comb"), cells.write_port()
        m.submodules.status = status = TileStatus(FACTS)
        wiring.connect(m, wiring.flipped(self.host), status.bus)
        m.d.comb += [status.inner.ack.eq(status.inner.request), status.inner.error.eq(1)]
        m.d.comb += [status.safe.eq(self.safe), self.trip.eq(status.trip)]
        sense, end, short = self.sense.payload, self.completion.payload, self.short.payload

        # `inner` runs over driven lines, or the columns of a row of counts; `outer` over the others.
        cmd = Signal(command_layout(c))
        inner = Signal(range(max(c.tile_rows, c.tile_cols)))
        outer = Signal.like(inner)
        down, pulses = cmd.op == Op.READ, cmd.op == Op.PULSE
        last_inner = inner == Mux(down, cmd.rows, cmd.cols) - 1
        last_outer = outer == Mux(down, cmd.cols, cmd.rows) - 1
        next_inner = Mux(last_inner, 0, inner + 1)
        row, col = cmd.row0 + Mux(down, inner, outer), cmd.col0 + Mux(down, outer, inner)
        place = (cmd.tile * c.tile_rows + row) * c.tile_cols + col

        # A read: each sensed line in two phases, with one multiplier.
        drives = Array(Signal(signed(c.drive_bits), name=f"drive_{i}") for i in range(1 << len(inner)))
        levels = Array(Signal(signed(c.acc_bits + c.drive_bits), name=f"level_{i}") for i in range(2))
        phase = Signal()
        level, product = Mux(inner == 0, OFFSET, levels[phase]), drives[inner] * get.data
        value, over = sat(rshift(levels[0] - levels[1], c.sense_shift + 1), c.sense_max)
        m.d.comb += [sense.value.eq(value), sense.over.eq(over), sense.last.eq(last_outer)]

        # A row of counts: each cell's pulses, one by one.
        counts = Signal(self.counts.payload.shape())
        time = Signal(range(WIDTH))
        budget = Signal(32, init=-1)
        aborted = Signal()
        asked, count = sum(abs(count) for count in self.counts.payload), counts[col]
        step = Mux(count < 0, -1, 1)
        stop = self.abort | aborted
        m.d.sync += aborted.eq(stop & ~status.idle)
        m.d.comb += [get.addr.eq(place), put.addr.eq(place), short.row.eq(row), status.budget.eq(budget)]
        m.d.comb += put.data.eq(sat(get.data + STEP * step, c.cell_max)[0])
        with m.If(status.allow):
            m.d.sync += budget.eq(self.host.w_data)

        def stop_if_aborted() -> None:
            with m.If(stop):
                m.d.sync += end.status.eq(Status.ABORTED)
                m.next = "COMPLETE"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [status.idle.eq(1), self.safe.eq(1)]
                m.d.comb += self.cmd.ready.eq((status.trip == Cause.NONE) & ~self.abort)
                m.d.sync += [cmd.eq(self.cmd.payload), inner.eq(0), outer.eq(0), phase.eq(0), end.eq(0)]
                m.d.sync += [end.tag.eq(self.cmd.payload.tag), short.asked.eq(0), short.done.eq(0)]
                with m.If(self.cmd.valid & self.cmd.ready):
                    m.next = "TAKE"
                    with m.If(self.cmd.payload.profile >= FACTS.profiles):
                        m.d.sync += end.status.eq(Status.REFUSED)
                        m.next = "COMPLETE"
            with m.State("TAKE"):
                m.d.comb += [self.drive.ready.eq(~pulses & ~stop), self.counts.ready.eq(pulses & ~stop)]
                with m.If(self.drive.valid & self.drive.ready):
                    m.d.sync += [drives[inner].eq(self.drive.payload), inner.eq(next_inner)]
                    with m.If(last_inner):
                        m.next = "ADD"
                with m.If(self.counts.valid & self.counts.ready):
                    m.d.sync += [counts.eq(self.counts.payload), end.asked.eq(end.asked + asked)]
                    m.d.sync += [short.asked.eq(asked), short.done.eq(0)]
                    m.next = "PULSE"
                stop_if_aborted()
            with m.State("ADD"):
                m.d.sync += [inner.eq(next_inner), phase.eq(phase ^ last_inner)]
                m.d.sync += levels[phase].eq(level + Mux(phase, -product, product))
                with m.If(last_inner & phase):
                    m.next = "SENSE"
                stop_if_aborted()
            with m.State("SENSE"):
                m.d.comb += self.sense.valid.eq(1)
                with m.If(self.sense.ready):
                    m.d.sync += outer.eq(outer + 1)
                    m.next = "ADD"
                    with m.If(last_outer):
                        m.next = "COMPLETE"
                stop_if_aborted()
            with m.State("PULSE"):
                with m.If((time == 0) & (stop | ((count != 0) & (budget == 0)))):
                    m.d.comb += status.cause.eq(Mux(stop, Cause.NONE, Cause.BUDGET))
                    m.d.sync += end.cause.eq(status.cause)
                    m.d.sync += end.status.eq(Mux(stop, Status.ABORTED, Status.FAILED))
                    m.next = "COMPLETE"
                with m.Elif(count == 0):
                    m.d.sync += [inner.eq(next_inner), outer.eq(outer + last_inner)]
                    with m.If(last_inner):
                        m.next = "TAKE"
                    with m.If(last_inner & last_outer):
                        m.next = "COMPLETE"
                with m.Elif(time != WIDTH - 1):
                    m.d.sync += time.eq(time + 1)
                with m.Else():
                    m.d.comb += [put.en.eq(1), self.progress.eq(1)]
                    m.d.sync += [time.eq(0), counts[col].eq(count - step), budget.eq(budget - ~budget.all())]
                    m.d.sync += [end.done.eq(end.done + 1), short.done.eq(short.done + 1)]
            with m.State("COMPLETE"):
                m.d.comb += [self.safe.eq(1), self.completion.valid.eq(~self.short.valid)]
                m.d.comb += self.short.valid.eq(short.asked != short.done)
                with m.If(self.short.valid & self.short.ready):
                    m.d.sync += short.done.eq(short.asked)
                with m.If(self.completion.valid & self.completion.ready):
                    m.next = "IDLE"
        return m

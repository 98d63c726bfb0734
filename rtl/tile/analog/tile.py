"""The tile of a physical array: knows lines and profiles, and no chip."""

# Over 400 lines: a command's way through the tile is one state machine, whose registers its steps share.
# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, connect, flipped

from backpulse.firmware_py.analog import (
    AVERAGES_LOG2_MAX,
    PROFILES,
    Direct,
    FrontEnd,
    Lines,
    Phase,
)
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ArrayWord, Capability, Cause, TileKind
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.rtl.tile.analog.codes import CodeSource
from backpulse.rtl.tile.analog.guard import Guard
from backpulse.rtl.tile.analog.multiplier import Multiplier
from backpulse.rtl.tile.analog.profile import ProfileReader
from backpulse.rtl.tile.analog.scale import Scale, drives_bits
from backpulse.rtl.tile.analog.signature import FrontEndSignature
from backpulse.rtl.tile.analog.slots import Slots
from backpulse.rtl.tile.analog.sums import Sums
from backpulse.rtl.tile.analog.tables import Tables
from backpulse.rtl.tile.analog.timer import PulseTimer
from backpulse.rtl.tile.signature import Status, TileSignature, command_layout

__all__ = ["FACTS", "AnalogTile"]

FACTS = TileFacts(
    kind=TileKind.ANALOG,
    capabilities=Capability.TWO_PHASE
    | Capability.TRIPS
    | Capability.PULSE_ABORT
    | Capability.WORK
    | Capability.BUDGET
    | Capability.ARM
    | Capability.DIRECT,
    profiles=PROFILES,
    safe_cycles=8,
)
"""Its cycles are those beyond the limit of a pulse."""
WORK_PULSES = 24
"""Bits of the pulses that a word of WORK asks for, its highest."""


class AnalogTile(wiring.Component):
    """Turns commands into codes, gates and conversions of lines, and samples into sense words.

    A read takes a word of the profile a cycle, then its drives; for each phase the front end's time for
    codes, SETTLE, and its time for each conversion; then some ten cycles a sense word. A row of counts takes
    a cycle if it has none. Otherwise each set of columns takes the front end's time for codes, and each pulse
    WIDTH and GAP + 2 cycles; the next codes, of the next row too, are made during the last pulse. A
    command that is aborted ends when the pulse has, or a set of codes, or a conversion; one during which
    drivers go off waits for no front end.

    Parameters
    ----------
    config
        Of real devices, one tile.
    lines
        Its lines.
    clk_khz
        The clock.
    width_min
        Fewest cycles of a pulse, which the front end can still make: a profile with fewer is refused.
    front_end
        Which one it is, for the host.

    Members
    -------
    As `TileSignature`, and
    front
        The front end.

    Raises
    ------
    ValueError
        If configuration and lines do not belong together.
    """

    def __init__(
        self, config: Config, lines: Lines, *, clk_khz: int, width_min: int, front_end: FrontEnd
    ) -> None:
        if config.device is not DeviceKind.REAL or config.tiles != 1:
            raise ValueError("An analog tile needs a configuration of real devices with one tile")
        if (config.tile_rows, config.tile_cols) != (lines.rows, lines.logical_cols):
            raise ValueError(
                f"Lines are {lines.rows} rows and {lines.logical_cols} columns, "
                f"and the configuration has {config.tile_rows} and {config.tile_cols}"
            )
        self._config, self._lines, self._width_min = config, lines, width_min
        self._constants = {
            ArrayWord.CLOCK_KHZ: clk_khz,
            ArrayWord.WIDTH_MIN: width_min,
            ArrayWord.FRONT_END: int(front_end),
            ArrayWord.LINES: lines.to_word(),
        }
        super().__init__({**TileSignature(config).members, "front": In(FrontEndSignature())})

    def elaborate(self, platform) -> Module:
        m, c, lines, front = Module(), self._config, self._lines, self.front
        halted = Signal()
        m.submodules.guard = guard = Guard(FACTS, self._constants, cells=lines.cols)
        m.submodules.tables = tables = Tables(lines.count)
        timer = PulseTimer()
        m.submodules.timer = ResetInserter(~guard.on)(timer)
        m.submodules.reader = reader = ProfileReader()
        m.submodules.source = source = CodeSource(c, lines)
        m.submodules.sums = sums = Sums(lines.count)
        scale = Scale(c, lines)
        m.submodules.scale = ResetInserter(halted)(scale)
        m.submodules.slots = slots = Slots(c, lines)
        m.submodules.multiplier = multiplier = Multiplier()
        lanes = max(c.tile_rows, c.tile_cols)
        m.submodules.drives = drives = Memory(shape=signed(c.drive_bits), depth=lanes, init=[])
        drive_get = drives.read_port()
        drive_put = drives.write_port()
        connect(m, flipped(self.host), guard.host)
        connect(m, guard.inner, tables.host)
        connect(m, source.o, flipped(front.codes))
        connect(m, flipped(front.samples), sums.samples)
        connect(m, scale.o, flipped(self.sense))

        # The executing command, or a direct operation; how it has been cut short.
        cmd = Signal(command_layout(c))
        direct = Signal()
        work = Signal(32)
        pulses = Signal()
        aborting = Signal()
        failing = Signal()
        refused = Signal()
        profile, flags = reader.words, reader.words.flags
        m.d.comb += [
            pulses.eq(Mux(direct, work[:4] == Direct.PULSE, cmd.op == Op.PULSE)),
            halted.eq(aborting | failing),
        ]
        # The set of codes that is made or waits: of which phase; of which slot of which row.
        feed = Signal()
        phase = Signal(Phase)
        row = Signal(range(c.tile_rows))
        rows = Signal(range(c.tile_rows + 1))
        slot = Signal(range(c.pulse_max + 1))
        placed = Signal()
        # The next row, which is still on offer, is being looked at: since this cycle, or since before.
        peeks = Signal()
        peeked = Signal()
        m.d.comb += placed.eq(~feed & ~source.running & ~peeks)
        m.d.sync += feed.eq(0)
        # Reads: drives taken; the phase that is converted, and how often still.
        taken = Signal(range(lanes + 1))
        sum_of_drives = Signal(signed(drives_bits(c)))
        second = Signal()
        conversions = Signal(AVERAGES_LOG2_MAX + 1)
        # Pulses: of how many cells; how many behind this one; whether the slot has more cells than the
        # budget; whether another set is on its way; what was done.
        cells = Signal(range(lines.cols + 1))
        again = Signal(WORK_PULSES)
        cut = Signal()
        ahead = Signal()
        counted = Signal()
        whole = Signal()
        row_done = Signal(self.short.p.done.shape())
        row_asked = Signal.like(row_done)
        asked = Signal(self.completion.p.asked.shape())
        done = Signal.like(asked)

        m.d.comb += [
            guard.closed.eq(front.closed),
            guard.failed.eq(front.failed),
            guard.temperature.eq(front.temperature),
            guard.i_gate.eq(timer.gate),
            guard.pulse.eq(timer.pulsing),
            guard.cells.eq(cells),
            guard.busy.eq(self.busy),
            guard.work.eq(work),
            front.on.eq(guard.on),
            front.gate.eq(guard.gate),
            front.sdo_delay.eq(guard.sdo_delay),
            self.trip.eq(guard.trip),
            self.safe.eq(~guard.gate),
            self.busy.eq((guard.armed & ~front.ready) | direct),
            tables.idle.eq(guard.idle),
            tables.en.eq(source.en),
            tables.profile_at.eq(Mux(reader.running, reader.at, source.profile_at)),
            tables.line_at.eq(Mux(scale.running, scale.line_at, source.line_at)),
            tables.direct_at.eq(source.direct_at),
            tables.sum.eq(sums.sum),
            reader.number.eq(Mux(direct, work[4:8], cmd.profile)),
            reader.word.eq(tables.profile),
            source.start.eq(feed),
            source.direct.eq(direct),
            source.rows_driven.eq(~direct & (cmd.op == Op.READ)),
            source.cols_driven.eq(~direct & (cmd.op == Op.READT)),
            source.unipolar.eq(flags.unipolar),
            source.profile.eq(cmd.profile),
            source.phase.eq(phase),
            source.scale.eq(profile.scale),
            source.row.eq(row),
            source.selected.eq(slots.selected),
            source.limit.eq(Mux(pulses, guard.code_limit, guard.read_code_limit)),
            source.on.eq(guard.on),
            source.profile_word.eq(tables.profile),
            source.line_word.eq(tables.line),
            source.direct_word.eq(tables.direct),
            source.drive.eq(drive_get.data),
            source.product.eq(multiplier.product),
            drive_get.addr.eq(source.drive_at),
            drive_get.en.eq(source.en),
            drive_put.addr.eq(taken),
            drive_put.data.eq(self.drive.payload),
            drive_put.en.eq(self.drive.valid & self.drive.ready),
            multiplier.en.eq(source.en),
            multiplier.left.eq(Mux(scale.running, scale.left, source.left)),
            multiplier.right.eq(Mux(scale.running, scale.right, source.right)),
            scale.transposed.eq(cmd.op == Op.READT),
            scale.averages_log2.eq(flags.averages_log2),
            scale.single.eq(~flags.two_phase),
            scale.doubled.eq(flags.two_phase & ~flags.unipolar),
            scale.sense_shift.eq(profile.sense_shift),
            scale.drives.eq(sum_of_drives),
            scale.sum.eq(sums.sum),
            scale.line_word.eq(tables.line),
            scale.product.eq(multiplier.product),
            *(
                part.region[name].eq(cmd[name])
                for part in (source, scale)
                for name in ("row0", "rows", "col0", "cols")
            ),
            front.convert.eq(sums.begin),
            sums.drop.eq(~guard.on),
            sums.first.eq((conversions == 1 << flags.averages_log2) & ~second),
            sums.negative.eq(second),
            sums.at.eq(Mux(guard.idle, tables.sum_at, scale.sum_at)),
            slots.counts.eq(self.counts.payload),
            slots.begin.eq(feed),
            slots.polarity.eq(phase == Phase.DOWN),
            slots.slot.eq(slot),
            slots.budget.eq(guard.budget),
            slots.look.eq(source.look),
            timer.width.eq(profile.width),
            timer.gap.eq(profile.gap),
            timer.settle.eq(profile.settle),
            timer.delay.eq(profile.delay),
            whole.eq(timer.last & guard.gate),
            self.completion.p.tag.eq(cmd.tag),
            self.completion.p.asked.eq(asked),
            self.completion.p.done.eq(done),
            self.short.p.asked.eq(row_asked),
            self.short.p.done.eq(row_done),
        ]

        # How a command ends.
        status, cause = self.completion.p.status, self.completion.p.cause
        with m.If(refused):
            m.d.comb += status.eq(Status.REFUSED)
        with m.Elif(failing):
            m.d.comb += [
                status.eq(Status.FAILED),
                cause.eq(Mux(guard.trip == Cause.NONE, Cause.UNARMED, guard.trip)),
            ]
        with m.Elif(aborting):
            m.d.comb += status.eq(Status.ABORTED)
        with m.If(~guard.idle & ~self.completion.valid):
            m.d.sync += [failing.eq(failing | ~guard.on), aborting.eq(aborting | (self.abort & ~direct))]

        def make_codes(which) -> list:
            return [feed.eq(1), phase.eq(which)]

        one_row = rows == 1
        next_row = [row.eq(row + 1), rows.eq(rows - 1)]
        with m.If(peeks):
            m.d.sync += [*make_codes(Mux(slots.up, Phase.UP, Phase.DOWN)), slot.eq(1), peeks.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    guard.idle.eq(1),
                    self.cmd.ready.eq(
                        (guard.trip == Cause.NONE) & ~self.busy & ~self.abort & ~self.host.request
                    ),
                    reader.start.eq(guard.start | (self.cmd.valid & self.cmd.ready)),
                ]
                m.d.sync += [
                    cmd.eq(self.cmd.payload),
                    row.eq(self.cmd.p.row0),
                    rows.eq(self.cmd.p.rows),
                    direct.eq(guard.start),
                    work.eq(Mux(guard.start, self.host.w_data, 0)),
                    *(
                        signal.eq(0)
                        for signal in (
                            peeked,
                            aborting,
                            failing,
                            refused,
                            second,
                            taken,
                            sum_of_drives,
                            asked,
                            done,
                        )
                    ),
                ]
                with m.If(reader.start):
                    m.next = "PROFILE"
            with m.State("PROFILE"):
                read = (cmd.op == Op.READ) | (cmd.op == Op.READT)
                known = Mux(direct, pulses | (work[:4] == Direct.MEASURE), read | (cmd.op == Op.PULSE))
                bad = ~flags.valid | ~known | (pulses & (profile.width < self._width_min))
                m.d.sync += [
                    conversions.eq(1 << flags.averages_log2),
                    again.eq(work[-WORK_PULSES:] - 1),
                    cells.eq(1),
                    cut.eq(0),
                ]
                with m.If(~reader.running):
                    with m.If(direct):
                        m.d.sync += make_codes(Phase.READ)
                        m.next = "PLACE"
                        with m.If(pulses):
                            m.next = "SET"
                        with m.If(bad | failing | ~front.ready | (pulses & (work[-WORK_PULSES:] == 0))):
                            m.d.sync += feed.eq(0)
                            m.next = "IDLE"
                    with m.Elif(bad):
                        m.d.sync += refused.eq(1)
                        m.next = "COMPLETE"
                    with m.Elif(failing):
                        m.next = "COMPLETE"
                    with m.Elif(pulses):
                        m.next = "ROW"
                    with m.Else():
                        m.next = "DRIVES"

            with m.State("DRIVES"):
                m.d.comb += self.drive.ready.eq(~halted)
                with m.If(self.drive.valid & self.drive.ready):
                    m.d.sync += [
                        taken.eq(taken + 1),
                        sum_of_drives.eq(sum_of_drives + self.drive.payload),
                    ]
                    with m.If(taken == Mux(cmd.op == Op.READ, cmd.rows, cmd.cols) - 1):
                        m.d.sync += make_codes(Phase.READ)
                        m.next = "PLACE"
                with m.If(halted):
                    m.next = "DRAIN"
            with m.State("PLACE"):
                with m.If(halted):
                    m.next = "DRAIN"
                with m.Elif(placed & front.loaded & timer.free):
                    m.d.comb += timer.read.eq(1)
                    with m.If(flags.two_phase & ~second & ~direct):
                        m.d.sync += make_codes(Phase.READ_NEGATIVE)
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(halted):
                    m.d.comb += timer.stop.eq(1)
                    m.next = "DRAIN"
                with m.Elif(timer.settled):
                    m.d.comb += sums.begin.eq(1)
                    m.next = "CONVERT"
            with m.State("CONVERT"):
                with m.If(halted):
                    m.d.comb += timer.stop.eq(1)
                    m.next = "DRAIN"
                with m.Elif(~sums.waiting):
                    m.d.comb += self.progress.eq(1)
                    m.d.sync += conversions.eq(conversions - 1)
                    m.next = "SETTLE"
                    with m.If(conversions == 1):
                        m.d.comb += timer.stop.eq(1)
                        m.d.sync += [conversions.eq(1 << flags.averages_log2), second.eq(1)]
                        with m.If(direct):
                            m.next = "IDLE"
                        with m.Elif(flags.two_phase & ~second):
                            m.next = "PLACE"
                        with m.Else():
                            m.d.comb += scale.start.eq(1)
                            m.next = "SENSE"
            with m.State("SENSE"):
                with m.If(halted):
                    m.next = "DRAIN"
                with m.Elif(~scale.running):
                    m.next = "COMPLETE"
            with m.State("DRAIN"):
                with m.If(placed & ~sums.waiting):
                    m.next = "COMPLETE"
                    with m.If(direct):
                        m.next = "IDLE"

            with m.State("ROW"):
                m.d.comb += self.counts.ready.eq(~halted)
                m.d.sync += row_done.eq(0)
                with m.If(halted):
                    m.next = "QUIET"
                with m.Elif(self.counts.valid):
                    with m.If(peeked):
                        m.d.sync += peeked.eq(0)
                        m.next = "SET"
                    with m.Elif(slots.any):
                        m.d.comb += slots.take.eq(1)
                        m.d.sync += peeks.eq(1)
                        m.next = "SET"
                    with m.Else():
                        m.d.sync += next_row
                        with m.If(one_row):
                            m.next = "QUIET"
            with m.State("SET"):
                with m.If(placed):
                    m.d.sync += [row_asked.eq(slots.asked), self.short.p.row.eq(row)]
                with m.If(placed & halted):
                    m.next = "END OF ROW"
                with m.Elif(placed & front.loaded):
                    with m.If(~direct):
                        m.d.sync += [
                            cells.eq(slots.number),
                            again.eq(slots.until - slot),
                            cut.eq(slots.cut),
                        ]
                    m.next = "PULSE"
            with m.State("PULSE"):
                with m.If(halted):
                    m.next = "END OF ROW"
                with m.Elif(timer.free & front.loaded):
                    # A pair's pulse is whole when the second of its cells has got its own.
                    m.d.sync += [ahead.eq(0), counted.eq(1 if lines.pieces == 1 else phase == Phase.DOWN)]
                    m.next = "PULSING"
                    with m.If(~direct & (guard.budget < cells) & (guard.budget != 0)):
                        m.d.sync += [*make_codes(phase), slot.eq(slots.until - again)]
                        m.next = "SET"
                    with m.Else():
                        m.d.comb += timer.pulse.eq(1)
                        with m.If((again == 0) & ~cut & ~direct):
                            with m.If(slots.more):
                                m.d.sync += [*make_codes(phase), slot.eq(slots.until + 1), ahead.eq(1)]
                            with m.Elif((phase == Phase.UP) & slots.down):
                                m.d.sync += [*make_codes(Phase.DOWN), slot.eq(1), ahead.eq(1)]
            with m.State("PULSING"):
                with m.If(whole):
                    m.d.comb += self.progress.eq(1)
                    # As many as were asked for at most: what would be more is a fault, and is found as one.
                    with m.If(counted & (cells <= row_asked - row_done)):
                        m.d.sync += row_done.eq(row_done + cells)
                # The next row with counts is looked at already, and is taken when this one is done.
                ends = (again == 0) & ~cut & ~direct & ~ahead & ~peeked
                with m.If(ends & ~halted & ~one_row & self.counts.valid):
                    m.d.sync += next_row
                    m.d.comb += [slots.take.eq(slots.any), self.counts.ready.eq(~slots.any)]
                    with m.If(slots.any):
                        m.d.sync += [peeks.eq(1), peeked.eq(1)]
                with m.If(timer.last):
                    m.d.sync += again.eq(again - (again != 0))
                    m.next = "END OF ROW"
                    with m.If(cut | (again != 0)):
                        m.next = "PULSE"
                    with m.Elif(ahead):
                        m.next = "SET"
                with m.If(failing):
                    m.next = "END OF ROW"
            with m.State("END OF ROW"):
                with m.If(direct):
                    with m.If(placed):
                        m.next = "IDLE"
                with m.Else():
                    m.d.sync += [asked.eq(asked + row_asked), done.eq(done + row_done)]
                    m.next = "ROW"
                    with m.If(row_done != row_asked):
                        m.next = "SHORT"
                    with m.Elif(halted):
                        m.next = "QUIET"
                    with m.Elif(~peeked):
                        m.d.sync += next_row
                        with m.If(one_row):
                            m.next = "QUIET"
            with m.State("SHORT"):
                m.d.comb += self.short.valid.eq(1)
                with m.If(self.short.ready):
                    m.next = "QUIET"
            with m.State("QUIET"):
                with m.If(placed & (halted | timer.quiet)):
                    m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += self.completion.valid.eq(1)
                with m.If(self.completion.ready):
                    m.next = "IDLE"
        return m

"""The emulated tile of a lean machine: lanes of the ideal device, each little more than a multiplier."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import STEP_FRAC
from backpulse.firmware_py.isa import Op, Unit, require
from backpulse.rtl.lib.numbers import clip, sat
from backpulse.rtl.tile.host import TileHost
from backpulse.rtl.tile.layouts import parameter_layout, sum_bits
from backpulse.rtl.tile.signature import Status, TileSignature, sense_layout

__all__ = ["LeanLane", "LeanTile", "rounded"]

HOST_FACTOR = 1 << STEP_FRAC
"""Operand of a lane at rest: a word of the host, so multiplied, goes the way of a moved cell."""


def rounded(value: Value, n: int) -> Value:
    """Shift a signed value right by a constant, half away from zero, with an adder for what is left only."""
    return (value >> n) + (value[n - 1] & ~(value[-1] & ~value[: n - 1].any()))


class LeanLane(wiring.Component):
    """A column of all tiles. One multiplier and one adder serve reads and pulses, and are one of an iCE40's.

    Takes one row a cycle; nothing stalls. A drive or a count is taken in stage 0; in stage 1 it meets its
    cell or the step; `total` has the sum in stage 2, in which a moved cell is written.

    Parameters
    ----------
    config
        Widths and depth.

    Members
    -------
    row, fetch
        Row of all tiles to read and whether to; `cell` has it a cycle later.
    drive, count, pulses, take
        Drive or count of stage 0: which of them and whether to take it.
    blank, rest
        Take zero instead; or `HOST_FACTOR`, which is for a lane without a command.
    step
        What a drive or a count of stage 1 is multiplied by where it does not meet a cell.
    use_step, move, add, en
        Stage 1: take `step`; add to the cell; add to the total; do anything at all.
    total
        The sum.
    write_row, write, host
        Stage 2: write `total` as the host's word if `host`; as a moved cell, if it moved, if `write`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        rows = range(config.rows)
        self._step_bits = parameter_layout(config)["base_up"].width
        most = config.pulse_max << self._step_bits
        super().__init__(
            {
                "row": In(rows),
                "fetch": In(1),
                "drive": In(signed(config.drive_bits)),
                "count": In(signed(config.count_bits)),
                "pulses": In(1),
                "take": In(1),
                "blank": In(1),
                "rest": In(1),
                "step": In(self._step_bits),
                "use_step": In(1),
                "move": In(1),
                "add": In(1),
                "en": In(1),
                "total": Out(signed(max(sum_bits(config), most.bit_length() + 2))),
                "write_row": In(rows),
                "write": In(1),
                "host": In(1),
                "cell": Out(signed(config.cell_bits)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.cells = cells = Memory(shape=signed(config.cell_bits), depth=config.rows, init=[])
        cell_out = cells.read_port()
        cell_in = cells.write_port()
        m.d.comb += [cell_out.addr.eq(self.row), cell_out.en.eq(self.fetch), self.cell.eq(cell_out.data)]

        operand = Signal(signed(max(config.drive_bits, config.count_bits, STEP_FRAC + 2)))
        moves = Signal()
        with m.If(self.rest):
            m.d.sync += operand.eq(HOST_FACTOR)
        with m.Elif(self.take):
            m.d.sync += operand.eq(Mux(self.blank, 0, Mux(self.pulses, self.count, self.drive)))

        # A move is rounded to cell LSB by the half that comes with the cell, one less for a move down.
        down = operand[-1]
        factor = Signal(signed(self._step_bits + 1))
        term = Signal.like(self.total)
        m.d.comb += factor.eq(Mux(self.use_step, self.step, self.cell))
        with m.If(self.move):
            m.d.comb += term.eq(Cat(down.replicate(STEP_FRAC - 1), ~down, self.cell).as_signed())
        with m.Elif(self.add):
            m.d.comb += term.eq(self.total)
        # Without a reset, so that it can be the multiplier's own register.
        total = Signal.like(self.total, reset_less=True)
        m.d.comb += self.total.eq(total)
        with m.If(self.en):
            m.d.sync += [total.eq(operand * factor + term), moves.eq(operand != 0)]

        moved, _ = clip((self.total >> STEP_FRAC)[: config.cell_bits + 2].as_signed(), config.cell_bits)
        m.d.comb += [
            cell_in.addr.eq(self.write_row),
            cell_in.data.eq(Mux(self.host, self.total >> STEP_FRAC, moved)),
            cell_in.en.eq((self.write & moves) | self.host),
        ]
        return m


require("lean tile", (Op.READ, Op.READT, Op.PULSE), Unit.READER, Unit.PLANNER)


class LeanTile(wiring.Component):
    """All tiles of a lean configuration behind `TileSignature`.

    Takes one drive or one row of counts a cycle and gives one sense word a cycle. With T the cycle that takes
    the first word, and no pauses from outside, the last sense word of a READ is offered in cycle T + rows +
    cols + 3, of a READT too; the completion of either comes with it. A PULSE completes in T + rows + 2. After
    `abort` the completion comes within EMULATED.safe_cycles. From the asking for a sense word on everything
    waits together while one is not taken. As the tile is a part of its machine, it has no ARRAY window, and
    does not look at profiles, of which such a machine has none.

    Sense words are differences of the sum over all lanes: a READ blanks the lane that it has asked for, a
    READT adds row to row.

    Parameters
    ----------
    config
        Size and formats.

    Members
    -------
    As `TileSignature`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(TileSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.host = host = TileHost(config)
        lanes = [LeanLane(config) for _ in range(config.tile_cols)]
        for i, lane in enumerate(lanes):
            m.submodules[f"lane_{i}"] = lane
        wiring.connect(m, wiring.flipped(self.host), host.bus)

        # The executing command and its progress.
        transposed = Signal()
        pulses = Signal()
        row = Signal(range(config.rows))
        rows_left = Signal(range(config.tile_rows + 1))
        column = Signal(range(config.tile_cols))
        cols_left = Signal(range(config.tile_cols + 1))
        last_row, last_col = rows_left == 1, cols_left == 1
        accept, take_drive, take_counts = (s.valid & s.ready for s in (self.cmd, self.drive, self.counts))
        ask = Signal()
        move = Signal()
        idle = Signal()
        next_row, next_column = (
            take_counts | Mux(transposed, ask, take_drive),
            Mux(transposed, take_drive, ask),
        )
        done, cmd = self.completion.payload, self.cmd.payload
        with m.If(accept):
            m.d.sync += [
                row.eq(cmd.tile * config.tile_rows + cmd.row0),
                rows_left.eq(cmd.rows),
                column.eq(cmd.col0),
                cols_left.eq(cmd.cols),
                transposed.eq(cmd.op == Op.READT),
                pulses.eq(cmd.op == Op.PULSE),
                done.tag.eq(cmd.tag),
                done.status.eq(Status.OK),
            ]
        with m.If(next_row):
            m.d.sync += [row.eq(row + 1), rows_left.eq(rows_left - 1)]
        with m.If(next_column):
            m.d.sync += [column.eq(column + 1), cols_left.eq(cols_left - 1)]

        # Stage 0 is in the cycle that takes or asks.
        drive1 = Signal()
        first1 = Signal()
        pulse = Signal(3)
        asked = Signal(5)
        column1 = Signal.like(column)
        row1 = Signal.like(row)
        row2 = Signal.like(row)
        m.d.comb += pulse[0].eq(take_counts)
        m.d.sync += [
            pulse[1:].eq(pulse[:-1]),
            drive1.eq(take_drive & ~transposed),
            first1.eq(accept | (first1 & ~drive1)),
            row1.eq(row),
            row2.eq(row1),
        ]
        readout = asked[1] & move
        for i, lane in enumerate(lanes):
            mine = take_drive & (~transposed | (column == i))
            m.d.comb += [
                lane.row.eq(Mux(host.active, host.row, row)),
                lane.fetch.eq(next_row | host.active),
                lane.drive.eq(self.drive.payload),
                lane.count.eq(self.counts.payload[i]),
                lane.pulses.eq(pulses),
                lane.take.eq(take_counts | mine | (ask & ~transposed) | accept),
                lane.blank.eq(idle | (ask & ~transposed)),
                lane.rest.eq(idle & ~accept),
                lane.step.eq(Mux(host.active, self.host.w_data, host.parameters.base_up)),
                lane.use_step.eq(pulses | host.active),
                lane.move.eq(pulse[1]),
                lane.add.eq(Mux(host.active, 0, transposed | (drive1 & ~first1))),
                lane.en.eq(drive1 | pulse[1] | host.active | (readout & (transposed | (column1 == i)))),
                lane.write_row.eq(Mux(pulse[2], row2, host.row)),
                lane.write.eq(pulse[2]),
                lane.host.eq(host.write_cell[i]),
                host.cells[i].eq(lane.cell),
            ]

        # From the asking to the word on offer: four stages that move together.
        total = Signal.like(lanes[0].total, name="total")
        before = Signal.like(total, name="before")
        sense3 = Signal.like(total, name="sense3")
        word4 = Signal(sense_layout(config))
        # Complements keep the three adders apart, which would else become a compressor of twice the size.
        halves = [Signal.like(total, name=f"half_{i}") for i in range(2)]
        value, over = sat(rounded(sense3, config.sense_shift), config.sense_max)
        lasts = Signal(5)
        m.d.comb += [
            *(half.eq(~sum(lane.total for lane in lanes[2 * i :][:2])) for i, half in enumerate(halves)),
            total.eq(~halves[0] + ~halves[1]),
            move.eq(~asked[4] | self.sense.ready),
            asked[0].eq(ask),
            lasts[0].eq(Mux(transposed, last_row, last_col)),
        ]
        with m.If(move):
            m.d.sync += [
                asked[1:].eq(asked[:-1]),
                lasts[1:].eq(lasts[:-1]),
                column1.eq(column),
                before.eq(total),
                # The total without the lane, or with the next row: before - total, or the complement of that
                # less one.
                sense3.eq((before + ~total + ~transposed) ^ transposed.replicate(len(total))),
                word4.value.eq(value),
                word4.over.eq(over),
                word4.last.eq(lasts[3]),
            ]
        with m.If(self.abort):
            m.d.sync += asked[1:].eq(0)
        m.d.comb += [self.sense.valid.eq(asked[4]), self.sense.payload.eq(word4)]

        # Every pulse taken is applied: asked and done are one number.
        count = Signal.like(done.asked)
        sizes = sum(abs(self.counts.payload[i]) for i in range(config.tile_cols))
        with m.If(accept):
            m.d.sync += count.eq(0)
        with m.Elif(take_counts):
            m.d.sync += count.eq(count + sizes)
        m.d.comb += [done.asked.eq(count), done.done.eq(count)]

        def stop_if_aborted() -> None:
            with m.If(self.abort):
                m.d.sync += done.status.eq(Status.ABORTED)
                m.next = "SETTLE"

        taking = Signal()
        last_taken = Mux(transposed, last_col, last_row)
        m.d.comb += [
            self.drive.ready.eq(taking & ~pulses & ~self.abort),
            self.counts.ready.eq(taking & pulses & ~self.abort),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.safe.eq(1),
                    idle.eq(1),
                    host.idle.eq(1),
                    self.cmd.ready.eq(host.free & ~self.abort),
                ]
                with m.If(accept):
                    m.next = "TAKE"
                    with m.If((cmd.op != Op.READ) & (cmd.op != Op.READT) & (cmd.op != Op.PULSE)):
                        m.d.sync += done.status.eq(Status.REFUSED)
                        m.next = "COMPLETE"
            with m.State("TAKE"):
                m.d.comb += taking.eq(1)
                with m.If((take_drive | take_counts) & last_taken):
                    m.next = "ASK"
                    with m.If(pulses):
                        m.next = "SETTLE"
                stop_if_aborted()
            with m.State("ASK"):
                m.d.comb += ask.eq(move & ~self.abort)
                with m.If(move & lasts[0]):
                    m.next = "CONVERT"
                stop_if_aborted()
            with m.State("CONVERT"):
                with m.If(asked[3] & lasts[3] & move):
                    m.next = "COMPLETE"
                stop_if_aborted()
            with m.State("SETTLE"):
                with m.If(~pulse[1]):
                    m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += [self.safe.eq(1), self.completion.valid.eq(1)]
                with m.If(self.completion.ready):
                    m.next = "IDLE"
        return m

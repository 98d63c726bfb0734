"""Tiles that break their contract, one fault each, for the conformance bench: all in one virtual board.

Which fault it is, is a word beyond those of the ARRAY window that have a meaning: a test writes it once, before the bench begins.
"""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false

from collections.abc import Callable

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ARRAY_WORDS, ArrayWord, TileState, Window
from backpulse.rtl.tile.emulated import EmulatedTile
from backpulse.rtl.tile.serial import SerialTile
from backpulse.rtl.tile.signature import Status, TileSignature, window_code
from cocotb_tests.mutants import through

FAULT_WORD = Window.ARRAY.base + ARRAY_WORDS - 1
"""Where the number of the fault is written."""
FAULTS = {
    "slow window": {1},
    "tag": {2, 20},
    "line order": {2, 3, 4, 5, 9},
    "transposed gain": {2, 4, 5, 9, 22},
    "compression": {5, 9},
    "zero remembers": {6, 9},
    "even part": {2, 5, 7, 9},
    "over is silent": {8},
    "edge": {2, 9},
    "sign": {2, 10, 22},
    "half-select": {11},
    "unsettled": {2, 13},
    "late safe": {14},
    "abort miscounts": {14},
    "budget ignored": {18},
    "any profile": {19},
    "last row": {14, 22},
    "impatient": {2},
}
"""Each fault, and the checks that see it."""
OF_SERIAL = ("even part", "budget ignored")
"""Faults of what only the serial tile claims."""
LATE = 1 << 13
"""Cycles that a slow window takes."""
UNSAFE = 1 << 13
"""Cycles that drivers stay on after an abort."""
SOON = 12
"""Cycles in which a pulse has not settled."""
PATIENCE = 256
"""Cycles that a sense word is kept."""


def broken_emulated(config: Config) -> "BrokenTile":
    """Return an emulated tile with faults."""
    return BrokenTile(EmulatedTile, config)


def broken_serial(config: Config) -> "BrokenTile":
    """Return a serial tile with faults."""
    return BrokenTile(SerialTile, config)


def number(fault: str) -> int:
    """Return what is written for a fault; 0 is none."""
    return [*FAULTS].index(fault) + 1


class BrokenTile(wiring.Component):
    """A tile behind faults of its ports.

    Parameters
    ----------
    tile
        Makes the sound one.
    config
        Of it.
    """

    def __init__(self, tile: Callable[[Config], wiring.Component], config: Config) -> None:
        self._inner, self._config = tile(config), config
        self._fault = Signal(range(len(FAULTS) + 1))
        super().__init__(TileSignature(config))

    def _has(self, fault: str):
        return self._fault == number(fault)

    def elaborate(self, platform: object) -> Module:
        """Connect the sound tile, and then what is wrong: later assignments win."""
        m = Module()
        m.submodules.inner = inner = self._inner
        through(m, self, inner)
        cmd = Signal(self.cmd.payload.shape())
        accepted = self.cmd.valid & self.cmd.ready
        ended = self.completion.valid & self.completion.ready
        driven = self.drive.valid & self.drive.ready
        with m.If(accepted):
            m.d.sync += cmd.eq(self.cmd.payload)
        since = Signal(range(SOON + 1), init=SOON)
        with m.If(ended & (cmd.op == Op.PULSE)):
            m.d.sync += since.eq(0)
        with m.Elif(since != SOON):
            m.d.sync += since.eq(since + 1)
        soon = Signal()
        words = Signal(range(self._config.tile_rows + 1))
        anything = Signal()
        with m.If(accepted):
            m.d.sync += [soon.eq(since != SOON), words.eq(0), anything.eq(0)]
        with m.If(driven):
            m.d.sync += [words.eq(words + 1), anything.eq(anything | (self.drive.payload != 0))]

        self._break_host(m, inner)
        self._break_drives(m, inner, cmd, words)
        self._break_senses(m, inner, cmd, soon, anything)
        self._break_pulses(m, inner, cmd, accepted)
        with m.If(self._has("any profile")):
            m.d.comb += inner.cmd.payload.profile.eq(0)
        with m.If(self._has("tag") & soon & (cmd.op == Op.READT)):
            m.d.comb += self.completion.payload.tag.eq(~inner.completion.payload.tag)
        return m

    def _break_host(self, m: Module, inner) -> None:
        """Take the number of the fault; the window that is slow, the budget that is not kept, the drivers that stay on."""
        host, wait = self.host, Signal(range(LATE + 1))
        of_array = host.window == window_code(Window.ARRAY)
        written = Signal()
        to_fault = host.addr == ARRAY_WORDS - 1
        to_budget = self._has("budget ignored") & (host.addr == ArrayWord.BUDGET)
        mine = host.request & host.write & of_array & (to_fault | to_budget)
        m.d.sync += written.eq(mine & ~written)
        with m.If(mine):
            m.d.comb += [inner.host.request.eq(0), host.ack.eq(written), host.error.eq(0)]
            with m.If(to_fault):
                m.d.sync += self._fault.eq(host.w_data)
        m.d.sync += wait.eq(Mux(host.request & of_array, wait + (wait != LATE), 0))
        with m.If(self._has("slow window") & of_array & (wait != LATE) & ~mine):
            m.d.comb += [inner.host.request.eq(0), host.ack.eq(0)]
        unsafe = Signal(range(UNSAFE + 1))
        with m.If(self.abort & self._has("late safe")):
            m.d.sync += unsafe.eq(UNSAFE)
        with m.Elif(unsafe != 0):
            m.d.sync += unsafe.eq(unsafe - 1)
        with m.If(unsafe != 0):
            m.d.comb += self.safe.eq(0)
            with m.If(of_array & (host.addr == ArrayWord.STATE)):
                m.d.comb += host.r_data.eq(inner.host.r_data & ~int(TileState.SAFE))

    def _break_drives(self, m: Module, inner, cmd, words) -> None:
        """Swap the first two rows of a READ; drive one row more than the region has."""
        held = Signal(self.drive.payload.shape())
        owes = Signal()
        reads = cmd.op == Op.READ
        with m.If(self._has("line order") & reads & (cmd.rows > 1)):
            with m.If(words == 0):
                m.d.comb += [self.drive.ready.eq(1), inner.drive.valid.eq(0)]
                m.d.sync += [held.eq(self.drive.payload), owes.eq(1)]
            with m.Elif((words == 2) & owes):
                m.d.comb += [self.drive.ready.eq(0), inner.drive.valid.eq(1), inner.drive.payload.eq(held)]
                with m.If(inner.drive.ready):
                    m.d.sync += owes.eq(0)
        offered = self.cmd.payload
        more = Signal()
        beyond = offered.row0 + offered.rows < self._config.tile_rows
        with m.If(self._has("edge") & (offered.op == Op.READ) & beyond):
            m.d.comb += inner.cmd.payload.rows.eq(offered.rows + 1)
        with m.If(self.cmd.valid & self.cmd.ready):
            m.d.sync += more.eq(self._has("edge") & (offered.op == Op.READ) & beyond)
        with m.If(more & (words == cmd.rows)):
            m.d.comb += [self.drive.ready.eq(0), inner.drive.valid.eq(1), inner.drive.payload.eq(self._config.drive_max // 2)]
            with m.If(inner.drive.ready):
                m.d.sync += more.eq(0)

    def _break_senses(self, m: Module, inner, cmd, soon, anything) -> None:
        """Answer with other words than the tile's."""
        sense, value = self.sense.payload, inner.sense.payload.value
        last, size, half = Signal.like(value), abs(value), self._config.sense_max // 2
        with m.If(self.sense.valid & self.sense.ready & anything):
            m.d.sync += last.eq(value)
        beyond = Mux(value < 0, -((size - half) >> 2), (size - half) >> 2)
        with m.If(self._has("transposed gain") & (cmd.op == Op.READT)):
            m.d.comb += sense.value.eq(value - (value >> 3))
        with m.If(self._has("compression") & (cmd.op == Op.READ) & (size > half) & ~inner.sense.payload.over):
            m.d.comb += sense.value.eq(value - beyond)
        with m.If(self._has("zero remembers") & ~anything):
            m.d.comb += sense.value.eq(last >> 3)
        with m.If(self._has("even part") & anything & (size < half)):
            m.d.comb += sense.value.eq(value + 3)
        with m.If(self._has("unsettled") & soon & (cmd.op == Op.READ)):
            m.d.comb += sense.value.eq(value - (value >> 2))
        with m.If(self._has("over is silent")):
            m.d.comb += sense.over.eq(0)
        kept = Signal(range(PATIENCE + 1))
        m.d.sync += kept.eq(Mux(self.sense.valid & ~self.sense.ready, kept + (kept != PATIENCE), 0))
        with m.If(self._has("impatient") & (kept == PATIENCE)):
            m.d.comb += sense.value.eq(value >> 1)

    def _break_pulses(self, m: Module, inner, cmd, accepted) -> None:
        """Give other pulses than asked for, and count them as asked."""
        counts, given, ends = self.counts.payload, inner.counts.payload, self.completion.payload
        lanes = range(self._config.tile_cols)
        taken = self.counts.valid & self.counts.ready
        rows = Signal(range(self._config.tile_rows + 1))
        hidden = Signal.like(inner.completion.payload.asked)
        leaked = Signal.like(hidden)
        asked = sum(abs(counts[lane]) for lane in lanes)
        with m.If(accepted):
            m.d.sync += [rows.eq(0), hidden.eq(0), leaked.eq(0)]
        with m.If(taken):
            m.d.sync += rows.eq(rows + 1)
        with m.If(self._has("sign") & (counts[lanes[-1]] <= -min(8, self._config.pulse_max))):
            m.d.comb += given[lanes[-1]].eq(-counts[lanes[-1]])
        alone = sum(counts[lane] != 0 for lane in lanes) == 1
        for lane in lanes[1:]:
            with m.If(self._has("half-select") & alone & (counts[lane] > self._config.pulse_max // 2)):
                m.d.comb += given[lane - 1].eq(1)
                with m.If(taken):
                    m.d.sync += leaked.eq(leaked + 1)
        with m.If(self._has("last row") & (cmd.rows > 1) & (rows == cmd.rows - 1)):
            m.d.comb += (given[lane].eq(0) for lane in lanes)
            with m.If(taken):
                m.d.sync += hidden.eq(asked)
        for name in ("asked", "done"):
            m.d.comb += ends[name].eq(inner.completion.payload[name] + hidden - leaked)
        aborted = inner.completion.payload.status == Status.ABORTED
        with m.If(self._has("abort miscounts") & aborted & (inner.completion.payload.done != 0)):
            m.d.comb += ends.done.eq(inner.completion.payload.done - 1)

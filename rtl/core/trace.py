"""The trace: a tap between core and tile that records what the tile answers, and its ring."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import REG
from backpulse.firmware_py.trace import (
    COMPLETION_BITS,
    PULSE_UNITS,
    SENSE_BITS,
    SHORT_BITS,
    SHORT_UNITS,
    UNIT_BITS,
    Kind,
    ring_units,
)
from backpulse.rtl.core.ledger import RING_BITS
from backpulse.rtl.core.ring import Ring
from backpulse.rtl.lib.ports import HostPort
from backpulse.rtl.tile.signature import TileSignature

__all__ = ["Trace"]


class Trace(wiring.Component):
    """Passes everything between core and tile, and records sense words, short rows and completions.

    While `on` is low nothing is held back. While it is high, a word passes in the cycle in which the last
    unit of its record is written: at once a sense word and the completion of a read, which waits while sense
    words come; two cycles later a short row, and five cycles later the completion of a PULSE. While the ring
    is full the tile waits, and that counts as progress.

    Parameters
    ----------
    config
        Of the tile, and depth of the ring.

    Members
    -------
    on, read, written
        The registers TRACE_ON, TRACE_READ and TRACE_WRITTEN.
    core, to_tile
        What the core takes for the tile, and the way to the tile.
    host
        The TRACE window.

    Raises
    ------
    ValueError
        If the configuration has no ring.
    """

    def __init__(self, config: Config) -> None:
        if not config.trace_words:
            raise ValueError(
                "Configuration field trace_words must be 2 at least where there is a trace, not 0"
            )
        self._units = ring_units(config)
        self._aging = config.device is DeviceKind.TABLE
        super().__init__(
            {
                "on": In(1),
                "read": In(REG["TRACE_READ"].bits),
                "written": Out(range(2 * self._units)),
                "core": Out(TileSignature(config)),
                "to_tile": In(TileSignature(config)),
                "host": In(HostPort(RING_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ring = ring = Ring(self._units)
        core, tile = self.core, self.to_tile
        counts = tile.counts.valid & tile.counts.ready
        ended, short = tile.completion.p, tile.short.p
        # Of the command that executes: its operation, and how many rows of counts were taken.
        op = Signal.like(tile.cmd.p.op)
        rows = Signal(len(short.row) + 1)
        with m.If(tile.cmd.valid & tile.cmd.ready):
            m.d.sync += [op.eq(tile.cmd.p.op), rows.eq(0)]
        with m.Elif(counts):
            m.d.sync += rows.eq(rows + 1)

        # A sense word goes first, but for a record that has begun or is on offer.
        room = Signal()
        step = Signal(range(PULSE_UNITS))
        last = Signal.like(step)
        begun_short = Signal()
        is_short = Signal()
        offered = Signal()
        senses = Signal()
        records = Signal()
        ends = Signal()
        m.d.comb += [
            room.eq((self.written - self.read)[: len(self.written)] < self._units),
            is_short.eq(Mux(step == 0, tile.short.valid, begun_short)),
            last.eq(Mux(is_short, SHORT_UNITS - 1, Mux(op == Op.PULSE, PULSE_UNITS - 1, 0))),
            senses.eq(room & (step == 0) & ~offered),
            records.eq(room & ((step != 0) | offered | ~tile.sense.valid)),
            ends.eq(records & (step == last)),
        ]
        m.d.sync += offered.eq(self.on & Cat(s.valid & ~s.ready for s in (core.short, core.completion)).any())

        # What passes as it is, and what is recorded.
        for name in ("cmd", "drive", "counts", "host"):
            connect(m, flipped(getattr(core, name)), flipped(getattr(tile, name)))
        for name, turn in (("sense", senses), ("short", ends & is_short), ("completion", ends & ~is_short)):
            to, of = getattr(core, name), getattr(tile, name)
            m.d.comb += [
                to.payload.eq(of.payload),
                to.valid.eq(of.valid & (turn | ~self.on)),
                of.ready.eq(to.ready & (turn | ~self.on)),
            ]
        waiting = Cat(s.valid for s in (tile.sense, tile.short, tile.completion)).any()
        m.d.comb += [
            tile.abort.eq(core.abort),
            *([tile.aging.eq(core.aging)] if self._aging else []),
            *(getattr(core, name).eq(getattr(tile, name)) for name in ("safe", "busy", "trip")),
            core.progress.eq(tile.progress | (self.on & ~room & waiting)),
        ]

        of_sense = Signal(_layout(SENSE_BITS))
        head = Signal(_layout(COMPLETION_BITS))
        row = Signal(_layout(SHORT_BITS))
        going = Signal()
        begins = Signal()
        rest = Cat(*(Cat(n, Const(0, 2 * UNIT_BITS - len(n))) for n in (ended.asked, ended.done)), rows)
        of_pulse = [head, *(rest[i : i + UNIT_BITS] for i in range(0, len(rest), UNIT_BITS))]
        m.d.comb += [
            of_sense.kind.eq(Kind.SENSE),
            *(of_sense[name].eq(tile.sense.p[name]) for name in ("over", "last", "value")),
            head.kind.eq(Kind.COMPLETION),
            *(head[name].eq(ended[name]) for name in ("status", "cause")),
            head.op.eq(op),
            row.kind.eq(Kind.SHORT),
            row.row.eq(short.row),
            going.eq(Cat(s.valid & s.ready for s in (core.sense, core.short, core.completion)).any()),
            begins.eq(records & (step != last) & Mux(is_short, tile.short.valid, tile.completion.valid)),
            ring.clear.eq(~self.on),
            ring.en.eq(self.on & (begins | going)),
            ring.word.eq(Mux(is_short, Array((row, short.asked, short.done))[step], Array(of_pulse)[step])),
        ]
        with m.If(core.sense.valid):
            m.d.comb += ring.word.eq(of_sense)
        connect(m, flipped(self.host), ring.host)
        with m.If(~self.on):
            m.d.sync += [self.written.eq(0), step.eq(0)]
        with m.Elif(ring.en):
            m.d.sync += [
                self.written.eq(self.written + 1),
                begun_short.eq(is_short),
                step.eq(Mux(begins, step + 1, 0)),
            ]
        return m


def _layout(fields: dict[str, tuple[int, int]]) -> data.StructLayout:
    return data.StructLayout({name: width for name, (_, width) in fields.items()})

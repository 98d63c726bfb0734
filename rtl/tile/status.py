"""The ARRAY window: what a tile is and how it stands, for the host at any time."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.registers import ARRAY_WORDS, ArrayWord, Capability, Cause, TileState, Window
from backpulse.firmware_py.tile_facts import TileFacts
from backpulse.rtl.tile.signature import HostSignature, window_code

__all__ = ["TileStatus"]


class TileStatus(wiring.Component):
    """Answers the ARRAY window in the second cycle of a request, whatever the tile does; leads others on.

    All words of the window can be read; what has no meaning is zero. TRIP can be written, WORK and BUDGET
    where the tile claims them, but not while a command is executing: else a write is an error.

    Parameters
    ----------
    facts
        What the tile says of itself.

    Members
    -------
    bus
        The tile's port for the host.
    inner
        The same without the ARRAY window.
    safe, busy, idle
        As `TileSignature`; no command is executing.
    cause
        Level or strobe: why the tile has to switch its drivers off, or zero.
    trip
        The first cause since TRIP was written last, one cycle later: the tile's own `trip`.
    start, work
        A write of WORK: strobe, with `bus.w_data`. What WORK reads: zero when the work has ended.
    allow, budget
        A write of BUDGET: strobe, with `bus.w_data`. What BUDGET reads: the pulses that are left.
    armed, closed, limit
        Of a tile that claims ARM: bits of STATE, and the most cycles of a pulse, for which an abort waits. It
        answers the words from ARM on by itself: they are led on.
    """

    def __init__(self, facts: TileFacts) -> None:
        self._facts = facts
        arms = Capability.ARM in facts.capabilities
        self._words = int(ArrayWord.ARM) if arms else ARRAY_WORDS
        super().__init__(
            {
                **({"armed": In(1), "closed": In(1), "limit": In(32)} if arms else {}),
                "bus": In(HostSignature()),
                "inner": Out(HostSignature()),
                "safe": In(1),
                "busy": In(1),
                "idle": In(1),
                "cause": In(Cause),
                "trip": Out(Cause),
                "start": Out(1),
                "work": In(32),
                "allow": Out(1),
                "budget": In(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, inner = self.bus, self.inner
        mine = Signal()
        first = Signal()
        ready = Signal()
        word = Signal(32)
        refused = Signal()
        writes = Signal()
        clears = Signal()
        connect(m, flipped(bus), flipped(inner))
        of_array = bus.window == window_code(Window.ARRAY)
        if self._words < ARRAY_WORDS:
            of_array &= bus.addr < self._words
        m.d.comb += [
            mine.eq(of_array),
            inner.request.eq(bus.request & ~mine),
            first.eq(bus.request & mine & ~ready),
        ]
        of_trip, of_work, of_budget = (
            bus.addr == at for at in (ArrayWord.TRIP, ArrayWord.WORK, ArrayWord.BUDGET)
        )
        works, budgets = (
            int(claim in self._facts.capabilities) for claim in (Capability.WORK, Capability.BUDGET)
        )
        m.d.comb += [
            writes.eq(first & bus.write & self.idle),
            clears.eq(writes & of_trip),
            self.start.eq(writes & of_work & works),
            self.allow.eq(writes & of_budget & budgets),
        ]
        standing = {TileState.SAFE: self.safe, TileState.BUSY: self.busy, TileState.TRIPPED: self.trip != 0}
        if self._words < ARRAY_WORDS:
            standing |= {TileState.ARMED: self.armed, TileState.INTERLOCK: self.closed}
        words = self._facts.words() | {
            ArrayWord.STATE: Cat(standing[state] for state in TileState if state in standing),
            ArrayWord.TRIP: self.trip,
            ArrayWord.WORK: self.work,
            ArrayWord.BUDGET: self.budget,
        }
        if self._words < ARRAY_WORDS:
            words[ArrayWord.SAFE_CYCLES] = self.limit + self._facts.safe_cycles
        m.d.sync += [
            ready.eq(first),
            word.eq(0),
            refused.eq(
                (bus.addr >= ARRAY_WORDS)
                | (bus.write & ~(self.idle & (of_trip | (of_work & works) | (of_budget & budgets))))
            ),
        ]
        with m.Switch(bus.addr[: (ARRAY_WORDS - 1).bit_length()]):
            for at, value in words.items():
                with m.Case(at):
                    m.d.sync += word.eq(value)
        with m.If(mine):
            m.d.comb += [bus.ack.eq(ready), bus.r_data.eq(word), bus.error.eq(refused)]

        with m.If((self.trip == 0) | clears):
            m.d.sync += self.trip.eq(self.cause)
        return m

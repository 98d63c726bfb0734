"""The ledger: counters and last results in one memory of half words, and the scale registers."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from collections.abc import Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import NORM_EXPONENT, SCALE_REGISTERS
from backpulse.firmware_py.registers import Counter
from backpulse.rtl.lib.ports import HostPort

__all__ = ["LEDGER_BITS", "RING_BITS", "ROUND", "Ledger", "ring_at"]

LEDGER_BITS = 5
"""Bits of a place in the ledger: counters, then from 16 on scale registers."""
SCALES = 1 << (LEDGER_BITS - 1)
EMPTY = SCALES - 1
"""A place that is never written and holds zero, behind all counters."""
RING_BITS = 15
"""Bits of the host's address of a ring: two words of it at a time, of 65536 at most."""
ROUND = 63
"""Cycles within which each counter's turn comes again: three for each, and what others take."""


def ring_at(config: Config) -> int:
    """Return where the ring of results begins in a ledger: behind all else, at a multiple of its depth."""
    return max(4 * SCALES, config.result_depth)


class Ledger(wiring.Component):
    """Counters of 32 bits, wrapping; a ring of results; scale registers.

    What a counter is given is gathered beside the memory and added to it when its turn comes, within `ROUND`
    cycles. A turn takes three cycles: the low half is read, then the high one while the low one is written,
    then the high one is written. The host's access to a counter waits for that turn and takes `ROUND` cycles
    at most; it sees all that was given before.

    Scale registers of a lean machine lie in the same memory, and have turns between those of the counters.
    Others are registers: a machine that prefetches looks at one only when its instruction begins, and each
    PULSE, NORM2 and AXPY would take up to six cycles more.

    Parameters
    ----------
    config
        Depth of the ring; whether it is `lean`.
    most
        Most that each counter is given in a cycle; the last ones may have zero.
    bursts
        Most that some are given in `ROUND` cycles, if they are not given so much in each.

    Members
    -------
    add_steps, ..
        What is added to a counter; to LOSS only with `loss_en`, to HITS only with `add_results`. That also
        writes `result` to the ring, where RESULTS points.
    clear_results
        RESULTS starts anew.
    look, index
        A scale register is wanted: with its mantissa six cycles later at the latest and with its exponent
        seven; if not lean, both a cycle after any index.
    mantissa, exponent
        That register.
    n_index, n_mantissa, n_en
        A write of NORM2.
    host, results
        The host's ways to counters and scale registers, and to the ring, by words.
    """

    def __init__(
        self,
        config: Config,
        most: Mapping[Counter, int],
        bursts: Mapping[Counter, int],
    ) -> None:
        self._config = config
        self._most = {counter: ROUND * n for counter, n in most.items()} | dict(bursts)
        scale = range(SCALE_REGISTERS)
        super().__init__(
            {
                **{f"add_{counter.name.lower()}": In(range(n + 1)) for counter, n in most.items()},
                "loss_en": In(1),
                "clear_results": In(1),
                "result": In(16),
                "look": In(1),
                "index": In(scale),
                "mantissa": Out(16),
                "exponent": Out(signed(8)),
                "n_index": In(scale),
                "n_mantissa": In(16),
                "n_en": In(1),
                "host": In(HostPort(LEDGER_BITS)),
                "results": In(HostPort(RING_BITS)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        depth, base = self._config.result_depth, ring_at(self._config)
        m.submodules.ledger_words = memory = Memory(shape=16, depth=base + depth, init=[])
        w = memory.write_port()
        r = memory.read_port()
        host, ring = self.host, self.results

        # Counters that are never given anything come last; they have no turns, and stay zero.
        turns = sum(most > 0 for most in self._most.values())
        # A turn reads two half words, the low one first, and may write them back. It is a counter's unless
        # another asks; the host reads a counter in that counter's own turn. Nothing moves while the machine
        # writes something itself, or gives something to what ERR counts, which is never taken then.
        at = Signal(range(len(Counter)))
        wanted = Signal(range((base + depth) // 2))
        others = Signal()
        asked = Signal()
        place = Signal.like(wanted)
        counting = Signal()
        answering = Signal()
        answered = Signal()
        step = Signal(3, init=1)
        reading, low_half, high_half = step
        moves = Signal()
        clearing = Signal()
        starts = Signal()
        anew = Signal()
        exponent_en = Signal()
        m.d.comb += [
            wanted.eq(at),
            starts.eq(clearing & ~others & (at == Counter.RESULTS)),
            asked.eq(host.request & ~answered & (host.addr == at)),
            moves.eq(~(self.add_results | self.loss_en | self.n_en | exponent_en)),
            r.addr.eq(Cat(~reading, Mux(reading, wanted, place) | Mux(Mux(reading, starts, anew), EMPTY, 0))),
            r.en.eq(moves),
        ]
        with m.If(host.request & ~answered & (host.addr >= turns)):
            m.d.comb += [others.eq(1), asked.eq(1), wanted.eq(host.addr)]
        with m.If(ring.request & ~answered):
            m.d.comb += [
                others.eq(1),
                asked.eq(1),
                wanted.eq(base // 2 | ring.addr[: (depth // 2 - 1).bit_length()]),
            ]

        with m.If(moves & reading):
            m.d.sync += [place.eq(wanted), counting.eq(~others), answering.eq(asked), anew.eq(starts)]
        with m.If(moves & high_half & counting):
            m.d.sync += at.eq(Mux(at == turns - 1, 0, at + 1))
            with m.If(anew):
                m.d.sync += clearing.eq(0)

        # The sum of a counter and what it was given, or the half word of another as it is.
        carry = Signal()
        total = Signal(17)
        word = Signal(32)
        addend = self._gather(m, at, reading & moves & ~others, moves)
        m.d.comb += [
            total.eq((Cat(Const(1, 1), r.data) + Cat(carry, addend)) >> 1),
            w.addr.eq(Cat(high_half, place)),
            w.data.eq(total),
            w.en.eq(moves & counting & ~reading),
            ring.error.eq((ring.addr >= depth // 2) | ring.write),
        ]
        with m.If(moves):
            m.d.sync += [
                step.eq(step.rotate_left(1)),
                word.eq(Cat(word[16:], total[:16])),
                carry.eq(total[-1] & low_half),
            ]
        for port in (host, ring):
            m.d.comb += [port.r_data.eq(word), port.ack.eq(answered & port.request)]

        # The machine's own writes, and the host's answer.
        newest = Signal(range(depth))
        exponent_of = Signal.like(self.n_index)
        m.d.sync += [
            exponent_en.eq(self.n_en),
            exponent_of.eq(self.n_index),
            answered.eq(moves & high_half & answering),
        ]
        with m.If(self.add_results):
            m.d.sync += newest.eq(newest + 1)
            m.d.comb += [w.addr.eq(base | newest), w.data.eq(self.result), w.en.eq(1)]
        with m.If(self.clear_results):
            m.d.sync += [newest.eq(0), clearing.eq(1)]

        # Scale registers; a machine that is not lean has a copy of them at hand. Where a write of NORM2 comes
        # between the halves of the host's, both are written anew in another turn.
        def write(en: ValueLike, index: Value, half: int, data: ValueLike) -> None:
            """Write half a scale register."""
            with m.If(en):
                m.d.comb += [w.data.eq(data), w.en.eq(1)]
                if index is not place:
                    m.d.comb += w.addr.eq(2 * SCALES | Cat(Const(half, 1), index))

        by_host = moves & answering & host.request & host.write
        write(by_host & low_half, place, 0, host.w_data[:16])
        write(by_host & high_half, place, 1, host.w_data[16:24])
        write(self.n_en, self.n_index, 0, self.n_mantissa)
        write(exponent_en, exponent_of, 1, NORM_EXPONENT)
        with m.If(self.n_en):
            m.d.sync += answering.eq(0)
        if self._config.lean:
            looks = Signal()
            looking = Signal()
            m.d.sync += looks.eq(self.look | (looks & ~(reading & moves)))
            with m.If(looks):
                m.d.comb += [others.eq(1), asked.eq(0), wanted.eq(SCALES | self.index)]
            with m.If(moves & reading):
                m.d.sync += looking.eq(looks)
            with m.If(looking & low_half):
                m.d.sync += self.mantissa.eq(r.data)
            with m.If(looking & high_half):
                m.d.sync += self.exponent.eq(r.data)
        else:
            copies = Array(Signal(24, name=f"scale{i}") for i in range(SCALE_REGISTERS))
            with m.If(by_host & high_half):
                m.d.sync += copies[place[:3]].eq(host.w_data)
            with m.If(self.n_en):
                m.d.sync += copies[self.n_index].eq(Cat(self.n_mantissa, Const(NORM_EXPONENT, 8)))
            m.d.sync += Cat(self.mantissa, self.exponent).eq(copies[self.index])
        return m

    def _gather(self, m: Module, at: Value, takes: Value, moves: Value) -> Value:
        """Keep what each counter is given until its turn; return the half that is to be added."""
        terms = []
        for counter, most in self._most.items():
            given = Signal(min(most.bit_length(), 32), name=f"given_{counter.name.lower()}")
            add = getattr(self, f"add_{counter.name.lower()}")
            taken = takes & (at == counter)
            if counter in (Counter.HITS, Counter.LOSS, Counter.RESULTS):
                en, n = (self.loss_en, add) if counter is Counter.LOSS else (add, 1)
                with m.If(en):
                    m.d.sync += given.eq(given + n)
                with m.Elif(taken):
                    m.d.sync += given.eq(0)
            else:
                m.d.sync += given.eq(Mux(taken, add, given + add))
            if counter is Counter.RESULTS:
                with m.If(self.clear_results):
                    m.d.sync += given.eq(0)
            terms.append(taken.replicate(32) & given)
        # The low half is added first; behind the high one nothing is left.
        halves = Signal(32)
        with m.If(moves):
            m.d.sync += halves.eq(reduce(or_, terms, halves >> 16))
        return halves[:16]

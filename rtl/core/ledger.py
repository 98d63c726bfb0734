"""The books of a lean machine: counters, the last results and the scale registers, in one memory of half words."""

from collections.abc import Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import NORM_EXPONENT, SCALE_REGISTERS
from backpulse.firmware_py.registers import Counter
from backpulse.rtl.lib.ports import HostPort

__all__ = ["LEDGER_BITS", "ONCE", "RING_BITS", "ROUND", "Ledger", "ledger_members", "ring_at"]

LEDGER_BITS = 5
"""Bits of a place in the ledger: counters, then from 16 on scale registers."""
SCALES = 1 << (LEDGER_BITS - 1)
RING_BITS = 15
"""Bits of the host's address of a ring: two words of it at a time, of 65536 at most."""
ROUND = 48
"""Cycles within which each counter's turn comes again: two or three for each of them, and what others take of the memory."""
ONCE = (Counter.STEPS, Counter.HITS, Counter.RESULTS)
"""Counters that count samples: one at a time."""


class _State(enum.Enum, shape=3):
    READ = 0
    LOW = 1
    HIGH = 2
    MANTISSA = 3
    EXPONENT = 4
    HOST_LOW = 5
    HOST_HIGH = 6


def ledger_members(widths: Mapping[Counter, int]) -> dict[str, wiring.Member]:
    """Return the ports of a ledger whose counters can be given so many bits in a cycle."""
    scale = range(SCALE_REGISTERS)
    return {
        **{f"add_{counter.name.lower()}": In(width) for counter, width in widths.items()},
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


def ring_at(config: Config) -> int:
    """Return where the ring of results begins in a ledger's memory of half words: behind all else, at a multiple of its depth."""
    return max(4 * SCALES, config.result_depth)


class Ledger(wiring.Component):
    """Counters of 32 bits, wrapping; a ring of results; scale registers.

    What a counter is given is gathered beside the memory and added to it when its turn comes, within `ROUND` cycles; LOSS within as many
    too. The host's access to a counter waits for that turn and takes `ROUND` cycles at most; it sees all that was given before.

    Parameters
    ----------
    config
        Depth of the ring.
    widths
        Bits that each counter can be given in a cycle.
    bursts
        Most that some counters are given in `ROUND` cycles, if that is less than the width allows.

    Members
    -------
    add_steps, ..
        What is added to a counter; `add_results` also writes `result` to the ring, where RESULTS points. LOSS at most once in `ROUND`
        cycles.
    clear_results
        RESULTS starts anew.
    look, index
        A scale register is wanted, six cycles later at the latest with its mantissa and seven with its exponent.
    mantissa, exponent
        That register.
    n_index, n_mantissa, n_en
        A write of NORM2; the index holds for another cycle.
    host, results
        The host's ways to counters and scale registers, and to the ring, by words.
    """

    def __init__(self, config: Config, widths: Mapping[Counter, int], bursts: Mapping[Counter, int] | None = None) -> None:
        self._config, self._widths, self._bursts = config, dict(widths), dict(bursts or {})
        super().__init__(ledger_members(widths))

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = self._config.result_depth
        base = ring_at(self._config)
        m.submodules.books = memory = Memory(shape=16, depth=base + depth, init=[])
        w, r = memory.write_port(granularity=8), memory.read_port()
        host, ring = self.host, self.results

        def counter_at(counter, half):
            return Cat(half, counter, Const(0, 1))

        def scale_at(index, half):
            return Cat(half, index, Const(0, 1), Const(1, 1))

        # What is given, until its turn. LOSS takes two: its halves come one after the other.
        state, at, served, high = Signal(_State), Signal(4), Signal(), Signal()
        addend = Signal(16)
        terms = []
        for counter, width in self._widths.items():
            add, name = getattr(self, f"add_{counter.name.lower()}"), f"given_{counter.name.lower()}"
            mine = at == counter
            taken = served & mine
            if counter is Counter.LOSS:
                # What comes while the turn is on waits for the next one.
                given, fresh, on = Signal(width, name=name), Signal(), Signal()
                with m.If((state != _State.LOW) & (state != _State.HIGH)):
                    m.d.sync += on.eq(fresh)
                with m.If(taken & on):
                    m.d.sync += [given.eq(given >> 16), fresh.eq(~high)]
                with m.If(add.any()):
                    m.d.sync += [given.eq(add), fresh.eq(1)]
            elif counter in ONCE:
                given = Signal(name=name)
                m.d.sync += given.eq(add | (given & ~taken))
            else:
                most = self._bursts.get(counter, ROUND * ((1 << width) - 1))
                given = Signal(most.bit_length(), name=name)
                m.d.sync += given.eq(Mux(taken, add, given + add))
            chosen = mine & (on if counter is Counter.LOSS else ~high)
            terms.append(chosen.replicate(16) & given[:16])
        m.d.comb += addend.eq(reduce(or_, terms))

        # The machine's own: a scale register when the round allows it, writes at once.
        looks, exponent_en, clearing = Signal(), Signal(), Signal()
        newest = Signal(range(self._config.result_depth))
        own = Signal()
        m.d.sync += [
            looks.eq(self.look | (looks & (state != _State.READ))),
            exponent_en.eq(self.n_en),
            newest.eq(newest + self.add_results),
        ]
        m.d.comb += own.eq(self.n_en | exponent_en | self.add_results)
        with m.If(self.clear_results):
            m.d.sync += [newest.eq(0), clearing.eq(1)]

        word = Signal(16)
        total, carry = Signal(17), Signal()
        half, of_counter = Signal(), ~host.addr[-1]
        turn = Signal()
        zero = clearing & (at == Counter.RESULTS)
        here = Mux(
            host.request,
            Mux(of_counter, counter_at(host.addr[:4], half), scale_at(host.addr[:3], half)),
            base | Cat(half, ring.addr)[: (depth - 1).bit_length()],
        )
        m.d.comb += [
            high.eq(state == _State.HIGH),
            total.eq(r.data + addend + (carry & high)),
            # What was read stays while the machine's own write goes first.
            r.en.eq(~own | (state == _State.READ) | (state == _State.MANTISSA) | (state == _State.EXPONENT)),
            r.addr.eq(counter_at(at, state == _State.LOW)),
            w.addr.eq(counter_at(at, high)),
            w.data.eq(Mux(zero, 0, total)),
            host.r_data.eq(Cat(word, r.data)),
            ring.r_data.eq(Cat(word, r.data)),
            ring.error.eq((ring.addr >= depth // 2) | ring.write),
        ]
        with m.Switch(state):
            with m.Case(_State.READ):
                m.d.sync += state.eq(_State.LOW)
                with m.If(looks):
                    m.d.comb += r.addr.eq(scale_at(self.index, 0))
                    m.d.sync += state.eq(_State.MANTISSA)
                with m.Elif(Mux(host.request, ~of_counter | turn, ring.request)):
                    m.d.comb += r.addr.eq(here)
                    m.d.sync += [state.eq(_State.HOST_LOW), turn.eq(0)]
            with m.Case(_State.LOW):
                with m.If(~own):
                    m.d.comb += [w.en.eq(3), served.eq(1)]
                    m.d.sync += carry.eq(total[-1])
                    with m.If(total[-1] | (at == Counter.LOSS) | zero):
                        m.d.sync += state.eq(_State.HIGH)
                    with m.Else():
                        self._next(m, state, at, turn)
            with m.Case(_State.HIGH):
                with m.If(~own):
                    m.d.comb += [w.en.eq(3), served.eq(at == Counter.LOSS)]
                    self._next(m, state, at, turn)
                    with m.If(zero):
                        m.d.sync += clearing.eq(0)
            with m.Case(_State.MANTISSA):
                m.d.comb += r.addr.eq(scale_at(self.index, 1))
                m.d.sync += [self.mantissa.eq(r.data), state.eq(_State.EXPONENT)]
            with m.Case(_State.EXPONENT):
                m.d.sync += [self.exponent.eq(r.data), state.eq(_State.LOW)]
            with m.Case(_State.HOST_LOW):
                m.d.comb += [half.eq(1), r.addr.eq(here)]
                m.d.sync += word.eq(r.data)
                with m.If(~own):
                    m.d.comb += [
                        w.addr.eq(scale_at(host.addr[:3], 0)),
                        w.data.eq(host.w_data),
                        w.en.eq((host.request & host.write).replicate(2)),
                    ]
                    m.d.sync += state.eq(_State.HOST_HIGH)
            with m.Case(_State.HOST_HIGH):
                m.d.comb += [half.eq(1), r.addr.eq(here)]
                with m.If(~own):
                    m.d.comb += [
                        w.addr.eq(scale_at(host.addr[:3], 1)),
                        w.data.eq(host.w_data[16:24]),
                        w.en.eq((host.request & host.write).replicate(2)),
                    ]
                    m.d.comb += [host.ack.eq(host.request), ring.ack.eq(~host.request)]
                    m.d.sync += state.eq(_State.READ)

        with m.If(self.n_en | exponent_en):
            m.d.comb += [
                w.addr.eq(scale_at(self.n_index, exponent_en)),
                w.data.eq(Mux(exponent_en, NORM_EXPONENT, self.n_mantissa)),
                w.en.eq(3),
            ]
        with m.If(self.add_results):
            m.d.comb += [w.addr.eq(base | newest), w.data.eq(self.result), w.en.eq(3)]
        return m

    def _next(self, m: Module, state, at, turn) -> None:
        """Go on to the next counter; let the host in if it waited for this one."""
        m.d.sync += [state.eq(_State.READ), at.eq(Mux(at == len(Counter) - 1, 0, at + 1))]
        m.d.sync += turn.eq(self.host.request & (self.host.addr == at))

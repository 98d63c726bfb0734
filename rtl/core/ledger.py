"""The ledger of a lean machine: counters, last results and scale registers in one memory of half words."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

from collections.abc import Mapping
from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
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
"""Cycles within which each counter's turn comes again: two or three for each, and what others take."""
ONCE = (Counter.STEPS, Counter.HITS, Counter.RESULTS)
"""Counters that have room for one until their turn, as LOSS has."""


def ledger_members(widths: Mapping[Counter, int]) -> dict[str, wiring.Member]:
    """Return the ports of a ledger whose counters can be given so many bits in a cycle."""
    scale = range(SCALE_REGISTERS)
    return {
        **{f"add_{counter.name.lower()}": In(width) for counter, width in widths.items()},
        "pending": Out(1),
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
    """Return where the ring of results begins in a ledger: behind all else, at a multiple of its depth."""
    return max(4 * SCALES, config.result_depth)


class Ledger(wiring.Component):
    """Counters of 32 bits, wrapping; a ring of results; scale registers.

    What a counter is given is gathered beside the memory and added to it when its turn comes, within `ROUND`
    cycles. The host's access to a counter waits for that turn and takes `ROUND` cycles at most; it sees all
    that was given before.

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
        What is added to a counter; `add_results` also writes `result` to the ring, where RESULTS points. LOSS
        and those of `ONCE` may be given something while `pending` is low.
    pending
        What LOSS or one of `ONCE` was given is still to be added, or RESULTS to be cleared.
    clear_results
        RESULTS starts anew.
    look, index
        A scale register is wanted, six cycles later at the latest with its mantissa and seven with its
        exponent.
    mantissa, exponent
        That register.
    n_index, n_mantissa, n_en
        A write of NORM2; the index holds for another cycle.
    host, results
        The host's ways to counters and scale registers, and to the ring, by words.
    """

    def __init__(
        self,
        config: Config,
        widths: Mapping[Counter, int],
        bursts: Mapping[Counter, int] | None = None,
    ) -> None:
        self._config = config
        self._widths = dict(widths)
        self._bursts = dict(bursts or {})
        super().__init__(ledger_members(widths))

    def elaborate(self, platform) -> Module:
        m = Module()
        depth = self._config.result_depth
        base = ring_at(self._config)
        m.submodules.ledger_words = memory = Memory(shape=16, depth=base + depth, init=[])
        w = memory.write_port(granularity=8)
        r = memory.read_port()
        host, ring = self.host, self.results

        def counter_at(counter, half):
            return Cat(half, counter, Const(0, 1))

        def scale_at(index, half):
            return Cat(half, index, Const(0, 1), Const(1, 1))

        # The round: each counter has its turn, its low half first and the high one where something is carried
        # there.
        at = Signal(4)
        served = Signal()
        low_half = Signal()
        high_half = Signal()
        carry = Signal()
        total = Signal(17)

        # The machine's own accesses: a scale register when the round allows it, writes at once.
        looks = Signal()
        reading = Signal()
        exponent_en = Signal()
        own = Signal()
        newest = Signal(range(depth))
        clearing = Signal()
        m.d.sync += [
            looks.eq(self.look | (looks & ~reading)),
            exponent_en.eq(self.n_en),
            newest.eq(newest + self.add_results),
        ]
        m.d.comb += own.eq(self.n_en | exponent_en | self.add_results)
        with m.If(self.clear_results):
            m.d.sync += [newest.eq(0), clearing.eq(1)]

        addend = self._gather(m, at, served, low_half, high_half, clearing)

        word = Signal(16)
        half = Signal()
        of_counter = ~host.addr[-1]
        turn = Signal()
        zero = Signal()
        here = Mux(
            host.request,
            Mux(of_counter, counter_at(host.addr[:4], half), scale_at(host.addr[:3], half)),
            base | Cat(half, ring.addr)[: (depth - 1).bit_length()],
        )
        keeps = Signal()
        m.d.comb += [
            zero.eq(clearing & (at == Counter.RESULTS)),
            total.eq(r.data + addend + (carry & high_half)),
            # What was read stays while the machine's own write goes first.
            r.en.eq(~own | ~keeps),
            r.addr.eq(counter_at(at, low_half)),
            w.addr.eq(counter_at(at, high_half)),
            w.data.eq(Mux(zero, 0, total)),
            host.r_data.eq(Cat(word, r.data)),
            ring.r_data.eq(Cat(word, r.data)),
            ring.error.eq((ring.addr >= depth // 2) | ring.write),
        ]

        def next_counter() -> None:
            """Go on to the next counter; let the host in if it waited for this one."""
            m.d.sync += at.eq(Mux(at == len(Counter) - 1, 0, at + 1))
            m.d.sync += turn.eq(host.request & (host.addr == at))
            m.next = "READ"

        def write_scale(high: int, data: Value) -> None:
            m.d.comb += [
                w.addr.eq(scale_at(host.addr[:3], high)),
                w.data.eq(data),
                w.en.eq((host.request & host.write).replicate(2)),
            ]

        with m.FSM():
            with m.State("READ"):
                m.d.comb += reading.eq(1)
                m.next = "LOW"
                with m.If(looks):
                    m.d.comb += r.addr.eq(scale_at(self.index, 0))
                    m.next = "MANTISSA"
                with m.Elif(Mux(host.request, ~of_counter | turn, ring.request)):
                    m.d.comb += r.addr.eq(here)
                    m.d.sync += turn.eq(0)
                    m.next = "HOST LOW"
            with m.State("LOW"):
                m.d.comb += [low_half.eq(1), keeps.eq(1)]
                with m.If(~own):
                    m.d.comb += [w.en.eq(3), served.eq(1)]
                    m.d.sync += carry.eq(total[-1])
                    with m.If(total[-1] | (at == Counter.LOSS) | zero):
                        m.next = "HIGH"
                    with m.Else():
                        next_counter()
            with m.State("HIGH"):
                m.d.comb += [high_half.eq(1), keeps.eq(1)]
                with m.If(~own):
                    m.d.comb += [w.en.eq(3), served.eq(at == Counter.LOSS)]
                    next_counter()
                    with m.If(zero):
                        m.d.sync += clearing.eq(0)
            with m.State("MANTISSA"):
                m.d.comb += r.addr.eq(scale_at(self.index, 1))
                m.d.sync += self.mantissa.eq(r.data)
                m.next = "EXPONENT"
            with m.State("EXPONENT"):
                m.d.sync += self.exponent.eq(r.data)
                m.next = "LOW"
            with m.State("HOST LOW"):
                m.d.comb += [half.eq(1), keeps.eq(1), r.addr.eq(here)]
                m.d.sync += word.eq(r.data)
                with m.If(~own):
                    write_scale(0, host.w_data)
                    m.next = "HOST HIGH"
            with m.State("HOST HIGH"):
                m.d.comb += [half.eq(1), keeps.eq(1), r.addr.eq(here)]
                with m.If(~own):
                    write_scale(1, host.w_data[16:24])
                    m.d.comb += [host.ack.eq(host.request), ring.ack.eq(~host.request)]
                    m.next = "READ"

        with m.If(self.n_en | exponent_en):
            m.d.comb += [
                w.addr.eq(scale_at(self.n_index, exponent_en)),
                w.data.eq(Mux(exponent_en, NORM_EXPONENT, self.n_mantissa)),
                w.en.eq(3),
            ]
        with m.If(self.add_results):
            m.d.comb += [w.addr.eq(base | newest), w.data.eq(self.result), w.en.eq(3)]
        return m

    def _gather(self, m: Module, at, served, low_half, high_half, clearing) -> Value:
        """Keep what each counter is given until its turn; return what the present one has been given."""
        terms = []
        waiting: list[Value] = [clearing]
        for counter, width in self._widths.items():
            add = getattr(self, f"add_{counter.name.lower()}")
            name = f"given_{counter.name.lower()}"
            mine = at == counter
            taken = served & mine
            chosen = mine & ~high_half
            if counter is Counter.LOSS:
                # Its halves come one after the other; what comes while the turn is on waits for the next one.
                given = Signal(width, name=name)
                fresh = Signal()
                on = Signal()
                with m.If(~low_half & ~high_half):
                    m.d.sync += on.eq(fresh)
                with m.If(taken & on):
                    m.d.sync += [given.eq(given >> 16), fresh.eq(~high_half)]
                with m.If(add.any()):
                    m.d.sync += [given.eq(add), fresh.eq(1)]
                chosen = mine & on
                waiting.append(fresh)
            elif counter in ONCE:
                given = Signal(name=name)
                m.d.sync += given.eq(add | (given & ~taken))
                waiting.append(given)
            else:
                most = self._bursts.get(counter, ROUND * ((1 << width) - 1))
                given = Signal(most.bit_length(), name=name)
                m.d.sync += given.eq(Mux(taken, add, given + add))
            terms.append(chosen.replicate(16) & given[:16])
        m.d.comb += self.pending.eq(Cat(waiting).any())
        addend = Signal(16)
        m.d.comb += addend.eq(reduce(or_, terms))
        return addend

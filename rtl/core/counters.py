"""What the machine counts, for the host to read at any time."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Mapping

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import Counter
from backpulse.rtl.core.ledger import RING_BITS, ledger_members
from backpulse.rtl.lib.ports import HostPort, answer
from backpulse.rtl.units.arithmetic import Scales

__all__ = ["Counters", "Ring", "Totals"]


class Totals(wiring.Component):
    """The counters' values: 32 bits, wrapping. Each adds its input in every cycle; RESULTS can be cleared.

    Parameters
    ----------
    widths
        Bits that each counter can add in a cycle.
    """

    def __init__(self, widths: Mapping[Counter, int]) -> None:
        self._widths = dict(widths)
        adds = {f"add_{counter.name.lower()}": In(width) for counter, width in widths.items()}
        super().__init__({**adds, "clear_results": In(1), "values": Out(data.ArrayLayout(32, len(Counter)))})

    def elaborate(self, platform) -> Module:
        m = Module()
        for counter in self._widths:
            add = getattr(self, f"add_{counter.name.lower()}")
            m.d.sync += self.values[counter].eq(self.values[counter] + add)
        with m.If(self.clear_results):
            m.d.sync += self.values[Counter.RESULTS].eq(0)
        return m


class Ring(wiring.Component):
    """The last words of 16 bits; word n since `clear` is at n modulo the depth.

    The host reads two of them at a time, at any time.

    Parameters
    ----------
    depth
        Words of the ring, a power of two.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        super().__init__({"clear": In(1), "word": In(16), "en": In(1), "host": In(HostPort(RING_BITS))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.ring = ring = Memory(shape=data.ArrayLayout(16, 2), depth=self._depth // 2, init=[])
        w = ring.write_port(granularity=1)
        r = ring.read_port()
        place = Signal(range(self._depth))
        with m.If(self.clear):
            m.d.sync += place.eq(0)
        with m.Elif(self.en):
            m.d.sync += place.eq(place + 1)
        m.d.comb += [
            w.addr.eq(place[1:]),
            *(half.eq(self.word) for half in w.data),
            w.en.eq(self.en << place[0]),
            r.addr.eq(self.host.addr),
        ]
        answer(m, self.host, r.data, (self.host.addr >= self._depth // 2) | self.host.write)
        return m


class Counters(wiring.Component):
    """Counters, results and scale registers of a machine with room for them, to the ports of `Ledger`.

    All but the results are in registers: every counter adds in every cycle, and nothing is ever `pending`. A
    machine that prefetches looks at a scale register when its instruction begins, and cannot wait for a
    ledger's memory: each PULSE, NORM2 and AXPY would take up to five cycles more.

    An access of the host takes two cycles, or three to a scale register; a scale register is always there a
    cycle after its index.

    Parameters
    ----------
    config
        Depth of the ring.
    widths
        Bits that each counter can add in a cycle.
    """

    def __init__(self, config: Config, widths: Mapping[Counter, int]) -> None:
        self._config, self._widths = config, dict(widths)
        super().__init__(ledger_members(widths))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.totals = totals = Totals(self._widths)
        m.submodules.ring = ring = Ring(self._config.result_depth)
        m.submodules.scales = scales = Scales()
        wiring.connect(m, wiring.flipped(self.results), ring.host)
        host = self.host
        to_scale = self.host.addr[-1]
        ack = Signal()
        word = Signal(32)
        adds = [name for name in self.signature.members if name.startswith("add_")]
        given = ("index", "n_index", "n_mantissa", "n_en")
        # Indexing the layout gives this shift, too, but with a width that Verilog truncates.
        values = Value.cast(totals.values) >> 32 * host.addr[:-1]
        m.d.sync += [ack.eq(host.request & ~ack & ~to_scale), word.eq(values[:32])]
        m.d.comb += [
            *(getattr(totals, name).eq(getattr(self, name)) for name in adds),
            totals.clear_results.eq(self.clear_results),
            ring.clear.eq(self.clear_results),
            ring.word.eq(self.result),
            ring.en.eq(self.add_results),
            *(getattr(scales, name).eq(getattr(self, name)) for name in given),
            *(getattr(self, name).eq(getattr(scales, name)) for name in ("mantissa", "exponent")),
            scales.host.addr.eq(host.addr),
            scales.host.w_data.eq(host.w_data),
            scales.host.write.eq(host.write),
            scales.host.request.eq(host.request & to_scale),
            host.ack.eq(Mux(to_scale, scales.host.ack, ack)),
            host.r_data.eq(Mux(to_scale, scales.host.r_data, word)),
        ]
        return m

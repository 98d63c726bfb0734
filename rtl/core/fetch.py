"""Fetch: reads an instruction, region and vectors from one memory when the instruction before has ended."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false

from functools import reduce
from operator import attrgetter, or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import (
    FIELDS,
    REGION_WORDS,
    SCALE_LOG2_MAX,
    Op,
    Operand,
    Span,
    legal,
    used_bits,
)
from backpulse.firmware_py.timing import FETCH_BITS, fetch_cycles
from backpulse.rtl.core.decode import any_of, chosen, control, fetch_members, judged, used
from backpulse.rtl.lib.layouts import control_layout, decoded_layout
from backpulse.rtl.lib.limits import capped, exceeds, reaches

__all__ = ["Fetch"]

# Steps: the word that is addressed in one comes in the next. Instructions without a region skip its words.
LOW = 0
HIGH = 1
REGION = 2
VECTORS = 6
READY = 10


SLOTS = (attrgetter("first"), lambda operation: operation.second or operation.written, attrgetter("other"))
"""Operands in the order in which their entries are fetched; the second has the count of the result, too."""


def _field(operand: Operand | None) -> str:
    return operand.field if operand else ""


def places(config: Config) -> dict[str, int]:
    """Return the base of each table in the memory, the largest first: an address is base OR offset, then."""
    sizes = {
        "program": 2 * config.program_words,
        "regions": REGION_WORDS * config.regions,
        "vectors": config.vectors,
    }
    found, end = {}, 0
    for name in sorted(sizes, key=lambda n: -sizes[n]):
        whole = 1 << (sizes[name] - 1).bit_length()
        found[name] = -(-end // whole) * whole
        end = found[name] + sizes[name]
    return {**found, "end": end}


class Fetch(wiring.Component):
    """Program, region and vector tables, and fetching from them, in the cycles that `fetch_cycles` returns.

    The tables lie in one memory of words. Nothing is fetched while an instruction executes, so that what is
    decoded is kept only once.

    Parameters
    ----------
    config
        Depths of the tables; vectors and offsets may be as long as `Config.longest`.

    Members
    -------
    clear, entry
        While `clear` is high nothing is fetched; after that, fetching begins at `entry`.
    o
        Decoded instructions in program order; `ready` ends the present one.
    cycles
        Cycles that fetching the present instruction took.
    look
        Its scale register is known; it begins four cycles later at the earliest.
    program, regions, vectors
        The host's ports of the tables, of which one at most asks.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                **fetch_members(config),
                "cycles": Out(FETCH_BITS),
                "look": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        o = Signal(decoded_layout(self._config))
        place = places(c)
        m.submodules.tables = tables = Memory(shape=32, depth=place["end"], init=[])
        w = tables.write_port()
        r = tables.read_port()
        low, high = r.data[:16], r.data[16:]
        step = Signal(range(READY + 1))
        pc = Signal(range(c.program_words + 1))
        field = {
            name: Signal(width, name=name)
            for name, (_, width) in FIELDS.items()
            if name in "abc" or name == "region"
        }

        bits = control(m, o.op, o.function)
        pairs = [Cat(o.op, o.function) == (op | function << 4) for op, function in legal(c)]
        across = Signal()
        known = Signal()
        known1 = Signal()
        reserved = Signal()
        bad = Signal()
        placed = any_of(bits, attrgetter("region"))
        m.d.comb += [
            across.eq(any_of(bits, lambda kind: kind.region and kind.first.span is Span.COLS)),
            known.eq(
                Cat(pairs).any() & ~reserved & (placed | ~o.profile.any()) & ~reaches(pc, c.program_words)
            ),
        ]

        # Where the next word is: first the program's, then the region's, then the vectors' in the order of
        # `SLOTS`.
        vector = Signal(6)
        now = [(step == VECTORS) | (step == REGION), step == VECTORS + 1, step == VECTORS + 2]
        picked = {}
        for name in "bc":
            of_slots = [
                any_of(bits, lambda kind, slot=slot, name=name: _field(slot(kind)) == name) for slot in SLOTS
            ]
            picked[name] = reduce(or_, (here & mine for here, mine in zip(now, of_slots, strict=True)))
        m.d.comb += [
            vector.eq(Mux(picked["c"], field["c"], Mux(picked["b"], field["b"], field["a"]))),
            r.en.eq(1),
        ]
        with m.If(step <= HIGH):
            m.d.comb += r.addr.eq(place["program"] | Cat(step[0], pc[: (c.program_words - 1).bit_length()]))
        with m.Elif(placed & (step < VECTORS)):
            m.d.comb += r.addr.eq(
                place["regions"] | Cat((step - REGION)[:2], field["region"][: (c.regions - 1).bit_length()])
            )
        with m.Else():
            m.d.comb += r.addr.eq(place["vectors"] | vector[: (c.vectors - 1).bit_length()])
        self._host(m, w, r, place)

        # An instruction is offered a cycle after its word is known at the earliest.
        m.d.sync += known1.eq(known)
        with m.If(step != READY):
            m.d.sync += step.eq(step + 1)
        with m.If((step == REGION) & ~placed):
            m.d.sync += step.eq(VECTORS + 1)
        with m.If((step == VECTORS + 1) & (bits.sequencer | ~known)):
            m.d.sync += step.eq(READY)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [step.eq(LOW), pc.eq(pc + 1)]
            with m.If(bits.next):
                m.d.sync += pc.eq(capped(field["region"], c.program_words))
        with m.If(self.clear):
            m.d.sync += [step.eq(LOW), pc.eq(capped(self.entry, c.program_words))]

        cols = Mux(across, o.first.count, o.second.count)
        self._gather(m, o, bits, field, low, high, step, bad, reserved, vector, cols=cols, across=across)
        given = self.o.p
        names = {name: field[name] for name in "abc"}
        m.d.comb += [
            self.o.valid.eq(step == READY),
            self.look.eq(step == REGION),
            given.eq(o),
            *(given[name].eq(bits[name]) for name, _ in control_layout()),
            given.pc.eq(pc),
            given.target.eq(field["region"]),
            given.rows.eq(Mux(across, o.second.count, o.first.count)),
            given.cols.eq(cols),
            given.other.count.eq(o.second.count),
            given.uses_second.eq(used(bits, attrgetter("second"), o.accumulate)),
            given.uses_other.eq(used(bits, attrgetter("other"))),
            given.w_addr.eq(o.second.addr),
            given.w_bias.eq(o.second.bias),
            given.w_vector.eq(chosen(bits, attrgetter("written"), names)),
            given.m_vector.eq(chosen(bits, attrgetter("first"), names)),
            given.m_sample.eq(o.first.sample),
            given.scale.eq(chosen(bits, attrgetter("scale"), names)),
            given.to_scale.eq(field["c"]),
            given.fault.eq(judged(bits, known1, bad)),
        ]
        with m.Switch(o.op):
            for op in Op:
                with m.Case(op):
                    m.d.comb += self.cycles.eq(fetch_cycles(op))
        return m

    def _host(self, m: Module, w, r, place: dict[str, int]) -> None:
        """Connect the host's ports to the memory, which the host gets whenever it has a request."""
        c = self._config
        m.d.comb += w.addr.eq(r.addr)
        ports = (
            (self.program, "program", 2 * c.program_words),
            (self.regions, "regions", REGION_WORDS * c.regions),
        )
        for port, name, words in (*ports, (self.vectors, "vectors", c.vectors)):
            at = place[name] | port.addr[: (words - 1).bit_length()]
            inside = ~reaches(port.addr, words)
            with m.If(port.request):
                m.d.comb += [r.addr.eq(at), w.data.eq(port.w_data), w.en.eq(port.write & inside)]
            m.d.comb += port.r_data.eq(r.data)
            m.d.sync += [port.ack.eq(port.request & ~port.ack), port.error.eq(~inside)]

    def _gather(
        self, m: Module, o, bits, field, low, high, step, bad, reserved, vector, *, cols, across
    ) -> None:
        """Register the operands word by word, and check them."""
        c = self._config
        addr_bits, count_bits = (c.longest - 1).bit_length(), c.longest.bit_length()
        row_bits, col_bits = c.tile_rows.bit_length(), c.tile_cols.bit_length()
        flags = ["function", "accumulate", "auto_range", "backward", "stochastic"]
        if FIELDS["profile"][0] < used_bits(c):
            flags.append("profile")
        wrong = Signal()
        # Offsets of the first operand, and of the others.
        near = Signal(count_bits)
        far = Signal(count_bits)
        row_end = Signal(row_bits + 1)
        col_end = Signal(col_bits + 1)
        m.d.comb += [row_end.eq(o.row0 + high[:row_bits]), col_end.eq(high[:col_bits] + cols[:col_bits])]

        length, offset = high[:15], Mux(step == VECTORS + 1, near, far)
        unlisted = Signal()
        unusable = Signal()
        m.d.sync += unlisted.eq(reaches(vector, c.vectors))
        m.d.comb += unusable.eq(unlisted | (length == 0) | exceeds(length, c.longest))

        def operand(to):
            return [
                to.addr.eq((low[:addr_bits] + offset)[:addr_bits]),
                to.bias_at.eq((high[:count_bits] - offset)[:count_bits]),
                to.bias.eq(low[15]),
                to.sample.eq(high[15]),
            ]

        def counts(first, second):
            return [o.first.count.eq(first[:count_bits]), o.second.count.eq(second[:count_bits])]

        with m.Switch(step):
            with m.Case(LOW):
                m.d.sync += [bad.eq(0), near.eq(0), far.eq(0)]
            with m.Case(HIGH):
                m.d.sync += [
                    o.op.eq(low[:4]),
                    *(to.eq(Cat(low, high)[FIELDS[n][0] :]) for n, to in field.items() if n != "c"),
                    field["c"][:4].eq(high[12:]),
                ]
            with m.Case(REGION):
                m.d.sync += [
                    field["c"][4:].eq(low[:2]),
                    reserved.eq(Cat(low, high)[used_bits(c) - 32 :].any()),
                    *(o[name].eq(low[FIELDS[name][0] - 32 :]) for name in flags),
                ]
            with m.Case(REGION + 1):
                m.d.sync += [
                    o.row0.eq(low[: (c.tile_rows - 1).bit_length()]),
                    o.tile.eq(high[: (c.tiles - 1).bit_length()]),
                ]
                m.d.comb += wrong.eq(
                    reaches(low, c.tile_rows) | reaches(high, c.tiles) | reaches(field["region"], c.regions)
                )
            with m.Case(REGION + 2):
                m.d.sync += counts(Mux(across, low, high), Mux(across, high, low))
                m.d.comb += wrong.eq(
                    exceeds(low, c.tile_cols)
                    | (low == 0)
                    | exceeds(high, c.tile_rows)
                    | (high == 0)
                    | exceeds(row_end, c.tile_rows)
                )
            with m.Case(REGION + 3):
                m.d.sync += [o.scale_log2.eq(low), o.col0.eq(high[: (c.tile_cols - 1).bit_length()])]
                m.d.comb += wrong.eq(
                    exceeds(low, SCALE_LOG2_MAX) | reaches(high, c.tile_cols) | exceeds(col_end, c.tile_cols)
                )
            with m.Case(REGION + 4):
                m.d.sync += [
                    near.eq(Mux(across, low, high)),
                    far.eq(Mux(across, high, low)),
                    o.w_anew.eq(Mux(across, high, low) == 0),
                ]
                m.d.comb += wrong.eq(exceeds(low, c.longest) | exceeds(high, c.longest))
            with m.Case(VECTORS + 1):
                m.d.sync += operand(o.first)
                with m.If(~any_of(bits, attrgetter("region"))):
                    m.d.sync += [*counts(high, high), o.w_anew.eq(1)]
                m.d.comb += wrong.eq(unusable)
            with m.Case(VECTORS + 2):
                m.d.sync += operand(o.second)
                m.d.comb += wrong.eq(unusable & any_of(bits, lambda kind: SLOTS[1](kind) is not None))
            with m.Case(VECTORS + 3):
                m.d.sync += operand(o.other)
                m.d.comb += wrong.eq((unusable | high[15]) & used(bits, attrgetter("other")))
        with m.If(wrong):
            m.d.sync += bad.eq(1)

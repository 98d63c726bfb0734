"""Fetch with prefetching: the next instruction is read and decoded while the one before executes."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from functools import reduce
from operator import attrgetter, or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import (
    FIELDS,
    OPERATIONS,
    REGION_WORDS,
    SCALE_LOG2_MAX,
    Op,
    Operation,
    Span,
    Unit,
    legal,
    used_bits,
)
from backpulse.firmware_py.isa import Operand as OperandOf
from backpulse.firmware_py.registers import Fault
from backpulse.rtl.core.decode import any_of, chosen, control, fetch_members, judged, used
from backpulse.rtl.lib.layouts import control_layout, control_name, decoded_layout
from backpulse.rtl.lib.limits import capped, exceeds
from backpulse.rtl.lib.ports import answer, entry_layout, region_layout

__all__ = ["Prefetch"]


class Prefetch(wiring.Component):
    """Program, region and vector tables, and fetching from them, ahead of execution.

    Reading one instruction takes six cycles and goes on while the one before executes; a NEXT takes three and
    is fetched through. Fetching stops at END and at an illegal instruction, which is passed on with its fault
    code and takes effect when its turn comes.

    The host's accesses take three cycles. A write makes what was fetched ahead of a waiting NEXT stale: it is
    then fetched again.

    Parameters
    ----------
    config
        Depths of the tables.

    Members
    -------
    clear, entry
        While `clear` is high nothing is fetched; after that, fetching begins at `entry`.
    o
        Decoded instructions in program order; `ready` ends the present one.
    awake
        Registers may change at the end of this cycle.
    program, regions, vectors
        The host's ports of the tables.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                **fetch_members(config),
                "awake": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        ports = (self.program, self.regions, self.vectors)
        entry = capped(self.entry, c.program_words)
        any_host = reduce(or_, (port.request for port in ports))

        # Program: a memory for each half of a word. Their outputs hold the instruction while it is decoded.
        pc = Signal(range(c.program_words + 1))
        host = self.program
        fetching = Signal()
        halves = []
        inside = host.addr < 2 * c.program_words
        for half, name in enumerate(("program_low", "program_high")):
            memory = Memory(shape=32, depth=c.program_words, init=[])
            m.submodules[name] = memory
            w = memory.write_port()
            r = memory.read_port()
            m.d.comb += [
                w.addr.eq(host.addr >> 1),
                w.data.eq(host.w_data),
                w.en.eq(host.request & host.write & inside & (host.addr[0] == half)),
                r.addr.eq(Mux(host.request, host.addr >> 1, pc)),
                r.en.eq(host.request | fetching),
            ]
            halves.append(r.data)
        answer(m, host, Mux(host.addr[0], halves[1], halves[0]), ~inside)

        word = Cat(halves)
        field = {name: word[low : low + width] for name, (low, width) in FIELDS.items()}
        pairs = [Cat(field["op"], field["function"]) == (op | function << 4) for op, function in legal(c)]

        word_is_legal = Signal()
        placed = Cat(field["op"] == op for op, operation in OPERATIONS.items() if operation.region).any()
        m.d.comb += word_is_legal.eq(
            Cat(pairs).any()
            & ~word[used_bits(c) :].any()
            & (placed | ~field["profile"].any())
            & (pc < c.program_words)
        )

        # The fields that select everything else are registered in step 0: the memory itself is slow.
        step = Signal(range(6))
        known = Signal()
        op = Signal(4)
        function = Signal(4)
        listed = Signal()
        with m.If(step == 0):
            m.d.sync += [
                known.eq(word_is_legal),
                op.eq(field["op"]),
                function.eq(field["function"]),
                listed.eq(field["region"] < c.regions),
            ]
        field |= {"op": op, "function": function}

        # Tables: step k addresses region word k and vector k, and stores the words of step k - 1.
        vector_id = Signal(6)
        regions = self._table(
            m, "region_table", self.regions, REGION_WORDS * c.regions, Cat(step[:2], field["region"])
        )
        vectors = self._table(m, "vector_table", self.vectors, c.vectors, vector_id)
        region = Signal(region_layout)
        entries = {name: Signal(entry_layout, name=f"entry_{name}") for name in "abc"}
        with m.Switch(step):
            for i, name in enumerate("abc"):
                with m.Case(i):
                    m.d.comb += vector_id.eq(field[name])

        decoded = Signal(decoded_layout(c))
        self._decode(m, decoded, field, region, entries, pc, known, listed)

        # A NEXT is fetched through: it waits here while what follows is fetched.
        waits = Signal()
        waits_pc = Signal.like(pc)
        target = Signal.like(pc)
        ready = Signal()
        free = Signal()
        m.d.comb += free.eq(~self.o.valid | self.o.ready)
        with m.If(free):
            m.d.sync += [self.o.valid.eq(waits | ready), waits.eq(0)]
            with m.If(waits):
                waiting = {control_name(Op.NEXT), control_name(Unit.SEQUENCER)}
                names = [control_name(what) for what in (*Op, *Unit)]
                m.d.sync += [
                    *(self.o.p[name].eq(name in waiting) for name in names),
                    self.o.p.fault.eq(0),
                    self.o.p.pc.eq(waits_pc),
                    self.o.p.target.eq(target),
                ]
            with m.Elif(ready):
                m.d.sync += self.o.p.eq(decoded)

        # The host comes while a NEXT waits, the only time that it can: what follows may have changed.
        restarts = any_host | self.clear

        def restart_if_stale() -> None:
            with m.If(restarts):
                m.next = "WORD"

        with m.FSM() as fsm:
            with m.State("WORD"):
                m.d.comb += fetching.eq(1)
                m.d.sync += step.eq(0)
                m.next = "TABLES"
                restart_if_stale()
            with m.State("TABLES"):
                m.d.sync += step.eq(step + 1)
                for i in range(REGION_WORDS):
                    with m.If(step == i + 1):
                        m.d.sync += [
                            region.as_value().word_select(i, 32).eq(regions),
                            *(Value.cast(entry).eq(vectors) for entry in [*entries.values()][i : i + 1]),
                        ]
                with m.If((step == 1) & known & decoded.next):
                    m.d.sync += step.eq(1)
                    with m.If(~waits):
                        m.d.sync += [
                            waits.eq(1),
                            waits_pc.eq(pc),
                            target.eq(decoded.target),
                            pc.eq(decoded.target),
                        ]
                        m.next = "WORD"
                with m.If(step == REGION_WORDS):
                    m.next = "READY"
                restart_if_stale()
            with m.State("READY"):
                m.d.comb += ready.eq(~waits)
                with m.If(free & ~waits):
                    m.d.sync += pc.eq(pc + 1)
                    m.next = "WORD"
                    with m.If((decoded.fault != Fault.NONE) | decoded.end):
                        m.next = "STOP"
                restart_if_stale()
            with m.State("STOP"):
                restart_if_stale()
            gated = (fsm.ongoing("READY") & ~free) | fsm.ongoing("STOP")
        answers = reduce(or_, (port.ack for port in ports))
        m.d.comb += self.awake.eq(~gated | self.o.ready | restarts | answers)
        with m.If(any_host):
            m.d.sync += [pc.eq(self.o.p.target), waits.eq(0)]
        with m.If(self.clear):
            m.d.sync += [pc.eq(entry), self.o.valid.eq(0), waits.eq(0)]
        return m

    def _table(self, m: Module, name: str, host, depth: int, address):
        """Add a 32-bit memory that the host shares; return the word at last cycle's address."""
        memory = Memory(shape=32, depth=depth, init=[])
        m.submodules[name] = memory
        w = memory.write_port()
        r = memory.read_port()
        inside = host.addr < depth
        m.d.comb += [
            w.addr.eq(host.addr),
            w.data.eq(host.w_data),
            w.en.eq(host.request & host.write & inside),
            r.addr.eq(Mux(host.request, host.addr, address)),
            r.en.eq(1),
        ]
        answer(m, host, r.data, ~inside)
        return r.data

    def _decode(self, m: Module, o, field, region, entries, pc, known, listed) -> None:
        """Compute everything that execution needs, and check the operands."""
        c = self._config
        names = {name: field[name] for name in "abc"}
        bits = control(m, field["op"], field["function"])

        # Each operand: its entry of the vector table, and which elements of it the region says.
        length = Signal(16)
        operands = ("first", "second", "other", "written")
        entry = {name: Signal(entry_layout, name=name) for name in operands}
        offset = {name: Signal(16, name=f"{name}_offset") for name in operands}
        count = {name: Signal(16, name=f"{name}_count") for name in operands}
        m.d.comb += length.eq(entry["first"].length)
        for name in operands:
            of = attrgetter(name)
            m.d.comb += [Value.cast(entry[name]).eq(chosen(bits, of, entries)), count[name].eq(length)]
            with m.If(any_of(bits, lambda kind, of=of: of(kind) and of(kind).span is Span.ROWS)):
                m.d.comb += [offset[name].eq(region.row_offset), count[name].eq(region.rows)]
            with m.Elif(any_of(bits, lambda kind, of=of: of(kind) and of(kind).span is Span.COLS)):
                m.d.comb += [offset[name].eq(region.col_offset), count[name].eq(region.cols)]
            if name != "written":
                run = o[name]
                m.d.comb += [
                    run.addr.eq(entry[name].base + offset[name]),
                    run.count.eq(count[name]),
                    run.bias_at.eq(entry[name].length - offset[name]),
                    run.bias.eq(entry[name].bias),
                    run.sample.eq(entry[name].sample),
                ]
        row_end = Signal(17)
        col_end = Signal(17)
        rectangle = Signal()
        bad = Signal()
        m.d.comb += [
            *(o[name].eq(bits[name]) for name, _ in control_layout()),
            *(
                o[name].eq(field[name])
                for name in (
                    *("op", "function", "accumulate", "auto_range", "backward", "stochastic"),
                    "profile",
                )
            ),
            o.pc.eq(pc),
            o.target.eq(capped(field["region"], c.program_words)),
            *(o[name].eq(region[name]) for name in ("tile", "row0", "rows", "col0", "cols", "scale_log2")),
            o.scale.eq(chosen(bits, attrgetter("scale"), names)),
            o.to_scale.eq(field["c"]),
            o.uses_second.eq(used(bits, attrgetter("second"), field["accumulate"])),
            o.uses_other.eq(used(bits, attrgetter("other"))),
            o.m_vector.eq(chosen(bits, attrgetter("first"), names)),
            o.m_sample.eq(entry["first"].sample),
            o.w_vector.eq(chosen(bits, attrgetter("written"), names)),
            o.w_bias.eq(entry["written"].bias),
            o.w_addr.eq(entry["written"].base + offset["written"]),
            o.w_anew.eq(offset["written"] == 0),
            o.fault.eq(judged(bits, known, bad)),
            row_end.eq(region.row0 + region.rows),
            col_end.eq(region.col0 + region.cols),
            rectangle.eq(
                listed
                & (region.rows != 0)
                & (region.cols != 0)
                & (row_end <= c.tile_rows)
                & (col_end <= c.tile_cols)
                & (region.tile < c.tiles)
                & (region.scale_log2 <= SCALE_LOG2_MAX)
                & ~exceeds(region.row_offset, c.longest)
                & ~exceeds(region.col_offset, c.longest)
            ),
            bad.eq(
                (any_of(bits, attrgetter("region")) & ~rectangle) | (o.uses_other & entry["other"].sample)
            ),
        ]

        for name in operands:
            for letter, found in entries.items():

                def here(kind: Operation, name=name, letter=letter) -> OperandOf | None:
                    operand = getattr(kind, name)
                    return operand if operand and operand.field == letter else None

                usable = (field[letter] < c.vectors) & (found.length != 0) & ~exceeds(found.length, c.longest)
                with m.If(used(bits, here) & ~usable):
                    m.d.comb += bad.eq(1)

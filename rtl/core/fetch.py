"""Fetch: reads the next instruction with its region and vectors, judges it, and hands it over decoded."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import FIELDS, INSTRUCTION_BITS, LEGAL, REGION_WORDS, SCALE_LOG2_MAX, Function, Op
from backpulse.firmware_py.registers import Fault
from backpulse.rtl.lib.layouts import PC_BITS, decoded_layout
from backpulse.rtl.lib.ports import HostPort, Operand, answer

__all__ = ["Fetch"]


class _State(enum.Enum, shape=2):
    WORD = 0
    TABLES = 1
    READY = 2
    STOP = 3


class Fetch(wiring.Component):
    """Program, region and vector tables, and the fetching from them.

    Reading one instruction takes six cycles and goes on while the one before executes; a NEXT takes three and is fetched through. Fetching
    stops at END and at an instruction that is none; such a one is handed over with its fault code and takes effect when its turn comes.

    The host's accesses take three cycles. A write makes what was fetched ahead of a waiting NEXT stale: it is then fetched again.

    Parameters
    ----------
    config
        Depths of the tables.

    Members
    -------
    clear, entry
        While `clear` is high nothing is fetched; then fetching begins at `entry`.
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
                "clear": In(1),
                "entry": In(PC_BITS),
                "o": Out(stream.Signature(decoded_layout(config))),
                "awake": Out(1),
                "program": In(HostPort(14)),
                "regions": In(HostPort(15)),
                "vectors": In(HostPort(7)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        ports = (self.program, self.regions, self.vectors)
        any_host = reduce(or_, (port.request for port in ports))

        # Program: each half of a word its memory. Their outputs hold the instruction while it is decoded.
        pc = Signal(PC_BITS)
        host = self.program
        fetching = Signal()
        halves = []
        inside = host.addr < 2 * c.program_words
        for half, (name, width) in enumerate((("program_low", 32), ("program_high", INSTRUCTION_BITS - 32))):
            memory = Memory(shape=width, depth=c.program_words, init=[])
            m.submodules[name] = memory
            w, r = memory.write_port(), memory.read_port()
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
        legal = Signal()
        pairs = [Cat(field["op"], field["function"]) == (op | function << 4) for op, function in LEGAL]
        m.d.comb += legal.eq(Cat(pairs).any() & (pc < c.program_words))

        # What everything is decoded by is registered in step 0: the memory itself is slow.
        step = Signal(range(6))
        known, op, function, listed = Signal(), Signal(4), Signal(4), Signal()
        with m.If(step == 0):
            m.d.sync += [known.eq(legal), op.eq(field["op"]), function.eq(field["function"]), listed.eq(field["region"] < c.regions)]
        field |= {"op": op, "function": function}

        # Tables: step k asks for region word k and vector k, and takes what step k - 1 asked for.
        vector_id = Signal(6)
        regions = self._table(m, "region_table", self.regions, REGION_WORDS * c.regions, Cat(step[:2], field["region"]))
        vectors = self._table(m, "vector_table", self.vectors, c.vectors, vector_id)
        region = [Signal(32, name=f"region{i}") for i in range(REGION_WORDS)]
        vector = [Signal(32, name=f"vector{i}") for i in range(3)]
        with m.Switch(step):
            for i, name in enumerate("abc"):
                with m.Case(i):
                    m.d.comb += vector_id.eq(field[name])

        decoded = Signal(decoded_layout(c))
        self._decode(m, decoded, field, region, vector, pc, known, listed)

        waits, waits_pc, target = Signal(), Signal(PC_BITS), Signal(FIELDS["region"][1])  # a NEXT that was fetched through
        ready, free = Signal(), Signal()
        m.d.comb += free.eq(~self.o.valid | self.o.ready)
        with m.If(free):
            m.d.sync += [self.o.valid.eq(waits | ready), waits.eq(0)]
            with m.If(waits):
                m.d.sync += [self.o.p.op.eq(Op.NEXT), self.o.p.fault.eq(0), self.o.p.pc.eq(waits_pc), self.o.p.target.eq(target)]
            with m.Elif(ready):
                m.d.sync += self.o.p.eq(decoded)

        state = Signal(_State)
        with m.Switch(state):
            with m.Case(_State.WORD):
                m.d.comb += fetching.eq(1)
                m.d.sync += [step.eq(0), state.eq(_State.TABLES)]
            with m.Case(_State.TABLES):
                m.d.sync += step.eq(step + 1)
                for i in range(REGION_WORDS):
                    with m.If(step == i + 1):
                        m.d.sync += region[i].eq(regions)
                        if i < len(vector):
                            m.d.sync += vector[i].eq(vectors)
                with m.If((step == 1) & known & (op == Op.NEXT)):
                    m.d.sync += step.eq(1)
                    with m.If(~waits):
                        m.d.sync += [waits.eq(1), waits_pc.eq(pc), target.eq(field["region"])]
                        m.d.sync += [pc.eq(field["region"]), state.eq(_State.WORD)]
                with m.If(step == REGION_WORDS):
                    m.d.sync += state.eq(_State.READY)
            with m.Case(_State.READY):
                m.d.comb += ready.eq(~waits)
                with m.If(free & ~waits):
                    stop = (decoded.fault != Fault.NONE) | (op == Op.END)
                    m.d.sync += [pc.eq(pc + 1), state.eq(Mux(stop, _State.STOP, _State.WORD))]
        # The host comes while a NEXT waits, the only time that it can: what follows may have changed.
        with m.If(any_host):
            m.d.sync += [pc.eq(self.o.p.target), waits.eq(0), state.eq(_State.WORD)]
        rests = ((state == _State.READY) & ~free) | (state == _State.STOP)
        m.d.comb += self.awake.eq(~rests | self.o.ready | self.clear | any_host | reduce(or_, (port.ack for port in ports)))
        with m.If(self.clear):
            m.d.sync += [pc.eq(self.entry), self.o.valid.eq(0), waits.eq(0), state.eq(_State.WORD)]
        return m

    def _table(self, m: Module, name: str, host, depth: int, address):
        """Add a 32-bit memory that the host shares; return the word at last cycle's address."""
        memory = Memory(shape=32, depth=depth, init=[])
        m.submodules[name] = memory
        w, r = memory.write_port(), memory.read_port()
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

    def _decode(self, m: Module, o, field, region, vector, pc, known, listed) -> None:
        """Work out everything that the execution needs, and whether the operands can be used."""
        c = self._config
        low, high = [w[:16] for w in region], [w[16:] for w in region]
        row0, tile, cols, rows, col0, col_offset, row_offset = low[0], high[0], low[1], high[1], high[2], low[3], high[3]
        a, b, aux = (self._operand(m, name, v) for name, v in zip("abc", vector, strict=True))
        op, function = field["op"], field["function"]
        reads, pulse = Signal(), Signal()
        hadamard = function >= Function.HADAMARD_SIGMOID
        m.d.comb += [reads.eq((op == Op.READ) | (op == Op.READT)), pulse.eq(op == Op.PULSE)]
        m.d.comb += [
            *(o[name].eq(field[name]) for name in ("op", "function", "accumulate", "auto_range", "backward", "stochastic")),
            o.pc.eq(pc),
            o.target.eq(field["region"]),
            o.tile.eq(tile),
            o.row0.eq(row0),
            o.rows.eq(rows),
            o.col0.eq(col0),
            o.cols.eq(cols),
            o.scale_log2.eq(low[2]),
            o.scale.eq(Mux(op == Op.NORM2, field["b"], field["c"])),
            o.to_scale.eq(field["c"]),
            o.m_vector.eq(Mux(pulse, field["b"], field["a"])),
            o.m_sample.eq(Mux(pulse, b.sample, a.sample)),
            o.w_vector.eq(Mux(op == Op.ERR, field["c"], field["b"])),
            o.w_bias.eq(Mux(op == Op.ERR, aux.bias, b.bias)),
        ]
        out_offset = Signal(16)
        m.d.comb += o.w_anew.eq(out_offset == 0)

        def run(to, entry, offset, count):
            return [
                to.addr.eq(entry.addr + offset),
                to.count.eq(count),
                to.bias_at.eq(entry.count - offset),
                to.bias.eq(entry.bias),
                to.sample.eq(entry.sample),
            ]

        with m.Switch(op):
            for kind, (n, offset), (n_out, to) in (
                (Op.READ, (rows, row_offset), (cols, col_offset)),
                (Op.READT, (cols, col_offset), (rows, row_offset)),
            ):
                with m.Case(kind):
                    m.d.comb += [*run(o.first, a, offset, n), *run(o.second, b, to, n_out), *run(o.other, aux, to, n_out)]
                    m.d.comb += [o.uses_second.eq(field["accumulate"]), o.uses_other.eq(hadamard)]
                    m.d.comb += [out_offset.eq(to), o.w_addr.eq(b.addr + to)]
            with m.Case(Op.PULSE):
                m.d.comb += [*run(o.first, b, col_offset, cols), *run(o.second, a, row_offset, rows), o.uses_second.eq(1)]
            with m.Default():
                m.d.comb += [*run(o.first, a, 0, a.count), *run(o.other, b, 0, a.count), o.uses_other.eq(op != Op.NORM2)]
                m.d.comb += o.w_addr.eq(Mux(op == Op.ERR, aux.addr, b.addr))

        row_end, col_end = Signal(17), Signal(17)
        rectangle, bad = Signal(), Signal()
        m.d.comb += [row_end.eq(row0 + rows), col_end.eq(col0 + cols)]
        m.d.comb += rectangle.eq(
            listed
            & (rows != 0)
            & (cols != 0)
            & (row_end <= c.tile_rows)
            & (col_end <= c.tile_cols)
            & (tile < c.tiles)
            & (low[2] <= SCALE_LOG2_MAX)
        )
        uses_b, uses_c = op != Op.NORM2, (op == Op.ERR) | (reads & hadamard)
        usable = {n: (field[n] < c.vectors) & (v.count != 0) for n, v in (("a", a), ("b", b), ("c", aux))}
        m.d.comb += bad.eq(
            ((reads | pulse) & ~rectangle)
            | ~usable["a"]
            | (uses_b & ~usable["b"])
            | (uses_c & ~usable["c"])
            | (o.uses_other & o.other.sample)
        )
        with m.If(~known):
            m.d.comb += o.fault.eq(Fault.UNKNOWN_WORD)
        with m.Elif((op != Op.NEXT) & (op != Op.END) & bad):
            m.d.comb += o.fault.eq(Fault.BAD_OPERAND)

    def _operand(self, m: Module, name: str, word):
        """Unpack a vector table entry; `count` is the vector's length."""
        entry = Signal(Operand(), name=f"entry_{name}")
        m.d.comb += [entry.addr.eq(word[:15]), entry.bias.eq(word[15]), entry.count.eq(word[16:31]), entry.sample.eq(word[31])]
        return entry

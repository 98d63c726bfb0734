"""The controller: everything between the host's bus and a tile."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from firmware_py.config import Config
from firmware_py.isa import Function, Op
from firmware_py.registers import WINDOW_SHIFT, Counter, Window
from firmware_py.registers import State as Seen
from firmware_py.timing import FETCH_BITS

from .activation import Derivative, Finish
from .alu import Alu
from .counters import Books
from .fetch import PC_BITS, Fetch
from .lean_fetch import LeanFetch
from .ledger import LEDGER_BITS, ROUND, Ledger
from .planner import Planner
from .ports import HostPort, StorePort
from .reader import Driver, Receiver, auto_range
from .samples import Samples
from .sequencer import Sequencer
from .tile import TileSignature
from .vectors import Magnitudes, ReadPort, VectorMemory
from .windows import WINDOWS, TileWindows

__all__ = ["HOST_WINDOWS", "Core"]

HOST_WINDOWS = {
    Window.PROGRAM: 14,
    Window.REGIONS: 15,
    Window.VECTORS: 7,
    Window.VECTOR_MEMORY: 17,
    Window.RESULTS: 14,
    **dict.fromkeys(WINDOWS, WINDOW_SHIFT),
}
"""Windows that the core answers, with the width of their offsets."""


class Core(wiring.Component):
    """Executes a program on vectors and a tile, sample by sample, as docs/machine.md says.

    Parameters
    ----------
    config
        What the machine is.

    Members
    -------
    start, halt, abort, clear_credit
        Strobes of the host.
    entry, bank, stride, watchdog
        Its settings.
    order, credit, room
        Indices of granted samples, how many are granted and not begun, and how many more can be.
    state, fault, busy
        What it sees; `busy` while there is work.
    program, regions, vectors, vector_memory, results, cells, spread, random, tile
        Its windows. All but RESULTS only while no sample is in work.
    ledger
        Its way to counters and scale registers, at any time.
    store
        To the sample store.
    array
        To the tile.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "halt": In(1),
                "abort": In(1),
                "clear_credit": In(1),
                "entry": In(PC_BITS),
                "bank": In(1),
                "stride": In(16),
                "watchdog": In(32),
                "order": In(stream.Signature(16)),
                "credit": Out(range(config.order_depth + 1)),
                "room": Out(range(config.order_depth + 1)),
                "state": Out(Seen),
                "fault": Out(32),
                "busy": Out(1),
                **{window.name.lower(): In(HostPort(bits)) for window, bits in HOST_WINDOWS.items()},
                "ledger": In(HostPort(LEDGER_BITS)),
                "store": Out(StorePort(config)),
                "array": In(TileSignature(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        m.submodules.fetch = fetch = LeanFetch(c) if c.lean else Fetch(c)
        m.submodules.sequencer = sequencer = Sequencer(c)
        m.submodules.memory = memory = VectorMemory(c)
        m.submodules.port_a = port_a = ReadPort(c, runs=2, samples=True)
        m.submodules.port_b = port_b = ReadPort(c, runs=1, samples=False)
        m.submodules.magnitudes = magnitudes = Magnitudes(c)
        m.submodules.derivative = derivative = Derivative(c)
        m.submodules.driver = driver = Driver(c)
        m.submodules.receiver = receiver = Receiver(c)
        m.submodules.alu = alu = Alu(c)
        m.submodules.finish = finish = Finish(c)
        m.submodules.planner = planner = Planner(c)
        m.submodules.samples = samples = Samples(c)
        m.submodules.windows = windows = TileWindows()
        widths = dict.fromkeys(Counter, 1) | {
            Counter.LOSS: 32,
            **dict.fromkeys((Counter.CYCLES, Counter.READ_CYCLES, Counter.PULSE_CYCLES), FETCH_BITS + 1 if c.lean else 1),
            Counter.VECTOR_SATURATED: 2,
            Counter.PULSES_UP: len(planner.up),
            Counter.PULSES_DOWN: len(planner.down),
            Counter.PULSES_CLIPPED: len(planner.clipped),
        }
        # With each begin, FETCH_BITS more cycles: two instructions may begin within a round.
        bursts = dict.fromkeys((Counter.CYCLES, Counter.READ_CYCLES, Counter.PULSE_CYCLES), ROUND + (4 << FETCH_BITS))
        m.submodules.ledger = ledger = Ledger(c, widths, bursts) if c.lean else Books(c, widths)

        # The host.
        for name, inner in (
            ("program", fetch.program),
            ("regions", fetch.regions),
            ("vectors", fetch.vectors),
            ("vector_memory", memory.host),
            ("results", ledger.results),
            ("ledger", ledger.host),
            *((window.name.lower(), getattr(windows, window.name.lower())) for window in WINDOWS),
            ("order", samples.order),
        ):
            connect(m, flipped(getattr(self, name)), inner)
        connect(m, windows.o_tile, flipped(self.array.host))
        connect(m, windows.o_rounding, planner.host)
        connect(m, samples.store, flipped(self.store))

        # The sequencer and what it moves.
        ins, clear, finished = fetch.o.p, sequencer.clear, sequencer.clear | sequencer.done
        connect(m, fetch.o, sequencer.ins)
        connect(m, sequencer.cmd, flipped(self.array.cmd))
        connect(m, flipped(self.array.completion), sequencer.completion)
        m.d.sync += self.array.abort.eq(sequencer.tile_abort)
        m.d.comb += [
            *(getattr(sequencer, name).eq(getattr(self, name)) for name in ("start", "halt", "abort", "watchdog", "bank")),
            self.state.eq(sequencer.state),
            self.fault.eq(sequencer.fault),
            sequencer.tile_safe.eq(self.array.safe),
            sequencer.settled.eq(planner.settled),
            sequencer.written.eq(finish.done),
            sequencer.norm.eq(alu.norm_en),
            sequencer.sample_ready.eq(samples.ready),
            sequencer.credit.eq(samples.credit),
            samples.take.eq(sequencer.sample_take),
            samples.clear.eq(self.clear_credit | sequencer.started),
            samples.stride.eq(self.stride),
            self.credit.eq(samples.credit),
            self.room.eq(samples.room),
            self.busy.eq((self.state == Seen.TRAINING) | samples.busy | sequencer.tile_abort),
            fetch.clear.eq(clear),
            fetch.entry.eq(self.entry),
        ]

        # Elements: port A gives what is driven, planned or read first, then partial sums or row words; port B the second operand.
        # Which way they go is known before they come.
        reads, pulse, arithmetic, axpy, hadamard = Signal(), Signal(), Signal(), Signal(), Signal()
        connect(m, port_a.memory, memory.read_a)
        connect(m, port_b.memory, memory.read_b)
        connect(m, port_a.page, samples.page)
        m.d.sync += [
            reads.eq((ins.op == Op.READ) | (ins.op == Op.READT)),
            pulse.eq(ins.op == Op.PULSE),
            arithmetic.eq((ins.op == Op.ERR) | (ins.op == Op.NORM2) | (ins.op == Op.AXPY)),
            axpy.eq(ins.op == Op.AXPY),
            hadamard.eq(ins.function >= Function.HADAMARD_SIGMOID),
        ]
        m.d.comb += [
            port_a.run.eq(sequencer.run),
            port_b.run.eq(sequencer.run & ins.uses_other),
            port_a.clear.eq(finished),
            port_b.clear.eq(finished),
            port_a.operand[0].eq(ins.first),
            port_a.operand[1].eq(ins.second),
            port_a.use_second.eq(ins.uses_second),
            port_b.operand[0].eq(ins.other),
        ]
        second = port_a.o.p.second
        ways = (
            (port_a.o, driver.i, reads & ~second),
            (port_a.o, receiver.i_partial, reads & second),
            (port_a.o, planner.i_column, pulse & ~second),
            (port_a.o, planner.i_row, pulse & second),
            (port_a.o, alu.i, arithmetic & ~axpy),
            (port_b.o, derivative.i, ~axpy),
            (port_a.o, derivative.i, axpy),  # AXPY takes its vectors the other way round
            (port_b.o, alu.i, axpy),
            (derivative.o, receiver.i_derivative, reads),
            (derivative.o, alu.i_derivative, ~reads),
        )
        for source in (port_a.o, port_b.o, derivative.o):
            m.d.comb += source.ready.eq(Cat(sink.ready & when for origin, sink, when in ways if origin is source).any())
        for sink in {id(end): end for _, end, _ in ways}.values():
            m.d.comb += sink.valid.eq(Cat(source.valid & when for source, end, when in ways if end is sink).any())
        vector_word = port_a.o.p.word[: c.vector_bits].as_signed()
        m.d.comb += [
            receiver.i_derivative.payload.eq(derivative.o.payload),
            alu.i_derivative.payload.eq(derivative.o.payload),
            driver.i.payload.eq(port_a.o.payload),
            receiver.i_partial.payload.eq(port_a.o.payload),
            planner.i_column.payload.eq(vector_word),
            planner.i_row.payload.eq(vector_word),
            alu.i.payload.eq(Mux(axpy, port_b.o.payload, port_a.o.payload)),
            derivative.i.payload.eq(Mux(axpy, port_a.o.payload, port_b.o.payload)),
        ]
        m.d.comb += [derivative.clear.eq(finished), derivative.function.eq(ins.function)]

        # Reads.
        shift = Signal(signed(5))
        m.d.comb += [
            shift.eq(auto_range(c, magnitudes.magnitude, ins.auto_range)),
            driver.clear.eq(clear),
            driver.shift.eq(shift),
            receiver.shift.eq(shift),
            receiver.clear.eq(clear),
            receiver.scale_log2.eq(ins.scale_log2),
            receiver.backward.eq(ins.backward),
            receiver.accumulate.eq(ins.accumulate),
            receiver.hadamard.eq(hadamard),
        ]
        connect(m, driver.o, flipped(self.array.drive))
        connect(m, flipped(self.array.sense), receiver.i_sense)

        # Arithmetic and pulses.
        m.d.comb += [
            ledger.index.eq(ins.scale),
            ledger.n_index.eq(ins.to_scale),
            ledger.n_mantissa.eq(alu.norm),
            ledger.n_en.eq(alu.norm_en & sequencer.run),
            alu.clear.eq(clear),
            alu.op.eq(ins.op),
            alu.mantissa.eq(ledger.mantissa),
            alu.exponent.eq(ledger.exponent),
            alu.square.eq(finish.y),
            alu.square_valid.eq(finish.y_valid),
            alu.square_last.eq(finish.y_last),
        ]
        # The planner's command goes out in the third cycle: then the column vector's magnitude is known.
        begun, known, planned = Signal(), Signal(), Signal()
        m.d.sync += [
            begun.eq(sequencer.begin),
            known.eq((begun | known) & ~finished),
            planned.eq((planned | (planner.cmd.valid & planner.cmd.ready)) & ~finished),
        ]
        m.d.comb += [
            planner.cmd.valid.eq(known & pulse & ~planned),
            *(planner.cmd.p[name].eq(ins[name]) for name in ("rows", "col0", "cols", "scale_log2", "stochastic")),
            planner.cmd.p.mantissa.eq(ledger.mantissa),
            planner.cmd.p.exponent.eq(ledger.exponent),
            planner.cmd.p.magnitude.eq(magnitudes.magnitude),
            planner.clear.eq(clear),
        ]
        connect(m, planner.o_counts, flipped(self.array.counts))

        # Words find their way back.
        m.d.comb += [
            receiver.o.ready.eq(1),
            alu.o.ready.eq(1),
            finish.i.valid.eq(Mux(reads, receiver.o.valid, alu.o.valid)),
            finish.i.p.eq(Mux(reads, receiver.o.p, alu.o.p)),
            finish.clear.eq(clear),
            finish.function.eq(ins.function),
            finish.w_base.eq(ins.w_addr),
            memory.w_en.eq(finish.w_en),
            memory.w_addr.eq(finish.w_addr),
            memory.w_data.eq(finish.w_data),
            magnitudes.begin.eq(sequencer.begin),
            magnitudes.lookup.eq(ins.m_vector),
            magnitudes.sample.eq(ins.m_sample),
            magnitudes.target.eq(ins.w_vector),
            magnitudes.writes.eq(~pulse & (ins.op != Op.NORM2) & (ins.function != Function.PARTIAL)),
            magnitudes.anew.eq(ins.w_anew),
            magnitudes.bias.eq(ins.w_bias),
            magnitudes.word.eq(finish.w_data),
            magnitudes.w_en.eq(finish.w_en & finish.w_final),
        ]

        # What it took to fetch an instruction, if that shows, is counted with its first cycle.
        cost = Signal(FETCH_BITS + 1)
        m.d.comb += cost.eq(1 + (Mux(sequencer.begin | sequencer.sample_take, fetch.cycles, 0) if c.lean else 0))
        m.d.comb += [
            ledger.look.eq(fetch.look if c.lean else 0),
            ledger.clear_results.eq(sequencer.started),
            ledger.add_steps.eq(sequencer.step),
            ledger.add_hits.eq(alu.hit),
            ledger.add_loss.eq(Mux(alu.loss_en, alu.loss, 0)),
            ledger.add_pulses_up.eq(planner.up),
            ledger.add_pulses_down.eq(planner.down),
            ledger.add_pulses_clipped.eq(planner.clipped),
            ledger.add_sense_clipped.eq(receiver.over),
            ledger.add_vector_saturated.eq(finish.saturated + driver.saturated),
            ledger.add_cycles.eq(Mux(sequencer.cycle, cost, 0)),
            ledger.add_read_cycles.eq(Mux(sequencer.read_cycle, cost, 0)),
            ledger.add_pulse_cycles.eq(Mux(sequencer.pulse_cycle, cost, 0)),
            ledger.add_results.eq(alu.result_en),
            ledger.result.eq(alu.result),
        ]
        return m

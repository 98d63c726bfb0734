"""The controller: everything between the host's bus and a tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from firmware_py.config import Config
from firmware_py.isa import SCALE_REGISTERS, Function, Op
from firmware_py.registers import WINDOW_SHIFT, Counter, Window
from firmware_py.registers import State as Seen

from .alu import Scales
from .counters import Counters, ResultRing
from .fetch import PC_BITS, Fetch
from .lean_magnitudes import LeanMagnitudes
from .lean_units import LeanUnits
from .ports import HostPort, StorePort
from .samples import Samples
from .sequencer import Sequencer
from .tile import TileSignature
from .units import Units
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
    state, fault, counter, busy
        What it sees; `busy` while there is work.
    program, regions, vectors, vector_memory, results, cells, spread, random, tile
        Its windows. All but RESULTS only while no sample is in work.
    scale
        Its way to the scale registers, at any time.
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
                "counter": Out(data.ArrayLayout(32, len(Counter))),
                "busy": Out(1),
                **{window.name.lower(): In(HostPort(bits)) for window, bits in HOST_WINDOWS.items()},
                "scale": In(HostPort((SCALE_REGISTERS - 1).bit_length())),
                "store": Out(StorePort(config)),
                "array": In(TileSignature(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        m.submodules.fetch = fetch = Fetch(c)
        m.submodules.sequencer = sequencer = Sequencer(c)
        m.submodules.memory = memory = VectorMemory(c)
        m.submodules.port_a = port_a = ReadPort(c, runs=2, samples=True)
        m.submodules.port_b = port_b = ReadPort(c, runs=1, samples=False)
        m.submodules.magnitudes = magnitudes = LeanMagnitudes(c) if c.lean else Magnitudes(c)
        m.submodules.scales = scales = Scales()
        m.submodules.units = units = LeanUnits(c) if c.lean else Units(c)
        m.submodules.samples = samples = Samples(c)
        m.submodules.results = results = ResultRing(c)
        m.submodules.windows = windows = TileWindows()
        widths = dict.fromkeys(Counter, 1) | {
            Counter.LOSS: 32,
            Counter.VECTOR_SATURATED: 2,
            Counter.PULSES_UP: len(units.up),
            Counter.PULSES_DOWN: len(units.down),
            Counter.PULSES_CLIPPED: len(units.clipped),
        }
        m.submodules.counters = counters = Counters(widths)

        # The host.
        for name, inner in (
            ("program", fetch.program),
            ("regions", fetch.regions),
            ("vectors", fetch.vectors),
            ("vector_memory", memory.host),
            ("results", results.host),
            ("scale", scales.host),
            *((window.name.lower(), getattr(windows, window.name.lower())) for window in WINDOWS),
            ("order", samples.order),
        ):
            connect(m, flipped(getattr(self, name)), inner)
        connect(m, windows.o_tile, flipped(self.array.host))
        connect(m, windows.o_rounding, units.host)
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
            sequencer.settled.eq(units.settled),
            sequencer.written.eq(units.written),
            sequencer.norm.eq(units.norm_en),
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

        # Elements, and words on their way back.
        pulse = Signal()
        m.d.sync += pulse.eq(ins.op == Op.PULSE)
        connect(m, port_a.memory, memory.read_a)
        connect(m, port_b.memory, memory.read_b)
        connect(m, port_a.page, samples.page)
        connect(m, port_a.o, units.a)
        connect(m, port_b.o, units.b)
        connect(m, units.drive, flipped(self.array.drive))
        connect(m, flipped(self.array.sense), units.sense)
        connect(m, units.counts, flipped(self.array.counts))
        m.d.comb += [
            port_a.run.eq(sequencer.run),
            port_b.run.eq(sequencer.run & ins.uses_other),
            port_a.clear.eq(finished),
            port_b.clear.eq(finished),
            port_a.operand[0].eq(ins.first),
            port_a.operand[1].eq(ins.second),
            port_a.use_second.eq(ins.uses_second),
            port_b.operand[0].eq(ins.other),
            units.clear.eq(clear),
            units.finished.eq(finished),
            units.begin.eq(sequencer.begin),
            units.ins.eq(ins),
            units.magnitude.eq(magnitudes.magnitude),
            units.mantissa.eq(scales.mantissa),
            units.exponent.eq(scales.exponent),
            scales.index.eq(ins.scale),
            scales.n_index.eq(ins.to_scale),
            scales.n_mantissa.eq(units.norm),
            scales.n_en.eq(units.norm_en & sequencer.run),
            memory.w_en.eq(units.w_en),
            memory.w_addr.eq(units.w_addr),
            memory.w_data.eq(units.w_data),
            magnitudes.begin.eq(sequencer.begin),
            magnitudes.lookup.eq(ins.m_vector),
            magnitudes.sample.eq(ins.m_sample),
            magnitudes.target.eq(ins.w_vector),
            magnitudes.writes.eq(~pulse & (ins.op != Op.NORM2) & (ins.function != Function.PARTIAL)),
            magnitudes.anew.eq(ins.w_anew),
            magnitudes.bias.eq(ins.w_bias),
            magnitudes.word.eq(units.w_data),
            magnitudes.w_en.eq(units.w_en & units.w_final),
        ]

        m.d.comb += [
            self.counter.eq(counters.values),
            counters.clear_results.eq(sequencer.started),
            counters.add_steps.eq(sequencer.step),
            counters.add_hits.eq(units.hit),
            counters.add_loss.eq(Mux(units.loss_en, units.loss, 0)),
            counters.add_pulses_up.eq(units.up),
            counters.add_pulses_down.eq(units.down),
            counters.add_pulses_clipped.eq(units.clipped),
            counters.add_sense_clipped.eq(units.over),
            counters.add_vector_saturated.eq(units.saturated),
            counters.add_cycles.eq(sequencer.cycle),
            counters.add_read_cycles.eq(sequencer.read_cycle),
            counters.add_pulse_cycles.eq(sequencer.pulse_cycle),
            counters.add_results.eq(units.result_en),
            results.index.eq(counters.values[Counter.RESULTS]),
            results.result.eq(units.result),
            results.en.eq(units.result_en),
        ]
        return m

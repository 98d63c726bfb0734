"""The controller: everything between the host's bus and a tile."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.registers import LOSS_FRAC, REG, Counter, Window
from backpulse.firmware_py.registers import State as Seen
from backpulse.firmware_py.timing import ALU_CYCLES, FETCH_REGION
from backpulse.rtl.core.fetch import Fetch
from backpulse.rtl.core.ledger import LEDGER_BITS, RING_BITS, ROUND, Ledger
from backpulse.rtl.core.magnitudes import Magnitudes
from backpulse.rtl.core.prefetch import Prefetch
from backpulse.rtl.core.ring import Ring
from backpulse.rtl.core.samples import Samples
from backpulse.rtl.core.sequencer import Sequencer
from backpulse.rtl.core.tally import Tally
from backpulse.rtl.core.vectors import ReadPort, VectorMemory
from backpulse.rtl.lib.clocks import gated_domain
from backpulse.rtl.lib.layouts import units_layout
from backpulse.rtl.lib.ports import HostPort, StorePort
from backpulse.rtl.tile.signature import TileSignature
from backpulse.rtl.tile.windows import TileWindows, tile_windows
from backpulse.rtl.units.lean_units import LeanUnits
from backpulse.rtl.units.units import Units

__all__ = ["Core", "host_windows"]


def host_windows(config: Config) -> dict[Window, int]:
    """Return the windows that a core answers, with the width of their offsets."""
    return {
        Window.PROGRAM: 14,
        Window.REGIONS: 15,
        Window.VECTORS: 7,
        Window.VECTOR_MEMORY: 17,
        Window.RESULTS: RING_BITS,
        **({Window.OUTPUTS: RING_BITS} if config.output_depth else {}),
        **tile_windows(config),
    }


class Core(wiring.Component):
    """Executes a program on vectors and a tile, sample by sample, as docs/machine.md says.

    Parameters
    ----------
    config
        Configuration of the machine.

    Members
    -------
    start, halt, abort, clear_credit
        Commands of the host, high for one cycle.
    entry, bank, stride, watchdog
        Settings of the host.
    order, credit, room
        Indices of granted samples, how many are granted and not begun, and how many more can be.
    state, fault, busy
        What the host sees; `busy` while a sample is loaded or processed, or the tile is aborting.
    program, regions, vectors, vector_memory, results, outputs, cells, spread, random, tile, array
        The host's windows. All but RESULTS, OUTPUTS and ARRAY only while no sample is being processed;
        OUTPUTS only where the configuration has that ring, ARRAY only if it is not lean.
    ledger
        The host's port of counters and scale registers, at any time.
    store
        To the sample store.
    to_tile
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
                "entry": In(REG["ENTRY"].bits),
                "bank": In(1),
                "stride": In(16),
                "watchdog": In(32),
                "order": In(stream.Signature(16)),
                "credit": Out(range(config.order_depth + 1)),
                "room": Out(range(config.order_depth + 1)),
                "state": Out(Seen),
                "fault": Out(32),
                "busy": Out(1),
                **{window.name.lower(): In(HostPort(bits)) for window, bits in host_windows(config).items()},
                "ledger": In(HostPort(LEDGER_BITS)),
                "store": Out(StorePort(config)),
                "to_tile": In(TileSignature(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        fetch = Prefetch(c) if c.prefetch else Fetch(c)
        m.submodules.fetch = DomainRenamer("fetch")(fetch)
        gated_domain(m, platform, "fetch", awake=fetch.awake if c.prefetch else 1)
        m.submodules.sequencer = sequencer = Sequencer(c)
        m.submodules.memory = memory = VectorMemory(c)
        m.submodules.port_a = port_a = ReadPort(c, runs=2, samples=True)
        m.submodules.port_b = port_b = ReadPort(c, runs=1, samples=False)
        m.submodules.magnitudes = magnitudes = Magnitudes(c)
        m.submodules.units = units = LeanUnits(c) if c.lean else Units(c)
        m.submodules.samples = samples = Samples(c)
        m.submodules.windows = windows = TileWindows(c)
        timers = (Counter.CYCLES, Counter.READ_CYCLES, Counter.PULSE_CYCLES)
        fetched = 0 if c.prefetch else FETCH_REGION
        most = dict.fromkeys(Counter, 1) | {
            Counter.LOSS: (c.longest * c.vector_max**2 >> 2 * c.vector_frac - LOSS_FRAC) + 1,
            **dict.fromkeys(timers, 1 + fetched),
            Counter.VECTOR_SATURATED: 2,
            Counter.PULSES_UP: c.tile_cols * c.pulse_max,
            Counter.PULSES_DOWN: c.tile_cols * c.pulse_max,
            Counter.PULSES_CLIPPED: c.tile_cols,
            Counter.PULSES_MISSED: 0 if c.lean else c.tile_rows * c.tile_cols * c.pulse_max,
        }
        # A fetch counts when it has ended: its cycles may be from before the round. NEXT takes four with the
        # loading of a sample; a PULSE takes as many, and more.
        bursts = {
            **dict.fromkeys(timers, ROUND + fetched),
            Counter.STEPS: ROUND // 4,
            Counter.PULSES_MISSED: most[Counter.PULSES_MISSED] * (ROUND // 4 + 1),
            **{n: most[n] * (ROUND // ALU_CYCLES + 1) for n in (Counter.HITS, Counter.LOSS, Counter.RESULTS)},
        }
        m.submodules.ledger = ledger = Ledger(c, most, bursts)

        if c.output_depth:
            m.submodules.outputs = outputs = Ring(c.output_depth)
            connect(m, flipped(self.outputs), outputs.host)
            m.d.comb += [
                outputs.clear.eq(sequencer.started),
                outputs.word.eq(units.output),
                outputs.en.eq(units.output_en),
            ]

        # The host.
        for name, inner in (
            ("program", fetch.program),
            ("regions", fetch.regions),
            ("vectors", fetch.vectors),
            ("vector_memory", memory.host),
            ("results", ledger.results),
            ("ledger", ledger.host),
            *((window.name.lower(), getattr(windows, window.name.lower())) for window in tile_windows(c)),
            ("order", samples.order),
        ):
            connect(m, flipped(getattr(self, name)), inner)
        connect(m, windows.o_tile, flipped(self.to_tile.host))
        connect(m, windows.o_rounding, units.host)
        connect(m, samples.store, flipped(self.store))

        # The sequencer and what it moves.
        ins = fetch.o.p
        clear = sequencer.clear
        finished = sequencer.clear | sequencer.done
        connect(m, fetch.o, sequencer.ins)
        connect(m, sequencer.cmd, flipped(self.to_tile.cmd))
        connect(m, flipped(self.to_tile.completion), sequencer.completion)
        m.d.sync += self.to_tile.abort.eq(sequencer.tile_abort)
        m.d.comb += self.to_tile.short.ready.eq(1)
        if not c.lean:
            # Emulated tiles of lean machines wait for nothing and miss nothing.
            tile = self.to_tile
            moving = (tile.cmd, tile.drive, tile.counts, tile.sense, tile.completion, tile.short)
            m.submodules.tally = tally = Tally(c)
            m.d.comb += [
                sequencer.progress.eq(tile.progress | Cat(s.valid & s.ready for s in moving).any()),
                sequencer.trip.eq(tile.trip),
                sequencer.tile_busy.eq(tile.busy),
                sequencer.miscounted.eq(tally.wrong),
                tally.pulse.eq(sequencer.pulse_cycle),
                tally.planned.eq(units.up + units.down),
                tally.completion.valid.eq(tile.completion.valid),
                tally.completion.payload.eq(tile.completion.payload),
                tally.short.valid.eq(tile.short.valid),
                tally.short.payload.eq(tile.short.payload),
                ledger.add_pulses_missed.eq(tally.missed),
            ]
        m.d.comb += [
            *(
                getattr(sequencer, name).eq(getattr(self, name))
                for name in ("start", "halt", "abort", "watchdog", "bank")
            ),
            self.state.eq(sequencer.state),
            self.fault.eq(sequencer.fault),
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

        if c.device is DeviceKind.TABLE:
            m.d.comb += self.to_tile.aging.eq(sequencer.sample_take & ~self.bank)

        # Elements, and words on their way back.
        connect(m, port_a.memory, memory.read_a)
        connect(m, port_b.memory, memory.read_b)
        connect(m, port_a.page, samples.page)
        connect(m, port_a.o, units.a)
        connect(m, port_b.o, units.b)
        connect(m, units.drive, flipped(self.to_tile.drive))
        connect(m, flipped(self.to_tile.sense), units.sense)
        connect(m, units.counts, flipped(self.to_tile.counts))
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
            *(units.ins[name].eq(ins[name]) for name, _ in units_layout(c)),
            units.magnitude.eq(magnitudes.magnitude),
            units.mantissa.eq(ledger.mantissa),
            units.exponent.eq(ledger.exponent),
            ledger.index.eq(ins.scale),
            ledger.n_index.eq(ins.to_scale),
            ledger.n_mantissa.eq(units.norm),
            ledger.n_en.eq(units.norm_en & ~clear),
            memory.w_en.eq(units.w_en),
            memory.w_addr.eq(units.w_addr),
            memory.w_data.eq(units.w_data),
            magnitudes.begin.eq(sequencer.begin),
            magnitudes.lookup.eq(ins.m_vector),
            magnitudes.sample.eq(ins.m_sample),
            magnitudes.target.eq(ins.w_vector),
            magnitudes.writes.eq(ins.final),
            magnitudes.anew.eq(ins.w_anew),
            magnitudes.bias.eq(ins.w_bias),
            magnitudes.word.eq(units.w_data),
            magnitudes.w_en.eq(units.w_en & units.w_final),
        ]

        # Fetch cycles of an instruction, if it is not prefetched, count with its first cycle.
        cost = Signal(range(1 + fetched + 1))
        m.d.comb += [
            cost.eq(1 + (0 if c.prefetch else Mux(sequencer.begin | sequencer.sample_take, fetch.cycles, 0))),
            ledger.look.eq(0 if c.prefetch else fetch.look),
            ledger.clear_results.eq(sequencer.started),
            ledger.add_steps.eq(sequencer.step),
            ledger.add_hits.eq(units.hit),
            ledger.add_loss.eq(units.loss),
            ledger.loss_en.eq(units.loss_en),
            ledger.add_pulses_up.eq(units.up),
            ledger.add_pulses_down.eq(units.down),
            ledger.add_pulses_clipped.eq(units.clipped),
            ledger.add_sense_clipped.eq(units.over),
            ledger.add_vector_saturated.eq(units.saturated),
            ledger.add_cycles.eq(Mux(sequencer.cycle, cost, 0)),
            ledger.add_read_cycles.eq(Mux(sequencer.read_cycle, cost, 0)),
            ledger.add_pulse_cycles.eq(Mux(sequencer.pulse_cycle, cost, 0)),
            ledger.add_results.eq(units.result_en),
            ledger.result.eq(units.result),
        ]
        return m

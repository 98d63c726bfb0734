"""The units that elements go through between vector memory and the tile, and back, one element a cycle."""

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Function, Op
from backpulse.firmware_py.registers import STREAM_SHIFT

from ..core.fetch import decoded_layout
from ..lib.clocks import resting_domain
from ..lib.ports import HostPort, element_layout
from ..tile.signature import counts_layout, sense_layout
from .activation import Derivative, Finish, derivative_layout
from .arithmetic import Alu
from .planner import Planner
from .reader import Driver, Receiver, auto_range

__all__ = ["Units", "UnitsSignature"]


class UnitsSignature(wiring.Signature):
    """What the core and its arithmetic have to do with each other, seen from the arithmetic.

    Members
    -------
    clear, finished
        Everything under way is to be forgotten; the instruction in work ends, or is forgotten.
    begin, ins
        First cycle of an instruction, and the instruction.
    a, b
        Elements of the two reading ports: the first gives what is driven, planned or read first, then partial sums or row words.
    magnitude, mantissa, exponent
        Of the instruction's vector and scale register.
    drive, sense, counts
        To and from the tile.
    w_en, w_addr, w_data, w_final
        Words for vector memory; `w_final` tells that they are no partial sums.
    written, settled
        The instruction's last word is written in this cycle or the next; nothing is under way in the planner.
    norm, norm_en
        Mantissa that NORM2 writes; NORM2 ends in this cycle.
    loss, loss_en, hit, result, result_en, up, down, clipped, over, saturated
        To the counters.
    output, output_en
        To the output ring; never on a lean machine, which has none.
    host
        The rounding states.
    """

    def __init__(self, config: Config) -> None:
        most = config.tile_cols * config.pulse_max
        super().__init__(
            {
                "clear": In(1),
                "finished": In(1),
                "begin": In(1),
                "ins": In(decoded_layout(config)),
                "a": In(stream.Signature(element_layout(config))),
                "b": In(stream.Signature(element_layout(config))),
                "magnitude": In(5),
                "mantissa": In(16),
                "exponent": In(signed(8)),
                "drive": Out(stream.Signature(signed(config.drive_bits))),
                "sense": In(stream.Signature(sense_layout(config))),
                "counts": Out(stream.Signature(counts_layout(config))),
                "w_en": Out(1),
                "w_addr": Out(16),
                "w_data": Out(signed(config.acc_bits)),
                "w_final": Out(1),
                "written": Out(1),
                "settled": Out(1),
                "norm": Out(16),
                "norm_en": Out(1),
                "loss": Out(32),
                "loss_en": Out(1),
                "hit": Out(1),
                "result": Out(16),
                "result_en": Out(1),
                "output": Out(signed(config.vector_bits)),
                "output_en": Out(1),
                "up": Out(range(most + 1)),
                "down": Out(range(most + 1)),
                "clipped": Out(range(config.tile_cols + 1)),
                "over": Out(1),
                "saturated": Out(2),
                "host": In(HostPort(STREAM_SHIFT)),
            }
        )


class Units(wiring.Component):
    """Driver, receiver, derivative, arithmetic, finishing and planner, each with multipliers of its own.

    Parameters
    ----------
    config
        What the machine is.

    Members
    -------
    As `UnitsSignature`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(UnitsSignature(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        c, ins = self._config, self.ins
        m.submodules.derivative = derivative = Derivative(c)
        m.submodules.driver = driver = Driver(c)
        m.submodules.receiver = receiver = Receiver(c)
        m.submodules.alu = alu = Alu(c)
        m.submodules.finish = finish = Finish(c)
        planner = Planner(c)
        m.submodules.planner = DomainRenamer("plan")(planner)
        at_host = planner.host.request | planner.host.ack
        resting_domain(m, platform, "plan", awake=planner.cmd.valid | ~planner.settled | planner.clear | at_host)
        # Derivatives are there long before the sense words: here a stalled word ends the path of the stall.
        m.submodules.slopes = slopes = ResetInserter(self.finished)(SyncFIFO(width=derivative_layout(c).size, depth=2))
        connect(m, flipped(self.host), planner.host)

        # Which way elements go is known before they come.
        reads, pulse, arithmetic, axpy, hadamard = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            reads.eq((ins.op == Op.READ) | (ins.op == Op.READT)),
            pulse.eq(ins.op == Op.PULSE),
            arithmetic.eq((ins.op == Op.ERR) | (ins.op == Op.NORM2) | (ins.op == Op.AXPY)),
            axpy.eq(ins.op == Op.AXPY),
            hadamard.eq(ins.function >= Function.HADAMARD_SIGMOID),
        ]
        second = self.a.p.second
        ways = (
            (self.a, driver.i, reads & ~second),
            (self.a, receiver.i_partial, reads & second),
            (self.a, planner.i_column, pulse & ~second),
            (self.a, planner.i_row, pulse & second),
            (self.a, alu.i, arithmetic & ~axpy),
            (self.b, derivative.i, ~axpy),
            (self.a, derivative.i, axpy),  # AXPY takes its vectors the other way round
            (self.b, alu.i, axpy),
            (derivative.o, slopes.w_stream, reads),
            (derivative.o, alu.i_derivative, ~reads),
        )
        for source in (self.a, self.b, derivative.o):
            m.d.comb += source.ready.eq(Cat(sink.ready & when for origin, sink, when in ways if origin is source).any())
        for sink in {id(end): end for _, end, _ in ways}.values():
            m.d.comb += sink.valid.eq(Cat(source.valid & when for source, end, when in ways if end is sink).any())
        vector_word = self.a.p.word[: c.vector_bits].as_signed()
        m.d.comb += [
            slopes.w_data.eq(derivative.o.payload),
            receiver.i_derivative.valid.eq(slopes.r_rdy),
            receiver.i_derivative.payload.eq(slopes.r_data),
            slopes.r_en.eq(receiver.i_derivative.ready),
            alu.i_derivative.payload.eq(derivative.o.payload),
            driver.i.payload.eq(self.a.payload),
            receiver.i_partial.payload.eq(self.a.payload),
            planner.i_column.payload.eq(vector_word),
            planner.i_row.payload.eq(vector_word),
            alu.i.payload.eq(Mux(axpy, self.b.payload, self.a.payload)),
            derivative.i.payload.eq(Mux(axpy, self.a.payload, self.b.payload)),
        ]
        m.d.comb += [derivative.clear.eq(self.finished), derivative.function.eq(ins.function)]

        # Reads.
        shift = Signal(signed(5))
        m.d.comb += [
            shift.eq(auto_range(c, self.magnitude, ins.auto_range)),
            driver.clear.eq(self.clear),
            driver.shift.eq(shift),
            receiver.shift.eq(shift),
            receiver.clear.eq(self.clear),
            receiver.scale_log2.eq(ins.scale_log2),
            receiver.backward.eq(ins.backward),
            receiver.accumulate.eq(ins.accumulate),
            receiver.hadamard.eq(hadamard),
        ]
        connect(m, driver.o, flipped(self.drive))
        connect(m, flipped(self.sense), receiver.i_sense)

        # Arithmetic and pulses.
        m.d.comb += [
            alu.clear.eq(self.clear),
            alu.op.eq(ins.op),
            alu.mantissa.eq(self.mantissa),
            alu.exponent.eq(self.exponent),
            alu.square.eq(finish.y),
            alu.square_valid.eq(finish.y_valid),
            alu.square_last.eq(finish.y_last),
        ]
        # The planner's command goes out in the third cycle: then the column vector's magnitude is known.
        begun, known, planned = Signal(), Signal(), Signal()
        m.d.sync += [
            begun.eq(self.begin),
            known.eq((begun | known) & ~self.finished),
            planned.eq((planned | (planner.cmd.valid & planner.cmd.ready)) & ~self.finished),
        ]
        m.d.comb += [
            planner.cmd.valid.eq(known & pulse & ~planned),
            *(planner.cmd.p[name].eq(ins[name]) for name in ("rows", "col0", "cols", "scale_log2", "stochastic")),
            planner.cmd.p.mantissa.eq(self.mantissa),
            planner.cmd.p.exponent.eq(self.exponent),
            planner.cmd.p.magnitude.eq(self.magnitude),
            planner.clear.eq(self.clear),
        ]
        connect(m, planner.o_counts, flipped(self.counts))

        # Words find their way back.
        m.d.comb += [
            receiver.o.ready.eq(1),
            alu.o.ready.eq(1),
            finish.i.valid.eq(Mux(reads, receiver.o.valid, alu.o.valid)),
            finish.i.p.eq(Mux(reads, receiver.o.p, alu.o.p)),
            finish.clear.eq(self.clear),
            finish.function.eq(ins.function),
            finish.w_base.eq(ins.w_addr),
            *(getattr(self, name).eq(getattr(finish, name)) for name in ("w_en", "w_addr", "w_data", "w_final")),
            self.written.eq(finish.done),
            self.settled.eq(planner.settled),
            self.over.eq(receiver.over),
            self.saturated.eq(finish.saturated + driver.saturated),
            *(getattr(self, name).eq(getattr(alu, name)) for name in ("norm", "norm_en", "loss", "loss_en", "hit", "result", "result_en")),
            *(getattr(self, name).eq(getattr(alu, name)) for name in ("output", "output_en")),
            *(getattr(self, name).eq(getattr(planner, name)) for name in ("up", "down", "clipped")),
        ]
        return m

"""The units between vector memory and the tile, one element a cycle."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false

from amaranth.hdl import Cat, DomainRenamer, Module, Mux, ResetInserter, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import connect, flipped

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import Op, Unit, require
from backpulse.rtl.lib.clocks import gated_domain
from backpulse.rtl.units.activation import Derivative, Finish, derivative_layout
from backpulse.rtl.units.arithmetic import CONTROLS, Alu
from backpulse.rtl.units.planner import Planner
from backpulse.rtl.units.reader import Driver, Receiver, auto_range
from backpulse.rtl.units.serial_planner import SerialPlanner
from backpulse.rtl.units.signature import UnitsSignature

__all__ = ["Units"]


require(
    "units of full machines", (Op.READ, Op.READT, Op.PULSE), *set(Unit) - {Unit.ARITHMETIC, Unit.SEQUENCER}
)


class Units(wiring.Component):
    """Driver, receiver, derivative, arithmetic, finish and planner, each with multipliers of its own.

    For real devices, whose rows take long, the planner has one for all columns.

    Parameters
    ----------
    config
        Configuration of the machine.

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
        planner = (SerialPlanner if c.device is DeviceKind.REAL else Planner)(c)
        m.submodules.planner = DomainRenamer("plan")(planner)
        at_host = planner.host.request | planner.host.ack
        gated_domain(
            m, platform, "plan", awake=planner.cmd.valid | ~planner.settled | planner.clear | at_host
        )
        # Derivatives come long before the sense words: here they wait, and the path of a stall ends.
        m.submodules.slopes = slopes = ResetInserter(self.finished)(
            SyncFIFO(width=derivative_layout(c).size, depth=2)
        )
        connect(m, flipped(self.host), planner.host)

        # The route of elements is registered before they come.
        reads = Signal()
        pulse = Signal()
        arithmetic = Signal()
        axpy = Signal()
        hadamard = Signal()
        m.d.sync += [
            reads.eq(ins.reader),
            pulse.eq(ins.planner),
            arithmetic.eq(ins.arithmetic),
            axpy.eq(ins.axpy),
            hadamard.eq(ins.hadamard),
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
            m.d.comb += source.ready.eq(
                Cat(sink.ready & when for origin, sink, when in ways if origin is source).any()
            )
        for sink in {id(end): end for _, end, _ in ways}.values():
            m.d.comb += sink.valid.eq(
                Cat(source.valid & when for source, end, when in ways if end is sink).any()
            )
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
            derivative.clear.eq(self.finished),
            derivative.function.eq(ins.function),
        ]

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
            *(getattr(alu, name).eq(ins[name]) for name in CONTROLS),
            alu.mantissa.eq(self.mantissa),
            alu.exponent.eq(self.exponent),
            alu.square.eq(finish.y),
            alu.square_valid.eq(finish.y_valid),
            alu.square_last.eq(finish.y_last),
        ]
        # The planner's command goes out in the third cycle: then the column vector's magnitude is known.
        begun = Signal()
        known = Signal()
        planned = Signal()
        m.d.sync += [
            begun.eq(self.begin),
            known.eq((begun | known) & ~self.finished),
            planned.eq((planned | (planner.cmd.valid & planner.cmd.ready)) & ~self.finished),
        ]
        m.d.comb += [
            planner.cmd.valid.eq(known & pulse & ~planned),
            *(
                planner.cmd.p[name].eq(ins[name])
                for name in ("rows", "col0", "cols", "scale_log2", "stochastic")
            ),
            planner.cmd.p.mantissa.eq(self.mantissa),
            planner.cmd.p.exponent.eq(self.exponent),
            planner.cmd.p.magnitude.eq(self.magnitude),
            planner.clear.eq(self.clear),
        ]
        connect(m, planner.o_counts, flipped(self.counts))

        # Words to vector memory, and counts.
        m.d.comb += [
            receiver.o.ready.eq(1),
            alu.o.ready.eq(1),
            finish.i.valid.eq(Mux(reads, receiver.o.valid, alu.o.valid)),
            finish.i.p.eq(Mux(reads, receiver.o.p, alu.o.p)),
            finish.clear.eq(self.clear),
            finish.function.eq(ins.function),
            finish.w_base.eq(ins.w_addr),
            *(
                getattr(self, name).eq(getattr(finish, name))
                for name in ("w_en", "w_addr", "w_data", "w_final")
            ),
            self.written.eq(finish.done),
            self.settled.eq(planner.settled),
            self.over.eq(receiver.over),
            self.saturated.eq(finish.saturated + driver.saturated),
            *(
                getattr(self, name).eq(getattr(alu, name))
                for name in ("norm", "norm_en", "loss", "loss_en", "hit", "result", "result_en")
            ),
            *(getattr(self, name).eq(getattr(alu, name)) for name in ("output", "output_en")),
            *(getattr(self, name).eq(getattr(planner, name)) for name in ("up", "down", "clipped")),
        ]
        return m

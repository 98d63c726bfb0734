"""Vector arithmetic of full machines: ERR, NORM2 and AXPY on one multiplier."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportInvalidTypeForm=false, reportOperatorIssue=false

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op, Unit, require
from backpulse.firmware_py.registers import LOSS_FRAC
from backpulse.rtl.lib.numbers import rshift, rshift_by, sat
from backpulse.rtl.lib.ports import element_layout
from backpulse.rtl.units.activation import derivative_layout, word_layout

__all__ = ["CONTROLS", "Alu"]

SHIFT_MAX = 33
"""Most bits that a product is shifted by: nothing is left of its 32, as after the 47 of docs/machine.md."""
SUM_BITS = 46
"""Bits of a sum of squares: 2**15 elements of 2**31."""

CONTROLS = ("err", "norm2", "axpy")
"""Control bits of an instruction that it decodes."""

require("vector arithmetic of full machines", (Op.ERR, Op.NORM2, Op.AXPY), Unit.ARITHMETIC)


class Alu(wiring.Component):
    """ERR, NORM2 and AXPY, one element a cycle.

    ERR gives words after one cycle, AXPY after four. The errors of ERR come back through `square` from the
    finishing stage, which saturates them. NORM2 writes its register seven cycles after its last element.

    Parameters
    ----------
    config
        Number formats.

    Members
    -------
    clear
        Drop everything in the pipeline but the loss of an ERR that has ended.
    err, norm2, axpy
        Operation of the executing instruction, from the cycle before its first element on.
    i
        ERR: targets. NORM2: the vector. AXPY: the vector that is taken from.
    i_derivative
        ERR: outputs. AXPY: the vector that is taken off.
    o
        Unsaturated words with their derivatives; never stalled by its consumer.
    square, square_valid, square_last
        The saturated errors of ERR.
    mantissa, exponent
        The scale register of the instruction.
    norm, norm_en
        Mantissa that NORM2 writes; NORM2 ends in this cycle.
    loss, loss_en, hit, result, result_en
        What a sample adds to the counters: its squared error, whether it was a hit, and the index of its
        largest output.
    output, output_en
        The outputs of ERR, one after another.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                **{name: In(1) for name in CONTROLS},
                "i": In(stream.Signature(element_layout(config))),
                "i_derivative": In(stream.Signature(derivative_layout(config))),
                "o": Out(stream.Signature(word_layout(config))),
                "square": In(signed(config.vector_bits)),
                "square_valid": In(1),
                "square_last": In(1),
                "mantissa": In(16),
                "exponent": In(signed(8)),
                "norm": Out(16),
                "norm_en": Out(1),
                "loss": Out(32),
                "loss_en": Out(1),
                "hit": Out(1),
                "result": Out(16),
                "result_en": Out(1),
                "output": Out(signed(config.vector_bits)),
                "output_en": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        # Elements come later than their operation.
        err = Signal()
        norm2 = Signal()
        axpy = Signal()
        m.d.sync += [err.eq(self.err), norm2.eq(self.norm2), axpy.eq(self.axpy)]

        # Elements join here.
        fire = Signal()
        plain, derived = self.i.p, self.i_derivative.p
        a = Signal(signed(c.vector_bits))
        taken = Signal(signed(c.vector_bits))
        m.d.comb += [
            fire.eq(self.i.valid & (norm2 | ((err | axpy) & self.i_derivative.valid))),
            self.i.ready.eq(fire),
            self.i_derivative.ready.eq(fire & ~norm2),
            a.eq(plain.word),
            taken.eq(derived.word),
        ]

        # The one multiplier: squares of errors, squares of NORM2, mantissa * |a| of AXPY, mantissa * norm at
        # the end of NORM2.
        left = Signal(signed(17))
        right = Signal(signed(17))
        product = Signal(32)
        norm = Signal(16)
        scaling = Signal()
        m.d.sync += [left.eq(self.square), right.eq(self.square), product.eq(left * right)]
        with m.If(norm2):
            m.d.sync += [left.eq(Mux(scaling, norm, a)), right.eq(Mux(scaling, self.mantissa, a))]
        with m.If(axpy):
            m.d.sync += [left.eq(abs(taken)), right.eq(self.mantissa)]

        # One barrel shifter, for AXPY's products and NORM2's. How far is known two cycles before the first
        # product.
        amount = Signal(signed(10))
        bits = Signal(range(SHIFT_MAX + 1))
        m.d.comb += amount.eq(Mux(norm2, 14, 16) - self.exponent)
        m.d.sync += bits.eq(Mux(amount < 0, 0, Mux(amount > SHIFT_MAX, SHIFT_MAX, amount)))
        shifted = Signal(33)
        m.d.sync += shifted.eq(rshift_by(product, bits))

        # ERR: one stage. AXPY: the factors, the product, its shift, then the difference; less a negative
        # product is a sum.
        beside = data.StructLayout(
            {"valid": 1, "less": 1, "word": signed(c.acc_bits), "fprime": c.vector_frac + 1, "last": 1}
        )
        b1, b2, b3 = (Signal(beside, name=f"b{stage}") for stage in (1, 2, 3))
        m.d.sync += [
            b1.valid.eq(fire & axpy),
            b1.less.eq(taken >= 0),
            b1.word.eq(plain.word),
            b1.fprime.eq(derived.fprime),
            b1.last.eq(plain.last),
            b2.eq(b1),
            b3.eq(b2),
        ]
        term = Cat(b3.less, shifted ^ b3.less.replicate(len(shifted)), b3.less).as_signed()
        difference, _ = sat((Cat(b3.less, b3.word).as_signed() + term) >> 1, (1 << (c.acc_bits - 1)) - 1)
        m.d.sync += [
            self.o.valid.eq((fire & err) | b3.valid),
            self.o.p.word.eq(Mux(axpy, difference, plain.word - derived.word)),
            self.o.p.fprime.eq(Mux(axpy, b3.fprime, derived.fprime)),
            self.o.p.last.eq(Mux(axpy, b3.last, plain.last)),
        ]

        # Sums of squares. The last of an ERR arrives when the next instruction has begun.
        square1 = Signal()
        last1 = Signal()
        square = Signal()
        last = Signal()
        from_error = Signal(3)
        total = Signal(SUM_BITS)
        complete = Signal()
        is_error = from_error[-1]
        m.d.sync += [
            square1.eq((self.square_valid & err) | (fire & norm2)),
            last1.eq(Mux(norm2, plain.last, self.square_last)),
            square.eq(square1),
            last.eq(last1),
            from_error.eq(Cat(err, from_error)),
            complete.eq(square & last),
        ]
        with m.If(square):
            m.d.sync += total.eq(Mux(complete, 0, total) + product)
        with m.Elif(complete):
            m.d.sync += total.eq(0)
        ending = Signal()
        m.d.comb += ending.eq((Cat(square1 & last1, square & last, complete) & from_error).any())
        rounded = rshift(total, 2 * c.vector_frac - LOSS_FRAC)
        m.d.comb += [self.loss.eq(rounded), self.loss_en.eq(complete & is_error)]

        # The end of NORM2.
        scaled = Signal(3)
        m.d.sync += [scaling.eq(complete & ~is_error), scaled.eq(Cat(scaling, scaled))]
        with m.If(complete):
            m.d.sync += norm.eq(Mux(rounded >= 1 << 16, 0xFFFF, rounded))
        m.d.comb += [self.norm_en.eq(scaled[-1]), self.norm.eq(Mux(shifted >= 1 << 16, 0xFFFF, shifted))]

        # Hits: the first of the largest on both sides.
        index = Signal(16)
        best = Signal(16)
        wanted = Signal(16)
        best_a = Signal(signed(c.acc_bits))
        best_t = Signal(signed(c.acc_bits))
        judge = Signal()
        m.d.sync += [
            judge.eq(fire & err & plain.last),
            self.output.eq(derived.word),
            self.output_en.eq(fire & err),
        ]
        with m.If(fire & err):
            m.d.sync += index.eq(Mux(plain.last, 0, index + 1))
            with m.If((index == 0) | (derived.word > best_a)):
                m.d.sync += [best.eq(index), best_a.eq(derived.word)]
            with m.If((index == 0) | (plain.word > best_t)):
                m.d.sync += [wanted.eq(index), best_t.eq(plain.word)]
        m.d.comb += [self.result.eq(best), self.result_en.eq(judge), self.hit.eq(judge & (best == wanted))]

        with m.If(self.clear):
            m.d.sync += [
                self.o.valid.eq(0),
                b1.valid.eq(0),
                b2.valid.eq(0),
                b3.valid.eq(0),
                scaling.eq(0),
                scaled.eq(0),
                judge.eq(0),
                index.eq(0),
                self.output_en.eq(0),
            ]
        # An ERR ends before its loss is known: what stops the machine after it leaves that sum alone.
        with m.If(self.clear & ~ending):
            m.d.sync += [s.eq(0) for s in (square1, square, complete, total)]
        return m

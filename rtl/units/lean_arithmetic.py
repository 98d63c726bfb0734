"""Arithmetic of lean machines: sense words, ERR, NORM2 and AXPY, and the columns of PULSE."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.activation import TABLE_STEP_LOG2, TABLE_WORDS, tanh_table
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import SCALE_LOG2_MAX, Function, Op, Unit, require
from backpulse.firmware_py.registers import LOSS_FRAC
from backpulse.rtl.lib.numbers import magnitude, rshift_parts, sat
from backpulse.rtl.lib.ports import element_layout
from backpulse.rtl.tile.signature import sense_layout
from backpulse.rtl.units.multiplier import CLIENTS, FACTOR_BITS, SIGNED, MultiplierSignature

__all__ = ["CONTROLS", "LeanArithmetic"]

SHIFT_BITS = 6
"""Bits of a shift of products; from 33 on nothing is left of one."""
WORD_BITS = 18
"""Bits of a difference before it is saturated."""
CONTROLS = ("reader", "planner", "err", "norm2", "axpy", "hadamard")
"""Control bits of an instruction that it decodes."""

require("vector arithmetic of lean machines", (Op.ERR, Op.NORM2, Op.AXPY), Unit.ARITHMETIC)


class LeanArithmetic(wiring.Component):
    """Processes the elements of all instructions but PULSE's rows, on multipliers shared with the planner.

    An element is taken when all that belongs to it is there: in that cycle, or in the third of them if it
    needs a product first (AXPY and the Hadamard functions). Partial sums and plain words are written one
    cycle after they were taken, sigmoids two, products three.

    ======  ==========================================
    stage   what is computed
    ======  ==========================================
    0       the shift or the difference
    1       saturation; written if nothing follows
    2       the function's table; written
    3       the product with the derivative, written; the square
    ======  ==========================================

    Parameters
    ----------
    config
        Number formats.

    Members
    -------
    clear
        Drop everything in the pipeline.
    reader, planner, err, norm2, axpy, hadamard, function, accumulate, backward, scale_log2, shift
        Of the executing instruction, from two cycles before its first element on; the auto-range shift of a
        read.
    i_sense, i_a, i_b
        Sense words; partial sums of reads, the first vector of ERR, NORM2 and AXPY; the second vector, and
        the outputs of a read. Their words are zero while they are not valid.
    size
        Absolute value of the first port's word.
    take
        A column of PULSE is taken from the first port; `scaled` has it two cycles later, times the scale
        register.
    mantissa, exponent, lose
        The scale register of the instruction; the bits that PULSE's columns lose.
    scaled
        min(rshift(size * mantissa), 65535).
    w_en, w_data, index, w_final
        Words to be written, and which of the instruction's; whether they are no partial sums.
    done
        The instruction writes its last word in this cycle, or wrote it in the last; ERR has been counted too.
    norm, norm_en
        Mantissa that NORM2 writes; NORM2 ends in this cycle.
    loss, loss_en, hit, result, result_en
        What a sample adds to the counters: its squared error, whether it was a hit, and the index of its
        largest output.
    over, saturated
        A sense word taken was over range; a word was clamped, and counts.
    derivative, finish, square, scaler
        To the multipliers, of which the first two give a product with the half of `vector_frac` bits, one
        less if negative.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        # Sums begin with the half, so that they are rounded by leaving bits out.
        self._half = 1 << (2 * config.vector_frac - LOSS_FRAC - 1)
        self._sum_bits = (config.vector_words * config.vector_max**2 + self._half).bit_length()
        element = In(stream.Signature(element_layout(config)))
        super().__init__(
            {
                "clear": In(1),
                **{name: In(1) for name in CONTROLS},
                "function": In(4),
                "accumulate": In(1),
                "backward": In(1),
                "scale_log2": In(3),
                "shift": In(signed(5)),
                "i_sense": In(stream.Signature(sense_layout(config))),
                "i_a": element,
                "i_b": element,
                "size": Out(config.vector_bits - 1),
                "take": In(1),
                "mantissa": In(FACTOR_BITS),
                "exponent": In(signed(8)),
                "lose": In(SHIFT_BITS - 1),
                "scaled": Out(FACTOR_BITS),
                "w_en": Out(1),
                "w_data": Out(signed(config.acc_bits)),
                "index": Out(range(config.vector_words)),
                "w_final": Out(1),
                "done": Out(1),
                "norm": Out(16),
                "norm_en": Out(1),
                "loss": Out(32),
                "loss_en": Out(1),
                "hit": Out(1),
                "result": Out(16),
                "result_en": Out(1),
                "over": Out(1),
                "saturated": Out(1),
                **{name: Out(MultiplierSignature(signed=name in SIGNED)) for name in CLIENTS},
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        # Elements come later than their instruction.
        reads, err, norm2, axpy, pulse, hadamard, partial, curve = (
            Signal(name=name)
            for name in ("reads", "err", "norm2", "axpy", "pulse", "hadamard", "partial", "curve")
        )
        m.d.sync += [
            reads.eq(self.reader),
            err.eq(self.err),
            norm2.eq(self.norm2),
            axpy.eq(self.axpy),
            pulse.eq(self.planner),
            hadamard.eq(self.hadamard),
            partial.eq(self.function == Function.PARTIAL),
            curve.eq(self.function == Function.SIGMOID),
        ]

        # Elements join here.
        a = self.i_a.p.word[: c.vector_bits].as_signed()
        b = self.i_b.p.word[: c.vector_bits].as_signed()
        sense = self.i_sense.p
        have = Signal()
        start = Signal()
        fire = Signal()
        waited = Signal(2)
        needs_product, needs_b = hadamard | axpy, hadamard | axpy | err
        m.d.comb += [
            have.eq(
                (self.i_sense.valid | ~reads)
                & (self.i_a.valid | (reads & ~self.accumulate))
                & (self.i_b.valid | ~needs_b)
                & (reads | err | norm2 | axpy)
            ),
            start.eq(have & ~waited.any()),
            fire.eq(have & (waited[1] | ~needs_product)),
            self.i_sense.ready.eq(fire & reads),
            self.i_a.ready.eq(fire & (~reads | self.accumulate)),
            self.i_b.ready.eq(fire & needs_b),
            self.over.eq(fire & reads & sense.over),
        ]
        m.d.sync += waited.eq(Mux(self.clear, 0, Cat(start & needs_product, waited[0])))

        # The derivative a (1 - a), rounded by the multiplier.
        m.d.comb += [
            self.size.eq(magnitude(a)),
            self.derivative.left.eq(Mux(pulse | axpy, self.size, b[:-1])),
            self.derivative.right.eq(~(self.derivative.left - 1)[: c.vector_frac + 1] ^ c.one),
            self.derivative.en.eq(start),
        ]

        # Products with the scale register, and the one shifter behind them. How far is known before the first
        # product.
        total = Signal(self._sum_bits, init=self._half)
        complete = Signal()
        scaling = Signal()
        sum_ = total >> (2 * c.vector_frac - LOSS_FRAC)
        amount = Signal(signed(10))
        bits = Signal(SHIFT_BITS)
        scaled = Signal(2)
        m.d.comb += [
            amount.eq(Mux(norm2, 14, 16) - self.exponent),
            scaling.eq(complete & norm2),
            self.scaler.left.eq(Mux(norm2, Mux(sum_[16:].any(), 0xFFFF, sum_[:16]), self.size)),
            self.scaler.right.eq(self.mantissa),
            self.scaler.en.eq(start | self.take | scaling),
        ]
        limited = Mux(amount < 0, 0, Mux(amount[SHIFT_BITS:].any(), (1 << SHIFT_BITS) - 1, amount))
        kept, half, beyond = rshift_parts(m, self.scaler.product, bits, FACTOR_BITS)
        low = (kept + half)[: FACTOR_BITS + 1]
        m.d.sync += [bits.eq(Mux(pulse, self.lose, limited)), scaled.eq(Cat(scaling, scaled))]
        m.d.comb += [
            self.scaled.eq(low[:FACTOR_BITS] | (beyond | low[-1]).replicate(FACTOR_BITS)),
            self.norm.eq(self.scaled),
            self.norm_en.eq(scaled[1]),
        ]

        value, carry = self._value(m)
        # What is taken off: an output, or a scaled element, of which 65535 is more than any vector word.
        # NORM2 takes nothing off. One adder takes the scaled element's half and the sign.
        off = Signal(signed(WORD_BITS))
        less = Signal()
        m.d.comb += [less.eq(~axpy | ~a[-1]), off.eq(Mux(axpy, kept | beyond.replicate(FACTOR_BITS), b))]
        difference = (Mux(axpy, b, a) + Mux(less, ~off, off) + (less ^ (axpy & half & ~beyond)))[
            :WORD_BITS
        ].as_signed()
        word = Signal(signed(c.acc_bits))
        valid1 = Signal()
        last1 = Signal()
        m.d.sync += [valid1.eq(fire), last1.eq(Mux(reads, sense.last, self.i_a.p.last))]
        with m.If(fire):
            m.d.sync += word.eq(Mux(reads, value + self.i_a.p.word + carry, difference))

        # Stage 1.
        y, clipped = sat(word, c.vector_max)
        m.d.comb += [
            self.saturated.eq(valid1 & clipped & ~partial),
            self.finish.left.eq(y),
            self.finish.right.eq(self.derivative.product[c.vector_frac :][: c.vector_frac + 1]),
            self.finish.en.eq(valid1),
            self.square.left.eq(y),
            self.square.right.eq(y),
            self.square.en.eq(valid1),
        ]

        # Stage 2. The table has the sigmoid's upper half, and whether a bit was lost in it.
        sigmoid = self._sigmoid(m, y, valid1)

        # The pipeline's valid bits, and what is written after which stage.
        valid2, last2, valid3, last3 = (Signal(name=name) for name in ("valid2", "last2", "valid3", "last3"))
        m.d.sync += [valid2.eq(valid1), last2.eq(last1), valid3.eq(valid2), last3.eq(last2)]
        product = self.finish.product[c.vector_frac :][: c.vector_bits].as_signed()
        m.d.comb += [
            self.w_final.eq(~partial),
            self.w_data.eq(Mux(hadamard, product, Mux(curve, sigmoid, Mux(partial, word, y)))),
            self.w_en.eq(Mux(hadamard, valid3, Mux(curve, valid2, valid1 & ~norm2))),
            self.done.eq(Mux(err, complete, ~norm2 & Mux(hadamard, valid3 & last3, valid2 & last2))),
        ]
        with m.If(self.w_en):
            m.d.sync += self.index.eq(self.index + 1)
        with m.If(self.done | self.clear):
            m.d.sync += self.index.eq(0)

        # Sums of squares.
        m.d.sync += complete.eq(valid3 & last3 & (err | norm2))
        with m.If(complete):
            m.d.sync += total.eq(self._half)
        with m.Elif(valid3 & (err | norm2)):
            m.d.sync += total.eq(total + self.square.product)
        m.d.comb += [self.loss.eq(sum_), self.loss_en.eq(complete & err)]

        # Hits: the first of the largest on both sides. An index is that of the word that is written next.
        # Words are compared without a sign, with the complement of the largest so far: an adder's carry
        # tells.
        begun = Signal()
        larger = Signal()
        same = Signal()
        judged = []
        for name, element in (("a", b), ("t", a)):
            shifted = Cat(element[:-1], ~element[-1])
            rest = Signal(c.vector_bits, name=f"rest_{name}")
            judged.append(~begun | (shifted + rest)[c.vector_bits])
            with m.If(fire & judged[-1]):
                m.d.sync += rest.eq(~shifted)
        larger_a, larger_t = judged
        with m.If(fire):
            m.d.sync += [
                begun.eq(err & ~self.i_a.p.last),
                larger.eq(larger_a),
                same.eq(Mux(larger_a | larger_t, larger_a & larger_t, same)),
            ]
        with m.If(self.w_en & larger):
            m.d.sync += self.result.eq(self.index)
        m.d.comb += [self.result_en.eq(self.loss_en), self.hit.eq(self.loss_en & same)]

        with m.If(self.clear):
            m.d.sync += [
                *(s.eq(0) for s in (valid1, valid2, valid3, complete, scaled, begun)),
                total.eq(self._half),
            ]
        return m

    def _value(self, m: Module) -> tuple[Value, Value]:
        """Scale a sense word; return it and the bit that rounds it.

        It is shifted left by a variable, then right by a constant.
        """
        c = self._config
        right = c.range_max - min(c.forward_shift, c.backward_shift)
        most = max(c.forward_shift, c.backward_shift) + SCALE_LOG2_MAX - c.range_min + right
        left = Signal(range(most + 1))
        wide = Signal(signed(c.acc_bits + right))
        m.d.sync += left.eq(
            Mux(self.backward, c.backward_shift, c.forward_shift) + right + self.scale_log2 - self.shift
        )
        m.d.comb += wide.eq(self.i_sense.p.value << left)
        return wide >> right, wide[right - 1] & ~(wide[-1] & ~wide[: right - 1].any())

    def _sigmoid(self, m: Module, y: Value, en: Value) -> Value:
        """Return the sigmoid of a word, a cycle later, from a table of its lower half."""
        c = self._config
        fine = c.pre_frac - TABLE_STEP_LOG2 + 1
        bits = (TABLE_WORDS - 1).bit_length()
        frac = c.vector_frac
        # The complement of the lower half, whether a bit was lost in halving, and whether the upper half is
        # beyond the unit.
        words = [
            (c.one - 1 - ((c.one + 1 - t) >> 1))
            | (t & 1) << frac
            | (((c.one + 1 + t) >> 1) > c.unit) << frac + 1
            for t in tanh_table(c)
        ]
        m.submodules.table = table = Memory(shape=frac + 2, depth=TABLE_WORDS, init=words)
        lookup = table.read_port()
        negative = Signal()
        size = magnitude(y)
        step = size[fine:] + size[fine - 1]
        m.d.comb += [lookup.addr.eq(step[:bits] | step[bits:].any().replicate(bits)), lookup.en.eq(en)]
        with m.If(en):
            m.d.sync += negative.eq(y[-1])
        lower = lookup.data[:frac]
        odd = lookup.data[frac]
        beyond = lookup.data[frac + 1]
        half = Mux(negative, ~lower, (lower + odd + 1)[:frac])
        return Cat(Mux(beyond & ~negative, c.unit, half), Const(0, 1))

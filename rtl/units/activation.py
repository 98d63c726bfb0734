"""The last stages before a word is stored: saturation, the function, and an error's derivative."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.activation import TABLE_STEP_LOG2, TABLE_WORDS, tanh_table
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Function
from backpulse.rtl.lib.numbers import rshift, sat
from backpulse.rtl.lib.ports import element_layout

__all__ = ["Derivative", "Finish", "derivative_layout", "word_layout"]


def derivative_layout(config: Config) -> data.StructLayout:
    """Layout of a word and the derivative at it, which is Q.vector_frac, 0 to 1."""
    return data.StructLayout({"word": signed(config.acc_bits), "fprime": config.vector_frac + 1, "last": 1})


word_layout = derivative_layout
"""Layout of an unsaturated word on its way to `Finish`, with the derivative to multiply it by."""


class Derivative(wiring.Component):
    """Computes f' at each element of a stream: one a cycle, two cycles of latency; stalls with its consumer.

    The elements must be outputs of the function's own kind, so that f' lies in 0 to 1.

    Parameters
    ----------
    config
        Number formats.

    Members
    -------
    clear
        Drop the elements in the pipeline.
    function
        A HADAMARD function; the derivative of any other is not used.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "function": In(4),
                "i": In(stream.Signature(element_layout(config))),
                "o": Out(stream.Signature(derivative_layout(config))),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        is_sigmoid = self.function == Function.HADAMARD_SIGMOID
        is_tanh = self.function == Function.HADAMARD_TANH
        a = self.i.p.word[: c.vector_bits].as_signed()
        valid1 = Signal()
        word1 = Signal(signed(c.acc_bits))
        factor1 = Signal(signed(c.vector_bits + 1))
        last1 = Signal()
        product = Signal(signed(2 * c.vector_bits + 1))
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(~valid1 | move)]
        with m.If(self.i.ready):
            m.d.sync += [
                valid1.eq(self.i.valid),
                word1.eq(self.i.p.word),
                factor1.eq(Mux(is_sigmoid, c.one - a, a)),
                last1.eq(self.i.p.last),
            ]
        with m.If(move):
            m.d.sync += [
                self.o.valid.eq(valid1),
                product.eq(word1[: c.vector_bits].as_signed() * factor1),
                self.o.p.word.eq(word1),
                self.o.p.last.eq(last1),
            ]
        with m.If(self.clear):
            m.d.sync += [valid1.eq(0), self.o.valid.eq(0)]

        off = Signal()  # clipped ReLU where it is flat
        m.d.comb += off.eq(
            (self.function == Function.HADAMARD_RELU) & ((self.o.p.word <= 0) | (self.o.p.word >= c.unit))
        )
        wide = Mux(is_sigmoid, product, (1 << 2 * c.vector_frac) - product)
        m.d.comb += self.o.p.fprime.eq(
            Mux(is_sigmoid | is_tanh, rshift(wide, c.vector_frac), Mux(off, 0, c.one))
        )
        return m


class Finish(wiring.Component):
    """Saturates a word, applies the function and writes it, two cycles later; a word a cycle, never stalls.

    ======  ==========================================
    stage   what is computed
    ======  ==========================================
    0       saturation; the table's address
    1       the function; the product with the derivative
    2       the product, rounded; written
    ======  ==========================================

    Parameters
    ----------
    config
        Number formats.

    Members
    -------
    function, w_base
        Of the executing instruction; words are written from `w_base` on.
    i
        Words with their derivatives; always ready.
    done
        The instruction's last word is written in the next cycle.
    y, y_valid, y_last
        The saturated word of stage 1.
    w_en, w_addr, w_data, w_final
        To vector memory; `w_final` marks words that are no partial sums.
    saturated
        Number of clamped words that count, a cycle later.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "function": In(4),
                "w_base": In(16),
                "i": In(stream.Signature(word_layout(config))),
                "done": Out(1),
                "y": Out(signed(config.vector_bits)),
                "y_valid": Out(1),
                "y_last": Out(1),
                "w_en": Out(1),
                "w_addr": Out(16),
                "w_data": Out(signed(config.acc_bits)),
                "w_final": Out(1),
                "saturated": Out(2),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        valid, word = self.i.valid, self.i.p.word
        partial = self.function == Function.PARTIAL
        y, clipped = sat(word, c.vector_max)
        m.d.comb += self.i.ready.eq(1)

        # Stage 0. Where a word is beyond the table, so is what saturation leaves of it: the address needs no
        # saturated word. A negative word's size is its complement and one; the one is carried into the sum
        # that rounds.
        fine = c.pre_frac - TABLE_STEP_LOG2
        size_bits = (TABLE_WORDS - 1).bit_length() + fine + 1
        is_sigmoid, negative = self.function == Function.SIGMOID, word[-1]
        size = word.as_unsigned() ^ negative.replicate(len(word))
        half = Mux(is_sigmoid, 1 << fine, 1 << fine >> 1)
        rounded = Signal(size_bits + 2)
        m.d.comb += rounded.eq(Cat(negative, size[:size_bits]) + Cat(negative, half))
        step = Mux(is_sigmoid, rounded[fine + 2 :], rounded[fine + 1 :])
        m.submodules.table = table = Memory(shape=c.vector_frac + 1, depth=TABLE_WORDS, init=tanh_table(c))
        lookup = table.read_port()
        m.d.comb += [
            lookup.addr.eq(Mux(size[size_bits:].any() | (step >= TABLE_WORDS), TABLE_WORDS - 1, step)),
            lookup.en.eq(valid),
        ]

        # Stage 1.
        valid1 = Signal()
        last1 = Signal()
        clipped1 = Signal()
        sigmoid1 = Signal()
        curves1 = Signal()
        function1 = Signal(4)
        index = Signal(16)
        kept1 = Signal(signed(c.acc_bits))
        fprime1 = Signal(c.vector_frac + 1)
        address1 = Signal(16)
        m.d.sync += valid1.eq(valid)
        with m.If(valid):
            m.d.sync += [
                last1.eq(self.i.p.last),
                clipped1.eq(clipped & ~partial),
                kept1.eq(Mux(partial, word, y)),
                fprime1.eq(self.i.p.fprime),
                sigmoid1.eq(is_sigmoid),
                curves1.eq(is_sigmoid | (self.function == Function.TANH)),
                function1.eq(self.function),
                address1.eq(self.w_base + index),
                index.eq(Mux(self.i.p.last, 0, index + 1)),
            ]
        m.d.comb += [
            self.y.eq(kept1),
            self.y_valid.eq(valid1),
            self.y_last.eq(last1),
            self.done.eq(valid1 & last1),
        ]

        gain = c.vector_frac - c.pre_frac
        y1, negative1 = self.y, kept1[-1]
        linear, over = sat(y1 << gain if gain >= 0 else rshift(y1, -gain), c.vector_max)
        # tanh, or one and tanh: the entry, or its complement and one.
        entry = Cat(lookup.data, Const(0, 1)) ^ negative1.replicate(c.vector_frac + 2)
        curve = Signal(signed(c.vector_frac + 3))
        one = Mux(sigmoid1, c.one + 1, 0)
        m.d.comb += curve.eq(
            (Cat(negative1, entry).as_signed() + Cat(negative1, one, Const(0, 1)).as_signed()) >> 1
        )
        # Whether the unit is passed shows in the entry, before the sum.
        over_sigmoid, over_tanh = ~negative1 & (lookup.data > 2 * c.unit - c.one), lookup.data > c.unit
        straight = Signal(signed(c.acc_bits))
        with m.Switch(function1):
            with m.Case(Function.PARTIAL, Function.NONE):
                m.d.comb += straight.eq(kept1)
            with m.Case(Function.RELU):
                m.d.comb += straight.eq(Mux(linear < 0, 0, Mux(linear > c.unit, c.unit, linear)))
            with m.Case(Function.LINEAR):
                m.d.comb += straight.eq(linear)

        # Stage 2.
        straight2 = Signal(signed(c.acc_bits))
        product2 = Signal(signed(c.vector_bits + c.vector_frac + 1))
        multiplied2 = Signal()
        curve2 = Signal.like(curve)
        curves2 = Signal()
        sigmoid2 = Signal()
        over2 = Signal()
        negative2 = Signal()
        m.d.sync += self.w_en.eq(valid1)
        curved = Mux(over2, Mux(negative2, -c.unit, c.unit), Mux(sigmoid2, curve2 >> 1, curve2))
        m.d.comb += self.w_data.eq(
            Mux(multiplied2, rshift(product2, c.vector_frac), Mux(curves2, curved, straight2))
        )
        with m.If(valid1):
            m.d.sync += [
                straight2.eq(straight),
                *(curve2.eq(curve), curves2.eq(curves1), sigmoid2.eq(sigmoid1), negative2.eq(negative1)),
                over2.eq(Mux(sigmoid1, over_sigmoid, over_tanh)),
                product2.eq(y1 * fprime1),
                multiplied2.eq(function1 >= Function.HADAMARD_SIGMOID),
                self.w_addr.eq(address1),
                self.w_final.eq(function1 != Function.PARTIAL),
            ]
        m.d.sync += self.saturated.eq((valid1 & clipped1) + (valid1 & (function1 == Function.LINEAR) & over))
        with m.If(self.clear):
            m.d.sync += [valid1.eq(0), self.w_en.eq(0), index.eq(0)]
        return m

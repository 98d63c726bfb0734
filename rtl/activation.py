"""What is done to a word before it is stored: saturation, the function, and the derivative that an error is multiplied by."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from firmware_py.activation import TABLE_STEP_LOG2, TABLE_WORDS, tanh_table
from firmware_py.config import Config
from firmware_py.isa import Function

from .numbers import rshift, sat
from .ports import element_layout

__all__ = ["Derivative", "Finish", "derivative_layout", "word_layout"]


def derivative_layout(config: Config) -> data.StructLayout:
    """Layout of a word with the derivative at it: Q.vector_frac, 0 to 1."""
    return data.StructLayout({"word": signed(config.acc_bits), "fprime": config.vector_frac + 1, "last": 1})


word_layout = derivative_layout
"""Layout of an unsaturated word on its way to `Finish`, with the derivative that it is to be multiplied by."""


class Derivative(wiring.Component):
    """Works out f' at each element of a stream: one a cycle, one cycle of latency; stalls with its consumer.

    The elements must be outputs of the function's own kind, so that f' lies in 0 to 1.

    Parameters
    ----------
    config
        Number formats.

    Members
    -------
    clear
        Drop what is held.
    function
        A HADAMARD function; any other gives a derivative that nobody uses.
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
        is_sigmoid, is_tanh = self.function == Function.HADAMARD_SIGMOID, self.function == Function.HADAMARD_TANH
        a = Signal(signed(c.vector_bits))
        product = Signal(signed(2 * c.vector_bits + 1))
        m.d.comb += [a.eq(self.i.p.word), self.i.ready.eq(~self.o.valid | self.o.ready)]
        with m.If(self.i.ready):
            m.d.sync += [
                product.eq(a * Mux(is_sigmoid, c.one - a, a)),
                self.o.p.word.eq(self.i.p.word),
                self.o.p.last.eq(self.i.p.last),
                self.o.valid.eq(self.i.valid),
            ]
        with m.If(self.clear):
            m.d.sync += self.o.valid.eq(0)

        off = Signal()  # clipped ReLU at or below zero
        m.d.comb += off.eq((self.function == Function.HADAMARD_RELU) & (self.o.p.word <= 0))
        wide = Mux(is_sigmoid, product, (1 << 2 * c.vector_frac) - product)
        m.d.comb += self.o.p.fprime.eq(Mux(is_sigmoid | is_tanh, rshift(wide, c.vector_frac), Mux(off, 0, c.one)))
        return m


class Finish(wiring.Component):
    """Saturates a word, applies the function and writes it: one word a cycle, written in the cycle after it came; never stalls.

    Parameters
    ----------
    config
        Number formats.

    Members
    -------
    function, w_base
        Of the instruction in work; words are written from `w_base` on.
    i
        Words with their derivatives; always ready.
    done
        The instruction's last word is here; it is written in the next cycle.
    y
        The saturated word in work.
    w_en, w_addr, w_data, w_final
        To vector memory; `w_final` tells that it is no partial sum.
    saturated
        Words clamped in this cycle that count.
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
        valid = self.i.valid
        partial = self.function == Function.PARTIAL
        y, clipped = sat(self.i.p.word, c.vector_max)
        m.d.comb += [self.i.ready.eq(1), self.y.eq(y), self.done.eq(valid & self.i.p.last)]

        # The table is looked up while the saturated word and its product are registered.
        m.submodules.table = table = Memory(shape=c.vector_frac + 1, depth=TABLE_WORDS, init=tanh_table(c))
        lookup = table.read_port()
        size = Signal(c.vector_bits - 1)
        m.d.comb += size.eq(Mux(self.y < 0, -self.y, self.y))
        fine = rshift(size, c.pre_frac - TABLE_STEP_LOG2)
        coarse = rshift(size, c.pre_frac - TABLE_STEP_LOG2 + 1)
        step = Signal(c.vector_bits)
        m.d.comb += [
            step.eq(Mux(self.function == Function.SIGMOID, coarse, fine)),
            lookup.addr.eq(Mux(step >= TABLE_WORDS, TABLE_WORDS - 1, step)),
            lookup.en.eq(valid),
        ]
        kept, product = Signal(signed(c.acc_bits)), Signal(signed(c.vector_bits + c.vector_frac + 2))
        function, index = Signal(4), Signal(16)
        m.d.sync += self.w_en.eq(valid)
        with m.If(valid):
            m.d.sync += [
                kept.eq(Mux(partial, self.i.p.word, self.y)),
                product.eq(self.y * self.i.p.fprime),
                function.eq(self.function),
                self.w_addr.eq(self.w_base + index),
                self.w_final.eq(~partial),
                index.eq(Mux(self.i.p.last, 0, index + 1)),
            ]
        with m.If(self.clear):
            m.d.sync += [self.w_en.eq(0), index.eq(0)]

        gain = c.vector_frac - c.pre_frac
        word = kept[: c.vector_bits].as_signed()
        linear, over = sat(word << gain if gain >= 0 else rshift(word, -gain), c.vector_max)
        tanh = Signal(signed(c.vector_frac + 2))
        m.d.comb += tanh.eq(Mux(kept < 0, -lookup.data, lookup.data))
        sigmoid = (tanh + (c.one + 1)) >> 1
        with m.Switch(function):
            with m.Case(Function.PARTIAL, Function.NONE):
                m.d.comb += self.w_data.eq(kept)
            with m.Case(Function.SIGMOID):
                m.d.comb += self.w_data.eq(Mux(sigmoid > c.unit, c.unit, sigmoid))
            with m.Case(Function.TANH):
                m.d.comb += self.w_data.eq(sat(tanh, c.unit)[0])
            with m.Case(Function.RELU):
                m.d.comb += self.w_data.eq(Mux(linear < 0, 0, Mux(linear > c.unit, c.unit, linear)))
            with m.Case(Function.LINEAR):
                m.d.comb += self.w_data.eq(linear)
            with m.Default():
                m.d.comb += self.w_data.eq(rshift(product, c.vector_frac))
        m.d.comb += self.saturated.eq((valid & clipped & ~partial) + (self.w_en & (function == Function.LINEAR) & over))
        return m

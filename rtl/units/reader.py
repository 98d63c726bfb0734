"""The two ends of a read: vector words to drives, and sense words to vector words."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import SCALE_LOG2_MAX
from backpulse.rtl.lib.numbers import rshift_by, rshift_parts
from backpulse.rtl.lib.ports import element_layout
from backpulse.rtl.tile.signature import sense_layout
from backpulse.rtl.units.activation import derivative_layout, word_layout

__all__ = ["Driver", "Receiver", "auto_range", "to_drive"]


def auto_range(config: Config, magnitude, enable):
    """Return the shift of a vector's drives, a signed expression (docs/machine.md, READ 1).

    A magnitude has at most vector_bits - 1 bits, so the lower limit needs no clamp.
    """
    most = Mux(magnitude == 0, config.range_max, config.vector_frac - magnitude)
    return Mux(enable, most, 0)


def to_drive(
    m: Module, config: Config, size: ValueLike, negative: ValueLike, right: ValueLike
) -> tuple[Value, Value]:
    """Return the drive of a vector word, and whether it was clamped and counts (docs/machine.md, READ 2).

    The word's magnitude goes left by the most there is, then right by what is too much: `range_max` less the
    shift of the drives. One adder takes the half and the sign.
    """
    kept, half, over = rshift_parts(
        m, Cat(Const(0, config.range_max - config.drive_shift), size), right, config.drive_bits
    )
    low = kept[:-1]
    one = kept[-1]
    signs = Value.cast(negative).replicate(config.drive_bits)
    clamped = over | one | (low.all() & half)
    nearest = Mux(negative, -config.drive_max, config.drive_max)[: config.drive_bits]
    drive = ((Cat(low, Const(0, 1)) ^ signs) + (half ^ negative))[: config.drive_bits]
    return Mux(clamped, nearest, drive).as_signed(), over | (one & (low.any() | half))


class Driver(wiring.Component):
    """Turns vector words into drives: one a cycle, one cycle of latency; stalls with its consumer.

    Members
    -------
    clear
        Drop the element in the pipeline.
    shift
        Auto-range shift.
    saturated
        The drive taken in the cycle before was clamped, and counts.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "shift": In(signed(5)),
                "i": In(stream.Signature(element_layout(config))),
                "o": Out(stream.Signature(signed(config.drive_bits))),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        size = Signal(c.vector_bits - 1)
        negative = Signal()
        right = Signal(range(c.range_max - c.range_min + 1))
        word = self.i.p.word[: c.vector_bits].as_signed()
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                size.eq(abs(word)),
                negative.eq(word < 0),
                right.eq(c.range_max - self.shift),
            ]
        with m.If(self.clear):
            m.d.sync += self.o.valid.eq(0)
        drive, beyond = to_drive(m, c, size, negative, right)
        m.d.comb += [self.o.p.eq(drive), self.i.ready.eq(~self.o.valid | self.o.ready)]
        m.d.sync += self.saturated.eq(self.o.valid & self.o.ready & beyond)
        return m


class Receiver(wiring.Component):
    """Scales sense words, adds partial sums, pairs them with derivatives.

    One word a cycle, two cycles of latency; stalls with its consumer.

    Members
    -------
    shift, scale_log2, backward
        Auto-range shift and scale of the read, steady from before the first sense word.
    accumulate, hadamard
        Whether each word takes a partial sum from `i_partial` and a derivative from `i_derivative`.
    over
        A sense word taken in this cycle was over range.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "shift": In(signed(5)),
                "scale_log2": In(3),
                "backward": In(1),
                "accumulate": In(1),
                "hadamard": In(1),
                "i_sense": In(stream.Signature(sense_layout(config))),
                "i_partial": In(stream.Signature(element_layout(config))),
                "i_derivative": In(stream.Signature(derivative_layout(config))),
                "o": Out(stream.Signature(word_layout(config))),
                "over": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        left = max(c.forward_shift, c.backward_shift) + SCALE_LOG2_MAX - c.range_min
        most = left - min(c.forward_shift, c.backward_shift) + c.range_max
        right = Signal(range(most + 1))
        m.d.sync += right.eq(
            left - Mux(self.backward, c.backward_shift, c.forward_shift) - self.scale_log2 + self.shift
        )

        # Stage 1 scales: always left by the most there is, then right by what is too much.
        sense = self.i_sense
        value1 = Signal(signed(c.acc_bits))
        last1 = Signal()
        over1 = Signal()
        full1 = Signal()
        fire = Signal()
        free = Signal()
        m.d.comb += sense.ready.eq(~full1 | fire)
        with m.If(sense.ready):
            m.d.sync += [
                full1.eq(sense.valid),
                last1.eq(sense.p.last),
                over1.eq(sense.p.over),
                value1.eq(rshift_by(sense.p.value << left, right, most=most)),
            ]

        # Stage 2 adds.
        partial, derivative = (
            ~self.accumulate | self.i_partial.valid,
            ~self.hadamard | self.i_derivative.valid,
        )
        m.d.comb += [
            free.eq(~self.o.valid | self.o.ready),
            fire.eq(free & full1 & partial & derivative),
            self.i_partial.ready.eq(free & self.accumulate & full1 & derivative),
            self.i_derivative.ready.eq(free & self.hadamard & full1 & partial),
            self.over.eq(fire & over1),
        ]
        with m.If(free):
            m.d.sync += self.o.valid.eq(fire)
        with m.If(fire):
            m.d.sync += [
                self.o.p.word.eq(value1 + Mux(self.accumulate, self.i_partial.p.word, 0)),
                self.o.p.fprime.eq(self.i_derivative.p.fprime),
                self.o.p.last.eq(last1),
            ]
        with m.If(self.clear):
            m.d.sync += [full1.eq(0), self.o.valid.eq(0)]
        return m

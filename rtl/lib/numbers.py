"""Fixed-point arithmetic of docs/machine.md as Amaranth expressions, no wider than needed."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportReturnType=false

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike

__all__ = ["clamp", "clip", "magnitude", "negated_if", "rshift", "rshift_by", "rshift_parts", "sat", "times"]


def rshift(value: ValueLike, n: int) -> Value:
    """Shift right by a constant, half away from zero.

    One adder: for a negative value the half is one smaller, so that an exact half falls away from zero too.
    """
    value = Value.cast(value)
    if n == 0:
        return value
    width, signed = value.shape().width, value.shape().signed
    negative = value[-1] if signed else Const(0, 1)
    half = Cat(negative.replicate(n - 1), ~negative)
    keep = max(width - n + 1, 1)
    result = ((value + half) >> n)[:keep]
    return result.as_signed() if signed else result


def rshift_by(value: ValueLike, n: ValueLike, *, most: int | None = None) -> Value:
    """Shift right by a variable `n` of 0 to `most` (by default all that fits in `n`), half away from zero."""
    value, n = Value.cast(value), Value.cast(n)
    width = value.shape().width
    if not value.shape().signed:
        # The last bit shifted out is the half.
        long = Cat(Const(0, 1), value) >> n
        return (long[1:] + long[0])[: width + 1]
    most = (1 << len(n)) - 1 if most is None else most
    negative = value[-1]
    half = Cat(Mux(negative, n > i + 1, n == i + 1) for i in range(min(most, width)))
    # Beyond the width the result is zero, which the shift alone does not give.
    rounded = ((value + half) >> n)[: width + 1].as_signed()
    return Mux(n > width, 0, rounded) if most > width else rounded


def sat(value: ValueLike, limit: int) -> tuple[Value, Value]:
    """Clamp a signed value to -limit .. limit; return the result and whether it was clamped.

    The limit is a power of two less one, so that the bits above it tell: no comparison, no carry.
    """
    value, bits = Value.cast(value), limit.bit_length()
    if limit + 1 != 1 << bits:
        raise ValueError(f"Limit must be a power of two less one, not {limit}")
    if len(value) <= bits:
        return value, Const(0, 1)
    negative = value[-1]
    clamped = (value[bits:] != negative.replicate(len(value) - bits)) | (negative & ~value[:bits].any())
    nearest = Cat(Const(1, 1), (~negative).replicate(bits - 1), negative)
    return Mux(clamped, nearest, value[: bits + 1]).as_signed(), clamped


def clip(value: Value, bits: int) -> tuple[Value, Value]:
    """Limit a signed value to what a word of two's complement holds; return it, and whether it was beyond."""
    beyond = value[bits - 1 : -1] != value[-1].replicate(len(value) - bits)
    low = Mux(beyond, (~value[-1]).replicate(bits - 1), value[: bits - 1])
    return Cat(low, value[-1]).as_signed(), beyond


def clamp(value: ValueLike, low: ValueLike, high: ValueLike) -> Value:
    """Clamp between two variable signed bounds, of which `low` is not above `high`."""
    low, high = Value.cast(low), Value.cast(high)
    width = max(len(low), len(high))
    inside = Value.cast(value)[:width].as_signed()
    return Mux(value > high, high, Mux(value < low, low, inside))[:width].as_signed()


def magnitude(value: ValueLike) -> Value:
    """Return the absolute value of a symmetric number, which has one bit less."""
    value = Value.cast(value)
    return negated_if(value[-1], value[:-1])


def negated_if(negative: ValueLike, value: ValueLike) -> Value:
    """Return a number or its negative, in its own width: one adder, into which iCE40 can fold the choice."""
    value, negative = Value.cast(value), Value.cast(negative)
    return Mux(negative, ~(value - 1)[: len(value)], value)


def rshift_parts(m: Module, value: ValueLike, n: ValueLike, width: int) -> tuple[Value, Value, Value]:
    """Shift an unsigned value right by a variable, in parts: low `width` bits, rounding half, overflow.

    The half is to be added to the low bits. Bits that no shift brings into these are only tested, so that a
    narrow result makes a small shifter.
    """
    value, n = Value.cast(value), Value.cast(n)
    long, over = Cat(Const(0, 1), value), Const(0, 1)
    for k in reversed(range(len(n))):
        keep = width + (1 << k)
        # A signal for each level: an expression is emitted anew wherever it is used, here again and again.
        level = Signal(min(keep, len(long)), name=f"level_{k}")
        m.d.comb += level.eq(Mux(n[k], long >> (1 << k), long))
        over = over | Mux(n[k], long[(1 << k) + keep :].any(), long[keep:].any())
        long = level
    beyond = Signal()
    m.d.comb += beyond.eq(over)
    return long[1 : width + 1], long[0], beyond


def times(value: ValueLike, few: ValueLike) -> Value:
    """Multiply by an unsigned value of few bits, with adders alone."""
    few = Value.cast(few)
    terms = [Value.cast(Mux(few[i], value, 0)) << i for i in range(len(few))]
    while len(terms) > 1:
        terms = [*(a + b for a, b in zip(terms[::2], terms[1::2], strict=False)), *terms[len(terms) & ~1 :]]
    return terms[0]

"""Sixteen lanes at once: a vector of int32 numbers for compiled functions, in which a formula for one number serves for a group of lanes.

Operators, `abs`, `min`, `max` and `where` take such vectors and integers alike, an integer stands for itself in every lane, and results
keep their low 32 bits. A comparison gives -1 where it holds and 0 elsewhere. LLVM splits the vectors into what the processor has.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils, imputils
from numba.core.typing import templates
from numba.np.arrayobj import make_array

# What type checkers make of these three is wrong: callers of an intrinsic leave its first argument out, and the others are decorators.
intrinsic: Any = extending.intrinsic
lower_cast: Any = imputils.lower_cast
infer_global: Any = templates.infer_global
GROUP = 16
"""Lanes of a vector."""
_VECTOR = ir.VectorType(ir.IntType(32), GROUP)


class _Lanes(types.Type):
    """numba's type of a vector."""


_LANES = _Lanes("lanes")


@extending.register_model(_Lanes)
class _LanesModel(extending.models.PrimitiveModel):
    """A vector is one value."""

    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _VECTOR)


def whole(lanes: int) -> int:
    """Return a number of lanes rounded up to whole vectors."""
    return -(-lanes // GROUP) * GROUP


@lower_cast(types.Integer, _Lanes)
def _splat(context, builder, kind, to, value):
    word = context.cast(builder, value, kind, types.int32)
    one = builder.insert_element(_VECTOR(ir.Undefined), word, ir.IntType(32)(0))
    return builder.shuffle_vector(one, one, _VECTOR(None))


def where(condition, yes, no):
    """Return `yes` where a condition holds, `no` elsewhere: of vectors, or of numbers."""
    return yes if condition else no


def peak(value):
    """Return the largest of a vector's lanes, int64; of a number, the number."""
    return value


def count(value):
    """Return how many of a vector's lanes are not zero, int64; of a comparison of numbers, 1 if it holds."""
    return int(value != 0)


def bit_length(value):
    """Return the number of bits of a non-negative integer (0 for 0)."""
    return int(value).bit_length()


def _operation(function: Callable[..., Any], count: int, build: Callable[..., Any], result: types.Type = _LANES) -> None:
    """Teach numba a function of `count` vectors, any of which but one may be integers."""

    @infer_global(function)
    class _Typing(templates.AbstractTemplate):
        def generic(self, args: tuple[types.Type, ...], kws: object) -> Any:
            if _LANES in args and len(args) == count and all(isinstance(a, types.Integer | _Lanes) for a in args):
                return templates.signature(result, *[_LANES] * count)
            return None

    imputils.lower_builtin(function, *[_LANES] * count)(lambda context, builder, sig, args: build(builder, *args))


def _of_numbers(function: Callable[..., Any], kinds: list[types.Type], build: Callable[..., Any]) -> None:
    """Teach numba a function of numbers that gives an int64."""

    @infer_global(function)
    class _Typing(templates.ConcreteTemplate):
        cases = (templates.signature(types.int64, *kinds),)

    imputils.lower_builtin(function, *kinds)(lambda context, builder, sig, args: build(builder, *args))


def _compare(text: str) -> Callable[..., Any]:
    return lambda builder, a, b: builder.sext(builder.icmp_signed(text, a, b), _VECTOR)


def _larger(text: str) -> Callable[..., Any]:
    return lambda builder, a, b: builder.select(builder.icmp_signed(text, a, b), a, b)


def _reduction(name, builder, lanes):
    kind = ir.FunctionType(ir.IntType(32), [_VECTOR])
    reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.{name}.v{GROUP}i32")
    return builder.sext(builder.call(reduce, [lanes]), ir.IntType(64))


def _counted(builder, lanes):
    bits = builder.bitcast(builder.icmp_signed("!=", lanes, _VECTOR(None)), ir.IntType(GROUP))
    return builder.zext(builder.ctpop(bits), ir.IntType(64))


def carries(first, second):
    """Return where the sum of two vectors, taken as unsigned numbers, is beyond 32 bits."""
    raise NotImplementedError("for compiled callers alone")


for _function, _build in (
    (operator.add, ir.IRBuilder.add),
    (operator.sub, ir.IRBuilder.sub),
    (operator.mul, ir.IRBuilder.mul),
    (operator.and_, ir.IRBuilder.and_),
    (operator.or_, ir.IRBuilder.or_),
    (operator.xor, ir.IRBuilder.xor),
    (operator.lshift, ir.IRBuilder.shl),
    (operator.rshift, ir.IRBuilder.ashr),
    (operator.eq, _compare("==")),
    (operator.gt, _compare(">")),
    (operator.ge, _compare(">=")),
    (carries, lambda builder, a, b: builder.sext(builder.icmp_unsigned("<", builder.add(a, b), a), _VECTOR)),
    (min, _larger("<")),
    (max, _larger(">")),
):
    _operation(_function, 2, _build)
_operation(where, 3, lambda builder, mask, yes, no: builder.select(builder.icmp_signed("!=", mask, _VECTOR(None)), yes, no))
_operation(peak, 1, lambda builder, lanes: _reduction("smax", builder, lanes), types.int64)
_operation(count, 1, _counted, types.int64)
_of_numbers(where, [types.boolean, types.int64, types.int64], ir.IRBuilder.select)
_of_numbers(peak, [types.int64], lambda builder, number: number)
_of_numbers(bit_length, [types.int64], lambda builder, number: builder.sub(ir.IntType(64)(64), builder.ctlz(number, ir.IntType(1)(0))))
_of_numbers(count, [types.boolean], lambda builder, condition: builder.zext(condition, ir.IntType(64)))
_operation(operator.neg, 1, ir.IRBuilder.neg)
_operation(abs, 1, lambda builder, a: _larger(">")(builder, a, builder.neg(a)))


@intrinsic
def everywhere(typingctx, value):
    """Return the vector that has a number in every lane."""
    return _LANES(_LANES), lambda context, builder, sig, args: args[0]


@intrinsic
def upto(typingctx, number):
    """Return the mask of the first lanes, so many of them: -1 there and 0 behind them."""

    def build(context, builder, sig, args):
        places = ir.Constant(_VECTOR, list(range(GROUP)))
        return builder.sext(builder.icmp_signed("<", places, args[0]), _VECTOR)

    return _LANES(_LANES), build


def look(array, index):
    """Return the elements of an int32 array at the indices in a vector, none of them negative; or the one at a number, int64."""
    return array[index]


@infer_global(look)
class _Look(templates.AbstractTemplate):
    def generic(self, args: tuple[types.Type, ...], kws: object) -> Any:
        array, index = args
        return templates.signature(*((_LANES, array, _LANES) if index is _LANES else (types.int64, array, types.int64)))


@imputils.lower_builtin(look, types.Array, _LANES)
def _elements(context, builder, sig, args):
    found = ir.Constant(_VECTOR, ir.Undefined)
    for lane in range(GROUP):
        place = builder.zext(builder.extract_element(args[1], ir.IntType(32)(lane)), ir.IntType(64))
        at = cgutils.get_item_pointer(context, builder, sig.args[0], make_array(sig.args[0])(context, builder, args[0]), [place])
        found = builder.insert_element(found, builder.load(at), ir.IntType(32)(lane))
    return found


@imputils.lower_builtin(look, types.Array, types.int64)
def _element(context, builder, sig, args):
    at = cgutils.get_item_pointer(context, builder, sig.args[0], make_array(sig.args[0])(context, builder, args[0]), [args[1]])
    return builder.sext(builder.load(at), ir.IntType(64))


def look_twice(array, index):
    """Return the lower and upper 32 bits, signed, of the elements of an int64 array at the indices in a vector; or at a number."""
    word = int(array[index])
    return ((word & 0xFFFFFFFF) ^ 1 << 31) - (1 << 31), word >> 32


@infer_global(look_twice)
class _LookTwice(templates.AbstractTemplate):
    def generic(self, args: tuple[types.Type, ...], kws: object) -> Any:
        array, index = args
        kind = _LANES if index is _LANES else types.int64
        return templates.signature(types.UniTuple(kind, 2), array, kind)


@imputils.lower_builtin(look_twice, types.Array, _LANES)
def _elements_twice(context, builder, sig, args):
    found = ir.Constant(ir.VectorType(ir.IntType(64), GROUP), ir.Undefined)
    for lane in range(GROUP):
        place = builder.zext(builder.extract_element(args[1], ir.IntType(32)(lane)), ir.IntType(64))
        at = cgutils.get_item_pointer(context, builder, sig.args[0], make_array(sig.args[0])(context, builder, args[0]), [place])
        found = builder.insert_element(found, builder.load(at), ir.IntType(32)(lane))
    upper = builder.ashr(found, ir.Constant(found.type, [32] * GROUP))
    return context.make_tuple(builder, sig.return_type, [builder.trunc(half, _VECTOR) for half in (found, upper)])


@imputils.lower_builtin(look_twice, types.Array, types.int64)
def _element_twice(context, builder, sig, args):
    at = cgutils.get_item_pointer(context, builder, sig.args[0], make_array(sig.args[0])(context, builder, args[0]), [args[1]])
    word = builder.load(at)
    lower = builder.sext(builder.trunc(word, ir.IntType(32)), ir.IntType(64))
    return context.make_tuple(builder, sig.return_type, [lower, builder.ashr(word, ir.IntType(64)(32))])


def _pointer(context, builder, array, index, values):
    """Return where a vector lies in memory; its elements are of the array's type."""
    places = cgutils.unpack_tuple(builder, values[1]) if isinstance(index, types.BaseTuple) else [values[1]]
    places = [context.cast(builder, p, types.int64, types.intp) for p in places]
    at = cgutils.get_item_pointer(context, builder, array, make_array(array)(context, builder, values[0]), places)
    return builder.bitcast(at, ir.VectorType(context.get_data_type(array.dtype), GROUP).as_pointer())


@intrinsic
def load(typingctx, array, index):
    """Return the vector that begins at an index, a number or a tuple, of an array of up to 32 bits."""

    def build(context, builder, sig, args):
        words = builder.load(_pointer(context, builder, array, index, args), align=array.dtype.bitwidth // 8)
        if array.dtype.bitwidth == 32:
            return words
        return (builder.sext if array.dtype.signed else builder.zext)(words, _VECTOR)

    return _LANES(array, index), build


@intrinsic
def store(typingctx, array, index, value):
    """Write a vector to an array; of narrow elements the low bits."""

    def build(context, builder, sig, args):
        at = _pointer(context, builder, array, index, args)
        words = args[2] if array.dtype.bitwidth == 32 else builder.trunc(args[2], at.type.pointee)
        builder.store(words, at, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, index, _LANES), build


@intrinsic
def pairs(typingctx, first, second):
    """Return the sums of each two neighbours: those of the first vector in the lower lanes, those of the second in the upper ones."""

    def build(context, builder, sig, args):
        picked = [ir.Constant(_VECTOR, list(range(start, 2 * GROUP, 2))) for start in (0, 1)]
        return builder.add(*(builder.shuffle_vector(*args, lanes) for lanes in picked))

    return _LANES(_LANES, _LANES), build


@intrinsic
def total(typingctx, lanes):
    """Return the sum of a vector's lanes, int64."""
    return types.int64(_LANES), lambda context, builder, sig, args: _reduction("add", builder, *args)

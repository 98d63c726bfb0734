"""Decode: operation codes to control bits, by the table of operations in firmware_py/isa.py."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOperatorIssue=false
# pyright: reportReturnType=false

from collections.abc import Callable
from functools import reduce
from operator import or_

from amaranth.hdl import Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import OPERATIONS, Function, Op, Operand, Operation, Unit, When
from backpulse.firmware_py.registers import REG, Fault
from backpulse.rtl.lib.layouts import control_layout, control_name, decoded_layout
from backpulse.rtl.lib.ports import HostPort

__all__ = ["any_of", "chosen", "control", "fetch_members", "judged", "used"]


def fetch_members(config: Config) -> dict[str, wiring.Member]:
    """Return the ports that fetching has, ahead or not: to the sequencer, and from the host to the tables."""
    return {
        "clear": In(1),
        "entry": In(REG["ENTRY"].bits),
        "o": Out(stream.Signature(decoded_layout(config))),
        "program": In(HostPort(14)),
        "regions": In(HostPort(15)),
        "vectors": In(HostPort(7)),
    }


def control(m: Module, op: ValueLike, function: ValueLike) -> data.View:
    """Return the control bits of an operation code and a function code, a signal of `control_layout`."""
    to = Signal(control_layout(), name="control")
    m.d.comb += [
        *(to[control_name(operation)].eq(op == operation) for operation in Op),
        *(to[control_name(unit)].eq(any_of(to, lambda o, unit=unit: o.unit is unit)) for unit in Unit),
        to.hadamard.eq(function >= Function.HADAMARD_SIGMOID),
        to.final.eq(any_of(to, lambda o: o.written is not None) & (function != Function.PARTIAL)),
    ]
    return to


def any_of(bits, what: Callable[[Operation], bool]) -> Value:
    """Return whether the operation is one of those for which `what` holds, from its control bits."""
    return reduce(
        or_, (bits[control_name(op)] for op, operation in OPERATIONS.items() if what(operation)), Const(0, 1)
    )


def chosen(
    bits, operand: Callable[[Operation], Operand | str | None], fields: dict[str, data.View | Value]
) -> Value:
    """Return the field, of those named, that the operation has as an operand; any of them if it has none."""

    def named(operation: Operation) -> str:
        found = operand(operation)
        return found.field if isinstance(found, Operand) else found or ""

    names = [named(operation) for operation in OPERATIONS.values()]
    # The most frequent field is the default.
    first, *others = sorted(fields, key=lambda name: -names.count(name))
    value = Value.cast(fields[first])
    for name in others:
        if name in names:
            value = Mux(any_of(bits, lambda o, name=name: named(o) == name), fields[name], value)
    return value


def used(bits, operand: Callable[[Operation], Operand | None], accumulate: ValueLike = 1) -> Value:
    """Return whether the operation has an operand and reads it."""
    conditions = {
        When.ALWAYS: Const(1, 1),
        When.ACCUMULATE: Value.cast(accumulate),
        When.HADAMARD: bits.hadamard,
    }

    def when(operation: Operation, condition: When) -> bool:
        found = operand(operation)
        return found is not None and found.when is condition

    return reduce(or_, (any_of(bits, lambda o, c=c: when(o, c)) & value for c, value in conditions.items()))


def judged(bits, known: ValueLike, bad: ValueLike) -> Value:
    """Return the fault code of an instruction: of its word, or of the operands of those that have them."""
    return Mux(~known, Fault.UNKNOWN_WORD, Mux(~bits.sequencer & bad, Fault.BAD_OPERAND, Fault.NONE))

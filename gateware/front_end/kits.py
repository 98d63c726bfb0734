"""Front ends that boards can have: what they are made of, and how their components are made."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from amaranth.lib import wiring

from backpulse.firmware_py.analog import FrontEnd, Lines
from backpulse.gateware.front_end import slice_pins, student_pins
from backpulse.gateware.front_end.circuit import Circuit
from backpulse.gateware.front_end.slice_circuit import slices_circuit
from backpulse.gateware.front_end.slices import Slices
from backpulse.gateware.front_end.student import Student
from backpulse.gateware.front_end.student_circuit import student_circuit

__all__ = ["KITS", "Kit"]


@dataclass(frozen=True, kw_only=True)
class Kit:
    """A front end."""

    kind: FrontEnd
    lines: Lines
    circuit: Callable[[], Circuit]
    """Makes its circuit."""
    component: Callable[..., wiring.Component]
    """Makes its component, given `clk_hz`."""


def _slices(count: int) -> Kit:
    side = slice_pins.SIDE * count
    return Kit(
        kind=FrontEnd.SLICES,
        lines=Lines(rows=side, cols=side),
        circuit=partial(slices_circuit, count),
        component=partial(Slices, slices=count),
    )


KITS = {
    **{f"slices{count}": _slices(count) for count in slice_pins.SLICES},
    "student": Kit(
        kind=FrontEnd.STUDENT,
        lines=Lines(rows=student_pins.SIDE, cols=student_pins.SIDE),
        circuit=student_circuit,
        component=Student,
    ),
}
"""Front ends by name."""

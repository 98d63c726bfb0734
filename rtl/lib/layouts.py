"""Layouts and signatures that blocks of full and lean machines share."""

from amaranth.lib import data

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import FIELDS, Op, Unit
from backpulse.rtl.lib.ports import Operand

__all__ = ["PC_BITS", "control_layout", "control_name", "decoded_layout", "units_layout"]


PC_BITS = FIELDS["region"][1] + 1
"""Bits of a program address; one more than a target, so that running off the end is seen."""


def control_name(what: Op | Unit) -> str:
    """Return the name of the control bit of an operation, or of all those that a unit does."""
    return what.name.lower()


def control_layout() -> data.StructLayout:
    """Layout of the control bits: one for each operation and unit (`control_name`), two for the function.

    With `hadamard`, words are multiplied by a derivative; with `final`, they are vector words and not partial
    sums.
    """
    return data.StructLayout({**{control_name(what): 1 for what in (*Op, *Unit)}, "hadamard": 1, "final": 1})


def decoded_layout(config: Config) -> data.StructLayout:
    """Layout of a decoded instruction: everything that the machine needs while it executes.

    The code of the operation is only for the tile's command; all else looks at the control bits.
    """
    return data.StructLayout(
        {
            **dict(control_layout().members),
            "op": 4,
            "function": 4,
            "accumulate": 1,
            "auto_range": 1,
            "backward": 1,
            "stochastic": 1,
            "profile": FIELDS["profile"][1],
            "fault": 3,
            "pc": PC_BITS,
            "target": PC_BITS,
            "tile": 10,
            "row0": 10,
            "rows": 10,
            "col0": 9,
            "cols": 9,
            "scale_log2": 3,
            "first": Operand(config),
            "second": Operand(config),
            "other": Operand(config),
            "uses_second": 1,
            "uses_other": 1,
            "w_addr": 16,
            "w_vector": 6,
            "w_anew": 1,
            "w_bias": 1,
            "m_vector": 6,
            "m_sample": 1,
            "scale": 3,
            "to_scale": 3,
        }
    )


_READ_BY_UNITS = (
    *("reader", "planner", "arithmetic", "err", "norm2", "axpy", "hadamard"),
    *("function", "accumulate", "auto_range", "backward", "stochastic", "scale_log2"),
    *("rows", "col0", "cols", "w_addr"),
)


def units_layout(config: Config) -> data.StructLayout:
    """Layout of what the units read of a decoded instruction, by the same names."""
    decoded = decoded_layout(config)
    return data.StructLayout({name: decoded[name].shape for name in _READ_BY_UNITS})

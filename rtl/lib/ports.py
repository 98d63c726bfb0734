"""Small interfaces that the blocks share."""

from amaranth.hdl import Module, Signal, ValueLike, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config

__all__ = [
    "HostPort",
    "Operand",
    "PagePort",
    "StorePort",
    "answer",
    "element_layout",
    "entry_layout",
    "lead",
    "region_layout",
]


class HostPort(wiring.Signature):
    """The host's port of one memory: `request`, address and data are held until `ack`, which lasts one cycle.

    `r_data` and `error` are valid with `ack`; an access that ends in `error` has changed nothing.

    Parameters
    ----------
    addr_bits
        Width of the word address.
    """

    def __init__(self, addr_bits: int) -> None:
        super().__init__(
            {
                "addr": Out(addr_bits),
                "w_data": Out(32),
                "write": Out(1),
                "request": Out(1),
                "ack": In(1),
                "r_data": In(32),
                "error": In(1),
            }
        )


def answer(m: Module, host, word: ValueLike, error: ValueLike) -> None:
    """Answer the host in the third cycle of an access, through a register, with a word read in the second."""
    fetched = Signal()
    m.d.sync += [
        fetched.eq(host.request & ~fetched & ~host.ack),
        host.ack.eq(fetched),
        host.r_data.eq(word),
        host.error.eq(error),
    ]


def lead(m: Module, signature: wiring.Signature, outer: object, inner: object) -> None:
    """Lead a signature from its user, or from a component's own inside, to a component that has more."""
    for name, member in signature.members.items():
        ours, its = getattr(outer, name), getattr(inner, name)
        if not member.is_port:
            wiring.connect(m, ours, its)
        else:
            m.d.comb += ours.eq(its) if member.flow == Out else its.eq(ours)


class StorePort(wiring.Signature):
    """The loader's port of the sample store: `request` and `addr` are held until `ack`, with the `data`."""

    def __init__(self, config: Config) -> None:
        super().__init__(
            {"addr": Out(range(config.store_words)), "request": Out(1), "ack": In(1), "data": In(32)}
        )


class PagePort(wiring.Signature):
    """The way to the sample page in use: a byte a cycle, a cycle later; it stays while `en` is low.

    Members
    -------
    beyond
        The byte is not of the sample: what it holds means nothing.
    """

    def __init__(self) -> None:
        super().__init__({"addr": Out(16), "en": Out(1), "data": In(signed(8)), "beyond": In(1)})


class Operand(data.StructLayout):
    """A run of elements of a vector: its start, its length, and the place of a bias element in it."""

    def __init__(self, config: Config) -> None:
        addr, index = range(config.longest), config.index_bits
        super().__init__({"addr": addr, "count": index, "bias_at": index, "bias": 1, "sample": 1})


entry_layout = data.StructLayout({"base": 15, "bias": 1, "length": 15, "sample": 1})
"""Layout of an entry of the vector table, as `firmware_py.isa.Vector`."""


region_layout = data.StructLayout(
    {
        **dict.fromkeys(
            ("row0", "tile", "cols", "rows", "scale_log2", "col0", "col_offset", "row_offset"), 16
        ),
    }
)
"""Layout of an entry of the region table, as `firmware_py.isa.Region`."""


def element_layout(config: Config) -> data.StructLayout:
    """Layout of an element from a reading port: `second` says which run it is of, `last` ends the run."""
    return data.StructLayout({"word": signed(config.acc_bits), "second": 1, "last": 1})

"""The port of a multiplier that several units of a lean machine share."""

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["CLIENTS", "FACTOR_BITS", "SIGNED", "MultiplierSignature"]

FACTOR_BITS = 16
"""Bits of a factor: those of a multiplier of the smallest family."""
CLIENTS = ("derivative", "finish", "square", "scaler")
"""Clients of the lanes' multipliers in a lean planner, in the order of the lanes."""
SIGNED = ("finish", "square")
"""Clients with signed factors."""


class MultiplierSignature(wiring.Signature):
    """The client's side: factors are taken with `en`; two cycles later `product` has theirs, and keeps it.

    Parameters
    ----------
    signed
        Whether factors and product have a sign.
    """

    def __init__(self, *, signed: bool) -> None:
        factor, product = Shape(FACTOR_BITS, signed), Shape(2 * FACTOR_BITS, signed)
        super().__init__({"left": Out(factor), "right": Out(factor), "en": Out(1), "product": In(product)})

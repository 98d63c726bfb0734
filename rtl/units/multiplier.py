"""A multiplier that several units of a lean machine share: what each of them sees of it."""

from amaranth.hdl import Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["FACTOR_BITS", "GUESTS", "SIGNED", "MultiplierSignature"]

FACTOR_BITS = 16
"""Bits of a factor: what one multiplier of the smallest family takes."""
GUESTS = ("derivative", "finish", "square", "scaler")
"""Who shares the multipliers of the lanes of a lean planner, in their order."""
SIGNED = ("finish", "square")
"""Those whose factors have a sign."""


class MultiplierSignature(wiring.Signature):
    """The user's side: `product` is that of the factors of two cycles ago, if `en` was high then, until it is high again.

    Parameters
    ----------
    signed
        Whether factors and product have a sign.
    """

    def __init__(self, *, signed: bool) -> None:
        factor, product = Shape(FACTOR_BITS, signed), Shape(2 * FACTOR_BITS, signed)
        super().__init__({"left": Out(factor), "right": Out(factor), "en": Out(1), "product": In(product)})

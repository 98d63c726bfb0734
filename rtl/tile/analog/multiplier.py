"""The one multiplier of an analog tile: makes codes of drives, and sense words of sums."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportInvalidTypeForm=false

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.analog import FACTOR_BITS, SCALE_BITS

__all__ = ["LEFT_BITS", "PRODUCT_BITS", "Multiplier"]

LEFT_BITS = SCALE_BITS + 1
"""Of the wider factor: a scale, a sum of samples, or a sum of drives."""
PRODUCT_BITS = LEFT_BITS + FACTOR_BITS


class Multiplier(wiring.Component):
    """Multiplies; `product` is that of the factors two cycles with `en` before."""

    left: In(signed(LEFT_BITS))
    right: In(signed(FACTOR_BITS))
    en: In(1)
    product: Out(signed(PRODUCT_BITS))

    def elaborate(self, platform) -> Module:
        m = Module()
        left1 = Signal.like(self.left, reset_less=True)
        right1 = Signal.like(self.right, reset_less=True)
        product2 = Signal.like(self.product, reset_less=True)
        m.d.comb += self.product.eq(product2)
        with m.If(self.en):
            m.d.sync += [left1.eq(self.left), right1.eq(self.right), product2.eq(left1 * right1)]
        return m

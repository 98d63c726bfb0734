"""What a detector of missing pulses looks for while drivers are on."""

# Amaranth's types do not know what its operators give.
# pyright: reportArgumentType=false

from amaranth.hdl import Module, Mux, Signal, Value

__all__ = ["ALIVE_S", "add_alive"]

ALIVE_S = 0.5e-3
"""Half a period of `alive`."""


def add_alive(m: Module, pin: Signal, *, on: Value, cycles: int) -> None:
    """Toggle a pin, a register, each so many cycles while `on` is high."""
    left = Signal(range(cycles))
    with m.If(on):
        m.d.sync += left.eq(Mux(left == 0, cycles - 1, left - 1))
        with m.If(left == 0):
            m.d.sync += pin.eq(~pin)

"""Gated clocks, for parts that are idle most of the time."""

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal, ValueLike

__all__ = ["gated_domain"]


def gated_domain(m: Module, platform: object, name: str, *, awake: ValueLike) -> None:
    """Add a clock domain that may be gated in cycles in which its registers keep their values, or need not.

    On boards and in the tests of blocks its clock is always that of the domain sync: nets for enables are
    slow on an FPGA, and a gate saves nothing there. A platform with `stops_clocks`, the virtual board, does
    gate it, since a simulator takes time for every register that has a clock edge. Both behave alike, or one
    of their tests fails.

    Parameters
    ----------
    m
        Module that gets the domain, for itself and its submodules.
    platform
        Platform that `elaborate` was given.
    name
        Name of the domain.
    awake
        Whether registers of the domain need the edge that ends this cycle. It may depend on registers, and on
        pins that are stable when the clock falls.
    """
    domain = ClockDomain(name, local=True)
    m.domains += domain
    assert domain.rst is not None
    m.d.comb += domain.rst.eq(ResetSignal(allow_reset_less=True))
    if getattr(platform, "stops_clocks", False):
        # Sampled in the middle of the cycle, so that no pulse of the clock is cut short.
        falling = ClockDomain(f"{name}_falling", clk_edge="neg", local=True, reset_less=True)
        on = Signal(init=1, name=f"{name}_on")
        m.domains += falling
        m.d[falling.name] += on.eq(awake)
        m.d.comb += [falling.clk.eq(ClockSignal()), domain.clk.eq(ClockSignal() & on)]
    else:
        m.d.comb += domain.clk.eq(ClockSignal())

"""Clock domains for parts that rest most of the time."""

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal, ValueLike

__all__ = ["resting_domain"]


def resting_domain(m: Module, platform: object, name: str, *, awake: ValueLike) -> None:
    """Add a clock domain for parts whose registers change nothing, or nothing that counts, while they are not awake.

    On boards and in blocks' tests its clock is that of the domain sync, in all cycles: nets for enables are slow on an FPGA, and rest
    saves nothing there. A platform with `stops_clocks`, the virtual board, stops it in cycles that are not awake, since a simulator takes
    time for each register that has a clock. Both do the same, or one of their tests fails.

    Parameters
    ----------
    m
        Module that gets the domain, for itself and what is inside it.
    platform
        What `elaborate` was given.
    name
        Name of the domain.
    awake
        Whether registers of the domain need the edge that ends this cycle; made from registers, and pins that have changed when the
        clock falls.
    """
    domain = ClockDomain(name, local=True)
    m.domains += domain
    assert domain.rst is not None
    m.d.comb += domain.rst.eq(ResetSignal(allow_reset_less=True))
    if getattr(platform, "stops_clocks", False):
        # Sampled in the middle of the cycle, so that the clock has whole pulses.
        falling, on = ClockDomain(f"{name}_falling", clk_edge="neg", local=True, reset_less=True), Signal(init=1, name=f"{name}_on")
        m.domains += falling
        m.d[falling.name] += on.eq(awake)
        m.d.comb += [falling.clk.eq(ClockSignal()), domain.clk.eq(ClockSignal() & on)]
    else:
        m.d.comb += domain.clk.eq(ClockSignal())

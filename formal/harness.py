"""What a proof is made of: a component with free inputs, assumptions about them, and assertions."""

from typing import Any

from amaranth.hdl import Assert, ClockDomain, Elaboratable, Fragment, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .prove import Verdict, prove

__all__ = ["Built", "Harness", "Proof", "flicker", "held", "holds", "past"]


class Built(Elaboratable):
    """A fragment where a component is wanted."""

    def __init__(self, fragment: Fragment) -> None:
        self._fragment = fragment

    def elaborate(self, platform) -> Fragment:
        return self._fragment


class Proof:
    """A property of a block, and a mutant of the block that does not have it. The first line of a subclass's docstring is the property.

    Parameters
    ----------
    broken
        Take the mutant.

    Members
    -------
    block
        What is proved, as the table names it.
    mutant
        What the mutant does wrong.
    quick
        A few seconds are enough.
    """

    block = ""
    mutant = ""
    quick = True

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken

    @classmethod
    def method(cls) -> str:
        """Return how it is proved, in words."""
        raise NotImplementedError

    def verdict(self) -> Verdict:
        """Judge the block, or the mutant."""
        raise NotImplementedError


class Harness(Proof, Elaboratable):
    """A proof by induction or over all runs of some length, of a component or its mutant.

    Every input of the component takes any value in any cycle, but for what `check` assumes; its registers begin with their reset
    values.

    Members
    -------
    mode
        `prove` for k-induction, without bound; `bmc` for all runs of `depth` cycles.
    depth
        Induction length, or cycles.
    mutant_at
        The submodule in which it does so.
    mutant_depth
        Cycles within which the mutant must be caught.
    registers
        Make memories registers: faster where they are small and runs are long.
    """

    mode = "prove"
    depth = 2
    mutant_at: tuple[str, ...] = ()
    mutant_depth = 12
    registers = False

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__(broken=broken)
        self.dut = self.make()
        self._domain = ClockDomain("sync", reset_less=True)
        # The platform's name makes Amaranth's FIFOs assert their own invariants.
        self.inner = Fragment.get(self.dut, "formal")
        if broken:
            wrong = Module()
            self.break_(wrong)
            for domain, statements in Fragment.get(wrong, None).statements.items():
                self._find(self.mutant_at).add_statements(domain, *statements)

    @classmethod
    def method(cls) -> str:
        return f"induction, {cls.depth}" if cls.mode == "prove" else f"all runs of {cls.depth} cycles"

    def verdict(self) -> Verdict:
        if self.broken:
            return prove(self, mode="bmc", depth=self.mutant_depth)
        return prove(self, mode=self.mode, depth=self.depth)

    def make(self) -> wiring.Component:
        """Return the component."""
        raise NotImplementedError

    def check(self, m: Module, dut: Any) -> None:
        """Add assumptions and assertions."""
        raise NotImplementedError

    def break_(self, m: Module) -> None:
        """Add statements that win over the component's own and make it the mutant."""

    def signal(self, name: str, *at: str, number: int = 0) -> Any:
        """Return a driven signal of the component, or its submodule `at`, by name; of several the one defined as `number`."""
        fragment = self._find(at)
        driven = [s for statements in fragment.statements.values() for s in statements._lhs_signals()]
        found = [s for _, s in sorted({s.duid: s for s in driven if s.name == name}.items())]
        if number >= len(found):
            raise ValueError(f"{self.block} has no signal {name} number {number}: name one of its driven signals")
        return found[number]

    def in_state(self, *states: str, at: tuple[str, ...] = ()) -> Value:
        """Return whether the component's FSM is in one of these states."""
        fsm = self._find(at).find_generated("fsm")
        return Value.cast(sum(fsm.state == fsm.encoding[state] for state in states)).any()

    def lemmas(self, m: Module, *rules) -> None:
        """Assert what holds too and makes the induction close; a mutant is judged by the property alone."""
        if not self.broken:
            m.d.comb += [Assert(rule) for rule in rules]

    def inputs(self) -> list[Signal]:
        """Return the clock and the free inputs."""
        inputs = [Value.cast(value) for _, member, value in self.dut.signature.flatten(self.dut) if member.flow is In]
        return [self._domain.clk, *inputs]

    def elaborate(self, platform) -> Module:
        """Put the component, its assumptions and its assertions together."""
        m = Module()
        m.domains.sync = self._domain
        m.submodules.dut = Built(self.inner)
        self.lemmas(m, *(fsm.state < len(fsm.encoding) for fsm in _machines(self.inner)))
        self.check(m, self.dut)
        return m

    def _find(self, at: tuple[str, ...]) -> Fragment:
        fragment = self.inner
        for name in at:
            fragment = fragment.find_subfragment(name)
        return fragment


def _machines(fragment: Fragment) -> list[Any]:
    """Return the FSMs of a fragment and those inside it; induction needs to hear that they have no other states."""
    inside = [fsm for child, _, _ in fragment.subfragments for fsm in _machines(child)]
    return [*fragment.generated.values(), *inside]


def past(m: Module, value) -> Signal:
    """Return a value of the cycle before, zero in the first; not to be called under a condition."""
    value = Value.cast(value)
    last = Signal(value.shape(), name="past", reset_less=True)
    m.d.sync += last.eq(value)
    return last


def holds(m: Module, port, judge, *, drop: Any = 0, dropped: Any = 0) -> None:
    """Judge (`Assert` or `Assume`) the contract of a stream: while it waits, valid stays and so does the payload.

    Excused are words lost by `drop` in the cycle before, or because of `dropped` in this one.
    """
    waits, last = past(m, port.valid & ~port.ready & ~Value.cast(drop)), past(m, port.payload)
    with m.If(waits & ~Value.cast(dropped)):
        m.d.comb += [judge(port.valid), judge(Value.cast(port.payload) == last)]


def held(m: Module, bus) -> None:
    """Assert the contract of a master of the bus: a request that waits stays, with its address and data."""
    waits = past(m, bus.request & ~bus.ack)
    last = [(port, past(m, port)) for port in (bus.addr, bus.write, bus.w_data)]
    with m.If(waits):
        m.d.comb += [Assert(bus.request), *(Assert(port == before) for port, before in last)]


def flicker(m: Module, valid) -> None:
    """Offer something every other cycle, whether it was taken or not."""
    tick = Signal()
    m.d.sync += tick.eq(~tick)
    m.d.comb += valid.eq(tick)

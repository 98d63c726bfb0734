"""Broken variants of a component in one design: which of them it is, is an input, so that they are compiled once."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pkgutil import resolve_name
from typing import Any, Self
from unittest import mock

from amaranth.hdl import Fragment, Module, Mux, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

Patch = AbstractContextManager[Any]
"""What is changed while something is made and elaborated."""
Maker = Callable[[], wiring.Component]


def through(m: Module, outer: wiring.Component, inner: wiring.Component, *, but: tuple[str, ...] = ()) -> None:
    """Connect all ports of a component, `but` some, to those of the same names of the one that it lies in."""
    for (_, member, out), (_, _, own) in zip(_ports(outer, inner, but), _ports(inner, inner, but), strict=True):
        m.d.comb += own.eq(out) if member.flow == In else out.eq(own)


def _ports(of: wiring.Component, like: wiring.Component, but: tuple[str, ...] = ()) -> Iterable[tuple[Any, Any, Any]]:
    """Yield path, member and signal of each port of a component that another has too."""
    return wiring.Signature({name: member for name, member in like.signature.members.items() if name not in but}).flatten(of)


class Mutants(wiring.Component):
    """A component with one more port, `mutant`: the number of the fault that it has, or 0 for none.

    Faults are patched in while it is elaborated, made with `fault` or `patched`. The bench sets the port as the parameter `mutant` has it
    (`streams.start`).

    Parameters
    ----------
    inner
        The component.
    names
        Names of the faults, in the order of their numbers from 1 on.
    """

    def __init__(self, inner: wiring.Component, names: tuple[str, ...]) -> None:
        self._inner, self._names = inner, names
        super().__init__({**inner.signature.members, "mutant": In(range(len(names) + 1))})

    def number(self, name: str) -> int:
        """Return the number of a fault; "none" is 0."""
        return ("none", *self._names).index(name)

    def fault(self, name: str, wrong: Value | int, right: Value | int) -> Value:
        """Return the wrong value if the design has this fault, and the right one if not."""
        return Mux(self.mutant == self.number(name), wrong, right)

    def either(self, name: str, wrong: Callable[..., Any], right: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does as one of two does: `wrong` if the design has this fault. Both return a value, or a tuple of some."""

        def function(*arguments: Any, **more: Any) -> Any:
            bad, good = wrong(*arguments, **more), right(*arguments, **more)
            if isinstance(good, tuple):
                return tuple(self.fault(name, *pair) for pair in zip(bad, good, strict=True))
            return self.fault(name, bad, good)

        return function

    @contextmanager
    def patched(self, package: str, wrong: Mapping[str, Any]) -> Iterator[None]:
        """Put faults into functions and numbers of a package's modules: what `wrong` has for the fault that has its name."""
        with ExitStack() as stack:
            for name, bad in wrong.items():
                good = resolve_name(f"{package}.{name}")
                new = self.either(name, bad, good) if callable(good) else self.fault(name, bad, good)
                stack.enter_context(mock.patch(f"{package}.{name}", new))
            yield

    def elaborate(self, platform: object) -> Module:
        """Return the component with the port, which its faults look at."""
        m = Module()
        m.submodules.inner = inner = self._inner
        through(m, self, inner)
        return m


class Variants(wiring.Component):
    """A component and broken variants of it side by side, with one more port, `mutant`: which of them answers, 0 for the sound one.

    For faults that change more than a value (`Mutants`), in small components: all of them are compiled, and run.

    Parameters
    ----------
    sound
        The component.
    broken
        By names, each a variant with the same ports; or what makes it, with what is patched for it.
    """

    def __init__(self, sound: wiring.Component, broken: Mapping[str, wiring.Component | tuple[Maker, Patch]]) -> None:
        self._variants: dict[str, tuple[wiring.Component, Patch]] = {"none": (sound, nullcontext())}
        for name, variant in broken.items():
            if isinstance(variant, tuple):
                make, patch = variant
                with patch:
                    self._variants[name] = make(), patch
            else:
                self._variants[name] = variant, nullcontext()
        super().__init__({**sound.signature.members, "mutant": In(range(len(self._variants)))})

    @classmethod
    def patched(cls, make: Maker, module: str, wrong: Mapping[str, Any], **others: wiring.Component) -> Self:
        """Return what is made, and for each name in a module what is made while something wrong stands for it; and other variants."""
        return cls(make(), {name: (make, mock.patch(f"{module}.{name}", bad)) for name, bad in wrong.items()} | others)

    def number(self, name: str) -> int:
        """Return the number of a variant; "none" is the sound one, 0."""
        return [*self._variants].index(name)

    def elaborate(self, platform: object) -> Module:
        """Return all of them with the same inputs."""
        m = Module()
        for number, (variant, patch) in enumerate(self._variants.values()):
            with patch:  # which what lies in it needs, too
                m.submodules[f"broken{number}" if number else "sound"] = Fragment.get(variant, platform)
            for (_, member, outer), (_, _, own) in zip(_ports(self, variant), _ports(variant, variant), strict=True):
                if member.flow == In:
                    m.d.comb += own.eq(outer)
                else:
                    with m.If(self.mutant == number):
                        m.d.comb += outer.eq(own)
        return m

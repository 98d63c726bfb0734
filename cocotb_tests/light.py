"""What benches have in the place of libraries that they have no use for, but that take longer to load than most benches take to run.

The runner names these libraries in the environment of a simulator; `cocotb_tests` puts the stand-ins where `import` looks first.
"""

import sys
from collections.abc import Callable, Iterable
from types import UnionType
from typing import Any, Self

VARIABLE = "BENCH_WITHOUT"
"""Environment variable with the names, commas between them."""
SCHEMAS = ("jschon",)
"""Checks the schemas of Amaranth's annotations, which no bench reads."""
COMPILERS = (
    "llvmlite",
    "numba",
    *("numba.core", "numba.core.codegen", "numba.core.compiler", "numba.core.serialize", "numba.core.typing"),
    *("numba.extending", "numba.np", "numba.np.arrayobj"),
)
"""What benches need not load that run compiled functions as the Python that they are."""


class _Base:
    """The base of a class that has a stand-in as its base."""

    def __init__(self, *arguments: Any, **more: Any) -> None: ...


def _plain(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Leave a function to Python."""
    return lambda function: function


class _StandIn:
    """Has whatever is asked for, and comes to nothing when it is called; what numba compiles stays Python."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python asks of every module
            raise AttributeError(name)
        return _plain if name in ("njit", "register_jitable") else self

    def __call__(self, *arguments: Any, **more: Any) -> Self:
        return self

    def __or__(self, other: Any) -> UnionType:
        return type(self) | other

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_Base,)


def stand_in(libraries: Iterable[str]) -> None:
    """Let stand-ins be imported as these libraries, none of which has been loaded yet."""
    sys.modules.update(dict.fromkeys(libraries, _StandIn()))  # pyright: ignore[reportArgumentType, reportCallIssue] - no modules, on purpose

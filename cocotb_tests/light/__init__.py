"""What benches load in the place of libraries that they have no use for, but that would take them longer to load than to run.

A folder of this is put before all others on the path of a simulator (`runner`). Nobody else imports it.
"""

from types import UnionType
from typing import Any, Self


class Anything:
    """Stands for whatever a library has: called, it makes nothing, and a class may have it as its base."""

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):  # what Python asks of every module
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Make nothing."""
        return self

    def __or__(self, other: Any) -> UnionType:
        return type(self) | other

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (_Base,)


class _Base:
    """The base of such a class."""

    def __init__(self, *arguments: Any, **more: Any) -> None: ...

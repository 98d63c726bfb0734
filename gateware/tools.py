"""The tools that builds call: their trouble, and the home that they keep their own caches in.

The tools in WebAssembly compile themselves to machine code at first use and execute what they find in their cache. They are given a home
inside our own, where it is theirs alone and looked at before each use; so they work where the user has no home either.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from backpulse.firmware_py import cache

ROOM = 250_000_000
"""Bytes that must be free for a virtual board's compilation (150 MB), or for what the largest tool keeps (220 MB)."""
_YOWASP, _AMARANTH = "tools/yowasp", "tools/amaranth"
"""Homes: what a virtual board needs is small, and looked at quickly."""
_VARIABLES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


class ToolError(RuntimeError):
    """A tool has failed; the message is one sentence."""


class MissingToolError(ToolError):
    """A tool is missing that the user can install; the message says how."""


@contextmanager
def environment(home: str = _YOWASP) -> Iterator[dict[str, str]]:
    """Give the environment variables of a tool's process.

    Raises
    ------
    CacheError
        If there is no folder for what they keep.
    """
    with cache.shared(home, room=ROOM) as folder:
        yield {**os.environ, **dict.fromkeys(_VARIABLES, str(folder))}


_patching = threading.Lock()


@contextmanager
def within_environment() -> Iterator[None]:
    """Be such a process for a while, for amaranth, which calls its tool itself."""
    with _patching, environment(_AMARANTH) as variables:
        before = {name: os.environ.get(name) for name in _VARIABLES}
        os.environ.update({name: variables[name] for name in _VARIABLES})
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

"""The one place that configures numba: compiled functions are cached by a digest of the whole package.

numba itself looks only at the file of a function when it decides whether a cached build is stale; here a function inlines others
from other files, so the cache folder carries a digest of them all.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.extending import register_jitable


def user_cache() -> Path:
    """Return the folder for what can be rebuilt (XDG_CACHE_HOME or ~/.cache, then backpulse)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backpulse"


def source_digest() -> str:
    """Return a digest of this package's sources and numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_OPTIONS: dict[str, Any] = {"cache": True, "boundscheck": False}
_BARE: dict[str, Any] = {"_nrt": False}
"""Without numba's runtime nothing can be allocated, and no reference is counted: each branch would count those of the whole memory."""


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function that allocates nothing (no Python objects, no fast-math), cached between runs."""
    return numba.njit(**_OPTIONS, **_BARE)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile as `jit` does, and inline into every caller: a call would pass the whole memory, some 200 words, on the stack."""
    return numba.njit(forceinline=True, **_OPTIONS, **_BARE)(function)


def shared(function: Callable[..., Any]) -> Any:
    """Leave a function to Python, and compile it into compiled callers: who plans but does not run need not load compiled code."""
    return register_jitable(**_BARE)(function)


def allocating(function: Callable[..., Any]) -> Any:
    """Compile a function that makes arrays of its own, cached between runs."""
    return numba.njit(**_OPTIONS)(function)


if not numba.config.CACHE_DIR:  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(user_cache() / "numba" / source_digest())  # type: ignore[attr-defined]

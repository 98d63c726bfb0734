"""Real caches in real trouble: every file damaged, no home, mounts that are full, read-only or run no programs, odd paths."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backpulse.gateware.sim import verilator, virtual_board
from backpulse.gateware.sim.virtual_board import VirtualBoard, compile_board

from .caches import damages
from .test_board_cache import WITHOUT_NATIVE
from .test_virtual_board import Echo, receive

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-W", "error", "-m", "backpulse"]
TRAIN = ["train", "--dataset", "iris", "--layers", "4-5-3", "--tile", "8x4", "--epochs", "1", "--json", "-"]
"""On a virtual board of few cells; the golden model takes the same."""
TIMEOUT_S = 300


def run(*arguments, within=(), **environment):
    """Run a command with nothing but these variables; return exit code, output and errors."""
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    command = [*within, *COMMAND, *map(str, arguments)]
    done = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def digest(board, **environment):
    code, out, errors = run(*TRAIN, "--board", board, **environment)
    assert code == 0, errors
    return json.loads(out)["conductance_digest"], errors


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a cache folder with a kernel of each kind and a virtual board, and the digest of a run."""
    home = tmp_path_factory.mktemp("filled")
    wanted = digest("golden://", XDG_CACHE_HOME=str(home))[0]
    assert digest("sim://", XDG_CACHE_HOME=str(home))[0] == wanted
    return home, wanted


def test_all_files_damaged(filled):
    """One by one they are damaged in the tests of kernels, boards and builds."""
    home, wanted = filled
    whole = {path: list(damages(path.read_bytes(), bits=1)) for path in home.rglob("*") if path.is_file()}
    assert {path.relative_to(home / "backpulse").parts[0] for path in whole} == {"kernels", "boards", "libraries", "tools", "work"}
    for kind in range(4):
        for path, kinds in whole.items():
            if path.parent.exists():
                path.write_bytes(kinds[kind % len(kinds)])
        for again in (True, False):
            for board in ("golden://", "sim://"):
                found, errors = digest(board, XDG_CACHE_HOME=str(home))
                assert found == wanted
            assert ("Compiling" in errors) == again


def test_without_a_home_and_as_an_unknown_user(filled, tmp_path):
    _, wanted = filled
    unknown = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    if subprocess.run([*unknown, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody be another user")
    for within, temporary in (((), "one"), (unknown, "two")):
        (tmp_path / temporary).mkdir()
        for board in ("golden://", "sim://"):
            code, out, errors = run(*TRAIN, "--board", board, within=within, TMPDIR=str(tmp_path / temporary))
            assert code == 0, errors
            assert json.loads(out)["conductance_digest"] == wanted


MOUNTS = pytest.mark.parametrize("options", ["size=200k", "noexec", "ro"])


def mounted(options, *folders):
    """Return the command that runs another one with such file systems on these folders."""
    script = "; ".join(f"mount -t tmpfs -o {options} tmpfs {folder}" for folder in folders)
    within = ["unshare", "--mount", "sh", "-e", "-c", f'{script}; exec "$@"', "sh"]
    if subprocess.run([*within, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount")
    return within


@MOUNTS
def test_a_cache_that_takes_nothing_where_the_rest_does(filled, tmp_path, options):
    for name in ("cache", "rest"):
        (tmp_path / name).mkdir()
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "rest")}
    for board in ("golden://", "sim://"):
        code, out, errors = run(*TRAIN, "--board", board, within=mounted(options, tmp_path / "cache"), **environment)
        assert code == 0, errors
        assert json.loads(out)["conductance_digest"] == filled[1]


@MOUNTS
def test_a_system_that_takes_nothing(filled, options):
    within = mounted(options, "/tmp", "/var/tmp")
    code, out, errors = run(*TRAIN, "--board", "golden://", within=within, XDG_CACHE_HOME="/tmp")
    assert code == 0, errors
    assert json.loads(out)["conductance_digest"] == filled[1]
    code, _, errors = run(*TRAIN, "--board", "sim://", within=within, XDG_CACHE_HOME="/tmp")
    if options == "noexec":
        assert "no program may run there (noexec)" in errors
    assert code == 4
    assert "There is no folder for caches (/tmp/backpulse: " in errors
    assert errors.strip().endswith("set XDG_CACHE_HOME to a folder of yours")


def test_a_board_is_compiled_whatever_the_paths_and_the_compiler(tmp_path, monkeypatch):
    """The cache and the environment lie in paths with a space, and the compiler does not know its processor."""
    spaced = tmp_path / "my environment"
    spaced.mkdir()
    (spaced / "verilator").symlink_to(verilator.root())
    monkeypatch.setattr(verilator, "root", lambda: spaced / "verilator")
    harness = Path(shutil.copy(virtual_board._HARNESS, spaced))
    monkeypatch.setattr(virtual_board, "_HARNESS", harness)
    (spaced / "g++").write_text(f"#!/bin/sh\n{WITHOUT_NATIVE}")
    (spaced / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", f"{spaced}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "my $cache"))
    program = compile_board(Echo, bytes(32))
    assert program.is_relative_to(tmp_path / "my $cache")
    with VirtualBoard(program) as board:
        assert board.socket
        board.socket.sendall(b"every byte")
        assert receive(board.socket, 10) == b"every byte"

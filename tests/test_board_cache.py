"""The cache of virtual boards, and what the compiler and its paths may be like; nothing is compiled but in the slow test."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from backpulse.firmware_py.places import CacheError
from backpulse.gateware import tools
from backpulse.gateware.sim import verilator, virtual_board
from backpulse.gateware.sim.virtual_board import VirtualBoard, compile_board
from backpulse.gateware.tools import MissingToolError, ToolError

from .caches import damages, full, only_cache
from .test_virtual_board import Echo

WITHOUT_NATIVE = """for a; do
  [ "$a" = -march=native ] && { echo "error: the clang compiler does not support '-march=native'" >&2; exit 1; }
done
exec /usr/bin/g++ "$@"
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return where caches lie; the Verilog is a word, so that no tool is needed."""
    monkeypatch.setattr(virtual_board, "export", lambda *_, **__: "verilog")
    return only_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def compiled(monkeypatch):
    """Replace compilation by writing a program; return the folders that it was called with."""
    calls = []

    def compile_(place, made, sources, clocks_per_bit, model, waves):
        calls.append(place)
        (made / "board").write_text("#!/bin/sh\nread line\n")
        (made / "board").chmod(0o755)

    monkeypatch.setattr(virtual_board, "_compile", compile_)
    return calls


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """Return a function that puts a program of the user's first on PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    def make(name, script):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)

    return make


def compile_echo():
    return compile_board(Echo, bytes(32))


def test_a_board_is_compiled_once(home, compiled):
    program = compile_echo()
    assert program == home / "boards" / bytes(16).hex() / "board"
    assert (program.parent / "board.v").read_text() == "verilog"
    assert compile_echo() == program
    assert len(compiled) == 1


def test_a_board_with_any_damaged_file_is_compiled_anew(home, compiled):
    folder = compile_echo().parent
    for name in ("board", "seal"):
        for damaged in damages((folder / name).read_bytes()):
            (folder / name).write_bytes(damaged)
            before = len(compiled)
            compile_echo()
            assert len(compiled) == before + 1
            assert compile_echo() == folder / "board"
            assert len(compiled) == before + 1
    folder.with_name(f"{folder.name}.lock").write_bytes(b"damaged")
    (folder / "board.v").unlink()
    (folder / "board").unlink()
    assert compile_echo().exists()


def test_a_planted_board_is_not_run(home, compiled, tmp_path):
    planted = home / "boards" / bytes(16).hex() / "board"
    planted.parent.mkdir(parents=True)
    planted.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nread line\n")
    planted.chmod(0o755)
    with VirtualBoard(compile_echo()):
        pass
    program = compile_echo()
    program.write_text(planted.read_text())
    program.chmod(0o777)
    with VirtualBoard(compile_echo()):
        pass
    assert len(compiled) == 2
    assert not (tmp_path / "ran").exists()


def test_of_two_builders_one_waits_and_says_so(home, compiled, monkeypatch):
    stages, quick = [], virtual_board._compile

    def slowly(*arguments):
        time.sleep(0.3)
        quick(*arguments)

    monkeypatch.setattr(virtual_board, "_compile", slowly)
    builders = [threading.Thread(target=lambda: compile_board(Echo, bytes(32), progress=stages.append)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert len(compiled) == 1
    assert "Another process is building this virtual board: waiting for it" in stages


def test_an_interrupted_compilation_leaves_nothing_and_a_killed_ones_rest_is_removed(home, compiled, monkeypatch):
    def interrupt(place, made, *_):
        (place / "objects").mkdir()
        raise KeyboardInterrupt

    quick = virtual_board._compile
    monkeypatch.setattr(virtual_board, "_compile", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compile_echo()
    work = home / "work"
    assert [path.name for path in work.iterdir()] == ["lock"]
    (work / "killed" / "objects").mkdir(parents=True)
    monkeypatch.setattr(virtual_board, "_compile", quick)
    compile_echo()
    assert [path.name for path in work.iterdir()] == ["lock"]


def test_a_full_cache_is_told_and_another_place_taken_if_there_is_one(home, compiled, monkeypatch, tmp_path):
    with full(10), pytest.raises(CacheError, match=rf"{home}.* cannot be written: file too large: .*set XDG_CACHE_HOME"):
        compile_echo()
    assert not list(home.glob("boards/*/board"))
    store = shutil.copytree

    def refuse(source, target, **options):
        if home in Path(target).parents:
            raise OSError(28, "No space left on device", str(target))
        return store(source, target, **options)

    monkeypatch.setattr(shutil, "copytree", refuse)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert compile_echo().is_relative_to(tmp_path / f"backpulse-{os.geteuid()}")


def test_a_disk_that_fills_up_while_compiling_is_told(home, monkeypatch, on_path):
    on_path("verilator_bin", "echo 'x.cpp: fatal error: closing /x.o: No space left on device'; exit 1")
    monkeypatch.setattr(verilator, "environment", lambda *_, **__: dict(os.environ))
    with pytest.raises(CacheError, match=rf"^{home}/work cannot be written: no space left on device: make room there, or set XDG"):
        compile_echo()


def test_a_cache_where_no_program_runs_is_told(home, compiled, monkeypatch):
    system = os.statvfs("/")
    noexec = os.statvfs_result([*system[:8], system.f_flag | os.ST_NOEXEC, system.f_namemax])
    monkeypatch.setattr(os, "statvfs", lambda _: noexec)
    with pytest.raises(CacheError, match=rf"no folder for caches \({home}: no program may run there \(noexec\)\): set XDG_CACHE_HOME"):
        compile_echo()


def test_a_program_that_does_not_start_is_not_blamed_on_the_port(tmp_path):
    with pytest.raises(CacheError, match=r"board .*/none does not start \(No such file or directory\): call backpulse cache --clear"):
        VirtualBoard(tmp_path / "none", line="tcp")


def test_a_missing_compiler(home, monkeypatch):
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(MissingToolError, match=r"The program g\+\+ is not on PATH"):
        virtual_board.identity(__name__)


def test_a_compiler_that_does_not_know_native_is_called_without(on_path):
    assert verilator.native()[0] == ["-march=native"]
    on_path("g++", WITHOUT_NATIVE)
    option, words = verilator.native()
    assert option == []
    assert "cc1plus" in words


@pytest.mark.parametrize("script", ["echo 'g++: error: no such thing as a licence' >&2; exit 1", "kill -SEGV $$"])
def test_a_compiler_that_does_not_work_is_told(on_path, script):
    on_path("g++", script)
    with pytest.raises(ToolError, match=r"The compiler g\+\+ does not work \((g\+\+: error: no such|no reason given).*\): install it anew"):
        verilator.native()


def test_a_failed_compilation_says_why_and_keeps_its_log(home, monkeypatch, on_path):
    on_path("verilator_bin", "echo 'make: Entering directory'; echo 'harness.cpp:1: error: no_such_name'; exit 2")
    monkeypatch.setattr(verilator, "environment", lambda *_, **__: dict(os.environ))
    with pytest.raises(ToolError, match=r"board failed \(harness.cpp:1: error: no_such_name\): see its log .*failed/build.log, and what"):
        compile_echo()
    assert "no_such_name" in (home / "boards" / "failed" / "build.log").read_text()
    assert not list(home.glob("boards/*/board"))


def test_tools_have_a_home_of_their_own_and_this_process_keeps_its(home, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    before = dict(os.environ)
    with tools.environment() as variables:
        assert {variables[name] for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")} == {str(home / "tools/yowasp")}
        assert os.environ == before

"""The cache of bitstreams, with tools that do nothing but leave files."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("amaranth_boards")

from backpulse.firmware_py.places import CacheError
from backpulse.gateware.bitstream import budgets
from backpulse.gateware.bitstream import build as builder
from backpulse.gateware.boards.boards import BOARDS
from backpulse.gateware.tools import MissingToolError, ToolError

from .caches import damages, full, only_cache

BOARD = BOARDS["icebreaker"]


class Plan:
    """What amaranth would prepare: three commands."""

    def __init__(self, design="design"):
        self.files = {"build_top.json": json.dumps({"commands": [["yosys"], ["nextpnr-ice40"], ["icepack"]]}), "top.il": design}

    def extract(self, folder):
        for name, text in self.files.items():
            (Path(folder) / name).write_text(text)


@pytest.fixture
def home(tmp_path, monkeypatch):
    return only_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Replace the tools by a script of the test's, which counts its calls; return the file with the counts."""
    counts = tmp_path / "calls"
    script = tmp_path / "tool"

    def make(text="echo bits > top.bin; echo $HOME > home"):
        script.write_text(f"#!/bin/sh\necho call >> {counts}\n{text}\n")
        script.chmod(0o755)
        return lambda: len(counts.read_text().splitlines()) if counts.exists() else 0

    monkeypatch.setattr(builder, "_versions", lambda _: {"tool": "1"})
    monkeypatch.setattr(builder, "prepare", lambda *_: Plan())
    monkeypatch.setattr(builder, "program", lambda _: str(script))
    monkeypatch.setattr(builder, "read_report", lambda *_: {"fmax_mhz": 30.0})
    return make


def test_a_build_is_made_once_and_lies_in_the_users_cache(home, tool):
    calls = tool()
    first = builder.build(BOARD)
    assert not first["cached"]
    assert calls() == 3
    assert builder.bitstream(first).is_relative_to(home / "builds" / "icebreaker")
    assert builder.bitstream(first).read_text() == "bits\n"
    assert (Path(first["folder"]) / "home").read_text().strip() == str(home / "tools/yowasp")
    second = builder.build(BOARD)
    assert second == {**first, "cached": True}
    assert builder.latest(BOARD) == {name: value for name, value in first.items() if name != "cached"}
    assert calls() == 3


def test_a_build_is_current_until_its_sources_its_board_or_its_tools_are_others(home, tool, monkeypatch):
    tool()
    result = builder.build(BOARD)
    assert builder.is_current(BOARD, result)
    assert not builder.is_current(replace(BOARD, baud=9600), result)
    with monkeypatch.context() as patch:
        patch.setattr(builder, "prepare", lambda *_: Plan("another design"))
        assert not builder.is_current(BOARD, result)
    with monkeypatch.context() as patch:
        patch.setattr("importlib.metadata.version", lambda _: "2")
        assert not builder.is_current(BOARD, result)


def test_synthesis_counts_the_cells_of_the_netlist(home, tool, monkeypatch):
    monkeypatch.setattr(budgets, "prepare", builder.prepare)
    netlist = {"modules": {"top": {"cells": {"a": {"type": "SB_LUT4"}, "b": {"type": "SB_LUT4"}, "c": {"type": "SB_DFFE"}}}}}
    calls = tool(f"echo '{json.dumps(netlist)}' > top.json")
    assert budgets.synthesise(BOARD) == {"board": BOARD.name, "luts": 2, "ffs": 1, "brams": 0, "dsps": 0}
    assert calls() == 1
    tool("echo no memory >&2")
    with pytest.raises(ToolError, match="Synthesis of icebreaker failed: no memory"):
        budgets.synthesise(BOARD)


def test_a_build_with_any_damaged_file_is_made_anew(home, tool):
    calls = tool()
    folder = Path(builder.build(BOARD)["folder"])
    for name in ("result.json", "top.bin", "seal"):
        for damaged in damages((folder / name).read_bytes()):
            (folder / name).write_bytes(damaged)
            assert builder.latest(BOARD) is None
            before = calls()
            assert builder.bitstream(builder.build(BOARD)).read_text() == "bits\n"
            assert calls() == before + 3
            assert builder.build(BOARD)["cached"]
    before = calls()
    [index] = folder.parent.glob("*.index")
    for damaged in damages(index.read_bytes()):
        index.write_bytes(damaged)
        assert builder.build(BOARD)["fmax_mhz"] == 30.0
        assert builder.build(BOARD)["cached"]
    folder.parent.with_name(f"{folder.parent.name}.lock").write_bytes(b"damaged")
    assert builder.build(BOARD)["cached"]
    assert calls() == before


def test_a_failed_build_says_why_and_keeps_its_log(home, tool):
    tool("echo 'ERROR: no such cell.'; exit 1")
    with pytest.raises(ToolError, match=r"Synthesis of icebreaker failed: no such cell \(log: .*builds/icebreaker/failed/synthesis.log\)"):
        builder.build(BOARD)
    assert "no such cell" in (home / "builds" / "icebreaker" / "failed" / "synthesis.log").read_text()
    assert [path.name for path in (home / "work").iterdir()] == ["lock"]
    assert builder.latest(BOARD) is None
    tool()
    assert not builder.build(BOARD)["cached"]


def test_a_stopped_tool_is_told_and_leaves_nothing(home, tool):
    tool("kill -TERM $$")
    with pytest.raises(ToolError, match=r"Synthesis of icebreaker was stopped by signal 15: call it again"):
        builder.build(BOARD)
    assert [path.name for path in (home / "work").iterdir()] == ["lock"]


def test_a_cache_without_room_or_permission_is_told(home, tool, monkeypatch, tmp_path):
    tool()
    with full(10), pytest.raises(CacheError, match=r"cannot be written: file too large: .*set XDG_CACHE_HOME to a folder of yours"):
        builder.build(BOARD)
    assert builder.latest(BOARD) is None
    only_cache(monkeypatch, "/dev/null")
    with pytest.raises(CacheError, match=r"no folder for caches \(/dev/null/backpulse: .*\): set XDG_CACHE_HOME to a folder of yours"):
        builder.build(BOARD)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert builder.bitstream(builder.build(BOARD)).is_relative_to(tmp_path / f"backpulse-{os.geteuid()}")


def test_a_path_with_a_space_is_no_matter(tool, monkeypatch, tmp_path):
    home = only_cache(monkeypatch, tmp_path / "my cache")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tool()
    assert builder.bitstream(builder.build(BOARD)).is_relative_to(home)


def test_boards_are_listed_without_the_build_tools_and_a_build_says_which_is_missing(home, backpulse, monkeypatch):
    def missing(_):
        raise MissingToolError("The build tools are not installed (nextpnr is missing): pip install 'backpulse[build]'")

    monkeypatch.setattr(builder, "_versions", missing)
    code, out, _ = backpulse("boards", "--json", "-")
    assert code == 0
    assert {board["fmax_mhz"] for board in json.loads(out)["boards"]} == {None}
    code, _, errors = backpulse("build", "--board", "icebreaker")
    assert code == 2
    assert "nextpnr is missing" in errors

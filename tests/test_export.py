"""The exported Verilog passes two lints with every warning on, but for kinds that have a reason, and its signals have names."""

import gc
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyslang
import pytest

from backpulse.firmware_py.config import IDEAL, LEAN, SMALL
from backpulse.firmware_py.garbage import uncollected
from backpulse.gateware.chip.top import Top
from backpulse.gateware.export.export import CONTROLLER, EXAMPLES, export, export_project
from backpulse.gateware.link.uart import Transmitter
from backpulse.gateware.sim import verilator
from backpulse.gateware.sim.virtual_board import Simulator

CONFIGS = {  # all that a machine can have; odd sizes; a small one
    "everything": replace(SMALL, store_words=256, trace_words=64),
    "ideal": replace(IDEAL, tile_rows=24, tile_cols=7, tiles=8, store_words=256, trace_words=64),
    "lean": replace(LEAN, tile_rows=24, tiles=8, store_words=256),
}
MOST = {
    "everything": {"arith-op-mismatch": 563, "case": 313, "sign-conversion": 545, "unused": 2822},
    "ideal": {"arith-op-mismatch": 183, "case": 283, "sign-conversion": 138, "unused": 2326},
    "lean": {"arith-op-mismatch": 132, "case": 119, "sign-conversion": 88, "unused": 1694},
}
"""Most findings of slang. These kinds are how the generator writes: operands that Verilog widens by its rules, cases that change what
was assigned before, and a net for every field of a layout, so that waves have its name."""
UNNAMED = re.compile(r"\\\$(signal|signature)")


def lint(folder, *files):
    command = ["verilator_bin", "--lint-only", "-Wall", "--top-module", "example_top", *files, "example_top.v", "backpulse.v"]
    return subprocess.run(command, cwd=folder, env=verilator.environment(), capture_output=True, text=True, timeout=300)


def top(config):
    return Top(config, clk_hz=25_000_000, baud=1_000_000)


def written(folder, config):
    export_project(top(config), folder)
    return folder


def slang(file):
    """Return how many findings of each kind slang has."""
    slang = pyslang.driver.Driver()
    slang.addStandardArgs()
    assert slang.parseCommandLine(f"slang -Weverything --error-limit=0 {file}")
    assert slang.processOptions()
    assert slang.parseAllSources()
    compilation = slang.createCompilation()
    found = [*compilation.getAllDiagnostics()]
    compilation.freeze()
    manager = pyslang.analysis.AnalysisManager(slang.analysisOptions)
    manager.analyze(compilation)
    found += manager.getDiagnostics()
    kinds = [slang.diagEngine.getOptionName(finding.code) for finding in found]
    return Counter(kind.split("-")[0] if kind.startswith(("case-", "unused-")) else kind for kind in kinds)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the exports, each made once."""
    return {name: written(tmp_path_factory.mktemp(name), config) for name, config in CONFIGS.items()}


@pytest.mark.parametrize("name", CONFIGS)
def test_lint_finds_nothing(folders, name):
    done = lint(folders[name], "waivers.vlt")
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stderr


@pytest.mark.parametrize("name", CONFIGS)
def test_slang_finds_nothing_more(folders, name):
    assert slang(folders[name] / f"{CONTROLLER}.v") <= Counter(MOST[name])


def test_slang_would_find_a_truncation(folders, tmp_path):
    text = (folders["ideal"] / f"{CONTROLLER}.v").read_text()
    file = tmp_path / "wrong.v"
    file.write_text(text.replace("endmodule", "  wire [2:0] narrow = {clk, clk, clk, clk};\nendmodule", 1))
    found = slang(file)
    assert found["width-trunc"] == 1
    assert not found <= Counter(MOST["ideal"])


@pytest.mark.parametrize("name", CONFIGS)
def test_signals_have_names(folders, name):
    assert not UNNAMED.search((folders[name] / f"{CONTROLLER}.v").read_text())


def test_signals_of_the_virtual_board_have_names():
    assert not UNNAMED.search(export(top(CONFIGS["everything"]), "board", platform=Simulator()))


def test_a_yosys_of_the_system_is_not_asked(tmp_path, monkeypatch):
    right = export(Transmitter(clocks_per_bit=4), "transmitter")
    (tmp_path / "yosys").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "yosys").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert export(Transmitter(clocks_per_bit=4), "transmitter") == right


def test_garbage_is_collected_again_after_an_export():
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
    with pytest.raises(TypeError):
        export(None, "nothing")  # type: ignore[arg-type]  # a wrong value is the test
    assert gc.isenabled()


def test_lint_would_find_a_wrong_connection(folders, tmp_path):
    folder = Path(shutil.copytree(folders["ideal"], tmp_path / "wrong"))
    example = folder / "example_top.v"
    example.write_text(example.read_text().replace(".rx(rx_sync[1])", ".rx(rx_sync)"))
    done = lint(folder, "waivers.vlt")
    assert done.returncode != 0
    assert "WIDTH" in done.stderr


def fusesoc(folder):
    """Lint the core in a folder; return the ended process."""
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root=.", "run", "--target=lint", f"::{CONTROLLER}"]
    # Its settings are the folder's own, not the user's.
    environment = {**verilator.environment(), "XDG_CONFIG_HOME": str(folder), "XDG_CACHE_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def test_the_core_lints_in_fusesoc_with_its_waivers_and_not_without(folders, tmp_path):
    folder = Path(shutil.copytree(folders["lean"], tmp_path / "core"))
    done = fusesoc(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "%Warning" not in done.stdout + done.stderr
    shutil.rmtree(folder / "build")
    core = folder / f"{CONTROLLER}.core"
    core.write_text(core.read_text().replace("[waivers, rtl, example]", "[rtl, example]"))
    done = fusesoc(folder)
    assert done.returncode != 0
    assert "%Warning" in done.stdout + done.stderr


def test_every_waiver_has_a_reason(folders):
    text = (folders["ideal"] / "waivers.vlt").read_text()
    lines = text.splitlines()
    waivers = [i for i, line in enumerate(lines) if line.startswith("lint_off")]
    assert waivers
    assert all(lines[i - 1].startswith("// ") for i in waivers)
    assert all('-file "*backpulse.v"' in lines[i] for i in waivers), "the example itself needs no waiver"


def test_the_ports_can_be_read(folders):
    text = (folders["ideal"] / "backpulse.v").read_text()
    ports = re.search(r"^module backpulse\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert ports is not None
    assert set(ports[1].replace(" ", "").split(",")) == {"clk", "rst", "rx", "tx", "busy", "state"}
    assert all((folders["ideal"] / name).exists() for name in EXAMPLES)

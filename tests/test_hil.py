"""The hardware-in-the-loop tests pass against a virtual board behind a pty."""

import subprocess
import sys
from pathlib import Path

import pytest

from backpulse.gateware.sim.virtual_board import VirtualBoard, build

from .test_same_bits import CONFIGS

ROOT = Path(__file__).parent.parent
CONFIG = CONFIGS["ideal"]
"""A board that other tests build too."""


def suite(*arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "hil", *arguments, "tests/hil"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)


@pytest.mark.timeout(300)
def test_the_suite_passes_over_a_pty():
    with VirtualBoard(build(CONFIG), line="pty") as board:
        done = suite("--port", board.url)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_without_a_port_it_is_skipped():
    done = suite()
    assert done.returncode == 0, done.stdout
    assert "passed" not in done.stdout

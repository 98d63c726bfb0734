"""The example that talks to a board with pyserial alone runs on the virtual board, on a bad line too."""

import contextlib
import os
import random
import select
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.gateware.sim.virtual_board import VirtualBoard, build

from .test_same_bits import CONFIGS

pytestmark = pytest.mark.timeout(1200)  # the board may have to be built

SCRIPT = Path(__file__).parent.parent / "docs" / "examples" / "bare_client.py"
CONFIG = CONFIGS["ideal"]
"""A board that other tests build too."""


@pytest.fixture(scope="module")
def board() -> Iterator[VirtualBoard]:
    with VirtualBoard(build(CONFIG), line="pty") as running:
        yield running


@contextlib.contextmanager
def bad_line(port: str, seed: int) -> Iterator[tuple[str, list[int]]]:
    """Yield a pty that leads to another with one byte in 300 changed, and the places of those."""
    rng = random.Random(seed)
    far = os.open(port, os.O_RDWR | os.O_NOCTTY)
    near, slave = os.openpty()
    for end in (far, slave):
        tty.setraw(end)
    stop, stopped = os.pipe()
    changed: list[int] = []

    def carry() -> None:
        count = 0
        while stop not in (ready := select.select([far, near, stop], [], [])[0]):
            for source in ready:
                data = bytearray(os.read(source, 4096))
                for i in range(len(data)):
                    if rng.randrange(300) == 0:
                        data[i] ^= 1 << rng.randrange(8)
                        changed.append(count + i)
                count += len(data)
                os.write(near if source == far else far, data)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield os.ttyname(slave), changed
    finally:
        os.close(stopped)
        thread.join()
        for end in (far, near, slave, stop):
            os.close(end)


def run(port: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, port], capture_output=True, text=True, check=False, timeout=200)


def test_it_shows_the_board_and_its_inference(board):
    for _ in range(2):
        result = run(board.url)
        assert (result.returncode, result.stderr) == (0, "")
        lines = result.stdout.splitlines()
        assert lines[0] == f"magic BKPL, ABI {ABI_VERSION}"
        assert {
            f"  tile_rows {CONFIG.tile_rows}",
            f"  tile_cols {CONFIG.tile_cols}",
            f"  tiles {CONFIG.tiles}",
            "  result_depth 512",
        } <= set(lines)
        assert f"configuration digest {CONFIG.digest.hex()}" in lines
        assert [line.partition(",")[0] for line in lines if line.startswith("sample")] == [
            *("sample 0: class 0", "sample 1: class 1", "sample 2: class 2", "sample 3: class 0")
        ]
        assert lines[-1].startswith("all 4 samples agree with sigmoid(W x)")


def test_a_bad_line_only_takes_longer(board):
    with bad_line(board.url, seed=1) as (port, changed):
        result = run(port)
    assert (result.returncode, result.stderr) == (0, "")
    assert changed


def test_a_silent_port_is_told():
    ours, slave = os.openpty()
    result = run(os.ttyname(slave))
    os.close(ours)
    os.close(slave)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "Error: the board does not answer command 1.\n"


def test_a_missing_port_is_told(tmp_path):
    result = run(str(tmp_path / "none"))
    assert result.returncode == 1
    assert "could not open port" in result.stderr
    assert result.stderr.count("\n") == 1

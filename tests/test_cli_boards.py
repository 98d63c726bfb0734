"""The command line against boards that are wrong, silent or other than asked for, and Ctrl-C on boards that go on."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from backpulse.firmware_py import endpoint
from backpulse.firmware_py.config import ABI_VERSION, DEFAULT
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.host.urls import board_config

from .test_same_bits import CONFIGS

SMALL = ["--dataset", "iris", "--layers", "4-5-3"]
COMMAND = [sys.executable, "-W", "error", "-m", "backpulse"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


@pytest.fixture
def backpulse(backpulse):
    """Return a function that runs a command in a folder of its own and returns (exit code, the one line of its error)."""

    def run(*arguments):
        code, _, errors = backpulse(*arguments)
        assert "Traceback" not in errors
        return code, (errors.strip().splitlines() or [""])[-1]

    return run


@contextmanager
def served(config, receives=1 << 30, machine=None) -> Iterator[str]:
    """Serve a golden machine, by default a new one, on a TCP port, one connection that ends after some receptions; yield its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    machine = machine or GoldenMachine(config)
    end = Endpoint(machine)
    quit_read, quit_write = socket.socketpair()

    def serve() -> None:
        if listener not in select.select([listener, quit_read], [], [])[0]:
            return
        with listener.accept()[0] as connection:
            for _ in range(receives):
                if quit_read in select.select([connection, quit_read], [], [])[0] or not (data := connection.recv(4096)):
                    return
                connection.sendall(end.feed(data))
                machine.run(config.order_depth)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        quit_write.close()
        thread.join()
        listener.close()
        quit_read.close()


def small_board(tile="16x8", **options):
    return board_config(None, PRESETS["ideal"], tile=tile, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a checkpoint of one epoch, made on a 16 x 8 tile."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["train", *SMALL, "--tile", "16x8", "--epochs", "1", "--checkpoint", "run.npz"]
    subprocess.run([*COMMAND, *arguments], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, timeout=200)
    return folder / "run.npz"


def test_a_board_on_a_socket_trains(backpulse):
    with served(small_board()) as url:
        code, last = backpulse("train", *SMALL, "--board", url, "--epochs", 1)
    assert code == 0, last


def test_a_network_too_large_for_a_real_board_says_which_limit_and_by_how_much(backpulse):
    with served(small_board()) as url:
        code, error = backpulse("train", "--board", url)
    assert code == 2
    assert "Network 64-32-10 needs" in error
    assert "tiles of 16 x 8 and this board has 1," in error
    assert "too few; 64-1-10 fits" in error


def test_a_board_without_a_ring_of_outputs_brings_the_same_ones_and_says_so(backpulse, trained, tmp_path):
    seen = []
    for depth in (64, 0):
        with served(replace(small_board(), output_depth=depth)) as url:
            code, last = backpulse("infer", "--checkpoint", trained, "--board", url, "--outputs", "--json", "out.json")
        assert code == 0, last
        seen.append(json.loads((tmp_path / "out.json").read_text()))
    assert seen[0]["outputs"] == seen[1]["outputs"]
    assert [sum("sample by sample" in text for text in one["warnings"]) for one in seen] == [0, 1]


def test_a_checkpoint_of_another_configuration_is_refused(backpulse, trained):
    for command in (["train", "--epochs", 2, "--resume"], ["infer", "--checkpoint"]):
        with served(small_board("32x8")) as url:
            code, error = backpulse(*command, trained, "--board", url)
        assert code == 2
        assert "The checkpoint was made on another configuration (digest" in error


def test_a_board_of_another_abi_is_refused(backpulse, monkeypatch):
    monkeypatch.setattr(endpoint, "ABI_VERSION", 99)
    with served(small_board()) as url:
        code, error = backpulse("info", "--board", url)
    assert (code, error) == (1, f"Error: The board has ABI version 99, this program {ABI_VERSION}: use the program of the board's version")


def test_a_silent_port_is_told(backpulse):
    ours, slave = os.openpty()
    code, error = backpulse("info", "--board", os.ttyname(slave))
    os.close(ours)
    os.close(slave)
    assert (code, error) == (1, "Error: No answer from the board within 5 s: check port, baud rate, cable and bitstream")


def test_a_port_that_echoes_is_no_board(backpulse):
    listener = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        with listener.accept()[0] as connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    code, error = backpulse("info", "--board", f"socket://127.0.0.1:{listener.getsockname()[1]}")
    thread.join()
    listener.close()
    assert code == 1
    assert "What answers there is no board: for 5 s it sent frames that answer nothing: check the port" in error


def test_a_board_that_leaves_in_mid_run_is_one_sentence(backpulse):
    with served(small_board(), receives=40) as url:
        code, error = backpulse("train", *SMALL, "--board", url)
    assert code == 1
    assert error.startswith("Error: The line to the board was lost (")
    assert "the board pauses when its credit is used up" in error


def test_text_in_data_says_where(backpulse, tmp_path):
    (tmp_path / "text.csv").write_text("a,b,kind\n1,2,x\n1,two,y\n3,4,x\n")
    code, error = backpulse("train", "--dataset", "text.csv", "--layers", "2-2")
    assert code == 2
    assert "text.csv: row 2, column b is 'two'" in error


def test_a_damaged_checkpoint_is_told(backpulse, trained, tmp_path):
    whole = trained.read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    for command in (["train", "--resume"], ["infer", "--checkpoint"]):
        code, error = backpulse(*command, "half.npz")
        assert code == 2
        assert error.startswith("Error: The checkpoint half.npz is damaged or no checkpoint (")
        assert error.endswith("): start again, or give another file")


def test_a_missing_compiler_is_told(backpulse, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for command in (["train", "--board", "sim://"], ["info", "--board", "sim://"], ["sim"]):
        code, error = backpulse(*command)
        assert (code, error) == (2, "Error: The program g++ is not on PATH: install it with the system's package manager")


def test_a_board_has_as_deep_tables_as_its_network_needs(backpulse):
    default = board_config(None, PRESETS["ideal"])
    code, _ = backpulse("program", "--layers", "64-1000-10")
    assert code == 0
    assert board_config(Network.parse("64-32-10"), PRESETS["ideal"]) == default
    deep = board_config(Network.parse("784-1000-10"), PRESETS["ideal"])
    assert deep.tiles > 100
    assert (deep.program_words, deep.vector_words, deep.acc_bits) == (1024, 4096, 25)
    assert (deep.page_bytes, deep.store_words) == (DEFAULT.page_bytes, DEFAULT.store_words)


IRIS = ["--dataset", "iris", "--layers", "4-9-3"]
FALLING = ["--lr-schedule", "cosine", "--validation", "0.2"]
BOARDS = {
    "golden://": ["--tile", "24x7", "--layers", "64-10", "--epochs", "60"],
    "sim://": [*IRIS, "--tile", "24x7", "--tiles", str(CONFIGS["ideal"].tiles), "--epochs", "8", *FALLING],
}
"""A run long enough to be interrupted; the virtual board is one that other tests build too, and would be sent the digits for seconds."""


@pytest.mark.timeout(1200)  # the board may have to be built
@pytest.mark.parametrize("board", BOARDS)
def test_ctrl_c_saves_a_checkpoint_that_goes_on_with_the_same_bits(backpulse, tmp_path, board):
    settings = ["--board", board, *BOARDS[board]]
    command = [*COMMAND, "train", *settings, "--checkpoint", "run.npz"]
    first = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    guard = threading.Timer(1000, first.kill)
    guard.start()
    for line in first.stderr:
        if line.startswith("epoch 1/"):
            first.send_signal(signal.SIGINT)
            break
    errors = first.stderr.read()
    guard.cancel()
    first.stderr.close()
    assert first.wait() == 128 + signal.SIGINT, errors
    assert errors.strip().splitlines()[-1].startswith("Error: Stopped at epoch"), errors

    def finish(*arguments):
        code, last = backpulse("train", *arguments, "--json", "out.json")
        assert code == 0, last
        return json.loads((tmp_path / "out.json").read_text())

    resumed, unbroken = finish("--board", board, "--resume", "run.npz"), finish("--board", "golden://", *settings[2:])
    for key in ("conductance_digest", "steps", "cycles", "predictions", "test_accuracy", "train_loss", "validation_loss", "learning_rate"):
        assert resumed[key] == unbroken[key]

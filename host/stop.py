"""Signals that ask a command to stop: Ctrl-C, a closed terminal (SIGHUP) and `kill` (SIGTERM)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """The user stopped a run; `done` samples of it are complete, and the board, if one ran, rests at a sample boundary."""

    def __init__(self, done: int = 0) -> None:
        super().__init__(f"Stopped after {done} samples")
        self.done = done


@dataclass
class Stop:
    """A wish to stop. The first signal sets it, and runs heed it at a sample boundary."""

    asked: bool = False

    def heed(self) -> None:
        """Raise StoppedError if the user has asked for it."""
        if self.asked:
            raise StoppedError


def interrupt_on_signals() -> None:
    """Let every signal of `SIGNALS` end the command as Ctrl-C does; one that is ignored, as under nohup, stays ignored."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn the first signal of the body into a wish that runs heed; the second interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(*_: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    old = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in old.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt

"""Signals that ask a command to stop: Ctrl-C, a closed terminal (SIGHUP) and `kill` (SIGTERM)."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Stop:
    """A wish to stop. The first signal sets it, and runs heed it at a sample boundary."""

    asked: bool = False


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

"""Signals that ask a command to stop: Ctrl-C, a closed terminal (SIGHUP) and `kill` (SIGTERM).

They interrupt a command (`ended_by_signals`); a run that has something to keep takes the first one as a wish (`stop_on_signals`).
Nothing is imported here that takes time: a signal may come while a command still starts.
"""

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNALLED = 128
"""Added to a signal's number it is the exit code of what the signal ended, as in a shell: 130, 143, 129."""
GRACE_S = 1.5
"""Time to clear up after an interrupt. Then a command is ended where it is: compilers and readers written in C let no signal in, and
an interrupt that comes within a callback of a library is dropped."""
SENTENCE = "Interrupted: what was saved is whole, and the same command starts again"

Handler = Callable[[int, FrameType | None], object] | signal.Handlers

_wishes = 0
"""How many of the signals to come only ask: 1 while a run heeds the first."""


class StoppedError(Exception):
    """The user stopped a run; `done` samples of it are complete, and the board, if one ran, rests at a sample boundary."""

    def __init__(self, done: int = 0) -> None:
        super().__init__(f"Stopped after {done} samples")
        self.done = done


@dataclass
class Stop:
    """A wish to stop. The first signal sets it, and runs heed it at a sample boundary."""

    asked: bool = False
    number: int = signal.SIGINT
    """The signal that asked."""

    def heed(self) -> None:
        """Raise StoppedError if the user has asked for it."""
        if self.asked:
            raise StoppedError


class Interrupted(KeyboardInterrupt):
    """An interrupt by a signal.

    It has a type of its own because Python kills itself by SIGINT at its end if a KeyboardInterrupt, and just that, ever left code that
    was made of a text, as in the making of a data class.
    """


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn the first signal of the body into a wish that runs heed; the second interrupts at once."""
    global _wishes
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        before = old[number]
        if callable(before):
            before(number, frame)
        raise Interrupted

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            interrupt(number, frame)
        stop.asked, stop.number = True, number

    old = _handle(ask)
    _wishes = 1
    try:
        yield stop
    except StoppedError:  # the body has nothing to keep
        interrupt(stop.number, None)
    finally:
        _wishes = 0
        for number, handler in old.items():
            signal.signal(number, handler)


def ended_by_signals(command: Callable[[], object]) -> None:
    """Run a whole command; a signal interrupts it, and it leaves within two seconds: one sentence, the exit code of a shell.

    What the command raises after an interrupt counts as its consequence, as when half of a module was imported. When it is left there is
    nothing to interrupt any more, and signals are ignored. It is no context manager: one that a signal interrupts before its body is
    entered never learns of it.
    """
    number = 0

    def interrupt(which: int, _: FrameType | None) -> None:
        nonlocal number
        number = which
        _handle(signal.SIG_IGN)  # one is enough, and `_deadline` ends what drops it
        warnings.simplefilter("ignore")  # such as Amaranth's, of a design that was not used
        raise Interrupted

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        if not number:
            report(what)

    report = sys.unraisablehook
    try:
        try:
            sys.unraisablehook = unraisable
            _handle(interrupt)
            with _deadline():
                command()
        finally:
            _handle(signal.SIG_IGN)
    except BaseException:
        if not number:
            raise
        print(SENTENCE, file=sys.stderr)
        sys.exit(SIGNALLED + number)
    finally:
        sys.unraisablehook = report
        gc.freeze()  # Python would spend seconds on taking apart what is left


@contextmanager
def _deadline() -> Iterator[None]:
    """Let a thread end the process if the body is not left `GRACE_S` after an interrupt."""
    hears, tells = os.pipe()
    os.set_blocking(tells, False)
    left = threading.Event()

    def watch() -> None:
        global _wishes
        while number := os.read(hears, 1)[0]:
            if number not in SIGNALS:
                continue
            if _wishes:
                _wishes -= 1
            elif not left.wait(GRACE_S):
                with suppress(OSError):  # the terminal is closed
                    os.write(2, f"{SENTENCE}\n".encode())
                os._exit(SIGNALLED + number)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    # Written to when a signal arrives, which may be long before Python comes to handle it.
    old = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(old)
        left.set()
        os.write(tells, b"\0")
        watcher.join()
        os.close(hears)
        os.close(tells)


def _handle(handler: Handler) -> dict[int, Handler]:
    """Handle `SIGNALS` so; return how they were handled. One that is ignored, as under nohup, stays ignored."""
    old = {}
    for number in SIGNALS:
        before = signal.getsignal(number)
        if before not in (signal.SIG_IGN, None):
            old[number] = before
            signal.signal(number, handler)
    return old

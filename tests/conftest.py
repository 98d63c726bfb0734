"""Settings of all tests: hypothesis is reproducible, and the first call of a compiled function may take its time."""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import settings

from backpulse.host import stop
from backpulse.host.__main__ import main
from backpulse.host.stop import SIGNALS

# Tests that run in the background or under nohup would hand on that they ignore signals, and commands heed that.
for ignored in SIGNALS:
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored is signal.SIGINT else signal.SIG_DFL)

# Commands run in this process, which a deadline that a busy machine misses would end.
stop.GRACE_S = 60.0

# By default it is looked for whenever 700 more objects have been made, each time a little, now and then in all that the tests of a worker
# have imported: a tenth of the time of all tests.
gc.set_threshold(100_000, 10, 10)

settings.register_profile("backpulse", derandomize=True, deadline=None)
settings.load_profile("backpulse")


def pytest_configure() -> None:
    """Let linear algebra take one thread: more wait in a loop for work, and the other processors have tests to run."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Run one test more at a time than there are processors: some wait for a browser, a line or a clock."""
    return (yield) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the board for `pytest -m hil`."""
    parser.addoption("--port", default=None, metavar="URL", help="board for the hardware-in-the-loop tests")
    parser.addoption("--baud", default=None, type=int, help="its baud rate")


@contextmanager
def signals_kept() -> Iterator[None]:
    """Let signals be handled after a command as before it; the command leaves them ignored, and its garbage frozen."""
    old = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        gc.unfreeze()


@pytest.fixture
def signals() -> Iterator[None]:
    """Let a test do with signals what it likes."""
    with signals_kept():
        yield


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Fail where a test leaves signals handled otherwise: what later tests start would ignore them."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before, "the test needs the fixture `signals`"


@pytest.fixture
def backpulse(monkeypatch, capsys, tmp_path):
    """Return a function that runs a command in a folder of its own and returns (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["backpulse", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended, signals_kept():
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run

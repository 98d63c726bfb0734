"""The table of errors: each kind is driven to its sentence and exit code through the command, and the page lists them all."""

import errno
import os

import pytest

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.pages import updated
from backpulse.firmware_py.registers import Cause
from backpulse.host import cli, errors, link, run, urls
from backpulse.host.errors import TRACEBACK, AbortedError
from backpulse.host.pages import PAGE, SECTIONS, kinds
from backpulse.host.ports import GoldenPort
from backpulse.host.training import Trainer

INFO = ["info"]
TRAIN = ["train", "--dataset", "iris", "--layers", "4-3", "--tile", "8x4", "--epochs", "1"]


def raising(error):
    def call(*_, **__):
        raise error

    return call


def silent(m):
    m.setattr(GoldenPort, "read", lambda self, timeout: b"")


def blocked(m):
    m.setattr(link, "WRITE_LIMIT_S", 0.05)
    m.setattr(GoldenPort, "write", lambda self, data: 0)


def lost(m):
    m.setattr(GoldenPort, "read", raising(EOFError("the other end has closed it")))


def restarted(m):
    execute = Endpoint._execute

    def forgetful(self, frame):
        self._nonce = None
        return execute(self, frame)

    m.setattr(Endpoint, "_execute", forgetful)


def confused(m):
    get = GoldenMachine._get
    m.setattr(GoldenMachine, "_get", lambda self, name, index: 77 if name == "STATE" else get(self, name, index))


def standing(m):
    m.setattr(run, "PATIENCE_S", 0.1)
    m.setattr(GoldenMachine, "run", lambda self, samples: 0)


def full(m):
    def sync(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    m.setattr(os, "fsync", sync)


def tripping(m):
    start = GoldenMachine.start
    m.setattr(GoldenMachine, "start", lambda self: (start(self), self.trip(Cause.INTERLOCK)))


ROWS = {
    "FaultError": (TRAIN, tripping, "after 0 samples of this run: the interlock is open (cause INTERLOCK): close"),
    "HostError": (
        ["fit", "--board", "icebreaker", "--layers", "784-128-10"],
        lambda m: None,
        "does not fit iCEBreaker 1.0: Network 784-128-10 needs",
    ),
    "InputError": (["train", "--tile", "big"], lambda m: None, "A tile is rows x columns, as in 128x32, not big"),
    "StorageError": ([*TRAIN, "--json", "r.json"], full, "The file r.json cannot be written: no space left on device: make room there"),
    "OwnError": (
        INFO,
        lambda m: m.setattr(GoldenMachine, "read_words", raising(OSError("here"))),
        "The golden model failed on this computer: here",
    ),
    "SignalError": (TRAIN, lambda m: m.setattr(Trainer, "epoch", lambda self: False), "Stopped at epoch 1, sample 0: go on with --resume"),
    "AbortedError": (
        TRAIN,
        lambda m: m.setattr(Trainer, "epoch", raising(AbortedError("The run was aborted by somebody who watched it"))),
        "The run was aborted by somebody who watched it: go on from the last checkpoint",
    ),
    "NoProgressError": (TRAIN, standing, "has done no sample for"),
    "LinkError": (INFO, confused, "says that its state is 77, which does not exist: restart it"),
    "NoAnswerError": (INFO, silent, "No answer from the board within 0.1 s: check port, baud rate, cable and bitstream"),
    "LineBlockedError": (INFO, blocked, "The port takes no more bytes (none for 0.05 s): check the cable"),
    "LineLostError": (INFO, lost, "The line to the board was lost (the other end has closed it): "),
    "SessionLostError": (INFO, restarted, "The board has restarted in mid session"),
    "WrongAbiError": (
        INFO,
        lambda m: m.setattr(link, "ABI_VERSION", 99),
        f"The board has ABI version {ABI_VERSION}, this program 99: use the program",
    ),
    "RefusedError": (
        INFO,
        lambda m: m.setattr(GoldenMachine, "read_words", raising(BusError())),
        "The board refused READ of 1 words at register MAGIC: there is nothing at that address",
    ),
}


@pytest.mark.parametrize("kind", [kind.__name__ for kind in kinds()])
def test_each_kind_has_a_sentence_and_an_exit_code(backpulse, monkeypatch, kind):
    """A kind that no row drives fails here."""
    arguments, spoil, sentence = ROWS[kind]
    seen, fail = [], cli._fail
    monkeypatch.setattr(cli, "_fail", lambda error: (seen.append((type(error).__name__, error.exit_code)), fail(error)))
    monkeypatch.setattr(urls, "PATIENCE_S", 0.1)
    spoil(monkeypatch)
    code, out, err = backpulse(*arguments)
    assert (seen, out) == ([(kind, code)], "")
    assert code == getattr(errors, kind).exit_code
    last = err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert sentence in last
    assert last.endswith(getattr(errors, kind).advice) or ": " in last


def test_the_page_lists_every_kind():
    page = PAGE.read_text()
    assert updated(page, SECTIONS) == page, "run python -m backpulse.host.pages"
    for kind in kinds():
        assert f"| {kind.__name__} | {kind.exit_code} |" in page
        assert f"(exit code {kind.exit_code})" in str(kind.__doc__)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ZeroDivisionError("division by zero"),
            "Backpulse itself has failed (ZeroDivisionError: division by zero): please report it, with what",
        ),
        (KeyError(), "Backpulse itself has failed (KeyError): please report it"),
        (MemoryError(), "There is not enough memory for this: choose smaller layers"),
        (ImportError("no module"), "A package cannot be used (no module): install Backpulse anew"),
    ],
)
def test_what_nobody_foresaw_is_a_sentence_too(backpulse, monkeypatch, error, sentence):
    monkeypatch.setattr(cli, "board_config", raising(error))
    monkeypatch.delenv(TRACEBACK, raising=False)
    code, _, err = backpulse("info")
    assert (code, err.count("\n")) == (errors.OwnError.exit_code, 1)
    assert err.startswith(f"Error: {sentence}")
    monkeypatch.setenv(TRACEBACK, "1")
    with pytest.raises(type(error)):
        backpulse("info")

"""Settings of all tests: hypothesis is reproducible, and the first call of a compiled function may take its time."""

import sys

import pytest
from hypothesis import settings

from host.cli import main

settings.register_profile("backpulse", derandomize=True, deadline=None)
settings.load_profile("backpulse")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the board for `pytest -m hil`."""
    parser.addoption("--port", default=None, metavar="URL", help="board for the hardware-in-the-loop tests")
    parser.addoption("--baud", default=None, type=int, help="its baud rate")


@pytest.fixture
def backpulse(monkeypatch, capsys, tmp_path):
    """Return a function that runs a command in a folder of its own and returns (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["backpulse", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run

"""Random bad command lines and random damaged data: a sentence and the right exit code, and soon."""

import shutil
import sys
import time

import pytest

from backpulse.host.errors import TRACEBACK, HostError, InputError, StorageError

from . import fuzz

CODES = {0, HostError.exit_code, InputError.exit_code, StorageError.exit_code}
MOST_S = 20.0
ALL, SOME = range(500), 100
TABLE = "a,b,kind\n" + "".join(f"{k},{k * k % 7},{'xyz'[k % 3]}\n" for k in range(30))


@pytest.fixture
def ends_well(backpulse, tmp_path, monkeypatch):
    """Return a function that runs a command and returns what is wrong with how it ended, in a line."""
    (tmp_path / "table.csv").write_text(TABLE)
    code, _, errors = backpulse("train", "--dataset", "iris", "--layers", "4-3", "--tile", "8x4", "--epochs", 1, "--checkpoint", "run.npz")
    assert code == 0, errors
    monkeypatch.setenv(TRACEBACK, "1")  # what nobody foresaw comes through, and says where it was

    def run(words):
        begun = time.monotonic()
        try:
            code, _, errors = backpulse(*words)
        except Exception as error:
            return f"{words}: {type(error).__name__}: {error}"
        took = time.monotonic() - begun
        if code not in CODES or "Traceback" in errors or took > MOST_S or (code and not errors.strip()):
            return f"{words}: exit code {code} after {took:.1f} s: {errors[-300:]}"
        return ""

    return run


def lines(ends_well, tmp_path, cases):
    wrong = {}
    for case in cases:
        wrong[case] = ends_well(fuzz.command_line(case))
        (tmp_path / "table.csv").write_text(TABLE)
    return {case: text for case, text in wrong.items() if text}


def files(ends_well, tmp_path, cases):
    wrong = {}
    for case in cases:
        folder = tmp_path / "data"
        folder.mkdir()
        wrong[case] = ends_well(["train", "--dataset", fuzz.data_file(case, folder), "--tile", "64x32", "--epochs", 1])
        shutil.rmtree(folder)
    return {case: text for case, text in wrong.items() if text}


def test_some_bad_command_lines_end_in_a_sentence(ends_well, tmp_path):
    assert not lines(ends_well, tmp_path, ALL[:SOME])


def test_some_damaged_data_ends_in_a_sentence(ends_well, tmp_path):
    assert not files(ends_well, tmp_path, ALL[:SOME])


@pytest.mark.slow
def test_bad_command_lines_end_in_a_sentence(ends_well, tmp_path):
    assert not lines(ends_well, tmp_path, ALL)


@pytest.mark.slow
def test_damaged_data_ends_in_a_sentence(ends_well, tmp_path):
    assert not files(ends_well, tmp_path, ALL)


def test_the_fuzz_sees_what_nobody_foresaw(ends_well, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("here")

    monkeypatch.setattr("backpulse.host.cli.board_config", broken)
    assert "ZeroDivisionError: here" in ends_well(["info"])
    monkeypatch.delenv(TRACEBACK)
    assert "exit code 4" in ends_well(["info"])
    monkeypatch.setattr(sys.modules["tests.test_fuzz"], "CODES", {0, 1, 2, 3, 4})
    assert not ends_well(["info"])

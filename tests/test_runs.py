"""Saved runs: what the folder holds while a run goes on, after it, and after a kill; memory; what cannot be saved."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest

from backpulse.firmware_py.digest import conductance_digest
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.pulse_log import COLUMNS
from backpulse.host.errors import InputError
from backpulse.host.saved import folder as names
from backpulse.host.saved import saver
from backpulse.host.saved.folder import read_run
from backpulse.host.saved.pulses import PulseParts
from backpulse.host.storage import written_whole

SMALL = ("--dataset", "iris", "--layers", "4-3", "--tile", "16x8", "--epochs", "2")
"""On the virtual board of the first tutorial, which other tests build too."""
COMMAND = [sys.executable, "-m", "backpulse.host", "train"]
MORE_MB = 100
"""What the pulse log of 20 epochs of digits may take of memory."""


def planes(log: pd.DataFrame, shape: tuple[int, int], tile_rows: int) -> np.ndarray:
    """Return pulses up and down of each cell, added up one by one."""
    counts = np.zeros((2, *shape), np.int64)
    np.add.at(counts, ((log["count"] < 0).astype(int), log["tile"] * tile_rows + log["row"], log["column"]), log["count"].abs())
    return counts


def saved(backpulse, tmp_path, *more):
    code, _, err = backpulse("train", *SMALL, "--save", "run", "--json", "run.json", *more)
    assert code == 0, err
    return read_run(tmp_path / "run"), json.loads((tmp_path / "run.json").read_text())


def test_a_saved_run_holds_what_the_run_came_to(backpulse, tmp_path):
    run, result = saved(backpulse, tmp_path, "--keep", "pulses,trace", "--reference")
    assert run.result == result
    assert conductance_digest(run.after) == result["conductance_digest"]
    assert run.state == "complete"
    assert run.manifest["labels"] == ["setosa", "versicolor", "virginica"]
    log = pd.read_parquet(tmp_path / "run" / "pulses")
    assert tuple(log.columns) == COLUMNS
    up, down = planes(log, run.after.shape, run.config.tile_rows)
    assert (up.sum(), down.sum()) == (result["pulses_up"], result["pulses_down"])
    assert (up == run.pulses["up"]).all()
    assert (down == run.pulses["down"]).all()
    assert log["step"].max() < result["steps"]
    assert run.epochs()["test_accuracy"].tolist() == result["test_accuracy"]
    assert run.epochs().index.tolist() == [1, 2]
    assert {path.name for path in run.folder.iterdir()} == {"manifest.json", "result.json", "array.npz", "pulses", "run.trace"}
    code, _, err = backpulse("replay", "run/run.trace", "--ledger", "ledger.npz")
    assert code == 0, err
    with np.load(tmp_path / "ledger.npz") as ledger:
        assert (ledger["up"] == up).all()


def test_without_being_asked_a_run_keeps_no_pulses(backpulse, tmp_path):
    run, _ = saved(backpulse, tmp_path)
    assert run.pulses == {}
    assert {path.name for path in run.folder.iterdir()} == {"manifest.json", "result.json", "array.npz"}


def test_a_run_on_the_rtl_has_the_pulses_of_the_golden_model(backpulse, tmp_path):
    run, result = saved(backpulse, tmp_path, "--keep", "pulses", "--board", "sim://")
    code, _, err = backpulse("train", *SMALL, "--save", "golden", "--keep", "pulses")
    assert code == 0, err
    assert int(run.pulses["up"].sum()) == result["pulses_up"] > 0
    other = read_run(tmp_path / "golden")
    for name in names.PLANES:
        assert (run.pulses[name] == other.pulses[name]).all()
    one, two = (pd.read_parquet(tmp_path / which / "pulses") for which in ("run", "golden"))
    assert one.equals(two)


def test_parts_hold_every_pulse_once(tmp_path, monkeypatch):
    monkeypatch.setattr("backpulse.host.saved.pulses.ROOM", 10)
    parts = PulseParts(tmp_path / "pulses")
    random = np.random.default_rng(1)
    sent = []
    for step in range(30):
        pulses = random.integers(1, 4, (int(random.integers(0, 24)), 5)).astype(np.int32)
        pulses[:, 0] = step
        parts.begin(1000 + step, step)
        parts(pulses)
        sent.append(pulses)
    parts.close()
    parts.close()
    rows = np.concatenate(sent)
    log = pd.read_parquet(tmp_path / "pulses")
    assert np.array_equal(log["step"].to_numpy(), rows[:, 0] + 1000)
    assert (log[list(COLUMNS[1:])].to_numpy() == rows[:, 1:]).all()
    assert len(list((tmp_path / "pulses").iterdir())) == -(-len(rows) // 10)


def test_the_log_of_no_pulses_can_be_read(tmp_path):
    PulseParts(tmp_path / "pulses").close()
    assert pd.read_parquet(tmp_path / "pulses").shape == (0, 5)


def test_a_pulse_log_of_twenty_epochs_needs_little_memory(tmp_path):
    """The peak of the same run, with and without."""
    peaks = []
    for name, more in (("without", []), ("with", ["--keep", "pulses"])):
        command = [*COMMAND, "--layers", "64-32-10", "--epochs", "20", "--save", str(tmp_path / name), *more]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(used.ru_maxrss / 1024)
    without, peak = peaks
    assert peak < without + MORE_MB
    assert len(pd.read_parquet(tmp_path / "with" / "pulses")) > 3_000_000


def test_a_killed_run_can_be_read(backpulse, tmp_path, monkeypatch):
    """SIGKILL in the middle: the epochs that were done are there, every part is whole, and so are report and trace."""
    command = [*COMMAND, *SMALL[:-2], "--epochs", "100000", "--save", "run", "--keep", "pulses,trace"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    run = tmp_path / "run"
    try:
        until = time.monotonic() + 120
        while not list(run.glob("pulses/*.parquet")) or not (run / "now.json").exists():
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        assert read_run(run).state == "going on"
        assert json.loads((run / "now.json").read_text())["counters"]["STEPS"] > 0
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    left = read_run(run)
    assert left.ended is None
    assert left.state.startswith("ended without a word")
    assert len(left.epochs()) == left.result["epochs"] > 0
    log = pd.read_parquet(run / "pulses")
    assert len(log) > 0
    assert log["step"].is_monotonic_increasing
    code, _, err = backpulse("report", "run")
    assert code == 0, err
    assert "ended without a word" in (run / "report.html").read_text()
    assert backpulse("replay", "run/run.trace")[0] == 0


@pytest.mark.parametrize(("wish", "code", "state"), [("halt", 130, "stopped"), ("abort", 1, "failed: The run was aborted by somebody")])
def test_who_watches_a_run_can_end_it(backpulse, tmp_path, wish, code, state):
    def ask():
        while not (tmp_path / "run" / "now.json").exists():
            time.sleep(0.01)
        (tmp_path / "run" / "wish").write_text(wish)

    asking = threading.Thread(target=ask)
    asking.start()
    ended, _, err = backpulse("train", *SMALL[:-2], "--epochs", "100000", "--save", "run")
    asking.join()
    assert ended == code
    assert "--resume" in err
    assert read_run(tmp_path / "run").state.startswith(state)
    assert not (tmp_path / "run" / "wish").exists()


def test_a_full_disk_ends_the_saving_and_not_the_run(backpulse, tmp_path, monkeypatch):
    written = []

    def full(path, what):
        written.append(path)
        if len(written) > 3:
            monkeypatch.setattr(os, "fsync", no_room)
        return written_whole(path, what)

    def no_room(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(saver, "written_whole", full)
    code, out, err = backpulse("train", *SMALL, "--save", "run", "--json", "-")
    assert code == 3
    assert json.loads(out)["epochs"] == 2
    assert "The run goes on, and is saved no more" in err
    assert "no space left on device" in err.strip().splitlines()[-1]
    assert read_run(tmp_path / "run").result.get("epochs", 0) < 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "pulses"], "--keep names what a saved run keeps: give --save RUN, too"),
        (["--save", "run", "--keep", "puls"], "A saved run can keep pulses and trace, not puls (did you mean pulses?)"),
        (["--save", "full"], "The folder full is not empty, and a saved run is never written over"),
        (["--save", "full/file"], "full/file is a file: give --save the name of a new folder"),
        (["--save", "no/run"], "There is no folder no for run: make it first"),
        (["--save", "run", "--keep", "pulses", "--pulse-log", "p.npz"], "leave --pulse-log or pulses in --keep out"),
        (["--save", "run", "--keep", "trace", "--trace", "t"], "leave --trace or trace in --keep out"),
        (["--save", "run", "--schedule", "software"], "The software schedule has no array"),
    ],
)
def test_what_cannot_be_saved_is_refused_before_the_run(backpulse, tmp_path, arguments, message):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    code, _, err = backpulse("train", *SMALL, *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert {path.name for path in tmp_path.iterdir()} == {"full"}


def test_a_missing_package_is_told(backpulse, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = backpulse("train", *SMALL, "--save", "run", "--keep", "pulses")
    assert code == 2
    assert install("runs") in " ".join(err.split())


DAMAGES = {
    "no manifest": (lambda run: (run / "manifest.json").unlink(), "is no saved run, as it has no manifest.json"),
    "other JSON": (lambda run: (run / "manifest.json").write_text("{}"), "is not that of a saved run"),
    "a list": (lambda run: (run / "manifest.json").write_text("[]"), "it holds no JSON object"),
    "half a result": (lambda run: (run / "result.json").write_text("{"), "result.json is damaged"),
    "other version": (lambda run: changed(run, version=9), "is of version 9, and this program reads 1"),
    "no command": (lambda run: changed(run, command=None, config=[1]), "manifest.json is damaged: A configuration has"),
    "no array": (lambda run: (run / "array.npz").unlink(), "array.npz cannot be read: no such file"),
    "no .npz": (lambda run: (run / "array.npz").write_text("x"), "array.npz is damaged"),
    "few cells": (lambda run: np.savez(run / "array.npz", before=np.zeros((1, 1)), after=np.zeros((1, 1))), "is not of 16 x 8 cells"),
    "no cells": (lambda run: np.savez(run / "array.npz", before=np.zeros((8, 4))), "'after' is missing or wrong"),
}


def changed(run, **values):
    manifest = json.loads((run / "manifest.json").read_text()) | values
    (run / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_told(backpulse, tmp_path, name):
    saved(backpulse, tmp_path)
    spoil, sentence = DAMAGES[name]
    spoil(tmp_path / "run")
    with pytest.raises(InputError, match=sentence):
        read_run(tmp_path / "run")
    code, _, err = backpulse("report", "run")
    assert code == 2
    assert "Traceback" not in err

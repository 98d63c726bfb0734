"""A sweep is done once and to the same bits, in this process, in others and on a cluster; killed, it goes on."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet
import pytest

from backpulse.firmware_py.installing import install
from backpulse.host import sweep_pool, sweep_run
from backpulse.host.devices import resolved
from backpulse.host.errors import InputError, StorageError
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.stop import Stop
from backpulse.host.sweep import plan
from backpulse.host.sweep_pool import execute
from backpulse.host.sweep_run import Outcome, attempt, do
from backpulse.host.sweep_store import CHOSEN, JOURNAL, KEYS, RESULTS, Store, do_missing, row, schema
from backpulse.host.sweep_table import said, title
from backpulse.host.sweep_view import best_table

from . import deadly
from .signalled import ROOT, running, sent

SWEEP = """
epochs = 1
tile = "8x4"
[settings]
dataset = "iris"
layers = "4-3"
[grid]
schedule = ["progressive-exact", "software"]
lr = [0.5, 1.0]
seed = {seeds}
"""


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a sweep of iris with so many seeds, four runs each."""

    def write(seeds, more=""):
        (tmp_path / "s.toml").write_text(more + SWEEP.format(seeds=list(range(seeds))))
        return Path("s.toml")

    return write


@pytest.fixture
def processes(monkeypatch):
    """Let runs be done by processes, however short they are."""
    monkeypatch.setattr(sweep_pool, "START_S", -1.0)
    monkeypatch.setattr(sweep_pool, "LOADING_S", 0.0)


def runs_of(seeds):
    return plan([Settings(layers="4-3", dataset="iris", seed=seed) for seed in range(seeds)], 1, "8x4")[0]


def digests(outcomes):
    return {outcome.run.identity: outcome.result["conductance_digest"] for outcome in outcomes}


def rows_of(folder):
    return {one["run"]: one for part in folder.glob("part-*.parquet") for one in parquet.read_table(part).to_pylist()}


def test_everywhere_the_same_bits(processes):
    distributed = pytest.importorskip("distributed")
    runs = runs_of(8)
    here = digests(map(attempt, runs))
    assert len(set(here.values())) == len(here) == 8
    before = multiprocessing.active_children()  # of other tests in this process
    assert digests(execute(runs, workers=2)) == here
    assert set(multiprocessing.active_children()) <= set(before)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as cluster:
        assert digests(execute(runs, scheduler=cluster.scheduler_address)) == here


def test_a_sweep_is_done_once(backpulse, file):
    code, out, err = backpulse("sweep", file(2), "--json", "-", "--workers", 1)
    told = json.loads(out)
    assert (code, told["runs"], told["done"], told["failed"]) == (0, 8, 8, [])
    assert {group["schedule"] for group in told["summary"]} == {"progressive-exact", SOFTWARE}
    assert all(len(group["curves"]) == 2 for group in told["summary"])
    first = rows_of(Path("s"))
    assert len(first) == 8
    assert all(one["cpu_seconds"] > 0 and one["seconds"] > 0 for one in first.values())
    code, out, err = backpulse("sweep", file(3), "--json", "-", "--workers", 1)
    assert (code, json.loads(out)["done"], "8 of 12 runs are in s" in err) == (0, 12, True)
    both = rows_of(Path("s"))
    assert (len(both), {run: both[run] for run in first}) == (12, first)
    assert {path.suffix for path in Path("s").iterdir() if path.name != JOURNAL} == {".parquet"}
    frame = pd.read_parquet("s")
    assert frame.pivot_table(index="lr", columns="schedule", values="accuracy").shape == (2, 2)
    code, out, _ = backpulse("sweep", file(1), "--out", "s", "--workers", 1)
    assert (code, "worst" in out, len(rows_of(Path("s")))) == (0, True, 12)


def test_rows_have_all_of_a_result():
    (run,) = runs_of(1)
    result = do(run)
    assert set(RESULTS) == set(result) - {"settings", "epochs"}
    names = [*KEYS, *CHOSEN, *Settings.model_fields, *RESULTS]
    assert len(names) == len(set(names))
    assert schema().names == names
    one = row(Outcome(run, result))
    assert list(one) == names
    assert {name: one[name] for name in RESULTS} == {name: result[name] for name in RESULTS}
    assert (one["accuracy"], one["best_epoch"]) == (result["test_accuracy"][-1], None)


def test_tables_name_a_device_and_hold_no_device_text():
    device = resolved("enode")
    assert said(device, "device") == "enode"
    group = {"device": device, "lr": 0.5, **dict.fromkeys(("mean", "std", "min", "max"), 0.9), "curves": [[0.9]]}
    assert title(group, ["device", "lr"]) == "enode, lr 0.5"
    shown = best_table([group], ["device", "lr"], "best", {(device, 0.5): 1}, 80)
    assert list(shown.columns[0].cells) == ["enode"]
    narrow = best_table([group], ["device", "lr"], "best", {(device, 0.5): 1}, 40)
    assert list(narrow.columns[0].cells) == ["enode, lr 0.5"]


def test_a_measured_spread_is_part_of_a_run(tmp_path, monkeypatch):
    file = tmp_path / "spread.csv"
    file.write_text("row,column,up\n0,0,0.5\n")
    settings = Settings(dataset="iris", layers="4-3", device="ecram", spread="spread.csv")
    monkeypatch.chdir(tmp_path)
    ((run,), _) = plan([settings], 1)
    first = do(run)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert do(run)["conductance_digest"] == first["conductance_digest"]
    file.write_text("row,column,up\n0,0,1.5\n")
    with pytest.raises(InputError, match=r"spread\.csv is not the spread map that the sweep began with"):
        do(run)
    monkeypatch.chdir(tmp_path)
    ((other,), _) = plan([settings], 1)
    assert other.identity != run.identity
    assert do(other)["conductance_digest"] != first["conductance_digest"]


def test_a_killed_sweep_goes_on(backpulse, file, tmp_path):
    """SIGKILL; what is on the disk then stays as it is, to the times that the runs took, and the processes are gone."""
    token = f"BACKPULSE_TEST_{os.getpid()}_{time.monotonic_ns()}"
    killed = (
        "import sys; from backpulse.host import sweep_pool; sweep_pool.START_S = -1.0; sweep_pool.LOADING_S = 0.0\n"
        "from backpulse.host.__main__ import main; main()"
    )
    (tmp_path / "t.csv").write_text("a,b,kind\n" + "".join(f"{k},{k * k % 7},{'xyz'[k % 3]}\n" for k in range(30)))
    text = file(200).read_text().replace("iris", "t.csv").replace("4-3", "2-3")  # iris would bring scikit-learn, which takes its time
    Path("s.toml").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-c", killed, "sweep", "s.toml", "--workers", "2"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), token: "1"},
        stderr=subprocess.DEVNULL,
    )
    journal, until = tmp_path / "s" / JOURNAL, time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 8) and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    with journal.open("ab") as cut:
        cut.write(b'{"run": "cut o')
    lines = [json.loads(line) for line in journal.read_bytes().splitlines()[:-1]]
    before = rows_of(tmp_path / "s") | {one["run"]: one for one in lines}
    assert 8 < len(before) < 800
    while left := running(token):
        assert time.monotonic() < until, left
        time.sleep(0.02)

    def going_on():
        return len(rows_of(tmp_path / "s")) >= len(before) and journal.read_bytes().count(b"\n") > 2

    with sent((signal.SIGTERM, 0.0), once=going_on) as times:
        code, _, err = backpulse("sweep", "s.toml", "--workers", 1)
        took = time.monotonic() - times[0]
    assert (code, took < 2) == (143, True), (err, took)
    after = rows_of(tmp_path / "s")
    assert f"Stopped after {len(after)} of 800 runs: the same command does the rest" in err
    assert {run: after[run] for run in before} == before
    assert len(after) > len(before)


def test_ctrl_c_ends_the_processes(backpulse, file, processes):
    def begun():
        return Path("s", JOURNAL).exists() and Path("s", JOURNAL).stat().st_size > 5000

    before = multiprocessing.active_children()
    with sent((signal.SIGINT, 0.0), once=begun) as times:
        code, _, err = backpulse("sweep", file(200), "--workers", 2)
        took = time.monotonic() - times[0]
    assert (code, took < 2) == (130, True), (err, took)
    assert f"Stopped after {len(rows_of(Path('s')))} of 800 runs" in err
    assert set(multiprocessing.active_children()) <= set(before)


def test_failed_runs_are_told_and_done_again(backpulse, file, monkeypatch):
    with monkeypatch.context() as patched:

        def trouble(run, stop):
            if run.settings.seed == 1:
                raise MemoryError if run.settings.lr == 1.0 else InputError("There is something with it")
            return do(run, stop)

        patched.setattr(sweep_run, "do", trouble)
        code, out, err = backpulse("sweep", file(3), "--workers", 1, "--json", "r.json")
    assert (code, out.count("2 of 3")) == (1, 4)
    assert "Failed: progressive-exact, lr 0.5, seed 1 and 1 more run: There is something with it" in err
    assert "Failed: progressive-exact, lr 1, seed 1 and 1 more run: There is not enough memory for this" in err
    assert err.splitlines()[-1].startswith("Error: 4 of 12 runs failed: the others are kept, and the same command tries these again")
    assert [one["settings"]["seed"] for one in json.loads(Path("r.json").read_text())["failed"]] == [1] * 4
    assert len(rows_of(Path("s"))) == 8
    assert backpulse("sweep", file(3), "--workers", 1)[0] == 0
    assert len(rows_of(Path("s"))) == 12


def test_the_run_that_kills_a_process_is_found(monkeypatch):
    monkeypatch.setattr(sweep_pool, "attempt", deadly.attempt)
    with sweep_pool._Processes(2) as processes:
        outcomes = list(sweep_pool._through(processes.submit, deque(runs_of(9)), 4, Stop()))
    assert sorted(outcome.run.settings.seed for outcome in outcomes) == list(range(9))
    failed = {outcome.run.settings.seed: outcome.error for outcome in outcomes if outcome.error}
    assert set(failed) == set(deadly.DEADLY)
    assert "The process that did it died" in failed[2]
    assert os.getpid() not in {outcome.result.get("pid") for outcome in outcomes}


def test_a_full_disk_keeps_what_was_done(backpulse, file, monkeypatch):
    class Full:
        def __init__(self, journal):
            self.journal, self.left = journal, 5

        def write(self, line):
            self.left -= 1
            return self.journal.write(line if self.left else line[:50])

        def __getattr__(self, name):
            return getattr(self.journal, name)

    locked = Store._locked
    with monkeypatch.context() as patched:
        patched.setattr(Store, "_locked", lambda store: Full(locked(store)))
        code, _, err = backpulse("sweep", file(3), "--workers", 1)
    assert (code, rows_of(Path("s"))) == (3, {})
    assert "The folder s cannot be written: no space left on device: make room there" in err
    code, _, err = backpulse("sweep", file(3), "--workers", 1)
    assert (code, "4 of 12 runs are in s" in err, len(rows_of(Path("s")))) == (0, True, 12)


def test_a_part_that_cannot_be_written_is_in_the_journal(monkeypatch, tmp_path):
    runs = runs_of(3)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sweep():
        with Store(tmp_path) as store:
            do_missing(runs, store, workers=1)

    with monkeypatch.context() as patched:
        patched.setattr(parquet, "write_table", full)
        with pytest.raises(StorageError, match=r"The part .* cannot be written: no space left"):
            sweep()
    assert [path.name for path in tmp_path.iterdir()] == [JOURNAL]
    with Store(tmp_path) as store:
        assert list(store.rows) == [run.identity for run in runs]
    assert len(rows_of(tmp_path)) == 3


def test_folders_that_are_none(backpulse, file, tmp_path):
    with Store(tmp_path / "s"):
        code, _, err = backpulse("sweep", file(1))
    assert (code, "Another sweep writes to the folder s: wait for its end, or choose another folder" in err) == (2, True)
    (tmp_path / "s" / "part-00001.parquet").write_bytes(b"PAR1 nothing")
    code, _, err = backpulse("sweep", file(1))
    assert (code, "s/part-00001.parquet is no part of a sweep, or damaged: remove it" in err) == (2, True)
    (tmp_path / "f").touch()
    code, _, err = backpulse("sweep", file(1), "--out", "f")
    assert (code, "The folder f cannot be made: file exists: choose another" in err) == (2, True)


@pytest.mark.parametrize(("package", "options"), [("pyarrow", []), ("distributed", ["--scheduler", "tcp://127.0.0.1:1"])])
def test_a_missing_package_is_named_with_what_brings_it(backpulse, file, monkeypatch, package, options):
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = backpulse("sweep", file(1), *options)
    assert (code, f"({package} is missing): {install('sweep')}" in err) == (2, True)
    assert backpulse("compare", "--dataset", "iris", "--layers", "4-3", "--epochs", 1, "--seeds", 1, "--schedules", "software")[0] == 0


def test_options_that_say_nothing(backpulse, file):
    for options, sentence in (
        (["--workers", 2, "--scheduler", "tcp://a:1"], "--workers is about this computer, and --scheduler about others"),
        (["--scheduler", "nonsense"], "No Dask scheduler answers at nonsense: give the address"),
        (["--heat-map", "m.txt"], "--heat-map must name a .png, .svg or .pdf file, not m.txt"),
        (["--json", "s.toml"], "--json s.toml would write over the file of FILE"),
    ):
        code, _, err = backpulse("sweep", file(1), *options)
        assert (code, sentence in err) == (2, True), err

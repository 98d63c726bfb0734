"""Sweeps of 200 short runs of digits: on one core, on two, on a Dask cluster, and killed twice (`make bench`).

Times are ratios of one run, medians of rounds that go through all ways one after the other. The digests of all ways must be the same.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from distributed import LocalCluster
from rich.console import Console
from rich.table import Table

from backpulse.host.settings import Settings
from backpulse.host.sweep import plan
from backpulse.host.sweep_pool import execute
from backpulse.host.sweep_run import Outcome, Run, attempt
from backpulse.host.sweep_store import JOURNAL, Row

RATES, SEEDS, EPOCHS = [0.05 * (k + 1) for k in range(10)], list(range(20)), 40
"""A run of so many epochs takes a tenth of a second."""
TARGET = 1.7
"""Least speed of two processes over one."""
KILLED_AT = (50, 120)
"""Runs done at which a sweep is killed."""
SWEEP = f"""
epochs = {EPOCHS}
[settings]
dataset = "digits"
layers = "64-32-10"
[grid]
lr = {RATES}
seed = {SEEDS}
"""


def digests(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """Return the digest of each run."""
    return {outcome.run.identity: outcome.result["conductance_digest"] for outcome in outcomes}


def timed(runs: list[Run], workers: int | None = None, scheduler: str | None = None) -> tuple[float, dict[str, str]]:
    """Return how long all runs took in one way, and their digests."""
    begun = time.perf_counter()
    found = digests(execute(runs, workers=workers, scheduler=scheduler))
    return time.perf_counter() - begun, found


def kept(folder: Path) -> dict[str, Row]:
    """Return the rows that a folder keeps, in parts and in the journal."""
    rows = {one["run"]: one for part in folder.glob("part-*.parquet") for one in parquet.read_table(part).to_pylist()}
    journal = folder / JOURNAL
    for line in journal.read_bytes().split(b"\n")[:-1] if journal.exists() else ():
        one = json.loads(line)
        rows[one["run"]] = one
    return rows


def killed(folder: Path) -> tuple[list[int], dict[str, str]]:
    """Do the sweep as a command that is killed twice and started again; return the runs done at each kill, and all digests.

    A row holds the time that its run took, so a row that stays the same is a run that was not done again.
    """
    (folder / "digits.toml").write_text(SWEEP)
    command = [sys.executable, "-m", "backpulse", "sweep", "digits.toml", "--workers", "2"]
    before: dict[str, Row] = {}
    found = []
    for most in (*KILLED_AT, 0):
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONPATH": os.getcwd()}, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            time.sleep(0.02)
            if most and len(kept(folder / "digits")) >= most:
                process.send_signal(signal.SIGKILL)
        after = kept(folder / "digits")
        again = [run for run, one in before.items() if after[run] != one]
        if again or (most and process.returncode != -signal.SIGKILL):
            raise SystemExit(f"{len(again)} finished runs were done again, or the command ended by itself ({process.returncode})")
        before = after
        found.append(len(after))
    return found, {run: one["conductance_digest"] for run, one in before.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    settings = [Settings(dataset="digits", layers="64-32-10", lr=lr, seed=seed) for lr in RATES for seed in SEEDS]
    runs, _ = plan(settings, EPOCHS)
    for _ in range(2):
        attempt(runs[0])  # compiles, or loads what is compiled
    seconds: dict[str, list[float]] = {}
    every = []
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    local: Any = LocalCluster(**options)
    with local as cluster:
        ways: dict[str, Any] = {
            "one process": {"workers": 1},
            "two processes": {"workers": 2},
            "Dask, two": {"scheduler": cluster.scheduler_address},
        }
        for _ in range(arguments.rounds):
            for name, where in ways.items():
                took, found = timed(runs, **where)
                seconds.setdefault(name, []).append(took)
                every.append(found)
    with tempfile.TemporaryDirectory() as folder:
        kills, found = killed(Path(folder))
    every.append(found)
    same = all(found == every[0] for found in every) and len(every[0]) == len(runs)
    speed = {
        name: statistics.median(one / here for one, here in zip(seconds["one process"], took, strict=True))
        for name, took in seconds.items()
    }
    table = Table(f"{len(runs)} runs of digits, {EPOCHS} epochs", "seconds", "speed", "target")
    for name, took in seconds.items():
        target = f"at least {TARGET}" if name == "two processes" else ""
        table.add_row(name, f"{statistics.median(took):.1f}", f"{speed[name]:.2f}", target)
    Console().print(table)
    print(f"Killed with {kills[0]} and {kills[1]} runs done, of which none was done again; {kills[2]} in the end")
    print(f"Digests of {len(every)} sweeps: {'all the same' if same else 'NOT THE SAME'}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": seconds, "speed": speed, "killed": kills, "same": same}, indent=2) + "\n")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

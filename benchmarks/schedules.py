"""The grid of schedules behind docs/learning.md: every run on the golden model (`make schedules`, resumable).

Each finished run is one JSON line of RESULTS; started again, only what is missing is done. The means go to docs/schedules.json, and
from there to the page (`benchmarks/schedules_page.py`).
"""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import chain, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.config import ABI_VERSION, Config
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import LOSS_FRAC
from backpulse.host.board import Board, Tell
from backpulse.host.departure import DRIFTING, EARLY_SAMPLES
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.training import Event, Trainer
from backpulse.host.urls import board_config

from .schedules_page import summarise, write

RESULTS = Path(__file__).parents[1] / "build" / f"schedules-abi{ABI_VERSION}.jsonl"
"""Runs of another version of the machine are other runs."""
EPOCHS = 10
WORKERS = 2
SCHEDULES = (SOFTWARE, DEFAULT_SCHEDULE, DRIFTING)
WIDTHS, DEPTHS, SEEDS = (32, 64, 128, 256), (1, 2, 3, 4), (1, 2, 3, 4, 5)
RATES = {"sigmoid": (0.25, 0.5, 1.0), "tanh": (0.02, 0.05, 0.1), "relu": (0.02, 0.05, 0.1)}
KEY = ("dataset", "loss", "layers", "activation", "lr", "seed", "schedule")
"""What tells a run from the others."""
COUNTERS = ("STEPS", "PULSES_UP", "PULSES_DOWN", "PULSES_CLIPPED", "SENSE_CLIPPED", "VECTOR_SATURATED")


class NearBoard(Board):
    """A golden board whose cells are copied in memory: over the link those of a wide network take as long as three epochs."""

    def __init__(self, config: Config) -> None:
        machine = GoldenMachine(config)
        port = GoldenPort(machine)
        super().__init__(Link(port), port.close)
        self._cells = machine.memory.cells

    def read_cells(self, report: Tell | None = None) -> np.ndarray:
        """Return all cells: int16 of shape (rows of all tiles, columns)."""
        return self._cells.astype(np.int16)

    def write_cells(self, cells: np.ndarray, report: Tell | None = None) -> None:
        """Write all cells."""
        self._cells[:] = cells


def text(width: int, depth: int) -> str:
    """Return the layers of the digits' network with `depth` hidden layers of one width."""
    return "-".join(map(str, (64, *[width] * depth, 10)))


def points(widths: Iterable[int], rates: dict[str, tuple[float, ...]]) -> Iterator[Settings]:
    """Yield the points of a grid, as the Settings of one of their runs."""
    for width, depth, (activation, some) in product(widths, DEPTHS, rates.items()):
        for lr in some:
            yield Settings(layers=text(width, depth), activation=activation, lr=lr)


def steep() -> Iterator[Settings]:
    """Yield points beyond the grid's rates, where tanh and relu depart too: the rule is fitted on the grid and on them."""
    yield from points((32, 128), {"tanh": (0.2, 0.4, 0.8), "relu": (0.2, 0.4, 0.8)})


def beside() -> Iterator[Settings]:
    """Yield points of other widths and rates, which the rule is fitted on too."""
    yield from points((48, 96, 192), {"sigmoid": (0.35, 0.7), "tanh": (0.03, 0.07), "relu": (0.03, 0.07)})
    yield from points((48, 96), {"tanh": (0.15, 0.3), "relu": (0.15, 0.3)})


def further() -> Iterator[Settings]:
    """Yield points of still other widths and rates: earlier forms of the rule were tried on them, the present one is fitted to them."""
    yield from points((40, 80, 160), {"sigmoid": (0.3, 0.6), "tanh": (0.08, 0.25), "relu": (0.04, 0.12)})


def tried() -> Iterator[Settings]:
    """Yield the points of tanh that the last of the earlier forms was tried on; the present one is fitted to them, too."""
    yield from points((56, 112), {"tanh": (0.06, 0.12, 0.5)})


def fresh() -> Iterator[Settings]:
    """Yield points that were run when the rule was settled, and that it is tried on: widths and rates that occur nowhere else."""
    yield from points((56, 112), {"sigmoid": (0.2, 0.4, 0.8), "relu": (0.06, 0.16, 0.25)})
    yield from points((72, 144), {"tanh": (0.09, 0.18, 0.35)})


def elsewhere() -> Iterator[Settings]:
    """Yield points of another kind, to see how far the rule carries: layers of unequal width, cross-entropy, other data."""
    for layers, lr in product(("64-128-32-10", "64-32-128-10", "64-256-64-10", "64-64-256-10", "64-64-16-10"), RATES["sigmoid"]):
        yield Settings(layers=layers, lr=lr)
    for layers, lr in product(("64-32-10", "64-96-10", "64-32-32-10", "64-96-96-10"), (0.02, 0.05, 0.1, 0.2)):
        yield Settings(layers=layers, loss="cross-entropy", lr=lr)
    others = (("breast-cancer", "30-{}-2"), ("wine", "13-{}-3"))
    for (dataset, layers), hidden, lr in product(others, ("64", "128", "32-32", "64-64"), (0.5, 1.0)):
        yield Settings(dataset=dataset, layers=layers.format(hidden), lr=lr)


def parts() -> dict[str, list[Settings]]:
    """Return the runs of the grid and of the points around it, by the part's name."""

    def runs(some: Iterable[Settings], seeds: tuple[int, ...], names: tuple[str, ...]) -> list[Settings]:
        return [p.changed(seed=seed, schedule=name) for p in some for seed in seeds for name in names]

    pair = (SOFTWARE, DRIFTING)
    return {
        "grid": runs(points(WIDTHS, RATES), SEEDS, SCHEDULES),
        "steep": runs(steep(), SEEDS[:3], pair),
        "beside": runs(beside(), (6, 7, 8), pair),
        "further": [*runs(further(), (9, 10, 11), pair), *runs(tried(), (12, 13, 14), pair)],
        "fresh": runs(fresh(), (12, 13, 14), pair),
        "elsewhere": runs(elsewhere(), (6, 7, 8), pair),
    }


def twins() -> list[Settings]:
    """Return `deferred` runs at one point of each size of the grid, to be compared with the default schedule's."""
    sizes = len(WIDTHS) * len(DEPTHS)
    every = list(points(WIDTHS, RATES))
    return [every[len(every) // sizes * n + n % (len(every) // sizes)].changed(schedule="deferred") for n in range(sizes)]


def key(settings: Settings) -> str:
    """Return what tells a run from the others, as one text."""
    return json.dumps([getattr(settings, name) for name in KEY])


def run(settings: Settings) -> dict[str, Any]:
    """Train once and return what a line keeps: accuracy and loss of each epoch; of an array, counters, digest and full cells too."""
    config = board_config(settings.network, settings.device_model)
    data = prepare(settings, config.drive_max)
    line: dict[str, Any] = {name: getattr(settings, name) for name in KEY}
    if settings.schedule == SOFTWARE:
        result = train_software(settings, data, EPOCHS, config.drive_max)
        return line | {name: result[name] for name in ("test_accuracy", "train_loss")}
    counters: dict[str, list[int]] = {name: [] for name in COUNTERS}

    def watch(event: Event) -> None:
        if event.phase == "epoch":
            for name, totals in counters.items():
                totals.append(event.position.totals[name])

    early = min(EARLY_SAMPLES, len(data.train))
    with NearBoard(config) as board:
        trainer = Trainer(board, settings, EPOCHS, data=data, watch=watch)
        trainer.train_part(early)
        loss = trainer.position.totals["LOSS"] / (2 << LOSS_FRAC) / early
        trainer.run()
        result, cells = trainer.result(), board.read_cells()
    bound = round(settings.device_model.bound_up * (1 << config.cell_frac))
    weights = sum(n * settings.network.inputs(layer) for layer, n in enumerate(settings.network.layers[1:], 1))
    return line | {
        **{name: result[name] for name in ("test_accuracy", "train_loss", "conductance_digest")},
        "early_loss": loss,
        "counters": counters,
        "full_cells": np.count_nonzero(np.abs(cells.astype(int)) >= bound) / weights,
    }


def finished(file: Path) -> dict[str, dict[str, Any]]:
    """Return the runs of a file by key; a line that was cut off is left out."""
    runs = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            one = json.loads(line)
        except json.JSONDecodeError:
            continue
        runs[json.dumps([one[name] for name in KEY])] = one
    return runs


def run_all(wanted: list[Settings], file: Path, *, workers: int = WORKERS) -> dict[str, dict[str, Any]]:
    """Do the runs that a file lacks, the small networks first, and return all that are wanted by key."""
    done = finished(file)
    missing = sorted((s for s in wanted if key(s) not in done), key=lambda s: sum(np.multiply(s.network.layers[1:], s.network.layers[:-1])))
    file.parent.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Spawned, not forked: the progress bar has a thread.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=os.nice, initargs=(5,))
    with Progress(*columns) as progress, pool, file.open("a") as lines:
        if file.stat().st_size and not file.read_bytes().endswith(b"\n"):
            lines.write("\n")
        for future in progress.track(as_completed([pool.submit(run, s) for s in missing]), total=len(missing)):
            lines.write(json.dumps(future.result()) + "\n")
            lines.flush()
    done = finished(file)
    return {key(s): done[key(s)] for s in wanted}


def main() -> None:
    """Do what is missing, and write summary, pictures and section."""
    found = run_all([*chain.from_iterable(parts().values()), *twins()], RESULTS)
    digests = [[found[key(s.changed(schedule=name))]["conductance_digest"] for name in ("deferred", DEFAULT_SCHEDULE)] for s in twins()]
    summary = [point for name, runs in parts().items() for point in summarise(name, (found[key(s)] for s in runs))]
    write(summary, [first == second for first, second in digests])


if __name__ == "__main__":
    main()

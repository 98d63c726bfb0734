"""Training speed: golden model and virtual board against a plain NumPy loop, as ratios of one run (`make bench`).

Each round times all of them one after the other, so that a machine whose speed drifts drifts for all; the median of the rounds counts.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backpulse.host.settings import Prepared, Settings, prepare
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

SETTINGS = Settings(layers="64-32-10", dataset="digits", lr=0.5)
TARGETS = {"golden, ideal": 2.5, "golden, ECRAM": 1.0, "sim, ideal": 0.05}
CYCLES_TARGET = 400


def numpy_loop(data: Prepared, lr: float) -> float:
    """Return the steps per second of one epoch of online SGD as one writes it in NumPy."""
    x, t = data.x[data.train] / 128, data.t[data.train] / 128
    w1, w2 = (np.asarray(w) for w in SETTINGS.network.initial_weights(1))
    x = np.hstack([x, np.ones((len(x), 1))])
    hidden = np.ones(w1.shape[0] + 1)
    begun = time.perf_counter()
    for sample, target in zip(x, t, strict=True):
        hidden[:-1] = 1 / (1 + np.exp(-(w1 @ sample)))
        output = 1 / (1 + np.exp(-(w2 @ hidden)))
        d2 = (target - output) * output * (1 - output)
        d1 = (w2[:, :-1].T @ d2) * hidden[:-1] * (1 - hidden[:-1])
        w2 += lr * np.outer(d2, hidden)
        w1 += lr * np.outer(d1, sample)
    return len(x) / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for all, the virtual board's process too
    devices = {"ideal": SETTINGS, "ECRAM": SETTINGS.changed(device="ecram")}
    trainers, boards = {}, []
    for name in TARGETS:
        url, device = name.split(", ")
        settings = devices[device]
        boards.append(open_board(f"{url}://", config=board_config(settings.network, settings.device_model)))
        trainers[name] = Trainer(boards[-1], settings, 1)
    data = prepare(SETTINGS, boards[0].config.drive_max)
    rates: dict[str, list[float]] = {"NumPy": [], **{name: [] for name in trainers}}
    for round_number in range(arguments.rounds + 1):
        found = {"NumPy": numpy_loop(data, 0.5)}
        for name, trainer in trainers.items():
            trainer.position.place = 0
            trainer.train_seconds = 0.0
            samples = len(trainer.data.train)
            trainer.train_part(samples)
            found[name] = samples / trainer.train_seconds
        if round_number:  # the first compiles and warms up
            for name, rate in found.items():
                rates[name].append(rate)
    cycles = trainers["sim, ideal"].result()["cycles_per_step"]
    for board in boards:
        board.close()
    figures = {
        name: {
            "steps_per_second": statistics.median(values),
            "ratio_to_numpy": statistics.median(v / n for v, n in zip(values, rates["NumPy"], strict=True)),
            "target": TARGETS.get(name),
        }
        for name, values in rates.items()
    }
    table = Table("64-32-10, one core", "steps/s", "ratio to NumPy", "target")
    for name, figure in figures.items():
        target = f"at least {figure['target']}" if figure["target"] else ""
        table.add_row(name, f"{figure['steps_per_second']:,.0f}", f"{figure['ratio_to_numpy']:.3f}", target)
    table.add_row("RTL, cycles per step", f"{cycles:.1f}", "", f"at most {CYCLES_TARGET}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"speed": figures, "cycles_per_step": cycles}, indent=2) + "\n")


if __name__ == "__main__":
    main()

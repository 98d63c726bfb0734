"""Training speed of golden model and virtual board against a plain NumPy loop, cost a cell, and memory (`make bench`).

Each round times all of them one after the other on one core, so that a machine whose speed drifts drifts for all; the median of the
rounds counts. The large network trains on made-up images of MNIST's shape, three inputs in ten not zero, which do not fit the sample store.
"""

import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backpulse.firmware_py import machine
from backpulse.firmware_py.array import Array, Wires
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.datasets import Dataset
from backpulse.host.devices import text_of
from backpulse.host.settings import Prepared, Settings, prepare
from backpulse.host.software import SAMPLE_ONE
from backpulse.host.training import Trainer
from backpulse.host.urls import Address, board_config, open_board

DIGITS = Settings(layers="64-32-10", dataset="digits", lr=0.5)
IMAGES = Settings(layers="784-256-128-10", dataset="images", lr=0.1)
SIZE, CLASSES, TRAIN, TEST = 28, 10, 60_000, 1_000
"""Of the made-up images: pixels of an edge, classes, samples of the two parts."""
STEPS = 2_000
"""Of the large network in a round."""
EPOCHS = 10
"""Of digits in a round of NumPy and golden boards, as a run of `train` has many: one alone is six milliseconds."""
CASES = {
    "digits, golden, ideal": 10.0,
    "digits, golden, ECRAM": 7.0,
    "digits, sim, ideal": 0.05,
    "images, golden, ideal": 2.0,
    "images, golden, ECRAM": 2.0,
}
"""Least ratio to NumPy."""
TABLE, LINEAR, TABLE_TARGET = "digits, ECRAM as a table", "digits, golden, ECRAM", 0.8
"""The same device by its steps' table, and its least speed in that of the linear step."""
WIRED, WIRED_TARGET = "digits, wires of 2 Ω", 300
"""Pairs of columns in a tile of 128 x 32, each read solved anew; least steps per second."""
OUTSIDE = {"digits": 0.20, "images": 0.10}
"""Largest part of a golden board's time that is not the golden model's."""
CYCLES_TARGET = 400
CELLS = {"784-126-10": 400, "784-768-512-10": 40, "784-1536-1450-10": 12}
"""Networks of 100,000, 1 million and 3.5 million cells, with steps of each."""
CELLS_TARGET = 2.0
"""Largest cost of a cell and step, in those of the cheapest network."""
MEMORY_TARGET_MB = 600
TELLING = """
import atexit, pathlib
from backpulse.host.__main__ import main
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))))
main()
"""
"""The command, telling at its end how much memory it had at most: what its parent is told counts the parent's memory, too."""


def images() -> Dataset:
    """Return made-up images of MNIST's shape and number, three pixels in ten not zero, which differ by class in how often each is zero."""
    rng = np.random.default_rng(1)
    pixels = rng.integers(1, 256, (TRAIN + TEST, SIZE, SIZE), np.uint8)
    y = rng.integers(0, CLASSES, TRAIN + TEST)
    often = np.where(rng.random((CLASSES, SIZE, SIZE)) < 0.3, 0.45, 0.235).astype(np.float32)
    for k in range(CLASSES):
        mine = np.flatnonzero(y == k)
        pixels[mine] *= rng.random((len(mine), SIZE, SIZE), np.float32) < often[k]
    return Dataset(name="images", x=pixels, y=y, labels=[str(k) for k in range(CLASSES)], image=True, train_size=TRAIN)


def numpy_loop(data: Prepared, settings: Settings, steps: int, epochs: int) -> float:
    """Return the steps per second of online SGD as one writes it in NumPy, in float64: sigmoid, squared error, a bias in each layer."""
    chosen = data.train[:steps]
    x, t = data.x[chosen] / SAMPLE_ONE, data.t[chosen] / SAMPLE_ONE
    first, *others = (np.asarray(w) for w in settings.network.initial_weights(1))
    x = np.hstack([x, np.ones((len(x), 1))])
    layers = [(w, np.ones(w.shape[1])) for w in others]
    backward = layers[::-1]
    begun = time.perf_counter()
    for sample, target in chain.from_iterable(repeat(list(zip(x, t, strict=True)), epochs)):
        z = first @ sample
        for w, a in layers:
            a[:-1] = 1 / (1 + np.exp(-z))
            z = w @ a
        output = 1 / (1 + np.exp(-z))
        d = (target - output) * output * (1 - output)
        for w, a in backward:
            below = (w[:, :-1].T @ d) * a[:-1] * (1 - a[:-1])
            w += settings.lr * np.outer(d, a)
            d = below
        first += settings.lr * np.outer(d, sample)
    return epochs * len(x) / (time.perf_counter() - begun)


@dataclass
class Clock:
    """Seconds in `golden.execute`, as the golden machine calls it."""

    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what is called in the body."""
        execute = machine.execute

        def timed(*arguments: object) -> int:
            begun = time.perf_counter()
            try:
                return execute(*arguments)
            finally:
                self.seconds += time.perf_counter() - begun

        machine.execute = timed
        try:
            yield
        finally:
            machine.execute = execute


@dataclass
class Case:
    """A network on a board, trained some steps of some epochs a round."""

    trainer: Trainer
    steps: int
    epochs: int = 1
    rates: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    """Part of the time that is not the golden model's."""

    @classmethod
    def of(cls, url: str, settings: Settings, data: Prepared, steps: int, epochs: int = 1, array: Array | None = None) -> "Case":
        """Open a board, perhaps with an array behind it, and load it."""
        config = board_config(settings.network, settings.device_model, array=array)
        board = open_board(Address(url, array), config=config)
        return cls(Trainer(board, settings, 1, data=data), steps, epochs)

    def round(self) -> None:
        """Train on the next samples, or anew for some epochs with their tests, as `backpulse train` does; the time is that of training."""
        if self.epochs > 1:  # the more a network has learnt, the fewer pulses it gets
            old = self.trainer
            self.trainer = Trainer(old.board, old.settings, self.epochs, data=old.data)
        trainer, position, clock = self.trainer, self.trainer.position, Clock()
        trainer.train_seconds = 0.0
        for epoch in range(self.epochs):
            if epoch:
                trainer.board.evaluate(trainer.program, trainer.data.test, trainer.settings.seed)
            if position.place + self.steps > len(trainer.data.train):
                position.place = 0
            with clock.running():
                trainer.train_part(self.steps)
        self.rates.append(self.epochs * self.steps / trainer.train_seconds)
        self.outside.append(1 - clock.seconds / self.trainer.train_seconds)


def speed(rounds: int, data: dict[str, Prepared], console: Console) -> dict:
    """Measure steps per second, print a table and return its figures."""
    settings, steps = {"digits": DIGITS, "images": IMAGES}, {"digits": len(data["digits"].train), "images": STEPS}
    epochs, cases = {"digits": EPOCHS, "images": 1}, {}
    for name in CASES:
        kind, board, device = name.split(", ")
        many = epochs[kind] if board == "golden" else 1
        cases[name] = Case.of(f"{board}://", settings[kind].changed(device=device.lower()), data[kind], steps[kind], many)
    cases[WIRED] = Case.of("golden://", DIGITS, data["digits"], steps["digits"], array=Array(wires=Wires(row_ohm=2.0, col_ohm=2.0)))
    tables = DIGITS.changed(device=text_of(TableDevice.of_linear(PRESETS["ecram"]), "the preset"))
    cases[TABLE] = Case.of("golden://", tables, data["digits"], steps["digits"], EPOCHS)
    reference: dict[str, list[float]] = {kind: [] for kind in settings}
    for _ in range(rounds + 1):
        for kind, rates in reference.items():
            rates.append(numpy_loop(data[kind], settings[kind], steps[kind], epochs[kind]))
            for name, case in cases.items():
                if name.startswith(kind):
                    case.round()
    table = Table(f"{DIGITS.layers} and {IMAGES.layers}, one core", "steps/s", "ratio to NumPy", "outside execute")
    figures: dict = {}
    for kind, rates in reference.items():
        figures[f"{kind}, NumPy"] = {"steps_per_second": statistics.median(rates[1:])}
        table.add_row(f"{kind}, NumPy", f"{statistics.median(rates[1:]):,.0f}")
    for name, case in cases.items():
        kind = name.split(", ")[0]
        # The first round compiles and warms up.
        ratio = statistics.median(v / n for v, n in zip(case.rates[1:], reference[kind][1:], strict=True))
        outside = None if "sim" in name else statistics.median(case.outside[1:])
        rate = statistics.median(case.rates[1:])
        if name == TABLE:
            share = statistics.median(v / w for v, w in zip(case.rates[1:], cases[LINEAR].rates[1:], strict=True))
            figures[name] = {"steps_per_second": rate, "ratio_to_linear": share, "target": TABLE_TARGET}
            table.add_row(name, f"{rate:,.0f}", f"{share:.3g} of the linear step's (at least {TABLE_TARGET})")
            continue
        if name == WIRED:
            figures[name] = {"steps_per_second": rate, "target": WIRED_TARGET}
            table.add_row(name, f"{rate:,.0f} (at least {WIRED_TARGET})", f"{ratio:.3g}")
            continue
        figures[name] = {"steps_per_second": rate, "ratio_to_numpy": ratio, "target": CASES[name], "outside_execute": outside}
        share = "" if outside is None else f"{100 * outside:.1f} % (at most {100 * OUTSIDE[kind]:.0f})"
        table.add_row(name, f"{rate:,.0f}", f"{ratio:.3g} (at least {CASES[name]:g})", share)
    cycles = cases["digits, sim, ideal"].trainer.result()["cycles_per_step"]
    table.add_row("RTL, cycles per step", f"{cycles:.1f} (at most {CYCLES_TARGET})")
    console.print(table)
    for case in cases.values():
        case.trainer.board.close()
    return {"speed": figures, "cycles_per_step": cycles}


def cost_of_cells(rounds: int, source: Dataset, console: Console) -> dict:
    """Measure what a cell costs in a step, by size of the network; print a table and return its figures."""
    table = Table("784 inputs", "cells", "loading, s", "ps a cell and step", f"ratio (at most {CELLS_TARGET:g})")
    figures: dict = {}
    for device in ("ideal", "ecram"):
        found = {}
        for layers, steps in CELLS.items():
            settings = IMAGES.changed(layers=layers, device=device)
            begun = time.perf_counter()
            case = Case.of("golden://", settings, prepare(settings, 127, dataset=source), steps)
            loading = time.perf_counter() - begun
            for _ in range(rounds + 1):
                case.round()
            case.trainer.board.close()
            cells = settings.network.weights
            found[layers] = {"cells": cells, "loading_s": loading, "ps": 1e12 / statistics.median(case.rates[1:]) / cells}
        least = min(figure["ps"] for figure in found.values())
        for layers, figure in found.items():
            row = (f"{figure['cells']:,}", f"{figure['loading_s']:.1f}", f"{figure['ps']:.0f}", f"{figure['ps'] / least:.2f}")
            table.add_row(f"{layers}, {device}", *row)
        figures[device] = found
    console.print(table)
    return figures


def write_idx(folder: Path, source: Dataset) -> None:
    """Write images as MNIST's files are."""
    for part, which in (("train", slice(TRAIN)), ("t10k", slice(TRAIN, None))):
        for what, array in (("images-idx3", source.x[which].reshape(-1, SIZE, SIZE)), ("labels-idx1", source.y[which].astype(np.uint8))):
            head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{part}-{what}-ubyte").write_bytes(head + array.tobytes())


def peak_memory(source: Dataset, console: Console) -> dict:
    """Measure the largest memory of `backpulse train`, print a table and return its figures in MB."""
    table, figures = Table("backpulse train, one epoch", "largest memory, MB"), {}
    with tempfile.TemporaryDirectory() as folder:
        write_idx(Path(folder), source)
        for name, settings, data in (("digits", DIGITS, "digits"), ("images", IMAGES, folder)):
            options = ["--dataset", data, "--layers", settings.layers, "--lr", str(settings.lr), "--epochs", "1", "--json", "-"]
            run = subprocess.run([sys.executable, "-c", TELLING, "train", *options], capture_output=True, text=True, check=False)
            if run.returncode:
                raise SystemExit(f"backpulse train on {name} failed: {run.stderr.strip()}")
            figures[name] = int(run.stdout.split()[-2]) / 1024
            table.add_row(f"{name}, {settings.layers}", f"{figures[name]:.0f} (at most {MEMORY_TARGET_MB})")
    console.print(table)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core for all, the virtual board's process too
    console, source = Console(), images()
    unit = 127
    data = {"digits": prepare(DIGITS, unit), "images": prepare(IMAGES, unit, dataset=source)}
    figures = speed(arguments.rounds, data, console)
    figures |= {"cells": cost_of_cells(min(3, arguments.rounds), source, console), "memory_mb": peak_memory(source, console)}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

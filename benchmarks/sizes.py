"""What a network's size costs, from 100 thousand cells to 3.5 million: each step of a run, as time per cell (`make bench`).

What grows with the cells keeps its time per cell; what grows faster shows as a ratio above 1. Times are of the process, not of the clock on
the wall, so that what else a machine does counts little; of several rounds the fastest counts.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.image import initial_cells
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint, program_digest
from backpulse.host.datasets import Dataset
from backpulse.host.settings import Settings, prepare
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

NETWORKS = ("256-256-128-10", "784-1024-256-10", "1200-1200-1200-512-10")
SAMPLES = 60
"""Of random bytes; four of five train."""
TARGET = 2.0
"""Most that the time per cell may grow from the smallest to the largest network."""
COMPILE_TARGET_S = 2.0
"""Most that compiling the largest takes."""


def measure(layers: str, device: str, rounds: int, folder: Path) -> dict[str, float]:
    """Return the seconds of each step, and the cells."""
    settings = Settings(layers=layers, device=device)
    network = settings.network
    rng = np.random.RandomState(1)
    x, y = rng.randint(0, 255, (SAMPLES, network.layers[0])), np.arange(SAMPLES) % 10
    data = Dataset(name="random", x=x, y=y, labels=[str(k) for k in range(10)], image=True)
    config = board_config(network, settings.device_model)
    prepared = prepare(settings, config.drive_max, dataset=data)
    found: dict[str, float] = {"cells": network.weights}

    def timed(name: str, work: Callable[..., Any], *arguments: object) -> Any:
        begun = time.process_time()
        result = work(*arguments)
        found[name] = min(found.get(name, np.inf), time.process_time() - begun)
        return result

    def train(board: Board) -> Trainer:
        return Trainer(board, settings, 1, data=prepared)

    for _ in range(rounds):
        timed("configuration", board_config, network, settings.device_model)
        program: Program = timed("compile", settings.compile, config)
        timed("listing", program.listing)
        timed("figures", lambda program: (program.error_vectors_held, program.cycles_per_step), program)
        timed("program's digest", program_digest, program)
        timed("initial cells", initial_cells, program, settings.device_model, settings.seed)
        timed("spread words", settings.device_model.spread_words, config, settings.seed)
        with open_board("golden://", config=config) as board:
            trainer: Trainer = timed("load", train, board)
            trainer.train_part(2)  # compiles
            timed("training", trainer.train_part, len(prepared.train) - 2)
            timed("read cells", board.read_cells)
            timed("save a checkpoint", trainer.checkpoint().save, folder / "run.npz")
            timed("load a checkpoint", Checkpoint.load, folder / "run.npz")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="ideal")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = [measure(layers, arguments.device, arguments.rounds, Path(folder)) for layers in NETWORKS]
    table = Table(f"{arguments.device} device", *(f"{size['cells']:,.0f} cells" for size in sizes), "per cell, last over first")
    for name in [name for name in sizes[0] if name != "cells"]:
        per_cell = [size[name] / size["cells"] for size in sizes]
        table.add_row(name, *(f"{size[name]:.3f} s" for size in sizes), f"{per_cell[-1] / per_cell[0]:.2f}")
    Console().print(table)
    print(f"Targets: at most {TARGET:g} times the time per cell; the last compiles in at most {COMPILE_TARGET_S:g} s.")
    if arguments.json:
        arguments.json.write_text(json.dumps({"device": arguments.device, "sizes": sizes}, indent=2) + "\n")


if __name__ == "__main__":
    main()

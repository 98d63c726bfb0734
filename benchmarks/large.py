"""Large and deep networks in docs/learning.md (`make large`): Fashion-MNIST and ten layers, every schedule, beside `software`.

Runs are kept in build/large; started again, only what is missing is done. Times are of the processor, not of the clock on the wall, so
that what else a computer does counts little.
"""

import sys
from collections.abc import Iterable, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, SCHEDULES
from backpulse.host.cli_map import do_all
from backpulse.host.errors import HostError
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.sweep_view import duration

from .table import EARLY, EPOCHS, PAGE, SEEDS, cell, table, with_section

FOLDER = Path(__file__).parents[1] / "build" / "large"
MARKS = "<!-- large: begin -->", "<!-- large: end -->"
TILE = "128x32"
FASHION = Settings(dataset="fashion-mnist", layers="784-256-128-10", lr=0.1)
FASHION_EPOCHS = (1, 3, 10)
"""Epochs that the table shows; the last one ends the runs."""
DEEP = Settings(layers="64-" + "32-" * 9 + "10", activation="tanh")
DEEP_EPOCHS = (EARLY, EPOCHS)
DEEP_RATES = (0.02, 0.05)
WAYS = ((SOFTWARE, "ideal"), *product(SCHEDULES, ("ideal", "ecram")))
"""Schedules and devices; `software` has no device."""
FIRST = ((SOFTWARE, "ideal"), (DEFAULT_SCHEDULE, "ideal"))
"""Run before the others: between them stands what is asked."""
FASHION_WITHIN, DEEP_WITHIN = 1.0, 1.5
"""Points below `software` that the default schedule may be, on the ideal device."""
Row = dict[str, Any]
"""What a run came to, as in a part of a sweep."""


def ways(settings: Settings, some: Iterable[tuple[str, str]]) -> list[Settings]:
    """Return the settings with other schedules and devices."""
    return [settings.changed(schedule=schedule, device=device) for schedule, device in some]


def seeds(one: Settings, lr: float) -> list[Settings]:
    """Return the runs of the deep network at a rate, one a seed."""
    return [one.changed(lr=lr, seed=seed) for seed in SEEDS]


def results(settings: Sequence[Settings], epochs: int) -> dict[Settings, Row]:
    """Do what is missing of some runs, and return all."""
    return dict(do_all(settings, epochs, TILE, FOLDER)[0])


def accuracies(rows: Iterable[Row], epoch: int) -> np.ndarray:
    """Return the test accuracies of runs after an epoch, in percent."""
    return np.array([100 * row["test_accuracy"][epoch - 1] for row in rows])


def time_cells(rows: Sequence[Row]) -> list[str]:
    """Return the cells about time, medians of runs: that of a run, and steps a second."""
    took = [row["cpu_seconds"] for row in rows]
    return [duration(float(np.median(took))), f"{np.median([row['steps'] / one for row, one in zip(rows, took, strict=True)]):,.0f}"]


TIME_HEADS = ("time of a run", "steps/s")


def fashion_table(done: dict[Settings, Row]) -> str:
    """Return the table of Fashion-MNIST."""
    reference = [done[one] for one in ways(FASHION, FIRST[:1])]
    last = FASHION_EPOCHS[-1]

    def cells(one: Settings) -> list[str]:
        if one not in done:
            return ["-"] * (len(FASHION_EPOCHS) + 1 + len(TIME_HEADS))
        found = [f"{accuracies([done[one]], epoch)[0]:.2f}" for epoch in FASHION_EPOCHS]
        points = accuracies([done[one]], last)[0] - accuracies(reference, last)[0]
        return [*found, "" if one.schedule == SOFTWARE else f"{points:+.2f}", *time_cells([done[one]])]

    heads = ["schedule", "device", *(f"epoch {epoch}" for epoch in FASHION_EPOCHS), "points from `software`", *TIME_HEADS]
    return table(heads, ([one.schedule, device_text(one), *cells(one)] for one in ways(FASHION, WAYS)))


def deep_table(done: dict[Settings, Row]) -> str:
    """Return the table of the deep network."""

    def cells(one: Settings) -> list[str]:
        found = [[done[run] for run in seeds(one, lr)] for lr in DEEP_RATES]
        shown = [cell(accuracies(rows, epoch)) for rows in found for epoch in DEEP_EPOCHS]
        return [*shown, *time_cells([*chain(*found)])]

    heads = ["schedule", "device", *(f"lr {lr:g}, epoch {epoch}" for lr in DEEP_RATES for epoch in DEEP_EPOCHS), *TIME_HEADS]
    return table(heads, ([one.schedule, device_text(one), *cells(one)] for one in ways(DEEP, WAYS)))


def device_text(one: Settings) -> str:
    """Return the device of a run, if it has one."""
    return "-" if one.schedule == SOFTWARE else one.device


def fashion_verdict(done: dict[Settings, Row]) -> str:
    """Return how near to `software` the default schedule is on Fashion-MNIST, in a sentence."""
    reference, exact = (accuracies([done[one]], FASHION_EPOCHS[-1])[0] for one in ways(FASHION, FIRST))
    return (
        f"`{DEFAULT_SCHEDULE}` on the ideal device is {points_text(exact - reference, FASHION_WITHIN)} after {FASHION_EPOCHS[-1]} epochs."
    )


def deep_verdict(done: dict[Settings, Row]) -> str:
    """Return how near to `software` the default schedule is in the deep network, in a sentence."""
    told = []
    for lr in DEEP_RATES:
        reference, exact = (accuracies([done[run] for run in seeds(one, lr)], DEEP_EPOCHS[-1]).mean() for one in ways(DEEP, FIRST))
        told.append(f"{points_text(exact - reference, DEEP_WITHIN)} at lr {lr:g}")
    return f"`{DEFAULT_SCHEDULE}` on the ideal device is {' and '.join(told)} after {DEEP_EPOCHS[-1]} epochs."


def points_text(points: float, within: float) -> str:
    """Return a distance from `software` beside the one that is allowed."""
    missed = "" if points >= -within else f", which misses what was wanted: at most {within:g} below"
    return f"{points:+.2f} points from `software`{missed}"


def section(fashion: dict[Settings, Row], deep: dict[Settings, Row]) -> str:
    """Return the section of the page."""
    return f"""
## Large: Fashion-MNIST

{FASHION.layers}, sigmoid, lr {FASHION.lr:g}, {FASHION_EPOCHS[-1]} epochs of 60,000 samples, one seed: test accuracy in percent, of 10,000
samples. Written by `make large` (`benchmarks/large.py`); data of Debian's package dataset-fashion-mnist.

{fashion_table(fashion)}

{fashion_verdict(fashion)} Times
of this section are those of the processor, on one core of the computer that wrote it, with loading and tests; `software` is a plain
compiled loop, and what a step costs beside NumPy `make bench` measures.

## Deep: ten layers

Digits, {DEEP.layers}: nine hidden layers of 32, {DEEP.activation}, {DEEP_EPOCHS[-1]} epochs, {len(SEEDS)} seeds.

{deep_table(deep)}

{deep_verdict(deep)}
"""


def main() -> None:
    """Do what is missing, and write the section when there is something to compare, and when all is done."""
    fashion = results(ways(FASHION, FIRST), FASHION_EPOCHS[-1])
    deep = results([run for lr in DEEP_RATES for one in ways(DEEP, WAYS) for run in seeds(one, lr)], DEEP_EPOCHS[-1])
    PAGE.write_text(with_section(PAGE.read_text(), section(fashion, deep), MARKS))
    fashion |= results(ways(FASHION, WAYS), FASHION_EPOCHS[-1])
    PAGE.write_text(with_section(PAGE.read_text(), section(fashion, deep), MARKS))


if __name__ == "__main__":
    try:
        main()
    except HostError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

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
from backpulse.host.comparing import do_all
from backpulse.host.errors import HostError
from backpulse.host.rates import best_epoch
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.view import Terminal

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
MORE_SEEDS = range(1, 41)
"""Of `software` and the default schedule: an epoch of so deep a network at these rates may lose ten points that the next one regains."""
VALIDATION = 0.1
"""Share of the training part that chooses the epoch that `--best` keeps."""
LOST = 90.0
"""Accuracy in percent below which an epoch of the second half counts as such."""
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


def seeds(one: Settings, lr: float, some: Iterable[int] = SEEDS) -> list[Settings]:
    """Return the runs of the deep network at a rate, one a seed."""
    return [one.changed(lr=lr, seed=seed) for seed in some]


def deep_runs() -> list[Settings]:
    """Return the runs of the deep network."""
    some = [run for lr in DEEP_RATES for one in ways(DEEP, WAYS) for run in seeds(one, lr)]
    more = [run for lr in DEEP_RATES for one in ways(DEEP, FIRST) for run in seeds(one, lr, MORE_SEEDS)]
    validated = [run.changed(validation=VALIDATION) for run in more]
    return list(dict.fromkeys([*some, *more, *validated]))


def results(settings: Sequence[Settings], epochs: int) -> dict[Settings, Row]:
    """Do what is missing of some runs, and return all."""
    return dict(do_all(settings, epochs, TILE, FOLDER, Terminal())[0])


def accuracies(rows: Iterable[Row], epoch: int) -> np.ndarray:
    """Return the test accuracies of runs after an epoch, in percent."""
    return np.array([100 * row["test_accuracy"][epoch - 1] for row in rows])


def time_cells(rows: Sequence[Row]) -> list[str]:
    """Return the cells about time, medians of runs: that of a run, and steps a second."""
    took = [row["cpu_seconds"] for row in rows]
    return [f"{np.median(took):.3g} s", f"{np.median([row['steps'] / one for row, one in zip(rows, took, strict=True)]):,.0f}"]


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
    """Return how near to `software` schedules are on Fashion-MNIST, in two sentences."""
    last = FASHION_EPOCHS[-1]
    (reference,), exact = ([accuracies([done[one]], last)[0] for one in ways(FASHION, [way])] for way in FIRST)
    far = min(done, key=lambda one: done[one]["test_accuracy"][last - 1])
    points = accuracies([done[far]], last)[0] - reference
    return (
        f"After {last} epochs `{DEFAULT_SCHEDULE}` on the ideal device is {points_text(exact[0] - reference, FASHION_WITHIN)}.\n"
        f"The farthest below it is `{far.schedule}` on the {far.device} device: {points:+.2f} points."
    )


def deep_verdict(done: dict[Settings, Row]) -> str:
    """Return how near to `software` the default schedule is in the deep network, in a sentence."""
    told = []
    for lr in DEEP_RATES:
        reference, exact = (accuracies([done[run] for run in seeds(one, lr)], EPOCHS).mean() for one in ways(DEEP, FIRST))
        told.append(f"at lr {lr:g} {points_text(exact - reference, DEEP_WITHIN)}")
    return f"After {EPOCHS} epochs `{DEFAULT_SCHEDULE}` on the ideal device is\n{'; '.join(told)}."


def lost_table(done: dict[Settings, Row]) -> str:
    """Return the table of more seeds: how sure a mean of last epochs is, and how many epochs of the second half are lost."""

    def cells(one: Settings, lr: float) -> list[str]:
        rows = [done[run] for run in seeds(one, lr, MORE_SEEDS)]
        last = accuracies(rows, EPOCHS)
        half = np.array([accuracies(rows, epoch) for epoch in range(EPOCHS // 2 + 1, EPOCHS + 1)])
        error = last.std(ddof=1) / len(last) ** 0.5
        return [f"{last.mean():.1f} ± {error:.1f}", f"{np.median(half):.1f}", f"{100 * (half < LOST).mean():.1f} %"]

    heads = ["schedule", "lr", f"epoch {EPOCHS}, mean and its standard error", f"median of epochs {EPOCHS // 2 + 1} to {EPOCHS}"]
    rows = ([one.schedule, f"{lr:g}", *cells(one, lr)] for lr in DEEP_RATES for one in ways(DEEP, FIRST))
    return table([*heads, f"of these below {LOST:g} %"], rows)


def kept(done: dict[Settings, Row], way: tuple[str, str], lr: float, some: Iterable[int]) -> np.ndarray:
    """Return the test accuracies in percent of the epochs with the lowest validation loss, one a seed."""
    (one,) = ways(DEEP, [way])
    rows = [done[run.changed(validation=VALIDATION)] for run in seeds(one, lr, some)]
    return np.array([accuracies([row], best_epoch(row["validation_loss"]))[0] for row in rows])


def kept_table(done: dict[Settings, Row]) -> str:
    """Return the table of the epochs that `--best` keeps, which are chosen without a look at the test part."""

    def cells(way: tuple[str, str], lr: float) -> list[str]:
        few, many = kept(done, way, lr, SEEDS), kept(done, way, lr, MORE_SEEDS)
        return [cell(few), f"{many.mean():.1f} ± {many.std(ddof=1) / len(many) ** 0.5:.1f}"]

    heads = ["schedule", "lr", f"{len(SEEDS)} seeds", f"{len(MORE_SEEDS)} seeds, mean and its standard error"]
    return table(heads, ([way[0], f"{lr:g}", *cells(way, lr)] for lr in DEEP_RATES for way in FIRST))


def kept_verdict(done: dict[Settings, Row], some: Sequence[int]) -> str:
    """Return the distance from `software` of the epochs that are kept."""
    told = []
    for lr in DEEP_RATES:
        reference, exact = (kept(done, way, lr, some) for way in FIRST)
        error = (exact - reference).std(ddof=1) / len(exact) ** 0.5
        told.append(f"at lr {lr:g} {points_text((exact - reference).mean(), DEEP_WITHIN)} (± {error:.2f})")
    return f"- {len(some)} seeds: {'; '.join(told)}."


def lost_verdict(done: dict[Settings, Row]) -> str:
    """Return the distance from `software` over more seeds, each beside the run of the same weights and order."""
    told = []
    for lr in DEEP_RATES:
        reference, exact = (accuracies([done[run] for run in seeds(one, lr, MORE_SEEDS)], EPOCHS) for one in ways(DEEP, FIRST))
        error = (exact - reference).std(ddof=1) / len(exact) ** 0.5
        told.append(f"{(exact - reference).mean():+.2f} ± {error:.2f} points at lr {lr:g}")
    return " and ".join(told)


def points_text(points: float, within: float) -> str:
    """Return a distance from `software` beside the one that is allowed."""
    missed = "" if points >= -within else f", more than the {within:g} below it that were wanted"
    return f"{points:+.2f} points from `software`{missed}"


def section(fashion: dict[Settings, Row], deep: dict[Settings, Row]) -> str:
    """Return the section of the page."""
    return f"""
## Large: Fashion-MNIST

{FASHION.layers}, sigmoid, lr {FASHION.lr:g}, {FASHION_EPOCHS[-1]} epochs of 60,000 samples, one seed: test accuracy in percent, of 10,000
samples. Written by `make large` (`benchmarks/large.py`); data of Debian's package dataset-fashion-mnist.

{fashion_table(fashion)}

{fashion_verdict(fashion)}
Times of this section are those of the processor, on one core of the computer that wrote it, with loading and tests; `software` is a
plain compiled loop, and what a step costs beside NumPy `make bench` measures.

## Deep: ten layers

Digits, {DEEP.layers}: nine hidden layers of 32, {DEEP.activation}, {EPOCHS} epochs, {len(SEEDS)} seeds.

{deep_table(deep)}

{deep_verdict(deep)}
Single epochs decide there: a network so deep loses many points in one and regains them in the next, in float64 too. The same over
{len(MORE_SEEDS)} seeds, with the share of such epochs:

{lost_table(deep)}

Seed by seed, `{DEFAULT_SCHEDULE}` after {EPOCHS} epochs is {lost_verdict(deep)} from `software`.

Who trains such a network keeps its best epoch, and lets a part of the training samples say which one that is
(`--validation {VALIDATION:g} --best FILE`). The test accuracy of that epoch:

{kept_table(deep)}

`{DEFAULT_SCHEDULE}` on the ideal device, seed by seed:

{kept_verdict(deep, SEEDS)}
{kept_verdict(deep, MORE_SEEDS)}
"""


def main() -> None:
    """Do what is missing, and write the section when there is something to compare, and when all is done."""
    fashion = results(ways(FASHION, FIRST), FASHION_EPOCHS[-1])
    deep = results(deep_runs(), EPOCHS)
    PAGE.write_text(with_section(PAGE.read_text(), section(fashion, deep), MARKS))
    fashion |= results(ways(FASHION, WAYS), FASHION_EPOCHS[-1])
    PAGE.write_text(with_section(PAGE.read_text(), section(fashion, deep), MARKS))


if __name__ == "__main__":
    try:
        main()
    except HostError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

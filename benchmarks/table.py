"""The tables of docs/learning.md: `make table` runs them on the golden model, whose bits are the RTL's, and writes the page."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from rich.progress import Progress

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, SCHEDULES
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

PAGE = Path(__file__).parents[1] / "docs" / "learning.md"
BEGIN, END = "<!-- map: begin -->", "<!-- map: end -->"
"""Around the section that `make map` writes; from there on this leaves the page alone."""
SEEDS = range(1, 6)
EPOCHS = 20
EARLY = 5
DEEP = "64-48-48-48-10"


def accuracies(settings: Settings, epochs: int) -> np.ndarray:
    """Return the test accuracy in percent after each epoch, for each seed: float64 of shape (seeds, epochs)."""
    found = []
    for seed in SEEDS:
        run = settings.changed(seed=seed)
        config = board_config(run.network, run.device_model)
        data = prepare(run, config.drive_max)
        if run.schedule == SOFTWARE:
            found.append(train_software(run, data, epochs, config.drive_max)["test_accuracy"])
            continue
        with open_board("golden://", config=config) as board:
            trainer = Trainer(board, run, epochs, data=data)
            trainer.run()
            found.append(trainer.result()["test_accuracy"])
    return 100 * np.array(found)


def cell(values: np.ndarray) -> str:
    """Return mean and standard deviation over the seeds."""
    return f"{values.mean():.1f} ± {values.std():.1f}"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def schedules(device: str, rates: tuple[float, ...], progress: Progress) -> tuple[str, dict[tuple[str, float], np.ndarray]]:
    """Return the table of a device, and its runs by (schedule, rate)."""
    names = (SOFTWARE, *SCHEDULES)
    task = progress.add_task(f"schedules, {device}", total=len(names) * len(rates))
    runs = {}
    for name in names:
        for lr in rates:
            runs[name, lr] = accuracies(Settings(schedule=name, device=device, lr=lr), EPOCHS)
            progress.advance(task)
    heads = ["schedule", *(f"lr {lr:g}, epoch {e}" for lr in rates for e in (EARLY, EPOCHS))]
    rows = ([name, *(cell(runs[name, lr][:, e - 1]) for lr in rates for e in (EARLY, EPOCHS))] for name in names)
    return table(heads, rows), runs


def best_rates(runs: dict[tuple[str, float], np.ndarray]) -> str:
    """Return the table of the better rate of each schedule."""

    def rows() -> Iterator[list[str]]:
        for name in SCHEDULES:
            lr, best = max(((lr, run) for (n, lr), run in runs.items() if n == name), key=lambda item: item[1][:, -1].mean())
            yield [name, f"{lr:g}", cell(best[:, EARLY - 1]), cell(best[:, -1])]

    return table(["schedule", "better lr", f"epoch {EARLY}", f"epoch {EPOCHS}"], rows())


def auto_range(progress: Progress) -> tuple[str, str]:
    """Return the table of auto-range on a deep network, and what `software` reaches there."""
    scales = (4, 8, 16)
    task = progress.add_task("auto-range", total=1 + 2 * len(scales))
    deep = Settings(layers=DEEP, activation="tanh", lr=0.02)
    software = cell(accuracies(deep.changed(schedule=SOFTWARE), EARLY)[:, -1])
    progress.advance(task)
    rows = []
    for scale in scales:
        settings = deep.changed(weight_scale=scale)
        pair = []
        for on in (True, False):
            pair.append(accuracies(settings.changed(auto_range=on), EARLY)[:, -1])
            progress.advance(task)
        rows.append([str(scale), cell(pair[0]), cell(pair[1]), f"{pair[0].mean() - pair[1].mean():+.1f}"])
    return table(["weight_scale", "with", "without", "points"], rows), software


def with_section(page: str, text: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Return the page with another text between the marks of another writer's section."""
    begin, end = marks
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text.strip()}\n{end}{rest.split(end)[1]}"


def main() -> None:
    """Run everything and write the page."""
    old = PAGE.read_text()
    others = old[old.index(BEGIN) :]
    with Progress() as progress:
        ideal, ideal_runs = schedules("ideal", (0.25, 0.5), progress)
        ecram, ecram_runs = schedules("ecram", (0.25, 0.5, 1.0), progress)
        ranges, software = auto_range(progress)
    worst = min(
        (ideal_runs[name, lr][:, -1].mean() - ideal_runs[SOFTWARE, lr][:, -1].mean(), name, lr) for name in SCHEDULES for lr in (0.25, 0.5)
    )
    gap = ecram_runs["progressive-corrected", 1.0][:, -1].mean() - ecram_runs["progressive", 1.0][:, -1].mean()
    page = f"""# What the array learns

Written by `make table` (`benchmarks/table.py`) and `make map` (`benchmarks/learning_map.py`); do not edit. Test accuracy in percent,
mean and standard deviation over {len(SEEDS)} seeds, on the golden model, whose bits are those of the RTL. Digits, 64-32-10, sigmoid,
squared error, stochastic rounding, weight_scale 4.
`software` is float64 backpropagation with the same initial weights, order and inputs.

## Schedules, ideal device (1000 states)

{ideal}

The farthest below `software` after {EPOCHS} epochs is `{worst[1]}` at lr {worst[2]:g}: {worst[0]:+.2f} points.

## Schedules, ECRAM (Li)

State-dependent step, 30 % write noise, 10 % spread of dw_min, 5 % spread of the bounds.

{ecram}

At the better rate of each schedule:

{best_rates(ecram_runs)}

At lr 1 after {EPOCHS} epochs `progressive-corrected` is {gap:+.1f} points from `progressive`: the error that `progressive` sends back is
off by eta ‖d‖² a, and the correction takes that off again.

## Auto-range

{DEEP}, tanh hidden layers, lr 0.02, {EARLY} epochs, `{DEFAULT_SCHEDULE}`, ideal device: error vectors driven shifted so that
they fill the drive, or as they are.

{ranges}

`software` reaches {software}. What auto-range saves grows with weight_scale, because the sense word of an error read is worth
weight_scale / 128. At 4 errors are still well above that, and above the drive's 1/128: without auto-range the network already
learns as well as in float64, and there is nothing left to gain.

{others}"""
    PAGE.write_text(page)


if __name__ == "__main__":
    main()

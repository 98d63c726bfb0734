"""The command `compare`: schedules, learning rates and seeds side by side, on the golden model."""

import itertools
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from backpulse.host import options as o
from backpulse.host.datasets import Dataset
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.tables import count
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board
from backpulse.host.view import console, show_warnings, stdout


@o.takes_settings("schedule", "lr", "seed", "patience", layers=o.FITTED)
def compare(
    given: o.Given,
    schedules: o.Schedules = o.EVERY_SCHEDULE,
    lr: o.Rates = "0.5",
    seeds: o.Seeds = 3,
    epochs: o.Epochs = 5,
    tile: o.Tile = "128x32",
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Train with several schedules and learning rates on the golden model, and show mean and spread over seeds."""
    check_outputs({"--json": json, "--plot": plot}, {"--dataset": given.get("dataset")})
    rates = _rates(lr)
    given["lr"] = rates[0]
    first = Settings.from_dict(given)  # as in `train`
    board_config(first.network if "layers" in given else None, first.device_model, tile=tile)
    first, loaded = o.settings_and_data(given)
    runs = [
        first.changed(schedule=schedule.strip(), lr=rate, seed=seed)
        for schedule, rate, seed in itertools.product(schedules.split(","), rates, range(1, seeds + 1))
    ]
    results, warnings = _run_all(runs, loaded, epochs, tile)
    rows = _rows(runs, results)
    if json != STDOUT:
        _show(rows, epochs, seeds)
    written = Results()
    with written.each():
        write_json(json, {"epochs": epochs, "seeds": seeds, "warnings": warnings, "summary": rows, "runs": results})
    with written.each():
        if plot:
            from backpulse.host.plots import plot_comparison

            curves = [(f"{r['schedule']}, lr {r['lr']:g}", np.array(r["curves"])) for r in rows]
            plot_comparison(plot, f"{first.layers} on {first.dataset}, {first.device} device, {seeds} seeds", curves)
    written.finish()


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--lr must be numbers joined by commas, as in 0.25,0.5, not {text}") from None


def _run_all(runs: list[Settings], loaded: Dataset, epochs: int, tile: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Train every run, on one golden board: they all have the same network, device and data. Return results and warnings of the data."""
    first = runs[0]
    config = board_config(first.network, first.device_model, tile=tile)
    data = prepare(first, config.drive_max, dataset=loaded)
    show_warnings(data.warnings)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    results = []
    with open_board("golden://", config=config) as board, Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(runs))
        for settings in runs:
            progress.update(task, description=f"{settings.schedule}, lr {settings.lr:g}, seed {settings.seed}")
            if settings.schedule == SOFTWARE:
                results.append(train_software(settings, data, epochs, config.drive_max))
            else:
                trainer = Trainer(board, settings, epochs, data=data)
                trainer.run()
                results.append(trainer.result())
            del results[-1]["predictions"], results[-1]["warnings"]
            progress.advance(task)
    return results, list(data.warnings)


def _rows(runs: list[Settings], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return mean and spread of the last accuracy for each schedule and learning rate."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for settings, result in zip(runs, results, strict=True):
        groups.setdefault((settings.schedule, settings.lr), []).append(result)
    rows = []
    for (schedule, rate), group in groups.items():
        curves = [result["test_accuracy"] for result in group]
        last = np.array(curves)[:, -1]
        spread = float(last.std(ddof=1)) if len(last) > 1 else 0.0
        rows.append(
            {
                "schedule": schedule,
                "lr": rate,
                "mean": float(last.mean()),
                "std": spread,
                "min": float(last.min()),
                "max": float(last.max()),
                "curves": curves,
                "class_accuracy": _by_class(group),
            }
        )
    return rows


def _by_class(group: list[dict[str, Any]]) -> list[float | None]:
    """Return the mean accuracy of each class over runs, which all have the same test part."""
    classes = zip(*(result["class_accuracy"] for result in group), strict=True)
    return [None if None in shares else float(np.mean(shares)) for shares in classes]


def _show(rows: list[dict[str, Any]], epochs: int, seeds: int) -> None:
    table = Table(
        title=f"Test accuracy in % after {count(epochs, 'epoch')}, {count(seeds, 'seed')}", title_justify="left", box=None, padding=(0, 1)
    )
    table.add_column("schedule")
    for name in ("lr", "mean", "± std", "worst", "best", "worst class"):
        table.add_column(name, justify="right")
    best = max(row["mean"] for row in rows)
    for row in rows:
        cells = [f"{100 * row[key]:.2f}" for key in ("mean", "std", "min", "max")]
        hardest = min(share for share in row["class_accuracy"] if share is not None)
        table.add_row(row["schedule"], f"{row['lr']:g}", *cells, f"{100 * hardest:.2f}", style="bold green" if row["mean"] == best else "")
    stdout.print(table)

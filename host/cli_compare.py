"""The command `compare`: schedules, learning rates and seeds side by side, on the golden model."""

import itertools
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from backpulse.host import options as o
from backpulse.host.cost import cost, mean_step, said
from backpulse.host.devices import facts_of
from backpulse.host.errors import HostError, InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.runs import settings_and_data
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.sweep import array_text, plan
from backpulse.host.sweep_pool import execute
from backpulse.host.sweep_run import Run, config_of, remember
from backpulse.host.sweep_table import key, summarise
from backpulse.host.sweep_view import SweepView
from backpulse.host.tables import count
from backpulse.host.urls import board_config
from backpulse.host.view import show_warnings, stdout

BY = ("schedule", "lr")
"""What is compared."""


@o.takes_settings("schedule", "lr", "seed", "patience", layers=o.FITTED)
def compare(
    ctx: typer.Context,
    given: o.Given,
    schedules: o.Schedules = o.EVERY_SCHEDULE,
    lr: o.Rates = "0.5",
    seeds: o.Seeds = 3,
    epochs: o.Epochs = 5,
    tile: o.Tile = "128x32",
    array: Annotated[
        Path | None,
        typer.Option(help="Array file (docs/arrays.md): what is behind the tiles.", metavar="FILE", rich_help_panel=o.BOARD),
    ] = None,
    map_in: Annotated[
        Path | None,
        typer.Option(
            "--map",
            help="Map the distance from software over rate, width and depth, for every --activation, --device and --lr that is not given. "
            "The folder keeps its runs; started again it does what is missing.",
            metavar="DIR",
            rich_help_panel=o.FILES,
        ),
    ] = None,
    plot: o.Plot = None,
    json: o.Json = None,
) -> None:
    """Train with several schedules and learning rates on the golden model, and show mean and spread over seeds."""
    check_outputs({"--json": json, "--plot": plot}, {"--dataset": given.get("dataset"), "--array": array})
    rates = _rates(lr)
    text = array_text(array)
    if map_in:
        if array:
            raise InputError("--map has no array behind its tiles: leave --array or --map out")
        from backpulse.host.cli_map import learning_map

        named = [schedule.strip() for schedule in schedules.split(",")] if "schedules" in o.explicit(ctx) else None
        learning_map(given, map_in, named, rates if "lr" in o.explicit(ctx) else None, seeds, epochs, tile, plot=plot, json=json)
        return
    given["lr"] = rates[0]
    first = Settings.from_dict(given)  # as in `train`
    board_config(first.network if "layers" in given else None, first.device_model, tile=tile)
    first, loaded = settings_and_data(given)
    remember(first, loaded)
    runs, warnings = plan(
        [
            first.changed(schedule=schedule.strip(), lr=rate, seed=seed)
            for schedule, rate, seed in itertools.product(schedules.split(","), rates, range(1, seeds + 1))
        ],
        epochs,
        tile,
        text,
    )
    show_warnings(warnings)
    results = _results(runs)
    rows = summarise(((run.settings, result) for run, result in zip(runs, results, strict=True)), BY)
    for row in rows:
        of = zip(runs, results, strict=True)
        row["cost"] = mean_step(_cost(run, result) for run, result in of if key(run.settings, BY) == tuple(row[name] for name in BY))
    if json != STDOUT:
        _show(rows, epochs, seeds)
        _show_costs(rows)
    written = Results()
    with written.each():
        write_json(json, {"epochs": epochs, "seeds": seeds, "warnings": warnings, "summary": rows, "runs": results})
    with written.each():
        if plot:
            from backpulse.host.plots import plot_comparison

            curves = [(f"{r['schedule']}, lr {r['lr']:g}", np.array(r["curves"])) for r in rows]
            plot_comparison(plot, f"{first.layers} on {first.dataset}, {first.device_model.name} device, {seeds} seeds", curves)
    written.finish()


def _cost(run: Run, result: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a run has cost its array, None without one."""
    if run.settings.schedule == SOFTWARE:
        return None
    totals = {name: result[name.lower()] for name in ("STEPS", "CYCLES", "PULSES_UP", "PULSES_DOWN")}
    return cost(run.settings.compile(config_of(run)), totals, facts_of(run.settings.device))


def _show_costs(rows: list[dict[str, Any]]) -> None:
    """Print what a step costs the array, where the device's file says enough of it."""
    names = ("read_time_s", "read_energy_j", "pulse_time_s", "pulse_energy_j")
    known = [row for row in rows if row["cost"] and any(row["cost"][name] is not None for name in names)]
    if not known:
        return
    table = Table(title="What a training step costs the array, mean", title_justify="left", box=None, padding=(0, 1))
    for heading in ("schedule", "lr", "pulses", "reads", "pulses take"):
        table.add_column(heading, justify="left" if heading == "schedule" else "right")
    for row in known:
        step = row["cost"]
        figures = [said(step[name], name[-1].replace("j", "J")) for name in names]
        table.add_row(row["schedule"], f"{row['lr']:g}", f"{step['pulses']:.1f}", ", ".join(figures[:2]), ", ".join(figures[2:]))
    stdout.print(table)


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--lr must be numbers joined by commas, as in 0.25,0.5, not {text}") from None


def _results(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Do the runs, on all cores, and return their results."""
    different = list(dict.fromkeys(runs))
    found = {}
    with SweepView(count(len(runs), "run"), different, 0, BY) as view, closing(execute(different)) as outcomes:
        for outcome in outcomes:
            if outcome.error:
                raise HostError(outcome.error)
            found[outcome.run] = outcome.result
            view(outcome)
    return [found[run] for run in runs]


def _show(rows: list[dict[str, Any]], epochs: int, seeds: int) -> None:
    after = (
        f"in the best of {count(epochs, 'epoch')} by the validation part" if "validation" in rows[0] else f"after {count(epochs, 'epoch')}"
    )
    table = Table(title=f"Test accuracy in % {after}, {count(seeds, 'seed')}", title_justify="left", box=None, padding=(0, 1))
    table.add_column("schedule")
    for name in ("lr", "mean", "± std", "worst", "best", "worst class"):
        table.add_column(name, justify="right")
    best = max(row["mean"] for row in rows)
    for row in rows:
        cells = [f"{100 * row[key]:.2f}" for key in ("mean", "std", "min", "max")]
        hardest = min(share for share in row["class_accuracy"] if share is not None)
        table.add_row(
            row["schedule"],
            f"{row['lr']:g}",
            *cells,
            f"{100 * hardest:.2f}",
            style="bold green" if row["mean"] == best else "",
        )
    stdout.print(table)

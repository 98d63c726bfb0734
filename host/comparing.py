"""Many runs on the golden model: schedules and rates side by side, the map of distances from `software`, and what a folder lacks."""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.config import DEFAULT
from backpulse.host.audience import Audience
from backpulse.host.cost import cost, mean_step
from backpulse.host.departure import DRIFTING
from backpulse.host.devices import facts_of
from backpulse.host.errors import HostError, InputError, SignalError
from backpulse.host.learning_map import DEVICES, RATES, Departure, Point, bounds, departures, points_of, runs_of
from backpulse.host.runs import chosen
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.stop import Stop
from backpulse.host.sweep import Sweep, plan
from backpulse.host.sweep_pool import execute
from backpulse.host.sweep_run import Outcome, Run, config_of, prepared, remember
from backpulse.host.sweep_table import Group, best_of, key, summarise, varied
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.urls import board_config

BY = ("schedule", "lr")
"""What a comparison compares."""
MAPPED = (DEFAULT_SCHEDULE, DRIFTING)
"""Schedules of the map, if none are named."""


@dataclass(frozen=True)
class Comparison:
    """Schedules and learning rates side by side.

    Parameters
    ----------
    settings : Settings
        Of the first run.
    epochs, seeds : int
    warnings : list of str
        What the user should know of the data.
    summary : list of dict
        A row a schedule and rate: `mean`, `std`, `min`, `max` of the test accuracy over the seeds, `curves`, `cost` of a step, ...
    runs : list of dict
        What each run came to, as the JSON of `backpulse train`.
    """

    settings: Settings
    epochs: int
    seeds: int
    warnings: list[str]
    summary: list[dict[str, Any]]
    runs: list[dict[str, Any]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `backpulse compare`."""
        return {"epochs": self.epochs, "seeds": self.seeds, "warnings": self.warnings, "summary": self.summary, "runs": self.runs}

    def plot(self, path: str | Path) -> None:
        """Draw the curves, with their spread (.png, .svg, .pdf)."""
        from backpulse.host.plots import plot_comparison  # matplotlib takes its time

        first, curves = self.settings, [(f"{row['schedule']}, lr {row['lr']:g}", np.array(row["curves"])) for row in self.summary]
        title = f"{first.layers} on {first.dataset}, {first.device_model.name} device, {self.seeds} seeds"
        plot_comparison(Path(path), title, curves)


def compared(
    given: Mapping[str, Any],
    schedules: Sequence[str],
    rates: Sequence[float],
    *,
    seeds: int,
    epochs: int,
    tile: str,
    array: str,
    audience: Audience,
) -> Comparison:
    """Train with some schedules and learning rates, each with seeds 1 to `seeds`, on all cores.

    Parameters
    ----------
    given : mapping
        Settings by name, what all have in common.
    schedules, rates : sequence
    seeds, epochs : int
    tile : str
        Rows x columns of one tile.
    array : str
        Text of an array file; none if empty.
    audience : Audience

    Raises
    ------
    InputError
        If some run can never be done; none is started then.
    HostError
        If a run fails.
    """
    given = {**given, "lr": rates[0]}
    first = Settings.from_dict(given)  # as in `train`
    board_config(first.network if "layers" in given else None, first.device_model, tile=tile)
    loaded = first.load()
    told = [] if "layers" in given else [chosen(first := first.fitting(loaded), loaded)]
    remember(first, loaded)
    some = [
        first.changed(schedule=schedule, lr=rate, seed=seed)
        for schedule, rate, seed in itertools.product(schedules, rates, range(1, seeds + 1))
    ]
    runs, warnings = plan(some, epochs, tile, array)
    warnings = [*warnings, *told]
    audience.warn(warnings)
    different, found = list(dict.fromkeys(runs)), dict[Run, dict[str, Any]]()
    with audience.sweeping(count(len(runs), "run"), different, 0, BY) as watch, closing(execute(different)) as outcomes:
        for outcome in outcomes:
            if outcome.error:
                raise HostError(outcome.error)
            found[outcome.run] = outcome.result
            watch(outcome)
    results = [found[run] for run in runs]
    rows = summarise(((run.settings, result) for run, result in zip(runs, results, strict=True)), BY)
    for row in rows:
        of = zip(runs, results, strict=True)
        row["cost"] = mean_step(_cost(run, result) for run, result in of if key(run.settings, BY) == tuple(row[name] for name in BY))
    return Comparison(first, epochs, seeds, warnings, rows, results)


def _cost(run: Run, result: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a run has cost its array, None without one."""
    if run.settings.schedule == SOFTWARE:
        return None
    totals = {name: result[name.lower()] for name in ("STEPS", "CYCLES", "PULSES_UP", "PULSES_DOWN")}
    return cost(run.settings.compile(config_of(run)), totals, facts_of(run.settings.device))


@dataclass(frozen=True)
class LearningMap:
    """The map of distances from `software`.

    Parameters
    ----------
    settings : Settings
        What all runs have in common.
    epochs, seeds : int
    warnings : list of str
    points : list of dict
        `activation`, `device`, `layers`, `lr`, and for `software` and each schedule [mean, deviation] of the accuracy in percent.
    limits : dict
        The bound of `progressive` by (activation, layers); infinite where there is none.
    found : dict
        By schedule, where each (activation, device, layers) leaves `software`.
    """

    settings: Settings
    epochs: int
    seeds: int
    warnings: list[str]
    points: list[Point]
    limits: Mapping[tuple[str, str], float]
    found: Mapping[str, Mapping[tuple[str, str, str], Departure]]

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `backpulse compare --map`."""
        limits = [{"activation": a, "layers": layers, "lr": lr if lr < float("inf") else None} for (a, layers), lr in self.limits.items()]
        return {"epochs": self.epochs, "seeds": self.seeds, "warnings": self.warnings, "points": self.points, "bounds": limits}

    def plot(self, path: str | Path) -> None:
        """Draw the map (.png, .svg, .pdf)."""
        from backpulse.host.learning_map_plots import plot_learning_map  # matplotlib takes its time

        heading = f"Points below software: {Path(self.settings.dataset).name}, {count(self.epochs, 'epoch')}, {count(self.seeds, 'seed')}"
        plot_learning_map(Path(path), heading, self.points, self.limits, list(self.found))


def mapped(
    given: Mapping[str, Any],
    folder: Path,
    schedules: Sequence[str],
    rates: Sequence[float] | None,
    *,
    seeds: int,
    epochs: int,
    tile: str,
    audience: Audience,
) -> LearningMap:
    """Do the runs of the map that a folder lacks, and say where each schedule leaves software.

    Parameters
    ----------
    given : mapping
        Settings by name; the map has layers of its own, and those activations and devices that are not among them.
    folder : Path
        Of the runs.
    schedules : sequence of str
    rates : sequence of float, optional
        Learning rates, if not those of the map.
    seeds, epochs, tile, audience
        As of `compared`.

    Raises
    ------
    InputError
        If there is nothing to compare, or some run can never be done.
    SignalError
        If it was stopped; the folder keeps what was done.
    HostError
        If a run failed.
    """
    if "layers" in given:
        raise InputError("--map has layers of its own: leave --layers out; inputs and outputs are those of the data")
    schedules = [name for name in schedules if name != SOFTWARE]
    if not schedules:
        raise InputError(f"--map compares schedules with {SOFTWARE}: name others")
    settings = Settings.from_dict(given)
    data = settings.load()
    remember(settings, data)
    first = settings.fitting(data)
    functions = [first.activation] if "activation" in given else list(RATES)
    some = {name: tuple(sorted(rates)) if rates else RATES[name] for name in functions}
    devices = [first.device] if "device" in given else DEVICES
    done, warnings = do_all(runs_of(first, schedules, some, devices, seeds), epochs, tile, folder, audience)
    points = points_of(done)
    limits = bounds(first, prepared(first, DEFAULT.drive_max), DEFAULT.drive_max, [(p["activation"], p["layers"]) for p in points], seeds)
    found = {schedule: departures(points, schedule) for schedule in schedules}
    return LearningMap(first, epochs, seeds, warnings, points, limits, found)


def do_all(
    settings: Sequence[Settings], epochs: int, tile: str, folder: Path, audience: Audience
) -> tuple[list[tuple[Settings, dict[str, Any]]], list[str]]:
    """Do what a folder lacks of some runs; return all of them with their results, and what to know of the data.

    Raises
    ------
    SignalError
        If the user stopped it.
    HostError
        If a run failed.
    """
    runs, warnings = plan(settings, epochs, tile)
    audience.warn(warnings)
    done, failed, stop = _lacking(runs, folder, count(len(runs), "run"), ("schedule", "device", "activation"), audience)
    if failed:
        raise HostError(failed[0].error, "the others are kept, and the same command tries it again")
    if len(done) < len(runs):
        raise SignalError(f"Stopped after {len(done):,} of {count(len(runs), 'run')}: the same command does the rest", stop)
    return done, warnings


@dataclass(frozen=True)
class Swept:
    """What a sweep came to: all that its folder has, and what failed.

    Parameters
    ----------
    runs : list of Run
        All of the sweep.
    warnings : list of str
    by : list of str
        Settings that vary.
    done : int
        Runs that the folder has.
    failed : list of Outcome
    groups, best : list of dict
        Runs that differ in their seed alone: in their order, and the best first.
    stop : Stop
        Whether it was stopped.
    """

    runs: list[Run]
    warnings: list[str]
    by: list[str]
    done: int
    failed: list[Outcome]
    groups: list[Group]
    best: list[Group]
    stop: Stop


def swept(
    given: Sweep, name: str, out: Path, *, workers: int | None = None, scheduler: str | None = None, audience: Audience, varies: int = 0
) -> Swept:
    """Do the runs of a sweep that a folder lacks.

    Parameters
    ----------
    given : Sweep
    name : str
        What it is called.
    out : Path
        Folder of the results.
    workers, scheduler
        As of `execute`.
    audience : Audience
    varies : int
        How many settings must vary, for a picture.

    Raises
    ------
    InputError
        If some runs can never be done, or fewer settings vary; none is started then.
    """
    try:
        runs, warnings = given.plan()
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    by = varied([run.settings for run in runs])
    if len(by) < varies:
        raise InputError(f"--heat-map is drawn over two settings, and {' and '.join(by) or 'none'} varies: leave it out")
    audience.warn(warnings)
    heading = f"{name}: {count(len(runs), 'run')}, {count(given.epochs, 'epoch')} each"
    done, failed, stop = _lacking(runs, out, heading, by, audience, workers=workers, scheduler=scheduler)
    groups = summarise(done, by)
    return Swept(runs, warnings, by, len(done), failed, groups, best_of(groups, by, given.choose), stop)


def _lacking(
    runs: Sequence[Run], folder: Path, heading: str, by: Sequence[str], audience: Audience, **where: Any
) -> tuple[list[tuple[Settings, dict[str, Any]]], list[Outcome], Stop]:
    """Do the runs that a folder lacks; return those that it has then, those that failed, and whether it was stopped."""
    from backpulse.host.sweep_store import Store, do_missing  # Parquet, of the extra `sweep`

    with Store(folder) as store, audience.stopping() as stop:
        missing = [run for run in runs if run.identity not in store.rows]
        if kept := len(runs) - len(missing):
            audience.say(f"{kept:,} of {count(len(runs), 'run')} are in {plain(str(folder))}")
        with audience.sweeping(heading, missing, kept, by) as watch:
            failed = do_missing(missing, store, **where, stop=stop, watch=watch)
    return [(run.settings, store.rows[run.identity]) for run in runs if run.identity in store.rows], failed, stop

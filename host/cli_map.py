"""`compare --map`: the map of distances from `software`, on all cores, whose runs a folder keeps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.config import DEFAULT
from backpulse.host import options as o
from backpulse.host.departure import DRIFTING
from backpulse.host.errors import HostError, InputError, SignalError
from backpulse.host.learning_map import DEPARTS, DEVICES, LEARNS, RATES, Departure, Point, bounds, departures, points_of, runs_of
from backpulse.host.output import STDOUT, Results, write_json
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.stop import stop_on_signals
from backpulse.host.sweep import plan
from backpulse.host.sweep_run import prepared, remember
from backpulse.host.sweep_store import Store, do_missing
from backpulse.host.sweep_view import SweepView
from backpulse.host.tables import count
from backpulse.host.view import show_warnings, stdout

MAPPED = (DEFAULT_SCHEDULE, DRIFTING)
"""Schedules of the map, if none are named."""


def learning_map(
    given: o.Given,
    folder: Path,
    schedules: Sequence[str] | None,
    rates: Sequence[float] | None,
    seeds: int,
    epochs: int,
    tile: str,
    *,
    plot: Path | None,
    json: str | None,
) -> None:
    """Do the missing runs of the map, show where each schedule leaves software, and write results."""
    if "layers" in given:
        raise InputError("--map has layers of its own: leave --layers out; inputs and outputs are those of the data")
    schedules = [name for name in schedules or MAPPED if name != SOFTWARE]
    if not schedules:
        raise InputError(f"--map compares schedules with {SOFTWARE}: name others")
    settings = Settings.from_dict(given)
    data = settings.load()
    remember(settings, data)
    first = settings.fitting(data)
    functions = [first.activation] if "activation" in given else list(RATES)
    some = {name: tuple(sorted(rates)) if rates else RATES[name] for name in functions}
    devices = [first.device] if "device" in given else DEVICES
    done, warnings = do_all(runs_of(first, schedules, some, devices, seeds), epochs, tile, folder)
    points = points_of(done)
    limits = bounds(first, prepared(first, DEFAULT.drive_max), DEFAULT.drive_max, [(p["activation"], p["layers"]) for p in points], seeds)
    found = {schedule: departures(points, schedule) for schedule in schedules}
    if json != STDOUT:
        stdout.print(_table(points, limits, found, seeds))
    results = Results()
    with results.each():
        write_json(json, {"epochs": epochs, "seeds": seeds, "warnings": warnings, "points": points, "bounds": _listed(limits)})
    with results.each():
        if plot:
            from backpulse.host.learning_map_plots import plot_learning_map  # matplotlib takes its time

            heading = f"Points below software: {Path(first.dataset).name}, {count(epochs, 'epoch')}, {count(seeds, 'seed')}"
            plot_learning_map(plot, heading, points, limits, schedules)
    results.finish()


def do_all(settings: Sequence[Settings], epochs: int, tile: str, folder: Path) -> tuple[list[tuple[Settings, dict[str, Any]]], list[str]]:
    """Do what a folder lacks of some runs; return all of them with their results, and what to know of the data.

    Raises
    ------
    SignalError
        If the user stopped it.
    HostError
        If a run failed.
    """
    runs, warnings = plan(settings, epochs, tile)
    show_warnings(warnings)
    with Store(folder) as store, stop_on_signals() as stop:
        missing = [run for run in runs if run.identity not in store.rows]
        kept = len(runs) - len(missing)
        with SweepView(count(len(runs), "run"), missing, kept, ("schedule", "device", "activation")) as view:
            failed = do_missing(missing, store, stop=stop, watch=view)
    if failed:
        raise HostError(failed[0].error, "the others are kept, and the same command tries it again")
    done = [(run.settings, store.rows[run.identity]) for run in runs if run.identity in store.rows]
    if len(done) < len(runs):
        raise SignalError(f"Stopped after {len(done):,} of {count(len(runs), 'run')}: the same command does the rest", stop)
    return done, warnings


def _listed(limits: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    """Return bounds as plain JSON; None where there is none."""
    return [{"activation": a, "layers": layers, "lr": lr if lr < float("inf") else None} for (a, layers), lr in limits.items()]


def _table(
    points: Sequence[Point],
    limits: Mapping[tuple[str, str], float],
    found: Mapping[str, Mapping[tuple[str, str, str], Departure]],
    seeds: int,
) -> Table:
    """Return the table of where the schedules leave software."""
    about = f"Learning rate at which a schedule is {DEPARTS:g} points below {SOFTWARE}, {count(seeds, 'seed')}"
    title = f"{about}; -: {SOFTWARE} is below {LEARNS:g} %"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1))
    for name in ("function", "device", "layers", *found, f"bound of {DRIFTING}"):
        table.add_column(name, justify="left" if name in ("function", "device", "layers") else "right")
    for key in dict.fromkeys((p["activation"], p["device"], p["layers"]) for p in points):
        cells = [said(found[schedule].get(key)) for schedule in found]
        limit = limits[key[0], key[2]]
        table.add_row(*key, *cells, f"{limit:.2g}" if limit < float("inf") else "-")
    return table


def said(place: Departure | None) -> str:
    """Return a departure as text."""
    if place is None:
        return "-"
    sign = "" if place.inside else "< " if place.low == 0 else "> "
    return f"{sign}{place.at:.2g}"

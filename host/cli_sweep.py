"""The command `sweep`: many runs from one file, on all cores or a cluster, that goes on where it was stopped."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backpulse.host import options as o
from backpulse.host.comparing import swept
from backpulse.host.errors import HostError, InputError, SignalError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.sweep import Sweep
from backpulse.host.sweep_run import Outcome
from backpulse.host.sweep_table import Group, key, title
from backpulse.host.sweep_view import MOST, best_table, runs_text
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.view import Terminal, console, stdout

TOLD = 5
"""Reasons of failure that are told."""
CURVES = 10
"""Groups in the picture of curves."""


def sweep(
    file: Annotated[Path, typer.Argument(help="The sweep, in TOML (docs/sweeps.md).", metavar="FILE")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the results, Parquet.", metavar="DIR", show_default="FILE without .toml", rich_help_panel=o.FILES),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes.", min=1, max=4096, metavar="N", show_default="one a core", rich_help_panel=o.BOARD)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Let the workers of this Dask scheduler do it.", metavar="URL", rich_help_panel=o.BOARD)
    ] = None,
    curves: Annotated[
        Path | None, typer.Option(help=f"Draw the curves of the best {CURVES}, with spread.", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    heat_map: Annotated[
        Path | None, typer.Option(help="Draw the accuracy over two settings.", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    json: o.Json = None,
) -> None:
    """Do many runs: a grid, random draws or a list of settings, on the golden model. Started again it does what is missing."""
    check_outputs({"--json": json, "--curves": curves, "--heat-map": heat_map}, {"FILE": file})
    if workers and scheduler:
        raise InputError("--workers is about this computer, and --scheduler about others: leave one of them out")
    given = Sweep.read(file)
    out = out or file.with_suffix("")
    found = swept(given, file.name, out, workers=workers, scheduler=scheduler, audience=Terminal(), varies=2 if heat_map else 0)
    runs, by, failed, groups, best = found.runs, found.by, found.failed, found.groups, found.best
    heading = f"{file.name}: {runs_text(len(runs))}, {count(given.epochs, 'epoch')} each"
    if json != STDOUT and best:
        stdout.print(best_table(best, by, _caption(best, given), Counter(key(run.settings, by) for run in runs), stdout.width))
        if len(best) > MOST:
            stdout.print(f" and {len(best) - MOST:,} more, which --json has")
        if len(best) > 1 and "validation_accuracy" not in best[0]:
            console.print("What is chosen by the test part is not as good as it looks there: choose by a validation part", style="dim")
    _tell(failed, by)
    results = Results()
    with results.each():
        told = {"folder": str(out), "runs": len(runs), "done": found.done, "choose": given.choose, "warnings": found.warnings}
        failures = [{"settings": one.run.settings.to_dict(), "error": one.error} for one in failed]
        write_json(json, {**told, "failed": failures, "summary": best})
    with results.each():
        if curves and best:
            from backpulse.host.plots import plot_comparison  # matplotlib takes its time

            plot_comparison(curves, plain(heading), [(title(group, by), _padded(group["curves"])) for group in best[:CURVES]])
    with results.each():
        if heat_map and groups:
            from backpulse.host.sweep_plots import axes_of, plot_map

            x, y = axes_of(groups, by)
            plot_map(heat_map, plain(heading), groups, by, x=x, y=y)
    results.finish()
    if found.stop.asked and found.done + len(failed) < len(runs):
        raise SignalError(f"Stopped after {found.done:,} of {runs_text(len(runs))}: the same command does the rest", found.stop)
    if failed:
        raise HostError(f"{len(failed):,} of {runs_text(len(runs))} failed", "the others are kept, and the same command tries these again")


def _caption(best: Sequence[Group], given: Sweep) -> str:
    """Return what the table of the best shows."""
    if given.choose:
        return f"The best {' and '.join(given.choose)} by the validation part, and what the test part says of it, in %"
    if not all("validation_accuracy" in group for group in best):
        return f"Test accuracy in % after {count(given.epochs, 'epoch')}"
    return "Accuracy in %, in the order of the validation part"


def _tell(failed: Sequence[Outcome], by: Sequence[str]) -> None:
    """Tell why runs failed: each reason once, with the first run that it befell."""
    reasons: dict[str, list[Outcome]] = {}
    for one in failed:
        reasons.setdefault(one.error, []).append(one)
    for error, some in list(reasons.items())[:TOLD]:
        first = title(some[0].run.settings.to_dict(), [*by, "seed"])
        more = f" and {count(len(some) - 1, 'more run')}" if len(some) > 1 else ""
        console.print(f"Failed: {plain(first)}{more}: {plain(error)}", style="red", soft_wrap=True)
    if len(reasons) > TOLD:
        console.print(f"Failed: and for {count(len(reasons) - TOLD, 'more reason')}, which --json has", style="red", soft_wrap=True)


def _padded(curves: Sequence[Sequence[float]]) -> np.ndarray:
    """Return curves as an array; a run that ended early stays as it ended."""
    longest = max(map(len, curves))
    return np.array([[*curve, *[curve[-1]] * (longest - len(curve))] for curve in curves])

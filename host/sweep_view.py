"""What a person sees of a sweep: a live table and the time left while it goes on, then the tables of what came out."""

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Group as Together
from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from backpulse.host.sweep_run import Outcome, Run
from backpulse.host.sweep_table import Group, counting_accuracy, said, title
from backpulse.host.terminal import plain
from backpulse.host.view import Table, console, share_bar

ROWS = 8
"""Groups in the live table."""
MOST = 20
"""Groups in the table of the best."""
LINE_S = 30.0
"""Time between two lines where there is no terminal."""
FIXED = 2000
"""What a run takes besides its weights, in weights: the time left counts wide networks for more."""


class SweepView:
    """A watcher of a sweep.

    Parameters
    ----------
    title : str
    runs : sequence of Run
        Those to do.
    before : int
        Runs that were done before.
    by : sequence of str
        Settings that tell groups from each other.
    """

    def __init__(self, title: str, runs: Sequence[Run], before: int, by: Sequence[str]) -> None:
        self._title, self._before, self._by = title, before, by
        self._total, self._done, self._failed = before + len(runs), 0, 0
        self._cost, self._cost_done = sum(map(_cost, runs)), 0.0
        self._groups: dict[tuple[str, ...], list[float]] = {}
        self._begun = self._told = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if console.is_interactive:
            self._live = Live(console=console, refresh_per_second=4, get_renderable=self._picture)
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)
        elif self._done:
            self._line()

    def __call__(self, outcome: Outcome) -> None:
        """Count a run."""
        self._done += 1
        self._cost_done += _cost(outcome.run)
        if outcome.error:
            self._failed += 1
        else:
            key = tuple(said(getattr(outcome.run.settings, name), name) for name in self._by)
            self._groups.setdefault(key, []).append(counting_accuracy(outcome.result))
        if not self._live and time.monotonic() - self._told > LINE_S:
            self._line()

    def _line(self) -> None:
        self._told = time.monotonic()
        console.print(f"{self._count()}, {self._time()}", soft_wrap=True)

    def _count(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._before + self._done:,} of {runs_text(self._total)} done{failed}"

    def _time(self) -> str:
        here = time.monotonic() - self._begun
        if self._before + self._done == self._total:
            return f"{duration(here)} in all"
        if not self._done:
            return f"{duration(here)} so far"
        return f"{duration(here)} so far, {duration(here * (self._cost / self._cost_done - 1))} left"

    def _picture(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=max(1, self._total), completed=self._before + self._done, width=24)
        head.add_row(bar, Text(self._count(), style="bold"), Text(self._time(), style="dim"))
        return Together(Text(plain(self._title), style="bold"), head, *([self._best()] if self._groups else []))

    def _best(self) -> Table:
        """Return the best groups so far."""
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        table.add_column("settings")
        for name in ("runs", "test accuracy"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column()
        best = sorted(self._groups.items(), key=lambda item: -sum(item[1]) / len(item[1]))
        for key, found in best[:ROWS]:
            mean = float(np.mean(found))
            settings = plain(title(dict(zip(self._by, key, strict=True)), self._by))
            table.add_row(settings, str(len(found)), f"{100 * mean:.2f} %", share_bar(mean, 24, "green"))
        return table


def _cost(run: Run) -> float:
    return run.epochs * (run.settings.network.weights + FIXED)


def runs_text(number: int) -> str:
    """Return a number of runs as text: 1 run, 10,000 runs."""
    return f"{number:,} run{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time as text: 8 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def best_table(groups: Sequence[Group], by: Sequence[str], heading: str, wanted: Mapping[tuple[Any, ...], int], columns: int) -> Table:
    """Return the table of groups, from the best to the worst.

    Parameters
    ----------
    groups : sequence of dict
        As of `sweep_table.ranked`.
    by : sequence of str
        Settings that tell groups from each other.
    heading : str
    wanted : mapping
        The runs that each group has when all are done, by the settings' values.
    columns : int
        Those of the terminal: where the settings have no room beside each other, they are one text.
    """
    table = Table(title=heading, title_justify="left", box=None, padding=(0, 1))
    validated = all("validation_accuracy" in group for group in groups)
    figures = {"validation": "validation_accuracy", "test": "mean", "± std": "std", "worst": "min", "best": "max"}
    if not validated:
        del figures["validation"]
    settings = [[plain(said(group[name], name)) for name in by] for group in groups[:MOST]]
    room = columns - sum(len(name) + 2 for name in ("9 of 9", *figures))
    apart = sum(2 + max(map(len, texts)) for texts in zip(by, *settings, strict=True)) <= room
    for name in by if apart else ["settings"]:
        table.add_column(name, justify="right" if apart and all(isinstance(group[name], float | int) for group in groups) else "left")
    for name in ("runs", *figures):
        table.add_column(name, justify="right", no_wrap=True)
    for place, (group, texts) in enumerate(zip(groups, settings, strict=False)):
        cells = [f"{100 * group[key]:.2f}" for key in figures.values()]
        runs, most = len(group["curves"]), wanted[tuple(group[name] for name in by)]
        done = f"{runs}" if runs == most else f"{runs} of {most}"
        table.add_row(*(texts if apart else [plain(title(group, by))]), done, *cells, style="" if place else "bold green")
    return table

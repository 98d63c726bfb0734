"""What a person sees while a run goes on: a live view on a terminal, a line an epoch elsewhere. All of it on standard error."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import console as rich_console
from rich import table as rich_table
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from backpulse.host.audience import Audience
from backpulse.host.board import Tell
from backpulse.host.stop import Stop, stop_on_signals
from backpulse.host.terminal import plain
from backpulse.host.training import Event, Watcher

if TYPE_CHECKING:
    from backpulse.host.sweep_run import Run

BLOCKS = "▁▂▃▄▅▆▇█"
ROWS = 8
"""Epochs that the live view lists."""
PHASES = {
    "load": "writing the array",
    "upload": "sending samples",
    "train": "training",
    "test": "testing",
    "epoch": "training",
    "read": "reading the array",
}

WHOLE = 100_000
"""Columns of what is no terminal."""


class Console(rich_console.Console):
    """As wide as its terminal, or as COLUMNS says. A file, and the pipe to another program, get every line in one piece."""

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and rows."""
        if not self.is_terminal and not os.environ.get("COLUMNS"):
            return ConsoleDimensions(WHOLE, super().size.height)
        return ConsoleDimensions(*shutil.get_terminal_size(super().size))


class Table(rich_table.Table):
    """A table that cuts nothing: what finds no room in a column goes on in the next line."""

    def add_column(self, *header: RenderableType, **more: Any) -> None:
        """Add a column, as the base does."""
        super().add_column(*header, **{"overflow": "fold", **more})

    def add_row(self, *cells: RenderableType | None, **more: Any) -> None:
        """Add a row, as the base does; in a table without headings the first one makes the columns."""
        while len(self.columns) < len(cells):
            self.add_column()
        super().add_row(*cells, **more)


console = Console(stderr=True, highlight=False, markup=False, emoji=False)
"""Progress, remarks and errors. What is printed is plain text: a name in brackets is no markup."""
stdout = Console(highlight=False, markup=False, emoji=False)
"""Results that a person asked for."""


def show_warnings(warnings: Sequence[str]) -> None:
    """Say what the user should know of the data or the run."""
    for warning in warnings:
        console.print(f"Note: {plain(warning)}", style="yellow", soft_wrap=True)


def spark(values: Sequence[float]) -> str:
    """Return a line of blocks as high as the values are within their range."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((v - low) * scale)] for v in values)


def share_bar(share: float, width: int, style: str) -> ProgressBar:
    """Return a bar of a share from 0 to 1, so wide or as wide as there is room."""
    return ProgressBar(total=1.0, completed=share, width=width, style="none", complete_style=style, finished_style=style)


class Terminal(Audience):
    """The terminal of a command, where signals stop what goes on."""

    def say(self, text: str) -> None:
        """Show what is going on."""
        console.print(text, style="dim", soft_wrap=True)

    def warn(self, texts: Sequence[str]) -> None:
        """Show what the user should know."""
        show_warnings(texts)

    @contextmanager
    def watching(self, title: str, *, rates: bool) -> Iterator[Watcher]:
        """Show the training of the body."""
        with TrainView(title, rates=rates) as view:
            yield view

    @contextmanager
    def sweeping(self, title: str, runs: "Sequence[Run]", before: int, by: Sequence[str]) -> Iterator[Callable[[Any], None]]:
        """Show the runs of the body."""
        from backpulse.host.sweep_view import SweepView  # which imports this

        with SweepView(title, runs, before, by) as view:
            yield view

    @contextmanager
    def stopping(self) -> Iterator[Stop]:
        """Let signals ask to stop."""
        with stop_on_signals() as stop:
            yield stop

    @contextmanager
    def bar(self, text: str) -> Iterator[Tell]:
        """Show how far something long is."""
        columns = (TextColumn(text, style="dim"), BarColumn(36), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_interactive) as bar:
            task = bar.add_task("", total=1)
            yield lambda done, total: bar.update(task, completed=done, total=total or None)


class TrainView:
    """A watcher of a `Trainer` that shows the run.

    Parameters
    ----------
    title : str
        What is trained, in one line.
    rates : bool
        Whether to show the learning rate of each epoch.
    """

    def __init__(self, title: str, *, rates: bool = False) -> None:
        self._title, self._rates = plain(title), rates
        self._live: Live | None = None
        self._rate = 0.0

    def __enter__(self) -> Self:
        if console.is_interactive:
            self._live = Live(Text(self._title, style="bold"), console=console, refresh_per_second=12)
            self._live.__enter__()
        else:
            console.print(self._title, soft_wrap=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.phase in ("train", "epoch") and event.progress:
            self._rate = event.progress.rate
        if event.remark:
            show_warnings([event.remark])
        elif self._live:
            self._live.update(self._picture(event))
        elif event.phase == "epoch":
            p = event.position
            said = [f"epoch {p.epoch}/{event.epochs}", *(f"{name} {value}" for name, value in self._scores(event, p.epoch - 1).items())]
            console.print("  ".join([*said, f"{self._rate:,.0f} samples/s"]), soft_wrap=True)

    def _picture(self, event: Event) -> RenderableType:
        position, progress = event.position, event.progress
        here = 0.0
        if event.phase in ("train", "test") and progress:
            here = 1.0 if event.phase == "test" else progress.done / max(1, progress.total)
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(f"epoch {min(event.epoch + 1, event.epochs)}/{event.epochs}", style="bold"),
            ProgressBar(total=max(1, event.epochs), completed=event.epoch + here, width=36),
            Text(f"{self._rate:,.0f} samples/s" if self._rate else ""),
            Text(PHASES[event.phase] + (f" {100 * progress.done // max(1, progress.total)} %" if progress else ""), style="dim"),
        )
        if event.phase == "train" and progress and progress.done:
            now = f"now: loss {progress.loss:.4f}, training accuracy {100 * progress.hits / progress.done:.1f} %"
        else:
            now = ""
        parts: list[RenderableType] = [Text(self._title, style="bold"), head, Text(now, style="dim")]
        if position.test_accuracy:
            parts.append(self._epochs(event))
        return Group(*parts)

    def _scores(self, event: Event, epoch: int) -> dict[str, str]:
        """Return what is shown of an epoch, counted from 0: the rate and validation only where there is something to see."""
        p = event.position
        scores = {"loss": f"{p.train_loss[epoch]:.4f}"}
        if p.validation_loss:
            scores |= {"validation loss": f"{p.validation_loss[epoch]:.4f}", "accuracy": f"{100 * p.validation_accuracy[epoch]:.2f} %"}
        scores["test accuracy"] = f"{100 * p.test_accuracy[epoch]:.2f} %"
        return {"lr": f"{event.rates[epoch]:.3g}", **scores} if self._rates else scores

    def _epochs(self, event: Event) -> Table:
        """Return the table of the last epochs, with sparklines of all."""
        position = event.position
        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        names = ("epoch", *self._scores(event, 0))
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("")  # has the room that is left
        for i in range(max(0, position.epoch - ROWS), position.epoch):
            style = "green" if i == position.epoch - 1 else "dim green"
            bar = share_bar(position.test_accuracy[i], 40, style)
            table.add_row(str(i + 1), *self._scores(event, i).values(), bar)
        last = -60
        sparks = {
            "loss": Text(spark(position.train_loss[last:])[-9:], style="magenta"),
            "test accuracy": Text(spark(position.test_accuracy[last:])[-13:], style="green"),
        }
        table.add_row(*(sparks.get(name, "") for name in names))
        return table

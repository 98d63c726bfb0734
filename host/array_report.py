"""What a person sees of the conformance bench: progress, the table on the terminal, and one page of HTML."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from matplotlib import style
from matplotlib.figure import Figure as Picture
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from backpulse.host.array_bench import Figure
from backpulse.host.array_check import Check, Result
from backpulse.host.plots import STYLE
from backpulse.host.storage import written_whole
from backpulse.host.terminal import plain
from backpulse.host.view import Table, console

COLORS = {"passed": "green", "failed": "bold red", "not tested": "dim"}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Array check: {board}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #22313f; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin-bottom: .2rem }} h2 {{ font-size: 1.05rem; margin: 2rem 0 .3rem }}
p {{ margin: .3rem 0 }} .soft {{ color: #5f6f7c }}
table {{ border-collapse: collapse; width: 100%; margin-top: 1rem }}
td, th {{ text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #e3e8ec }}
th {{ color: #5f6f7c; font-weight: 600 }} .number {{ text-align: right; white-space: nowrap }}
.passed {{ color: #0b7a3b }} .failed {{ color: #b3261e; font-weight: 700 }} .not-tested {{ color: #5f6f7c }}
td.status {{ white-space: nowrap }} img {{ max-width: 100%; height: auto }}
@media print {{ body {{ margin: 0; max-width: none }} }}
</style></head><body>
<h1>Array check: {verdict}</h1>
<p class="soft">{board}, {when}</p>
<p>{facts}. {rows} x {cols} cells in each of {tiles} tiles; build {build}.</p>
<p>{limits}. What the array does not claim, or hardware alone can show, is not tested: that is no pass.</p>
<table><thead><tr><th>#</th><th>check</th><th></th><th class="number">figure</th><th class="number">limit</th><th>of what</th></tr></thead>
<tbody>
{table}
</tbody></table>
{pictures}
</body></html>
"""


class CheckView:
    """Shows which check is made, and how far it is: a bar on a terminal, a line a check elsewhere."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._total = len(checks)
        self._bar: Progress | None = None
        self._all = self._one = TaskID(0)

    def __enter__(self) -> Self:
        if console.is_interactive:
            columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._all = self._bar.add_task("checks", total=self._total)
            self._one = self._bar.add_task("", total=1)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, check: Check) -> None:
        """Show the check that is made now."""
        if self._bar:
            self._bar.reset(self._one, description=f"{check.number} {check.name}", total=None)

    def report(self, done: int, total: int) -> None:
        """Show how far it is."""
        if self._bar:
            self._bar.update(self._one, completed=done, total=total)

    def end(self, result: Result) -> None:
        """Count a check that was made."""
        if self._bar:
            self._bar.advance(self._all)
        else:
            console.print(f"{result.check.number} {result.check.name}: {result.status}", soft_wrap=True)


def figure_text(figure: Figure | None) -> tuple[str, str]:
    """Return a figure and its limit as text."""
    if figure is None:
        return "", ""
    return f"{figure.value:.4g} {figure.unit}", f"{figure.limit:.4g}"


def result_table(results: Sequence[Result]) -> Table:
    """Return the table of the results."""
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("check")
    table.add_column("", no_wrap=True)
    for name in ("figure", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        value, limit = figure_text(result.figure)
        status = Text(result.status, style=COLORS[result.status])
        table.add_row(str(result.check.number), result.check.name, status, value, limit)
    return table


def reasons(results: Sequence[Result]) -> list[str]:
    """Return what is wrong where a check has failed, a line each, and why others were not tested, a line for each reason."""
    failed = [f"{result.check.number} failed: {plain(result.why)}" for result in results if result.status == "failed"]
    why: dict[str, list[str]] = {}
    for result in results:
        if result.status == "not tested":
            why.setdefault(result.why, []).append(result.check.name)
    return failed + [f"Not tested ({plain(reason)}): {'; '.join(names)}" for reason, names in why.items()]


def verdict(results: Sequence[Result]) -> str:
    """Return what came out, in a line."""
    counts = {status: sum(result.status == status for result in results) for status in COLORS}
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def write_page(path: Path, results: Sequence[Result], about: dict[str, Any]) -> None:
    """Write the results as one page of HTML with its pictures inside.

    Parameters
    ----------
    path : Path
    results : sequence of Result
    about : dict
        board, facts, limits, rows, cols, tiles, build.
    """
    rows = []
    for result in results:
        value, limit = figure_text(result.figure)
        kind, name = result.status.replace(" ", "-"), escape(result.check.name)
        rows.append(
            f'<tr><td class="number">{result.check.number}</td><td>{name}</td><td class="status {kind}">{result.status}</td>'
            f'<td class="number">{escape(value)}</td><td class="number">{escape(limit)}</td><td>{escape(plain(result.why))}</td></tr>'
        )
    pictures = []
    for result in results:
        if result.figure and result.figure.picture:
            name = escape(result.check.name)
            pictures.append(f'<h2>{result.check.number} {name}</h2>\n<img alt="{name}" src="{_picture(result.figure)}">')
    text = {name: escape(plain(str(value))) for name, value in about.items()}
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    page = _PAGE.format(**text, verdict=verdict(results), when=when, table="\n".join(rows), pictures="\n".join(pictures))
    with written_whole(path, "page") as file:
        file.write(page.encode())


def _picture(figure: Figure) -> str:
    """Return a figure's picture as the address of an image."""
    assert figure.picture is not None
    with style.context(["default", STYLE]):
        picture = Picture(figsize=(8, 3.4), layout="constrained")
        figure.picture(picture.subplots())
        file = BytesIO()
        picture.savefig(file, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

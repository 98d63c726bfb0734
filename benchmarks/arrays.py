"""What a physical array does to training: `make arrays` runs docs/arrays.md's table on the golden model, and draws its picture.

Runs are kept in build/arrays, and started again it does what is missing. `--seeds N` makes the table of fewer seeds.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from rich.progress import Progress

from backpulse.host.plots import CYCLE, STYLE, save
from backpulse.host.settings import Settings
from backpulse.host.sweep import plan
from backpulse.host.sweep_pool import execute
from backpulse.host.sweep_run import Run

ROOT = Path(__file__).parents[1]
PAGE, PICTURE, KEPT = ROOT / "docs" / "arrays.md", ROOT / "docs" / "images" / "arrays.png", ROOT / "build" / "arrays"
BEGIN, END = "<!-- arrays: begin -->", "<!-- arrays: end -->"
EPOCHS, TILE, SEEDS = 5, "98x32", 5
"""Both layers of digits fill the tile: no longer wire than they need."""
SCHEMES = ("midpoint", "calibrated", "line", "pairs")
OHMS = (1, 2, 5, 10)
IDEAL = Settings(schedule="progressive-exact", lr=0.5)
ECRAM = Settings(schedule="progressive-exact", lr=0.25, device="ecram-uniform")
SUM = {"phases": 2, "gain_error": 0.01, "drive_error": 0.01, "offset": 4.0, "residue": 1.0, "noise": 1.0, "adc_bits": 16}
"""All errors of a read at once. Two phases take `offset` off; 1 LSB is what is left in any case."""


def text(*, ohm: float = 0.0, write: dict | None = None, **read: object) -> str:
    """Return an array file."""
    tables: dict[str, dict] = {"wires": {"row_ohm": ohm, "col_ohm": ohm}, "read": read}
    if write is not None:
        tables["write"] = write
    return "".join(f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in table.items()) for name, table in tables.items())


@dataclass(frozen=True)
class Row:
    """A line of the table: a group, what is wrong, and the runs' settings and array."""

    group: str
    name: str
    settings: Settings
    array: str = ""

    def runs(self, seeds: int) -> list[Run]:
        """Return its runs."""
        return plan([self.settings.changed(seed=seed) for seed in range(1, seeds + 1)], EPOCHS, TILE, self.array)[0]


def rows() -> Iterator[Row]:
    """Yield the lines of the table."""
    sound, all_errors = "ideal device", "ideal device, all errors of a read"
    yield Row(sound, "no array", IDEAL)
    yield Row(all_errors, "pairs, 2 Ω", IDEAL, text(ohm=2, reference="pairs", **SUM))
    for name, settings, ohm, residue in (
        ("no array", ECRAM, None, 0.0),
        ("1 Ω, 0.25 LSB", ECRAM, 1, 0.25),
        ("2 Ω, 1 LSB", ECRAM, 2, 1.0),
    ):
        array = "" if ohm is None else text(ohm=ohm, **{**SUM, "residue": residue})
        yield Row("ECRAM, pairs, all errors of a read", name, settings, array)
    for scheme in SCHEMES[::-1]:
        for ohm in OHMS:
            yield Row(f"wires alone, {scheme}", f"{ohm} Ω", IDEAL, text(ohm=ohm, reference=scheme))
    for steepness in (5.0, 10.0, 20.0):
        for ohm in (0, 1, 2):
            name = f"k = {steepness:g}, {ohm} Ω"
            yield Row("writes through wires, V/2, pairs", name, IDEAL, text(ohm=ohm, write={"scheme": "half", "steepness": steepness}))
    for steepness in (10.0, 20.0):
        yield Row(
            "writes through wires, V/3, pairs",
            f"k = {steepness:g}, 1 Ω",
            IDEAL,
            text(ohm=1, write={"scheme": "third", "steepness": steepness}),
        )
    for scheme in ("pairs", "line"):
        for gain in (0.01, 0.05):
            yield Row(f"lines' gain, {scheme}", f"{100 * gain:g} %", IDEAL, text(reference=scheme, gain_error=gain))
        for bits in (8, 10, 12):
            yield Row(f"converters, {scheme}", f"{bits} bit", IDEAL, text(reference=scheme, adc_bits=bits))
    for residue in (0.5, 1.0, 2.0, 4.0):
        yield Row("offset that is left, pairs", f"{residue:g} LSB", IDEAL, text(residue=residue))
    for noise in (1.0, 4.0):
        yield Row("noise, pairs", f"{noise:g} LSB", IDEAL, text(noise=noise))


def accuracies(row: Row, seeds: int) -> np.ndarray | None:
    """Return what is kept of a row: test accuracy in percent after the last epoch, a seed each; None if there is nothing yet."""
    files = [KEPT / f"{run.identity}.json" for run in row.runs(seeds)]
    found = [json.loads(file.read_text())["test_accuracy"][-1] for file in files if file.exists()]
    return 100 * np.array(found) if found else None


def do(table: list[Row], seeds: int, workers: int | None) -> None:
    """Do the runs that are missing."""
    KEPT.mkdir(parents=True, exist_ok=True)
    missing = {run: row for row in table for run in row.runs(seeds) if not (KEPT / f"{run.identity}.json").exists()}
    with Progress() as progress, closing(execute(list(missing), workers=workers)) as outcomes:
        task = progress.add_task("runs", total=len(missing))
        for outcome in outcomes:
            if outcome.error:
                raise SystemExit(f"{missing[outcome.run].group}, {missing[outcome.run].name}: {outcome.error}")
            kept = {name: outcome.result[name] for name in ("test_accuracy", "pulses_up", "pulses_down")}
            kept["steps_per_cpu_second"] = outcome.result["steps"] / outcome.cpu_seconds
            (KEPT / f"{outcome.run.identity}.json").write_text(json.dumps(kept))
            progress.advance(task)


def markdown(table: list[Row], seeds: int) -> str:
    """Return the table: mean and standard deviation, and how many seeds if not all."""
    lines = ["| array | | test accuracy in % | worst seed | seeds |", "|---|---|---|---|---|"]
    group = ""
    for row in table:
        found = accuracies(row, seeds)
        if found is not None:
            shown = row.group if row.group != group else ""
            lines.append(f"| {shown} | {row.name} | {found.mean():.1f} ± {found.std():.1f} | {found.min():.1f} | {len(found)} |")
            group = row.group
    return "\n".join(lines)


def picture(table: list[Row], seeds: int) -> None:
    """Draw accuracy over the wires' resistance by reference scheme, and what writes through wires cost."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(12, 4.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        base = accuracies(table[0], seeds)
        for axes, prefix, label in (
            (left, "wires alone, ", "reads through wires, by reference"),
            (right, "writes through wires, V/2", "reads and writes through wires, pairs, V/2"),
        ):
            axes.set_title(label)
            axes.set_xlabel("wire resistance from cell to cell in Ω")
            curves: dict[str, list[tuple[float, np.ndarray]]] = {}
            for row in table:
                found = accuracies(row, seeds)
                if row.group.startswith(prefix) and found is not None:
                    curve = row.group.removeprefix(prefix) if axes is left else row.name.split(",")[0]
                    curves.setdefault(curve, []).append((float(row.name.split(", ")[-1].split()[0]), found))
            if base is not None:
                axes.axhline(base.mean(), color="#7b8a97", linestyle=":", label="no array")
            for color, (name, points) in zip(CYCLE, curves.items(), strict=False):
                x, mean = [p[0] for p in points], [p[1].mean() for p in points]
                spread = [
                    [m - p[1].min() for m, p in zip(mean, points, strict=True)],
                    [p[1].max() - m for m, p in zip(mean, points, strict=True)],
                ]
                axes.errorbar(x, mean, spread, color=color, marker="o", capsize=3, label=name)
            axes.legend()
        left.set_ylabel("test accuracy in %")
        save(figure, PICTURE, 110)


def main() -> None:
    """Run what is missing, write the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--rows", type=int, help="only so many rows of the table")
    parser.add_argument("--write", action="store_true", help="only write what is kept")
    arguments = parser.parse_args()
    table = list(rows())
    if not arguments.write:
        do(table[: arguments.rows], arguments.seeds, arguments.workers)
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{markdown(table, SEEDS)}\n{END}{rest.split(END)[1]}", "utf-8")
    picture(table, SEEDS)


if __name__ == "__main__":
    main()

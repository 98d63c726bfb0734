"""Iris trained through analog tile, front end and a physical array beside the emulated tile: the table and the picture in docs/arrays.md.

`make front-end` runs it: three seeds of 20 epochs of 4-8-3 each way, the virtual board's with a trace that must replay. Runs are kept in
build/front_end, and started again it does what is missing. `--write` only writes what is kept.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from time import monotonic

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from rich.progress import Progress

from backpulse.host.plots import CYCLE, STYLE, save

ROOT = Path(__file__).parents[1]
PAGE, PICTURE, KEPT = ROOT / "docs" / "arrays.md", ROOT / "docs" / "images" / "front-end.png", ROOT / "build" / "front_end"
BEGIN, END = "<!-- front end: begin -->", "<!-- front end: end -->"
SEEDS, EPOCHS = 3, 20
TRAIN = ("--dataset", "iris", "--layers", "4-8-3", "--epochs", str(EPOCHS))
TEST_SAMPLES = 30
ARRAY = """
[front_end]
kind = "slices"
slices = 2
offset_mv = 2.0
gain_error = 0.01
noise_mv = 0.2
[wires]
row_ohm = 2.0
col_ohm = 2.0
driver_ohm = 2.0
[read]
reference = "pairs"
[write]
steepness = 20.0
"""
"""16 rows and eight pairs of columns, not calibrated."""
BOARDS = {"emulated tile": ("golden://", "--tile", "16x8"), "front end": ("sim://?array=array.toml",)}


def backpulse(*arguments: str) -> None:
    """Run a command in the folder of what is kept."""
    subprocess.run([sys.executable, "-m", "backpulse", *arguments], cwd=KEPT, check=True, stdout=subprocess.DEVNULL)


def file_of(name: str, seed: int) -> Path:
    """Return where a run is kept."""
    return KEPT / f"{name.replace(' ', '-')}-{seed}.json"


def do(seeds: int) -> None:
    """Do the runs that are missing."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "array.toml").write_text(ARRAY)
    missing = [(name, seed) for seed in range(1, seeds + 1) for name in BOARDS if not file_of(name, seed).exists()]
    with Progress() as progress:
        task = progress.add_task("runs", total=len(missing))
        for name, seed in missing:
            url, *more = BOARDS[name]
            if name == "front end":
                backpulse("train", "--board", url, *TRAIN[:-1], "1", "--json", "warm.json")  # compiles the board, if need be
                more = ["--trace", "run.trace"]
            begun, cpu = monotonic(), _cpu_s()
            backpulse("train", "--board", url, *TRAIN, "--seed", str(seed), *more, "--json", "run.json")
            found = json.loads((KEPT / "run.json").read_text())
            kept = {key: found[key] for key in ("test_accuracy", "pulses_up", "pulses_down", "cycles", "steps")}
            kept |= {"seconds": monotonic() - begun, "cpu_seconds": _cpu_s() - cpu}
            if more[0] == "--trace":
                backpulse("replay", "run.trace")
                (KEPT / "run.trace").unlink()
            file_of(name, seed).write_text(json.dumps(kept))
            progress.console.print(f"{name}, seed {seed}: {kept['cpu_seconds'] / 60:.1f} minutes of the processor")
            progress.advance(task)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kept(name: str, seeds: int) -> list[dict]:
    """Return what is kept of a board's runs."""
    return [json.loads(file_of(name, seed).read_text()) for seed in range(1, seeds + 1) if file_of(name, seed).exists()]


def markdown(seeds: int) -> str:
    """Return the table."""
    lines = [f"| | test samples right, of {TEST_SAMPLES} | seeds | pulses | clock cycles of a step |", "|---|---|---|---|---|"]
    for name in BOARDS:
        runs = kept(name, seeds)
        right = [TEST_SAMPLES * run["test_accuracy"][-1] for run in runs]
        pulses = np.mean([run["pulses_up"] + run["pulses_down"] for run in runs])
        cycles = np.mean([run["cycles"] / run["steps"] for run in runs])
        each = ", ".join(f"{count:.0f}" for count in right)
        lines.append(f"| {name} | {np.mean(right):.2f} ({each}) | {len(runs)} | {pulses:,.0f} | {cycles:,.0f} |")
    return "\n".join(lines)


def picture(seeds: int) -> None:
    """Draw the test accuracy over the epochs, the mean and each seed."""
    with style.context(["default", STYLE]):
        figure = Figure(figsize=(7.5, 4.2), layout="constrained")
        axes = figure.subplots()
        epochs = np.arange(1, EPOCHS + 1)
        for color, name in zip(CYCLE, BOARDS, strict=False):
            curves = 100 * np.array([run["test_accuracy"] for run in kept(name, seeds)])
            axes.plot(epochs, curves.mean(axis=0), color=color, linewidth=2, label=name)
            axes.fill_between(epochs, curves.min(axis=0), curves.max(axis=0), color=color, alpha=0.2, linewidth=0)
        axes.set_xticks(range(0, EPOCHS + 1, 5))
        axes.set_xlabel("epoch")
        axes.set_ylabel("test accuracy in %")
        axes.set_title("Iris, 4-8-3: mean and range of the seeds")
        axes.legend(loc="lower right")
        save(figure, PICTURE, 110)


def main() -> None:
    """Run what is missing, write the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--write", action="store_true", help="only write what is kept")
    arguments = parser.parse_args()
    if not arguments.write:
        do(arguments.seeds)
    page = PAGE.read_text("utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{markdown(arguments.seeds)}\n{END}{after}", "utf-8")
    picture(arguments.seeds)


if __name__ == "__main__":
    main()

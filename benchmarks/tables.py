"""Tables of one's own beside scikit-learn: `python -m benchmarks.tables FOLDER` writes a Markdown table.

The folder holds the files and `tables.txt`: a line for each, the file's name and options of `backpulse train`, as in

    penguins.csv --target species --missing median --epochs 50

Each is trained with three seeds. `MLPClassifier` gets the same scaled inputs, parts and hidden sizes, and time to converge.
"""

import json
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from backpulse.firmware_py.config import DEFAULT
from backpulse.host.scaling import SAMPLE_ONE
from backpulse.host.settings import Settings, prepare

SEEDS = (1, 2, 3)
MOST_EPOCHS = 1000


def trained(file: Path, options: list[str], seed: int) -> dict:
    """Return the JSON of a training run."""
    command = [sys.executable, "-m", "backpulse", "train", "--dataset", str(file), *options, "--seed", str(seed), "--json", "-"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{file.name}: {run.stderr.strip().splitlines()[-1]}")
    return json.loads(run.stdout)


def classifier_accuracy(settings: Settings) -> float:
    """Return the test accuracy of scikit-learn's network on the inputs and parts of a run."""
    data = prepare(settings, DEFAULT.drive_max)
    hidden = settings.network.layers[1:-1]
    model = MLPClassifier(hidden, random_state=settings.seed, max_iter=MOST_EPOCHS)
    x = data.x / SAMPLE_ONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it has then, it has
        model.fit(x[data.train], data.y[data.train])
    return float(np.mean(model.predict(x[data.test]) == data.y[data.test]))


def main(folder: Path) -> None:
    """Train each table of the list and print a row of the table."""
    print("| file | options | network | samples | Backpulse | MLPClassifier | points |\n|---|---|---|---|---|---|---|")
    lines = (folder / "tables.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        name, *options = shlex.split(line, comments=True) or [""]
        if not name:
            continue
        runs = [trained(folder / name, options, seed) for seed in SEEDS]
        settings = [Settings.from_dict(run["settings"]) for run in runs]
        ours = 100 * np.mean([run["test_accuracy"][-1] for run in runs])
        theirs = 100 * np.mean([classifier_accuracy(s) for s in settings])
        steps = runs[0]["steps"] // runs[0]["epochs"]
        cells = [name, f"`{' '.join(options)}`", settings[0].layers, str(steps), f"{ours:.1f}", f"{theirs:.1f}", f"{ours - theirs:+.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.tables FOLDER")
    main(Path(sys.argv[1]))

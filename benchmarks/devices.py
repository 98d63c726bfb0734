"""What a device learns by its measured table, and by its linear fit: `python -m benchmarks.devices` writes the table of docs/devices.md.

Rates are of a factor-2 grid and chosen by the accuracy on a validation part of the training part; the network is then trained anew on the
whole training part, and its accuracy on the test part is what is reported.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import Progress

from backpulse.firmware_py.device import Device
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.device_fit import as_table, fit_device
from backpulse.host.device_layouts import read_measured
from backpulse.host.device_traces import in_siemens
from backpulse.host.devices import text_of
from backpulse.host.settings import Prepared, Settings, prepare
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .table import cell, table

ROOT = Path(__file__).parents[1]
PAGE, DATA = ROOT / "docs" / "devices.md", ROOT / "tests" / "data" / "devices"
BEGIN, END = "<!-- accuracy: begin -->\n", "<!-- accuracy: end -->"
"""Around the table in the page."""
RATES = tuple(2.0**k for k in range(-5, 4))
EPOCHS = 20
VALIDATION = 0.2
FILES = {
    "ENODe": (("crosssim_ENODe_dG_increasing.txt", "crosssim_ENODe_dG_decreasing.txt"), "S"),
    "synthetic, growing": (("synthetic_growing.csv",), "uS"),
    "synthetic, steep66": (("synthetic_steep66.csv",), "uS"),
}
"""Measured sets, with their unit."""
SOFT = Device(name="soft bounds", dw_min=0.0075, slope_up=1.0, slope_down=1.0)
"""A device whose step falls to zero at its bounds: the linear step is right for it."""


@dataclass(frozen=True)
class Case:
    """A device by one of its models."""

    device: str
    model: str
    settings: Settings
    warned: str
    """What the fit warns of the linear model, beforehand."""


def cases() -> list[Case]:
    """Return all devices by their table, and by their linear fit."""
    found = []
    for name, (files, units) in FILES.items():
        measured, _ = in_siemens(read_measured([DATA / file for file in files]), units, None)
        fit = fit_device(measured, name)
        linear, scale = as_table(fit, "linear")
        warned = "yes" if any("accuracies of the linear device" in warning for warning in fit.warnings) else "no"
        for model, device, weights in (("table", fit.table, fit.weight_scale), ("linear", linear, scale)):
            found.append(Case(name, model, Settings(device=text_of(device, name), weight_scale=weights), warned))
    for model, device in (("table", TableDevice.of_linear(SOFT)), ("linear", SOFT)):
        found.append(Case(SOFT.name, model, Settings(device=text_of(device, SOFT.name)), "no"))
    return found


def trained(settings: Settings, data: Prepared) -> Trainer:
    """Return a run to its end on the golden model."""
    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        trainer = Trainer(board, settings, EPOCHS, data=data)
        trainer.run()
        return trainer


def best_rate(settings: Settings, seeds: Sequence[int], progress: Progress, task) -> float:
    """Return the rate of the highest accuracy on the validation part, after the last epoch, in the mean over the seeds."""
    means = []
    for rate in RATES:
        found = []
        for seed in seeds:
            run = settings.changed(lr=rate, seed=seed, validation=VALIDATION)
            found.append(trained(run, prepare(run, 127)).position.validation_accuracy[-1])
            progress.advance(task)
        means.append(np.mean(found))
    return RATES[int(np.argmax(means))]


def main() -> None:
    """Train, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--print", action="store_true", help="print the table, and leave the page alone")
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    rows: dict[str, dict[str, str]] = {}
    with Progress() as progress:
        task = progress.add_task("runs", total=2 * (len(FILES) + 1) * len(seeds) * (len(RATES) + 1))
        for case in cases():
            rate = best_rate(case.settings, seeds, progress, task)
            runs = [case.settings.changed(lr=rate, seed=seed) for seed in seeds]
            accuracy = []
            for run in runs:
                accuracy.append(100 * trained(run, prepare(run, 127)).position.test_accuracy[-1])
                progress.advance(task)
            row = rows.setdefault(case.device, {"fit warns": case.warned})
            row |= {case.model: cell(np.array(accuracy)), f"{case.model} rate": f"{rate:g}"}
            progress.console.print(f"{case.device}, {case.model}: {row[case.model]} at {rate:g}")
    heads = ("device", "by its table, %", "rate", "by its linear fit, %", "rate", "fit warns of the linear model")
    columns = ("table", "table rate", "linear", "linear rate", "fit warns")
    text = table(heads, ([name, *(row[column] for column in columns)] for name, row in rows.items()))
    if arguments.print:
        print(text)
        return
    page = PAGE.read_text("utf-8")
    head, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n\n{END}{rest.partition(END)[2]}", "utf-8")


if __name__ == "__main__":
    main()

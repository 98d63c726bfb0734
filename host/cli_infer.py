"""The command `infer`."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from backpulse.firmware_py.compiler import Program
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.cli_train import open_told
from backpulse.host.datasets import Dataset, load
from backpulse.host.devices import facts_of
from backpulse.host.errors import InputError
from backpulse.host.labels import UNLABELLED
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.remarks import beyond_training
from backpulse.host.retention import MEAN, as_words, check_retention, compensated, parse_times
from backpulse.host.retention import after as lose
from backpulse.host.scaling import records
from backpulse.host.scores import scores, told
from backpulse.host.stop import stop_on_signals
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import console, show_warnings, stdout


def infer(
    checkpoint: Annotated[Path, typer.Option(help="A training run's checkpoint.", metavar="FILE")],
    board: o.BoardUrl = "golden://",
    dataset: Annotated[
        str | None, typer.Option(help="Data to classify, with or without labels; the run's own if not given.", rich_help_panel=o.FILES)
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Label column of --dataset, by name or number from 1 (if not given: that of the training, if it is there).",
            rich_help_panel=o.FILES,
        ),
    ] = None,
    part: Annotated[str, typer.Option(help="Samples: all, train, test; auto is test for the run's own data, else all.")] = "auto",
    after: Annotated[
        str | None, typer.Option(help="Classify also with the cells as they are after these times, as in 1h,1d,30d.", metavar="TIMES")
    ] = None,
    compensate: Annotated[
        str | None,
        typer.Option(help=f"{MEAN}: with --after, give each layer's cells back what they have lost in the mean.", metavar="NAME"),
    ] = None,
    plot: o.Plot = None,
    outputs: Annotated[bool, typer.Option("--outputs", help="Put the outputs of the network for each sample into the JSON.")] = False,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    trace: o.Trace = None,
    json: o.Json = None,
) -> None:
    """Classify data with the trained array of a checkpoint; columns are found by name."""
    check_outputs({"--json": json, "--trace": trace, "--plot": plot}, {"--checkpoint": checkpoint, "--dataset": dataset})
    times = _times(after, compensate, plot)
    if outputs and json is None:
        raise InputError("--outputs are for the JSON: give --json FILE, or --json - for standard output")
    if target is not None and dataset is None:
        raise InputError(f"--target {target} names a column of other data: give --dataset, or leave it out")
    saved = Checkpoint.load(checkpoint)
    if times:
        check_retention(saved.settings.device_model, facts_of(saved.settings.device))
        if saved.cells is None:
            raise InputError("The checkpoint holds no cells, whose loss could be told: leave --after out")
    if part not in ("auto", "all", "train", "test"):
        raise InputError(f"--part must be all, train, test or auto, not {part}")
    data = load(dataset, target=target, learned=saved.features) if dataset is not None else _own_data(saved)
    chosen, indices = _part(data, part, own=data.digest == saved.data_digest)
    warnings = [*data.warnings, *beyond_training(data, saved.scaler)]
    show_warnings(warnings)
    x = saved.scaler.to_bytes(data.x, saved.config.drive_max)
    with (
        open_told(Address.of(board).calibrated(calibration, calibration_age), saved.config, baud) as opened,
        stop_on_signals() as stop,
        opened.heeding(stop),
    ):
        saved.check_config(opened.config_digest)
        if trace:
            opened.record(trace, saved.settings.to_dict())
        program = saved.settings.compile(opened.config)
        opened.check_ready()
        saved.settings.check_profiles(opened.facts.profiles)
        opened.load(program, scales=saved.scales.tolist(), tile_words=None if saved.tile is None else saved.tile.tolist())
        if saved.cells is None or saved.spread is None:
            warnings.append("The checkpoint holds no cells: the array classifies as it stands")
            show_warnings(warnings[-1:])
        else:
            opened.write_cells(saved.cells)
            opened.write_spread(saved.spread)
            if saved.table:
                saved.table.write(opened)
        opened.upload(records(x, np.zeros((len(x), saved.settings.network.layers[-1]), np.int8)))
        if outputs and not opened.keeps_outputs(program.network.layers[-1]):
            warnings.append("The board has no ring that holds the outputs of a sample: they are read sample by sample, which takes longer")
            show_warnings(warnings[-1:])
        vectors = opened.evaluate_outputs(program, indices, saved.settings.seed) if outputs else None
        predictions = opened.evaluate(program, indices, saved.settings.seed) if vectors is None else vectors.argmax(axis=1)
        later = [_later(opened, saved, program, data, indices, name, seconds, compensate) for name, seconds in times.items()]
        retries = opened.link.retries
        opened.end_recording()
    labels, known = saved.features.labels, data.y[indices] != UNLABELLED
    words = [labels[k] if k < len(labels) else None for k in predictions.tolist()]
    accuracy = float(np.mean((predictions == data.y[indices])[known])) if known.any() else None
    by_class = scores(data.y[indices][known], predictions[known], saved.settings.network.layers[-1])
    of = count(len(indices), "sample")
    if accuracy is None:
        if json != STDOUT:
            stdout.print("\n".join(word or "(no class)" for word in words), soft_wrap=True)
        console.print(f"{of} classified ({chosen}); without labels there is no accuracy", style="bold green")
    else:
        known_of = of if known.all() else f"the {int(known.sum())} with a label of {of}"
        console.print(f"Accuracy {100 * accuracy:.2f} % of {known_of} ({chosen})", style="bold green")
        console.print(plain(told(list(labels), by_class["class_accuracy"])), soft_wrap=True)
    if later and json != STDOUT:
        _show_later(accuracy, later)
    results = Results()
    with results.each():
        write_json(
            json,
            {
                "board": board,
                "config_digest": saved.config_digest,
                "part": chosen,
                "warnings": warnings,
                "samples": data.rows[indices].tolist(),
                "labels": list(labels),
                "predictions": predictions.tolist(),
                "predicted_labels": words,
                "outputs": None if vectors is None else (vectors / saved.config.one).tolist(),
                "accuracy": accuracy,
                **by_class,
                "labelled": int(known.sum()),
                "link_retries": retries,
                **({"after": later, "retention": facts_of(saved.settings.device).plain()["retention"]} if later else {}),
            },
        )
    with results.each():
        if plot:
            from backpulse.host.device_plots import plot_retention  # matplotlib takes its time

            plot_retention(plot, f"{saved.settings.device_model.name}, {saved.settings.layers} on {data.name}", accuracy, later)
    results.finish()


def _times(after: str | None, compensate: str | None, plot: Path | None) -> dict[str, float]:
    """Return the times to look ahead, and refuse options that need some."""
    if compensate not in (None, MEAN):
        raise InputError(f"--compensate must be {MEAN}, not {compensate!r:.40}")
    for option, value in (("--compensate", compensate), ("--plot", plot)):
        if value is not None and after is None:
            raise InputError(f"{option} is for cells that forget: give --after too, or leave it out")
    return parse_times(after) if after is not None else {}


def _later(
    opened: Board,
    saved: Checkpoint,
    program: Program,
    data: Dataset,
    indices: np.ndarray,
    name: str,
    seconds: float,
    compensate: str | None,
) -> dict[str, Any]:
    """Classify with the cells as they are after a time; return accuracies, with and without the compensation."""
    assert saved.cells is not None
    settings, config = saved.settings, saved.config
    cells = np.asarray(saved.cells, np.float64)
    gone = lose(cells, settings.device_model, facts_of(settings.device), seconds, settings.seed, config.cell_frac)
    labels = data.y[indices]
    known = labels != UNLABELLED
    found: dict[str, Any] = {"after": name, "seconds": seconds}
    ways = {"accuracy": gone} | ({f"accuracy_{MEAN}": compensated(gone, cells, program)} if compensate else {})
    for key, held in ways.items():
        opened.write_cells(as_words(held, config.cell_max))
        predictions = opened.evaluate(program, indices, settings.seed)
        found[key] = float(np.mean((predictions == labels)[known])) if known.any() else None
        found[key.replace("accuracy", "predictions")] = predictions.tolist()
    return found


def _show_later(accuracy: float | None, later: list[dict[str, Any]]) -> None:
    """Print the accuracies after each time."""
    compensated_too = f"accuracy_{MEAN}" in later[0]
    table = Table(box=None, padding=(0, 2))
    for heading in ("after", "accuracy, %", *(["with mean shift, %"] if compensated_too else [])):
        table.add_column(heading, justify="left" if heading == "after" else "right")
    rows = [{"after": "0", "accuracy": accuracy, f"accuracy_{MEAN}": accuracy}, *later]
    for row in rows:
        values = [row["accuracy"], *([row[f"accuracy_{MEAN}"]] if compensated_too else [])]
        table.add_row(row["after"], *("-" if value is None else f"{100 * value:.2f}" for value in values))
    stdout.print(table)


def _own_data(saved: Checkpoint) -> Dataset:
    """Load the data of the run, read as it was then."""
    data = saved.settings.load()
    if (data.digest, data.features) != (saved.data_digest, saved.features):
        raise InputError(f"{data.name} is not the data of the checkpoint any more: name the data to classify with --dataset")
    return data


def _part(data: Dataset, part: str, *, own: bool) -> tuple[str, np.ndarray]:
    """Return the name and the samples of a part; only a run's own data has parts."""
    part = ("test" if own else "all") if part == "auto" else part
    if part == "all":
        return part, np.arange(len(data.y))
    if not own:
        raise InputError(f"--part {part} is a part of the run's own data, which {data.name} is not: leave it out")
    return part, data.split()[0 if part == "train" else 1]

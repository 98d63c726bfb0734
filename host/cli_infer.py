"""The command `infer`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.cli_train import open_told, save_waves
from backpulse.host.datasets import Dataset, load
from backpulse.host.errors import InputError
from backpulse.host.labels import UNLABELLED
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.remarks import beyond_training
from backpulse.host.scaling import records
from backpulse.host.scores import scores, told
from backpulse.host.stop import stop_on_signals
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import console, show_warnings, stdout
from backpulse.host.waves import Waves


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
    outputs: Annotated[bool, typer.Option("--outputs", help="Put the outputs of the network for each sample into the JSON.")] = False,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    trace: o.Trace = None,
    waves: o.WavesFile = None,
    json: o.Json = None,
) -> None:
    """Classify data with the trained array of a checkpoint; columns are found by name."""
    address = Address.of(board).calibrated(calibration, calibration_age)
    scope = Waves.of(waves, address.board, evaluation=True) if waves else None
    outputs_of = {"--json": json, "--trace": trace, **({"--waves": scope.file, "--waves's save file": scope.save_file} if scope else {})}
    check_outputs(outputs_of, {"--checkpoint": checkpoint, "--dataset": dataset})
    if outputs and json is None:
        raise InputError("--outputs are for the JSON: give --json FILE, or --json - for standard output")
    if target is not None and dataset is None:
        raise InputError(f"--target {target} names a column of other data: give --dataset, or leave it out")
    saved = Checkpoint.load(checkpoint)
    if part not in ("auto", "all", "train", "test"):
        raise InputError(f"--part must be all, train, test or auto, not {part}")
    data = load(dataset, target=target, learned=saved.features) if dataset is not None else _own_data(saved)
    chosen, indices = _part(data, part, own=data.digest == saved.data_digest)
    warnings = [*data.warnings, *beyond_training(data, saved.scaler)]
    show_warnings(warnings)
    if scope:
        scope.check(len(indices))
    x = saved.scaler.to_bytes(data.x, saved.config.drive_max)
    results = Results()
    with (
        ExitStack() as after,  # what is done when the board is closed
        open_told(address, saved.config, baud, waves=scope) as opened,
        stop_on_signals() as stop,
        opened.heeding(stop),
    ):
        saved.check_config(opened.config_digest)
        if trace:
            opened.record(trace, saved.settings.to_dict())
        program = saved.settings.compile(opened.config)
        if scope:
            after.callback(save_waves, scope, program, results)
        opened.check_ready()
        saved.settings.check_profiles(opened.facts.profiles)
        opened.load(program, scales=saved.scales.tolist(), tile_words=None if saved.tile is None else saved.tile.tolist())
        if saved.cells is None or saved.spread is None:
            warnings.append("The checkpoint holds no cells: the array classifies as it stands")
            show_warnings(warnings[-1:])
        else:
            opened.write_cells(saved.cells)
            opened.write_spread(saved.spread)
        opened.upload(records(x, np.zeros((len(x), saved.settings.network.layers[-1]), np.int8)))
        if outputs and not opened.keeps_outputs(program.network.layers[-1]):
            warnings.append("The board has no ring that holds the outputs of a sample: they are read sample by sample, which takes longer")
            show_warnings(warnings[-1:])
        vectors = opened.evaluate_outputs(program, indices, saved.settings.seed) if outputs else None
        predictions = opened.evaluate(program, indices, saved.settings.seed) if vectors is None else vectors.argmax(axis=1)
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
        },
    )
    results.finish()


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

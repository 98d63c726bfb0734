"""The command `infer`."""

from pathlib import Path
from typing import Annotated

import typer

from backpulse.host import array_options as a
from backpulse.host import inference
from backpulse.host import options as o
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.datasets import load
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, check_outputs, write_json
from backpulse.host.scores import told
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import Terminal, console, stdout


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
    config: o.RunFile = None,
    json: o.Json = None,
) -> None:
    """Classify data with the trained array of a checkpoint; columns are found by name."""
    check_outputs({"--json": json, "--trace": trace}, {"--checkpoint": checkpoint, "--dataset": dataset, "--config": config})
    if outputs and json is None:
        raise InputError("--outputs are for the JSON: give --json FILE, or --json - for standard output")
    if target is not None and dataset is None:
        raise InputError(f"--target {target} names a column of other data: give --dataset, or leave it out")
    saved = Checkpoint.load(checkpoint)
    data = load(dataset, target=target, learned=saved.features) if dataset is not None else None
    address = Address.of(board).calibrated(calibration, calibration_age)
    result = inference.infer(saved, address, board, data=data, part=part, outputs=outputs, baud=baud, trace=trace, audience=Terminal())
    words, of = result["predicted_labels"], count(len(result["samples"]), "sample")
    if result["accuracy"] is None:
        if json != STDOUT:
            stdout.print("\n".join(word or "(no class)" for word in words), soft_wrap=True)
        console.print(f"{of} classified ({result['part']}); without labels there is no accuracy", style="bold green")
    else:
        known_of = of if result["labelled"] == len(words) else f"the {result['labelled']} with a label of {of}"
        console.print(f"Accuracy {100 * result['accuracy']:.2f} % of {known_of} ({result['part']})", style="bold green")
        console.print(plain(told(result["labels"], result["class_accuracy"])), soft_wrap=True)
    write_json(json, result)

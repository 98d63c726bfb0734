"""The command `infer`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.firmware_py.words import nearest
from backpulse.host import array_options as a
from backpulse.host import inference
from backpulse.host import options as o
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.datasets import load
from backpulse.host.errors import InputError
from backpulse.host.output import STDOUT, Results, check_outputs, write_json
from backpulse.host.retention import MEAN, parse_times
from backpulse.host.scores import told
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.urls import BAUD, Address
from backpulse.host.view import Table, Terminal, console, stdout
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
    after: Annotated[
        str | None, typer.Option(help="Classify also with the cells as they are after these times, as in 1h,1d,30d.", metavar="TIMES")
    ] = None,
    compensate: Annotated[
        str | None,
        typer.Option(help=f"{MEAN}: with --after, give each layer's cells back what they have lost in the mean.", metavar="NAME"),
    ] = None,
    plot: o.Plot = None,
    outputs: Annotated[
        bool, typer.Option("--outputs", metavar="", help="Put the outputs of the network for each sample into the JSON.")
    ] = False,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    trace: o.Trace = None,
    waves: o.WavesFile = None,
    config: o.RunFile = None,
    json: o.Json = None,
) -> None:
    """Classify data with the trained array of a checkpoint; columns are found by name."""
    read = {"--checkpoint": checkpoint, "--dataset": dataset, "--config": config}
    address = Address.of(board).calibrated(calibration, calibration_age)
    scope = Waves.of(waves, address.board, evaluation=True) if waves else None
    check_outputs({"--json": json, "--trace": trace, "--plot": plot, **(scope.outputs if scope else {})}, read)
    times = _times(after, compensate, plot)
    if outputs and json is None:
        raise InputError("--outputs are for the JSON: give --json FILE, or --json - for standard output")
    if target is not None and dataset is None:
        raise InputError(f"--target {target} names a column of other data: give --dataset, or leave it out")
    saved = Checkpoint.load(checkpoint)
    if times:
        inference.check_forgets(saved)
    data = load(dataset, target=target, learned=saved.features) if dataset is not None else None
    result = inference.infer(
        saved,
        address,
        board,
        data=data,
        part=part,
        outputs=outputs,
        after=times,
        compensate=compensate is not None,
        baud=baud,
        trace=trace,
        waves=scope,
        audience=Terminal(),
    )
    words, of = result["predicted_labels"], count(len(result["samples"]), "sample")
    if result["accuracy"] is None:
        if json != STDOUT:
            stdout.print("\n".join(word or "(no class)" for word in words), soft_wrap=True)
        console.print(f"{of} classified ({result['part']}); without labels there is no accuracy", style="bold green")
    else:
        known_of = of if result["labelled"] == len(words) else f"the {result['labelled']} with a label of {of}"
        console.print(f"Accuracy {100 * result['accuracy']:.2f} % of {known_of} ({result['part']})", style="bold green")
        console.print(plain(told(result["labels"], result["class_accuracy"])), soft_wrap=True)
    if times and json != STDOUT:
        _show_later(result["accuracy"], result["after"])
    results = Results()
    with results.each():
        write_json(json, result)
    with results.each():
        if plot:
            from backpulse.host.device_plots import plot_retention  # matplotlib takes its time

            name = data.name if data else saved.settings.dataset
            title = f"{saved.settings.device_model.name}, {saved.settings.layers} on {name}"
            plot_retention(plot, title, result["accuracy"], result["after"])
    results.finish()


def _times(after: str | None, compensate: str | None, plot: Path | None) -> dict[str, float]:
    """Return the times to look ahead, and refuse options that need some."""
    if compensate not in (None, MEAN):
        raise InputError(f"--compensate must be {MEAN}, not {compensate!r:.40}{nearest(compensate, [MEAN])}")
    for option, value in (("--compensate", compensate), ("--plot", plot)):
        if value is not None and after is None:
            raise InputError(f"{option} is for cells that forget: give --after too, or leave it out")
    return parse_times(after) if after is not None else {}


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

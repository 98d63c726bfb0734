"""The command `train`."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.api_saved import check_live
from backpulse.host.cli_watch import tell
from backpulse.host.cost import told as cost_told
from backpulse.host.errors import InputError, SignalError
from backpulse.host.order import Order
from backpulse.host.output import check_outputs, write_json
from backpulse.host.runs import EPOCHS, NO_ARRAY, training
from backpulse.host.saved.folder import KEPT
from backpulse.host.saved.saver import checked_keep
from backpulse.host.scores import told
from backpulse.host.settings import SOFTWARE
from backpulse.host.terminal import plain
from backpulse.host.training import STARTS
from backpulse.host.urls import BAUD, TILE, Address
from backpulse.host.view import Terminal, console
from backpulse.host.waves import Waves
from backpulse.host.weights import FORMS, Weights

DEFAULT_CHECKPOINT = Path("backpulse-checkpoint.npz")
"""Where Ctrl-C saves if no file is named."""


@o.takes_settings(layers=o.FITTED)
def train(
    ctx: typer.Context,
    given: o.Given,
    board: o.BoardUrl = "golden://",
    epochs: o.Epochs = EPOCHS,
    tile: o.Tile = TILE,
    tiles: o.Tiles = None,
    baud: o.Baud = BAUD,
    calibration: a.Calibration = None,
    calibration_age: a.CalibrationAge = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Save here after each epoch and on Ctrl-C.", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    best: Annotated[
        Path | None,
        typer.Option(
            help="Keep the checkpoint of the epoch with the lowest validation loss here.", metavar="FILE", rich_help_panel=o.FILES
        ),
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from a checkpoint.", metavar="FILE", rich_help_panel=o.FILES)] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help=f"How the array gets its initial weights: {', '.join(STARTS)} (if not given: written where it can be, else verified).",
            metavar="NAME",
            rich_help_panel=o.ALGORITHM,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help=f"Initial weights: {FORMS}.", metavar="FILE", rich_help_panel=o.FILES),
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", metavar="", help="Train the float64 reference too.", rich_help_panel=o.ALGORITHM)
    ] = False,
    plot: o.Plot = None,
    pulse_log: Annotated[
        Path | None, typer.Option(help="Write every pulse (.npz or .csv).", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    trace: o.Trace = None,
    waves: o.WavesFile = None,
    config: o.RunFile = None,
    save: Annotated[
        Path | None, typer.Option(help="Save the run in this new folder (docs/runs.md).", metavar="RUN", rich_help_panel=o.FILES)
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help=f"What --save keeps beside results and array: {', '.join(KEPT)}.", metavar="NAMES", rich_help_panel=o.FILES),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", metavar="", help="Show the run in a browser of this computer while it goes on.", rich_help_panel=o.FILES),
    ] = False,
    json: o.Json = None,
) -> None:
    """Train a network in the array, one sample at a time."""
    if live:
        check_live()
    keeps = checked_keep(keep, save, pulse_log, trace)
    address = Address.of(board).calibrated(calibration, calibration_age)
    saves = {"--checkpoint": checkpoint} if checkpoint else {"--resume": resume}
    read = {"--dataset": given.get("dataset"), "--init": init, "--config": config}
    read["--resume"] = resume if checkpoint not in (None, resume) else None
    scope = Waves.of(waves, address.board) if waves else None
    outputs = {**saves, "--best": best, "--json": json, "--plot": plot, "--pulse-log": pulse_log, "--trace": trace}
    check_outputs(outputs | (scope.outputs if scope else {}), read)
    if plot and given.get("schedule") == SOFTWARE:
        raise InputError(NO_ARRAY)
    chosen = o.explicit(ctx)
    order = Order(
        board=address,
        url=board,
        epochs=epochs if "epochs" in chosen else None,
        tile=tile if "tile" in chosen else None,
        tiles=tiles,
        baud=baud,
        init=Weights.read(init) if init else None,
        start=start,
        reference=reference,
        checkpoint=checkpoint,
        best=best,
        resume=resume,
        pulse_log=pulse_log,
        trace=trace,
        save=save,
        keep=keeps,
        page=_page if live else None,
        waves=scope,
        repeated={"init": init, "calibration": calibration, "calibration_age": calibration_age},
    )
    # Each result for itself, the picture last: what cannot be written takes no other with it.
    with training(given, order, Terminal(), rescue=lambda: _unused(DEFAULT_CHECKPOINT)) as run:
        _summary(run.result)
        with run.results.each():
            write_json(json, run.result)
        with run.results.each():
            if plot:
                run.plot(plot)
    run.results.finish()
    if not run.complete:
        position = run.trainer.position
        place = f"epoch {position.epoch + 1}, sample {position.place}"
        raise SignalError(f"Stopped at {place}: go on with --resume {run.saved_to}", run.stop)


@contextmanager
def _page(folder: Path) -> Iterator[None]:
    """Show a run in a browser while it goes on, and say where."""
    from backpulse.host.saved.live import served  # an extra of its own

    with served(folder) as address:
        tell(address)
        yield


def _unused(path: Path) -> Path:
    """Return the path, or with a number the first that is not there: an older run's checkpoint is nobody's to replace unasked."""
    numbers = itertools.count(2)
    while os.path.lexists(path):
        path = DEFAULT_CHECKPOINT.with_stem(f"{DEFAULT_CHECKPOINT.stem}-{next(numbers)}")
    return path


def _summary(result: dict[str, Any]) -> None:
    if result["test_accuracy"]:
        console.print(f"Test accuracy {100 * result['test_accuracy'][-1]:.2f} % after epoch {result['epochs']}", style="bold green")
    if best := result["best_epoch"]:
        accuracy, loss = 100 * result["test_accuracy"][best - 1], result["validation_loss"][best - 1]
        console.print(f"Lowest validation loss {loss:.4f} after epoch {best}, where test accuracy was {accuracy:.2f} %")
    if result["class_accuracy"]:
        console.print(plain(told(result["labels"], result["class_accuracy"])), soft_wrap=True)
    if result.get("reference"):
        console.print(f"Software reference (float64) {100 * result['reference']['test_accuracy'][-1]:.2f} %")
    if result["pulses_up"] is not None:
        digest = f"; digest {result['conductance_digest'][:16]}" if result["conductance_digest"] else ""
        console.print(
            f"{result['steps']:,} steps, {result['cycles_per_step']:.0f} cycles each; {result['pulses_up']:,} pulses up, "
            f"{result['pulses_down']:,} down{digest}",
            style="dim",
            soft_wrap=True,
        )
    if result.get("cost") and result["cost"]["array"]["source"]:
        for line in cost_told(result["cost"]):
            console.print(plain(line), style="dim", soft_wrap=True)

"""The command `train`."""

import itertools
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import DEFAULT, Config
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.host import array_options as a
from backpulse.host import options as o
from backpulse.host.array_budget import Budget, CountingLog
from backpulse.host.array_map import around, stuck_remarks
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.cli_replay import replay_told
from backpulse.host.datasets import Dataset
from backpulse.host.devices import resolved
from backpulse.host.errors import HostError, InputError, SignalError
from backpulse.host.ledger import ledger_arrays
from backpulse.host.output import PulseReceiver, Results, RunLog, check_outputs, write_json
from backpulse.host.rates import best_epoch, has_ended
from backpulse.host.recorder import forecast
from backpulse.host.scores import told
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.stop import stop_on_signals
from backpulse.host.terminal import plain
from backpulse.host.tile import facts_text
from backpulse.host.trace_file import read_trace
from backpulse.host.training import STARTS, Trainer
from backpulse.host.urls import BAUD, Address, board_config, open_board
from backpulse.host.view import TrainView, console, show_warnings
from backpulse.host.waves import Waves

DEFAULT_CHECKPOINT = Path("backpulse-checkpoint.npz")
"""Where Ctrl-C saves if no file is named."""


@o.takes_settings(layers=o.FITTED)
def train(
    ctx: typer.Context,
    given: o.Given,
    board: o.BoardUrl = "golden://",
    epochs: o.Epochs = 5,
    tile: o.Tile = "128x32",
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
    reference: Annotated[bool, typer.Option("--reference", help="Train the float64 reference too.", rich_help_panel=o.ALGORITHM)] = False,
    plot: o.Plot = None,
    pulse_log: Annotated[
        Path | None, typer.Option(help="Write every pulse (.npz or .csv).", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    trace: o.Trace = None,
    waves: o.WavesFile = None,
    json: o.Json = None,
) -> None:
    """Train a network in the array, one sample at a time."""
    address = Address.of(board).calibrated(calibration, calibration_age)
    given = around(given, address.array)
    save_to = checkpoint or resume
    saved = Checkpoint.load(resume) if resume else None
    saves = {"--checkpoint": checkpoint} if checkpoint else {"--resume": resume}
    read = {"--dataset": given.get("dataset"), "--resume": resume if save_to != resume else None}
    scope = Waves.of(waves, address.board) if waves else None
    outputs = {**saves, "--best": best, "--json": json, "--plot": plot, "--pulse-log": pulse_log, "--trace": trace}
    check_outputs(outputs | ({"--waves": scope.file, "--waves's save file": scope.save_file} if scope else {}), read)
    if saved:
        if not checkpoint:
            where = f"{plain(str(resume))}, which is saved anew after each epoch; --checkpoint saves elsewhere"
            console.print(f"Going on from {where}", style="dim", soft_wrap=True)
        settings, epochs = _resumed(saved, given, epochs if "epochs" in o.explicit(ctx) else saved.epochs)
        data = settings.load()
        saved.check_data(settings.dataset, data.digest, data.features)
    else:
        if address.virtual:  # what never fits is told before any data is read
            first = Settings.from_dict(given)
            board_config(first.network if "layers" in given else None, first.device_model, tile=tile, tiles=tiles, array=address.array)
        settings, data = o.settings_and_data(given)
    if settings.schedule == SOFTWARE:
        if checkpoint or best or resume or plot or pulse_log or trace or waves:
            raise InputError(
                "The software schedule has no array: leave --checkpoint, --best, --resume, --plot, --pulse-log, --trace and --waves out, "
                "or choose another"
            )
        _train_software(settings, data, epochs, json)
        return
    config = saved.config if saved and not {"tile", "tiles"} & o.explicit(ctx) else _config(settings, address, tile, tiles)
    # Wrong data or a network that does not fit is told before a board is built or opened.
    data = prepare(settings, config.drive_max, scaler=saved.scaler if saved else None, dataset=data)
    show_warnings(data.warnings)
    if address.virtual:
        settings.compile(config)
    if scope:
        done = saved.position.epoch * len(data.train) + saved.position.place if saved else 0
        scope.check(epochs * len(data.train) - done)
    results = Results()
    with ExitStack() as stack:
        log = RunLog(pulse_log) if pulse_log else None
        if log:
            stack.callback(_save, log, results)  # whatever ends the run
        golden, endures = address.board == "golden://", address.array.endurance if address.array else None
        budget = Budget.of(address.array, address.folder, config) if golden else None
        counting = CountingLog(budget, log) if budget else log
        beside = pulse_log or (address.folder / endures.ledger if endures else None)
        hidden = _hidden(stack, beside) if beside and not golden and not trace else None
        after = stack.enter_context(ExitStack())  # what is done when the board is closed, whatever ends the run
        if scope:
            after.callback(save_waves, scope, settings.compile(config), results)
        opened = stack.enter_context(open_told(address, config, baud, counting if golden else None, scope))
        budget = budget or Budget.of(address.array, address.folder, opened.config)
        if budget:
            show_warnings(budget.remarks())
            after.callback(lambda: show_warnings(budget.save()))
        steps = saved.position.totals["STEPS"] if saved else 0
        recorded = trace or (hidden if opened.config.trace_words else None)
        count = _counted(budget, recorded) if budget and recorded and not golden else None
        if count:
            after.callback(count)
        elif budget and not golden:
            show_warnings(["The board has no ring of trace records: nothing tells the pulses of its cells, and the ledger stays as it is"])
        if recorded:
            recorder = opened.record(recorded, settings.to_dict(), steps=steps)
            console.print(forecast(settings.compile(opened.config), address.board, baud), style="dim", soft_wrap=True)
        heeding = stack.enter_context(ExitStack())
        stop = heeding.enter_context(stop_on_signals())
        if log and opened.real and not (golden or recorded):
            raise InputError("The board has real devices and no ring of trace records: nothing tells its pulses, leave --pulse-log out")
        run = f"{settings.schedule}, {settings.device_model.name} device, {settings.rate_text}"
        title = f"{settings.layers} on {settings.dataset}: {run}, {board}"
        if opened.facts != EMULATED:
            title += f", {facts_text(opened.facts)}"
        view = stack.enter_context(TrainView(title, rates=settings.lr_schedule != "constant"))
        trainer = Trainer(opened, settings, epochs, checkpoint=saved, data=data, watch=view, stop=stop, log=counting, start=start)
        for said in stuck_remarks(trainer.program, address.array):
            trainer.remark(said)
        begun = trainer.checkpoint() if log and not golden and not recorded else None
        with results.each():
            if not trainer.run(save_to, best) and not save_to:
                save_to = _unused(DEFAULT_CHECKPOINT)
                trainer.checkpoint().save(save_to)
        complete = trainer.complete
        view.__exit__(None, None, None)
        heeding.close()  # what follows has nothing to keep: a signal interrupts it
        result: dict[str, Any] = {"board": board, "complete": complete, **trainer.result()}
        if recorded:
            with results.each():
                opened.end_recording()
            result["trace"] = {"digest": recorder.digest, "units": recorder.count, **({"file": str(trace)} if trace else {})}
        if count:
            count()
        if budget:
            result |= budget.figures()
        if log and begun:
            _replay(begun, trainer, log, result)
        elif log and recorded and not golden:
            _log_of_trace(recorded, log)
        software = None
        if reference:
            software = train_software(settings, trainer.data, trainer.position.epoch, opened.config.drive_max, rates=trainer.rates)
            result["reference"] = {key: software[key] for key in ("test_accuracy", "train_loss", "steps_per_second")}
        # Each result for itself, the picture last: what cannot be written takes no other with it.
        _summary(result)
        with results.each():
            write_json(json, result)
        if log:
            _save(log, results)
        with results.each():
            if plot:
                from backpulse.host.plots import plot_training  # matplotlib takes its time

                plot_training(plot, result, program=trainer.program, before=trainer.initial, after=trainer.cells, reference=software)
    results.finish()
    if not complete:
        place = f"epoch {trainer.position.epoch + 1}, sample {trainer.position.place}"
        raise SignalError(f"Stopped at {place}: go on with --resume {save_to}", stop)


def _unused(path: Path) -> Path:
    """Return the path, or with a number the first that is not there: an older run's checkpoint is nobody's to replace unasked."""
    numbers = itertools.count(2)
    while os.path.lexists(path):
        path = DEFAULT_CHECKPOINT.with_stem(f"{DEFAULT_CHECKPOINT.stem}-{next(numbers)}")
    return path


def _config(settings: Settings, address: Address, tile: str, tiles: int | None) -> Config:
    """Return the configuration of a board made here; another's is what its bitstream says."""
    if not address.virtual:
        return DEFAULT
    dead = Dead.parse(settings.dead)
    return board_config(settings.network, settings.device_model, tile=tile, tiles=tiles, array=address.array, dead=dead)


def open_told(url: str | Address, config: Config, baud: int, log: PulseReceiver | None = None, waves: Waves | None = None) -> Board:
    """Open a board, saying on the terminal what takes its time."""
    return open_board(url, config=config, baud=baud, log=log, waves=waves, progress=lambda text: console.print(text, style="dim"))


def save_waves(waves: Waves, program: Program, results: Results) -> None:
    """Keep the waves of a board that has ended, and say where."""
    with results.each():
        console.print(waves.save(program), soft_wrap=True)


def _resumed(saved: Checkpoint, given: o.Given, epochs: int) -> tuple[Settings, int]:
    """Return a checkpoint's settings and epochs; options may move the data and add epochs, but change nothing else."""
    values = saved.settings.to_dict()
    for name, value in given.items():
        value = resolved(value) if name == "device" else value
        if name not in ("dataset", "target") and value != values[name]:
            option = "--" + name.replace("_", "-")
            saved_as = f"is not the checkpoint's {values[name]}" if values[name] is not None else "is new, and the checkpoint has none"
            raise InputError(f"{option} {value} {saved_as}: leave it out, or start a new run")
    if has_ended(saved.position.losses, saved.settings.patience):
        epoch = best_epoch(saved.position.losses)
        raise InputError(f"The run of the checkpoint has ended: no validation loss has been below that of epoch {epoch}; start a new one")
    if epochs <= saved.position.epoch:
        raise InputError(f"The checkpoint has all of its {saved.position.epoch} epochs: give more with --epochs")
    return Settings.from_dict(values | given), epochs


def _hidden(stack: ExitStack, beside: Path) -> Path:
    """Return the name of a trace that nobody asked for, in a folder that goes away with the command."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=beside.absolute().parent, prefix=".backpulse-"))
    return Path(folder) / "trace"


def _counted(budget: Budget, recorded: Path) -> Callable[[], None]:
    """Return what counts a trace's pulses for a budget, the first time that it is called."""
    traces = [recorded]

    def count() -> None:
        if traces and traces.pop().exists():
            budget.add_counts(ledger_arrays(replay_told(read_trace(recorded)).ledger))

    return count


def _log_of_trace(recorded: Path, log: RunLog) -> None:
    """Log the pulses of a run on another board as its trace has them."""
    outcome = replay_told(read_trace(recorded), log)
    if outcome.divergence:
        raise HostError(f"The board and the golden model differ: {outcome.divergence}", "the pulse log ends there")


def _replay(start: Checkpoint, trainer: Trainer, log: RunLog, result: dict[str, Any]) -> None:
    """Log the pulses of a run on a board without a trace by repeating it on the golden model, whose bits must be the same."""
    begun = start.position
    with open_board("golden://", config=trainer.board.config, log=log) as golden:
        again = Trainer(golden, start.settings, trainer.epochs, checkpoint=start, data=trainer.data, log=log)
        while again.position.epoch < trainer.position.epoch:
            again.epoch()
        place = trainer.position.place - (begun.place if trainer.position.epoch == begun.epoch else 0)
        if place:
            again.train_part(place)
        if again.result()["conductance_digest"] != result["conductance_digest"]:
            cause = "The board's cells are not those of the golden model after the same run: the pulse log is the golden model's"
            raise HostError(cause, "please report it")


def _train_software(settings: Settings, dataset: Dataset, epochs: int, json: str | None) -> None:
    data = prepare(settings, DEFAULT.drive_max, dataset=dataset)
    show_warnings(data.warnings)
    title = f"{settings.layers} on {settings.dataset}: software, float64, {settings.rate_text}"
    with TrainView(title, rates=settings.lr_schedule != "constant") as view:
        result = {"board": None, "complete": True, **train_software(settings, data, epochs, DEFAULT.drive_max, view)}
    _summary(result)
    write_json(json, result)


def _save(log: RunLog, results: Results) -> None:
    with results.each():
        log.close()


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

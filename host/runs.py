"""Training runs whole: from settings and a board's URL to results, whatever ends them. `backpulse train` and `backpulse.train` are this."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import DEFAULT, Config
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.host.array_budget import Budget, CountingLog
from backpulse.host.array_map import around, stuck_remarks
from backpulse.host.audience import Audience
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.cost import CellPulses
from backpulse.host.datasets import Dataset
from backpulse.host.devices import facts_of
from backpulse.host.errors import InputError
from backpulse.host.order import Order, saver_of
from backpulse.host.output import Results, RunLog
from backpulse.host.rates import best_epoch, has_ended
from backpulse.host.recorder import forecast
from backpulse.host.run_logs import counted, hidden_trace, log_of_trace, repeat
from backpulse.host.saved.folder import DATA, INIT
from backpulse.host.settings import HIDDEN_UNITS, SOFTWARE, Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.stop import Stop
from backpulse.host.terminal import plain
from backpulse.host.tile import facts_text, is_exact
from backpulse.host.training import Event, Trainer, Watcher
from backpulse.host.urls import TILE, Address, board_config, open_board
from backpulse.host.waves import Waves
from backpulse.host.weights import Weights, weights_of

NO_ARRAY = (
    "The software schedule has no array: leave --checkpoint, --best, --resume, --plot, --pulse-log, --trace, --save, --live and "
    "--waves out, or choose another"
)
"""What is told of a run without an array that is to leave something of one."""
EPOCHS = 5
"""Epochs of a run, if nothing else is said."""


@dataclass
class Training:
    """A training run that is over.

    Attributes
    ----------
    result : dict
        What it came to, as the JSON of `backpulse train`.
    complete : bool
        Whether it came to its end; if not, `checkpoint` is where it goes on.
    program : Program or None
        What ran in the array; None of the software schedule.
    data : Dataset or None
        What it was trained on.
    reference : dict or None
        The result of the float64 reference, if it was asked for.
    saved_to : Path or None
        Where its last checkpoint is.
    stop : Stop
        Whether it was asked to stop, and by what.
    results : Results
        What could not be written of it.
    """

    result: dict[str, Any]
    program: Program | None = None
    data: Dataset | None = field(default=None, repr=False)
    reference: dict[str, Any] | None = None
    saved_to: Path | None = None
    stop: Stop = field(default_factory=Stop, repr=False)
    results: Results = field(default_factory=Results, repr=False)
    _trainer: Trainer | None = field(default=None, repr=False)
    _rest: Checkpoint | None = field(default=None, repr=False)
    _open: bool = field(default=True, repr=False)

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return self.result["complete"]

    @property
    def trainer(self) -> Trainer:
        """What trained the array.

        Raises
        ------
        InputError
            If nothing did.
        """
        if self._trainer is None:
            raise InputError("The software schedule has no array: choose another schedule")
        return self._trainer

    def keep(self) -> None:
        """Ask the board for what can be asked of the run when it is closed."""
        if self._trainer:
            self.checkpoint()

    def checkpoint(self) -> Checkpoint:
        """Return the run at rest: `infer` asks it, and what its `save` writes is what `train` goes on from (`resume`)."""
        trainer = self.trainer
        if self._rest is None:
            self._rest = trainer.checkpoint()
        return self._rest

    def weights(self) -> Weights:
        """Return the logical weights of each layer, as the array holds them; of real devices they are measured.

        Raises
        ------
        InputError
            If there is no array, or the board of real devices is closed.
        """
        trainer = self.trainer
        if not self._open and not is_exact(trainer.board.facts):
            raise InputError("The board is closed, and the weights of real devices are measured: open it, and give it to train as board")
        return weights_of(trainer.program, trainer.cells)

    def plot(self, path: str | Path) -> None:
        """Draw the run, as `--plot` does (.png, .svg, .pdf)."""
        from backpulse.host.plots import plot_training  # matplotlib takes its time

        trainer, again = self.trainer, self.reference
        plot_training(Path(path), self.result, program=trainer.program, before=trainer.initial, after=trainer.cells, reference=again)


@contextmanager
def training(given: Mapping[str, Any], order: Order, audience: Audience, rescue: Callable[[], Path] | None = None) -> Iterator[Training]:
    """Train; the body has the run while its board is still open.

    Parameters
    ----------
    given : mapping
        Settings by name; without `layers` the network is the one that fits the data.
    order : Order
    audience : Audience
    rescue : callable, optional
        Returns where a run that is stopped is saved, if it has no checkpoint.

    Raises
    ------
    InputError
        If settings, data, files and board do not go together; nothing is trained then.
    HostError
        If the board fails.
    """
    opened = order.board if isinstance(order.board, Board) else None
    address = order.board if isinstance(order.board, Address) else order.board.address or Address(order.url)
    made = address.virtual and not opened
    given = around(dict(given), address.array)
    saved = Checkpoint.load(order.resume) if order.resume else None
    if saved:
        if not order.checkpoint:
            where = f"{plain(str(order.resume))}, which is saved anew after each epoch; --checkpoint saves elsewhere"
            audience.say(f"Going on from {where}")
        settings, epochs = _resumed(saved, given, order.epochs)
        data = order.data or settings.load()
        saved.check_data(settings.dataset, data.digest, data.features)
    else:
        epochs = EPOCHS if order.epochs is None else order.epochs
        if made:  # what never fits is told before any data is read
            first = Settings.from_dict(given)
            _virtual_config(first, address, order, fits="layers" in given)
        settings, data = settings_and_data(given, order.data)
    if settings.schedule == SOFTWARE:
        if any((order.checkpoint, order.best, order.resume, order.pulse_log, order.trace, order.save, order.page, order.waves)):
            raise InputError(NO_ARRAY)
        yield Training(_software(settings, data, epochs, order.init, audience), data=data)
        return
    if opened:
        config = opened.config
    elif saved and order.tile is None and order.tiles is None:
        config = saved.config
    else:
        config = _virtual_config(settings, address, order) if made else DEFAULT
    # Wrong data or a network that does not fit is told before a board is built or opened.
    prepared = prepare(settings, config.drive_max, scaler=saved.scaler if saved else None, dataset=data)
    audience.warn(prepared.warnings)
    if made or opened:
        settings.compile(config)
    if order.waves:
        done = saved.position.epoch * len(prepared.train) + saved.position.place if saved else 0
        order.waves.check(epochs * len(prepared.train) - done)
    save_to = order.checkpoint or order.resume
    results, pulse_log = Results(), order.pulse_log
    with ExitStack() as stack:
        file = RunLog(pulse_log) if pulse_log else None
        if file:
            stack.callback(_save, file, results)  # whatever ends the run
        pages = stack.enter_context(ExitStack())  # left when the folder says how the run ended
        golden = address.board == "golden://" and not opened
        saver = saver_of(stack, order, settings, epochs, config, address, counted=golden) if order.save or order.page else None
        if order.save and order.data:
            data.save(order.save / DATA)
        trace = order.trace or (saver.trace if saver else None)
        log = file or (saver.pulses if saver else None)
        endures = address.array.endurance if address.array else None
        budget = Budget.of(address.array, address.folder, config) if golden else None
        counting = CountingLog(budget, log) if budget else log
        # How far cells are worn is asked of devices whose file says how they are pulsed; a run that goes on has counted only its rest.
        worn = CellPulses(config, counting) if golden and not saved and facts_of(settings.device).operation else None
        counting = worn or counting
        beside = pulse_log or (order.save if log else None) or (address.folder / endures.ledger if endures else None)
        hidden = hidden_trace(stack, beside) if beside and not golden and not trace else None
        after = stack.enter_context(ExitStack())  # what is done when the board is closed, whatever ends the run
        if order.waves:
            after.callback(_save_waves, order.waves, order.program or settings.compile(config), results, audience)
        if opened:
            board = opened
        else:
            given_to = {"log": counting if golden else None, "waves": order.waves, "progress": audience.say}
            board = stack.enter_context(open_board(address, config=config, baud=order.baud, **given_to))
        budget = budget or Budget.of(address.array, address.folder, board.config)
        if budget:
            audience.warn(budget.remarks())
            after.callback(lambda: audience.warn(budget.save()))
        steps = saved.position.totals["STEPS"] if saved else 0
        recorded = trace or (hidden if board.config.trace_words else None)
        count = counted(budget, recorded, audience) if budget and recorded and not golden else None
        if count:
            after.callback(count)
        elif budget and not golden:
            audience.warn(["The board has no ring of trace records: nothing tells the pulses of its cells, and the ledger stays as it is"])
        if recorded:
            recorder = board.record(recorded, settings.to_dict(), steps=steps)
            audience.say(forecast(order.program or settings.compile(board.config), address.board, order.baud))
        if order.save and order.init and "init" not in order.repeated:
            order.init.scaled(prepared.scaler, board.config.drive_max).save(order.save / INIT)
        heeding = stack.enter_context(ExitStack())
        stop = heeding.enter_context(audience.stopping())
        if log and board.real and not (golden or recorded):
            cause = "The board has real devices and no ring of trace records: nothing tells its pulses"
            raise InputError(f"{cause}, leave {'--pulse-log' if pulse_log else 'pulses of --keep'} out")
        shown = stack.enter_context(ExitStack())
        title = _title(settings, order.url, board)
        watch = shown.enter_context(audience.watching(title, rates=settings.lr_schedule != "constant"))
        trainer = Trainer(
            board,
            settings,
            epochs,
            checkpoint=saved,
            data=prepared,
            watch=watched(watch, saver),
            stop=stop,
            log=counting,
            start=order.start,
            init=order.init,
            program=order.program,
        )
        if saver:
            saver.begin(trainer)
        if saver and order.page:
            pages.enter_context(order.page(saver.folder))
        for said in stuck_remarks(trainer.program, address.array):
            trainer.remark(said)
        begun = trainer.checkpoint() if log and not golden and not recorded else None
        with results.each():
            if not trainer.run(save_to, order.best) and not save_to and rescue:
                save_to = rescue()
                trainer.checkpoint().save(save_to)
        complete = trainer.complete
        shown.close()
        heeding.close()  # what follows has nothing to keep: a signal interrupts it
        result: dict[str, Any] = {"board": order.url, "complete": complete, **trainer.result()}
        if recorded:
            with results.each():
                board.end_recording()
            result["trace"] = {"digest": recorder.digest, "units": recorder.count, **({"file": str(trace)} if trace else {})}
        if count:
            count()
        if budget:
            result |= budget.figures()
        if worn:
            result["cost"] = trainer.cost(worn.pulses)
        if log and begun:
            repeat(begun, trainer, log, result)
        elif log and recorded and not golden:
            log_of_trace(recorded, log, audience)
        reference = None
        if order.reference:
            unit, rates = board.config.drive_max, trainer.rates
            reference = train_software(settings, trainer.data, trainer.position.epoch, unit, rates=rates, init=order.init)
            result["reference"] = {key: reference[key] for key in ("test_accuracy", "train_loss", "steps_per_second")}
        run = Training(result, trainer.program, data, reference, save_to, stop, results, trainer)
        yield run
        if saver:
            with results.each():
                saver.end(result)
        run._open = opened is not None


def settings_and_data(given: Mapping[str, Any], data: Dataset | None = None) -> tuple[Settings, Dataset]:
    """Return the settings and load the data; without `layers` the network is the one that fits the data, which its warnings say."""
    settings = Settings.from_dict(given)
    data = data or settings.load()
    if "layers" in given:
        return settings, data
    settings = settings.fitting(data)
    return settings, replace(data, warnings=(*data.warnings, chosen(settings, data)))


def chosen(settings: Settings, data: Dataset) -> str:
    """Return what to tell of a network that was chosen to fit the data."""
    return f"{data.name}: the network is {settings.layers}, inputs, {HIDDEN_UNITS} hidden units and classes; --layers gives another"


def _virtual_config(settings: Settings, address: Address, order: Order, *, fits: bool = True) -> Config:
    """Return the configuration of a board made here, with room for the network if it `fits` the data."""
    network, dead = settings.network if fits else None, Dead.parse(settings.dead)
    tile = order.tile or TILE
    return board_config(network, settings.device_model, tile=tile, tiles=order.tiles, array=address.array, dead=dead)


def watched(*watchers: Watcher | None) -> Watcher:
    """Return a watcher that tells those that there are, one after the other."""

    def tell(event: Event) -> None:
        for watcher in watchers:
            if watcher:
                watcher(event)

    return tell


def _title(settings: Settings, url: str, board: Board) -> str:
    run = f"{settings.schedule}, {settings.device_model.name} device, {settings.rate_text}"
    title = f"{settings.layers} on {settings.dataset}: {run}, {url}"
    return title if board.facts == EMULATED else f"{title}, {facts_text(board.facts)}"


def _resumed(saved: Checkpoint, given: Mapping[str, Any], epochs: int | None) -> tuple[Settings, int]:
    """Return a checkpoint's settings and epochs; what is given may move the data and add epochs, but change nothing else."""
    values = saved.settings.to_dict()
    for name, value in given.items():
        value = Settings.plain(name, value) if name == "device" else value
        if name not in ("dataset", "target") and value != values[name]:
            option = "--" + name.replace("_", "-")
            saved_as = f"is not the checkpoint's {values[name]}" if values[name] is not None else "is new, and the checkpoint has none"
            raise InputError(f"{option} {value} {saved_as}: leave it out, or start a new run")
    if has_ended(saved.position.losses, saved.settings.patience):
        epoch = best_epoch(saved.position.losses)
        raise InputError(f"The run of the checkpoint has ended: no validation loss has been below that of epoch {epoch}; start a new one")
    epochs = saved.epochs if epochs is None else epochs
    if epochs <= saved.position.epoch:
        raise InputError(f"The checkpoint has all of its {saved.position.epoch} epochs: give more with --epochs")
    return Settings.from_dict(values | dict(given)), epochs


def _software(settings: Settings, dataset: Dataset, epochs: int, init: Weights | None, audience: Audience) -> dict[str, Any]:
    data = prepare(settings, DEFAULT.drive_max, dataset=dataset)
    audience.warn(data.warnings)
    title = f"{settings.layers} on {settings.dataset}: software, float64, {settings.rate_text}"
    with audience.watching(title, rates=settings.lr_schedule != "constant") as watch:
        return {"board": None, "complete": True, **train_software(settings, data, epochs, DEFAULT.drive_max, watch, init=init)}


def _save(log: RunLog, results: Results) -> None:
    with results.each():
        log.close()


def _save_waves(waves: Waves, program: Program, results: Results, audience: Audience) -> None:
    with results.each():
        audience.say(waves.save(program))

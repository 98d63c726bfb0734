"""Of the public interface: what takes its time, as the commands do it."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from backpulse.firmware_py.compiler import Program
from backpulse.host import datasets, inference
from backpulse.host.api_parts import dataset
from backpulse.host.audience import Audience, Progress
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.datasets import Dataset
from backpulse.host.diverging import SAMPLES, Parting, parting
from backpulse.host.errors import InputError, StorageError
from backpulse.host.ledger import check_ledger_file
from backpulse.host.order import Order
from backpulse.host.output import Results, RunLog, check_outputs
from backpulse.host.replay import Outcome
from backpulse.host.retention import parse_times
from backpulse.host.run_logs import replay_trace, write_outcome
from backpulse.host.runs import Training, training
from backpulse.host.saved.saver import checked_keep
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop
from backpulse.host.tables import with_nearest
from backpulse.host.trace_file import TraceFile
from backpulse.host.trace_file import read_trace as read_trace_file
from backpulse.host.training import Watcher
from backpulse.host.urls import BAUD, TILE, Address
from backpulse.host.waves import Waves
from backpulse.host.weights import Weights


def train(
    settings: Settings | None = None,
    *,
    data: Dataset | tuple[Any, Any] | None = None,
    board: str | Address | Board = "golden://",
    epochs: int | None = None,
    init: Any = None,
    program: Program | None = None,
    start: str | None = None,
    reference: bool = False,
    checkpoint: str | Path | None = None,
    best: str | Path | None = None,
    resume: str | Path | None = None,
    pulse_log: str | Path | None = None,
    trace: str | Path | None = None,
    save: str | Path | None = None,
    keep: str | Sequence[str] = (),
    waves: str | None = None,
    tile: str | None = None,
    tiles: int | None = None,
    baud: int = BAUD,
    watch: Watcher | None = None,
    stop: Stop | None = None,
    **named: Any,
) -> Training:
    """Train a network in an array: what `backpulse train` does.

    Parameters
    ----------
    settings : Settings, optional
        The network, the algorithm, the device and the data by name.
    data : Dataset or (X, y), optional
        The data, if the settings do not name it.
    board : str, Address or Board
        Where to train: a URL, or a board that is open and stays open.
    epochs : int, optional
        5 if not given, or those of the run that goes on.
    init : path, scikit-learn MLP, Weights or sequence of (W, b), optional
        Initial weights, if not those of the seed. Those of a scikit-learn model are taken as weights for the data as it is.
    program : Program, optional
        What runs in the array, if not what the schedule compiles to: one of `program`, changed.
    start, reference, checkpoint, best, resume, pulse_log, trace, save, keep, waves, tile, tiles, baud
        As the options of the command.
    watch : callable, optional
        Called with each `Event`.
    stop : Stop, optional
        `stop.asked = True`, in another thread or in `watch`, ends the run at a sample boundary.
    **named
        Settings by name, beside those of `settings`. Without `layers` the network is the one that fits the data.

    Returns
    -------
    Training

    Raises
    ------
    InputError
        If settings, data, files and board do not go together; nothing is trained then.
    StorageError
        If a result could not be written; the run is the error's `run`.
    HostError
        If the board fails.

    Examples
    --------
    >>> run = train(dataset="iris", epochs=10, seed=1)
    >>> run.result["test_accuracy"][-1] > 0.8
    True
    >>> [W.shape for W, b in run.weights()]
    [(4, 32), (32, 3)]
    """
    if unknown := [name for name in named if name not in Settings.model_fields]:
        names = [name for name in signature(train).parameters if name != "named"]
        raise InputError(
            f"train has no {with_nearest(unknown, [*names, *Settings.model_fields])}: it takes {', '.join(names)}, and as settings "
            f"{', '.join(Settings.model_fields)}"
        )
    given = {**(settings.to_dict() if settings else {}), **named}
    if isinstance(data, tuple):
        data = dataset(*data)
    if data is not None:
        given.setdefault("dataset", data.name)
    files = {"checkpoint": checkpoint, "best": best, "resume": resume, "pulse_log": pulse_log, "trace": trace}
    written = {f"--{name.replace('_', '-')}": file for name, file in files.items() if not (name == "resume" and checkpoint)}
    keeps = checked_keep(keep, save, pulse_log, trace)
    at = Address.of(board) if isinstance(board, str) else board
    if waves and isinstance(at, Board):
        raise InputError("A board that is open writes no waves: give its URL, or leave waves out")
    scope = Waves.of(waves, at.board) if waves and isinstance(at, Address) else None
    written |= scope.outputs if scope else {}
    check_outputs(written, {"--dataset": given.get("dataset"), "--resume": resume if checkpoint not in (None, resume) else None})
    order = Order(
        board=at,
        url=_name(board),
        epochs=epochs,
        tile=tile,
        tiles=tiles,
        baud=baud,
        data=data,
        init=None if init is None else Weights.of(init),
        program=program,
        start=start,
        reference=reference,
        checkpoint=_path(checkpoint),
        best=_path(best),
        resume=_path(resume),
        pulse_log=_path(pulse_log),
        trace=_path(trace),
        save=_path(save),
        keep=keeps,
        waves=scope,
    )
    with training(given, order, Audience(watch, stop)) as run:
        run.keep()
    try:
        run.results.finish()
    except StorageError as error:
        error.run = run
        raise
    return run


def infer(
    trained: Training | Checkpoint | str | Path,
    data: Dataset | tuple[Any, Any] | str | Path | None = None,
    *,
    board: str | Address | Board = "golden://",
    target: str | None = None,
    part: str = "auto",
    outputs: bool = False,
    after: str | None = None,
    compensate: bool = False,
    trace: str | Path | None = None,
    baud: int = BAUD,
) -> dict[str, Any]:
    """Classify data with a trained array: what `backpulse infer` does.

    Parameters
    ----------
    trained : Training, Checkpoint or path
        A run, or the checkpoint of one.
    data : Dataset, (X, y), name or path, optional
        With labels or, of a file, without; the run's own if not given.
    board : str, Address or Board
        Where to ask it: a URL, or a board that is open and stays open.
    target, part, outputs, after, trace, baud
        As the options of the command.
    compensate : bool
        With `after`, whether each layer's cells are also given back what they have lost in the mean.

    Returns
    -------
    dict
        As the JSON of the command: `predictions`, class numbers; `predicted_labels`; `accuracy`; `outputs`; ...

    Raises
    ------
    InputError
        If checkpoint, data and board do not go together.
    HostError
        If the board fails.

    Examples
    --------
    >>> run = train(dataset="iris", epochs=10)
    >>> infer(run)["accuracy"] == run.result["test_accuracy"][-1]
    True
    """
    saved = trained.checkpoint() if isinstance(trained, Training) else trained
    saved = saved if isinstance(saved, Checkpoint) else Checkpoint.load(saved)
    check_outputs({"--trace": trace})
    if after is not None:
        inference.check_forgets(saved)
    if isinstance(data, tuple):
        data = dataset(*data)
    elif isinstance(data, str | Path):
        data = datasets.load(data, target=target, learned=saved.features)
    elif data is None and isinstance(trained, Training):
        data = trained.data
    return inference.infer(
        saved,
        Address.of(board) if isinstance(board, str) else board,
        _name(board),
        data=data,
        part=part,
        outputs=outputs,
        after=None if after is None else parse_times(after),
        compensate=compensate,
        baud=baud,
        trace=None if trace is None else Path(trace),
        audience=Audience(),
    )


def read_trace(path: str | Path) -> TraceFile:
    """Read the trace of a run, also of one that still goes on.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    return read_trace_file(Path(path))


def replay(
    trace: TraceFile | str | Path,
    *,
    pulse_log: str | Path | None = None,
    ledger: str | Path | None = None,
    plot: str | Path | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Replay a trace on the golden model, and compare every number that it holds: what `backpulse replay` does.

    Parameters
    ----------
    trace : TraceFile or path
    pulse_log : path, optional
        Where every pulse is written (.npz or .csv).
    ledger : path, optional
        Where what each cell was asked for and got is written (.npz, .csv or .parquet).
    plot : path, optional
        Where that is drawn (.png, .svg, .pdf).
    progress : callable, optional
        As of `open_array`.

    Returns
    -------
    Outcome
        `divergence`, the first difference or nothing; `pulses`; `ledger`, what each cell was asked for and got; ...

    Raises
    ------
    InputError
        If the trace cannot be replayed.
    StorageError
        If the log cannot be written.
    """
    files = {"--pulse-log": pulse_log, "--ledger": ledger, "--plot": plot}
    check_outputs(files, {"TRACE": None if isinstance(trace, TraceFile) else trace})
    if ledger:
        check_ledger_file(Path(ledger))
    recorded = trace if isinstance(trace, TraceFile) else read_trace(trace)
    log = RunLog(Path(pulse_log)) if pulse_log else None
    outcome = replay_trace(recorded, log, Audience(progress=progress))
    results, name = Results(), "a trace" if isinstance(trace, TraceFile) else Path(trace).name
    write_outcome(results, outcome, recorded.config, name, log=log, ledger=_path(ledger), plot=_path(plot))
    results.finish()
    return outcome


def divergence(
    settings: Settings | None = None,
    *,
    board: str = "sim://",
    samples: int = SAMPLES,
    tile: str = TILE,
    tiles: int | None = None,
    baud: int = BAUD,
    stop: Stop | None = None,
    progress: Progress | None = None,
    **named: Any,
) -> Parting:
    """Say at which sample, instruction and element a board and the golden model part: what `backpulse divergence` does.

    Parameters
    ----------
    settings : Settings, optional
        Of the run whose first samples are trained.
    board : str
        URL of the board, with emulated devices.
    samples : int
        As many as the store of the board holds at most.
    tile, tiles, baud
        Of the board, as of `open_board`.
    stop, progress
        As of `open_array`.
    **named
        Settings by name, beside those of `settings`. Without `layers` the network is the one that fits the data.

    Returns
    -------
    Parting
        `divergence`, where they part, or None; `row` of that sample in the data; `waves`, the command that writes them.

    Raises
    ------
    InputError
        If settings and board do not go together, or its devices are real.
    HostError
        If the board fails.

    Examples
    --------
    >>> divergence(dataset="iris", layers="4-3", board="golden://", samples=20).divergence is None
    True
    """
    given, told = {**(settings.to_dict() if settings else {}), **named}, Audience(stop=stop, progress=progress)
    return parting(given, board, samples=samples, tile=tile, tiles=tiles, baud=baud, audience=told)


def _name(board: str | Address | Board) -> str:
    address = board.address if isinstance(board, Board) else board
    return address if isinstance(address, str) else address.name if address else "an open board"


def _path(file: str | Path | None) -> Path | None:
    return None if file is None else Path(file)

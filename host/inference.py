"""What the trained array of a checkpoint says of samples."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.dead import NONE, Dead
from backpulse.host.array_map import dead_of
from backpulse.host.audience import Audience
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.datasets import Dataset
from backpulse.host.devices import facts_of
from backpulse.host.errors import InputError
from backpulse.host.labels import UNLABELLED
from backpulse.host.remarks import beyond_training
from backpulse.host.retention import MEAN, as_words, check_retention, compensated
from backpulse.host.retention import after as lose
from backpulse.host.scaling import records
from backpulse.host.scores import scores
from backpulse.host.tables import with_nearest
from backpulse.host.urls import BAUD, Address, board_config, open_board
from backpulse.host.waves import Waves

PARTS = ("auto", "all", "train", "test")
"""Samples of a data set; auto is test for the run's own data, else all."""
NO_CELLS = "The checkpoint holds no cells"


def infer(
    saved: Checkpoint,
    board: Address | Board,
    url: str,
    *,
    data: Dataset | None = None,
    part: str = "auto",
    outputs: bool = False,
    after: Mapping[str, float] | None = None,
    compensate: bool = False,
    baud: int = BAUD,
    trace: Path | None = None,
    waves: Waves | None = None,
    audience: Audience,
) -> dict[str, Any]:
    """Classify data; return the result, as the JSON of `backpulse infer`.

    Parameters
    ----------
    saved : Checkpoint
    board : Address or Board
        A `Board` that is open stays open.
    url : str
        What the result calls it.
    data : Dataset, optional
        That of the training if not given.
    part : str
        One of `PARTS`.
    outputs : bool
        Whether the outputs for each sample are told.
    after : mapping, optional
        Seconds, by the names that they were given: the data is classified also with the cells as they are then.
    compensate : bool
        Whether it is so again with what each layer's cells have lost in the mean given back.
    baud : int
        Of a serial port.
    trace : Path, optional
        Where all that the array answers is recorded.
    waves : Waves, optional
        What a virtual board writes.
    audience : Audience

    Raises
    ------
    InputError
        If checkpoint, data and board do not go together.
    HostError
        If the board fails.
    """
    if part not in PARTS:
        raise InputError(f"--part must be all, train, test or auto, not {with_nearest([part], PARTS)}")
    data = _own_data(saved) if data is None else data
    part, indices = _part(data, part, own=data.digest == saved.data_digest)
    warnings = [*data.warnings, *beyond_training(data, saved.scaler)]
    audience.warn(warnings)

    def tell(text: str) -> None:
        warnings.append(text)
        audience.warn([text])

    if waves:
        waves.check(len(indices))
    with ExitStack() as stack:
        why, at = NO_CELLS, board if isinstance(board, Address) else board.address
        dead = dead_of(at.array) if at and at.array else NONE
        if isinstance(board, Address):
            address, config = board, saved.config
            if saved.cells is not None and address.real:
                config = board_config(saved.settings.network, saved.settings.device_model, array=address.array, dead=dead)
            if waves:  # they are whole when the board is closed
                stack.callback(lambda: audience.say(waves.save(saved.settings.compile(config))))
            board = stack.enter_context(open_board(address, config=config, baud=baud, waves=waves, progress=audience.say))
        stack.enter_context(board.heeding(stack.enter_context(audience.stopping())))
        if saved.cells is not None and board.real:
            why = "`array program` brings real devices to a checkpoint's weights"
            saved = _on_real_devices(saved, board, dead)
        x = saved.scaler.to_bytes(data.x, saved.config.drive_max)
        if trace:
            board.record(trace, saved.settings.to_dict())
        load_network(board, saved, tell, why)
        vectors = outputs_of(board, saved, x, indices, tell) if outputs else None
        predictions = classes_of(board, saved, x, indices) if vectors is None else vectors.argmax(axis=1)
        later = [later_classes(board, saved, data, indices, name, seconds, compensate) for name, seconds in (after or {}).items()]
        retries = board.link.retries
        if trace:
            board.end_recording()
    labels, known = saved.features.labels, data.y[indices] != UNLABELLED
    return {
        "board": url,
        "config_digest": saved.config_digest,
        "part": part,
        "warnings": warnings,
        "samples": data.rows[indices].tolist(),
        "labels": list(labels),
        "predictions": predictions.tolist(),
        "predicted_labels": [labels[k] if k < len(labels) else None for k in predictions.tolist()],
        "outputs": None if vectors is None else (vectors / saved.config.one).tolist(),
        "accuracy": float(np.mean((predictions == data.y[indices])[known])) if known.any() else None,
        **scores(data.y[indices][known], predictions[known], saved.settings.network.layers[-1]),
        "labelled": int(known.sum()),
        "link_retries": retries,
        **({"after": later, "retention": facts_of(saved.settings.device).plain()["retention"]} if later else {}),
    }


def check_forgets(saved: Checkpoint) -> None:
    """Refuse a checkpoint of whose cells nobody knows what they are after a time.

    Raises
    ------
    InputError
        If its device does not say how it forgets, or it holds no cells.
    """
    check_retention(saved.settings.device_model, facts_of(saved.settings.device))
    if saved.cells is None:
        raise InputError("The checkpoint holds no cells, whose loss could be told: leave --after out")


def load_network(board: Board, saved: Checkpoint, tell: Callable[[str], object], why: str = NO_CELLS) -> None:
    """Load a checkpoint's program and cells into a board that was made for them; `tell` is called with what the user should know.

    `why` is the reason why an array is left as it stands, if no cells are there to be written.

    Raises
    ------
    InputError
        If the board has another configuration, or does not know the checkpoint's profiles.
    """
    saved.check_config(board.config_digest)
    board.check_ready()
    saved.settings.check_profiles(board.facts.profiles)
    program = saved.settings.compile(board.config)
    board.load(program, scales=saved.scales.tolist(), tile_words=None if saved.tile is None else saved.tile.tolist())
    if saved.cells is None or saved.spread is None:
        tell(f"{why}: the array classifies as it stands")
    else:
        board.write_cells(saved.cells)
        board.write_spread(saved.spread)
        if saved.table:
            saved.table.write(board)


def classes_of(board: Board, saved: Checkpoint, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the class of each sample of some indices, int64; `x` are drive words, int8 of shape (samples, inputs)."""
    board.upload(_records(saved, x))
    return board.evaluate(saved.settings.compile(board.config), indices, saved.settings.seed)


def outputs_of(board: Board, saved: Checkpoint, x: np.ndarray, indices: np.ndarray, tell: Callable[[str], object]) -> np.ndarray:
    """Return the outputs for each sample of some indices: vector words, int16 of shape (indices, outputs)."""
    program = saved.settings.compile(board.config)
    if not board.keeps_outputs(program.network.layers[-1]):
        tell("The board has no ring that holds the outputs of a sample: they are read sample by sample, which takes longer")
    board.upload(_records(saved, x))
    return board.evaluate_outputs(program, indices, saved.settings.seed)


def later_classes(
    board: Board, saved: Checkpoint, data: Dataset, indices: np.ndarray, name: str, seconds: float, compensate: bool
) -> dict[str, Any]:
    """Classify uploaded samples with the cells as they are after a time; return accuracies, with and without the compensation."""
    assert saved.cells is not None
    settings, config = saved.settings, saved.config
    program = settings.compile(board.config)
    cells = np.asarray(saved.cells, np.float64)
    gone = lose(cells, settings.device_model, facts_of(settings.device), seconds, settings.seed, config.cell_frac)
    labels = data.y[indices]
    known = labels != UNLABELLED
    found: dict[str, Any] = {"after": name, "seconds": seconds}
    ways = {"accuracy": gone} | ({f"accuracy_{MEAN}": compensated(gone, cells, program)} if compensate else {})
    for key, held in ways.items():
        board.write_cells(as_words(held, config.cell_max))
        predictions = board.evaluate(program, indices, settings.seed)
        found[key] = float(np.mean((predictions == labels)[known])) if known.any() else None
        found[key.replace("accuracy", "predictions")] = predictions.tolist()
    return found


def _on_real_devices(saved: Checkpoint, board: Board, dead: Dead) -> Checkpoint:
    """Return a checkpoint of emulated devices as that of a board with real ones, in which `array program` has put its network."""
    settings = saved.settings.changed(dead=dead.text)
    there = {"config": board.config, "config_digest": board.config_digest, "settings": settings}
    return replace(saved, **there, cells=None, spread=None, tile=None, table=None)


def _records(saved: Checkpoint, x: np.ndarray) -> np.ndarray:
    """Return samples without targets as the store takes them."""
    return records(x, np.zeros((len(x), saved.settings.network.layers[-1]), np.int8))


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

"""What the trained array of a checkpoint says of samples."""

from collections.abc import Callable

import numpy as np

from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.scaling import records


def load_network(board: Board, saved: Checkpoint, tell: Callable[[str], object]) -> None:
    """Load a checkpoint's program and cells into a board that was made for them; `tell` is called with what the user should know.

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
        tell("The checkpoint holds no cells: the array classifies as it stands")
    else:
        board.write_cells(saved.cells)
        board.write_spread(saved.spread)


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


def _records(saved: Checkpoint, x: np.ndarray) -> np.ndarray:
    """Return samples without targets as the store takes them."""
    return records(x, np.zeros((len(x), saved.settings.network.layers[-1]), np.int8))

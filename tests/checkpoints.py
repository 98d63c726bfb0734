"""A small run's checkpoint, and files made from it that lie."""

import json
from pathlib import Path

import numpy as np

from backpulse.host.archive import MANIFEST, encode
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board


def small_run(path: Path, *, layers: str = "4-3", device: str = "ideal", tile: str = "8x4") -> bytes:
    """Train an epoch of iris, save to a path, and return the file's bytes."""
    settings = Settings(layers=layers, dataset="iris", device=device)
    with open_board("golden://", config=board_config(settings.network, settings.device_model, tile=tile)) as board:
        Trainer(board, settings, 1).run(path)
    return path.read_bytes()


def parts(path: Path) -> tuple[dict, dict]:
    """Return a file's fields and arrays."""
    with np.load(path) as file:
        fields = json.loads(file[MANIFEST])
        return fields, {name: file[name] for name in fields.pop("arrays")}


def forge(path: Path, fields: dict, arrays: dict) -> None:
    """Write a file whose digests are right, whatever its contents are."""
    path.write_bytes(encode(fields, arrays))


def verdict(path: Path, original: bytes, copy: Path) -> str:
    """Load a file: the sentence of its refusal, or "" if it is exactly the original, saved again to the same bytes, or else "changed"."""
    try:
        checkpoint = Checkpoint.load(path)
    except InputError as error:
        sentence = str(error)
        assert str(path) in sentence
        assert "\n" not in sentence
        assert len(sentence) < 600
        return sentence
    checkpoint.save(copy)
    return "" if copy.read_bytes() == original else "changed"

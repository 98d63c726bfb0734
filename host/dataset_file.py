"""A data set whole in a file: a `.npz` with X and y as any other, and beside them what its columns became, so that it is the same again."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.host.errors import InputError
from backpulse.host.features import Features
from backpulse.host.storage import written_whole

ABOUT = "backpulse"
"""The array with what is said of the others, JSON."""


def write_arrays(path: Path, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write arrays, and what is said of them, whole or not at all.

    Raises
    ------
    StorageError
        If they cannot be written.
    """
    with written_whole(path, "data") as file:
        np.savez_compressed(file, **arrays, **{ABOUT: np.array(json.dumps(about))})  # pyright: ignore[reportArgumentType] - no allow_pickle


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], Features] | None:
    """Return arrays, what is said of them, and the features; None of any other file.

    Raises
    ------
    InputError
        If it is damaged.
    """
    if not zipfile.is_zipfile(path):
        return None
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if ABOUT not in file:
                return None
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop(ABOUT)))
        return arrays, about, Features.from_dict(about["features"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged: {error!s:.100}: take another copy") from error

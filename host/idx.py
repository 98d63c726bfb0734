"""IDX files as of MNIST: found under the names that the archives give them, plain or gzip."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from backpulse.host.errors import InputError

IMAGES, LABELS = 3, 1
"""Dimensions of the two kinds of files."""


def unzip(path: Path, raw: bytes) -> bytes:
    """Return the content of a file, unpacked if it is gzip."""
    try:
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file ({error}): copy or download it anew") from error


def is_idx(data: bytes) -> bool:
    """Say whether a file's content is an IDX file of bytes."""
    return data[:3] == b"\0\0\x08"


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of bytes: uint8 of the shape that it says.

    Raises
    ------
    InputError
        If it is damaged, or of another type.
    """
    data = unzip(path, path.read_bytes())
    start = 4 + 4 * dimensions
    if len(data) < start or not is_idx(data) or data[3] != dimensions:
        raise InputError(f"{path} is no known data file: use .npz, .csv, or an IDX file of bytes with {dimensions} dimensions")
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4"))
    size = int(np.prod(shape, dtype=object))
    if len(data) - start != size:
        raise InputError(
            f"{path} is damaged: its header says {size} bytes of data, but it holds {len(data) - start}: copy or download it anew"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _key(path: Path) -> str:
    """Return what the names of one file in different archives have in common."""
    return path.name.lower().removesuffix(".gz").replace(".", "-")


def _files(folder: Path) -> list[Path]:
    """List the files of a folder, then those of the folders in it: some archives unpack each file to a folder of its name."""
    inside = sorted(folder.iterdir())
    return [p for p in inside if p.is_file()] + [q for p in inside if p.is_dir() for q in sorted(p.iterdir()) if q.is_file()]


def labels_of(images: Path) -> Path | None:
    """Return the labels file that belongs to an images file: beside it, or in the folder beside its own."""
    wanted = _key(images).replace("images", "labels").replace("idx3", "idx1")
    if wanted == _key(images):
        return None
    own = images.absolute().parent
    folders = [own, own.parent] if _key(own) == _key(images) else [own]
    return next((path for folder in folders for path in _files(folder) if _key(path) == wanted), None)


def read_pair(images: Path, *, labelled: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
    """Read an images file and its labels: uint8 (samples, height, width) and (samples,), the latter None if not needed and not there."""
    x = read_idx(images, IMAGES)
    labels = labels_of(images)
    if labels is None and labelled:
        name = images.name.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
        raise InputError(f"{images} has no labels: put the file {name} (or {name}.gz) beside it")
    return x, None if labels is None else read_idx(labels, LABELS)


def find_parts(folder: Path) -> list[Path]:
    """Return the images files of a folder: those of training and test, or a single one.

    Raises
    ------
    InputError
        If there is none, only one of two parts, or several sets.
    """
    images: dict[str, Path] = {}
    for path in _files(folder):
        if "images" in _key(path) and "idx" in _key(path):
            images.setdefault(_key(path), path)
    train = [path for key, path in images.items() if "train" in key]
    test = [path for key, path in images.items() if "t10k" in key or "test" in key]
    if len(images) == 1:
        return list(images.values())
    if not train or not test:
        part = "train" if not train else "t10k"
        raise InputError(f"{folder} has no file {part}-images-idx3-ubyte: a folder must hold the train and t10k IDX files")
    if len(train) > 1 or len(test) > 1:
        several = [path.name for path in (train if len(train) > 1 else test)]
        raise InputError(f"{folder} holds several sets ({', '.join(several)}): put the files of one set into a folder, or name one")
    return [train[0], test[0]]

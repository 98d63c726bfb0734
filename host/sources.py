"""Where samples come from: scikit-learn's sets by name, tables of text, `.npz` and MNIST-format IDX files."""

import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backpulse.firmware_py.places import reason
from backpulse.host.arrays import real_numbers
from backpulse.host.errors import InputError
from backpulse.host.features import Features
from backpulse.host.idx import find_parts, is_idx, read_pair, unzip
from backpulse.host.labels import from_array, text
from backpulse.host.tables import Table, Words, count, with_nearest
from backpulse.host.text_tables import read_table

FASHION = "fashion-mnist"
"""Clothes of 28 x 28 pixels, 60,000 to train and 10,000 to test (Xiao, Rasul, Vollgraf, arXiv 1708.07747)."""
FASHION_PACKAGE, FASHION_FOLDER = "dataset-fashion-mnist", Path("/usr/share/datasets/fashion-mnist")
"""Debian's package of it, and where its files are."""
FASHION_LABELS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
NAMES = ("digits", "iris", "wine", "breast-cancer", FASHION)
KNOWN = f"one of {', '.join(NAMES)} or the path of a .npz, .csv or IDX file"
"""What a data set can be, for messages."""
DAMAGED = (OSError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What numpy and zipfile raise at a file that is damaged, encrypted, compressed in an unknown way, or a single array."""
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".data", ".dat")


@dataclass(frozen=True)
class Source:
    """What a file holds.

    Parameters
    ----------
    table : Table
    y : Words, optional
        The labels, if they are no column of the table.
    labels : tuple of str
        All classes in the order of their numbers, where the data has such a list.
    image : bool
        Whether the columns are pixels of one range.
    train_size : int
        Rows of the training part where the data brings its own split (they come first), else 0.
    label_inside : bool
        Whether the label is a column of the table, or may be one: so it is in a table of text only.
    """

    table: Table
    y: Words | None = None
    labels: tuple[str, ...] = ()
    image: bool = False
    train_size: int = 0
    label_inside: bool = False


def read(source: str, learned: Features | None = None) -> Source:
    """Read a data set by name or path; what a network was trained on is looked for in other data, which needs no labels.

    Raises
    ------
    InputError
        If there is no such data, or it is damaged or empty, or cannot be read.
    """
    if not source.strip():
        raise InputError(f"The name of the data set is empty: give {KNOWN} (is a variable of the shell not set?)")
    if source in NAMES:
        return _by_name(source)
    try:
        return _by_path(source, learned)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {reason(error)}: give a file that is yours to read") from error


def _by_path(source: str, learned: Features | None) -> Source:
    path, labelled = Path(source), learned is None
    if not path.exists():
        raise InputError(f"There is no data set {with_nearest([source], NAMES)}: give {KNOWN}")
    if path.is_dir():
        return _idx(source, find_parts(path), labelled)
    if not path.is_file():  # a device or a pipe may never end
        raise InputError(f"{source} is neither a file nor a folder: write the data to a file and give its path")
    raw = path.read_bytes()
    if not raw:
        raise InputError(f"{source} is empty: it must hold at least a header and samples")
    raw = unzip(path, raw)
    if is_idx(raw):
        return _idx(source, [path], labelled)
    endings = [ending.lower() for ending in path.suffixes]
    if endings[-1:] == [".gz"]:
        endings.pop()
    if endings[-1:] == [".npz"]:
        return _npz(path, labelled)
    if endings and endings[-1] in TEXT_ENDINGS:
        known = None if learned is None else [column.name for column in learned.columns if learned.named]
        return Source(read_table(source, raw, known), label_inside=True)
    raise InputError(f"{source} is no known data file: use .npz, {', '.join(TEXT_ENDINGS)}, or an IDX file of bytes")


def _numbers(name: str, x: np.ndarray, names: list[str] | None = None, *, pixels: bool = False) -> Table:
    """Return an array of samples as a table."""
    numbers = real_numbers(name, x, names or [], holes=True, pixels=pixels)
    columns = names or [str(k + 1) for k in range(numbers.shape[1])]
    return Table(name=name, columns=tuple(columns), named=names is not None, cells=numbers, rows=np.arange(len(numbers)))


def _by_name(name: str) -> Source:
    if name == FASHION:
        if not FASHION_FOLDER.is_dir():
            raise InputError(
                f"{FASHION} is not installed: install the package {FASHION_PACKAGE} (Debian, Ubuntu), or give the path of a folder with "
                "the IDX files of training and test instead of the name"
            )
        return _idx(name, find_parts(FASHION_FOLDER), labelled=True, labels=FASHION_LABELS)
    from sklearn import datasets  # takes a second to import

    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    labels = tuple(str(label) for label in bunch.target_names)
    return Source(_numbers(name, bunch.data), from_array(name, bunch.target, labels), labels, image=name == "digits")


def _idx(source: str, images: list[Path], labelled: bool, labels: tuple[str, ...] = ()) -> Source:
    parts = [read_pair(path, labelled=labelled) for path in images]
    for path, (x, y) in zip(images, parts, strict=True):
        if len(x) == 0 or (y is not None and len(x) != len(y)):
            raise InputError(
                f"{path} has {count(len(x), 'image')} but "
                f"{count(0 if y is None else len(y), 'label')}: give one label an image, and at least one"
            )
    shapes = [x.shape[1:] for x, _ in parts]
    if shapes[0] != shapes[-1]:
        raise InputError(f"{source} has training images of {shapes[0]} pixels but test images of {shapes[-1]}: give files of one set")
    x = np.concatenate([x for x, _ in parts])
    known = [y for _, y in parts if y is not None]
    y = from_array(source, np.concatenate(known), labels) if len(known) == len(parts) else None
    return Source(_numbers(source, x, pixels=True), y, labels, image=True, train_size=len(parts[0][0]) if len(parts) > 1 else 0)


def _npz(path: Path, labelled: bool) -> Source:
    name, arrays = str(path), _arrays(path)
    missing = [key for key in (("X", "y") if labelled else ("X",)) if key not in arrays]
    if missing:
        raise InputError(f"{path} has no array {missing[0]}: it must hold X (samples) and y (labels)")
    x, y = text(name, arrays["X"]), arrays.get("y")
    if x.ndim < 2:
        raise InputError(f"{path} holds no samples: X must be of shape (samples, features), not {x.shape}")
    if y is not None and y.shape[:1] != x.shape[:1]:
        raise InputError(f"{path} has {count(len(x), 'sample')} but labels of shape {y.shape}: give one label a sample")
    names = _names(path, arrays, "feature_names", int(np.prod(x.shape[1:])))
    labels = tuple(_names(path, arrays, "label_names", None) or ())
    if x.dtype.kind == "U" and x.ndim == 2:
        columns = tuple(names or [str(k + 1) for k in range(x.shape[1])])
        cells = [Words.of(column.astype(object)) for column in x.T]
        table = Table(name=name, columns=columns, named=names is not None, cells=cells, rows=np.arange(len(x)))
    else:
        table = _numbers(name, x, names, pixels=x.ndim > 2)
    return Source(table, None if y is None else from_array(name, y, labels), labels, image=x.ndim > 2)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Return those arrays of an .npz file that it may have here."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as content:
            return {key: content[key] for key in ("X", "y", "feature_names", "label_names") if key in content}
    except DAMAGED as error:
        raise InputError(f"{path} is not a readable .npz file of plain arrays: save X and y with numpy.savez") from error


def _names(path: Path, arrays: dict[str, np.ndarray], key: str, count: int | None) -> list[str] | None:
    """Return names that an .npz file may have, so many of them, if that is known."""
    if key not in arrays:
        return None
    names = [str(name).strip() for name in text(f"{path}: {key}", arrays[key]).reshape(-1)]
    if (count is not None and len(names) != count) or len(set(names)) != len(names) or "" in names:
        raise InputError(f"{path}: {key} must be {'' if count is None else f'{count} '}different names, none of them empty")
    return names

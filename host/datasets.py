"""Data sets: by name, from `.npz`, `.csv` and MNIST-format IDX files, checked and split.

Errors are `InputError` and name the row (from 1, the header not counted) and the column of what is wrong.
"""

import csv
import gzip
import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import InputError

TEST_FRACTION = 0.2
SPLIT_SEED = 0
NAMES = ("digits", "iris", "wine", "breast-cancer")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Raw samples and their classes.

    Parameters
    ----------
    name : str
        What the user called it.
    x : ndarray
        float64, (samples, features).
    y : ndarray
        int64, (samples,): class numbers.
    labels : tuple of str
        Names of the classes.
    image : bool
        Whether the features are pixels of one range.
    train_size : int
        Samples of the training part where the data brings its own split (they come first), else 0.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    labels: tuple[str, ...]
    image: bool
    train_size: int = 0

    @property
    def digest(self) -> str:
        """SHA-256 of samples and classes, in hexadecimal."""
        content = hashlib.sha256(np.ascontiguousarray(self.x, "<f8").tobytes())
        content.update(np.ascontiguousarray(self.y, "<i8").tobytes())
        return content.hexdigest()

    def check(self, inputs: int, outputs: int) -> None:
        """Refuse a network whose first or last layer does not fit the data.

        Raises
        ------
        InputError
            If the inputs are not the features, or a label lies beyond the outputs.
        """
        if self.x.shape[1] != inputs:
            features = self.x.shape[1]
            raise InputError(f"{self.name} has {features} features but the input layer has {inputs}: start --layers with {features}")
        beyond = np.flatnonzero(self.y >= outputs)
        if beyond.size:
            row, label = int(beyond[0]), self.labels[self.y[beyond[0]]]
            raise InputError(
                f"{self.name}: row {row + 1} has label {label}, class {self.y[row]}, but the output layer has classes 0 to {outputs - 1}: "
                f"end --layers with at least {int(self.y.max()) + 1}"
            )

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of the training and the test part: always the same, stratified, one test sample in five.

        Raises
        ------
        InputError
            If a class has fewer than two samples.
        """
        if self.train_size:
            return np.arange(self.train_size), np.arange(self.train_size, len(self.x))
        random = np.random.RandomState(SPLIT_SEED)
        test = []
        for k in np.unique(self.y):
            members = np.flatnonzero(self.y == k)
            if len(members) < 2:
                raise InputError(
                    f"{self.name}: class {self.labels[k]} has 1 sample, but training and test need one each: add samples of it"
                )
            test.append(random.permutation(members)[: max(1, round(TEST_FRACTION * len(members)))])
        chosen = np.sort(np.concatenate(test))
        return np.setdiff1d(np.arange(len(self.x)), chosen), chosen


def load(source: str, *, target: str | None = None) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    source : str
        A name of `NAMES`, a `.npz` file with `X` and `y`, a `.csv` file with a header, an IDX images file (plain or gzip, the
        labels file beside it), or a folder with the `train` and `t10k` IDX files.
    target : str, optional
        The label's column of a `.csv` file; the last one if not given.

    Raises
    ------
    InputError
        If there is no such data, or it is damaged, empty or not numbers.
    """
    path = Path(source)
    if target is not None and path.suffix != ".csv":
        raise InputError(f"--target names a column of a .csv file, and {source} is not one")
    if source in NAMES:
        return _by_name(source)
    if not path.exists():
        raise InputError(f"There is no data set {source}: give one of {', '.join(NAMES)} or the path of a .npz, .csv or IDX file")
    if path.is_dir():
        return _idx_folder(path)
    if path.stat().st_size == 0:
        raise InputError(f"{source} is empty: it must hold at least a header and samples")
    if path.suffix == ".npz":
        return _npz(path)
    if path.suffix == ".csv":
        return _csv(path, target)
    return _dataset(source, *_idx_pair(path), image=True)


def _by_name(name: str) -> Dataset:
    from sklearn import datasets  # takes a second to import

    bunch = getattr(datasets, f"load_{name.replace('-', '_')}")()
    labels = tuple(str(k) for k in bunch.target_names)
    return Dataset(name=name, x=bunch.data.astype(float), y=bunch.target.astype(np.int64), labels=labels, image=name == "digits")


def _dataset(name: str, x: np.ndarray, y: np.ndarray, *, image: bool, columns: list[str] | None = None, train_size: int = 0) -> Dataset:
    """Check raw arrays, number the classes and make the data set."""
    if len(x) == 0 or x.ndim < 2 or x.shape[1] == 0:
        raise InputError(f"{name} holds no samples: it must have at least two of each class")
    if y.shape != (len(x),):
        raise InputError(f"{name} has {len(x)} samples but labels of shape {y.shape}: give one label a sample")
    if not (np.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        x = _numbers(name, x)
    x = x.reshape(len(x), -1).astype(np.float64)
    bad = np.argwhere(~np.isfinite(x))
    if bad.size:
        row, column = bad[0]
        raise InputError(
            f"{name}: row {row + 1}, column {columns[column] if columns else column + 1} is {x[row, column]}, not a finite number"
        )
    classes, labels = _classes(name, y)
    return Dataset(name=name, x=x, y=classes, labels=labels, image=image, train_size=train_size)


def _numbers(name: str, x: np.ndarray, columns: list[str] | None = None) -> np.ndarray:
    """Convert an array of text to numbers, or name the first cell that is none."""
    flat = x.reshape(len(x), -1)
    out = np.empty(flat.shape)
    for (row, column), text in np.ndenumerate(flat):
        try:
            out[row, column] = float(text)
        except (TypeError, ValueError):
            where = columns[column] if columns else column + 1
            raise InputError(f"{name}: row {row + 1}, column {where} is '{text}', not a number") from None
    return out


def _classes(name: str, y: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes: whole numbers stand for themselves, text labels are numbered in alphabetical order."""
    text = np.array([str(v).strip() for v in y.tolist()])
    missing = np.flatnonzero((text == "") | (text == "nan"))
    if missing.size:
        raise InputError(f"{name}: row {missing[0] + 1} has no label")
    try:
        numbers = text.astype(np.float64)
    except ValueError:
        labels, classes = np.unique(text, return_inverse=True)
        return classes.astype(np.int64), tuple(str(k) for k in labels)
    wrong = np.flatnonzero((numbers != np.floor(numbers)) | (numbers < 0) | (numbers > 65535))
    if wrong.size:
        raise InputError(f"{name}: row {wrong[0] + 1} has label {text[wrong[0]]}; labels are class numbers from 0, or text")
    classes = numbers.astype(np.int64)
    return classes, tuple(str(k) for k in range(int(classes.max()) + 1))


def _npz(path: Path) -> Dataset:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as content:
            missing = [k for k in ("X", "y") if k not in content]
            if missing:
                raise InputError(f"{path} has no array {missing[0]}: it must hold X (samples) and y (labels)")
            x, y = content["X"], content["y"]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable .npz file of plain arrays: save X and y with numpy.savez") from error
    return _dataset(str(path), x, y, image=x.ndim > 2)


def _csv(path: Path, target: str | None) -> Dataset:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a text file in CSV format: {error}") from error
    if len(lines) < 2:
        raise InputError(f"{path} holds no samples: it must have a header line and one line a sample")
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    if len(header) < 2:
        raise InputError(f"{path} has one column only: it must have at least one feature and the label, separated by commas")
    if all(_is_number(cell) for cell in header[:-1]):
        raise InputError(f"{path} has no header: its first line is numbers; put a line with the names of the columns first")
    if target is not None and target not in header:
        raise InputError(f"{path} has no column {target}: --target must be one of {', '.join(header)}")
    for number, line in enumerate(rows):
        if len(line) != len(header):
            raise InputError(f"{path}: row {number + 1} has {len(line)} columns, but the header has {len(header)}")
    at = header.index(target) if target is not None else len(header) - 1
    table = np.array(rows, dtype=object)
    columns = header[:at] + header[at + 1 :]
    x = _numbers(str(path), np.delete(table, at, axis=1), columns)
    return _dataset(str(path), x, table[:, at], image=False, columns=columns)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of bytes, plain or gzip."""
    raw = path.read_bytes()
    try:
        data = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged gzip file: {error}") from error
    start = 4 + 4 * dimensions
    if len(data) < start or data[:3] != b"\0\0\x08" or data[3] != dimensions:
        raise InputError(f"{path} is no known data file: use .npz, .csv, or an IDX file of bytes with {dimensions} dimensions")
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4"))
    if len(data) - start != int(np.prod(shape)):
        raise InputError(f"{path} is damaged: its header says {int(np.prod(shape))} bytes of data, but it holds {len(data) - start}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _idx_pair(images: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read an images file and the labels file beside it."""
    x = _idx(images, 3)
    name = images.name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz")
    for labels in (images.with_name(name), images.with_name(name + ".gz")):
        if labels.exists() and labels != images:
            return x, _idx(labels, 1)
    raise InputError(f"{images} has no labels: put the file {name} (or {name}.gz) beside it")


def _idx_folder(folder: Path) -> Dataset:
    parts = []
    for part in ("train", "t10k"):
        found = sorted(folder.glob(f"{part}-images*"))
        if not found:
            raise InputError(f"{folder} has no file {part}-images-idx3-ubyte: a folder must hold the train and t10k IDX files")
        x, y = _idx_pair(found[0])
        if len(x) == 0 or len(x) != len(y):
            raise InputError(f"{found[0]} has {len(x)} images but {len(y)} labels: give one label an image, and at least one")
        parts.append((x, y))
    (x, y), (x_test, y_test) = parts
    if x.shape[1:] != x_test.shape[1:]:
        raise InputError(f"{folder} has training images of {x.shape[1:]} pixels but test images of {x_test.shape[1:]}")
    return _dataset(str(folder), np.concatenate([x, x_test]), np.concatenate([y, y_test]), image=True, train_size=len(x))

"""The weights of a network as people have them: a matrix and a vector of intercepts for each layer, in files and in scikit-learn."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.device import Device, quantise_cells
from backpulse.firmware_py.image import placed, taken_from
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.errors import InputError
from backpulse.host.scaling import SAMPLE_ONE, Scaler
from backpulse.host.storage import written_whole
from backpulse.host.tables import count

PICKLES = (".joblib", ".pkl")
FORMS = f"the weights of a network (.npz with W1, b1, W2, ...) or a scikit-learn MLP ({', '.join(PICKLES)})"
"""What a file of weights may be."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The logical weights of a network: layer n gives f(a @ W + b) for the outputs `a` of the layer before.

    Parameters
    ----------
    layers : sequence of (W, b)
        float64, W of shape (inputs, units) and b of shape (units,), as in scikit-learn.
    name : str
        What messages call them.
    of_data : bool
        Whether the first layer takes the numbers of the data as they are, as that of a scikit-learn model does; if not it takes them
        as a run scales them, -1 to 1 (less than 1 by one step of a drive).

    Raises
    ------
    InputError
        If they are no layers of a network, or no finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> weights = Weights([(np.ones((4, 3)), np.zeros(3)), (np.ones((3, 2)), np.zeros(2))])
    >>> weights.sizes
    (4, 3, 2)
    """

    layers: Sequence[tuple[np.ndarray, np.ndarray]]
    name: str = "init"
    of_data: bool = False

    def __post_init__(self) -> None:
        try:
            layers = tuple((np.asarray(weight, np.float64), np.asarray(bias, np.float64)) for weight, bias in self.layers)
        except (TypeError, ValueError):
            raise InputError(f"{self.name} must be a pair (W, b) of arrays of numbers for each layer") from None
        if not layers:
            raise InputError(f"{self.name} has no layer: give at least one pair (W, b)")
        for number, (weight, bias) in enumerate(layers):
            before = layers[number - 1][0].shape[-1] if number else weight.shape[0] if weight.ndim else 0
            if weight.ndim != 2 or bias.shape != weight.shape[1:] or weight.shape[0] != before:
                shapes = f"weights of shape {weight.shape} and biases of shape {bias.shape}"
                raise InputError(f"{self.name}: layer {number + 1} has {shapes}: they must be (inputs, units) and (units,)")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise InputError(f"{self.name}: layer {number + 1} has weights that are no finite numbers")
        object.__setattr__(self, "layers", layers)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (W, b) of each layer."""
        return iter(self.layers)

    @classmethod
    def of(cls, given: Any) -> Self:
        """Return the weights of whatever holds some.

        Parameters
        ----------
        given : Weights, path, scikit-learn MLP or sequence of (W, b)

        Raises
        ------
        InputError
            If it holds none.
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, str | Path):
            return cls.read(Path(given))
        if hasattr(given, "coefs_"):
            return cls(_pairs(given), type(given).__name__, of_data=True)
        if isinstance(given, Sequence):
            return cls(given)
        raise InputError(f"A {type(given).__name__} holds no weights: give pairs (W, b), a model that was fitted, or a file: {FORMS}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file (`FORMS`). One of joblib is a program of its owner's, which loading runs.

        Raises
        ------
        InputError
            If it cannot be read, or is none of these.
        """
        try:
            if path.suffix in PICKLES:
                return cls(_pairs(_pickled(path)), str(path), of_data=True)
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls.of_arrays(str(path), {name: file[name] for name in file.files})
        except OSError as error:
            raise InputError(f"{path} cannot be read: {reason(error)}: give {FORMS}") from error
        except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} holds no weights: give {FORMS}") from error

    @classmethod
    def of_arrays(cls, name: str, arrays: dict[str, np.ndarray]) -> Self:
        """Return those of arrays called W1, b1, W2, ..."""
        depth = next(number for number in range(1, len(arrays) + 2) if f"W{number}" not in arrays) - 1
        if not depth or set(arrays) != {f"{kind}{number + 1}" for kind in "Wb" for number in range(depth)}:
            raise InputError(f"{name} holds {', '.join(sorted(arrays)) or 'nothing'}: give {FORMS}")
        return cls([(arrays[f"W{n + 1}"], arrays[f"b{n + 1}"]) for n in range(depth)], name)

    def save(self, path: str | Path) -> None:
        """Write a `.npz` with W1, b1, W2, ..., which `read`, `--init` and `array program` take.

        Raises
        ------
        InputError
            If they are for the data as it is: no file says so.
        StorageError
            If it cannot be written.
        """
        if self.of_data:
            raise InputError(f"{self.name} are weights for the data as it is: save those of a run, or the model itself by joblib")
        arrays = {f"{kind}{n + 1}": array for n, pair in enumerate(self.layers) for kind, array in zip("Wb", pair, strict=True)}
        with written_whole(Path(path), "file") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # keywords are arrays here, no allow_pickle

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the layers: inputs, hidden, outputs."""
        return (self.layers[0][0].shape[0], *(len(bias) for _, bias in self.layers))

    @property
    def digest(self) -> str:
        """SHA-256 of all numbers, in hexadecimal."""
        content = hashlib.sha256()
        for array in (array for pair in self.layers for array in pair):
            content.update(np.ascontiguousarray(array, "<f8").tobytes())
        return content.hexdigest()

    def scaled(self, scaler: Scaler, unit: int) -> Self:
        """Return them for inputs as a run scales them; `unit` is the largest drive word."""
        if not self.of_data:
            return self
        (weight, bias), *others = self.layers
        if len(weight) != len(scaler.half):
            return replace(self, of_data=False)  # which no network of the data's takes
        half = np.where(scaler.half < np.finfo(np.float64).max, scaler.half, 0.0)  # a constant feature has no weight
        first = weight * half[:, None] * (SAMPLE_ONE / unit), bias + scaler.center @ weight
        return replace(self, layers=(first, *others), of_data=False)

    def unscaled(self, scaler: Scaler, unit: int) -> Self:
        """Return them for the data as it is; the opposite of `scaled`."""
        (weight, bias), *others = self.layers
        weight = weight / scaler.half[:, None] * (unit / SAMPLE_ONE)
        return replace(self, layers=((weight, bias - scaler.center @ weight), *others), of_data=True)

    def matrices(self, unit: float) -> list[np.ndarray]:
        """Return the matrices of the layers, (units, inputs with the bias last): the bias line is driven with the unit, not with 1."""
        return [np.vstack([weight, bias / unit]).T for weight, bias in self.layers]

    def of_network(self, network: Network, unit: float) -> list[np.ndarray]:
        """Return the matrices of a network's layers, as `Network.initial_weights` does.

        Raises
        ------
        InputError
            If the network has other layers, or no bias lines for intercepts.
        """
        if self.sizes != network.layers:
            sizes = "-".join(map(str, self.sizes))
            raise InputError(f"{self.name} has the layers {sizes}, and the network {network.brief}: give them as --layers")
        if network.bias:
            return self.matrices(unit)
        if any(bias.any() for _, bias in self.layers):
            raise InputError(f"{self.name} has intercepts, and the network no bias lines: leave --no-bias out")
        return [weight.T for weight, _ in self.layers]

    def cells(self, program: Program, device: Device | TableDevice) -> tuple[np.ndarray, list[str]]:
        """Return the cells of a network with these weights, and what the user should know of it.

        Returns
        -------
        int64 of shape (rows of all tiles, columns), zero where no layer lies; sentences.

        Raises
        ------
        InputError
            As of `of_network`.
        """
        config, scale = program.config, program.network.weight_scale
        matrices = self.of_network(program.network, config.unit / config.one)
        cells = np.zeros((config.rows, config.tile_cols), np.int64)
        placed(program, [quantise_cells(device, config, matrix, scale) for matrix in matrices], cells)
        low, high = device.bound_down * scale, device.bound_up * scale
        beyond = sum(int(((matrix < low) | (matrix > high)).sum()) for matrix in matrices)
        told = f"{self.name}: {count(beyond, 'weight')} beyond {low:g} to {high:g}, the bounds of the device, set to them"
        return cells, [f"{told}: a larger --weight-scale has room"] if beyond else []


def weights_of(program: Program, cells: np.ndarray) -> Weights:
    """Return the weights that cells hold, integers of shape (rows of all tiles, columns), where a program has them."""
    config, network = program.config, program.network
    layers = []
    for matrix in taken_from(program, cells * (network.weight_scale / (1 << config.cell_frac))):
        inputs = network.layers[len(layers)]
        bias = matrix[:, inputs] * config.unit / config.one if network.bias else np.zeros(len(matrix))
        layers.append((matrix[:, :inputs].T.copy(), bias))
    return Weights(layers, "weights")


def _pairs(model: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the layers of a scikit-learn MLP; one logistic output for two classes becomes one for each."""
    pairs = list(zip(model.coefs_, model.intercepts_, strict=True))
    if len(getattr(model, "classes_", ())) == 2 and pairs[-1][0].shape[1] == 1:
        weight, bias = pairs[-1]
        pairs[-1] = np.hstack([-weight, weight]), np.hstack([-bias, bias])
    return pairs


def _pickled(path: Path) -> Any:
    """Load a scikit-learn MLP; its file is a program of its owner's, which loading runs."""
    import joblib  # comes with scikit-learn, which takes its time

    try:
        model: Any = joblib.load(path)
    except OSError:
        raise
    except Exception as error:  # a pickle may fail in any way
        raise InputError(f"{path} cannot be loaded ({type(error).__name__}: {error!s:.100}): save the MLP anew with joblib.dump") from error
    if not hasattr(model, "coefs_"):
        raise InputError(f"{path} holds a {type(model).__name__}, and no MLPClassifier or MLPRegressor that was fitted")
    return model

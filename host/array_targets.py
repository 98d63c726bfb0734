"""Files about cells: what they are to be programmed to (a map, or the weights of a network), what was measured, what is known of them."""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backpulse.firmware_py.analog import Lines
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, Program, compile_network
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.image import placed, taken_from
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.places import reason
from backpulse.host import weights
from backpulse.host.archive import MANIFEST
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.weights import Weights

FORMS = f"a map of siemens (.csv; .npz with siemens), a checkpoint, {weights.FORMS}"
"""What a target may be."""


@dataclass(frozen=True)
class Target:
    """What cells are to be.

    Parameters
    ----------
    units : ndarray
        Device units, NaN where a cell may be anything: float64 of shape (rows of all tiles, columns).
    what : str
        What it is, in words.
    program : Program or None
        Where a network's layers lie.
    """

    units: np.ndarray
    what: str
    program: Program | None = None


def read_target(path: Path, config: Config, array: Array, dead: Dead) -> Target:
    """Read what a board's cells are to be.

    Raises
    ------
    InputError
        If the file is none of `FORMS`, has another size than the board, or asks a cell for what it cannot be.
    """
    try:
        if path.suffix == ".csv":
            return map_target(str(path), _table(path), config, array)
        if path.suffix in weights.PICKLES:
            return _network(path, Weights.read(path).matrices(config.unit / config.one), "scikit-learn MLP", config, dead)
        with zipfile.ZipFile(path) as file:
            names = set(file.namelist())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}: give {FORMS}") from error
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InputError(f"{path} is none of what an array is programmed to: give {FORMS}") from error
    if MANIFEST in names:
        return _checkpoint(path, config, dead)
    arrays = _arrays(path)
    if "siemens" in arrays:
        return map_target(str(path), arrays["siemens"], config, array)
    if "W1" not in arrays:
        raise InputError(f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}: give {FORMS}")
    return _network(path, Weights.of_arrays(str(path), arrays).matrices(config.unit / config.one), "network", config, dead)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: np.asarray(file[name], np.float64) for name in file.files}
    except (ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds what is no array of numbers: give {FORMS}") from error


def _table(path: Path) -> np.ndarray:
    """Return the conductances of a CSV: a line a row of cells, or columns row, column and a conductance, as `array map` writes them."""
    lines = [line.split(",") for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
    try:
        if lines and lines[0][0].strip() == "row":
            cells = np.array([[float(value or "nan") for value in line[:3]] for line in lines[1:]]).reshape(-1, 3)
            at = cells[:, :2].astype(np.int64)
            if (at != cells[:, :2]).any() or at.min(initial=0) < 0 or at.max(initial=0) >= 1 << 20:
                raise ValueError
            siemens = np.full(at.max(axis=0, initial=0) + 1, np.nan)
            siemens[at[:, 0], at[:, 1]] = cells[:, 2]
            return siemens
        return np.array([[float(value.strip() or "nan") for value in line] for line in lines])
    except (ValueError, IndexError):
        raise InputError(
            f"{path} is no map: give a line a row of cells with as many siemens, or the columns row, column and a conductance"
        ) from None


def map_target(path: str, siemens: np.ndarray, config: Config, array: Array) -> Target:
    """Return conductances, NaN where a cell may be anything, as a target; `path` is what messages call them.

    Raises
    ------
    InputError
        If there are more rows or columns than the board has, or a cell cannot have its conductance.
    """
    rows, cols, cells = config.rows, config.tile_cols, array.cells
    if siemens.ndim != 2 or siemens.shape[0] > rows or siemens.shape[1] > cols or np.isnan(siemens).all():
        size = " x ".join(map(str, siemens.shape))
        raise InputError(f"{path} is a map of {size} cells, and this board has {rows} x {cols}: give one of that size, or smaller")
    wrong = np.argwhere((siemens < cells.g_min) | (siemens > cells.g_max))
    if len(wrong):
        row, col = wrong[0]
        raise InputError(
            f"{path} asks row {row} column {col} for {siemens[row, col]:.4g} S, and cells are from {cells.g_min:g} to {cells.g_max:g} S: "
            "change it, or [cells] in the array file"
        )
    units = np.full((rows, cols), np.nan)
    units[: siemens.shape[0], : siemens.shape[1]] = (siemens - cells.mid) / cells.per_unit
    return Target(units, f"the map {path}")


def most_of_map(path: Path, config: Config) -> float:
    """Return the largest conductance of a measured map in siemens; as `read_target`, but that any conductance may be in it.

    Raises
    ------
    InputError
        If the file is no map of this board.
    """
    try:
        siemens = _table(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}: give a map as `array map --out` writes it") from error
    if siemens.shape != (config.rows, config.tile_cols) or not np.isfinite(siemens).all() or siemens.max() <= 0:
        size = " x ".join(map(str, siemens.shape))
        raise InputError(f"{path} is no map of all {config.rows} x {config.tile_cols} cells of this board, but of {size}: give one")
    return float(siemens.max())


def read_ohms(known: str, lines: Lines) -> np.ndarray:
    """Return the resistances of all cells, float64 of shape (rows, physical columns): a number is that of each, else a CSV names them.

    Raises
    ------
    InputError
        If it is neither, or the file has another size.
    """
    shape = lines.rows, lines.cols
    try:
        ohms = np.full(shape, float(known))
    except ValueError:
        path = Path(known)
        try:
            ohms = _table(path)
        except OSError as error:
            raise InputError(f"--known {known} is no number of ohms and no file ({reason(error)}): give one of them") from error
    if ohms.shape != shape or not (ohms > 0).all():
        size = " x ".join(map(str, ohms.shape))
        raise InputError(
            f"--known has {size} resistances, and must have {shape[0]} x {shape[1]}, all above 0 ohms (inf where there is none)"
        )
    return ohms


def _checkpoint(path: Path, config: Config, dead: Dead) -> Target:
    saved = Checkpoint.load(path)
    if saved.cells is None:
        raise InputError(f"The checkpoint {path} holds no cells, as it is of real devices: give one that was trained on emulated ones")
    layers = taken_from(saved.settings.compile(saved.config), saved.cells / (1 << saved.config.cell_frac))
    program = saved.settings.changed(dead=dead.text).compile(config)
    return Target(placed(program, layers, _nothing(config)), f"the network {saved.settings.layers} of {path}", program)


def _network(path: Path, layers: list[np.ndarray], kind: str, config: Config, dead: Dead) -> Target:
    """Return a network's layers on a board, at the smallest weight scale at which the largest weight is one device unit at most."""
    largest = max(float(np.abs(layer).max()) for layer in layers)
    scale = 1 << max(0, math.ceil(math.log2(largest))) if largest > 0 else 1
    sizes = (layers[0].shape[1] - 1, *(len(layer) for layer in layers))
    with wrong_input(f"{path}: "):
        network = Network(layers=sizes, weight_scale=scale)
        program = compile_network(network, config, DEFAULT_SCHEDULE, dead=dead)
    units = placed(program, [layer / scale for layer in layers], _nothing(config))
    return Target(units, f"the {kind} {network.text} of {path}, one device unit a weight of {scale}", program)


def _nothing(config: Config) -> np.ndarray:
    return np.full((config.rows, config.tile_cols), np.nan)

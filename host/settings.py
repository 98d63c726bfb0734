"""What a training run is, apart from the board and the number of epochs."""

import math
import numbers
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, SCHEDULES, Program, compile_network
from backpulse.firmware_py.config import HIGHEST, Config
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.image import scale_words
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.room import smaller_layers
from backpulse.host.columns import join_names, parse_names
from backpulse.host.datasets import Dataset, load
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.features import Features, check_missing
from backpulse.host.remarks import inspect
from backpulse.host.scaling import Scaler, records, targets

SOFTWARE = "software"
"""The schedule without an array."""
ROUNDINGS = ("stochastic", "nearest")
LEAST_PULSES = {"nearest": 0.5, "stochastic": 2.0**-16}
"""Fewer expected pulses than this always round to none."""
HIDDEN_UNITS = 32
"""Units of the hidden layer of a network that nobody described."""


MOST_WEIGHTS = HIGHEST["tile_rows"] * HIGHEST["tile_cols"] * HIGHEST["tiles"]
"""Weights of the software reference: as many as the largest array has cells, 1 GB."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Network, algorithm, device and data of a run; a checkpoint keeps them.

    Numbers of NumPy, paths, sizes as a list and names as a list become plain numbers and text.

    Raises
    ------
    InputError
        If a value is not allowed; the message says which are.
    """

    layers: str = "64-32-10"
    activation: str = "sigmoid"
    output: str = "sigmoid"
    loss: str = "squared"
    bias: bool = True
    weight_scale: int = 4
    schedule: str = DEFAULT_SCHEDULE
    lr: float = 0.5
    rounding: str = "stochastic"
    auto_range: bool = True
    device: str = "ideal"
    seed: int = 1
    dataset: str = "digits"
    target: str | None = None
    """The label's column."""
    features: str | None = None
    """Columns to use, joined by commas; all if None."""
    drop: str | None = None
    """Columns to leave out, joined by commas."""
    missing: str | None = None
    """What to do about cells without a value."""

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _plain(f.name, f.type, getattr(self, f.name)))
        if self.schedule not in (*SCHEDULES, SOFTWARE):
            raise InputError(f"Unknown schedule {self.schedule}: choose one of {', '.join((*SCHEDULES, SOFTWARE))}")
        if self.rounding not in ROUNDINGS:
            raise InputError(f"Unknown rounding {self.rounding}: choose one of {', '.join(ROUNDINGS)}")
        if self.device not in PRESETS:
            raise InputError(f"Unknown device {self.device}: choose one of {', '.join(PRESETS)}")
        if not 0 <= self.seed < 1 << 32:
            raise InputError(f"The seed must be from 0 to {(1 << 32) - 1}, not {self.seed}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"The learning rate must be a positive number, not {self.lr}")
        check_missing(self.missing)
        for option in ("features", "drop"):
            parse_names(getattr(self, option), f"--{option}")
        network = self.network
        if self.schedule != SOFTWARE:
            self._check_lr(network)
        elif (weights := network.weights) > MOST_WEIGHTS:
            fits = smaller_layers(network, lambda other: other.weights <= MOST_WEIGHTS)
            raise InputError(f"Network {network.brief} has {weights:,} weights, and the reference at most {MOST_WEIGHTS:,}; {fits}")

    def _check_lr(self, network: Network) -> None:
        """Refuse a rate at which even the largest error times the largest input rounds to no pulse, and one beyond the scale registers."""
        dw_min = self.device_model.dw_min * self.weight_scale
        # The largest |d| of any layer: a saturated word, 8, times the largest f'.
        steepest = 0.25 if network.output == network.activation == "sigmoid" and self.loss == "squared" else 1.0
        least = LEAST_PULSES[self.rounding] * dw_min / (8 * steepest)
        most = 2.0**24 * self.device_model.dw_min
        if self.lr < least:
            raise InputError(
                f"Learning rate {self.lr:g} can never make a pulse: with device {self.device}, weight_scale {self.weight_scale} and "
                f"{self.rounding} rounding it must be at least {least:.2g}"
            )
        if self.lr > most:
            raise InputError(f"Learning rate {self.lr:g} is beyond the scale registers: it must be at most {most:.3g}")

    @property
    def network(self) -> Network:
        """The network."""
        with wrong_input():
            return Network.parse(
                self.layers,
                activation=self.activation,
                output=self.output,
                loss=self.loss,
                bias=self.bias,
                weight_scale=self.weight_scale,
            )

    @property
    def device_model(self) -> Device:
        """The device of the emulated tiles."""
        return PRESETS[self.device]

    def compile(self, config: Config) -> Program:
        """Compile for a board."""
        with wrong_input():
            return compile_network(
                self.network, config, self.schedule, stochastic=self.rounding == "stochastic", auto_range=self.auto_range
            )

    def scale_words(self) -> list[int]:
        """Return the scale registers: eta / dw_min, eta, and room for the norm."""
        with wrong_input():
            return scale_words(self.device_model, self.lr)

    def order(self, epoch: int, samples: int) -> np.ndarray:
        """Return the sample order of an epoch, counted from 0: RandomState's stream is frozen, so it never changes."""
        return np.random.RandomState((self.seed * 1_000_003 + epoch) & 0xFFFFFFFF).permutation(samples)

    def load(self, learned: Features | None = None) -> Dataset:
        """Load the data set; `learned` are the features of a checkpoint."""
        return load(self.dataset, target=self.target, features=self.features, drop=self.drop, missing=self.missing, learned=learned)

    def fitting(self, data: Dataset) -> Self:
        """Return the same settings with a network that fits the data: one hidden layer of `HIDDEN_UNITS` units."""
        return replace(self, layers=(data.x.shape[1], HIDDEN_UNITS, max(2, len(data.features.labels))))

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from values by name.

        Raises
        ------
        InputError
            If there is an unknown name, or a value of the wrong type or range.
        """
        if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
            raise InputError(f"Settings must be values by name, not {values!r:.60}")
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise InputError(f"Unknown setting {', '.join(sorted(unknown))}")
        return cls(**values)


def _plain(name: str, kind: Any, value: Any) -> Any:
    """Return a setting's value as the plain type that its field has, or refuse it."""
    if value is None and kind == str | None:
        return None
    if kind is bool and isinstance(value, bool | np.bool_):
        return bool(value)
    if kind is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"The setting {name} is beyond the range of float64") from None
    if kind in (str, str | None):
        if isinstance(value, str) and (value or kind is str):
            return str(value)
        if name == "dataset" and isinstance(value, os.PathLike):
            return os.fspath(value)
        if name == "layers" and isinstance(value, list | tuple | np.ndarray):
            return "-".join(str(size) for size in np.asarray(value, object).tolist())
        if name in ("features", "drop") and isinstance(value, list | tuple):
            return join_names([str(column) for column in value])
        if name == "target" and isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return str(int(value))
    what = {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "text")
    raise InputError(f"The setting {name} must be {what}, not {value!r:.60}")


@dataclass(frozen=True)
class Prepared:
    """A data set as a board takes it.

    Parameters
    ----------
    x, t : ndarray
        int8 drive words, (samples, inputs) and (samples, outputs).
    y : ndarray
        Class numbers.
    train, test : ndarray
        Sample indices of the two parts.
    scaler : Scaler
        Fitted on the training part.
    digest : str
        Of the raw data.
    features : Features
        What the inputs and classes are.
    warnings : tuple of str
        What the user should know of the data, in sentences.
    """

    x: np.ndarray
    t: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray
    scaler: Scaler
    digest: str
    features: Features
    warnings: tuple[str, ...] = ()

    @cached_property
    def records(self) -> np.ndarray:
        """Words of the sample store, (samples, words of one)."""
        return records(self.x, self.t)


def prepare(settings: Settings, unit: int, *, scaler: Scaler | None = None, dataset: Dataset | None = None) -> Prepared:
    """Load, check, split and scale a run's data.

    Parameters
    ----------
    settings : Settings
    unit : int
        The largest drive word.
    scaler : Scaler, optional
        That of a checkpoint.
    dataset : Dataset, optional
        The data, if already loaded.

    Raises
    ------
    InputError
        If the data is no such, or does not fit the network.
    """
    data = dataset or settings.load()
    network = settings.network
    data.check(network.layers[0], network.layers[-1])
    train, test = data.split()
    warnings = [*data.warnings, *inspect(data, train, test)]
    if network.layers[-1] > len(data.features.labels):
        warnings.append(f"The output layer has {network.layers[-1]} units, but {data.name} has {len(data.features.labels)} classes")
    scaler = scaler or Scaler.fit(data.x[train], image=data.image, one_hot=data.features.one_hot)
    x = scaler.to_bytes(data.x, unit)
    t = targets(data.y, network.layers[-1], unit, off=-unit if network.output == "tanh" else 0)
    return Prepared(
        x=x,
        t=t,
        y=data.y,
        train=train,
        test=test,
        scaler=scaler,
        digest=data.digest,
        features=data.features,
        warnings=tuple(warnings),
    )

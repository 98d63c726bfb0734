"""What a training run is, apart from the board and the number of epochs: the one schema of it.

Command line, checkpoints, JSON results and Python take their names, defaults and checks from here.
"""

# Over 400 lines: a field of a run is written once, with its help and its check.

import math
import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, SCHEDULES, Program, compile_network
from backpulse.firmware_py.config import HIGHEST, Config
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.image import scale_words
from backpulse.firmware_py.isa import MOST_PROFILES
from backpulse.firmware_py.network import HIDDEN, LOSSES, OUTPUTS, Network
from backpulse.firmware_py.room import smaller_layers
from backpulse.firmware_py.table_device import TableDevice, carried
from backpulse.host import devices
from backpulse.host.columns import join_names, parse_names
from backpulse.host.datasets import NAMES, Dataset, load, validation_of
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.features import MISSING_CHOICES, Features, check_missing
from backpulse.host.rates import LR_SCHEDULES, shares
from backpulse.host.remarks import inspect
from backpulse.host.scaling import Scaler, records, targets
from backpulse.host.tables import with_nearest

SOFTWARE = "software"
"""The schedule without an array."""
ALL_SCHEDULES = (*SCHEDULES, SOFTWARE)
ROUNDINGS = ("stochastic", "nearest")
LEAST_PULSES = {"nearest": 0.5, "stochastic": 2.0**-16}
"""Fewer expected pulses than this always round to none."""
PROFILES = ("read_profile", "pulse_profile", "evaluate_profile")
"""Settings that are numbers of an array's profiles, and options of the compiler by the same names."""
CHOICES = {
    "activation": HIDDEN,
    "output": OUTPUTS,
    "loss": LOSSES,
    "schedule": ALL_SCHEDULES,
    "lr_schedule": LR_SCHEDULES,
    "rounding": ROUNDINGS,
}
"""Settings that are one of some words."""
HIDDEN_UNITS = 32
"""Units of the hidden layer of a network that nobody described."""
MOST_WEIGHTS = HIGHEST["tile_rows"] * HIGHEST["tile_cols"] * HIGHEST["tiles"]
"""Weights of the software reference: as many as the largest array has cells, 1 GB."""


@dataclass(frozen=True)
class About:
    """What a person is told of a setting: the panel of the command line's help, the form of its value, and a text."""

    panel: str
    form: str | None
    text: str


NETWORK, ALGORITHM, TRAINING, FILES = "Network", "Algorithm and device", "Training", "Files"
"""Panels."""


def _sizes(value: object) -> object:
    """Join sizes that come as a list."""
    return "-".join(map(str, np.asarray(value, object).tolist())) if isinstance(value, list | tuple | np.ndarray) else value


def _path(value: object) -> object:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _device(value: object) -> object:
    """Return the text of a device."""
    if isinstance(value, Device | TableDevice):
        return devices.text_of(value)
    if isinstance(value, devices.Described):
        return value.kept
    return devices.resolved(value) if isinstance(value, str) else value


def _number(value: object) -> object:
    """Make text of a column's number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _names(value: object) -> object:
    """Join names that come as a list."""
    return join_names([str(name) for name in value]) if isinstance(value, list | tuple) else value


class _Orders(threading.local):
    """NumPy's frozen generator, one a thread: making one takes as long as some hundred small steps, seeding it anew does not."""

    @cached_property
    def random(self) -> np.random.RandomState:
        return np.random.RandomState()


_ORDERS = _Orders()


class Settings(BaseModel):
    """Network, algorithm, device and data of a run; a checkpoint keeps them.

    Numbers of NumPy, paths, sizes as a list and names as a list become plain numbers and text.

    Raises
    ------
    InputError
        If there is an unknown name, or a value is not allowed; the message says which are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    layers: Annotated[str, BeforeValidator(_sizes), About(NETWORK, "SIZES", "Sizes: inputs, hidden, outputs.")] = "64-32-10"
    activation: Annotated[str, About(NETWORK, "NAME", f"Of the hidden layers: {', '.join(HIDDEN)}.")] = "sigmoid"
    output: Annotated[str, About(NETWORK, "NAME", f"Function of the last layer: {', '.join(OUTPUTS)}.")] = "sigmoid"
    loss: Annotated[str, About(NETWORK, "NAME", f"{', '.join(LOSSES)}.")] = "squared"
    bias: Annotated[bool, About(NETWORK, "", "One more input line at the constant unit in each layer.")] = True
    weight_scale: Annotated[int, About(NETWORK, "POWER-OF-2", "Logical weight of one device unit: 1, 2, 4, ... 64.")] = 4
    schedule: Annotated[str, About(ALGORITHM, "NAME", f"{', '.join(ALL_SCHEDULES)}.")] = DEFAULT_SCHEDULE
    lr: Annotated[float, About(TRAINING, "RATE", "Learning rate, with a schedule that of the first epoch.")] = 0.5
    lr_schedule: Annotated[str, About(TRAINING, "NAME", f"Of the learning rate: {', '.join(LR_SCHEDULES)}.")] = "constant"
    lr_wait: Annotated[
        int, About(TRAINING, "N", "step lowers the rate after each N epochs, plateau after N without a lower loss (of validation if any).")
    ] = 3
    lr_factor: Annotated[float, About(TRAINING, "F", "What step and plateau multiply the rate by.")] = 0.5
    lr_floor: Annotated[float, About(TRAINING, "F", "No schedule goes below this share of the learning rate.")] = 0.01
    validation: Annotated[float, About(TRAINING, "F", "Share of the training part set aside to validate with (0: none).")] = 0.0
    patience: Annotated[int, About(TRAINING, "N", "End after N epochs without a lower validation loss (0: never).")] = 0
    rounding: Annotated[str, About(ALGORITHM, "NAME", f"Of pulse counts: {', '.join(ROUNDINGS)}.")] = "stochastic"
    auto_range: Annotated[bool, About(ALGORITHM, "", "Drive error vectors shifted so that they fill the drive.")] = True
    device: Annotated[
        str,
        BeforeValidator(_device),
        About(
            ALGORITHM,
            "NAME|FILE",
            "Of the emulated tiles: one of `backpulse device list`, as ecram, or a file of `device fit` (FILE:linear: its linear fit).",
        ),
    ] = "ideal"
    spread: Annotated[
        str,
        BeforeValidator(_path),
        About(ALGORITHM, "FILE", "Factors of steps, bounds and stuck cells as measured cell by cell, .npz or .csv; for a new run alone."),
    ] = ""
    read_profile: Annotated[int, About(ALGORITHM, "N", "Number of the array's settings for reads, of those that it knows.")] = 0
    pulse_profile: Annotated[int, About(ALGORITHM, "N", "The same for pulses.")] = 0
    evaluate_profile: Annotated[int, About(ALGORITHM, "N", "The same for the reads of tests and validation.")] = 0
    dead: Annotated[
        str,
        BeforeValidator(lambda value: Dead.parse(value).text if isinstance(value, str) else value),
        About(ALGORITHM, "LINES", "Lines of the array that no layer may lie on, as in r3,r17-19,c5: rows of all tiles, columns of each."),
    ] = ""
    seed: Annotated[int, About(ALGORITHM, "N", "Of initial weights, sample order and random streams.")] = 1
    dataset: Annotated[
        str,
        BeforeValidator(_path),
        About(FILES, None, f"{', '.join(NAMES)}, or a table (.csv, .tsv, ...), .npz, IDX file or folder of IDX files."),
    ] = "digits"
    target: Annotated[
        str | None,
        Field(min_length=1),
        BeforeValidator(_number),
        About(FILES, None, "Label column of a table, by name or number from 1 (if not given: it is guessed and said)."),
    ] = None
    features: Annotated[
        str | None,
        Field(min_length=1),
        BeforeValidator(_names),
        About(FILES, None, "Columns to use, by name or number, joined by commas (if not given: all)."),
    ] = None
    drop: Annotated[
        str | None,
        Field(min_length=1),
        BeforeValidator(_names),
        About(FILES, None, "Columns to leave out, by name or number, joined by commas."),
    ] = None
    missing: Annotated[
        str | None,
        Field(min_length=1),
        About(
            FILES, "|".join(MISSING_CHOICES), "Cells without a value: drop their rows, or fill with mean or median of the training part."
        ),
    ] = None

    if not TYPE_CHECKING:  # a type checker takes the arguments from the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise InputError(_sentence(error)) from None

    @model_validator(mode="before")
    @classmethod
    def _scaled(cls, values: Any) -> Any:
        """Take the weight scale that a device file was fitted for, where none is given."""
        device = values.get("device") if isinstance(values, Mapping) else None
        if "weight_scale" in values or not isinstance(device, str | devices.Described):
            return values
        scale = devices.scale_of(device) if isinstance(device, str) else device.weight_scale
        return {**values, "weight_scale": scale} if scale else values

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object) -> object:
        return value.item() if isinstance(value, np.generic) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices and (name, value) != ("output", "relu"):  # of which the network says more
                raise InputError(f"Unknown {name} {with_nearest([value], choices)}: choose one of {', '.join(choices)}")
        if not 0 <= self.seed < 1 << 32:
            raise InputError(f"The seed must be from 0 to {(1 << 32) - 1}, not {self.seed}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise InputError(f"The learning rate must be a positive number, not {self.lr}")
        for name, right, allowed in (
            ("lr_wait", self.lr_wait >= 1, "at least 1"),
            ("lr_factor", 0 < self.lr_factor < 1, "above 0 and below 1"),
            ("lr_floor", 0 < self.lr_floor <= 1, "above 0 and at most 1"),
            ("validation", 0 <= self.validation < 1, "at least 0 and below 1"),
            ("patience", self.patience >= 0, "at least 0"),
            *((name, 0 <= getattr(self, name) < MOST_PROFILES, f"from 0 to {MOST_PROFILES - 1}") for name in PROFILES),
        ):
            if not right:
                raise InputError(f"The setting {name} must be {allowed}, not {getattr(self, name)}")
        if self.patience and not self.validation:
            raise InputError("A run with patience ends by its validation loss: give a share of the training part for it with --validation")
        check_missing(self.missing)
        for option in ("features", "drop"):
            parse_names(getattr(self, option), f"--{option}")
        network = self.network
        if self.schedule != SOFTWARE:
            self._check_lr(network)
        elif (weights := network.weights) > MOST_WEIGHTS:
            fits = smaller_layers(network, lambda other: other.weights <= MOST_WEIGHTS)
            raise InputError(f"Network {network.brief} has {weights:,} weights, and the reference at most {MOST_WEIGHTS:,}; {fits}")
        return self

    def _check_lr(self, network: Network) -> None:
        """Refuse a rate at which even the largest error times the largest input rounds to no pulse, and one beyond the scale registers."""
        dw_min = self.device_model.dw_min * self.weight_scale
        # The largest |d| of any layer: a saturated word, 8, times the largest f'.
        steepest = 0.25 if network.output == network.activation == "sigmoid" and self.loss == "squared" else 1.0
        least = LEAST_PULSES[self.rounding] * dw_min / (8 * steepest)
        most = 2.0**24 * self.device_model.dw_min
        last = self.lr if self.lr_schedule == "constant" else self.lr * self.lr_floor
        if last < least:
            floor = "" if last == self.lr else f" (lr times lr_floor, where {self.lr_schedule} may end)"
            raise InputError(
                f"Learning rate {last:g}{floor} can never make a pulse: with device {self.device_model.name}, "
                f"weight_scale {self.weight_scale} and {self.rounding} rounding it must be at least {least:.2g}"
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
    def device_model(self) -> Device | TableDevice:
        """The device of the emulated tiles; with a measured spread a table, as the words of other tiles cannot hold one."""
        device = devices.device_of(self.device)
        return TableDevice.of_linear(device) if self.spread and isinstance(device, Device) else device

    def device_on(self, config: Config) -> Device | TableDevice:
        """Return the device as the tiles of a board carry it."""
        return carried(self.device_model, config)

    def spread_words(self, config: Config) -> np.ndarray:
        """Return the spread words of a new run, of shape (rows of all tiles, columns): drawn, and measured ones in their place."""
        device = self.device_on(config)
        words = device.spread_words(config, self.seed)
        if not self.spread:
            return words
        assert isinstance(device, TableDevice)  # `device_model` makes it one
        from backpulse.host.spread_map import read_map  # few runs have one

        return read_map(Path(self.spread)).onto(words, device, config)

    def compile(self, config: Config) -> Program:
        """Compile for a board."""
        with wrong_input():
            options = {name: getattr(self, name) for name in ("auto_range", *PROFILES)}
            stochastic, dead = self.rounding == "stochastic", Dead.parse(self.dead)
            return compile_network(self.network, config, self.schedule, stochastic=stochastic, dead=dead, **options)

    def check_profiles(self, known: int) -> None:
        """Refuse profiles that an array does not know, of which it knows so many."""
        for name in PROFILES:
            if (number := getattr(self, name)) >= known:
                allowed = "0, the only one" if known == 1 else f"from 0 to {known - 1}"
                raise InputError(f"The setting {name} is {number}, and this board's array knows {known} profiles: it must be {allowed}")

    @property
    def rate_text(self) -> str:
        """The learning rate and its schedule in words."""
        return f"lr {self.lr:g}" + ("" if self.lr_schedule == "constant" else f", {self.lr_schedule}")

    def rates(self, epochs: int, losses: Sequence[float]) -> list[float]:
        """Return the learning rates of the epochs that have these losses, and of the one that comes next, in a run of `epochs`."""
        given = {"epochs": epochs, "wait": self.lr_wait, "factor": self.lr_factor, "floor": self.lr_floor}
        return [self.lr * share for share in shares(self.lr_schedule, losses, **given)]

    def scale_words(self, rate: float) -> list[int]:
        """Return the scale registers for a learning rate: eta / dw_min and eta, each rounded to 16 bits, and room for the norm."""
        with wrong_input():
            return scale_words(self.device_model, rate)

    def order(self, epoch: int, samples: int) -> np.ndarray:
        """Return the sample order of an epoch, counted from 0: RandomState's stream is frozen, so it never changes."""
        _ORDERS.random.seed((self.seed * 1_000_003 + epoch) & 0xFFFFFFFF)
        return _ORDERS.random.permutation(samples)

    def load(self, learned: Features | None = None) -> Dataset:
        """Load the data set; `learned` are the features of a checkpoint."""
        return load(self.dataset, target=self.target, features=self.features, drop=self.drop, missing=self.missing, learned=learned)

    def changed(self, **values: Any) -> Self:
        """Return the settings with other values for some names."""
        return type(self)(**{**self.to_dict(), **values})

    def fitting(self, data: Dataset) -> Self:
        """Return the same settings with a network that fits the data: one hidden layer of `HIDDEN_UNITS` units."""
        return self.changed(layers=(data.x.shape[1], HIDDEN_UNITS, max(2, len(data.features.labels))))

    def to_dict(self, but_defaults_of: Collection[str] = ()) -> dict[str, Any]:
        """Return the values by name, which are plain JSON; of some settings only if they are not the defaults."""
        fields = type(self).model_fields
        return {k: v for k, v in self.model_dump().items() if k not in but_defaults_of or v != fields[k].default}

    @classmethod
    def plain(cls, name: str, value: object) -> object:
        """Return a value of a setting as settings keep it: text of a list of sizes, say. What it may not be stays as it is."""
        for data in cls.model_fields[name].metadata:
            if isinstance(data, BeforeValidator):
                value = cast("Callable[[object], object]", data.func)(value)
        return value

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from values by name, of a file say; what is not there has its default.

        Raises
        ------
        InputError
            If there is an unknown name, or a value of the wrong type or range.
        """
        if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
            raise InputError(f"Settings must be values by name, not {values!r:.60}")
        return cls(**values)


def _sentence(error: ValidationError) -> str:
    """Return what to tell of settings that are none."""
    found = error.errors(include_url=False)
    names = list(Settings.model_fields)
    if unknown := [str(e["loc"][0]) for e in found if e["type"] == "extra_forbidden"]:
        return f"Unknown setting {with_nearest(unknown, names)}: settings are {', '.join(names)}"
    first = found[0]
    if first["type"] == "value_error":  # of a check of ours
        return str(first.get("ctx", {})["error"])
    name = str(first["loc"][0])
    what = {bool: "true or false", int: "a whole number", float: "a number"}.get(Settings.model_fields[name].annotation, "text")
    return f"The setting {name} must be {what}, not {first['input']!r:.60}"


@dataclass(frozen=True)
class Prepared:
    """A data set as a board takes it.

    Parameters
    ----------
    x, t : ndarray
        int8 drive words, (samples, inputs) and (samples, outputs).
    y : ndarray
        Class numbers.
    train, validation, test : ndarray
        Sample indices of the parts; of validation none if not asked for.
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
    validation: np.ndarray
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
    train, validation = validation_of(data.name, data.y, train, settings.validation, settings.seed)
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
        validation=validation,
        test=test,
        scaler=scaler,
        digest=data.digest,
        features=data.features,
        warnings=tuple(warnings),
    )

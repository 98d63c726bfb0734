"""Checkpoints: everything that a run needs to go on with the same bits, in one file that is checked before it is used.

Taken at sample boundaries only, where the vectors of the machine are dead. The format is told in docs/checkpoints.md.
"""

# Over 400 lines: a field is written, read and checked side by side.

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.isa import SCALE_REGISTERS
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.registers import TILE_WORDS, Counter, Stream
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import FLAT_WORDS, VISIT_BITS, TableDevice
from backpulse.host.archive import MOST_MANIFEST, OPTIONAL, Archive, DamagedError, Kind, encode
from backpulse.host.errors import InputError, StorageError
from backpulse.host.features import Features
from backpulse.host.rates import best_epoch
from backpulse.host.scaling import Scaler
from backpulse.host.settings import PROFILES, SOFTWARE, Prepared, Settings
from backpulse.host.storage import written_whole
from backpulse.host.table_state import TableState

FORMAT, VERSION = "backpulse checkpoint", 2
HISTORY = ("test_accuracy", "train_loss", "train_accuracy")
"""Lists of a `Position`, one number an epoch."""
VALIDATED = ("validation_loss", "validation_accuracy")
"""More of them, where a run validates."""
LATER = ("lr_schedule", "lr_wait", "lr_factor", "lr_floor", "validation", "patience", *PROFILES, "dead", "spread")
"""Settings that version 2 has not had from its beginning: a file has them only where they are not their defaults."""
DIGESTS = ("config_digest", "program_digest", "data_digest")
FIELDS = ("format", "version", "settings", "epochs", "config", *DIGESTS, "features", "position", "floor", OPTIONAL, "arrays")
"""Fields of the manifest. One of any other name is needed to understand the file, and refused by programs that do not know it."""
MOST_EPOCHS, MOST_COUNT = 1 << 32, 1 << 63
"""Limits of epochs and counters."""
_SINCE_ABI_3 = {"steps", "bounds", "prefetch"}
"""Fields of a configuration that one of ABI 2 has not: it had what `lean` brought with it."""
_SINCE_ABI_4 = {"trace_words"}
"""Fields that one of ABI 3 has not: it had no trace."""
_COUNTED_SINCE_ABI_4 = {"PULSES_MISSED"}
"""Counters likewise: emulated arrays, and there were no others, miss no pulse."""
_OF_TABLES = {"tables": "words", "persistent": "persistent", "ages": "ages"}
"""Arrays of the table device by the names that they have in a `TableState`."""
OTHER_FIELDS = 1 << 16
"""Bytes that the manifest may take beside `features`."""


@dataclass
class Position:
    """How far a run has come; `epoch` from 0, `place` samples of it are done."""

    epoch: int = 0
    place: int = 0
    test_accuracy: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: {c.name: 0 for c in Counter})
    """Counters since the run began."""
    epoch_start: dict[str, int] = field(default_factory=lambda: {c.name: 0 for c in Counter})
    """`totals` at the start of the present epoch."""

    @property
    def losses(self) -> list[float]:
        """The losses that a schedule of the rate, patience and the best epoch go by: those of validation, if there are any."""
        return self.validation_loss or self.train_loss

    def by_epoch(self, rates: Sequence[float]) -> dict[str, Any]:
        """Return what results say of each epoch, from the rates of these epochs and perhaps more, and which was best at validation."""
        lists = {name: list(getattr(self, name)) for name in HISTORY + VALIDATED}
        return {**lists, "learning_rate": list(rates[: self.epoch]), "best_epoch": best_epoch(self.validation_loss) or None}

    def check(self, epochs: int, settings: Settings) -> None:
        """Raise ValueError, naming the field, unless this is where a run of so many epochs can be."""
        _check_whole("epochs", epochs, 1, MOST_EPOCHS)
        _check_whole("position.epoch", self.epoch, 0, epochs)
        _check_whole("position.place", self.place, 0, MOST_COUNT)
        for name in ("totals", "epoch_start"):
            counters = _names(f"position.{name}", getattr(self, name), [c.name for c in Counter])
            for counter, value in counters.items():
                _check_whole(f"position.{name}.{counter}", value, 0, MOST_COUNT if name == "totals" else self.totals[counter])
        before, steps = self.epoch_start["STEPS"], self.totals["STEPS"]
        _check_whole("position.totals.HITS", self.totals["HITS"], 0, steps)
        samples = before // self.epoch if self.epoch else self.place
        if steps - before != self.place or self.place > samples or before != self.epoch * samples:
            raise ValueError(f"position.epoch {self.epoch} and place {self.place} are not where {before} + {steps - before} samples end")
        for name in HISTORY + VALIDATED:
            values, most = getattr(self, name), math.inf if name.endswith("loss") else 1.0
            count = self.epoch if name in history(settings) else 0
            if len(values) != count:
                raise ValueError(f"{name} must have {count} numbers, one an epoch, not {len(values)}")
            for number, value in enumerate(values):
                if not (isinstance(value, float) and math.isfinite(value) and 0 <= value <= most):
                    raise ValueError(f"{name} must be from 0 to {most}, not {_short(value)} (epoch {number + 1})")


@dataclass(kw_only=True)
class Checkpoint:
    """A run at rest.

    `cells` (integers), and `spread` (bytes, all zero where the configuration has no spread words), are of shape (rows of all tiles,
    columns); `tile` holds the words of the TILE window, `scales` those of the scale registers, `random` each stream's states. Of real
    devices there are no `cells`, `spread` and `tile`: they are None. Of the table device `spread` are 32-bit words, and there is a `table`.
    """

    settings: Settings
    epochs: int
    config: Config
    config_digest: str
    program_digest: str
    data_digest: str
    features: Features
    position: Position
    scaler: Scaler
    cells: np.ndarray | None
    spread: np.ndarray | None
    tile: np.ndarray | None
    scales: np.ndarray
    random: dict[Stream, np.ndarray]
    table: TableState | None = None

    def save(self, path: str | Path) -> None:
        """Write the file, replacing an older one only when the new one is whole and on the disk.

        Raises
        ------
        InputError
            If the path leads to something that is no regular file.
        StorageError
            If the file cannot be written, or could not be loaded again because a value is beyond its range; an older one is as it was.
        """
        try:
            data = encode(self._fields(), self._check())
        except ValueError as error:
            raise StorageError(f"The checkpoint {path} is not saved, since it could not be loaded again: {error}") from error
        with written_whole(Path(path), "checkpoint") as file:
            file.write(data)

    @classmethod
    def load(cls, path: str | Path) -> "Checkpoint":
        """Read a file.

        Raises
        ------
        InputError
            If there is none, it is damaged, of another version, or a value is beyond its range; the message names the value.
        """
        path = Path(path)
        try:
            there = path.exists()
            if path.is_file():
                with Archive(path) as archive:
                    return cls._from(archive)
        except OSError as error:
            raise InputError(f"The checkpoint {path} cannot be read: {reason(error)}: give a file that is yours to read") from error
        except DamagedError as error:
            raise InputError(f"The checkpoint {path} is damaged or no checkpoint ({error}): start again, or give another file") from error
        except ValueError as error:
            raise InputError(
                f"The checkpoint {path} cannot be used: {error!s:.500}; if that is no help, start again, or give another file"
            ) from error
        raise InputError(
            f"{path} is no regular file: give the file that a run saved"
            if there
            else f"There is no checkpoint {path}: give the file that a run saved"
        )

    def _fields(self) -> dict[str, Any]:
        """Return the manifest but for its arrays."""
        position = {name: value for name, value in vars(self.position).items() if name not in HISTORY + VALIDATED}
        return {
            "format": FORMAT,
            "version": VERSION,
            "settings": self.settings.to_dict(but_defaults_of=LATER),
            "epochs": self.epochs,
            "config": {f.name: int(getattr(self.config, f.name)) for f in fields(Config)},
            **{name: getattr(self, name) for name in DIGESTS},
            "features": self.features.to_dict(),
            "position": position,
            "floor": self.scaler.floor,
            OPTIONAL: {},
        }

    @classmethod
    def _from(cls, archive: Archive) -> "Checkpoint":
        values = archive.manifest
        if values.get("format") != FORMAT:
            raise ValueError(f"format must be {FORMAT!r}, not {_short(values.get('format'))}")
        if values.get("version") != VERSION:
            raise ValueError(f"it has version {_short(values.get('version'))}, and this program reads version {VERSION}")
        _names("the manifest", values, FIELDS)
        _names(OPTIONAL, values[OPTIONAL])
        settings = _settings(values["settings"])
        config, config_digest = _configuration(values["config"], values["config_digest"])
        _check_size(settings, config)
        place = _names("position", values["position"], ("epoch", "place", "totals", "epoch_start"))
        if config_digest != values["config_digest"]:  # of an earlier ABI
            more = dict.fromkeys(_COUNTED_SINCE_ABI_4, 0)
            place = place | {name: more | _names(f"position.{name}", place[name]) for name in ("totals", "epoch_start")}
        position = Position(**{**vars(Position()), **place})
        _check_whole("position.epoch", position.epoch, 0, MOST_EPOCHS)
        exact = config.device is not DeviceKind.REAL
        arrays = archive.arrays(_kinds(settings, config, position.epoch, exact=exact))
        for name in history(settings):
            setattr(position, name, arrays[name].tolist())
        same: dict[str, Any] = {name: values[name] for name in ("epochs", *DIGESTS)} | {"config_digest": config_digest}
        same |= {"scales": arrays["scales"], **{name: arrays.get(name) for name in ("cells", "tile")}}
        tables = exact and config.device is DeviceKind.TABLE
        kind = np.uint32 if tables else np.uint8
        checkpoint = cls(
            settings=settings,
            config=config,
            features=Features.from_dict(values["features"]),
            position=position,
            scaler=Scaler(center=arrays["center"], half=arrays["half"], floor=values["floor"]),
            spread=arrays["spread"] if config.spread and exact else np.zeros(arrays["cells"].shape, kind) if exact else None,
            random={stream: arrays[_random(stream)] for stream in seed_states(config, 0)},
            table=TableState(**{name: arrays[key] for key, name in _OF_TABLES.items()}) if tables else None,
            **same,
        )
        checkpoint._check()
        return checkpoint

    def _check(self) -> dict[str, np.ndarray]:
        """Return the arrays as the file has them; raise ValueError, naming the field, unless all is within its range and fits together."""
        settings, config = self.settings, self.config
        if settings.schedule == SOFTWARE:
            raise ValueError("settings.schedule must be one that runs in the array, not software")
        _check_size(settings, config)
        self.position.check(self.epochs, settings)
        features, inputs = Features.from_dict(self.features.to_dict()), settings.network.layers[0]
        if features.width != inputs:
            raise ValueError(f"features are {features.width} inputs, and settings.layers begins with {inputs}")
        for name in DIGESTS:
            if not (isinstance(text := getattr(self, name), str) and re.fullmatch("[0-9a-f]{64}", text)):
                raise ValueError(f"{name} must be a SHA-256, 64 digits 0 to f, not {_short(text)}")
        if self.config_digest != config.digest.hex():
            raise ValueError("config_digest is not that of config: go on with the version that made it")
        if self.program_digest != program_digest(settings.compile(config)):
            raise ValueError("program_digest is not that of what this version compiles: go on with the version that made it")
        _check_whole("floor", self.scaler.floor, -1, 0)
        exact = config.device is not DeviceKind.REAL
        given = {name: getattr(self, name) for name in ("cells", "spread", "tile")} if exact else {}
        given |= {key: getattr(self.table, name) for key, name in _OF_TABLES.items()} if self.table else {}
        given["scales"] = self.scales
        given |= {_random(stream): states for stream, states in self.random.items()}
        given |= {"center": self.scaler.center, "half": self.scaler.half} | {
            name: getattr(self.position, name) for name in history(settings)
        }
        if exact and not config.spread and np.any(given.pop("spread")):
            raise ValueError("spread must be zero throughout, as the configuration has no spread words")
        kinds = _kinds(settings, config, self.position.epoch, exact=exact)
        if set(given) != set(kinds):
            raise ValueError(f"the arrays must be {', '.join(kinds)}, not {', '.join(given)}")
        arrays = {name: _array(name, given[name], kind) for name, kind in kinds.items()}
        self._check_ranges(arrays)
        return arrays

    def _check_ranges(self, arrays: dict[str, np.ndarray]) -> None:
        low = -1 << (self.config.cell_bits - 1)
        wrong = {
            "center must be finite": ("center", ~np.isfinite(arrays["center"])),
            "half must be finite and above 0": ("half", ~(np.isfinite(arrays["half"]) & (arrays["half"] > 0))),
        }
        for name in map(_random, self.random):
            wrong[f"{name} must not be 0, where a random stream stays for ever"] = (name, arrays[name] == 0)
        # Both follow from the settings; they are in the file for programs that do not know how.
        scales = self.settings.scale_words(self.settings.rates(self.epochs, self.position.losses)[-1])
        follow: list[tuple[str, Any]] = [("scales", scales)]
        for name in [name for name in ("cells", "persistent") if name in arrays]:
            wrong[f"{name} must be from {low} to {-low - 1}"] = (name, (arrays[name] < low) | (arrays[name] > -low - 1))
        device = self.settings.device_on(self.config)
        if "tables" in arrays and isinstance(device, TableDevice):
            visits = 1 << VISIT_BITS
            wrong[f"ages must be below {visits} but for the first"] = (
                "ages",
                (arrays["ages"] >= visits) & (np.arange(len(arrays["ages"])) > 0),
            )
            follow.insert(0, ("tables", device.words(self.config).flat()))
        if "cells" in arrays:
            follow.insert(0, ("tile", device.tile_words(self.config)))
        for name, words in follow:
            wrong[f"{name} must be the words that the settings give in this version"] = (name, arrays[name] != words)
        for rule, (name, places) in wrong.items():
            if places.any():
                at = np.argwhere(places)[0]
                raise ValueError(f"{rule}, not {arrays[name][tuple(at)]} (at {', '.join(map(str, at))}, counted from 0)")

    def onto(self, settings: Settings, epochs: int, data: Prepared) -> "Checkpoint":
        """Return the array at rest as the beginning of another run, on other data perhaps: cells, devices and random streams go on."""
        same: dict[str, Any] = {"scaler": data.scaler, "data_digest": data.digest, "features": data.features}
        return replace(self, settings=settings, epochs=epochs, position=Position(), **same)

    def check_config(self, config_digest: str) -> None:
        """Refuse a board that would not go on with the same bits."""
        if config_digest != self.config_digest:
            raise InputError(
                f"The checkpoint was made on another configuration (digest {self.config_digest[:12]}) than this board's "
                f"({config_digest[:12]}): choose the board and --tile it was made with"
            )

    def check_data(self, name: str, digest: str, features: Features) -> None:
        """Refuse data that is not that of the run."""
        if (digest, features) != (self.data_digest, self.features):
            raise InputError(f"{name} is not the data of the checkpoint: give the same data to --resume")


def check_names(data: str, features: Features) -> None:
    """Refuse, before a long run, names of columns and classes that no checkpoint has room for.

    Raises
    ------
    InputError
        If there are too many.
    """
    size, most = len(json.dumps(features.to_dict())), MOST_MANIFEST - OTHER_FIELDS
    if size > most:
        raise InputError(
            f"{data}: the names of its columns and classes take {size:,} bytes, and a checkpoint has room for {most:,}: make a table "
            "of the columns that are used, or train without --checkpoint"
        )


def program_digest(program: Program) -> str:
    """Return the SHA-256 of a program's words and tables."""
    words = [i.encode() for i in program.instructions]
    words += [w for r in program.regions for w in r.to_words()] + [v.to_word() for v in program.vectors]
    return hashlib.sha256(np.array(words, "<u8").tobytes()).hexdigest()


def history(settings: Settings) -> tuple[str, ...]:
    """Return the lists of a run's `Position` that have a number for each epoch."""
    return HISTORY + VALIDATED if settings.validation else HISTORY


def _random(stream: Stream) -> str:
    return f"random_{stream.name.lower()}"


def _kinds(settings: Settings, config: Config, epochs: int, *, exact: bool) -> dict[str, Kind]:
    """Return type and shape of each array of the file; `exact`: of an array whose cells are kept."""
    plane, inputs = (config.rows, config.tile_cols), (settings.network.layers[0],)
    tables = exact and config.device is DeviceKind.TABLE
    kinds: dict[str, Kind] = {"cells": ("<i2", plane)} if exact else {}
    if exact and config.spread:
        kinds["spread"] = ("<u4" if tables else "|u1", plane)
    if tables:
        kinds |= {"tables": ("<u4", (FLAT_WORDS,)), "persistent": ("<i2", plane), "ages": ("<u4", (1 + config.rows,))}
    kinds |= ({"tile": ("<i4", (TILE_WORDS,))} if exact else {}) | {"scales": ("<u4", (SCALE_REGISTERS,))}
    kinds |= {_random(stream): ("<u4", (len(states),)) for stream, states in seed_states(config, 0).items()}
    return kinds | {"center": ("<f8", inputs), "half": ("<f8", inputs)} | dict.fromkeys(history(settings), ("<f8", (epochs,)))


def _array(name: str, value: object, kind: Kind) -> np.ndarray:
    """Return an array of a kind, with the same numbers."""
    dtype, shape = np.dtype(kind[0]), kind[1]
    given = np.asarray(value)
    if given.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, not {given.shape}")
    if given.dtype.kind not in ("iu" if dtype.kind in "iu" else "iuf"):
        raise ValueError(f"{name} must be {'whole ' * (dtype.kind in 'iu')}numbers, not of type {given.dtype}")
    array = given.astype(dtype, copy=False)
    if given.dtype.kind in "iu" and (wrong := given[array != given]).size:
        raise ValueError(f"{name} must be numbers that {dtype} holds, not {wrong[0]}")
    return array


def _configuration(value: object, digest: object) -> tuple[Config, object]:
    """Read the configuration, and return it with its digest. One of ABI 2 or 3, whose machines give the same bits, becomes one of today."""
    earlier = False
    if isinstance(value, dict) and not _SINCE_ABI_4 & {*value}:
        abi = 3 if _SINCE_ABI_3 & {*value} else 2
        meaning = {f.name for f in fields(Config) if f.metadata["meaning"]} & {*value}
        text = json.dumps({"abi": abi, **{name: value[name] for name in meaning}}, sort_keys=True, separators=(",", ":"))
        earlier = digest == hashlib.sha256(text.encode()).hexdigest()
        full = int(value.get("lean") == 0)
        of_abi_2 = {"steps": 1 + full, "bounds": full, "prefetch": full} if abi == 2 else {}
        value = {**value, **of_abi_2, "trace_words": 0} if earlier else value
    config = Config(**_names("config", value, [f.name for f in fields(Config)]))
    return config, config.digest.hex() if earlier else digest


def _settings(value: object) -> Settings:
    """Read the settings, which must be as they were written: what `Settings` would convert is refused here."""
    given = _names("settings", value)
    values = _names("settings", value, [name for name in Settings.model_fields if name not in LATER or name in given])
    settings = Settings.from_dict(values)
    for name, found in values.items():
        plain = getattr(settings, name)
        if type(plain) is not type(found):
            raise ValueError(f"settings.{name} must be as {plain!r:.60}, not {_short(found)}")
    return settings


def _check_size(settings: Settings, config: Config) -> None:
    """Raise ValueError if a network is beyond what could ever fit: to place its layers would take for ever."""
    network = settings.network
    weights = network.weights
    if weights > config.rows * config.tile_cols or 2 * network.depth > config.vectors:
        raise ValueError(f"settings.layers has {weights} weights, and config has {config.rows * config.tile_cols} cells")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {_short(value)}")


def _names(name: str, value: object, names: "tuple[str, ...] | list[str] | None" = None) -> dict[str, Any]:
    """Return a value if it is an object, with these names if any are given."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object of names and values, not {_short(value)}")
    for this in sorted({*value} ^ {*names}) if names is not None else ():
        raise ValueError(f"{name} has {'' if this in value else 'no '}field {_short(this)}: read it with the version that made it")
    return value


def _short(value: object) -> str:
    """Return what a sentence says of a wrong value."""
    return reprlib.repr(value)

"""Checkpoints: everything that a run needs to go on with the same bits, in a `.npz` without pickle.

Taken at sample boundaries only, where the vectors of the machine are dead.
"""

import json
import os
import zipfile
import zlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from firmware_py.config import Config
from firmware_py.isa import SCALE_REGISTERS
from firmware_py.registers import TILE_WORDS, Counter, Stream
from firmware_py.streams import seed_states

from .errors import InputError
from .features import Features
from .scaling import Scaler
from .settings import Settings

VERSION = 1


@dataclass
class Position:
    """How far a run has come; `epoch` from 0, `place` samples of it are done."""

    epoch: int = 0
    place: int = 0
    test_accuracy: list[float] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: {c.name: 0 for c in Counter})
    """Counters since the run began."""
    epoch_start: dict[str, int] = field(default_factory=lambda: {c.name: 0 for c in Counter})
    """`totals` at the start of the present epoch."""


@dataclass(kw_only=True)
class Checkpoint:
    """A run at rest."""

    settings: Settings
    epochs: int
    config: Config
    config_digest: str
    program_digest: str
    data_digest: str
    features: Features
    position: Position
    scaler: Scaler
    cells: np.ndarray
    spread: np.ndarray
    tile: np.ndarray
    scales: np.ndarray
    random: dict[Stream, np.ndarray]

    def save(self, path: Path) -> None:
        """Write the file, replacing an older one only when the new one is whole.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        head: dict[str, Any] = {"version": VERSION, "settings": self.settings.to_dict(), "position": vars(self.position)}
        head |= {name: getattr(self, name) for name in ("epochs", "config_digest", "program_digest", "data_digest")}
        head["features"] = self.features.to_dict()
        head |= {"config": self.config.to_words(), "floor": self.scaler.floor}
        arrays = {name: getattr(self, name) for name in ("cells", "spread", "tile", "scales")}
        arrays |= {f"random_{stream.name.lower()}": np.asarray(states, np.uint32) for stream, states in self.random.items()}
        arrays |= {"center": self.scaler.center, "half": self.scaler.half, "head": np.array(json.dumps(head))}
        partial = path.with_name(path.name + ".part")
        try:
            with partial.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise InputError(f"The checkpoint {path} cannot be written: {(error.strerror or str(error)).lower()}") from error

    @classmethod
    def load(cls, path: Path | str) -> "Checkpoint":
        """Read a file.

        Raises
        ------
        InputError
            If there is none, it is damaged, or of another version.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"There is no checkpoint {path}")
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            head = json.loads(str(arrays["head"]))
            if head["version"] != VERSION:
                raise InputError(f"The checkpoint {path} has version {head['version']}, but this program reads {VERSION}")
            position = Position(**{f.name: head["position"][f.name] for f in fields(Position)})
            checkpoint = cls(
                settings=Settings.from_dict(head["settings"]),
                features=Features.from_dict(head["features"]),
                config=Config.from_words(head["config"]),
                position=position,
                scaler=Scaler(center=arrays["center"], half=arrays["half"], floor=head["floor"]),
                random={s: arrays[f"random_{s.name.lower()}"] for s in Stream if f"random_{s.name.lower()}" in arrays},
                **{name: head[name] for name in ("epochs", "config_digest", "program_digest", "data_digest")},
                **{name: arrays[name] for name in ("cells", "spread", "tile", "scales")},
            )
            checkpoint._check_shapes()
            return checkpoint
        except InputError:
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise InputError(f"The checkpoint {path} is damaged or no checkpoint: start again, or give another file") from error

    def _check_shapes(self) -> None:
        """Raise ValueError if an array is not as large as the configuration says."""
        plane = (self.config.rows, self.config.tile_cols)
        wanted = {"cells": plane, "spread": plane, "tile": (TILE_WORDS,), "scales": (SCALE_REGISTERS,)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have the shape {shape}")
        for stream, states in seed_states(self.config, 0).items():
            if self.random[stream].shape != (len(states),):
                raise ValueError(f"stream {stream.name} must have {len(states)} lanes")

    def check_config(self, config_digest: str) -> None:
        """Refuse a board that would not go on with the same bits."""
        if config_digest != self.config_digest:
            raise InputError(
                f"The checkpoint was made on another configuration (digest {self.config_digest[:12]}) than this board's "
                f"({config_digest[:12]}): choose the board and --tile it was made with"
            )

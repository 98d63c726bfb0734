"""The folder of a saved run (docs/runs.md): what is in it, and how it is read, also while the run goes on or after it was killed."""

import json
import os
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.places import reason
from backpulse.host.datasets import Dataset, load
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.settings import Settings

if TYPE_CHECKING:
    import pandas

FORMAT, VERSION = "backpulse run", 1
MANIFEST = "manifest.json"
"""What the run is; at its end, how it ended."""
RESULT = "result.json"
"""What it came to so far, as the JSON of `backpulse train`; written anew after an epoch, at most once a second."""
ARRAY = "array.npz"
"""Cells before and after, and the pulses of each; likewise."""
PULSES = "pulses"
"""Folder of the pulse log: Parquet parts."""
PULSE_PARTS = "part-*.parquet"
TRACE = "run.trace"
DATA, INIT = "data.npz", "init.npz"
"""Data and initial weights, of a run that was given them in memory."""
NOW = "now.json"
"""Where a run that goes on is, about twice a second."""
WISH = "wish"
"""What somebody who watches a run asks of it: one of `WISHES`."""
HALT, ABORT = WISHES = ("halt", "abort")
KEPT = ("pulses", "trace")
"""What a run keeps if asked to."""
PLANES = ("up", "down")
"""Arrays of `ARRAY` with the pulses of each cell, where they are known."""
CURVES = ("test_accuracy", "train_accuracy", "train_loss", "validation_accuracy", "validation_loss", "learning_rate")
"""Lists of `RESULT`, a number an epoch."""


def check_new(folder: Path) -> None:
    """Refuse a folder that a run cannot be saved in.

    Raises
    ------
    InputError
        If there is something in it already, it is a file, or the folder above it is not there.
    """
    if folder.is_dir():
        if any(folder.iterdir()):
            raise InputError(f"The folder {folder} is not empty, and a saved run is never written over: give --save another name")
    elif os.path.lexists(folder):
        raise InputError(f"{folder} is a file: give --save the name of a new folder")
    elif not folder.absolute().parent.is_dir():
        raise InputError(f"There is no folder {folder.parent} for {folder.name}: make it first")


@dataclass(frozen=True)
class SavedRun:
    """What the folder of a run holds.

    Parameters
    ----------
    folder : Path
    manifest : dict
        As docs/runs.md has it.
    result : dict
        Of the epochs that are done; empty before the first one is.
    before, after : ndarray
        Cells: int16 of shape (rows of all tiles, columns).
    pulses : dict
        Pulses of each cell, int64 of that shape, by `PLANES`; empty where they are not known.
    """

    folder: Path
    manifest: dict[str, Any]
    result: dict[str, Any]
    before: np.ndarray
    after: np.ndarray
    pulses: dict[str, np.ndarray] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        """Settings of the run."""
        return Settings.from_dict(self.manifest["settings"])

    @cached_property
    def config(self) -> Config:
        """Configuration of its board."""
        return Config.from_words(self.manifest["config"])

    @cached_property
    def program(self) -> Program:
        """The program as this version compiles it, for the places of the layers."""
        return self.settings.compile(self.config)

    @property
    def ended(self) -> dict[str, Any] | None:
        """How the run ended: `how` (complete, stopped, failed), `why`, `at`; None while it goes on, or where it was killed."""
        return self.manifest.get("ended")

    @property
    def state(self) -> str:
        """What there is to say of its end, in a few words."""
        if self.ended:
            return self.ended["how"] + (f": {self.ended['why']}" if self.ended["why"] else "")
        return "going on" if is_running(self.manifest["process"]) else "ended without a word (killed, or the power failed)"

    @property
    def trace(self) -> Path | None:
        """Its trace, if it has one."""
        path = self.folder / TRACE
        return path if path.exists() else None

    @property
    def parts(self) -> list[Path]:
        """Parts of its pulse log, in order."""
        return sorted((self.folder / PULSES).glob(PULSE_PARTS))

    def load(self) -> Dataset:
        """Load the data that it was trained with: that of the folder, if it was given in memory.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        own = self.folder / DATA
        return load(own) if own.exists() else self.settings.load()

    def epochs(self) -> "pandas.DataFrame":
        """Return the curves, a row an epoch."""
        import pandas as pd  # takes its time

        curves = {name: values for name in CURVES if (values := self.result.get(name))}
        return pd.DataFrame(curves, index=pd.RangeIndex(1, self.result.get("epochs", 0) + 1, name="epoch"))


def read_run(folder: Path) -> SavedRun:
    """Return what the folder of a run holds now.

    Raises
    ------
    InputError
        If it is no folder of a run, one of another version, or damaged.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: give that of a run, made by train --save")
    if not (folder / MANIFEST).exists():
        raise InputError(f"{folder} is no saved run, as it has no {MANIFEST}: give a folder made by train --save")
    manifest = _json(folder / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise InputError(f"{folder / MANIFEST} is not that of a saved run: give a folder made by train --save")
    if manifest.get("version") != VERSION:
        raise InputError(f"{folder} is of version {manifest.get('version')}, and this program reads {VERSION}: use the one that made it")
    result = _json(folder / RESULT) if (folder / RESULT).exists() else {}
    arrays = _arrays(folder / ARRAY)
    with wrong_input(f"{folder / MANIFEST} is damaged: "):
        try:
            run = SavedRun(
                folder, manifest, result, arrays["before"], arrays["after"], {name: arrays[name] for name in PLANES if name in arrays}
            )
            shape = run.config.rows, run.config.tile_cols
            _ = run.settings, manifest["command"], manifest["process"], manifest["listing"]
        except (KeyError, TypeError) as error:
            raise InputError(f"{folder} is damaged: {error!s:.100} is missing or wrong: take another copy") from error
    if any(plane.shape != shape for plane in (run.before, run.after, *run.pulses.values())):
        raise InputError(f"{folder / ARRAY} is not of {shape[0]} x {shape[1]} cells, as the board in {MANIFEST} has: take another copy")
    return run


def is_running(process: dict[str, Any]) -> bool:
    """Say whether the process of `process_facts` is still there."""
    try:
        os.kill(process["id"], 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return process == process_facts(process["id"])


def process_facts(number: int) -> dict[str, Any]:
    """Return what tells a process from others that may have its number later."""
    try:
        state, *facts = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        begun = facts[18] if state != "Z" else "never"
    except (OSError, ValueError, IndexError):  # a system without such files
        begun = ""
    return {"id": number, "begun": begun}


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from error
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error!s:.100}: take another copy") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: it holds no JSON object: take another copy")
    return value


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged: {error!s:.100}: take another copy") from error

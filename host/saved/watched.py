"""What the live page shows of a saved run: read once for all who look, when the files of the folder have changed."""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.host.errors import InputError
from backpulse.host.plots import carrying
from backpulse.host.saved.folder import ARRAY, MANIFEST, NOW, RESULT, WISH, WISHES, SavedRun, read_run
from backpulse.host.settings import prepare
from backpulse.host.software import train_software
from backpulse.host.storage import written_whole
from backpulse.host.training import Event

AHEAD = 5
"""Epochs that the reference is ahead of the run: with it, no more is computed than is shown."""
WAIT_S = 0.2
BINS = 60


class WatchedRun:
    """A run that is looked at while it goes on.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    run : SavedRun
        As it was at the last `look`.
    now : dict
        Where the run is; empty when it does not go on.
    version : int
        Counts the changes of `run`.
    reference : dict
        Accuracy and loss of the float64 reference so far, in lists.
    note : str
        Why there is no reference, if there is none.

    Raises
    ------
    InputError
        If it is no folder of a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.version = 0
        self.now: dict[str, Any] = {}
        self.reference: dict[str, list[float]] = {"test_accuracy": [], "train_loss": []}
        self.note = ""
        self._stamps: tuple[int, ...] = ()
        self.run: SavedRun = read_run(folder)
        self._used = carrying(self.run.program)
        self.look()

    def look(self) -> None:
        """Read what has changed."""
        stamps = tuple(_stamp(self.folder / name) for name in (MANIFEST, RESULT, ARRAY))
        if stamps != self._stamps:
            with suppress(InputError):  # somebody moves or removes the folder: what was seen stays
                self.run = read_run(self.folder)
                self._stamps = stamps
                self.version += 1
        try:
            self.now = json.loads((self.folder / NOW).read_text())
        except (OSError, ValueError):
            self.now = {}

    def histogram(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return edges in device units, and how many cells that carry weights lie between them, before and after."""
        unit = 1 << self.run.config.cell_frac
        before, after = self.run.before[self._used] / unit, self.run.after[self._used] / unit
        bound = float(max(np.abs(before).max(initial=0), np.abs(after).max(initial=0), 1 / unit))
        edges = np.linspace(-bound, bound, BINS + 1)
        return edges, np.histogram(before, edges)[0], np.histogram(after, edges)[0]

    @property
    def going_on(self) -> bool:
        """Whether the run can be asked for something."""
        return self.run.state == "going on"

    def ask(self, wish: str) -> None:
        """Ask the run to halt, or to abort.

        Raises
        ------
        StorageError
            If the folder cannot be written.
        """
        assert wish in WISHES
        with written_whole(self.folder / WISH, "wish") as file:
            file.write(wish.encode())

    def begin_reference(self) -> None:
        """Train the reference beside the run, in a thread that ends with the process."""
        threading.Thread(target=self._train_reference, daemon=True).start()

    def _train_reference(self) -> None:
        run = self.run
        try:
            data = prepare(run.settings, run.config.drive_max, dataset=run.load())
            if data.digest != run.manifest["data_digest"]:
                raise InputError(f"the data set {run.settings.dataset} is not what the run is trained with, or this is another folder")
            train_software(run.settings, data, run.manifest["epochs"], run.config.drive_max, self._referred)
        except InputError as error:
            self.note = f"No reference: {error}"

    def _referred(self, event: Event) -> None:
        position = event.position
        self.reference = {"test_accuracy": list(position.test_accuracy), "train_loss": list(position.train_loss)}
        while position.epoch > self.run.result.get("epochs", 0) + AHEAD:
            time.sleep(WAIT_S)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0

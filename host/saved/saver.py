"""Saves a run while it goes on, and hears what those who watch it ask for."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from backpulse.firmware_py.config import ABI_VERSION
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.registers import Capability
from backpulse.host.checkpoint import program_digest
from backpulse.host.errors import AbortedError, InputError, StorageError
from backpulse.host.saved.folder import (
    ABORT,
    ARRAY,
    FORMAT,
    HALT,
    KEPT,
    MANIFEST,
    NOW,
    PULSES,
    RESULT,
    TRACE,
    VERSION,
    WISH,
    check_new,
    process_facts,
)
from backpulse.host.saved.pulses import PulseParts
from backpulse.host.storage import written_whole
from backpulse.host.tables import with_nearest
from backpulse.host.tile import facts_text
from backpulse.host.training import Event, Trainer
from backpulse.host.version import package_version

NOW_S = 0.5
"""Time between two notes of where a run is; wishes are looked for as often."""


SAVE_S = 1.0
"""Least time between two times that result and array are written, as short epochs may be many a second."""


def checked_keep(
    keep: str | Sequence[str] | None, save: str | Path | None, pulse_log: str | Path | None, trace: str | Path | None
) -> tuple[str, ...]:
    """Return what a saved run shall keep, of names in a list or joined by commas.

    Raises
    ------
    InputError
        If there is another name among them, the folder is not new, or options do not go together.
    """
    words = keep.split(",") if isinstance(keep, str) else keep or ()
    if save is None:
        if keep not in (None, ()):
            raise InputError("--keep names what a saved run keeps: give --save RUN, too")
        return ()
    check_new(Path(save))
    names = tuple(name.strip() for name in words if name.strip())
    if unknown := [name for name in names if name not in KEPT]:
        raise InputError(f"A saved run can keep {' and '.join(KEPT)}, not {with_nearest(unknown, KEPT)}")
    for name, option, file in (("pulses", "--pulse-log", pulse_log), ("trace", "--trace", trace)):
        if name in names and file:
            raise InputError(f"What {option} writes is written once, there or with --save: leave {option} or {name} in --keep out")
    return names


class RunSaver:
    """Writes the folder of a run (docs/runs.md): a context manager around the run, and a watcher of its `Trainer`.

    What cannot be written ends the saving and not the run; `end` then raises it.

    Parameters
    ----------
    folder : Path
        A new one, or an empty one.
    keep : sequence of str
        Of `KEPT`.
    board : str
        Its URL.
    command : sequence of str
        What repeats the run.
    count : bool
        Whether the pulses of each cell are counted, too, where they are not kept.
    nameless : sequence of str
        What the run had that no command line names.

    Attributes
    ----------
    pulses : PulseParts or None
        Where the pulses of the run go, if they are kept or counted.
    trace : Path or None
        Where its trace goes, likewise.
    folder : Path

    Raises
    ------
    InputError
        If the folder cannot be made or is not empty, or a package is missing.
    """

    def __init__(
        self, folder: Path, keep: Sequence[str], board: str, command: Sequence[str], *, count: bool = False, nameless: Sequence[str] = ()
    ) -> None:
        check_new(folder)
        parts = folder / PULSES if "pulses" in keep else None
        self.pulses = PulseParts(parts) if parts or count else None
        self.trace = folder / TRACE if "trace" in keep else None
        self.folder, self._board = folder, board
        self._manifest = {
            "format": FORMAT,
            "version": VERSION,
            "board": board,
            "command": list(command),
            "keep": list(keep),
            "nameless": list(nameless),
        }
        self._failed: StorageError | None = None
        self._trainer: Trainer | None = None
        self._next = self._next_save = 0.0
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"The folder {folder} cannot be made: {reason(error)}: choose another") from error

    def begin(self, trainer: Trainer) -> None:
        """Write what is known before the first epoch."""
        board = trainer.board
        self._trainer = trainer
        if self.pulses:
            self.pulses.measure(board.config)
        self._manifest |= {
            "package": package_version(),
            "abi": ABI_VERSION,
            "begun": _now(),
            "process": process_facts(os.getpid()),
            "settings": trainer.settings.to_dict(),
            "epochs": trainer.epochs,
            "epochs_before": trainer.position.epoch,
            "config": board.config.to_words(),
            "config_digest": board.config_digest,
            "build_digest": board.build_digest,
            "program_digest": program_digest(trainer.program),
            "data_digest": trainer.data.digest,
            "labels": list(trainer.data.features.labels),
            "device": trainer.settings.device_model.name,
            "array": facts_text(board.facts),
            "real": board.real,
            "listing": trainer.program.listing().splitlines(),
        }
        self._write_array(trainer.initial)
        self._write_json(MANIFEST, self._manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.pulses:
            with suppress(StorageError):  # `end` has raised it, or something has come before
                self.pulses.close()
        if self._trainer and "ended" not in self._manifest:
            self._end("failed", str(error) or type(error).__name__)

    def __call__(self, event: Event) -> None:
        """Keep what an event of the run brings.

        Raises
        ------
        AbortedError
            If somebody who watches the run wants it to end at once.
        """
        trainer = self._trainer
        if trainer is None or event.phase == "read":
            return
        if event.phase == "epoch" and time.monotonic() >= self._next_save:
            self._write_result(trainer)
            self._next_save = time.monotonic() + SAVE_S
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + NOW_S
            self._write_now(trainer, event)
            self._heed(trainer)

    def end(self, result: dict[str, Any]) -> None:
        """Write what the run came to, its pulses being all here.

        Raises
        ------
        StorageError
            If something could not be saved.
        """
        trainer = self._trainer
        assert trainer is not None
        if self.pulses:
            try:
                self.pulses.close()
            except StorageError as error:
                self._fail(error)
        self._write_array(trainer.cells)
        self._write_json(RESULT, result)
        self._end("complete" if result["complete"] else "stopped", "")
        if self._failed:
            raise self._failed

    def _end(self, how: str, why: str) -> None:
        self._manifest["ended"] = {"how": how, "why": why, "at": _now()}
        self._write_json(MANIFEST, self._manifest)
        (self.folder / NOW).unlink(missing_ok=True)

    def _write_result(self, trainer: Trainer) -> None:
        if self.pulses:
            self.pulses.pause()
            if self.pulses.failed:
                self._fail(self.pulses.failed)
        # Cells that have to be measured are, once, at the end.
        if Capability.CELLS_READ in trainer.board.capabilities:
            self._write_array(trainer.cells)
        self._write_json(RESULT, {"board": self._board, "complete": False, **trainer.result()})

    def _write_array(self, cells: np.ndarray) -> None:
        trainer = self._trainer
        assert trainer is not None
        arrays = {"before": trainer.initial, "after": cells, **(self.pulses.counts() if self.pulses else {})}

        def write() -> None:
            with written_whole(self.folder / ARRAY, "array") as file:
                np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType] - numpy's stub has another keyword in mind

        self._try(write)

    def _write_now(self, trainer: Trainer, event: Event) -> None:
        board, progress = trainer.board, event.progress
        now = {
            "at": _now(),
            "phase": event.phase,
            "epoch": event.epoch,
            "progress": vars(progress) if progress else None,
            "counters": {counter.name: total for counter, total in board.totals.items()},
            "link": {"retries": board.link.retries, "damaged": board.link.damaged, "round_trip_s": board.link.round_trip_s},
            "remarks": trainer.warnings,
        }
        # Written anew at once, so it needs not be on the disk, which may take its time.
        partial = self.folder / f".{NOW}"
        with suppress(OSError):
            partial.write_text(json.dumps(now))
            partial.replace(self.folder / NOW)

    def _heed(self, trainer: Trainer) -> None:
        """Do what somebody who watches wants."""
        wish = self.folder / WISH
        try:
            asked = wish.read_text()
            wish.unlink()
        except OSError:
            return
        if asked == HALT:
            trainer.stop.asked = True
        elif asked == ABORT:
            raise AbortedError("The run was aborted by somebody who watched it")

    def _write_json(self, name: str, value: dict[str, Any]) -> None:
        def write() -> None:
            with written_whole(self.folder / name, "file") as file:
                file.write(json.dumps(value, indent=1).encode())

        self._try(write)

    def _try(self, write: Callable[[], None]) -> None:
        """Write, or save no more: a full disk ends no run, and the folder is what was written until then."""
        if self._failed:
            return
        try:
            write()
        except StorageError as error:
            self._fail(error)

    def _fail(self, error: StorageError) -> None:
        if not self._failed:
            self._failed = error
            if self._trainer:
                self._trainer.remark(f"{error}. The run goes on, and is saved no more")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

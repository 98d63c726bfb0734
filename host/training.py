"""Training and evaluation runs on a board: what `backpulse train` does, without a terminal."""

# Over 400 lines: a run is one state, from its first cells to its result.

import math
import operator
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.digest import conductance_digest
from backpulse.firmware_py.image import initial_cells, tile_image
from backpulse.firmware_py.registers import LOSS_FRAC, REG, Capability, Counter
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.array_cells import Areas
from backpulse.host.board import Board, Tell
from backpulse.host.checkpoint import Checkpoint, Position, check_names, program_digest
from backpulse.host.cost import cost
from backpulse.host.departure import remark
from backpulse.host.devices import facts_of
from backpulse.host.errors import HostError, InputError, StorageError, wrong_input
from backpulse.host.output import PulseReceiver
from backpulse.host.rates import best_epoch, has_ended
from backpulse.host.run import Progress, Report
from backpulse.host.scores import scores
from backpulse.host.settings import Prepared, Settings, prepare
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.storage import check_writable
from backpulse.host.table_state import TableState
from backpulse.host.tables import with_nearest
from backpulse.host.tile import facts_dict, facts_text, is_exact, missed
from backpulse.host.weights import Weights, weights_of

WRITTEN, VERIFIED, AS_IS = STARTS = ("write", "verify", "as-is")
"""How an array gets its initial weights: cells are written, pulsed until they read as wanted, or left as they stand."""
REAL_WATCHDOG = 0xFFFFFFFF
"""Clock cycles from one sign of progress to the next that real devices are allowed: 57 s at 75 MHz."""


@dataclass
class Event:
    """What a run tells its watcher."""

    phase: str
    """load or upload (cells, samples are sent), train, test, epoch (one is complete), read (the array) or remark."""
    epoch: int
    epochs: int
    position: Position
    rates: Sequence[float]
    """Learning rates of the epochs done, and of the one that comes next."""
    progress: Progress | None = None
    remark: str = ""
    """What to tell the user, in a sentence, of the phase remark."""


Watcher = Callable[[Event], None]


class Trainer:
    """A training run on a board.

    Parameters
    ----------
    board : Board
    settings : Settings
    epochs : int
        Epochs to reach, those of the checkpoint included.
    checkpoint : Checkpoint, optional
        What to go on from.
    data : Prepared, optional
        The data, if already prepared.
    watch : callable, optional
        Called with each `Event`.
    stop : Stop, optional
        Looked at while running.
    log : PulseReceiver, optional
        What the board's pulses go to, to be told the steps.
    start : str, optional
        How the array gets its initial weights, one of `STARTS`: by default they are written where cells can be, else verified.
        A checkpoint that has cells gives them; with one that has none, the array goes on as it stands.
    init : Weights, optional
        The initial weights, if not those of the seed.
    program : Program, optional
        What runs in the array, if not what the settings' schedule compiles to; a checkpoint goes on with the same one only.

    Attributes
    ----------
    position : Position
    rates : list of float
        Learning rates of the epochs done, and of the one that comes next.
    started : dict
        How the array got its weights; of program-verify, what it took and left.

    Raises
    ------
    InputError
        If network, device, data or checkpoint do not fit the board.
    """

    def __init__(
        self,
        board: Board,
        settings: Settings,
        epochs: int,
        *,
        checkpoint: Checkpoint | None = None,
        data: Prepared | None = None,
        watch: Watcher | None = None,
        stop: Stop | None = None,
        log: PulseReceiver | None = None,
        start: str | None = None,
        init: Weights | None = None,
        program: Program | None = None,
    ) -> None:
        try:
            self.epochs = operator.index(epochs)
        except TypeError:
            raise InputError(f"The number of epochs must be a whole number, not {epochs!r}") from None
        self.board, self.settings = board, settings
        self.log = log
        self.watch, self.stop = watch or (lambda event: None), stop or Stop()
        self.position = deepcopy(checkpoint.position) if checkpoint else Position()
        self.data = data or prepare(settings, board.config.drive_max, scaler=checkpoint.scaler if checkpoint else None)
        self.warnings = list(self.data.warnings)
        self.predictions = np.zeros(0, np.int64)
        self.train_seconds = 0.0
        self.rates = settings.rates(self.epochs, self.position.losses)
        self._begun_steps = self.position.totals["STEPS"]
        self.tile: np.ndarray | None = None
        self.device = settings.device_on(board.config)
        if not board.real:
            with wrong_input():
                self.tile = np.array(self.device.tile_words(board.config), np.int64)
        settings.check_profiles(board.facts.profiles)
        self.program = program or settings.compile(board.config)
        if self.program.config.digest != board.config.digest:
            raise InputError("The program is compiled for another configuration than the board's: compile it for this one")
        self.started: dict[str, Any] = {"start": self._start(start, checkpoint)}
        if init is not None and (checkpoint or start == AS_IS):
            raise InputError("A run that goes on, or takes the array as it stands, has its weights already: leave init out")
        if checkpoint:
            self._check(checkpoint)
        self._cells: np.ndarray | None = None
        with board.heeding(self.stop):
            self._load(checkpoint, init)

    def _check(self, checkpoint: Checkpoint) -> None:
        checkpoint.check_config(self.board.config_digest)
        if checkpoint.program_digest != program_digest(self.program):
            raise InputError("The checkpoint's program is not what this version compiles: go on with the version that made it")
        checkpoint.check_data(self.settings.dataset, self.data.digest, self.data.features)
        position, samples = checkpoint.position, len(self.data.train)
        if position.place > samples or position.totals["STEPS"] != position.epoch * samples + position.place:
            raise InputError(
                f"The checkpoint's position, epoch {position.epoch} and place {position.place} after {position.totals['STEPS']} steps, "
                f"is none of a run with {samples} training samples: start again, or give another file"
            )
        if self.settings.lr_schedule == "cosine" and self.epochs != checkpoint.epochs:
            raise InputError(f"The checkpoint's rate falls to the end of its {checkpoint.epochs} epochs: give as many, not {self.epochs}")
        if self.epochs < position.epoch:
            raise InputError(f"The checkpoint has {position.epoch} epochs done: epochs must be at least as many, not {self.epochs}")

    def _start(self, start: str | None, checkpoint: Checkpoint | None) -> str:
        """Return how the array gets its weights, or refuse what it cannot do."""
        board, writable = self.board, Capability.CELLS_WRITE in self.board.capabilities
        if start not in (None, *STARTS):
            raise InputError(f"Unknown start {with_nearest([start], STARTS)}: choose one of {', '.join(STARTS)}")
        if checkpoint and start not in (None, AS_IS):
            raise InputError(f"A run that goes on has its weights already: leave the start {start} out")
        if (start == WRITTEN or (checkpoint and checkpoint.cells is not None)) and not writable:
            raise InputError(f"The cells of this board ({facts_text(board.facts)}) cannot be written: start with {VERIFIED} or {AS_IS}")
        if checkpoint:
            return AS_IS if checkpoint.cells is None or start == AS_IS else WRITTEN
        return start or (WRITTEN if writable else VERIFIED)

    def _load(self, checkpoint: Checkpoint | None, init: Weights | None) -> None:
        board, settings = self.board, self.settings
        board.stop()
        board.check_ready()
        random = checkpoint.random if checkpoint else seed_states(board.config, settings.seed)
        if checkpoint and checkpoint.cells is None:
            self.remark("The checkpoint holds no cells: the run goes on with those of the array, as they stand")
        if self.tile is not None:
            if checkpoint and checkpoint.tile is not None:
                self.tile = checkpoint.tile
            board.write(tile_image(self.tile.tolist()))
            with_spread = checkpoint.spread if checkpoint else None
            board.write_spread(settings.spread_words(board.config) if with_spread is None else with_spread)
        self.initial = self._cells_at_start(checkpoint, init)
        if isinstance(self.device, TableDevice) and not board.real:
            held = checkpoint.table if checkpoint else None
            (held or TableState.new(self.device.words(board.config).flat(), self.initial)).write(board)
        self._rate = self.rates[-1]
        board.write_random({stream: list(states) for stream, states in random.items()})
        self._load_program()
        board.totals = {c: self.position.totals[c.name] for c in Counter}

    def _load_program(self) -> None:
        board = self.board
        board.load(self.program, scales=self.settings.scale_words(self._rate))
        if board.real:
            # A pulse of slow devices takes longer than a board's own limit for a sign of progress.
            board.write([(REG["WATCHDOG"].address, [REAL_WATCHDOG])])
        board.upload(self.data.records, self._far("upload"))

    def _cells_at_start(self, checkpoint: Checkpoint | None, init: Weights | None) -> np.ndarray:
        """Bring the array to its initial weights; return its cells (int16, all rows)."""
        board, settings, start = self.board, self.settings, self.started["start"]
        if checkpoint and checkpoint.cells is not None:
            wanted = checkpoint.cells
        elif init is None:
            wanted = initial_cells(self.program, self.device, settings.seed)
        else:
            wanted, told = init.scaled(self.data.scaler, board.config.drive_max).cells(self.program, self.device)
            self.started["init"] = init.digest
            for text in told:
                self.remark(text)
        if start == WRITTEN:
            board.write_cells(wanted, self._far("load"))
            return np.asarray(wanted, np.int16)
        step = self.device.dw_min
        areas = Areas(board, self.program, read_profile=settings.read_profile, pulse_profile=settings.pulse_profile)
        if start == AS_IS:
            return areas.words(areas.measure(report=self._far("read")))
        found, verified = areas.verify(wanted / (1 << board.config.cell_frac), step, report=self._far("load"))
        self.started |= verified.to_dict()
        self.remark(verified.text)
        return areas.words(found)

    def remark(self, text: str) -> None:
        """Tell the watcher, and keep it for the result."""
        self.warnings.append(text)
        self._tell("remark", remark=text)

    def _tell(self, phase: str, progress: Progress | None = None, remark: str = "") -> None:
        self.watch(Event(phase, self.position.epoch, self.epochs, self.position, self.rates, progress, remark))

    def _report(self, phase: str) -> Report:
        return lambda progress: self._tell(phase, progress)

    def _far(self, phase: str) -> Tell:
        return lambda done, total: self._tell(phase, Progress(done, total, 0, 0.0, 0.0))

    def run(self, checkpoint_file: str | Path | None = None, best_file: str | Path | None = None) -> bool:
        """Train to the end; say whether it came that far (False: the user stopped it, at a sample boundary).

        A checkpoint is saved after each epoch and when stopped, if a file is given; one of the best after each epoch whose validation
        loss is below all before. Where that fails, as on a full disk, the run goes on and tries again later; the watcher is told.

        Raises
        ------
        InputError
            If a file could not be replaced, or the best is asked for without a validation part; nothing is trained then.
        StorageError
            If the last checkpoint could not be saved, after the run: the results are all there.
        """
        if best_file and not self.settings.validation:
            raise InputError("The best epoch has the lowest validation loss: give a share of the training part for it with --validation")
        if best_file and not is_exact(self.board.facts):
            raise InputError(f"The best epoch's cells cannot be kept on this board ({facts_text(self.board.facts)}): leave --best out")
        if checkpoint_file and not (is_exact(self.board.facts) or self.board.real):
            claims = f"its tile ({facts_text(self.board.facts)}) does not claim"
            raise InputError(f"The board's devices are emulated, and {claims} that cells can be kept: leave --checkpoint out")
        files = [file for file in (checkpoint_file, best_file) if file]
        for file in files:
            check_writable(Path(file))
            check_names(self.settings.dataset, self.data.features)
        unsaved: dict[str | Path, StorageError] = {}
        kept, going = "", True
        while going and not self.complete:
            try:
                going = self.epoch()
            except HostError:
                if kept:
                    self._tell("remark", remark=kept)
                raise
            last = self.complete or not going
            if best_file and going and best_epoch(self.position.losses) == self.position.epoch:
                self._save(best_file, unsaved, "a better", last)
            if checkpoint_file:
                self._save(checkpoint_file, unsaved, "each", last)
                if checkpoint_file not in unsaved:
                    kept = f"The checkpoint after epoch {self.position.epoch} is kept: go on with --resume {checkpoint_file}"
        if going and self.position.epoch < self.epochs:
            ended = f"The run ends after epoch {self.position.epoch} of {self.epochs}"
            self._tell("remark", remark=f"{ended}: no validation loss has been below that of epoch {best_epoch(self.position.losses)}")
        totals = self.position.totals
        if count := totals["PULSES_MISSED"]:
            self.remark(missed(totals["PULSES_UP"] + totals["PULSES_DOWN"], count))
        for error in unsaved.values():
            raise StorageError(f"{error}. The file is as it was last saved, if it was; from there --resume goes on") from error
        return going

    @property
    def complete(self) -> bool:
        """Whether all epochs are done, or the last ones have brought nothing for as many as `patience`."""
        return self.position.epoch >= self.epochs or has_ended(self.position.losses, self.settings.patience)

    def _save(self, file: str | Path, unsaved: dict[str | Path, StorageError], again: str, last: bool) -> None:
        """Save a checkpoint, or keep why it could not be; say so if that is new, and the run goes on."""
        try:
            self.checkpoint().save(file)
            unsaved.pop(file, None)
        except StorageError as error:
            if not (file in unsaved or last):
                self._tell("remark", remark=f"{error}. The run goes on, and tries again after {again} epoch")
            unsaved[file] = error

    def train_part(self, samples: int) -> None:
        """Train on the next `samples` of the present epoch.

        Raises
        ------
        StoppedError
            If the user stopped it; what was done counts.
        """
        position = self.position
        order = self.data.train[self.settings.order(position.epoch, len(self.data.train))]
        before, begun = self.board.totals[Counter.STEPS], time.monotonic()
        if self.log:
            self.log.begin(position.totals["STEPS"], self.board.raw_counters()[Counter.STEPS])
        self._cells = None
        try:
            with self.board.heeding(self.stop):
                if self._rate != (rate := self.rates[-1]):
                    self.board.write_scales(self.settings.scale_words(rate))
                    self._rate = rate
                self.board.train(self.program, order[position.place : position.place + samples], self._report("train"))
        finally:
            position.place += self.board.totals[Counter.STEPS] - before
            self.train_seconds += time.monotonic() - begun
            position.totals = {c.name: self.board.totals[c] for c in Counter}

    def epoch(self) -> bool:
        """Do the rest of the present epoch, with its test; say whether it is done (False: the user stopped it)."""
        position, samples = self.position, len(self.data.train)
        if not (position.epoch or position.place) and (text := remark(self.settings, self.data, self.board.config.drive_max)):
            self.warnings.append(text)
            self._tell("remark", remark=text)
        try:
            if position.place < samples:
                self.train_part(samples - position.place)
            with self.board.heeding(self.stop):
                if len(self.data.test):
                    self.predictions = self.board.evaluate(self.program, self.data.test, self.settings.seed, self._report("test"))
                validated = self._validate()
        except StoppedError:
            self._tell("remark", remark=f"Halted in epoch {position.epoch + 1} after {position.place} of {samples} samples")
            return False
        gained = {name: total - position.epoch_start[name] for name, total in position.totals.items()}
        position.train_loss.append(gained["LOSS"] / (2 << LOSS_FRAC) / samples)
        position.train_accuracy.append(gained["HITS"] / samples)
        right = self.predictions == self.data.y[self.data.test]
        position.test_accuracy.append(float(np.mean(right)) if len(right) else math.nan)
        position.validation_loss += validated[:1]
        position.validation_accuracy += validated[1:]
        position.epoch, position.place, position.epoch_start = position.epoch + 1, 0, dict(position.totals)
        self.rates = self.settings.rates(self.epochs, position.losses)
        self._tell("epoch")
        return True

    def _validate(self) -> list[float]:
        """Return loss and accuracy of the validation part, or nothing if there is none."""
        part, totals = self.data.validation, dict.fromkeys(Counter, 0)
        if not len(part):
            return []
        predictions = self.board.evaluate(self.program, part, self.settings.seed, self._report("test"), totals)
        return [totals[Counter.LOSS] / (2 << LOSS_FRAC) / len(part), float(np.mean(predictions == self.data.y[part]))]

    @property
    def cells(self) -> np.ndarray:
        """The array as it is, read or else measured once after each training: int16 of shape (rows of all tiles, columns)."""
        if self._cells is None and Capability.CELLS_READ in self.board.capabilities:
            self._cells = self.board.read_cells(self._far("read"))
        elif self._cells is None:
            areas = Areas(self.board, self.program, read_profile=self.settings.evaluate_profile)
            self._cells = areas.words(areas.measure(report=self._far("read")))
            self._load_program()
        return self._cells

    def weights(self) -> Weights:
        """Return the logical weights of each layer, as the array holds them; they are read, or else measured once after each training."""
        return weights_of(self.program, self.cells)

    def checkpoint(self) -> Checkpoint:
        """Return the run at rest; without cells and device where the board cannot go on from them with the same bits."""
        exact = is_exact(self.board.facts)
        return Checkpoint(
            settings=self.settings,
            epochs=self.epochs,
            config=self.board.config,
            config_digest=self.board.config_digest,
            program_digest=program_digest(self.program),
            data_digest=self.data.digest,
            features=self.data.features,
            position=deepcopy(self.position),
            scaler=self.data.scaler,
            cells=self.cells if exact else None,
            spread=self.board.read_spread() if exact else None,
            tile=self.tile if exact else None,
            table=TableState.read(self.board) if exact and self.board.tables else None,
            scales=np.array(self.settings.scale_words(self.rates[-1]), np.uint32),
            random={s: np.array(states, np.uint32) for s, states in self.board.read_random().items()},
        )

    def cost(self, by_cell: np.ndarray | None = None) -> dict[str, Any]:
        """Return what the run has cost its array; `by_cell` are the pulses of each cell, if they were counted."""
        return cost(self.program, self.position.totals, facts_of(self.settings.device), by_cell)

    def result(self) -> dict[str, Any]:
        """Return what the run came to, as the JSON of `backpulse train`."""
        totals = self.position.totals
        steps = totals["STEPS"]
        here = steps - self._begun_steps
        return {
            "settings": self.settings.to_dict(),
            "warnings": self.warnings,
            "labels": list(self.data.features.labels),
            "config_digest": self.board.config_digest,
            "build_digest": self.board.build_digest,
            "array": facts_dict(self.board.facts),
            "epochs": self.position.epoch,
            **self.position.by_epoch(self.rates),
            "steps": steps,
            "cycles": totals["CYCLES"],
            "cycles_per_step": totals["CYCLES"] / steps if steps else 0.0,
            "read_cycles": totals["READ_CYCLES"],
            "pulse_cycles": totals["PULSE_CYCLES"],
            "pulses_up": totals["PULSES_UP"],
            "pulses_down": totals["PULSES_DOWN"],
            "pulses_clipped": totals["PULSES_CLIPPED"],
            "pulses_missed": totals["PULSES_MISSED"],
            "sense_clipped": totals["SENSE_CLIPPED"],
            "vector_saturated": totals["VECTOR_SATURATED"],
            "conductance_digest": conductance_digest(self.cells) if is_exact(self.board.facts) else None,
            **self.started,
            "predictions": self.predictions.tolist(),
            **scores(self.data.y[self.data.test], self.predictions, self.program.network.layers[-1]),
            "cost": self.cost(),
            "steps_per_second": here / self.train_seconds if self.train_seconds else 0.0,
            "link_retries": self.board.link.retries,
        }

"""Which cells a run has pulsed: as the golden model logs it, as the trace of another board has it, or as a repetition of the run shows."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from backpulse.firmware_py.config import Config
from backpulse.host.array_budget import Budget
from backpulse.host.audience import Audience
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.errors import HostError, InputError
from backpulse.host.ledger import ledger_arrays, save_ledger
from backpulse.host.output import PulseReceiver, Results, RunLog
from backpulse.host.replay import Outcome, Replay
from backpulse.host.trace_file import TraceFile, read_trace
from backpulse.host.training import Trainer
from backpulse.host.urls import open_board


def replay_trace(recorded: TraceFile, log: PulseReceiver | None = None, audience: Audience | None = None) -> Outcome:
    """Replay a trace on the golden model, and compare every number that it holds.

    Raises
    ------
    InputError
        If it is none that can be replayed.
    """
    with (audience or Audience()).bar("replaying") as tell:
        try:
            return Replay(recorded, log=log, progress=tell).go()
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"The trace cannot be replayed: {error}") from error


def write_outcome(
    results: Results, outcome: Outcome, config: Config, name: str, *, log: RunLog | None, ledger: Path | None, plot: Path | None
) -> None:
    """Write what a replay came to: the log that it was given, the ledger, and the picture of it, which calls the trace `name`."""
    with results.each():
        if log:
            log.close()
    with results.each():
        if ledger:
            save_ledger(ledger, outcome.ledger, config)
    with results.each():
        if plot:
            from backpulse.host.ledger_plots import plot_ledger  # matplotlib takes its time

            plot_ledger(plot, name, outcome.ledger, config)


def hidden_trace(stack: ExitStack, beside: Path) -> Path:
    """Return the name of a trace that nobody asked for, in a folder that goes away with the stack."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=beside.absolute().parent, prefix=".backpulse-"))
    return Path(folder) / "trace"


def counted(budget: Budget, recorded: Path, audience: Audience) -> Callable[[], None]:
    """Return what counts a trace's pulses for a budget, the first time that it is called."""
    traces = [recorded]

    def count() -> None:
        if traces and traces.pop().exists():
            budget.add_counts(ledger_arrays(replay_trace(read_trace(recorded), audience=audience).ledger))

    return count


def log_of_trace(recorded: Path, log: PulseReceiver, audience: Audience) -> None:
    """Log the pulses of a run on another board as its trace has them.

    Raises
    ------
    HostError
        If the trace departs from the golden model.
    """
    outcome = replay_trace(read_trace(recorded), log, audience)
    if outcome.divergence:
        raise HostError(f"The board and the golden model differ: {outcome.divergence}", "the pulse log ends there")


def repeat(start: Checkpoint, trainer: Trainer, log: PulseReceiver, result: dict[str, Any]) -> None:
    """Log the pulses of a run on a board without a trace by repeating it on the golden model, whose bits must be the same.

    Raises
    ------
    HostError
        If they are not.
    """
    begun = start.position
    with open_board("golden://", config=trainer.board.config, log=log) as golden:
        again = Trainer(golden, start.settings, trainer.epochs, checkpoint=start, data=trainer.data, log=log, program=trainer.program)
        while again.position.epoch < trainer.position.epoch:
            again.epoch()
        place = trainer.position.place - (begun.place if trainer.position.epoch == begun.epoch else 0)
        if place:
            again.train_part(place)
        if again.result()["conductance_digest"] != result["conductance_digest"]:
            cause = "The board's cells are not those of the golden model after the same run: the pulse log is the golden model's"
            raise HostError(cause, "please report it")

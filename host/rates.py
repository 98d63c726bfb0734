"""Learning rates of a run, epoch by epoch, and what tells its best epoch and its early end: pure functions of the losses so far.

So a checkpoint needs no state of a schedule: its settings, epochs and losses give the rate that it goes on with.
"""

import math
from collections.abc import Sequence

LR_SCHEDULES = ("constant", "step", "cosine", "plateau")
"""How the learning rate goes from epoch to epoch."""


def shares(schedule: str, losses: Sequence[float], *, epochs: int, wait: int, factor: float, floor: float) -> list[float]:
    """Return the learning rate of each epoch as a share of the first one's.

    Parameters
    ----------
    schedule : str
        One of LR_SCHEDULES. `step` multiplies the rate by `factor` after each `wait` epochs; `plateau` after as many without a loss below
        all before; `cosine` lets it fall along half a cosine, which would end in the epoch behind the last (Loshchilov, Hutter, ICLR 2017).
    losses : sequence of float
        Of the epochs done.
    epochs : int
        That the run is to reach.
    wait : int
    factor : float
    floor : float
        The least share.

    Returns
    -------
    list of float, for the epochs done and the next one. They have the same bits on every computer.
    """
    found, lowest, since = [1.0], math.inf, 0
    for done, loss in enumerate(losses, 1):
        share = found[-1]
        if schedule == "cosine":
            # Rounded, because the last bits of a cosine are those of the C library.
            share = floor + (1 - floor) * round((1 + math.cos(math.pi * min(1.0, done / epochs))) / 2, 9)
        elif schedule == "plateau" and loss < lowest:
            lowest, since = loss, done
        elif schedule != "constant" and done - since >= wait:
            share, since = max(floor, share * factor), done
        found.append(share)
    return found


def best_epoch(losses: Sequence[float]) -> int:
    """Return the epoch with the lowest loss, counted from 1, the first of equals; 0 if there is none."""
    return 1 + losses.index(min(losses)) if losses else 0


def has_ended(losses: Sequence[float], patience: int) -> bool:
    """Say whether the last `patience` epochs brought no loss below all before; never with a patience of 0."""
    return 0 < patience <= len(losses) - best_epoch(losses)

"""Of the public interface: what does many runs on the golden model, on all cores."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backpulse.host.audience import Audience
from backpulse.host.comparing import MAPPED, Comparison, LearningMap, compared, mapped, swept
from backpulse.host.errors import HostError
from backpulse.host.settings import ALL_SCHEDULES, Settings
from backpulse.host.stop import Stop
from backpulse.host.sweep import Sweep, array_text
from backpulse.host.urls import TILE

EPOCHS, SEEDS = 5, 3
"""Of a comparison, if nothing else is said."""


def compare(
    settings: Settings | None = None,
    *,
    schedules: Sequence[str] = ALL_SCHEDULES,
    lr: float | Sequence[float] = 0.5,
    seeds: int = SEEDS,
    epochs: int = EPOCHS,
    tile: str = TILE,
    array: str | Path | None = None,
    watch: Callable[[Any], None] | None = None,
    **named: Any,
) -> Comparison:
    """Train with several schedules and learning rates on the golden model: what `backpulse compare` does.

    In a script it stands behind `if __name__ == "__main__":`, as processes import the main module.

    Parameters
    ----------
    settings : Settings, optional
        What all runs have in common.
    schedules : sequence of str
        All if not given, `software` too.
    lr : float or sequence of float
        Learning rates.
    seeds, epochs : int
        Each run is done with seeds 1 to `seeds`.
    tile : str
        Rows x columns of one tile.
    array : path, optional
        Array file: what is behind the tiles.
    watch : callable, optional
        Called with what each run came to.
    **named
        Settings by name, beside those of `settings`. Without `layers` the network is the one that fits the data.

    Returns
    -------
    Comparison
        `summary`, a row a schedule and rate; `runs`; `plot(file)`.

    Raises
    ------
    InputError
        If some run can never be done; none is started then.
    HostError
        If a run fails.

    Examples
    --------
    >>> found = compare(dataset="iris", schedules=["deferred", "software"], seeds=1, epochs=10)
    >>> [(row["schedule"], row["mean"] > 0.8) for row in found.summary]
    [('deferred', True), ('software', True)]
    """
    given, text = {**(settings.to_dict() if settings else {}), **named}, array_text(None if array is None else Path(array))
    rates = [float(lr)] if isinstance(lr, int | float) else list(lr)
    return compared(given, list(schedules), rates, seeds=seeds, epochs=epochs, tile=tile, array=text, audience=Audience(watch))


def learning_map(
    folder: str | Path,
    *,
    schedules: Sequence[str] = MAPPED,
    lr: Sequence[float] | None = None,
    seeds: int = SEEDS,
    epochs: int = EPOCHS,
    tile: str = TILE,
    watch: Callable[[Any], None] | None = None,
    stop: Stop | None = None,
    **named: Any,
) -> LearningMap:
    """Map the distance from software over rate, width and depth: what `backpulse compare --map` does.

    Parameters
    ----------
    folder : path
        Keeps the runs; those that it has are not done again.
    schedules : sequence of str
    lr : sequence of float, optional
        Learning rates, if not those of the map.
    seeds, epochs, tile, watch
        As of `compare`.
    stop : Stop, optional
        Ends it; the runs that are kept stay.
    **named
        Settings by name, but `layers`; without `activation` and `device` those of the map.

    Returns
    -------
    LearningMap
        `points`, `limits`, `found`, `plot(file)`.

    Raises
    ------
    InputError
        If some run can never be done; none is started then.
    HostError
        If a run failed, or it was stopped (SignalError).
    """
    audience = Audience(watch, stop)
    return mapped(named, Path(folder), list(schedules), lr, seeds=seeds, epochs=epochs, tile=tile, audience=audience)


def sweep(
    given: Sweep | str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    stop: Stop | None = None,
    watch: Callable[[Any], None] | None = None,
) -> list[dict[str, Any]]:
    """Do the runs of a sweep that a folder lacks: what `backpulse sweep` does. In a script it stands behind `if __name__ == "__main__":`.

    Parameters
    ----------
    given : Sweep or path
        The sweep, or the TOML file of one.
    out : path
        Folder of the results, Parquet.
    workers, scheduler
        As the options of the command.
    stop : Stop, optional
        Ends it; the runs that are kept stay.
    watch : callable, optional
        Called with what each run came to.

    Returns
    -------
    list of dict
        The best first: the settings that vary, `mean`, `std`, `min`, `max` of the test accuracy over the seeds, and more.

    Raises
    ------
    InputError
        If it is none, or some runs can never be done.
    HostError
        If runs failed; the others are kept.
    """
    plan, name = (given, "sweep") if isinstance(given, Sweep) else (Sweep.read(Path(given)), Path(given).name)
    found = swept(plan, name, Path(out), workers=workers, scheduler=scheduler, audience=Audience(watch, stop))
    if failed := found.failed:
        cause = f"{len(failed):,} of {len(found.runs):,} runs failed, first: {failed[0].error}"
        raise HostError(cause, "the others are kept; try again")
    return found.best

"""What many runs come to: mean and spread over the seeds, and the choice among settings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from backpulse.host import devices
from backpulse.host.settings import Settings

Group = dict[str, Any]
"""Runs that differ only in their seed: the settings by which groups differ, and what the runs came to."""


def counting_epoch(result: Mapping[str, Any]) -> int:
    """Return the epoch of a run that counts, from 1: the best one of the validation part, or the last one if there is none."""
    return result["best_epoch"] or len(result["test_accuracy"])


def counting_accuracy(result: Mapping[str, Any]) -> float:
    """Return the test accuracy of a run in the epoch that counts."""
    return result["test_accuracy"][counting_epoch(result) - 1]


def varied(settings: Sequence[Settings]) -> list[str]:
    """Return the settings in which runs differ, but for the seed."""
    return [name for name in Settings.model_fields if name != "seed" and len({getattr(one, name) for one in settings}) > 1]


def key(settings: Settings, by: Sequence[str]) -> tuple[Any, ...]:
    """Return the values that tell a group from the others."""
    return tuple(getattr(settings, name) for name in by)


def summarise(results: Iterable[tuple[Settings, Mapping[str, Any]]], by: Sequence[str]) -> list[Group]:
    """Return the groups of runs, in the order of their first ones.

    Parameters
    ----------
    results : iterable of (Settings, dict)
        What runs came to, as the JSON of `backpulse train` or a row of a part.
    by : sequence of str
        Settings that tell the groups from each other.

    Returns
    -------
    list of dict: the settings; `mean`, `std`, `min` and `max` of the test accuracy in each run's epoch that counts, `curves`, that of all
    epochs; `class_accuracy`, the means of the last epoch; `validation_accuracy`, the mean accuracy on the validation part in the epochs
    that count, if there is one; fractions all.
    """
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for settings, result in results:
        found.setdefault(key(settings, by), []).append(result)
    return [{**dict(zip(by, values, strict=True)), **_figures(runs)} for values, runs in found.items()]


def _figures(runs: Sequence[Mapping[str, Any]]) -> Group:
    tested = np.array([counting_accuracy(run) for run in runs])
    validated = [run["validation_accuracy"][counting_epoch(run) - 1] for run in runs if run["validation_accuracy"]]
    figures = {
        "mean": float(tested.mean()),
        "std": float(tested.std(ddof=1)) if len(tested) > 1 else 0.0,
        "min": float(tested.min()),
        "max": float(tested.max()),
        "curves": [run["test_accuracy"] for run in runs],
        "class_accuracy": _by_class(runs),
    }
    return {**figures, "validation_accuracy": float(np.mean(validated))} if len(validated) == len(runs) else figures


def _by_class(runs: Iterable[Mapping[str, Any]]) -> list[float | None]:
    """Return the mean accuracy of each class over runs, which all have the same test part."""
    classes = zip(*(run["class_accuracy"] for run in runs), strict=True)
    return [None if None in shares else float(np.mean(shares)) for shares in classes]


def ranked(groups: Sequence[Group]) -> list[Group]:
    """Return groups from the best to the worst: by the validation part where all have one, else by the test part."""
    by = "validation_accuracy" if all("validation_accuracy" in group for group in groups) else "mean"
    return sorted(groups, key=lambda group: -group[by])


def chosen(groups: Sequence[Group], by: Sequence[str], choose: Sequence[str]) -> list[Group]:
    """Return, of each combination of the settings that are not to be chosen, the best group on the validation part."""
    rest = [name for name in by if name not in choose]
    best: dict[tuple[Any, ...], Group] = {}
    for group in ranked(groups):
        best.setdefault(tuple(group[name] for name in rest), group)
    return list(best.values())


def best_of(groups: Sequence[Group], by: Sequence[str], choose: Sequence[str]) -> list[Group]:
    """Return groups from the best to the worst; where there is something to choose, the chosen ones."""
    return chosen(groups, by, choose) if choose else ranked(groups)


def title(group: Group, by: Iterable[str]) -> str:
    """Return a group's settings as one line."""
    return ", ".join(said(group[name], name) if name in WORDS else f"{name} {said(group[name])}" for name in by) or "all runs"


def said(value: object, name: str = "") -> str:
    """Return a setting's value as text; of the setting of this name, devices by theirs."""
    if name == "device" and isinstance(value, str):
        return devices.name_of(value)
    return f"{value:g}" if isinstance(value, float) else "-" if value is None else str(value)


WORDS = ("schedule", "layers", "activation", "device", "dataset", "loss", "rounding")
"""Settings whose values speak for themselves."""

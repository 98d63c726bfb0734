"""How well each class is told from the others."""

from typing import Any

import numpy as np

SHOWN = 12
"""Classes whose accuracies fit into a line or two."""


def scores(y: np.ndarray, predictions: np.ndarray, outputs: int) -> dict[str, Any]:
    """Count what was taken for what.

    Parameters
    ----------
    y, predictions : ndarray
        Class numbers of the same samples.
    outputs : int
        Units of the last layer.

    Returns
    -------
    `confusion`, a row for each class and a column for each prediction, and `class_accuracy`, None for a class without samples; both
    are None without any prediction.
    """
    if not len(predictions):
        return {"confusion": None, "class_accuracy": None}
    confusion = np.zeros((outputs, outputs), np.int64)
    np.add.at(confusion, (y, predictions), 1)
    of = confusion.sum(axis=1).tolist()
    right = confusion.diagonal().tolist()
    return {"confusion": confusion.tolist(), "class_accuracy": [k / n if n else None for k, n in zip(right, of, strict=True)]}


def told(labels: list[str], class_accuracy: list[float | None]) -> str:
    """Return the accuracy of each class in words, of many classes only the worst."""
    known = [(share, label) for label, share in zip(labels, class_accuracy, strict=False) if share is not None]
    head = "By class"
    if len(known) > SHOWN:
        known, head = sorted(known)[:SHOWN], f"The worst {SHOWN} of {len(known)} classes"
    return f"{head}: " + ", ".join(f"{label} {100 * share:.1f} %" for share, label in known)

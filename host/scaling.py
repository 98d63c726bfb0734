"""From data to sample bytes: scaling fitted on the training part, one-hot targets, and the records of the sample store."""

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """An affine map of each feature to drive words; values beyond the fitted range clip.

    Parameters
    ----------
    center, half : ndarray
        float64, one a feature: `center` becomes 0 and `center + half` the unit.
    floor : int
        Least word, in units: 0 for images, -1 for tables.
    """

    center: np.ndarray
    half: np.ndarray
    floor: int

    @classmethod
    def fit(cls, x: np.ndarray, *, image: bool) -> Self:
        """Fit on training data of shape (samples, features): one range for all pixels of an image, each column of a table its own.

        A constant feature becomes 0.
        """
        low, high = x.min(axis=0), x.max(axis=0)
        if image:
            low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
        center, half = (low, high - low) if image else ((low + high) / 2, (high - low) / 2)
        return cls(center=center, half=np.where(half > 0, half, 1.0), floor=0 if image else -1)

    def to_bytes(self, x: np.ndarray, unit: int) -> np.ndarray:
        """Return int8 drive words of shape (samples, features); `unit` is the largest, `Config.drive_max`."""
        scaled = np.clip((x - self.center) / self.half, self.floor, 1)
        return (np.sign(scaled) * np.floor(np.abs(scaled) * unit + 0.5)).astype(np.int8)


def targets(y: np.ndarray, outputs: int, unit: int, *, off: int) -> np.ndarray:
    """Return one-hot target bytes of shape (samples, outputs): `unit` for the class, `off` for the others."""
    table = np.full((outputs, outputs), off, np.int8)
    np.fill_diagonal(table, unit)
    return table[y]


def records(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Pack samples for the store.

    Parameters
    ----------
    x, t : ndarray
        int8, (samples, inputs) and (samples, outputs).

    Returns
    -------
    ndarray
        uint32, (samples, words): the bytes of x, then of t, padded to whole little-endian words.
    """
    pad = -(x.shape[1] + t.shape[1]) % 4
    padded = np.concatenate([x, t, np.zeros((len(x), pad), np.int8)], axis=1)
    return np.ascontiguousarray(padded).view("<u4").astype(np.uint32)

"""From data to sample bytes: scaling fitted on the training part, one-hot targets, and the records of the sample store."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from backpulse.host.arrays import parts

SAMPLE_ONE = 128
"""A sample byte of this would be 1.0."""
LEAST_FOR_BOUNDS = 20
"""With fewer samples nothing is known about which are far."""


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
    def fit(cls, x: np.ndarray, *, image: bool, one_hot: np.ndarray | None = None) -> Self:
        """Fit on training data of shape (samples, features): one range for all pixels of an image, each column of a table its own.

        A constant feature becomes 0, and stays so whatever it is in later data. Where `one_hot` (bool, one a feature), 0 stays 0 and 1
        becomes the unit: a word that is not there drives no line.
        """
        if image:
            low, high = np.full(x.shape[1], float(x.min())), np.full(x.shape[1], float(x.max()))
            center, half = low, high - low
        else:
            low, high = bounds(x)
            center, half = low / 2 + high / 2, high / 2 - low / 2
        half = np.where(half > 0, half, np.finfo(np.float64).max)
        if one_hot is not None:
            center, half = np.where(one_hot, 0.0, center), np.where(one_hot, 1.0, half)
        return cls(center=center, half=half, floor=0 if image else -1)

    def to_bytes(self, x: np.ndarray, unit: int) -> np.ndarray:
        """Return int8 drive words of shape (samples, features); `unit` is the largest, `Config.drive_max`."""
        words = np.empty(x.shape, np.int8)
        for part, out in zip(parts(x), parts(words), strict=True):
            with np.errstate(over="ignore"):  # what is beyond float64 is beyond the range, and clips
                scaled = np.clip((part - self.center) / self.half, self.floor, 1)
            out[:] = np.sign(scaled) * np.floor(np.abs(scaled) * unit + 0.5)
        return words


def bounds(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of each column that is worth drive words: float64 (features,), (features,).

    It is that of all values, unless a few far ones would squeeze the others (all but one in a hundred at each end) into a tenth of it:
    then it ends one such width beyond the others, and what lies farther clips.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    if len(x) < LEAST_FOR_BOUNDS:
        return low, high
    cut = max(1, len(x) // 100)
    inner = np.partition(x, (cut, len(x) - 1 - cut), axis=0)
    first, last = inner[cut], inner[len(x) - 1 - cut]
    width = last - first
    squeezed = (width > 0) & (width < (high - low) / 10)
    return np.where(squeezed, np.maximum(low, first - width), low), np.where(squeezed, np.minimum(high, last + width), high)


def targets(y: np.ndarray, outputs: int, unit: int, *, off: int) -> np.ndarray:
    """Return one-hot target bytes of shape (samples, outputs): `unit` for the class, `off` for the others."""
    t = np.full((len(y), outputs), off, np.int8)
    t[np.arange(len(y)), y] = unit
    return t


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
    return padded.view("<u4")

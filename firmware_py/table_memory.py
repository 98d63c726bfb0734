"""The memories that a machine of the table device has more than others, as arrays that compiled functions share."""

from typing import NamedTuple

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import TableParameter
from backpulse.firmware_py.table_device import CLASSES, LEAKS, ROOT_BITS, ROOTS, SEGMENTS

ONE_PULSE, CLASS = 32, 32 + ROOT_BITS
"""Lowest bits, in a segment, of the write noise of one pulse and of the class."""


class Law(NamedTuple):
    """What cells do when they are pulsed, and what stays of each of them. Lanes are the columns, up to a whole vector of them."""

    persistent: np.ndarray  # int16 (rows of all tiles, lanes): what stays; Memory.cells is what reads see
    segments: np.ndarray  # int64 (2 SEGMENTS), way up first: see `segment_words`
    root: np.ndarray  # int32 (CLASSES ROOTS)
    leak: np.ndarray  # int64 (LEAKS)
    parameters: np.ndarray  # int64 (len(TableParameter))
    visited: np.ndarray  # int64 (rows of all tiles)


def segment_words(low: np.ndarray, kind: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Return segments so that one look is enough: the word with base and delta, above it the write noise of one pulse, then the class."""
    return low | root[kind * ROOTS + 1].astype(np.int64) << ONE_PULSE | kind << CLASS


def new_law(config: Config, persistent: np.ndarray) -> Law:
    """Return the memories after power-up: everything zero. `persistent` is the memory for what stays of the cells."""
    return Law(
        persistent=persistent,
        segments=np.zeros(2 * SEGMENTS, np.int64),
        root=np.zeros(CLASSES * ROOTS, np.int32),
        leak=np.zeros(LEAKS, np.int64),
        parameters=np.zeros(len(TableParameter), np.int64),
        visited=np.zeros(config.rows, np.int64),
    )

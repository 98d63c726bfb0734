"""The digests: one fingerprint of every cell of every tile, and one of every answer of a tile."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hashlib import _Hash

VERSION = b"backpulse cells 1\n"
"""Header of the digested bytes."""
TRACE_VERSION = b"backpulse trace 1\n"
"""Header of those of a trace."""


def conductance_digest(cells: np.ndarray) -> str:
    """Return the SHA-256 (hexadecimal) of all cells, used or not.

    Parameters
    ----------
    cells
        Integers of shape (rows of all tiles in order, columns); each is taken as 16 bits, little-endian.
    """
    return hashlib.sha256(VERSION + np.ascontiguousarray(cells).astype("<i2").tobytes()).hexdigest()


def trace_digest(units: np.ndarray) -> str:
    """Return the SHA-256 (hexadecimal) of the units of a trace: equal runs have equal ones, on whatever board and line.

    Parameters
    ----------
    units
        Integers, as `firmware_py.trace` has them; each is taken as 16 bits, little-endian.
    """
    digest = trace_hash()
    digest.update(units.astype("<u2").tobytes())
    return digest.hexdigest()


def trace_hash() -> "_Hash":
    """Return what becomes a trace digest when it is given the units one after the other, 16 bits each, little-endian."""
    return hashlib.sha256(TRACE_VERSION)

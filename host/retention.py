"""What cells hold after a time without pulses, by the law of a device file."""

import re

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.device_facts import Facts
from backpulse.host.errors import InputError

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "y": 365.25 * 86400.0}
"""Units of times."""
MOST_S = 1e10
"""Longest time: some 300 years."""
MEAN = "mean"
"""The compensation: what the cells of a layer have lost in the mean is added to each, as an offset of its reads would do."""
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|y)")


def parse_times(text: str) -> dict[str, float]:
    """Return times in seconds by how they were written, as in 1h,1d,30d.

    Raises
    ------
    InputError
        If one is none.
    """
    found = {}
    for part in (part.strip() for part in text.split(",")):
        match = _TIME.fullmatch(part)
        if not match:
            raise InputError(f"--after takes times joined by commas, as in 1h,1d,30d (units {', '.join(SECONDS)}), not {part!r:.40}")
        found[part] = float(match[1]) * SECONDS[match[2]]
        if not 0 < found[part] <= MOST_S:
            raise InputError(f"--after takes times above 0 and up to {MOST_S / SECONDS['y']:.0f}y, not {part}")
    return found


def check_retention(device: Device | TableDevice, facts: Facts) -> None:
    """Refuse a device of which nobody has said how it forgets.

    Raises
    ------
    InputError
        If the file, and with it the checkpoint, has no retention, or the device has no file.
    """
    if facts.retention is None or facts.scale is None:
        raise InputError(
            f"Device {device.name} does not say how it forgets: train with a device file that has [retention] (docs/devices.md), or leave "
            "--after out"
        )


def after(cells: np.ndarray, device: Device | TableDevice, facts: Facts, seconds: float, seed: int, cell_frac: int) -> np.ndarray:
    """Return cells after a time.

    Parameters
    ----------
    cells : ndarray
        Cell words of all rows.
    device : Device or TableDevice
    facts : Facts
        Of its file, with scale and retention.
    seconds : float
    seed : int
        Of what differs from cell to cell: the same cell forgets the same way at every time.
    cell_frac : int
        Fraction bits of a cell word.

    Returns
    -------
    ndarray
        float64, cell words that are not rounded. Weights are zero where they were before: the reference does not forget.
    """
    assert facts.retention is not None
    assert facts.scale is not None
    scale, lsb = facts.scale, 1 << cell_frac
    size = (scale.high - scale.low) / ((device.bound_up - device.bound_down) * lsb)
    conductance = scale.low + (cells - device.bound_down * lsb) * size
    kept = facts.retention.rest + (conductance - facts.retention.rest) * facts.retention.share(seconds, cells.shape, seed)
    return (kept - scale.low) / size + device.bound_down * lsb


def compensated(later: np.ndarray, cells: np.ndarray, program: Program) -> np.ndarray:
    """Return cells with what those of each layer have lost in the mean added to them."""
    found = later.copy()
    for placement in program.placements:
        where = np.zeros(cells.shape, np.bool_)
        for block in placement.blocks:
            region = block.region
            row = region.tile * program.config.tile_rows + region.row0
            where[row : row + region.rows, region.col0 : region.col0 + region.cols] = True
        found[where] += (cells[where] - later[where]).mean()
    return found


def as_words(cells: np.ndarray, cell_max: int) -> np.ndarray:
    """Return cell words as an array holds them: int16, rounded, limited."""
    return np.clip(np.rint(cells), -cell_max - 1, cell_max).astype(np.int16)

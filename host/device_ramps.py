"""Simulated ramps of a fitted device, as a measurement would show them."""

import numpy as np

from backpulse.firmware_py.table_device import ramps
from backpulse.host.device_file import DeviceFile


def simulated(device: DeviceFile, pulses: np.ndarray, start: float, cells: int, seed: int) -> np.ndarray:
    """Return conductances of simulated cells over a train of pulses.

    What a tile does, and besides what moves the range of a device from ramp to ramp: each cell is at a place of its own of that.

    Parameters
    ----------
    device : DeviceFile
    pulses : ndarray
        Pulses in one go, -31 to 31, (n,).
    start : float
        Conductance before them.
    cells, seed : int

    Returns
    -------
    ndarray
        float64 of shape (n + 1, cells), in the unit of the file.
    """
    read = device.conductance(ramps(device.table_device, pulses, float(device.units(start)), cells, seed))
    if device.measured.ramp_ends:
        low, high = device.measured.ramp_ends
        place = (read - device.scale.low) / (device.scale.high - device.scale.low)
        moved = np.random.RandomState(seed).standard_normal(cells) * (device.scale.high - device.scale.low)
        read = read + (low + (high - low) * place) * moved
    return read

"""Simulated pulse response of a device, in the integers of a tile."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.table_device import TableDevice, ramps
from backpulse.host.device_file import DeviceFile, read_device
from backpulse.host.devices import device_of, file_of, resolved
from backpulse.host.errors import InputError
from backpulse.host.storage import written_whole
from backpulse.host.tables import count

MOST_READINGS = 20_000_000
"""Readings of one simulation, which are kept: 160 MB."""


@dataclass(frozen=True)
class Response:
    """The pulse response of simulated cells, up and down again.

    Parameters
    ----------
    device : str
    pulses : int
        Of each way.
    cycles, cells, seed : int
    unit : str
        Of the readings: S, as measured, or device units.
    signs : ndarray
        Pulses, 1 or -1, of shape (n,).
    readings : ndarray
        What cells are before the first and after each: float64 of shape (n + 1, cells).
    """

    device: str
    pulses: int
    cycles: int
    cells: int
    seed: int
    unit: str
    signs: np.ndarray = field(repr=False)
    readings: np.ndarray = field(repr=False)

    @property
    def ends(self) -> dict[str, float]:
        """Mean before the first pulse, mean and spread at the first turn, and mean after the last."""
        top = self.readings[self.pulses]
        low, back = float(np.mean(self.readings[0])), float(np.mean(self.readings[-1]))
        return {"low": low, "high": float(np.mean(top)), "spread_of_high": float(np.std(top)), "back": back}

    def to_dict(self) -> dict[str, Any]:
        """Return it as the JSON of `backpulse device simulate`."""
        given = {name: getattr(self, name) for name in ("device", "pulses", "cycles", "cells", "seed", "unit")}
        return {**given, **self.ends}

    def save(self, path: str | Path) -> None:
        """Write a table (.csv) that `fit_device` reads."""
        label = " (S)" if self.unit == "S" else ""
        names = ["direction", *(f"cell {k + 1}{label}" for k in range(self.cells))]
        with written_whole(Path(path), "table") as file:
            file.write((",".join(names) + "\n").encode())
            rows = np.column_stack([np.append(0, self.signs), self.readings])
            np.savetxt(file, rows, fmt=["%d", *["%.7g"] * self.cells], delimiter=",")

    def plot(self, path: str | Path) -> None:
        """Draw it (.png, .svg, .pdf)."""
        from backpulse.host.device_plots import plot_response  # matplotlib takes its time

        plot_response(Path(path), f"{self.device}, simulated", self.signs, self.readings, self.unit)


def simulate_device(
    what: str | Path | DeviceFile, *, pulses: int | None = None, cycles: int = 1, cells: int = 1, seed: int = 1
) -> Response:
    """Simulate the pulse response of a twin, from its lower bound up and down: what `backpulse device simulate` does.

    Parameters
    ----------
    what : str, path or DeviceFile
        A device file, a preset, or `aihwkit:NAME`.
    pulses : int, optional
        Up, and then as many down; enough for the range if not given.
    cycles : int
        Ways up and down.
    cells : int
        Each with its own spread and noise.
    seed : int

    Raises
    ------
    InputError
        If there is no such device, or the readings are too many.

    Examples
    --------
    >>> response = simulate_device("ecram", cells=3)
    >>> response.readings.shape == (1 + len(response.signs), 3), response.unit
    (True, 'device units')
    """
    fitted = what if isinstance(what, DeviceFile) else read_device(file) if (file := file_of(str(what))) else None
    if fitted:
        twin, enough = fitted.table_device, 1.25 * max(fitted.measured.states_up, fitted.measured.states_down)
    else:
        found = device_of(resolved(str(what)))
        twin = found if isinstance(found, TableDevice) else TableDevice.of_linear(found)
        enough = (twin.bound_up - twin.bound_down) / twin.dw_min
    each = pulses or max(int(np.ceil(min(1.2 * enough, 5000))), 2)
    if 2 * each * cycles * cells > MOST_READINGS:
        raise InputError(
            f"{2 * each * cycles:,} pulses of {count(cells, 'cell')} are too many at once: give fewer --pulses, --cycles or --cells, "
            f"of at most {MOST_READINGS:,} readings together"
        )
    signs = np.tile(np.repeat([1, -1], each), cycles)
    if fitted:
        from backpulse.host.device_ramps import simulated

        read, unit = simulated(fitted, signs, fitted.scale.low, cells, seed), "S" if fitted.scale.unit == "S" else "as measured"
    else:
        read, unit = ramps(twin, signs, twin.bound_down, cells, seed), "device units"
    return Response(twin.name, each, cycles, cells, seed, unit, signs, read)

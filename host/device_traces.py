"""Measured pulse responses before anything is fitted: ramps of conductance, or tables of steps, of devices and cycles; and their unit."""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from backpulse.firmware_py.words import nearest
from backpulse.host.errors import InputError
from backpulse.host.tables import count, some

LEAST_POINTS = 5
"""Fewest points of a ramp."""
UNITS = {"S": 1.0, "mS": 1e-3, "uS": 1e-6, "nS": 1e-9, "A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9, "norm": 0.0}
"""Units by name and their size; norm is for numbers without a unit."""
LEAST_S, MOST_S = 1e-12, 0.2
"""Conductances of devices."""
_UNIT = re.compile(r"(?:^|[\s_(\[/,])([munµμ]?)(S|A)(?=$|[\s_)\],/])")


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """One way of a device through its range.

    Parameters
    ----------
    device : str
    up : bool
        Whether it is potentiated.
    n : ndarray
        Number of pulses at each point, float64, growing.
    g : ndarray
        Conductance, in the order of the pulses.
    where : str
        What messages call it.
    """

    device: str
    up: bool
    n: np.ndarray
    g: np.ndarray
    where: str


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Mean and spread of one pulse's step by conductance, of one device in one direction.

    Parameters
    ----------
    device : str
    up : bool
    g : ndarray
        Conductances, growing.
    mean, sigma : ndarray
        Of the change of a pulse, at each of them; depressions are negative.
    where : str
    """

    device: str
    up: bool
    g: np.ndarray
    mean: np.ndarray
    sigma: np.ndarray
    where: str


@dataclass
class Measured:
    """All that files hold of one kind of device.

    Parameters
    ----------
    ramps, steps : list
        One of both is empty.
    unit : str
        A name of `UNITS`; empty if nobody has said it.
    symmetry : list of float
        Conductances that trains of alternating pulses ended at.
    remarks : list of str
        How the files were understood, for the user.
    """

    ramps: list[Ramp] = field(default_factory=list)
    steps: list[Steps] = field(default_factory=list)
    unit: str = ""
    symmetry: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def parts(self) -> list[Ramp] | list[Steps]:
        """Ramps or steps, whichever there are."""
        return self.steps or self.ramps

    @property
    def devices(self) -> list[str]:
        """Names of the devices, in the order of the files."""
        return list(dict.fromkeys(part.device for part in self.parts))

    def check(self, name: str) -> None:
        """Refuse what no device can be fitted to: one direction only, too few points, nothing that changes."""
        parts = self.parts
        if not parts:
            raise InputError(f"{name} has no ramp: it must hold the conductance after pulses up and after pulses down")
        if self.ramps and self.steps:
            raise InputError("Ramps and tables of steps cannot be fitted together: fit the files one by one")
        for part in parts:
            if len(part.g) < LEAST_POINTS:
                raise InputError(f"{part.where} has {count(len(part.g), 'point')}: a ramp must have at least {LEAST_POINTS}")
            if np.ptp(part.g) == 0:
                raise InputError(f"{part.where} is {part.g[0]:g} everywhere: give a ramp on which the conductance changes")
        for up, word, other in ((True, "down", "potentiation"), (False, "up", "depression")):
            if all(part.up is up for part in parts):
                raise InputError(
                    f"{name} has {other} only ({some([part.where for part in parts], 3)}): a device needs both directions, give the "
                    f"ramp {word} too"
                )


def unit_of(words: list[str]) -> str:
    """Return the unit that names of columns or titles say, empty if none; refuse two different ones."""
    found = {(m[1].replace("µ", "u").replace("μ", "u") + m[2]) for word in words for m in _UNIT.finditer(word)}
    known = sorted(unit for unit in found if unit in UNITS)
    if len(known) > 1:
        raise InputError(f"The columns are in {' and in '.join(known)}: give all in one unit, or say it with --units")
    return known[0] if known else ""


def in_siemens(measured: Measured, units: str | None, read_voltage: float | None) -> tuple[Measured, float]:
    """Return the measurement in siemens (unchanged without a unit), and how many siemens one of its numbers is (0 without).

    Raises
    ------
    InputError
        If the unit is not known and cannot be told, or cannot be.
    """
    if units is not None and units not in UNITS:
        raise InputError(f"--units must be one of {', '.join(UNITS)}, not {units!r:.20}{nearest(units, UNITS)}")
    values = np.concatenate([part.g for part in measured.parts])
    low, high = float(values.min()), float(values.max())
    unit = units or measured.unit
    if not unit and low < 0 and not _all_negative(values):
        unit = "norm"
        measured.remarks.append("numbers below zero are no conductances: taken as normalised")
    if not unit and 0 <= low < 0.05 and 0.95 <= high <= 1.05:
        unit = "norm"
        measured.remarks.append("numbers from 0 to 1 are taken as normalised; --units says otherwise")
    if not unit:
        raise InputError(_readings(low, high))
    if unit == "norm":
        if read_voltage is not None:
            raise InputError("--read-voltage is for currents, and these numbers are normalised: leave it out, or give --units A, uA or nA")
        return measured, 0.0
    size = UNITS[unit]
    if unit.endswith("A"):
        if read_voltage is None:
            raise InputError(f"The numbers are currents in {unit}: give the voltage of the reads with --read-voltage, in volts")
        if not 1e-4 <= abs(read_voltage) <= 10:
            raise InputError(f"--read-voltage must be from 0.0001 to 10 V, not {read_voltage:g}")
        size /= read_voltage
    elif read_voltage is not None:
        raise InputError(f"--read-voltage is for currents, and the numbers are in {unit}: leave it out, or give --units A, uA or nA")
    if low * size < 0 or high * size <= 0:
        raise InputError(
            f"Numbers from {low:g} to {high:g} {unit} are no conductances, which are positive: give --units norm if they are normalised"
        )
    if high * size > MOST_S or high * size < LEAST_S:
        raise InputError(
            f"Numbers up to {high:g} {unit} mean {high * size:.3g} S, and devices have {LEAST_S:g} to {MOST_S:g} S: give the right --units "
            f"({', '.join(UNITS)})"
        )
    parts = [replace(part, g=part.g * size) for part in measured.ramps]
    steps = [replace(part, g=part.g * size, mean=part.mean * size, sigma=part.sigma * size) for part in measured.steps]
    symmetry = [value * size for value in measured.symmetry]
    return replace(measured, ramps=parts, steps=steps, unit=unit, symmetry=symmetry), size


def _all_negative(values: np.ndarray) -> bool:
    return bool((values <= 0).all())


def _readings(low: float, high: float) -> str:
    """Return the sentence that refuses numbers without a unit."""
    fitting = [u for u, size in UNITS.items() if u.endswith("S") and LEAST_S * 100 < high * size < MOST_S / 2]
    fitting.sort(key=lambda u: abs(np.log10(high * UNITS[u]) + 4.5))  # most devices have some ten microsiemens
    shown = [f"{low:.3g} to {high:.3g} {u}" for u in fitting[:2]]
    ways = " or ".join([*shown, "currents at a read voltage, or normalised"])
    return f"The numbers have no unit: they may be {ways}: give --units ({', '.join(UNITS)}), with currents --read-voltage too"

"""From a measurement to a twin: models fitted, zero and unit chosen, the device made, and what a person is told of it."""

from dataclasses import dataclass

import numpy as np

from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.table_device import MOST_SPREAD, SEGMENTS, TableDevice
from backpulse.firmware_py.table_device import NODES as PLACES
from backpulse.host.device_curves import Ways, noise, ways_of
from backpulse.host.device_models import NAMES, NODES, Fitted, fit_all
from backpulse.host.device_traces import Measured

RANGE = 2.0
"""Device units from the lowest to the highest measured conductance, as the presets have."""
INNER = (0.15, 0.85)
"""Share of the range within which a symmetry point is taken as zero: further out one sign would have hardly any weights."""
CLEAR = 0.1
"""Difference of steps up and down, in mean steps, that a symmetry point must have on both of its sides."""
SMALLEST_SCALE, REACH = 4, 2.4
"""Weight scale of a device with bounds at -1 and 1, and the largest weight that the nearer bound must hold."""
LINEAR_UNITS = (2.0, 1.0, 0.5)
"""Device units that the range is tried with for the linear-step device, whose noise and steps are small ones."""
MIDDLE = (0.1, 0.9)
"""Share of the range whose pulses are counted: bounds that are only approached would count for ever."""
FEW_STATES = 8
"""Fewer pulses through it are warned of."""
FLATTERS = 1.0
"""Residual of the linear model in % of the range, beyond that of the table, from which a run on it is warned of."""


@dataclass(frozen=True)
class Zero:
    """Where weights are zero.

    Parameters
    ----------
    place : float
        In the range, 0 to 1, at a node of the table.
    what : str
        symmetry point, or middle.
    symmetry : float or None
        The symmetry point that attracts, if there is one.
    told : str
        What is told of it.
    """

    place: float
    what: str
    symmetry: float | None
    told: str


@dataclass(frozen=True)
class Fit:
    """A fitted twin.

    Parameters
    ----------
    ways : Ways
    models : dict
        Fitted models by direction and name.
    residuals : dict
        Root mean square of what a model leaves of all measured ramps, in ranges: by name, up and down.
    zero : Zero
    weight_scale : int
    states : tuple of float
        Pulses from 10 to 90 % of the range, up and down.
    apparent : float
        Noise of a reading, in ranges.
    persistent : tuple of float
        Noise of a pulse up and down, in ranges: mean over the range.
    table : TableDevice
    linear : Device or None
        The linear model as today's device, if it can be one.
    linear_scale : int
        Its weight scale.
    refused : str
        Else why not.
    """

    ways: Ways
    models: dict[bool, dict[str, Fitted]]
    residuals: dict[str, tuple[float, float]]
    zero: Zero
    weight_scale: int
    states: tuple[float, float]
    apparent: float
    persistent: tuple[float, float]
    table: TableDevice
    linear: Device | None
    linear_scale: int
    refused: str

    @property
    def warnings(self) -> list[str]:
        """What a person should know, in sentences."""
        found = list(self.ways.warnings)
        for word, states in zip(("up", "down"), self.states, strict=True):
            if states < FEW_STATES:
                found.append(
                    f"The step {word} crosses the range, from 10 to 90 %, in {states:.0f} pulses: hardly any state is left to train with"
                )
        if self.zero.symmetry is None:
            found.append(f"The device has no symmetry point that attracts ({self.zero.told}): algorithms that need one will fail")
        linear, table = (100 * max(self.residuals[name]) for name in ("linear", "table"))
        if linear > table + FLATTERS:
            found.append(
                f"The linear model leaves {linear:.1f} % of the range, the table {table:.1f} %: accuracies of the linear device will not "
                "be those of this one"
            )
        for name, value in self.ways.spread.items():
            if value > MOST_SPREAD:
                found.append(f"The {name}s spread by {100 * value:.0f} % from cell to cell, and the twin holds {100 * MOST_SPREAD:.0f} %")
        return found


def fit_device(measured: Measured, name: str) -> Fit:
    """Fit a twin to a measurement.

    Raises
    ------
    InputError
        If a table of steps goes against its direction.
    """
    from threadpoolctl import threadpool_limits

    ways = ways_of(measured)
    with threadpool_limits(1):  # systems of thirty unknowns: more threads only wait for each other
        models = {up: fit_all(ways.curves[up], ways.steps[up][:2] if ways.steps else None) for up in (True, False)}
        residuals = {name: (models[True][name].residual, models[False][name].residual) for name in NAMES}
        tables = {up: models[up]["table"] for up in (True, False)}
        apparent, persistent = noise(ways, tables)
    zero = _zero(tables)
    mean = tuple(float(np.mean(persistent[up][1])) for up in (True, False))
    spread = {f"{k}_spread": min(v, MOST_SPREAD) for k, v in ways.spread.items()}
    linear, scale, refused = _linear(name, models, float(np.mean(mean)), spread)
    return Fit(
        ways=ways,
        models=models,
        residuals=residuals,
        zero=zero,
        weight_scale=_weight_scale(RANGE * min(zero.place, 1 - zero.place)),
        states=(_states(tables[True]), _states(tables[False])),
        apparent=apparent,
        persistent=(mean[0], mean[1]),
        table=_table(name, tables, zero.place, apparent, persistent, spread),
        linear=linear,
        linear_scale=scale,
        refused=refused,
    )


def as_table(fit: Fit, model: str) -> tuple[TableDevice, int]:
    """Return another model of a fit as a table, with a zero of its own and the mean noise of a pulse, and its weight scale.

    So a model is tried that the linear-step device's words cannot hold.
    """
    fitted = {up: fit.models[up][model] for up in (True, False)}
    zero = _zero(fitted).place
    noise = {up: (np.array([0.0, 1.0]), np.full(2, value)) for up, value in zip((True, False), fit.persistent, strict=True)}
    spread = {name: getattr(fit.table, name) for name in ("step_spread", "bound_spread")}
    return _table(fit.table.name, fitted, zero, fit.apparent, noise, spread), _weight_scale(RANGE * min(zero, 1 - zero))


def _zero(tables: dict[bool, Fitted]) -> Zero:
    """Find the symmetry point, where steps are equal and pulses of both kinds drive a cell to: of several the one that draws from most."""
    x = np.linspace(0, 1, 1025)
    apart = tables[True].steps(x) - tables[False].steps(x)
    crossings = np.flatnonzero(np.sign(apart[:-1]) * np.sign(apart[1:]) < 0)
    places = x[crossings] + apart[crossings] / (apart[crossings] - apart[crossings + 1]) * (x[1] - x[0])
    edges = np.concatenate([[0.0], places, [1.0]])
    basins = edges[2:] - edges[:-2]
    least = CLEAR * np.mean([tables[up].steps(x).mean() for up in (True, False)])
    attracts = np.zeros(len(places), bool)
    for k, place in enumerate(places):  # steps that are nearly the same for long, and differ by noise alone, have no such point
        below, above = apart[(x >= edges[k]) & (x < place)], apart[(x > place) & (x <= edges[k + 2])]
        attracts[k] = below.size > 0 and above.size > 0 and below.max() > least and above.min() < -least
    if not attracts.any():
        if len(places):
            drives = bool((apart[crossings] < 0).any() and np.abs(apart).max() > least)
            why = "pulses drive cells away" if drives else "they differ too little around it"
            told = f"where steps are equal, at {100 * places[0]:.0f} % of the range, {why}"
        else:
            told = f"steps {'up' if apart[0] > 0 else 'down'} are the larger ones everywhere"
        return Zero(0.5, "middle", None, told)
    best = int(np.argmax(np.where(attracts, basins, -1.0)))
    symmetry = float(places[best])
    if INNER[0] <= symmetry <= INNER[1]:
        place = round(symmetry * (NODES - 1)) / (NODES - 1)
        return Zero(place, "symmetry point", symmetry, f"at {100 * symmetry:.0f} % of the range")
    return Zero(0.5, "middle", symmetry, f"at {100 * symmetry:.0f} % of the range, too far out for a zero")


def _states(table: Fitted) -> float:
    """Return the pulses that a table needs from 10 to 90 % of the range."""
    x = np.linspace(*MIDDLE, 2001)
    return float((MIDDLE[1] - MIDDLE[0]) * np.mean(1 / np.maximum(table.steps(x), 1e-9)))


def _weight_scale(reach: float) -> int:
    """Return the weight of one device unit with which the nearer bound, so many units away, holds `REACH`."""
    scale = SMALLEST_SCALE
    while scale * reach < REACH and scale < 64:
        scale *= 2
    return scale


def _table(
    name: str,
    tables: dict[bool, Fitted],
    zero: float,
    apparent: float,
    persistent: dict[bool, tuple[np.ndarray, np.ndarray]],
    spread: dict[str, float],
) -> TableDevice:
    """Return the twin: beyond the measured range its steps are as at the ends."""
    x = np.clip(PLACES / RANGE + zero, 0, 1)
    middles = np.clip((PLACES[1:] + PLACES[:-1]) / 2 / RANGE + zero, 0, 1)
    assert len(middles) == SEGMENTS
    noises = {up: np.interp(middles, *persistent[up]) * RANGE for up in (True, False)}
    return TableDevice(
        name=name,
        up=tuple((tables[True].steps(x) * RANGE).tolist()),
        down=tuple((tables[False].steps(x) * RANGE).tolist()),
        noise_up=tuple(noises[True].tolist()),
        noise_down=tuple(noises[False].tolist()),
        bound_up=RANGE * (1 - zero),
        bound_down=-RANGE * zero,
        apparent_noise=apparent * RANGE,
        **spread,
    )


def _linear(
    name: str, models: dict[bool, dict[str, Fitted]], persistent: float, spread: dict[str, float]
) -> tuple[Device | None, int, str]:
    """Return the linear model as a linear-step device with its weight scale, or why it is none."""
    ends = {up: models[up]["linear"].steps(np.array([0.0, 1.0])) for up in (True, False)}
    apart = ends[True] - ends[False]
    if not apart[0] > 0 > apart[1]:
        return (
            None,
            0,
            "steps up and down, as lines, are equal nowhere in the range, and the linear-step device has one step for both at zero",
        )
    zero = float(apart[0] / (apart[0] - apart[1]))
    step = float(ends[True][0] + (ends[True][1] - ends[True][0]) * zero)
    refused = ""
    for units in LINEAR_UNITS:
        try:
            device = Device(
                name=name,
                dw_min=units * step,
                bound_up=units * (1 - zero),
                bound_down=-units * zero,
                slope_up=float(1 - ends[True][1] / step),
                slope_down=float(1 - ends[False][0] / step),
                write_noise=persistent / step,
                **spread,
            )
            device.tile_words(DEFAULT)
        except ValueError as error:
            refused = refused or str(error)
            continue
        return device, _weight_scale(units * min(zero, 1 - zero)), ""
    return None, 0, refused

"""Device files: what was fitted to a measurement, with its source, in TOML; one schema."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from backpulse.firmware_py.device import Device
from backpulse.firmware_py.table_device import NODES, SEGMENTS, TableDevice
from backpulse.host.device_facts import Facts, FileTable, Operation, Pair, Positive, Retention, Scale
from backpulse.host.device_fit import Fit
from backpulse.host.device_models import NAMES
from backpulse.host.devices import Described, text_of
from backpulse.host.storage import written_whole
from backpulse.host.toml_file import parse, read_text

PAGE = "docs/devices.md"
MOST_POINTS = 200
"""Points of a measured ramp that a file keeps, for pictures."""


class Source(FileTable):
    """Where the data is from."""

    files: list[str]
    """Names of the measured files."""
    sha256: list[str]
    """Of each."""
    about: str = ""
    """Who measured what, in words."""
    licence: str = ""
    """Of the data."""


class Measured(FileTable):
    """What the data says; noise is in shares of the range."""

    states_up: Positive
    """Pulses from 10 to 90 % of the range."""
    states_down: Positive
    symmetry: float | None = None
    """Symmetry point that attracts, in shares of the range; none without one."""
    symmetry_note: str
    persistent_up: Positive
    """Standard deviation of one pulse, which stays."""
    persistent_down: Positive
    apparent: Positive
    """Standard deviation of one reading, which the next does not keep."""
    lasting: Positive = 0.0
    """That of readings which the next ones keep, and none for long."""
    lasts: Positive = 0.0
    """Pulses after which 1/e of it is left; 0 where nobody knows."""
    step_spread: Positive | None = None
    """From cell to cell, relative; of one device nothing is known."""
    symmetry_spread: Positive | None = None
    """Of what steps up have more, and steps down less."""
    bound_spread: Positive | None = None
    """Of the ends of the range, relative to half of it."""
    ramp_steps: Positive | None = None
    """From ramp to ramp of one device: of its steps, relative; of few ramps nothing is known."""
    ramp_ends: Pair | None = None
    """Likewise: of the lower and the upper end of the range."""
    drift: float | None = None
    """Change of the pulses that a ramp takes from the first quarter of the cycles to the last; of few cycles nothing is known."""


class Table(FileTable):
    """The table device, in device units."""

    bound_up: float
    bound_down: float
    apparent_noise: Positive
    step_spread: Positive
    bound_spread: Positive
    symmetry_spread: Positive = 0.0
    stuck: Positive = 0.0
    read_noise: Positive = 0.0
    leak_samples: Positive = 0.0
    leak_rest: float = 0.0
    nodes: list[Annotated[list[Positive], Field(min_length=4, max_length=4)]]
    """At each of 65 conductances from -2 to 2: step up, step down, noise of a pulse up and down in the segment above."""


class Linear(FileTable):
    """The linear-step device, as a preset; `firmware_py.device.Device` says what is what."""

    weight_scale: Annotated[int, Field(ge=1, le=64)]
    dw_min: float
    bound_up: float
    bound_down: float
    slope_up: float
    slope_down: float
    write_noise: float
    step_spread: float
    bound_spread: float


class Curves(FileTable):
    """Mean measured ramps, thinned: pulse and conductance of each point; and where the fitted ones begin."""

    start_up: float
    start_down: float
    up: list[Pair]
    down: list[Pair]


class DeviceFile(FileTable, Described):
    """A device file.

    Raises
    ------
    ValueError
        If a name is unknown, or a value is not allowed (pydantic's ValidationError).
    """

    format: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=60)]
    source: Source
    scale: Scale
    operation: Operation | None = None
    """How it is pulsed and read: for what a run costs."""
    retention: Retention | None = None
    """How it forgets: for `infer --after`."""
    measured: Measured
    residuals: dict[str, Pair]
    """By model, up and down: root mean square of what it leaves of G(n), in % of the range."""
    warnings: list[str] = Field(default_factory=list)
    linear: Linear | None = None
    """None where the linear-step device cannot be this one."""
    linear_refused: str = ""
    """Why."""
    table: Table
    curves: Curves

    @model_validator(mode="after")
    def _check(self) -> "DeviceFile":
        if len(self.table.nodes) != len(NODES):
            raise ValueError(f"table.nodes must have {len(NODES)} rows, not {len(self.table.nodes)}")
        if unknown := sorted({*self.residuals} - {*NAMES}):
            raise ValueError(f"residuals has the model {unknown[0]}: models are {', '.join(NAMES)}")
        _ = self.table_device, self.linear_device  # which check their words
        return self

    @property
    def table_device(self) -> TableDevice:
        """The twin."""
        up, down, noise_up, noise_down = (tuple(column) for column in zip(*self.table.nodes, strict=True))
        values = self.table.model_dump(exclude={"nodes"})
        return TableDevice(name=self.name, up=up, down=down, noise_up=noise_up[:SEGMENTS], noise_down=noise_down[:SEGMENTS], **values)

    @property
    def linear_device(self) -> Device | None:
        """The linear-step device, if it can be this one."""
        return Device(name=self.name, **self.linear.model_dump(exclude={"weight_scale"})) if self.linear else None

    @property
    def facts(self) -> Facts:
        """What a run keeps of it beside the device."""
        return Facts(scale=self.scale, operation=self.operation, retention=self.retention)

    @property
    def kept(self) -> str:
        """What settings keep of it: the twin, and what is known beside it."""
        return text_of(self.table_device, self.digest, self.facts.plain())

    @property
    def weight_scale(self) -> int:
        """The weight scale that it was fitted for."""
        return self.scale.weight_scale

    @property
    def digest(self) -> str:
        """SHA-256 of the device: of all but where it is from, and what was remarked."""
        content = self.model_dump(include={"scale", "linear", "table"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the file (.toml), which `device` of a run names."""
        write_device(Path(path), self)

    def plot(self, path: str | Path) -> None:
        """Draw data and twin (.png, .svg, .pdf)."""
        from backpulse.host.device_plots import plot_device  # matplotlib takes its time

        plot_device(Path(path), self)

    def conductance(self, units: np.ndarray | float) -> np.ndarray:
        """Return conductances, as the data has them, of device units."""
        return self.scale.zero + np.asarray(units) * (self.scale.high - self.scale.low) / (self.table.bound_up - self.table.bound_down)

    def units(self, conductance: np.ndarray | float) -> np.ndarray:
        """Return device units of conductances."""
        return (
            (np.asarray(conductance) - self.scale.zero) / (self.scale.high - self.scale.low) * (self.table.bound_up - self.table.bound_down)
        )


def of_fit(
    fit: Fit, name: str, paths: list[Path], siemens: float, about: str, licence: str, read_voltage: float | None = None
) -> DeviceFile:
    """Return the device file of a fit; `siemens` is what one number of the data is, 0 if nobody knows."""
    ways, table, spread = fit.ways, fit.table, fit.ways.spread
    linear = None
    if fit.linear:
        values = {key: _short(getattr(fit.linear, key)) for key in Linear.model_fields if key != "weight_scale"}
        linear = Linear(weight_scale=fit.linear_scale, **values)
    columns = (table.up, table.down, (*table.noise_up, 0.0), (*table.noise_down, 0.0))
    curves: dict[str, Any] = {}
    for up, word in ((True, "up"), (False, "down")):
        curve = ways.curves[up]
        at = np.unique(np.linspace(0, len(curve.n) - 1, MOST_POINTS).astype(int))
        curves[f"start_{word}"] = _short(ways.low + fit.models[up]["table"].start * ways.range)
        curves[word] = [[_short(n), _short(ways.low + x * ways.range)] for n, x in zip(curve.n[at], curve.x[at], strict=True)]
    return DeviceFile(
        format=1,
        name=name,
        source=Source(
            files=[path.name for path in paths],
            sha256=[hashlib.sha256(path.read_bytes()).hexdigest() for path in paths],
            about=about,
            licence=licence,
        ),
        scale=Scale(
            unit="S" if siemens else "norm",
            low=_short(ways.low),
            high=_short(ways.high),
            zero=_short(ways.low + fit.zero.place * ways.range),
            zero_is="symmetry point" if fit.zero.what == "symmetry point" else "middle",
            weight_scale=fit.weight_scale,
        ),
        operation=Operation(read_v=abs(read_voltage), source="the measurement") if read_voltage else None,
        measured=Measured(
            states_up=_short(fit.states[0]),
            states_down=_short(fit.states[1]),
            symmetry=None if fit.zero.symmetry is None else _short(fit.zero.symmetry),
            symmetry_note=fit.zero.told,
            persistent_up=_short(fit.persistent[0]),
            persistent_down=_short(fit.persistent[1]),
            apparent=_short(fit.noise.apparent),
            lasting=_short(fit.noise.lasting),
            lasts=fit.noise.lasts,
            **{f"{key}_spread": _short(value) for key, value in spread.items()},
            ramp_steps=None if fit.noise.step is None else _short(fit.noise.step),
            ramp_ends=None if ways.shift is None else [_short(end) for end in ways.shift],
            drift=None if ways.drift is None else _short(ways.drift),
        ),
        residuals={model: [_short(100 * value) for value in pair] for model, pair in fit.residuals.items()},
        warnings=fit.warnings,
        linear=linear,
        linear_refused=fit.refused,
        table=Table(
            bound_up=table.bound_up,
            bound_down=table.bound_down,
            **{key: _short(getattr(table, key)) for key in ("apparent_noise", "step_spread", "symmetry_spread", "bound_spread")},
            nodes=[[_short(value) for value in row] for row in zip(*columns, strict=True)],
        ),
        curves=Curves(**curves),
    )


def _short(value: Any) -> float:
    """Return a number with six digits, as a file holds it: no measurement has more."""
    return float(f"{float(value):.6g}")


def write_device(path: Path, device: DeviceFile) -> None:
    """Write a device file, whole or not at all."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(f"Backpulse device file ({PAGE}); steps are in device units, half the measured range"))
    for key, value in device.model_dump(exclude_none=True).items():
        document.add(key, _item(value))
    with written_whole(path, "device file") as file:
        file.write(tomlkit.dumps(document).encode())


def _item(value: Any) -> Any:
    """Return what tomlkit writes: rows of numbers one a line."""
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.table()
        for key, inner in value.items():
            table.add(key, _item(inner))
        return table
    if isinstance(value, list) and value and isinstance(value[0], list):
        rows = tomlkit.array()
        for row in value:
            rows.add_line(row, indent="  ")
        rows.add_line()
        return rows
    return value


def read_device(path: Path) -> DeviceFile:
    """Read a device file.

    Raises
    ------
    InputError
        If it cannot be read, or is no device.
    """
    return parse(DeviceFile, read_text(path, "a device file", PAGE), str(path), PAGE)

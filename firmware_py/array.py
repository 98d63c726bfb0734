"""What an array is, in the field's units: cells, wires, converters, defects. One schema, of which all models of an array are made.

A file of it is TOML (docs/arrays.md). Rows are counted over all tiles, as in the CELLS window; columns are those of one tile.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backpulse.firmware_py.analog import AVERAGES_LOG2_MAX, CONVERTERS, PROFILES, SENSE_SHIFT_MAX, Converters
from backpulse.firmware_py.analog import FrontEnd as Kind
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.device_text import device_of
from backpulse.firmware_py.table_device import TableDevice

Ohm = Annotated[float, Field(ge=0.0, le=1e6)]
Siemens = Annotated[float, Field(gt=0.0, le=1.0)]
Sigma = Annotated[float, Field(ge=0.0, le=64.0)]
Error = Annotated[float, Field(ge=0.0, le=0.5)]
Volt = Annotated[float, Field(gt=0.0, le=20.0)]
LineVolt = Annotated[float, Field(ge=-20.0, le=20.0)]
Second = Annotated[float, Field(ge=0.0, le=80.0)]
Row = Annotated[int, Field(ge=0, lt=512 * 1024)]
Column = Annotated[int, Field(ge=0, lt=256)]
SAFE_N2GR = 0.1
"""N^2 g R above which wires take too much: the far cell loses about half of it of its voltage."""
OF_FRONT_ENDS = ("pairs", "calibrated")
"""References that an analog tile has."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Cells(_Table):
    """Conductances in siemens."""

    g_min: Siemens = 10e-6
    """Of a cell at -1 device unit; with pairs, of the half that is down when the other is up."""
    g_max: Siemens = 100e-6
    """Of a cell at 1 device unit; of a half of a pair likewise."""

    @property
    def mid(self) -> float:
        """Conductance of zero."""
        return (self.g_max + self.g_min) / 2

    @property
    def per_unit(self) -> float:
        """Siemens of one device unit in a cell, or in the half of a pair that goes up with it; the other half goes down as much."""
        return (self.g_max - self.g_min) / 2


class Wires(_Table):
    """Resistances in ohms."""

    row_ohm: Ohm = 0.0
    """Of a row's wire from one cell to the next, and from its end to the first one."""
    col_ohm: Ohm = 0.0
    """Of a column's wire, likewise."""
    driver_ohm: Ohm = 0.0
    """Of what drives a line, beside its wire."""
    sense_ohm: Ohm = 0.0
    """Of what senses a line, beside its wire."""


class Read(_Table):
    """How a read is driven, sensed and converted. Errors are standard deviations over the lines; LSB are those of a sense word."""

    reference: Literal["pairs", "line", "calibrated", "midpoint"] = "pairs"
    """What is taken off for the conductance of zero: the other half of each pair of columns, one more row and column of cells at zero, a
    number, or a number times one factor a sensed line that was measured with all cells at zero."""
    phases: Literal[1, 2] = 1
    """2: a read is half the difference of one with the drives and one with their negatives."""
    averages: Annotated[int, Field(ge=1, le=256)] = 1
    """Conversions of a phase."""
    drive_bits: Annotated[int, Field(ge=2, le=24)] = 16
    """Bits of the converters that drive."""
    adc_bits: Annotated[int, Field(ge=0, le=24)] = 0
    """Bits of the converters that sense, 0 for infinitely many."""
    full_scale: Annotated[float, Field(gt=0.0, le=1e4)] = 24.0
    """Of those, in cells of g_max at full drive."""
    drive_error: Error = 0.0
    """Relative error of a line's drive."""
    gain_error: Error = 0.0
    """Relative error of a line's gain."""
    offset: Sigma = 0.0
    """Offset of a line's converter, LSB: what two phases take off."""
    residue: Sigma = 0.0
    """Offset that is left whatever the phases, LSB."""
    noise: Sigma = 0.0
    """Noise of one conversion, LSB."""


class Write(_Table):
    """How cells are pulsed through the wires: one that sees the share v of the programming voltage takes sinh(k v) / sinh(k) of a pulse."""

    scheme: Literal["half", "third"] = "half"
    """Share of the programming voltage at cells that only share a line with the pulsed ones: V/2, or V/3 at these and at all others."""
    steepness: Annotated[float, Field(ge=1.0, le=60.0)] = 20.0
    """k."""


class Dead(_Table):
    """Lines that nothing drives or senses."""

    rows: Annotated[list[Row], Field(strict=False)] = []
    cols: Annotated[list[Column], Field(strict=False)] = []


class _Cell(_Table):
    row: Row
    col: Column
    side: Literal["plus", "minus"] = "plus"
    """Which half, where cells are pairs."""


class Limits(_Table):
    """The most that the interlock lets through, as `backpulse array arm` writes it to the board; without one, what the profiles need."""

    pulse_volts: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    """Largest size of a line's voltage in a pulse."""
    read_volts: Annotated[float, Field(gt=0.0, le=100.0)] | None = None
    """The same in a read."""
    pulse_s: Annotated[float, Field(gt=0.0, le=60.0)] | None = None
    """Longest time that lines may be away from rest for a pulse."""
    read_s: Annotated[float, Field(gt=0.0, le=60.0)] | None = None
    """The same for a read."""
    pulses: Annotated[int, Field(ge=1, lt=0xFFFFFFFF)] | None = None
    """Pulses of all cells together until the drivers are switched off; without it as many as are asked for."""


class Endurance(_Table):
    """What a cell stands, and where it is kept what each has had."""

    pulses: Annotated[int, Field(ge=1)]
    """Budget of a cell."""
    ledger: Annotated[str, Field(min_length=1, max_length=1000)]
    """File (.npz) beside the array file that counts the pulses of each cell over all runs."""


class Stuck(_Table):
    """A cell that reads the same whatever pulses it gets."""

    row: Row
    col: Column
    value: Annotated[float, Field(ge=-2.0, le=2.0)] = 0.0
    """Device units."""


class Open(_Cell):
    """A cell that conducts nothing, or a wire that is broken just before a cell, seen from the end that drives and senses."""

    what: Literal["cell", "row", "col"] = "cell"


class Short(_Cell):
    """A cell that is a resistor."""

    ohm: Annotated[float, Field(ge=10.0, le=1e6)] = 100.0


class FrontEnd(_Table):
    """What drives and senses the lines of a physical array. Each line has one amplifier: a converter says its voltage, another reads it."""

    kind: Literal["slices", "student"]
    """Slices of eight rows and eight columns each, or the kit of four rows and four columns."""
    slices: Literal[1, 2, 4] = 1
    """Slices side by side."""
    drive_volts: Volt = CONVERTERS[Kind.SLICES].drive_volts
    """Of a full-scale code, at the line; if it is not given, what the kind's converters have."""
    sense_volts: Volt = CONVERTERS[Kind.SLICES].sense_volts
    """Of a full-scale sample, at the amplifier's output; likewise."""
    feedback_ohm: Annotated[float, Field(ge=100.0, le=1e8)] = 10e3
    """Of the amplifiers."""
    read_volts: Volt = 0.2
    """Of a full drive."""
    pulse_volts: Volt = 2.0
    """At a pulsed cell: the programming voltage."""
    pulse_s: Annotated[float, Field(gt=0.0, le=80.0)] = 25e-6
    """Width of the pulse that moves a cell by one step of its device."""
    settle_s: Second = 15e-6
    """From the edge of the drives to the first conversion."""
    gap_s: Second = 10e-6
    """Least time between two pulses."""
    delay_s: Second = 10e-6
    """From the last pulse of a PULSE to its completion."""
    offset_mv: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    """Of an amplifier, at its line; a standard deviation over the lines, as the next."""
    gain_error: Error = 0.0
    """Relative, of a line's feedback."""
    noise_mv: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    """Of one conversion, at the amplifier's output; a standard deviation."""

    @model_validator(mode="before")
    @classmethod
    def _of_kind(cls, given: Any) -> Any:
        """Take what is left out of the converters' full scales from their kind."""
        kind = given.get("kind") if isinstance(given, dict) else None
        found = next((one for one in Kind if one.name.lower() == kind), None)
        if found is None:
            return given
        return {"drive_volts": CONVERTERS[found].drive_volts, "sense_volts": CONVERTERS[found].sense_volts, **given}

    @property
    def converters(self) -> Converters:
        """Those of its kind."""
        return CONVERTERS[Kind[self.kind.upper()]]

    @property
    def most_amperes(self) -> float:
        """Current of a line at which its amplifier or its converter is at its rail, the nearer one."""
        return (self.sense_volts - abs(self.converters.rest_volts)) / self.feedback_ohm


class LineVolts(_Table):
    """Voltages of the lines in a phase, by class (`backpulse.firmware_py.analog.LineClass`)."""

    selected_row: LineVolt = 0.0
    other_row: LineVolt = 0.0
    selected_col: LineVolt = 0.0
    other_col: LineVolt = 0.0
    selected_gate: LineVolt = 0.0
    other_gate: LineVolt = 0.0
    open: list[Literal["selected_row", "other_row", "selected_col", "other_col", "selected_gate", "other_gate"]] = []
    """Classes whose lines are not connected."""

    @property
    def volts(self) -> list[float]:
        """By class."""
        return [value for name, value in self if name != "open"]


class Profile(_Table):
    """One way to read and pulse, number 0 the first of the file; what is left out is that of [front_end]."""

    read_volts: Volt | None = None
    """Of a full drive: that of [front_end] or a half, a quarter, ... of it."""
    phases: Literal[1, 2] = 2
    """2: a read is the difference of one with the drives and one with their negatives."""
    unipolar: bool = False
    """Of two phases the first drives positive drives alone, the second the others with their sizes."""
    averages: Annotated[int, Field(ge=1, le=1 << AVERAGES_LOG2_MAX)] = 1
    """Conversions of a phase: a power of two."""
    pulse_volts: Volt | None = None
    """At a pulsed cell, unless `up` and `down` say all."""
    scheme: Literal["half", "third"] | None = None
    """What other lines get then; that of [write], or half."""
    pulse_s: Annotated[float, Field(gt=0.0, le=80.0)] | None = None
    settle_s: Second | None = None
    gap_s: Second | None = None
    delay_s: Second | None = None
    idle: LineVolts = LineVolts()
    """Between commands."""
    read: LineVolts = LineVolts()
    """Of lines that a read does not drive, in both phases."""
    up: LineVolts | None = None
    """In a pulse that potentiates."""
    down: LineVolts | None = None
    """In one that depresses; without it the negatives of `up`."""

    @model_validator(mode="after")
    def _check(self) -> "Profile":
        if self.averages & (self.averages - 1):
            raise ValueError(f"profile.averages must be a power of two up to {1 << AVERAGES_LOG2_MAX}, not {self.averages}")
        if self.unipolar and self.phases == 1:
            raise ValueError("profile.unipolar needs two phases: give phases = 2")
        if self.down is not None and self.up is None:
            raise ValueError("profile.down needs profile.up: give both, or pulse_volts and scheme")
        return self


class Array(_Table):
    """An array behind the tile contract; without any value it is ideal but for its reference.

    Raises
    ------
    ValueError
        If a name is unknown, or a value is not allowed (pydantic's ValidationError).
    """

    kind: Literal["emulated", "real"] = "emulated"
    """real: the host may neither read nor write cells, as with devices of which nobody knows the state."""
    device: str = "ideal"
    """The devices of a real array, which nobody is told of, as `device_text` has them; those of an emulated one are the run's."""
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 1
    """Of the lines' errors and of the noise."""
    cells: Cells = Cells()
    wires: Wires = Wires()
    read: Read = Read()
    write: Write | None = None
    """Without it, pulses reach their cells whole, and no others."""
    dead: Dead = Dead()
    stuck: list[Stuck] = []
    open: list[Open] = []
    short: list[Short] = []
    name: Annotated[str, Field(max_length=200)] = ""
    """What tells this array from others of its kind: a calibration belongs to one name."""
    limits: Limits = Limits()
    endurance: Endurance | None = None
    calibration: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    """File of `backpulse array calibrate`, beside the array file."""
    front_end: FrontEnd | None = None
    """With it the array's lines are driven and sensed one by one, and its devices are real whatever `kind` says."""
    profile: Annotated[list[Profile], Field(max_length=PROFILES)] = []

    @model_validator(mode="after")
    def _check(self) -> "Array":
        device_of(self.device)
        if self.cells.g_min >= self.cells.g_max:
            raise ValueError(f"cells.g_min must be below g_max, not {self.cells.g_min:g} with {self.cells.g_max:g}")
        if self.read.reference != "pairs" and any(one.side == "minus" for one in (*self.open, *self.short)):
            raise ValueError(f'side must be "plus" unless read.reference is "pairs", not "minus" with "{self.read.reference}"')
        if self.profile and self.front_end is None:
            raise ValueError("profile needs the table front_end: give it")
        if self.front_end is not None:
            self._check_front_end(self.front_end)
        return self

    def _check_front_end(self, front: FrontEnd) -> None:
        if self.read.reference not in OF_FRONT_ENDS:
            raise ValueError(f"read.reference must be one of {', '.join(OF_FRONT_ENDS)} with a front end, not {self.read.reference!r}")
        other = next((name for name, value in self.read if name != "reference" and value != getattr(Read(), name)), None)
        if other:
            raise ValueError(f"read.{other} is of models without a front end: give what front_end and profile have for it")
        if self.wires.sense_ohm:
            raise ValueError(f"wires.sense_ohm must be 0 with a front end, where driver_ohm counts, not {self.wires.sense_ohm:g}")
        if front.kind == "student" and front.slices != 1:
            raise ValueError(f"front_end.slices must be 1 for the student kit, not {front.slices}")
        for number, profile in enumerate(self.profile):
            ratio = front.read_volts / (profile.read_volts or front.read_volts)
            if not any(math.isclose(ratio, 1 << shift, rel_tol=1e-6) for shift in range(1 + SENSE_SHIFT_MAX)):
                raise ValueError(
                    f"profile[{number}].read_volts must be that of front_end, {front.read_volts:g}, or a half, a quarter, ... "
                    f"1/{1 << SENSE_SHIFT_MAX} of it, not {profile.read_volts:g}"
                )
            for phase, volts in ((name, volts) for name, table in profile if isinstance(table, LineVolts) for volts in table.volts):
                if abs(volts) > front.drive_volts:
                    raise ValueError(f"profile[{number}].{phase} must be within what lines reach, {front.drive_volts:g} V, not {volts:g}")
        for name, most in (("read_volts", 1), ("pulse_volts", 2)):
            volts = max(getattr(one, name) or 0.0 for one in (front, *self.profile))
            if volts > most * front.drive_volts:
                raise ValueError(
                    f"{name} must be at most {most * front.drive_volts:g}, as lines reach {front.drive_volts:g} V, not {volts:g}"
                )

    @property
    def real(self) -> bool:
        """Whether its devices are real."""
        return self.kind == "real" or self.front_end is not None

    @property
    def inside(self) -> Device | TableDevice:
        """The devices of a real array."""
        return device_of(self.device)

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Those of the file, or the one that [front_end] alone makes."""
        return tuple(self.profile) or (Profile(),)

    @property
    def needs_noise(self) -> bool:
        """Whether the machine must have read-noise streams: noise and rounding that come from them are random as a checkpoint says."""
        return self.read.noise > 0 or self.write is not None

    @property
    def is_plain(self) -> bool:
        """Whether reads and pulses are exact, but at dead lines and stuck cells."""
        beside = {"name", "kind", "device", "seed", "dead", "stuck", "limits", "endurance", "calibration"}
        return self.model_dump(exclude=beside) == Array().model_dump(exclude=beside)

    @property
    def pieces(self) -> int:
        """Physical columns of a logical one."""
        return 2 if self.read.reference == "pairs" else 1

    def n2gr(self, lines: int, g: float) -> float:
        """Return N^2 g R of so many lines on the longer side and cells of `g` siemens, R the larger resistance of a piece of wire."""
        return lines**2 * g * max(self.wires.row_ohm, self.wires.col_ohm)

    def check(self, rows: int, cols: int) -> None:
        """Raise ValueError if a line or cell is beyond an array of `rows` (of all tiles together) and `cols`."""
        for name in ("stuck", "open", "short"):
            for one in getattr(self, name):
                if one.row >= rows or one.col >= cols:
                    raise ValueError(
                        f"{name} names row {one.row} and column {one.col}, but the board's cells have rows 0 to {rows - 1} "
                        f"and columns 0 to {cols - 1}"
                    )
        for name, limit, lines in (("rows", rows, self.dead.rows), ("cols", cols, self.dead.cols)):
            for line in lines:
                if line >= limit:
                    raise ValueError(f"dead.{name} names {line}, but the board has {name} 0 to {limit - 1}")

"""What a device file says beside the step: how the device is pulsed and read, how it forgets, and what its conductances are."""

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(ge=0.0)]
Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
_Above = Annotated[float, Field(gt=0.0)]
Quantity = _Above | Annotated[list[_Above], Field(min_length=2, max_length=2)]
"""A positive number, or a range [low, high] where nobody knows it better."""
Range = tuple[float, float]
"""A quantity as computed with: both ends of its range, the same where it is known."""


class FileTable(BaseModel):
    """A table of a device file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Scale(FileTable):
    """What a device unit is."""

    unit: str
    """Of the data: S if it could be told in siemens, else norm."""
    low: float
    """Conductance at the lower end of the range."""
    high: float
    """At the upper end."""
    zero: float
    """Of a weight of zero."""
    zero_is: Literal["symmetry point", "middle"]
    """What that is."""
    weight_scale: Annotated[int, Field(ge=1, le=64)]
    """Logical weight of one device unit, half the range."""

    @model_validator(mode="after")
    def _check(self) -> "Scale":
        if self.low >= self.high:
            raise ValueError(f"scale.low must be below scale.high, not {self.low:g} with {self.high:g}")
        return self


class Operation(FileTable):
    """How a cell is pulsed and read, from a data sheet or the laboratory. Where something is missing, no cost is told of it."""

    pulse_width_s: Quantity | None = None
    """Duration of a pulse."""
    pulse_up_v: Quantity | None = None
    """Voltage of a potentiation, as a positive number."""
    pulse_down_v: Quantity | None = None
    """That of a depression likewise."""
    pulse_current_a: Quantity | None = None
    """Current during a pulse; if not given, the voltage by the conductances of the range."""
    pulse_energy_j: Quantity | None = None
    """Energy of a pulse, where it was measured itself: voltage and current are not needed then."""
    read_time_s: Quantity | None = None
    """Duration of a read."""
    read_v: Quantity | None = None
    """Voltage of a read at the largest activation."""
    read_current_a: Quantity | None = None
    """Current of a read at that voltage; if not given, the voltage by the conductances of the range."""
    endurance_pulses: Quantity | None = None
    """Pulses that a cell takes in its life."""
    source: str = ""
    """Where these figures are from."""

    @model_validator(mode="after")
    def _check(self) -> "Operation":
        for name, value in self:
            if isinstance(value, list) and value[0] > value[1]:
                raise ValueError(f"operation.{name} must be a range from low to high, not {value[0]:g} to {value[1]:g}")
        return self


class Retention(FileTable):
    """How conductances forget, without pulses: G(t) = rest + (G - rest) f(t)."""

    law: Literal["power", "exponential"]
    """f(t) = (t / t0)^-nu from t0 on, or exp(-t / tau)."""
    nu: Positive | None = None
    """Of the power law."""
    t0_s: _Above | None = None
    """Of the power law: when the conductances were as they were programmed."""
    tau_s: _Above | None = None
    """Of the exponential one."""
    rest: float = 0.0
    """Conductance that all go to, in the unit of the scale."""
    spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Standard deviation of nu from cell to cell, relative; of the exponential law that of log tau."""
    source: str
    """Who measured it."""

    @model_validator(mode="after")
    def _check(self) -> "Retention":
        needed, other = ({"nu", "t0_s"}, {"tau_s"}) if self.law == "power" else ({"tau_s"}, {"nu", "t0_s"})
        for name in sorted(needed):
            if getattr(self, name) is None:
                raise ValueError(f"retention.{name} is missing, which the {self.law} law needs")
        for name in sorted(other):
            if getattr(self, name) is not None:
                raise ValueError(f"retention.{name} is none of the {self.law} law's: leave it out")
        return self

    def share(self, seconds: float, cells: int | tuple[int, ...], seed: int) -> np.ndarray:
        """Return f of cells after a time, each with a nu or tau of its own by `spread`."""
        normal = np.random.RandomState(seed).standard_normal(cells)
        if self.law == "power":
            assert self.nu is not None
            assert self.t0_s is not None
            gone = math.log(max(seconds, self.t0_s) / self.t0_s)
            return np.exp(-gone * self.nu * np.maximum(1 + self.spread * normal, 0.0))
        assert self.tau_s is not None
        return np.exp(-seconds / (self.tau_s * np.exp(self.spread * normal)))


class Facts(FileTable):
    """All of it; each may be unknown."""

    scale: Scale | None = None
    operation: Operation | None = None
    retention: Retention | None = None

    def plain(self) -> dict[str, Any]:
        """Return what is known as plain JSON."""
        return self.model_dump(exclude_none=True)


def ends(value: Quantity | None) -> Range | None:
    """Return both ends of a quantity, None of one that is not known."""
    if value is None:
        return None
    return (value[0], value[1]) if isinstance(value, list) else (value, value)

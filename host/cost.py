"""What a run costs its array, from counted events: time, energy and wear of the cells, and apart from them converters and controller.

Events are those of the training steps; tests and validation read besides. What is not known is a range, or left out and named.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.host.cell_names import cell_name
from backpulse.host.device_facts import Facts, Operation, Range, Scale, ends
from backpulse.host.output import PulseReceiver

CLOCK_OF = "ulx3s-85f"
"""Board whose clock the cycles are told in seconds of."""
WORN = 5
"""Cells that are named as the most worn ones."""


class CellPulses:
    """A receiver of a golden machine's pulses that counts them by cell, and hands them on.

    Parameters
    ----------
    config : Config
    log : PulseReceiver or None
        What gets them next.

    Attributes
    ----------
    pulses : ndarray
        int64 of shape (rows of all tiles, columns).
    """

    def __init__(self, config: Config, log: PulseReceiver | None) -> None:
        self.pulses = np.zeros((config.rows, config.tile_cols), np.int64)
        self._tile_rows, self._log = config.tile_rows, log

    def begin(self, step: int, machine_step: int) -> None:
        """As of `PulseReceiver`."""
        if self._log:
            self._log.begin(step, machine_step)

    def __call__(self, pulses: np.ndarray) -> None:
        """Take pulses: int32 of shape (n, 5), the columns as in `firmware_py.pulse_log.COLUMNS`."""
        _, tiles, rows, cols, counts = pulses.T
        np.add.at(self.pulses, (tiles * self._tile_rows + rows, cols), np.abs(counts).astype(np.int64))
        if self._log:
            self._log(pulses)


def events(program: Program) -> dict[str, int]:
    """Return what one training step asks of an array.

    Returns
    -------
    dict
        `reads` and their `cells_read`; `driven`, lines that get a voltage from a converter in them, and `sensed`, lines whose current
        another one reads; `cells`, which have a weight, and the `widest` row of one PULSE.
    """
    found = dict.fromkeys(("reads", "cells_read", "driven", "sensed", "widest"), 0)
    for ins in program.instructions[: program.evaluate_start]:
        if not ins.operation.region:
            continue
        region = program.regions[ins.region]
        if ins.op is Op.PULSE:
            found["widest"] = max(found["widest"], region.cols)
            continue
        lines = (region.rows, region.cols) if ins.op is Op.READ else (region.cols, region.rows)
        found["reads"] += 1
        found["cells_read"] += region.rows * region.cols
        found["driven"] += lines[0]
        found["sensed"] += lines[1]
    return {**found, "cells": program.network.weights}


def cost(program: Program, totals: Mapping[str, int], facts: Facts, by_cell: np.ndarray | None = None) -> dict[str, Any]:
    """Return what a run has cost.

    Parameters
    ----------
    program : Program
    totals : mapping
        The counters of its training steps, by name.
    facts : Facts
        Of the device.
    by_cell : ndarray, optional
        Pulses of each cell, of shape (rows of all tiles, columns).

    Returns
    -------
    dict
        Plain JSON. Times are in s and energies in J, of a step and of the run: numbers, or ranges [low, high], or None where the device
        file does not say what they need, which `missing` names then.
    """
    from backpulse.gateware.boards.boards import BOARDS  # what is built from the table takes its time

    steps = totals["STEPS"]
    ups, downs = totals["PULSES_UP"], totals["PULSES_DOWN"]
    pulses = ups + downs
    of_step = events(program)
    operation, scale = facts.operation or Operation(), facts.scale
    missing: list[str] = []
    figures = {
        "read_time_s": _times(_needed(operation, "read_time_s", missing), _exactly(of_step["reads"] * steps)),
        # A row at a time, its columns all at once, or one pulse after the other: how a front end does it is not known here.
        "pulse_time_s": _times(_needed(operation, "pulse_width_s", missing), (pulses / max(of_step["widest"], 1), pulses)),
        "read_energy_j": _times(_read_energy(operation, scale, missing), (0.0, of_step["cells_read"] * steps)),
        "pulse_energy_j": _sum(
            _times(_pulse_energy(operation, scale, "pulse_up_v", missing), _exactly(ups)),
            _times(_pulse_energy(operation, scale, "pulse_down_v", missing), _exactly(downs)),
        ),
    }
    clk_hz = BOARDS[CLOCK_OF].clk_hz
    cycles = totals["CYCLES"]
    return {
        "steps": steps,
        "of_step": {**of_step, "pulses": pulses / steps if steps else 0.0},
        "array": {
            "step": {name: _plain(_times(value, _exactly(1 / steps)) if steps else None) for name, value in figures.items()},
            "run": {name: _plain(value) for name, value in figures.items()},
            "missing": list(dict.fromkeys(missing)),
            "source": operation.source,
        },
        "converters": {"driven": of_step["driven"] * steps, "sensed": of_step["sensed"] * steps},
        "controller": {"cycles": cycles, "clk_hz": clk_hz, "clock_of": CLOCK_OF, "time_s": cycles / clk_hz},
        "wear": _wear(pulses, of_step["cells"], ends(operation.endurance_pulses), by_cell),
    }


def _needed(operation: Operation, name: str, missing: list[str]) -> Range | None:
    """Return a figure of a device; of one that is not there keep the name."""
    found = ends(getattr(operation, name))
    if found is None:
        missing.append(name)
    return found


def _current(given: str, volts: Range | None, operation: Operation, scale: Scale | None, missing: list[str]) -> Range | None:
    """Return the current of a cell: as the file has it, or of the conductances of its range at a voltage."""
    if found := ends(getattr(operation, given)):
        return found
    if volts is None or scale is None or scale.unit != "S":
        missing.append(given)
        return None
    return volts[0] * scale.low, volts[1] * scale.high


def _read_energy(operation: Operation, scale: Scale | None, missing: list[str]) -> Range | None:
    """Return the energy of one cell in one read at the largest activation."""
    volts, seconds = _needed(operation, "read_v", missing), ends(operation.read_time_s)
    return _times(_times(volts, _current("read_current_a", volts, operation, scale, missing)), seconds)


def _pulse_energy(operation: Operation, scale: Scale | None, volts_name: str, missing: list[str]) -> Range | None:
    """Return the energy of one pulse of one cell."""
    if found := ends(operation.pulse_energy_j):
        return found
    volts, seconds = _needed(operation, volts_name, missing), ends(operation.pulse_width_s)
    return _times(_times(volts, _current("pulse_current_a", volts, operation, scale, missing)), seconds)


def _exactly(value: float) -> Range:
    return value, value


def _times(a: Range | None, b: Range | None) -> Range | None:
    return None if a is None or b is None else (a[0] * b[0], a[1] * b[1])


def _sum(a: Range | None, b: Range | None) -> Range | None:
    return None if a is None or b is None else (a[0] + b[0], a[1] + b[1])


def _plain(value: Range | None) -> float | list[float] | None:
    if value is None:
        return None
    return value[0] if value[0] == value[1] else list(value)


def _wear(pulses: int, cells: int, allowed: Range | None, by_cell: np.ndarray | None) -> dict[str, Any]:
    """Return the pulses that cells have had, and how much of their life that is."""
    found: dict[str, Any] = {"pulses_mean": pulses / cells, "pulses_most": None, "most_worn": [], "used": None}
    if by_cell is not None and by_cell.any():
        order = np.argsort(-by_cell, axis=None, kind="stable")[:WORN]
        places = [np.unravel_index(at, by_cell.shape) for at in order.tolist()]
        found["most_worn"] = [{"cell": cell_name(int(r), int(c)), "pulses": int(by_cell[r, c])} for r, c in places if by_cell[r, c]]
        found["pulses_most"] = int(by_cell.max())
    if allowed:
        most = found["pulses_mean"] if found["pulses_most"] is None else found["pulses_most"]
        found["used"] = _plain((most / allowed[1], most / allowed[0]))
    return found


def mean_step(costs: Iterable[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Return what a step of several runs costs in the mean: pulses, times and energies; None of runs without an array."""
    known = [one for one in costs if one]
    if not known:
        return None
    found: dict[str, Any] = {"pulses": float(np.mean([one["of_step"]["pulses"] for one in known]))}
    for name in known[0]["array"]["step"]:
        values = [ends(one["array"]["step"][name]) for one in known]
        both = [value for value in values if value is not None]
        found[name] = _plain((float(np.mean([v[0] for v in both])), float(np.mean([v[1] for v in both])))) if both else None
    return found


PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"), (1e-15, "f"))


def said(value: float | list[float] | None, unit: str) -> str:
    """Return a figure as text: 3.2 us, up to 4 nJ, 2 to 60 us, not known."""
    if value is None:
        return "not known"
    if isinstance(value, list):
        low, high = value
        return f"up to {said(high, unit)}" if low == 0 else f"{said(low, unit)} to {said(high, unit)}"
    size, prefix = next(((size, prefix) for size, prefix in PREFIXES if abs(value) >= size), (1.0, "") if value == 0 else PREFIXES[-1])
    return f"{value / size:.3g} {prefix}{unit}"


def told(found: Mapping[str, Any]) -> list[str]:
    """Return what a person is told of a cost, in lines."""
    of_step, array, controller, wear = found["of_step"], found["array"], found["controller"], found["wear"]
    steps = max(found["steps"], 1)
    lines = [
        f"A step: {of_step['reads']} reads of {of_step['cells_read']:,} cells in all, {of_step['pulses']:.1f} pulses; converters drive "
        f"{of_step['driven']} lines and read {of_step['sensed']}; the controller takes {controller['cycles'] / steps:.0f} cycles, "
        f"{said(controller['time_s'] / steps, 's')} at the {controller['clk_hz'] / 1e6:g} MHz of {controller['clock_of']}"
    ]
    for what in ("step", "run"):
        figures = array[what]
        if any(value is not None for value in figures.values()):
            lines.append(
                f"Array, {what}: reads {said(figures['read_time_s'], 's')} and {said(figures['read_energy_j'], 'J')}, pulses "
                f"{said(figures['pulse_time_s'], 's')} and {said(figures['pulse_energy_j'], 'J')}"
            )
    if len(lines) > 1 and array["missing"]:
        lines.append(f"The device file does not say {', '.join(array['missing'])}")
    worn = f"{wear['pulses_mean']:.1f} pulses a cell"
    if wear["most_worn"]:
        worn += ", most " + ", ".join(f"{one['cell']} ({one['pulses']:,})" for one in wear["most_worn"])
    if wear["used"] is not None:
        used = wear["used"] if isinstance(wear["used"], list) else [wear["used"]]
        of = "the most worn cell" if wear["most_worn"] else "a cell in the mean"
        worn += f"; {' to '.join(f'{100 * share:.2g}' for share in used)} % of the endurance of {of}"
    return [*lines, f"Wear: {worn}"]

"""Devices by the figures of aihwkit's presets: as the linear-step device where that carries them, else as tables by their formulas."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from backpulse.firmware_py.device import Device
from backpulse.firmware_py.table_device import MOST_SPREAD, NODES, SEGMENTS, TableDevice
from backpulse.host.errors import InputError, wrong_input
from backpulse.host.tables import with_nearest

AIHWKIT = "aihwkit:"
"""What stands before a name of theirs."""
_MIDDLES = (NODES[1:] + NODES[:-1]) / 2


@cache
def figures() -> dict[str, dict[str, Any]]:
    """Return the figures of aihwkit's presets by name."""
    return json.loads(files("backpulse.host").joinpath("device_presets.json").read_text("utf-8"))["presets"]


def of_aihwkit(name: str, *, linear: bool = False) -> tuple[Device | TableDevice, list[str]]:
    """Return a preset of aihwkit's as a device, and what of it is left out.

    Parameters
    ----------
    name : str
    linear : bool
        As the linear-step device, whatever that leaves out.

    Raises
    ------
    InputError
        If there is none of the name, or the tiles cannot carry it; the sentence says what, and by how much.
    """
    if name not in figures():
        raise InputError(f"Unknown preset {with_nearest([name], figures())} of aihwkit: choose one of {', '.join(figures())}")
    f = figures()[name]
    if f["step"] == "one-sided":
        raise InputError(
            f"{AIHWKIT}{name} cannot be carried: its pulses move it one way only, so that a weight takes a pair of cells, one for the "
            "pulses up and one for those down, and a tile gives both kinds to one cell, whose step depends on what it holds itself: choose "
            "another --device"
        )
    beyond = _beyond_linear(f)
    with wrong_input(f"{AIHWKIT}{name}: "):
        if linear and beyond:
            raise InputError(
                f"{AIHWKIT}{name} cannot be a linear-step device: it has {'; '.join(beyond)}: leave :linear out, for its table"
            )
        if linear or not (beyond or f.get("lifetime")):
            return _linear(name, f), _left_out(f)
        return _table(name, f), []


def _beyond_linear(f: dict[str, Any]) -> list[str]:
    """Return what a linear-step device cannot carry of figures."""
    beyond = []
    if f["step"] == "exponential":
        beyond.append("an exponential step, and that has a linear one")
    if f.get("up_down"):
        beyond.append(f"steps up and down that differ by {100 * f['up_down']:.0f} % at zero, and that has one for both")
    if noise := f.get("write_noise_std"):
        beyond.append(f"apparent noise of {noise * f['dw_min']:.3g} units, and that has none")
    bound = max(f["w_max_dtod"], f["w_min_dtod"])
    for what, value in (("steps", f["dw_min_dtod"]), ("bounds", bound)):
        if value > MOST_SPREAD:
            beyond.append(f"{what} that spread by {100 * value:.0f} % from cell to cell, and there {100 * MOST_SPREAD:.0f} % is most")
    return beyond


def _left_out(f: dict[str, Any]) -> list[str]:
    """Return what a linear-step device leaves out of figures that it can otherwise carry."""
    found = []
    if spread := f.get("up_down_dtod"):
        found.append(f"the spread of its symmetry point, {100 * spread:.0f} % of a step")
    if lifetime := f.get("lifetime"):
        found.append(f"its leak, with a time constant of {lifetime:.0e} samples")
    return found


def _linear(name: str, f: dict[str, Any]) -> Device:
    return Device(
        name=f"{AIHWKIT}{name}",
        dw_min=f["dw_min"],
        bound_up=f["w_max"],
        bound_down=f["w_min"],
        slope_up=f.get("gamma_up", 0.0),
        slope_down=f.get("gamma_down", 0.0),
        write_noise=f["dw_min_std"],
        step_spread=f["dw_min_dtod"],
        bound_spread=(f["w_max_dtod"] + f["w_min_dtod"]) / 2,
    )


def _steps(f: dict[str, Any], w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps up and down at conductances: those of their linear, soft-bounds and exponential devices."""
    if f["step"] == "exponential":
        z = 2 * f["a"] * w / (f["w_max"] - f["w_min"]) + f["b"]
        up = 1 - f["A_up"] * np.exp(f["gamma_up"] * z)
        down = (1 - f.get("up_down", 0.0)) * (1 - f["A_down"] * np.exp(-f["gamma_down"] * z))
    else:
        up, down = 1 - f.get("gamma_up", 0.0) * w / f["w_max"], 1 - f.get("gamma_down", 0.0) * w / f["w_min"]
    return f["dw_min"] * np.maximum(up, 0), f["dw_min"] * np.maximum(down, 0)


def _table(name: str, f: dict[str, Any]) -> TableDevice:
    """Return the table of figures; beyond the bounds, where no cell comes but by their spread, the formula goes on."""
    up, down = _steps(f, NODES)
    # Of their exponential step the noise is a share of the step itself, of the others one of dw_min.
    noises = _steps(f, _MIDDLES) if f["step"] == "exponential" else (np.full(SEGMENTS, f["dw_min"]),) * 2
    return TableDevice(
        name=f"{AIHWKIT}{name}",
        up=tuple(up.tolist()),
        down=tuple(down.tolist()),
        noise_up=tuple((f["dw_min_std"] * noises[0]).tolist()),
        noise_down=tuple((f["dw_min_std"] * noises[1]).tolist()),
        bound_up=f["w_max"],
        bound_down=f["w_min"],
        apparent_noise=f.get("write_noise_std", 0.0) * f["dw_min"],
        step_spread=f["dw_min_dtod"],
        symmetry_spread=f.get("up_down_dtod", 0.0),
        bound_spread=(f["w_max_dtod"] + f["w_min_dtod"]) / 2,
        leak_samples=f.get("lifetime", 0.0),
    )

"""Devices by what the user calls them: a preset, one of aihwkit's by its figures, or a device file.

The device itself goes into settings, and with them into checkpoints and results, as JSON in one line of text, so that a run needs no file
again. A preset is its name.
"""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.table_device import MOST_SPREAD, TableDevice
from backpulse.host.errors import InputError, wrong_input

AIHWKIT = "aihwkit:"
"""What stands before a name of theirs."""
LINEAR = ":linear"
"""What stands behind a device file whose linear fit is asked for."""
SOURCES = {
    "ideal": "no device: 1000 equal steps",
    "ecram": "ECRAM of Li: Tang et al., IEDM, 2018",
    "ecram-uniform": "ecram with all cells alike",
    "ecram-mo": "metal-oxide ECRAM: Kim et al., IEDM, 2019",
}
"""Where the presets are from."""


@cache
def figures() -> dict[str, dict[str, Any]]:
    """Return the figures of aihwkit's presets by name."""
    return json.loads(files("backpulse.host").joinpath("device_presets.json").read_text("utf-8"))["presets"]


def resolved(text: str) -> str:
    """Return what settings keep of a device: the name of a preset, or the device itself.

    Parameters
    ----------
    text : str
        A preset, `aihwkit:NAME`, a device file, one with `:linear` behind it for its linear fit, or what this function has returned.

    Raises
    ------
    InputError
        If there is no such device, or the tiles cannot carry it.
    """
    if text in PRESETS:
        return text
    if text.startswith("{"):
        _parsed(text)
        return text
    if text.startswith(AIHWKIT):
        device, _ = of_aihwkit(text.removeprefix(AIHWKIT))
        return text_of(device, text)
    file = text.removesuffix(LINEAR)
    path = Path(file)
    if path.suffix != ".toml" and not path.is_file() and "/" not in file:
        raise InputError(f"Unknown device {text}: choose one of {', '.join(PRESETS)}, {AIHWKIT}NAME, or a device file")
    if path.suffix != ".toml":
        raise InputError(f"{file} is no device file: fit one to it first, backpulse device fit {file} --out {path.stem}.toml")
    from backpulse.host.device_file import read_device  # what fits is not needed for presets

    found = read_device(path)
    if file == text:
        return text_of(found.table_device, found.digest)
    if found.linear_device is None:
        raise InputError(
            f"Device {found.name} of {file} has no linear fit ({found.linear_refused}): leave {LINEAR} out, for its table, which "
            "golden://, sim:// and boards with the table device carry"
        )
    return text_of(found.linear_device, found.digest)


def scale_of(text: str) -> int | None:
    """Return the weight scale that a device file, by its path, was fitted for; None for other devices."""
    file = text.removesuffix(LINEAR)
    if not file.endswith(".toml"):
        return None
    from backpulse.host.device_file import read_device

    found = read_device(Path(file))
    if file == text:
        return found.scale.weight_scale
    return found.linear.weight_scale if found.linear else None


def device_of(text: str) -> Device | TableDevice:
    """Return the device of what `resolved` returned."""
    return _parsed(text) if text.startswith("{") else PRESETS[text]


def name_of(text: str) -> str:
    """Return what messages and pictures call it."""
    return device_of(text).name


def text_of(device: Device | TableDevice, source: str) -> str:
    """Return a device as one line of text; what is not in it is zero."""
    if isinstance(device, Device):
        values = {key: value for key, value in vars(device).items() if value or key in ("dw_min", "bound_up", "bound_down")}
        return json.dumps({"source": source, "linear": values})
    return json.dumps({"source": source, "table": {key: value for key, value in vars(device).items() if value}})


@cache
def _parsed(text: str) -> Device | TableDevice:
    """Return the device that `text_of` wrote."""
    try:
        values = json.loads(text)
        if table := values.get("table"):
            given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
            device = TableDevice(**given)
        else:
            device = Device(**values["linear"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"The setting device is no device ({error!s:.100}): give a preset or a device file") from error
    return device


def of_aihwkit(name: str) -> tuple[Device, list[str]]:
    """Return a preset of aihwkit's as today's device, and what of it is left out.

    Raises
    ------
    InputError
        If the tiles cannot carry it; the sentence says what and by how much.
    """
    if name not in figures():
        raise InputError(f"Unknown preset {name} of aihwkit: choose one of {', '.join(figures())}")
    f = figures()[name]
    step = f["dw_min"]
    beyond = []
    if f["step"] == "exponential":
        beyond.append("an exponential step, and today's tiles have the linear one")
    if f.get("up_down"):
        beyond.append(f"steps up and down that differ by {200 * f['up_down']:.0f} % at zero, and there they have one for both")
    if noise := f.get("write_noise_std"):
        beyond.append(f"apparent noise of {noise * step:.3g} units, and they have none")
    bound = max(f["w_max_dtod"], f["w_min_dtod"])
    for what, value in (("steps", f["dw_min_dtod"]), ("bounds", bound)):
        if value > MOST_SPREAD:
            beyond.append(
                f"{what} that spread by {100 * value:.0f} % from cell to cell, and theirs do by {100 * MOST_SPREAD:.0f} % at most"
            )
    if beyond:
        raise InputError(f"{AIHWKIT}{name} cannot be carried: it has {'; '.join(beyond)}: choose another --device")
    with wrong_input(f"{AIHWKIT}{name}: "):
        device = Device(
            name=f"{AIHWKIT}{name}",
            dw_min=step,
            bound_up=f["w_max"],
            bound_down=f["w_min"],
            slope_up=f.get("gamma_up", 0.0),
            slope_down=f.get("gamma_down", 0.0),
            write_noise=f["dw_min_std"],
            step_spread=f["dw_min_dtod"],
            bound_spread=(f["w_max_dtod"] + f["w_min_dtod"]) / 2,
        )
    left_out = []
    if spread := f.get("up_down_dtod"):
        left_out.append(f"the spread of its symmetry point, {100 * spread:.0f} % of a step")
    if lifetime := f.get("lifetime"):
        left_out.append(f"its leak, with a time constant of {lifetime:.0e} samples")
    return device, left_out

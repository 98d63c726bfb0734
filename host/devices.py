"""Devices by what the user calls them: a preset, one of aihwkit's by its figures, or a device file.

The device itself goes into settings, and with them into checkpoints and results, as JSON in one line of text, so that a run needs no file
again. A preset is its name.
"""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path

from backpulse.firmware_py import device_text
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.device_text import text_of
from backpulse.firmware_py.table_device import TableDevice
from backpulse.firmware_py.words import nearest
from backpulse.host.device_aihwkit import AIHWKIT, of_aihwkit
from backpulse.host.device_facts import Facts
from backpulse.host.errors import InputError, wrong_input

LINEAR = ":linear"
"""What stands behind a device file whose linear fit is asked for."""
SOURCES = {
    "ideal": "no device: 1000 equal steps",
    "ecram": "ECRAM of Li: Tang et al., IEDM, 2018",
    "ecram-uniform": "ecram with all cells alike",
    "ecram-mo": "metal-oxide ECRAM: Kim et al., IEDM, 2019",
}
"""Where the presets are from."""


class Described:
    """A device that says itself what settings keep of it: a device file that was read, or fitted."""

    @property
    def kept(self) -> str:
        """What settings keep, as `resolved` returns it."""
        raise NotImplementedError

    @property
    def weight_scale(self) -> int:
        """The weight scale that it was fitted for."""
        raise NotImplementedError


@cache
def shipped() -> dict[str, Path]:
    """Return the device files that come with Backpulse, by name."""
    folder = Path(str(files("backpulse.host"))) / "device_files"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def file_of(text: str) -> Path | None:
    """Return the device file that a text names: one that comes with Backpulse, or a path; None of other devices."""
    name = text.removesuffix(LINEAR)
    return shipped().get(name) or (Path(name) if name.endswith(".toml") else None)


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
        device_of(text)
        return text
    file = text.removesuffix(LINEAR)
    if file.startswith(AIHWKIT):
        device, _ = of_aihwkit(file.removeprefix(AIHWKIT), linear=file != text)
        return text_of(device, text)
    path = file_of(file) or Path(file)
    if path.suffix != ".toml" and not path.is_file() and "/" not in file:
        known = [*PRESETS, *shipped()]
        near = nearest(text, [name + end for end in ("", LINEAR) for name in known])
        raise InputError(f"Unknown device {text}{near}: choose one of {', '.join(known)}, {AIHWKIT}NAME, or a device file")
    if path.suffix != ".toml":
        raise InputError(f"{file} is no device file: fit one to it first, backpulse device fit {file} --out {path.stem}.toml")
    from backpulse.host.device_file import read_device  # what fits is not needed for presets

    found = read_device(path)
    if file == text:
        return found.kept
    if found.linear_device is None:
        raise InputError(
            f"Device {found.name} of {file} has no linear fit ({found.linear_refused}): leave {LINEAR} out, for its table, which "
            "golden://, sim:// and boards with the table device carry"
        )
    return text_of(found.linear_device, found.digest, found.facts.plain())


def scale_of(text: str) -> int | None:
    """Return the weight scale that a device file, by its path or its name, was fitted for; None for other devices."""
    file = file_of(text)
    if file is None:
        return None
    from backpulse.host.device_file import read_device

    found = read_device(file)
    if not text.endswith(LINEAR):
        return found.scale.weight_scale
    return found.linear.weight_scale if found.linear else None


def device_of(text: str) -> Device | TableDevice:
    """Return the device of what `resolved` returned."""
    with wrong_input("The setting "):
        return device_text.device_of(text)


def name_of(text: str) -> str:
    """Return what tables and pictures call it: its name, and whether it is the linear fit of a file."""
    name = device_of(text).name
    return name + LINEAR if text.startswith("{") and "scale" in (known := json.loads(text)) and "linear" in known else name


def facts_of(text: str) -> Facts:
    """Return what is known beside the step of what `resolved` returned: of a preset nothing."""
    if not text.startswith("{"):
        return Facts()
    values = json.loads(text)
    with wrong_input("The setting device: "):
        return Facts.model_validate({key: values[key] for key in Facts.model_fields if key in values})

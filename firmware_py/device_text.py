"""A device as one line of text, as settings, checkpoints, results and array files keep it: the name of a preset, or JSON of all of it."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.table_device import TableDevice

__all__ = ["device_of", "text_of"]


@cache
def device_of(text: str) -> Device | TableDevice:
    """Return the device that a line of text is of.

    Raises
    ------
    ValueError
        If it is no preset, and not what `text_of` returns.
    """
    if text in PRESETS:
        return PRESETS[text]
    try:
        values = json.loads(text)
        if table := values.get("table"):
            given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
            return TableDevice(**given)
        return Device(**values["linear"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"device is no device ({error!s:.100}): give {', '.join(PRESETS)}, or a device file") from error


def text_of(device: Device | TableDevice, source: str = "", beside: Mapping[str, Any] | None = None) -> str:
    """Return the line of text of a device: a preset's name, or the device as JSON.

    Parameters
    ----------
    device : Device or TableDevice
    source : str
        Where it is from, if that is not its name.
    beside : mapping, optional
        What is known beside the step (`host.device_facts.Facts`).
    """
    if not beside and PRESETS.get(device.name) == device:
        return device.name
    source, beside = source or device.name, beside or {}
    if isinstance(device, Device):
        values = {key: value for key, value in vars(device).items() if value or key in ("dw_min", "bound_up", "bound_down")}
        return json.dumps({"source": source, "linear": values, **beside})
    return json.dumps({"source": source, "table": {key: value for key, value in vars(device).items() if value}, **beside})

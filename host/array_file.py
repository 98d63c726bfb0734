"""Array files: TOML, read and checked against the one schema, `firmware_py.array`."""

import json
import re
import tomllib
from pathlib import Path

from backpulse.firmware_py.array import Array
from backpulse.host.devices import LINEAR, file_of, resolved
from backpulse.host.errors import InputError
from backpulse.host.toml_file import parse, read_text

PAGE = "docs/arrays.md"
_DEVICE = re.compile(r"^\s*device\s*=.*$", re.MULTILINE)


def read_array(path: Path) -> Array:
    """Read an array file.

    Raises
    ------
    InputError
        If it or the device file that it names cannot be read, or is none.
    """
    return parse_array(self_contained(path), str(path))


def self_contained(path: Path) -> str:
    """Return the text of an array file; a device that it names is in it as settings keep it, so that its file is not needed again.

    Raises
    ------
    InputError
        As `read_array`, but that an array is described is not looked at.
    """
    text = read_text(path, "an array file", PAGE)
    try:
        name = tomllib.loads(text).get("device")
    except tomllib.TOMLDecodeError:
        return text  # `parse` tells
    if not isinstance(name, str):
        return text
    try:
        device = resolved(_beside(path, name))
    except InputError as error:
        raise InputError(f"{path}: device: {error}") from None
    return text if device == name else _DEVICE.sub(lambda _: f"device = {json.dumps(device)}", text, count=1)


def parse_array(text: str, name: str) -> Array:
    """Return the array that the text of a file describes; `name` is what messages call it."""
    return parse(Array, text, name, PAGE)


def _beside(path: Path, name: str) -> str:
    """Return a device as named from here: a path in an array file is from its own folder."""
    file = file_of(name)
    return str(path.parent / name) if file is not None and file == Path(name.removesuffix(LINEAR)) else name

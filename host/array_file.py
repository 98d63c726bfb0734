"""Array files: TOML, read and checked against the one schema, `firmware_py.array`."""

from pathlib import Path

from backpulse.firmware_py.array import Array
from backpulse.host.toml_file import parse, read_text

PAGE = "docs/arrays.md"


def read_array(path: Path) -> Array:
    """Read an array file.

    Raises
    ------
    InputError
        If it cannot be read, or is no array.
    """
    return parse_array(read_text(path, "an array file", PAGE), str(path))


def parse_array(text: str, name: str) -> Array:
    """Return the array that the text of a file describes; `name` is what messages call it."""
    return parse(Array, text, name, PAGE)

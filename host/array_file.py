"""Array files: TOML, read and checked against the one schema, `firmware_py.array`."""

import tomllib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.places import reason
from backpulse.host.errors import InputError
from backpulse.host.settings import with_nearest


def read_array(path: Path) -> Array:
    """Read an array file.

    Raises
    ------
    InputError
        If it cannot be read, or is no array.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}: give an array file (docs/arrays.md)") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: give an array file (docs/arrays.md)") from error
    return parse_array(text, str(path))


def parse_array(text: str, name: str) -> Array:
    """Return the array that the text of a file describes; `name` is what messages call it."""
    try:
        return Array(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is no TOML: {error}: docs/arrays.md has examples") from error
    except ValidationError as error:
        raise InputError(f"{name}: {_sentence(error)}") from None


def _sentence(error: ValidationError) -> str:
    """Return what to tell of an array that is none: unknown names first, then the first wrong value."""
    found = error.errors(include_url=False)
    unknown = next((e for e in found if e["type"] == "extra_forbidden"), None)
    if unknown:
        *tables, name = [str(part) for part in unknown["loc"] if not isinstance(part, int)]
        names = list(_table(tables).model_fields)
        where = f" in [{'.'.join(tables)}]" if tables else ""
        return f"Unknown key {with_nearest([name], names)}{where}: keys are {', '.join(names)}"
    first = found[0]
    if first["type"] == "value_error":  # of a check of ours
        return str(first.get("ctx", {})["error"])
    name = ".".join(str(part) if isinstance(part, str) else f"[{part}]" for part in first["loc"]).replace(".[", "[")
    if first["type"] == "missing":
        return f"{name} is missing: give it"
    return f"{name} must be {_allowed(first)}, not {first['input']!r:.60}"


def _table(names: list[str]) -> type[BaseModel]:
    """Return the schema of a table of the file."""
    table: type[BaseModel] = Array
    for name in names:
        annotation = table.model_fields[name].annotation
        kinds = (annotation, *get_args(annotation))
        table = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return table


def _allowed(first: Any) -> str:
    """Return what a value must be, from what pydantic says of one that is not."""
    kind, more = first["type"], first.get("ctx", {})
    bounds = {
        "greater_than_equal": "at least {ge:g}",
        "greater_than": "above {gt:g}",
        "less_than_equal": "at most {le:g}",
        "less_than": "below {lt:g}",
    }
    if kind in bounds:
        return "a number " + bounds[kind].format(**more)
    if kind == "too_long":
        return f"at most {more['max_length']} tables"
    kinds = {"int": "a whole number", "float": "a number", "finite": "a finite number", "list": "a list", "model": "a table"}
    if kind == "literal_error":
        return "one of " + str(more["expected"]).replace(" or ", ", ").replace("'", "")
    return kinds.get(kind.split("_")[0], "of another type")

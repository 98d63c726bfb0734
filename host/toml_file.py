"""TOML files with a schema: read, checked, and what is wrong with one said in a sentence."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from backpulse.firmware_py.places import reason
from backpulse.firmware_py.words import nearest
from backpulse.host.errors import InputError
from backpulse.host.tables import with_nearest

Schema = TypeVar("Schema", bound=BaseModel)


def read_text(path: Path, what: str, page: str) -> str:
    """Return the text of a file; `what` it should be, and the page that tells more, are for the message.

    Raises
    ------
    InputError
        If it cannot be read, or is no text.
    """
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason(error)}: give {what} ({page})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text: give {what} ({page})") from error


def parse(schema: type[Schema], text: str, name: str, page: str) -> Schema:
    """Return what the text of a file describes; `name` is what messages call it."""
    try:
        return schema(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is no TOML: {error}: {page} has examples") from error
    except ValidationError as error:
        raise InputError(f"{name}: {_sentence(schema, error)}") from None


def _sentence(schema: type[BaseModel], error: ValidationError) -> str:
    """Return what to tell of a file that does not fit its schema: unknown names first, then the first wrong value."""
    found = error.errors(include_url=False)
    unknown = next((e for e in found if e["type"] == "extra_forbidden"), None)
    if unknown:
        *tables, name = [str(part) for part in unknown["loc"] if not isinstance(part, int)]
        names = list(_table(schema, tables).model_fields)
        where = f" in [{'.'.join(tables)}]" if tables else ""
        return f"Unknown key {with_nearest([name], names)}{where}: keys are {', '.join(names)}"
    first = found[0]
    if first["type"] == "value_error":  # of a check of ours
        return str(first.get("ctx", {})["error"])
    name = ".".join(str(part) if isinstance(part, str) else f"[{part}]" for part in first["loc"]).replace(".[", "[")
    if first["type"] == "missing":
        return f"{name} is missing: give it"
    near = nearest(first["input"], _words(first)) if first["type"] == "literal_error" else ""
    return f"{name} must be {_allowed(first)}, not {first['input']!r:.60}{near}"


def _table(schema: type[BaseModel], names: list[str]) -> type[BaseModel]:
    """Return the schema of a table of the file."""
    table: type[BaseModel] = schema
    for name in names:
        annotation = table.model_fields[name].annotation
        kinds = (annotation, *get_args(annotation))
        table = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return table


def _words(first: Any) -> list[str]:
    """Return the words of which a value is none."""
    return str(first["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")


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
        return f"one of {', '.join(_words(first))}"
    return kinds.get(kind.split("_")[0], "of another type")

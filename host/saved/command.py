"""The command line that repeats a run from its settings."""

from collections.abc import Mapping
from typing import Any

from backpulse.host.settings import Settings


def repeating(settings: Settings, options: Mapping[str, Any]) -> list[str]:
    """Return the words of a command line that trains the same again, with the same bits where the board gives the same.

    Parameters
    ----------
    settings : Settings
        What is not its default is said; the layers always are, as without them the data decides.
    options : mapping
        What else the run was given, by name; None is left out.
    """
    words = ["backpulse", "train"]
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value != field.default or name == "layers":
            words += _option(name, value)
    for name, value in options.items():
        if value is not None:
            words += _option(name, value)
    return words


def _option(name: str, value: object) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    text = str(value)
    return [f"--{option}={text}"] if text.startswith("-") else [f"--{option}", text]

"""Run files: what a run is to do, in TOML, by the names of the options of `backpulse train` with _ for -."""

import inspect
import itertools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from typer import BadParameter, Context
from typer.core import TyperCommand

from backpulse.host.cli_train import train
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings
from backpulse.host.tables import with_nearest
from backpulse.host.toml_file import read_text

PAGE = "docs/python.md"
OPTION = "--config"
FOR_INFER = ("checkpoint", "board", "dataset", "target", "baud", "calibration", "calibration_age")
"""What `backpulse infer` takes of a run file: what it reads, and nothing that the training writes."""
_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


class WithRunFile(TyperCommand):
    """A command that takes what stands in a run file as if it stood before its other options, of which the last one counts."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Put the options of a run file before the others."""
        files = [value for option, value in itertools.pairwise(args) if option == OPTION]
        files += [arg.removeprefix(f"{OPTION}=") for arg in args if arg.startswith(f"{OPTION}=")]
        if len(files) > 1:
            raise InputError(f"{OPTION} names one run file, not {len(files)}: join them")
        values = read_run_file(Path(files[0])) if files and not ctx.resilient_parsing else {}
        if self.name == "infer":
            values = {name: value for name, value in values.items() if name in FOR_INFER}
        typed = {arg.partition("=")[0].removeprefix("--").removeprefix("no-").replace("-", "_") for arg in args}
        ctx.meta[OPTION] = {name: value for name, value in values.items() if name not in typed}
        try:
            return super().parse_args(ctx, [*_arguments(values), *args])
        except BadParameter as error:
            if error.param is None or error.param.name not in ctx.meta[OPTION]:
                raise
            raise InputError(f"{files[0]}: {error.param.name}: {error.message}, not {values[error.param.name]}") from None

    def invoke(self, ctx: Context) -> Any:
        """Run the command; of what is wrong in the run file, say where it stands."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            name = _culprit(str(error), ctx.meta[OPTION])
            if name is None:
                raise
            raise InputError(f"{ctx.params[OPTION.removeprefix('--')]}: {name}: {error}") from error


def read_run_file(path: Path) -> dict[str, Any]:
    """Read a run file; return its values by name, lists as the text that options have.

    Raises
    ------
    InputError
        If it cannot be read, names what is no option, or has a value of another type.
    """
    text = read_text(path, "a run file", PAGE)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}: {PAGE} has an example") from error
    kinds = _kinds()
    if unknown := [name for name in values if name not in kinds]:
        raise InputError(f"{path}: Unknown key {with_nearest(unknown, kinds)}: keys are {', '.join(kinds)}")
    for name, value in values.items():
        values[name] = Settings.plain(name, value) if name in Settings.model_fields and not isinstance(value, str) else value
        kind = kinds[name]
        allowed = (int, float) if kind is float else (kind,)
        if not isinstance(values[name], allowed) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{path}: {name} must be {_KINDS.get(kind, 'text')}, not {value!r:.60}")
    return values


def _culprit(sentence: str, values: Mapping[str, Any]) -> str | None:
    """Return the option whose value, or else whose name, stands in a sentence about what is wrong."""
    said = {name: [str(value), *([f"{value:g}"] if isinstance(value, float) else [])] for name, value in values.items()}
    named = {name: [name, name.replace("_", " ")] for name in values}
    for words_of in (said, named):
        for name, words in words_of.items():
            long = [word for word in words if len(word) > 2]  # small numbers stand everywhere
            if any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", sentence, re.IGNORECASE) for word in long):
                return name
    return None


def _kinds() -> dict[str, type]:
    """Return the types of the options of `train` by name."""
    kinds = {}
    for name, parameter in inspect.signature(train).parameters.items():
        if name not in ("ctx", OPTION.removeprefix("--")):
            value, *_ = get_args(parameter.annotation)
            kinds[name] = next((kind for kind in _KINDS if kind in (value, *get_args(value))), str)
    return kinds


def _arguments(values: dict[str, Any]) -> list[str]:
    """Return values as a command line has them."""
    arguments = []
    for name, value in values.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            switched = value or name in Settings.model_fields  # the other switches have no opposite
            arguments += [f"--{'' if value else 'no-'}{option}"] if switched else []
        else:
            arguments.append(f"--{option}={value}")
    return arguments

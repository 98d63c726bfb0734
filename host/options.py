"""The options that several commands share; those of a run's settings are made of their schema."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.host.checkpoint import MOST_EPOCHS
from backpulse.host.errors import InputError
from backpulse.host.settings import ALGORITHM, ALL_SCHEDULES, FILES, HIDDEN_UNITS, TRAINING, About, Settings


def _option(*names: str, text: str, panel: str | None = None, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def _epochs(epochs: int) -> int:
    if epochs > MOST_EPOCHS:
        raise InputError(f"A run has at most {MOST_EPOCHS:,} epochs, not {epochs:,}: give fewer with --epochs")
    return epochs


def _about(name: str) -> About:
    (about,) = (data for data in Settings.model_fields[name].metadata if isinstance(data, About))
    return about


def _setting(name: str, **more: Any) -> Any:
    """Return the option of a setting."""
    about = _about(name)
    return _option(text=about.text, panel=about.panel, metavar=about.form, **more)


MOST_SEEDS = 10_000
"""Each is a run of its own, whose result is kept until the end."""
EVERY_SCHEDULE = ",".join(ALL_SCHEDULES)
BOARD = "Board"
FITTED = f"those of the data, {HIDDEN_UNITS} hidden"
"""What is shown as the default of --layers where the data decides."""
OF_DATA = tuple(name for name in Settings.model_fields if _about(name).panel == FILES)
"""Settings that are about data."""
OF_TRAINING = tuple(name for name in Settings.model_fields if _about(name).panel == TRAINING)
"""Settings that change no program."""

DeviceName = Annotated[str, _setting("device")]
Epochs = Annotated[int, _option("--epochs", text="Passes over the training part.", min=1, callback=_epochs, metavar="N", panel=TRAINING)]
Schedules = Annotated[str, _option("--schedules", text="Joined by commas.", metavar="NAMES", show_default="all", panel=ALGORITHM)]
Rates = Annotated[str, _option("--lr", text="Learning rates joined by commas.", metavar="RATES", panel=TRAINING)]
Seeds = Annotated[int, _option("--seeds", text="Runs of each, with seeds 1 to N.", min=1, max=MOST_SEEDS, metavar="N", panel=ALGORITHM)]
BoardUrl = Annotated[
    str,
    _option(
        "--board",
        text="golden:// (model), sim:// (RTL), a serial port, auto (the board that answers), or socket://host:port.",
        panel=BOARD,
        metavar="URL",
    ),
]
Baud = Annotated[int, _option("--baud", text="Of a serial port.", min=1, metavar="N", panel=BOARD)]
Tile = Annotated[str, _option("--tile", text="Rows x columns of one tile (golden://, sim://).", panel=BOARD, metavar="RxC")]
Tiles = Annotated[
    int | None,
    _option("--tiles", text="Tiles of the board (golden://, sim://); as many as needed if not given.", min=1, metavar="N", panel=BOARD),
]
Json = Annotated[
    str | None, _option("--json", text="Write the result as JSON to this file, or - for standard output.", metavar="FILE|-", panel=FILES)
]
Trace = Annotated[
    Path | None,
    _option("--trace", text="Record all that the array answers to this new file (docs/trace.md).", metavar="FILE", panel=FILES),
]
WavesFile = Annotated[
    str | None,
    _option(
        "--waves",
        text="Write the waves of these samples (sim://), the first if none is named, and a save file for GTKWave (docs/waves.md).",
        metavar="FILE[,FROM,TO]",
        panel=FILES,
    ),
]
Plot = Annotated[Path | None, _option("--plot", text="Draw a picture (.png, .svg, .pdf).", metavar="FILE", panel=FILES)]


RunFile = Annotated[
    Path | None,
    _option(
        "--config",
        text="Take what the command line does not say from this run file (TOML; docs/python.md).",
        metavar="FILE",
        panel=FILES,
    ),
]


Given = dict[str, Any]
"""The settings that the user gave, by name."""


def explicit(ctx: typer.Context) -> set[str]:
    """Return the names of the options that the user gave."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def takes_settings(*but: str, **shown: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each setting, and call it with those that the user gave as its argument `given`.

    Parameters
    ----------
    *but
        Settings that it does not take.
    **shown
        What is shown as a setting's default, where the command finds another.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters
        names = [name for name in Settings.model_fields if name not in but]

        @functools.wraps(command)
        def run(ctx: typer.Context, **values: Any) -> None:
            settings = {name: values.pop(name) for name in names}
            given = {name: value for name, value in settings.items() if name in explicit(ctx)}
            command(given=given, **({"ctx": ctx} if "ctx" in own else {}), **values)

        def option(name: str) -> inspect.Parameter:
            field = Settings.model_fields[name]
            more = {"show_default": shown[name]} if name in shown else {}
            kind = Annotated[field.annotation, _setting(name, **more)]
            return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=kind)

        options = {"ctx": inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)}
        for name, parameter in own.items():
            options |= {s: option(s) for s in names} if name == "given" else {name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)}
        # What Typer makes the options of.
        vars(run)["__signature__"] = inspect.Signature(list(options.values()))
        run.__annotations__ = {name: parameter.annotation for name, parameter in options.items()}
        return run

    return decorate

"""What a sweep is: its runs, from a TOML file or from Python (docs/sweeps.md).

A run is every combination of an entry of `points`, a draw of `random` and a place of the `grid`, each once.
"""

import itertools
import math
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import Any, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backpulse.firmware_py.places import reason
from backpulse.host.array_file import parse_array, self_contained
from backpulse.host.array_map import around
from backpulse.host.checkpoint import MOST_EPOCHS
from backpulse.host.errors import InputError
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.sweep_run import Run, config_of, data_of, prepared, prepared_key, spread_digest
from backpulse.host.tables import count, some, with_nearest

MOST_RUNS = 1_000_000
DIGITS = 4
"""Significant digits of a drawn number: the last bits of a power are those of the C library, and a run is known by its settings."""
TOLD = 8
"""Reasons of refusal that are told one by one."""


class Interval(BaseModel):
    """Where a number is drawn from, both ends included: `{low = 0.01, high = 1.0, log = true}`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    low: int | float
    high: int | float
    log: bool = False
    """Whether its logarithm is uniform."""


class Sweep(BaseModel):
    """Runs to do.

    Parameters
    ----------
    settings : dict
        Values that all runs have in common, by the name of the setting (`Settings`).
    points : list of dict
        Values of some settings, one entry a combination.
    random : dict
        For each setting a list to choose from, or an `Interval`. A setting's draws do not depend on the others', nor on `draws`.
    draws : int
        Draws of `random`.
    draw_seed : int
        Of the draws.
    grid : dict
        For each setting a list of values.
    choose : list of str
        Settings to choose, for each combination of the others, by the mean accuracy on the validation part.
    epochs : int
        Of every run.
    tile : str
        Rows x columns of one tile of the golden model.
    array : str, optional
        Array file (docs/arrays.md) that describes what is behind the tiles.

    Raises
    ------
    InputError
        If there is an unknown name, or a value is none. Whether the runs can be made, `runs` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    settings: dict[str, Any] = Field(default_factory=dict)
    points: list[dict[str, Any]] = Field(default_factory=lambda: [{}], min_length=1)
    random: dict[str, Any] = Field(default_factory=dict)
    draws: int = Field(default=0, ge=0, le=MOST_RUNS)
    draw_seed: int = Field(default=1, ge=0, lt=1 << 32)
    grid: dict[str, Any] = Field(default_factory=dict)
    choose: list[str] = Field(default_factory=list)
    epochs: int = Field(default=5, ge=1, le=MOST_EPOCHS)
    tile: str = "128x32"
    array: str | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(_sentence(error)) from None
        self._check()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file.

        Raises
        ------
        InputError
            If it cannot be read, or is no sweep.
        """
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {reason(error)}: give the TOML file of a sweep") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path} is no TOML: {error}: docs/sweeps.md has examples") from error
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _check(self) -> None:
        where: dict[str, str] = {}
        tables = {
            "settings": self.settings,
            "random": self.random,
            "grid": self.grid,
            "points": dict.fromkeys(itertools.chain(*self.points)),
        }
        for table, named in tables.items():
            for name in named:
                if name not in Settings.model_fields:
                    raise InputError(f"Unknown setting {with_nearest([name], Settings.model_fields)} in {table}: {_NAMES}")
                if name in where:
                    raise InputError(f"The setting {name} stands in {where[name]} and in {table}: leave it in one of them")
                where[name] = table
        for name, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise InputError(f"grid.{name} must be a list of values, as in [0.25, 0.5], not {values!r:.60}")
        if bool(self.draws) != bool(self.random):
            raise InputError("A random draw needs both: draws, how many, and the table random, of what")
        for name in self.choose:
            if name not in where or where[name] == "settings" or name == "seed":
                varied = [name for name, table in where.items() if table != "settings" and name != "seed"]
                told = f"name some of {some(varied)}" if varied else "leave it out"
                raise InputError(f"choose names {name}, which does not vary: {told}")
        for name, given in self.random.items():
            _draw(name, given, 1, 0)

    def __len__(self) -> int:
        """Return how many combinations there are."""
        return len(self.points) * max(1, self.draws) * math.prod(map(len, self.grid.values()))

    def _values(self) -> Iterator[dict[str, Any]]:
        """Yield the settings of every combination; the last setting of the grid changes first."""
        drawn = {name: _draw(name, given, self.draws, self.draw_seed) for name, given in self.random.items()}
        draws = [dict(zip(drawn, values, strict=True)) for values in zip(*drawn.values(), strict=True)] or [{}]
        for point, draw, place in itertools.product(self.points, draws, itertools.product(*self.grid.values())):
            yield {**self.settings, **point, **draw, **dict(zip(self.grid, place, strict=True))}

    def plan(self) -> tuple[list[Run], list[str]]:
        """Return the runs, checked, and what the user should know of the data. Runs that are the same are one. Nothing is trained.

        Raises
        ------
        InputError
            If there are too many runs, or some can never be done: all reasons are told.
        """
        if len(self) > MOST_RUNS:
            raise InputError(f"The sweep has {len(self):,} runs, and at most {MOST_RUNS:,} are possible: give fewer values")
        found: dict[Settings, None] = {}
        refused = _Refusals(len(self))
        for values in self._values():
            with refused.told():
                settings = Settings.from_dict(values)
                if "layers" not in values:
                    settings = settings.fitting(data_of(settings))
                found[settings] = None
        if self.choose and any(not settings.validation for settings in found):
            raise InputError("choose needs a part to choose by: give all runs one with validation, as in validation = 0.2")
        return _checked(list(found), self.epochs, self.tile, array_text(self.array), refused)


def array_text(file: Path | str | None) -> str:
    """Return the text of an array file, which is checked; none if there is no file."""
    if file is None:
        return ""
    text = self_contained(Path(file))
    parse_array(text, str(file))
    return text


def plan(settings: Sequence[Settings], epochs: int, tile: str = "128x32", array: str = "") -> tuple[list[Run], list[str]]:
    """Return the runs of some settings, checked as those of a `Sweep`, and what the user should know of the data.

    `array` is the text of an array file.
    """
    return _checked(settings, epochs, tile, array, _Refusals(len(settings)))


class _Refusals:
    """Why some of `total` runs can never be done."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self._reasons: dict[str, None] = {}

    @contextmanager
    def told(self) -> Iterator[None]:
        """Keep the InputError of a body that checks one run."""
        try:
            yield
        except InputError as error:
            self._count += 1
            self._reasons[str(error)] = None

    def finish(self) -> None:
        """Raise an InputError that tells them all, if there are any."""
        told = list(self._reasons)
        if len(told) == 1 and self._count == self._total:
            raise InputError(told[0])
        if told:
            more = f". And {count(len(told) - TOLD, 'more reason')}" if len(told) > TOLD else ""
            runs = f"{self._count:,} of {self._total:,} run{'' if self._total == 1 else 's'}"
            raise InputError(f"{runs} can never be done, and none is started: {'. '.join(told[:TOLD])}{more}")


def _checked(settings: Sequence[Settings], epochs: int, tile: str, array: str, refused: _Refusals) -> tuple[list[Run], list[str]]:
    """Check networks and data, and return runs and warnings."""
    runs: list[Run] = []
    warnings: dict[str, None] = {}
    looked_at: dict[tuple[object, ...], str | InputError] = {}
    spreads: dict[str, str] = {}
    there = parse_array(array, "The array file") if array else None
    for one in settings:
        run = Run(one if one.schedule == SOFTWARE else one.changed(**around(one.to_dict(), there)), epochs, tile, array=array)
        with refused.told():
            config = config_of(run)
            data = prepared_key(one)
            if data not in looked_at:
                try:
                    found = prepared(one, config.drive_max)
                except InputError as error:
                    looked_at[data] = error
                else:
                    looked_at[data] = found.digest
                    warnings |= dict.fromkeys(found.warnings)
            if isinstance(digest := looked_at[data], InputError):
                raise digest
            if one.spread not in spreads:
                spreads[one.spread] = spread_digest(one.spread)
            runs.append(run.on(digest, spreads[one.spread]))
    refused.finish()
    return runs, list(warnings)


_NAMES = f"settings are {', '.join(Settings.model_fields)}"


def _draw(name: str, given: Any, draws: int, seed: int) -> list[Any]:
    """Return the draws of one setting, from a stream of its own: RandomState's streams are frozen, so they never change."""
    random = np.random.RandomState(int.from_bytes(sha256(f"{seed} {name}".encode()).digest()[:4], "little"))
    if isinstance(given, list) and given:
        return [given[k] for k in random.randint(len(given), size=draws)]
    kind = Settings.model_fields[name].annotation
    whole = int in (get_args(kind) if isinstance(kind, UnionType) else (kind,))
    try:
        interval = Interval.model_validate(given)
        low, high = interval.low, interval.high
        if kind not in (int, float) or not low <= high or (interval.log and low <= 0) or (whole and not isinstance(low + high, int)):
            raise TypeError
    except (TypeError, ValidationError):
        form = "{low = 1, high = 8}" if whole else "{low = 0.01, high = 1.0, log = true}"
        only = f" or an interval as {form}, low at most high, and above 0 with log" if kind in (int, float) else ""
        raise InputError(f"random.{name} must be a list to choose from{only}, not {given!r:.60}") from None
    share = random.random_sample(draws)
    top = high + 1 if whole else high
    drawn = low * (top / low) ** share if interval.log else low + (top - low) * share
    if whole:
        return [min(high, math.floor(value)) for value in drawn]
    return [min(high, max(low, float(f"{value:.{DIGITS}g}"))) for value in drawn]


def _sentence(error: ValidationError) -> str:
    """Return what to tell of a sweep that is none."""
    found = error.errors(include_url=False)
    keys = list(Sweep.model_fields)
    if unknown := [str(e["loc"][0]) for e in found if e["type"] == "extra_forbidden"]:
        return f"Unknown key {with_nearest(unknown, keys)}: keys are {', '.join(keys)}; a setting stands in a table, as in [settings]"
    first = found[0]
    name = str(first["loc"][0])
    limits = {"draws": f"from 0 to {MOST_RUNS:,}", "draw_seed": f"from 0 to {(1 << 32) - 1:,}", "epochs": f"from 1 to {MOST_EPOCHS:,}"}
    if name in limits:
        what = f"a whole number {limits[name]}"
    else:
        what = {
            "tile": "text",
            "array": "the name of an array file",
            "choose": "a list of settings' names",
            "points": "a list of tables",
        }.get(name, "a table of settings")
    return f"{name} must be {what}, not {first['input']!r:.60}"

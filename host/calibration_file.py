"""The calibration of an array as a file: JSON with date, temperature, and what it was measured on, which is checked before it is used."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from backpulse.firmware_py.analog import FACTOR_BITS, GAIN_BITS, OFFSET_BITS, TRIM_BITS, Lines, LineWord
from backpulse.firmware_py.array import Array
from backpulse.firmware_py.places import reason
from backpulse.host.errors import InputError
from backpulse.host.storage import written_whole

FORMAT = "backpulse calibration"
ADVICE = "calibrate the array anew: `backpulse array calibrate`"
OF_ARRAY = ("name", "cells", "wires", "front_end")
"""Tables of an array file that say which array it is."""


def _signed(bits: int) -> Any:
    return Field(ge=-(1 << bits - 1), lt=1 << bits - 1)


class Calibration(BaseModel):
    """What was measured, and of what; lists have a number a line, rows first, then physical columns, then gates."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal["backpulse calibration"] = FORMAT
    version: Literal[1] = 1
    date: Annotated[AwareDatetime, Field(strict=False)]
    temperature: int | None
    """The word by which a converter says it, if one does."""
    array: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """`array_digest` of what it was measured on."""
    name: str
    """The array's."""
    method: str
    """How gains and factors were found, in words."""
    trim: list[Annotated[int, _signed(TRIM_BITS)]]
    offset: list[Annotated[int, _signed(OFFSET_BITS)]]
    gain: list[Annotated[int, Field(ge=0, lt=1 << GAIN_BITS)]]
    factor: list[Annotated[int, _signed(FACTOR_BITS)]]

    @property
    def text(self) -> str:
        """The file's content."""
        return self.model_dump_json(indent=1) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    @property
    def number(self) -> int:
        """What ArrayWord.CALIBRATION names it by: the digest's first 32 bits."""
        return int(self.digest[:8], 16) or 1

    @property
    def tables(self) -> dict[LineWord, np.ndarray]:
        """The tables as the tile takes them: int64 of shape (lines) by name."""
        return {at: np.array(getattr(self, at.name.lower()), np.int64) for at in LineWord}

    def save(self, path: str | Path) -> None:
        """Write the file."""
        with written_whole(Path(path), "calibration") as file:
            file.write(self.text.encode())

    def check(self, path: Path, array: str, days: float, now: datetime | None = None) -> None:
        """Refuse it for another array than that of a digest, and if it is older than so many days.

        Raises
        ------
        InputError
            If it may not be used; no line is driven then.
        """
        if self.array != array:
            raise InputError(
                f"The calibration {path} was measured on another array ({self.name or 'without a name'}), or another board or [cells], "
                f"[wires] or [front_end] than the array file has now: {ADVICE}"
            )
        age = (now or datetime.now(UTC)) - self.date
        if age > timedelta(days=days):
            raise InputError(
                f"The calibration {path} is {age / timedelta(days=1):.1f} days old, and may be {days:g} (--calibration-age): {ADVICE}"
            )
        if age < -timedelta(days=1):
            raise InputError(f"The calibration {path} is dated {self.date:%Y-%m-%d}, which is to come: set the clock, or {ADVICE}")


def read_calibration(path: Path) -> Calibration:
    """Read a calibration.

    Raises
    ------
    InputError
        If the file cannot be read, or is none.
    """
    try:
        text = path.read_text("utf-8")
        found = Calibration.model_validate_json(text)
    except OSError as error:
        raise InputError(f"The calibration {path} cannot be read: {reason(error)}: {ADVICE}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no calibration: {ADVICE}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(map(str, first["loc"])) or "it"
        raise InputError(f"{path} is no calibration that this version knows ({at}: {first['msg']}): {ADVICE}") from None
    counts = {len(getattr(found, at.name.lower())) for at in LineWord}
    if len(counts) != 1:
        raise InputError(f"{path} is no calibration: its lists have {', '.join(map(str, sorted(counts)))} numbers: {ADVICE}")
    return found


def array_digest(array: Array, lines: Lines, front_end: int) -> str:
    """Return what tells arrays apart: SHA-256 of what the array file says that it is, and of the board's lines and front end."""
    tables = array.model_dump(mode="json", include=set(OF_ARRAY))
    about = {**tables, "reference": array.read.reference, "lines": lines.to_word(), "front_end_kind": front_end}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

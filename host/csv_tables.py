"""Results as CSV: lines with # say what they are of, then the columns' names, then the numbers."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backpulse.host.storage import written_whole
from backpulse.host.terminal import plain


def write_table(path: Path, about: Mapping[str, Any], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path : Path
    about : mapping
        What it is of, a line each: names and values.
    columns : sequence of str
    rows : iterable of sequences
        Floating-point numbers are written with six digits.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    text = io.StringIO()
    for name, value in {**about, "date": now()}.items():
        text.write(f"# {name}: {plain(str(value))}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    with written_whole(path, "table") as file:
        file.write(text.getvalue().encode())


def now() -> str:
    """Return date and time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Standard output and standard error as they are found: closed, full, a pipe whose reader has gone, in an encoding without our signs.

None of it ends a command: what cannot be written is dropped, so that the other results are there, and the loss is told at the end.
"""

import codecs
import errno
import io
import os
import select
import sys
from typing import TextIO

from backpulse.host.errors import StorageError

_SIGNS = {"±": "+-", "…": "...", "·": "-", "×": "x", "—": "-", "•": "*", **dict(zip("▁▂▃▄▅▆▇█", "12345678", strict=True))}
"""What stands for signs that an encoding lacks."""
_BOX = range(0x2500, 0x2580)
_BYTES = range(0xDC80, 0xDD00)
"""How Python keeps the bytes of a file's name that are no text (PEP 383)."""


class _Dropping(io.FileIO):
    """A stream's bytes. What cannot be written is dropped, and the first reason kept."""

    lost: OSError | None = None

    def write(self, data: object, /) -> int:  # type: ignore[override] - the base's type is that of any buffer
        try:
            while (written := super().write(data)) is None:  # type: ignore[arg-type] - likewise
                select.select([], [self], [])  # another program has set the terminal to wait for nothing
            return written
        except OSError as error:
            self.lost = self.lost or error
            return memoryview(data).nbytes  # type: ignore[arg-type] - likewise


def guard() -> None:
    """Make standard output and standard error safe to write to. Those that are no files, as in tests, only lose no sign."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number: else a result's file or a port would become standard output
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        stream.reconfigure(errors="backpulse")
        if type(_raw(stream)) is io.FileIO:
            stream.flush()
            raw = _Dropping(stream.fileno(), "w", closefd=False)
            safe = io.TextIOWrapper(
                io.BufferedWriter(raw) if hasattr(stream.buffer, "raw") else raw,  # type: ignore[arg-type] - as Python does unbuffered
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, safe)


def finish() -> None:
    """Write what is still to be written to standard output.

    Raises
    ------
    StorageError
        If something was lost there, but for a reader who had enough, as `head` has.
    """
    if sys.stdout is None:
        return
    sys.stdout.flush()
    raw = _raw(sys.stdout)
    if isinstance(raw, _Dropping) and raw.lost and raw.lost.errno != errno.EPIPE:
        raise StorageError.of("Standard output", raw.lost)


def _raw(stream: TextIO) -> object:
    """Return what writes the bytes of a stream: with python -u there is nothing between."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def plain(text: str) -> str:
    """Return a text that every program takes: bytes of a file's name that are no text, and control characters, are spelled out."""
    return "".join(c if c.isprintable() else _spelled(c) for c in text)


def _spelled(sign: str) -> str:
    code = ord(sign)
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if code in _BOX:
        return {"─": "-", "━": "-", "│": "|", "┃": "|"}.get(sign, "+")
    return _SIGNS.get(sign) or sign.encode("unicode_escape").decode()


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


codecs.register_error("backpulse", _replace)

"""A cache of a test's own, and what befalls caches."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backpulse.firmware_py import places


def damages(data: bytes, bits: int = 3) -> Iterator[bytes]:
    """Yield a file's bytes emptied, halved, one byte short, and with one bit flipped at so many places from end to end."""
    if not data:  # as a lock is
        yield b"words"
        return
    yield b""
    yield data[: len(data) // 2]
    yield data[:-1]
    for i in range(bits):
        at = i * (len(data) - 1) // max(bits - 1, 1)
        yield data[:at] + bytes([data[at] ^ 1 << i % 8]) + data[at + 1 :]


@contextmanager
def full(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as where a disk is full or a quota used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def only_cache(monkeypatch: pytest.MonkeyPatch, home: Path | str) -> Path:
    """Make `home` the only folder that can hold caches: nothing else is looked at, or emptied; return where they lie."""
    monkeypatch.setattr(places, "_TEMPORARY", ())
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return Path(home) / "backpulse"

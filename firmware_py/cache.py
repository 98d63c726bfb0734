"""What is kept between runs: compiled kernels, virtual boards, builds, what the tools keep. All of it can be made again.

An entry is used only if it is whole (its digest says so) and nobody but the user could write it: much of what lies here is executed.
Anything else is made anew, over it.
"""

import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from backpulse.firmware_py.places import NAME, OTHERS, CacheError, exposed, lock, make, places, trouble, usable, work_in

__all__ = ["awaited", "find", "read", "sealed", "shared", "store", "write"]

_SEAL = "seal"
_PARTIAL = f".{NAME}-"
_HEAD_MOST = 128
"""More bytes than the line before an entry has."""
_STALE_S = 60.0
"""Age at which a half-written file is that of a killed command: writing one takes milliseconds."""
_OLD_NS = 2_000_000_000
"""Age at which a file's times tell it from what it may be written over with: clocks of file systems tick in up to two seconds."""
_PATIENCE_S = 60.0
"""Longer than what is awaited takes: a compilation of some seconds."""
_known: dict[tuple[int, ...], str] = {}
"""Digests of files, by what changes when they do: a tool's machine code of 230 MB is read once in a process, not three times a call."""


def find(name: str) -> Path | None:
    """Return a stored folder that can be trusted, or None."""
    return next((folder for place in places() if sealed(folder := place / name)), None)


def read(name: str) -> bytes | None:
    """Return what was written under a name, if it can be trusted, or None."""
    for place in places():
        if (data := _read(place / name)) is not None:
            return data
    return None


def write(name: str, data: bytes) -> bool:
    """Keep bytes under a name, whole or not at all; return whether some place took them."""
    for place in places():
        path = place / name
        with suppress(OSError):
            if trouble(place) is None:
                make(path.parent)
                _sweep(path.parent)
                _write(path, data)
                return True
    return False


def awaited(name: str, alone: ExitStack) -> bytes | None:
    """Return what was written under a name, if it can be trusted; or None, and then others that want it wait for this process to write it.

    Parameters
    ----------
    name
        Name of the entry.
    alone
        Is closed, and holds them back until it is closed again; but a minute at most, as who holds them may have been stopped, and not at
        all where there is no cache.
    """
    alone.close()
    if (data := read(name)) is None:
        with suppress(CacheError, OSError):
            path = next(usable()) / f"{name}.lock"
            alone.enter_context(lock(path, patience_s=_PATIENCE_S))
            alone.callback(_remove, path)
            if (data := read(name)) is not None:
                alone.close()
    return data


def store(work: Path, name: str, files: list[str], *, programs: bool = False) -> Path:
    """Copy a folder into the cache under a name, in the place of what is there; return its new path.

    Parameters
    ----------
    work
        The folder.
    name
        Name of the entry.
    files
        Those of its files that are trusted later: `find` looks at their digests.
    programs
        Whether programs in it are to run.

    Raises
    ------
    CacheError
        If no place takes it.
    """
    refused: CacheError | None = None
    for place in usable(programs=programs):
        folder = place / name
        try:
            with work_in(place) as stage:
                moved = stage / folder.name
                shutil.copytree(work, moved)
                _seal(moved, files)
                make(folder.parent)
                shutil.rmtree(folder, ignore_errors=True)
                moved.rename(folder)
                return folder
        except OSError as error:
            refused = refused or CacheError.of(folder, error)
    assert refused is not None
    raise refused


@contextmanager
def shared(name: str, *, room: int = 0) -> Iterator[Path]:
    """Give a folder in the cache that other programs keep things in; what is there is whole, and nobody but the user's.

    Of two that want it for the first time the second waits for the first: what is not yet sealed it would have removed and made anew.

    Raises
    ------
    CacheError
        If no place can be used.
    """
    folder = next(usable(room=room)) / name
    with ExitStack() as first:
        try:
            make(folder)
            if not sealed(folder):
                first.enter_context(lock(folder.with_name(f"{folder.name}.lock")))
            _weed(folder)
        except OSError as error:
            raise CacheError.of(folder, error) from error
        yield folder  # what an interrupted program left may be half: it is not sealed, and made anew the next time
        with suppress(OSError):
            _seal(folder, [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != _SEAL])


def sealed(folder: Path) -> bool:
    """Say whether a stored folder is whole, and nobody but the user can have written it."""
    digests = _digests(folder)
    return bool(digests) and all(digest and _digest(folder / file) == digest for file, digest in digests.items())


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file that only this user could write; for any other there is a PermissionError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & OTHERS:
            raise PermissionError(f"{path} may be another user's")
        yield file


def _digest(path: Path) -> str | None:
    """Return the digest of a file that can be trusted, or None."""
    try:
        with _opened(path) as file:
            status, now = os.fstat(file.fileno()), time.time_ns()
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if key in _known:
                return _known[key]
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if 0 <= status.st_ctime_ns < now - _OLD_NS:
                _known[key] = digest
            return digest
    except OSError:
        return None


def _digests(folder: Path) -> dict[str, str]:
    """Return what the seal of a folder says, by file; nothing if there is no seal that can be trusted."""
    try:
        text = None if exposed(folder) else _read(folder / _SEAL)
    except OSError:
        return {}
    return json.loads(text) if text else {}


def _read(path: Path) -> bytes | None:
    """Return what `_write` wrote, if it is whole and nobody else could write it, or None."""
    try:
        with _opened(path) as file:
            head, data = file.readline(_HEAD_MOST), file.read()
    except OSError:
        return None
    return data if head == _head(path, data) else None


def _write(path: Path, data: bytes) -> None:
    """Write a file under another name, and rename it."""
    handle, partial = tempfile.mkstemp(prefix=_PARTIAL, dir=path.parent)  # for this user alone, whatever the umask
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_head(path, data) + data)
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise


def _head(path: Path, data: bytes) -> bytes:
    """Return the line before an entry's bytes. It names the entry too, so that none is taken for another: a seal by its folder."""
    name = "/".join(path.parts[-2:])
    return f"{NAME} {hashlib.sha256(name.encode() + bytes(1) + data).hexdigest()}\n".encode()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _sweep(folder: Path) -> None:
    """Remove half-written files of killed commands; one that is still being written is then not kept, and made again."""
    for partial in folder.glob(f"{_PARTIAL}*"):
        with suppress(OSError):
            if time.time() - partial.stat().st_mtime > _STALE_S:
                partial.unlink()


def _weed(folder: Path) -> None:
    """Remove from a folder what its seal does not know, or others could write."""
    digests = _digests(folder)
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # removed with its folder, or by another process
            if path.is_dir() and not path.is_symlink():
                if exposed(path):
                    shutil.rmtree(path)
            elif path.name != _SEAL and (_digest(path) or "") != digests.get(str(path.relative_to(folder))):
                path.unlink()


def _seal(folder: Path, files: list[str]) -> None:
    """Make a folder the user's alone, and write the digests of files into it."""
    for path in (folder, *(folder / file for file in files)):
        if (mode := stat.S_IMODE(path.stat().st_mode)) & OTHERS:  # else its times stay, and what is known of it
            path.chmod(mode & ~OTHERS)
    _write(folder / _SEAL, json.dumps({file: _digest(folder / file) for file in files}).encode())

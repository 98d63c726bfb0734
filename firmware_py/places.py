"""Where caches may lie, and folders to work in.

A cache lies in the user's cache folder, or, where that takes nothing, in a folder of the user's among the temporary files.
"""

import errno
import fcntl
import math
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

__all__ = [
    "NAME",
    "OTHERS",
    "CacheError",
    "clear",
    "exposed",
    "is_plain",
    "lock",
    "make",
    "places",
    "reason",
    "size",
    "trouble",
    "usable",
    "work",
    "work_in",
]

NAME = "backpulse"
OTHERS = stat.S_IWGRP | stat.S_IWOTH
"""Permissions that let others write."""
_WORK = "work"
_TEMPORARY = ("/tmp", "/var/tmp")
_LOOK_S = 0.02
"""Time between two looks at a lock."""
_ADVICE = "set XDG_CACHE_HOME to a folder of yours"


class CacheError(RuntimeError):
    """A cache that something needs and that cannot be written; the message is one sentence."""

    @classmethod
    def of(cls, folder: Path, error: OSError) -> "CacheError":
        """Return the sentence of an operating system's error in a folder."""
        culprit = error.filename if isinstance(error.filename, str) else folder
        full = error.errno in (errno.ENOSPC, errno.EDQUOT) or isinstance(error, shutil.Error)
        advice = f"make room there, or {_ADVICE}" if full else _ADVICE
        return cls(f"{culprit} cannot be written: {reason(error)}: {advice}")


def places() -> list[Path]:
    """Return the folders that may hold caches, whether they are there or not, the preferred one first.

    XDG_CACHE_HOME moves it, or else HOME; TMPDIR moves the second. There may be none, where there is no home and no temporary folder.
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # as the XDG base directory specification has it
        home = os.path.join(os.path.expanduser("~"), ".cache")  # a user without a home keeps the ~
    # Not tempfile's choice: where nothing else can be written that is the current folder.
    temporary = [folder for folder in (os.environ.get("TMPDIR", ""), *_TEMPORARY) if os.access(folder, os.W_OK | os.X_OK)]
    found = [os.path.join(home, NAME), *(os.path.join(folder, f"{NAME}-{os.geteuid()}") for folder in temporary)]
    return [Path(folder) for folder in dict.fromkeys(found) if os.path.isabs(folder)]


def trouble(folder: Path, *, programs: bool = False, room: int = 0) -> str | None:
    """Say why nothing can be kept in a folder, or return None; it is made if need be.

    Parameters
    ----------
    folder
        One of `places`.
    programs
        Whether programs must run from it.
    room
        Bytes that must be free.
    """
    try:
        make(folder)
        if others := exposed(folder):
            return others
        tempfile.TemporaryFile(dir=folder).close()
        system = os.statvfs(folder)
    except OSError as error:
        return reason(error)
    if programs and system.f_flag & getattr(os, "ST_NOEXEC", 0):
        return "no program may run there (noexec)"
    free = system.f_bavail * system.f_frsize
    return f"it has {free / 1e6:.1f} MB free, and {room / 1e6:.0f} are needed" if free < room else None


def usable(*, programs: bool = False, room: int = 0) -> Iterator[Path]:
    """Yield the places that something can be kept in, as they are asked for.

    Raises
    ------
    CacheError
        If there is none.
    """
    refused = []
    found = False
    for folder in places():
        if why := trouble(folder, programs=programs, room=room):
            refused.append(f"{folder}: {why}")
        else:
            found = True
            yield folder
    if not found:
        raise CacheError(f"There is no folder for caches ({'; '.join(refused) or 'no home and no temporary folder'}): {_ADVICE}")


@contextmanager
def work(*, room: int = 0) -> Iterator[Path]:
    """Make a folder to compile in, in the first place that can be used, and remove it at the end.

    Its path has no spaces or other signs that make does not take. What killed commands have left there is removed first.

    Raises
    ------
    CacheError
        If no place can be used, or it can no longer be.
    """
    refused = []
    for folder in usable(room=room):
        if is_plain(folder):
            break
        refused.append(str(folder))
    else:
        raise CacheError(f"make takes no path with spaces or signs such as $ ({', '.join(refused)}): set TMPDIR to a folder without them")
    try:
        with work_in(folder) as made:
            yield made
    except OSError as error:
        raise CacheError.of(folder, error) from error


def is_plain(path: Path) -> bool:
    """Say whether make takes a path as it is."""
    return re.fullmatch(r"[\w/.,@+=-]+", str(path)) is not None


@contextmanager
def lock(path: Path, waiting: Callable[[], None] = lambda: None, *, patience_s: float = math.inf) -> Iterator[None]:
    """Hold a lock file, so that of two makers of one thing the second waits for the first, and says so by `waiting`.

    It waits no longer than its patience, and then goes on without the lock.

    Raises
    ------
    OSError
        If there can be no such file.
    """
    make(path.parent)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+b") as file:
        if not _lock(file):
            waiting()
            until = time.monotonic() + patience_s
            while not _lock(file) and time.monotonic() < until:
                time.sleep(_LOOK_S)
        yield


def clear() -> tuple[int, list[str]]:
    """Empty all places; return how many bytes that freed, and a sentence for each place where something stays."""
    freed, stays = 0, []
    for place in filter(Path.is_dir, places()):
        if why := exposed(place, mend=False):
            stays.append(f"{place} stays: {why}")
            continue
        before, left = size(place), []
        for entry in place.iterdir():
            try:
                if entry.name == _WORK:
                    _remove_left(entry)
                elif entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            except OSError as error:
                left.append(f"{entry} stays: {reason(error)}")
        stays += left[:1]  # the next ones have the same reason
        freed += before - size(place)
    return freed, stays


def make(folder: Path) -> None:
    """Make a folder, and those that it lies in, for this user alone, whatever the umask."""
    if not folder.is_dir():
        make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    total = 0
    for path, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, file)).st_size
    return total


def exposed(folder: Path, *, mend: bool = True) -> str | None:
    """Say who else can put files into a folder, or return None; permissions that are too wide are mended.

    What others had put there is known by its owner.
    """
    status, link = folder.stat(), folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "it is no folder"
    if {status.st_uid, link.st_uid} != {os.geteuid()}:
        return "it belongs to another user"
    for above in folder.absolute().parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"everybody can replace it, as {above} is open to all"
    if status.st_mode & OTHERS and mend:
        folder.chmod(0o700)
        if folder.stat().st_mode & OTHERS:  # as on a file system that knows no permissions
            return "others can write to it"
    return None


@contextmanager
def work_in(place: Path) -> Iterator[Path]:
    """Make such a folder in a certain place."""
    home = place / _WORK
    with lock(home / "lock"):
        _remove_left(home)
        folder = Path(tempfile.mkdtemp(dir=home))
        held = (folder / "lock").open("w")
        _lock(held)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        held.close()


def _remove_left(home: Path) -> None:
    """Remove the work folders whose makers are no more: nobody holds their locks."""
    for left in home.iterdir():
        if left.is_dir():
            try:
                with (left / "lock").open("a") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
            except OSError:  # it is held
                continue


def _lock(file: IO[Any]) -> bool:
    """Lock a file; return False if another holds it. A file system that knows no locks has one maker at a time, as a rule."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF):
            raise
    return True


def reason(error: OSError) -> str:
    """Return the words of the operating system for an error, without a capital."""
    if isinstance(error, shutil.Error):  # a list of files, each with its reason as a text
        return str(error.args[0][0][2]).lower()
    return (error.strerror or str(error)).lower()

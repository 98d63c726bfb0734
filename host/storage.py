"""Files that are written whole or not at all, and tried before the work of which they are the result."""

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from backpulse.firmware_py.places import reason
from backpulse.host.errors import InputError, StorageError

ROOM_BYTES = 1 << 16
"""What a folder must have room for before a run: a picture, or the checkpoint of a small network."""


def check_writable(path: Path) -> None:
    """Refuse, before a long run, what `written_whole` could not write after it: it is tried with a file that has no name.

    Raises
    ------
    InputError
        If the path is a folder or no regular file (a device, a pipe), its folder is not there, or the system refuses to write.
    """
    try:
        _check_folder(path)
        target = _target(path)
        _check_folder(target)
        if target.exists() and not os.access(target, os.W_OK):
            raise InputError(f"{path} is protected from writing: give another name, or allow it with chmod u+w")
        with tempfile.TemporaryFile(dir=target.parent) as probe:
            probe.write(bytes(ROOM_BYTES))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {reason(error)}: choose another name or folder") from error


@contextmanager
def written_whole(path: Path, what: str) -> Iterator[BinaryIO]:
    """Give the body a file to write, which replaces an older one only when it is whole and on the disk.

    A symbolic link stays, and the file behind it is replaced. An older file's permissions are kept.

    Parameters
    ----------
    path : Path
    what : str
        What it is, for the sentence, as in "checkpoint".

    Raises
    ------
    StorageError
        If it cannot be written, or what is there is no regular file; what was there is as it was.
    """
    try:
        try:
            target = _target(path)
        except InputError as error:
            raise StorageError(str(error)) from error
        # Made anew under a name that nobody can foresee: no link laid there beforehand can lead elsewhere.
        partial = target.with_name(f".backpulse-{secrets.token_hex(16)}")
        with partial.open("xb") as file:
            try:
                with suppress(FileNotFoundError):
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
                partial.replace(target)
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                raise
        _sync_folder(target.parent)
    except OSError as error:
        raise StorageError.of(f"The {what} {path}", error) from error


def _check_folder(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the name of a file")
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no folder {path.parent} for {path.name}: make it first")


def _target(path: Path) -> Path:
    """Return the file behind a path's links, which need not be there yet; refuse what is there and no regular file."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} is no regular file: give the name of a file")
    return Path(os.path.realpath(path))


def _sync_folder(folder: Path) -> None:
    """Bring the folder's entry of the new file to the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that knows no such thing
            raise
    finally:
        os.close(handle)

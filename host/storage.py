"""Replacing a checkpoint's file whole or not at all."""

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from .errors import InputError, StorageError
from .output import check_folder


def check_replaceable(path: Path) -> None:
    """Refuse, before a long run, what `replace` could not replace after it.

    Raises
    ------
    InputError
        If it is there and no regular file (a device, a pipe), or its folder is not there or not writable.
    """
    check_folder(path)
    try:
        target = _target(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
    check_folder(target)
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"The folder {target.parent} is not writable: choose another for {path.name}")


def replace(path: Path, data: bytes) -> None:
    """Write a file, replacing an older one only when the new one is whole and on the disk.

    A symbolic link stays, and the file behind it is replaced. An older file's permissions are kept.

    Raises
    ------
    InputError
        If what is there is no regular file.
    StorageError
        If it cannot be written; what was there is as it was.
    """
    try:
        target = _target(path)
        # Made anew under a name that nobody can foresee: no link laid there beforehand can lead elsewhere.
        partial = target.with_name(f".backpulse-{secrets.token_hex(16)}")
        with partial.open("xb") as file:
            try:
                with suppress(FileNotFoundError):
                    os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                partial.replace(target)
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                raise
        _sync_folder(target.parent)
    except OSError as error:
        raise StorageError.of(f"The checkpoint {path}", error) from error


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

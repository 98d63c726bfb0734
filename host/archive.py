"""The container of a checkpoint: a `.npz` whose manifest comes first and whose last bytes are the SHA-256 of all the others.

Nothing of a file is used before that digest is found right, so a changed bit, a missing or an added byte anywhere is found, whatever part
of the ZIP it is in. Members are stored, never compressed: what a file claims, its own bytes must hold. The format is told in
docs/checkpoints.md.
"""

import hashlib
import io
import json
import os
import struct
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

MANIFEST = "manifest.json"
"""Name of the first member."""
DIGEST_CHARS = 64
"""Last bytes of a file, which are also the ZIP's comment: the SHA-256 of all bytes before them, in lower-case hexadecimal."""
MOST_FILE = 5 << 28
"""Largest file that is looked at; cells and spread words of the largest configuration with the table device take 1.08 GB."""
MOST_MANIFEST = 3 << 20
"""Largest manifest: 65,536 classes of 40 letters, say. Read as JSON the worst of this size takes 80 MB."""
OPTIONAL = "optional"
"""What a reader need not know: a manifest's field of this name, and arrays whose names begin with it."""

Kind = tuple[str, tuple[int, ...]]
"""Type (as in a `.npy` header) and shape of an array."""

_MEMBER, _DIRECTORY = b"PK\3\4", b"PK\1\2"
"""What a member, and the directory behind the last one, begins with."""
_LOCAL = struct.Struct("<4s5H3L2H")
"""A member's header: signature, version, flags, method, time, date, CRC, bytes stored, bytes, bytes of its name, bytes of extra fields."""
_MOST_HEADER = 256
"""Largest header of a `.npy` array."""
_CHUNK = 1 << 20
_VERSION_1 = b"cells.npy", b"head.npy"
"""First and last member of a checkpoint of version 1, which had neither manifest nor digest."""


class DamagedError(ValueError):
    """What is read is no archive, or no longer the one that was written; the message is the reason, to stand in brackets."""


def encode(fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Return the bytes of an archive.

    Parameters
    ----------
    fields : dict
        Plain JSON; `arrays` is added to it.
    arrays : dict of ndarray
        By name, in little-endian types.

    Raises
    ------
    ValueError
        If it would be too large to be read, or the fields hold a number that is not finite.
    """
    members = {name: _npy(array) for name, array in arrays.items()}
    listed = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for (name, array), content in zip(arrays.items(), members.values(), strict=True)
    }
    manifest = json.dumps({**fields, "arrays": listed}, allow_nan=False).encode()
    if len(manifest) > MOST_MANIFEST:
        raise ValueError(f"names of columns and classes and what else is no array may take {MOST_MANIFEST:,} bytes, not {len(manifest):,}")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = bytes(DIGEST_CHARS)
        archive.writestr(zipfile.ZipInfo(MANIFEST), manifest)  # ZipInfo: without the time of day
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content)
    if file.tell() > MOST_FILE:
        raise ValueError(f"a checkpoint may have {MOST_FILE:,} bytes, not {file.tell():,}")
    return sign(file.getvalue())


def sign(data: bytes) -> bytes:
    """Return an archive's bytes with the digest at their end made right."""
    content = memoryview(data)[:-DIGEST_CHARS]
    return b"".join((content, hashlib.sha256(content).hexdigest().encode()))


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return file.getvalue()


class Archive:
    """An archive that was read and found whole; a context that closes the file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DamagedError
        If it is no archive or not as it was written.
    ValueError
        If it is a checkpoint of version 1.
    OSError
        If the file cannot be read.
    """

    manifest: dict[str, Any]
    """The fields, with what `arrays` says of the arrays."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            self._read_manifest()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _read_manifest(self) -> None:
        """Check all bytes, keep the manifest, and go to what follows it."""
        file = self._file
        self._size = file.seek(0, os.SEEK_END)
        left = self._size - DIGEST_CHARS
        if not 0 < left <= MOST_FILE:
            raise DamagedError(f"it has {self._size:,} bytes")
        file.seek(left)
        end = file.read(DIGEST_CHARS)
        file.seek(0)
        start = file.read(min(left, _LOCAL.size + len(MANIFEST) + MOST_MANIFEST))
        if start[_LOCAL.size :].startswith(_VERSION_1[0]) and _VERSION_1[1] in end:
            raise ValueError("it has version 1, which this program does not read: go on with the one that made it, or start again")
        if not (start.startswith(_MEMBER) and start[_LOCAL.size :].startswith(MANIFEST.encode())):
            raise DamagedError("it does not begin as one")
        digest = hashlib.sha256(start)
        left -= len(start)
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
        if left or end != digest.hexdigest().encode():
            raise DamagedError("its bytes do not give the SHA-256 at its end")
        # The manifest is taken from the very bytes that were digested, and the arrays' own digests are in it.
        begun = io.BytesIO(start)
        raw = begun.read(_member(begun, MANIFEST, len(start)))
        try:
            self.manifest = json.loads(raw.decode(), parse_constant=_no_constant, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise DamagedError("its manifest is no JSON") from error
        if not (isinstance(self.manifest, dict) and isinstance(self.manifest.get("arrays"), dict)):
            raise DamagedError("its manifest lists no arrays")
        file.seek(begun.tell())

    def arrays(self, kinds: dict[str, Kind]) -> dict[str, np.ndarray]:
        """Return the arrays, which must be those named, each of its kind; to be called once.

        Raises
        ------
        ValueError
            If one is missing, unknown or of another kind. Nothing is allocated for it then.
        DamagedError
            If the file does not hold what its manifest says.
        """
        listed: dict[str, Any] = self.manifest["arrays"]
        if missing := set(kinds) - set(listed):
            raise ValueError(f"it has no array {min(missing)}")
        found = {}
        for name, entry in listed.items():
            if name in kinds:
                found[name] = self._array(name, entry, kinds[name])
            elif name.startswith(OPTIONAL):
                self._file.seek(_member(self._file, f"{name}.npy", self._size), os.SEEK_CUR)
            else:
                raise ValueError(f"it has an array {name!a:.50}, which this version does not know")
        if self._file.read(4) != _DIRECTORY:
            raise DamagedError("it has members that its manifest does not list")
        return found

    def _array(self, name: str, entry: object, kind: Kind) -> np.ndarray:
        dtype, shape = kind
        if not isinstance(entry, dict) or (entry.get("dtype"), entry.get("shape")) != (dtype, list(shape)):
            found = f"{entry.get('dtype')!a:.20} {entry.get('shape')!a:.50}" if isinstance(entry, dict) else f"{entry!a:.50}"
            raise ValueError(f"array {name} must be of type {dtype} and shape {list(shape)}, not {found}")
        count = int(np.prod(shape))
        size = count * np.dtype(dtype).itemsize
        member = self._file.read(_member(self._file, f"{name}.npy", size + _MOST_HEADER))
        if hashlib.sha256(member).hexdigest() != entry.get("sha256") or len(member) != entry.get("bytes"):
            raise DamagedError(f"array {name} does not give its SHA-256")
        header = io.BytesIO(member)
        try:
            version = np.lib.format.read_magic(header)
            said = np.lib.format.read_array_header_1_0(header, max_header_size=_MOST_HEADER)
        except (ValueError, TypeError, KeyError, IndexError, SyntaxError) as error:
            raise DamagedError(f"array {name} has no header") from error
        if version != (1, 0) or said != (shape, False, np.dtype(dtype)) or len(member) - header.tell() != size:
            raise DamagedError(f"array {name} has another header than its manifest says")
        return np.frombuffer(member, dtype, count, header.tell()).reshape(shape).copy()


def _member(file: io.BufferedIOBase, name: str, most: int) -> int:
    """Read the header of the next member and return its bytes, which the file still has."""
    header = file.read(_LOCAL.size + len(name.encode(errors="replace")))
    size = 0
    if len(header) > _LOCAL.size:
        signature, _, flags, method, _, _, _, stored, size, _, extra = _LOCAL.unpack(header[: _LOCAL.size])
        plain = signature == _MEMBER and not (flags or method or extra) and stored == size
        if plain and header[_LOCAL.size :] == name.encode(errors="replace") and size <= most:
            here = file.tell()
            if size <= file.seek(0, os.SEEK_END) - here:
                file.seek(here)
                return size
    raise DamagedError(f"{name!a:.50} is not where it should be, or not as large")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("A name comes twice")
    return values

"""The file of a trace: chunks with checksums that are appended as they come, so that every prefix can be read (docs/trace.md)."""

import binascii
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from backpulse.firmware_py.config import ABI_VERSION, Config
from backpulse.firmware_py.places import reason
from backpulse.firmware_py.registers import Counter
from backpulse.host.errors import InputError, StorageError

MAGIC = b"BKPLTRC1"
"""What a file begins with; the digit is the format's version."""
MOST_BYTES = (1 << 24) - 1
"""Most bytes of a chunk."""
_HEAD = struct.Struct("<I")
_BEHIND = 4
"""Bytes of a checksum."""
REST_WORDS = 2 + len(Counter)
"""Words of a REST: STATE, FAULT, counters."""


class Chunk(IntEnum):
    """Kinds of chunk."""

    HEADER = 1
    LISTING = 2
    BEFORE = 3
    WRITE = 4
    START = 5
    GRANT = 6
    HALT = 7
    ABORT = 8
    UNITS = 9
    REST = 10
    READ = 11
    RESULTS = 12
    OUTPUTS = 13
    END = 14


class TraceWriter:
    """Appends chunks to a new file; nothing is ever written over.

    A chunk is a word, kind and length of the payload (24 bits, above the 8 of the kind), a checksum, the payload, and a checksum. Each
    checksum is the CRC-32 of all bytes of the file before it but the checksums.

    Raises
    ------
    InputError
        If the file is there, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: BinaryIO = path.open("xb")
        except FileExistsError as error:
            raise InputError(f"{path} is there, and a trace is never written over: give it another name") from error
        except OSError as error:
            raise InputError(f"The trace {path} cannot be made: {reason(error)}: choose another name or folder") from error
        self._crc = 0
        self._put(MAGIC)

    def write(self, kind: Chunk, payload: bytes = b"") -> None:
        """Append a chunk; StorageError if it cannot be written."""
        self._put(_HEAD.pack(kind | len(payload) << 8), checked=True)
        self._put(payload, checked=True)

    def write_json(self, kind: Chunk, value: dict[str, Any]) -> None:
        """Append a chunk of JSON."""
        self.write(kind, json.dumps(value, separators=(",", ":")).encode())

    def _put(self, data: bytes, *, checked: bool = False) -> None:
        self._crc = binascii.crc32(data, self._crc)
        try:
            self._file.write(data + (_HEAD.pack(self._crc) if checked else b""))
            self._file.flush()
        except OSError as error:
            raise StorageError.of(f"The trace {self.path}", error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class TraceFile:
    """What a file holds."""

    header: dict[str, Any]
    config: Config
    events: list[tuple[Chunk, bytes, int]] = field(default_factory=list)
    """Chunks but header and units, and how many units stand before each."""
    units: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint16))
    """All units: uint16."""
    ended: bool = False
    """Whether the recording was ended; else the file is the beginning of one."""


def read_trace(path: Path) -> TraceFile:
    """Return what the file of a trace holds, up to a chunk that is not whole.

    Raises
    ------
    InputError
        If there is no such file, it is no trace, of another version, or damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"The trace {path} cannot be read: {reason(error)}") from error
    return parsed(path, data)


def parsed(path: Path, data: bytes) -> TraceFile:
    """Return what the bytes of a file hold, as `read_trace` does; `path` is what messages call it."""
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data[: len(MAGIC)]):
            raise InputError(f"{path} ends within its first {len(MAGIC)} bytes: nothing was recorded")
        if data.startswith(MAGIC[:-1]):
            raise InputError(f"{path} is a trace of version {data[len(MAGIC) - 1 : len(MAGIC)]!r}, and this program reads {MAGIC[-1:]!r}")
        raise InputError(f"{path} is no trace: it begins with {data[: len(MAGIC)]!r}, not {MAGIC!r}")
    found: TraceFile | None = None
    units: list[np.ndarray] = []
    count = 0
    for at, number, payload in _chunks(path, data):
        where = f"{path}, chunk at byte {at}"
        if number not in set(Chunk):
            raise InputError(f"{where} is of kind {number}, which this version does not know: use the version that made it")
        kind = Chunk(number)
        if found is None:
            if kind is not Chunk.HEADER:
                raise InputError(f"{where} is {kind.name}, and a trace begins with HEADER: it was put together by hand")
            found = TraceFile(*_header(where, payload))
        elif found.ended:
            raise InputError(f"{where} stands behind the end of the trace: leave it out")
        elif kind is Chunk.HEADER:
            raise InputError(f"{where} is a second HEADER: one file holds one trace")
        elif kind is Chunk.UNITS:
            if len(payload) % 2:
                raise InputError(f"{where} has {len(payload)} bytes, and units have two each")
            units.append(np.frombuffer(payload, "<u2"))
            count += len(units[-1])
        else:
            _check(where, kind, payload)
            found.ended = kind is Chunk.END
            found.events.append((kind, payload, count))
    if found is None:
        raise InputError(f"{path} ends within its header: nothing was recorded")
    found.units = np.concatenate([found.units, *units])
    return found


def _chunks(path: Path, data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield place, kind and payload of the chunks that are whole."""
    at, crc = len(MAGIC), binascii.crc32(MAGIC)
    while at + _HEAD.size + _BEHIND <= len(data):
        begin = at
        (head,) = _HEAD.unpack_from(data, at)
        crc = _checked(path, data, at, at + _HEAD.size, crc, begin)
        at += _HEAD.size + _BEHIND
        end = at + (head >> 8)
        if end + _BEHIND > len(data):
            return
        payload = data[at:end]
        crc = _checked(path, data, at, end, crc, begin)
        at = end + _BEHIND
        yield begin, head & 0xFF, payload


def _checked(path: Path, data: bytes, start: int, end: int, crc: int, chunk: int) -> int:
    """Return the CRC of all before `end`, which stands there; `crc` is that of all before `start`."""
    crc = binascii.crc32(data[start:end], crc)
    (stored,) = _HEAD.unpack_from(data, end)
    if stored != crc:
        raise InputError(
            f"{path} is damaged at byte {start} to {end + _BEHIND - 1}, in the chunk at byte {chunk}: its checksum is 0x{crc:08x}, "
            f"and 0x{stored:08x} is stored: take another copy"
        )
    return crc


def _header(where: str, payload: bytes) -> tuple[dict[str, Any], Config]:
    try:
        header = json.loads(payload)
        abi, words = header["abi"], header["config"]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{where}: the header is none ({type(error).__name__}): it was put together by hand") from error
    if abi != ABI_VERSION:
        raise InputError(f"{where}: the trace is of ABI {abi}, this program of {ABI_VERSION}: replay it with the version that made it")
    try:
        config = Config.from_words(words)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: its configuration is none: {error}") from error
    if not config.trace_words:
        raise InputError(f"{where}: its configuration has trace_words 0, a board without a ring, which records nothing")
    if header.get("config_digest") != config.digest.hex():
        raise InputError(f"{where}: its configuration digest is not that of its configuration")
    return header, config


_SIZES = {Chunk.START: 0, Chunk.HALT: 0, Chunk.ABORT: 0, Chunk.END: 0}


def _check(where: str, kind: Chunk, payload: bytes) -> None:
    """Refuse a payload of a length that its kind cannot have."""
    if kind in _SIZES and payload:
        raise InputError(f"{where}: {kind.name} has {len(payload)} bytes, and should have none")
    if kind in (Chunk.WRITE, Chunk.READ, Chunk.BEFORE) and (len(payload) < 8 or len(payload) % 4):
        raise InputError(f"{where}: {kind.name} has {len(payload)} bytes, and should have an address and words of four each")
    if kind in (Chunk.GRANT, Chunk.RESULTS) and (not payload or len(payload) % 2):
        raise InputError(f"{where}: {kind.name} has {len(payload)} bytes, and should have numbers of two each")
    if kind is Chunk.REST and len(payload) != 4 * REST_WORDS:
        raise InputError(f"{where}: REST has {len(payload)} bytes, and should have {4 * REST_WORDS}")
    if kind is Chunk.OUTPUTS and (len(payload) < 4 or (len(payload) - 2) % max(2 * int.from_bytes(payload[:2], "little"), 2)):
        raise InputError(f"{where}: OUTPUTS has {len(payload)} bytes, which are no whole samples")

"""Frames of the link: COBS, opcode, sequence number, payload, CRC-32 (docs/protocol.md)."""

from binascii import crc32
from dataclasses import dataclass
from enum import IntEnum


class Opcode(IntEnum):
    """Commands; a response carries its command's code with RESPONSE set."""

    HELLO = 1
    READ = 2
    WRITE = 3
    START = 4
    GRANT = 5
    HALT = 6
    ABORT = 7


UNSEQUENCED = frozenset({Opcode.HELLO, Opcode.HALT, Opcode.ABORT})
"""Commands that do not take a sequence number: doing them twice is doing them once."""

RESPONSE = 0x80
"""Bit of the opcode that makes a frame a response."""


class Status(IntEnum):
    """First payload byte of a response."""

    OK = 0
    NO_SESSION = 1
    BAD_ADDRESS = 2
    BUSY = 3
    BAD_LENGTH = 4
    UNKNOWN_OPCODE = 5
    FULL = 6
    NOT_RUNNING = 7
    SEQUENCE = 8


class BusError(Exception):
    """A word that cannot be read or written; `status` is what the response says."""

    def __init__(self, status: Status = Status.BAD_ADDRESS) -> None:
        super().__init__(status.name)
        self.status = status


WINDOW = 8
"""Commands that may be unanswered at a time, and statuses that the board remembers."""
HEADER_BYTES = 2
CRC_BYTES = 4
MAX_PAYLOAD = 244
"""Longest payload of a frame."""
MAX_FRAME = HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES
"""Longest frame before COBS: short enough that no code byte is 255."""
MIN_FRAME = HEADER_BYTES + CRC_BYTES
NONCE_BYTES = 8
MAX_WORDS = 60
"""Most words of one READ or WRITE."""
MAX_GRANT = 120
"""Most samples of one GRANT."""
CRC_RESIDUE = 0x2144DF1C
"""`binascii.crc32` over any frame together with its CRC."""


@dataclass(frozen=True)
class Frame:
    """A frame as it is meant."""

    opcode: int
    seq: int
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes on the line, the closing delimiter included.

        Raises
        ------
        ValueError
            If the payload is too long.
        """
        if len(self.payload) > MAX_PAYLOAD:
            raise ValueError(f"A payload has at most {MAX_PAYLOAD} bytes, not {len(self.payload)}: send it in several frames")
        body = bytes((self.opcode, self.seq)) + self.payload
        return cobs_encode(body + crc32(body).to_bytes(CRC_BYTES, "little")) + b"\0"

    @classmethod
    def decode(cls, encoded: bytes) -> "Frame | None":
        """Return the frame of the bytes between two delimiters, or None if they are damaged."""
        data = cobs_decode(encoded) if len(encoded) <= MAX_FRAME + 1 else None
        if data is None or len(data) < MIN_FRAME or crc32(data) != CRC_RESIDUE:
            return None
        return cls(data[0], data[1], data[HEADER_BYTES:-CRC_BYTES])


def cobs_encode(data: bytes) -> bytes:
    """Return `data` (at most MAX_FRAME bytes) without its zeros, each replaced by the distance to the next."""
    return b"".join(bytes((len(block) + 1,)) + block for block in data.split(b"\0"))


def cobs_decode(encoded: bytes) -> bytes | None:
    """Return what `cobs_encode` was given, or None if a block runs past the end or nothing was given."""
    blocks, at = [], 0
    while at < len(encoded):
        end = at + encoded[at]
        if end > len(encoded):
            return None
        blocks.append(encoded[at + 1 : end])
        at = end
    return b"\0".join(blocks) if blocks else None


class Deframer:
    """Cuts a stream of bytes into frames; damaged ones are counted in `damaged` and dropped."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.damaged = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the good frames that these bytes complete."""
        *complete, rest = (bytes(self._bytes) + data).split(b"\0")
        # Beyond the longest frame the bytes cannot become good again; one byte over is enough to say so.
        self._bytes[:] = rest[: MAX_FRAME + 2]
        frames = []
        for encoded in filter(None, complete):
            frame = Frame.decode(encoded)
            if frame is None:
                self.damaged += 1
            else:
                frames.append(frame)
        return frames

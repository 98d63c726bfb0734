"""Frames of the link: COBS, opcode, sequence number, payload, CRC-32 (docs/protocol.md)."""

from binascii import crc32
from enum import IntEnum
from typing import NamedTuple

from cobs import cobs

from backpulse.firmware_py import stuffing


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
MIN_FRAME = HEADER_BYTES + CRC_BYTES
NONCE_BYTES = 8
ADDRESS_BYTES = WORD_BYTES = 4


def most_words(payload: int) -> int:
    """Return how many words a READ or WRITE has at most, where payloads have at most so many bytes."""
    return (payload - ADDRESS_BYTES) // WORD_BYTES


def most_granted(payload: int) -> int:
    """Return how many samples a GRANT has at most, where payloads have at most so many bytes."""
    return 2 * most_words(payload)


MAX_PAYLOAD = 244
"""Longest payload that every board takes."""
LONG_PAYLOAD = 16384
"""Longest payload of any board: register PAYLOAD says what a board takes beyond `MAX_PAYLOAD`."""
MAX_FRAME = HEADER_BYTES + MAX_PAYLOAD + CRC_BYTES
"""Longest frame that every board takes, before COBS: short enough that no code byte is 255."""
MAX_WORDS = most_words(MAX_PAYLOAD)
"""Most words of one READ or WRITE that every board takes."""
MAX_GRANT = most_granted(MAX_PAYLOAD)
"""Most samples of one GRANT that every board takes."""
CRC_RESIDUE = 0x2144DF1C
"""`binascii.crc32` over any frame together with its CRC."""


class Frame(NamedTuple):
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
        if len(self.payload) > LONG_PAYLOAD:
            raise ValueError(f"A payload has at most {LONG_PAYLOAD} bytes, not {len(self.payload)}: send it in several frames")
        body = bytes((self.opcode, self.seq)) + self.payload
        codec = stuffing if len(self.payload) > MAX_PAYLOAD else cobs
        return codec.encode(body + crc32(body).to_bytes(CRC_BYTES, "little")) + b"\0"

    @classmethod
    def decode(cls, encoded: bytes) -> "Frame | None":
        """Return the frame of the bytes between two delimiters, or None if they are damaged."""
        try:
            data = (stuffing if len(encoded) > stuffing.most(MAX_FRAME) else cobs).decode(encoded)
        except cobs.DecodeError:
            return None
        if len(data) < MIN_FRAME or crc32(data) != CRC_RESIDUE:
            return None
        return cls(data[0], data[1], data[HEADER_BYTES:-CRC_BYTES])


class Deframer:
    """Cuts a stream of bytes into frames; damaged ones are counted in `damaged` and dropped.

    Parameters
    ----------
    payload
        Bytes of the longest payload; a frame with a longer one is damaged.
    """

    def __init__(self, payload: int = MAX_PAYLOAD) -> None:
        frame = HEADER_BYTES + payload + CRC_BYTES
        self._payload = payload
        self._longest = stuffing.most(frame)
        self._bytes = bytearray()
        self.damaged = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the good frames that these bytes complete."""
        *complete, rest = (bytes(self._bytes) + data).split(b"\0")
        # Beyond the longest frame the bytes cannot become good again; one byte over is enough to say so.
        self._bytes[:] = rest[: self._longest + 1]
        frames = []
        for encoded in filter(None, complete):
            frame = Frame.decode(encoded) if len(encoded) <= self._longest else None
            if frame is None or len(frame.payload) > self._payload:
                self.damaged += 1
            else:
                frames.append(frame)
        return frames

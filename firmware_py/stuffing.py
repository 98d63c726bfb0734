"""Consistent overhead byte stuffing of long frames, with the bytes of the library `cobs`, which codes the short ones.

Cheshire, Baker, "Consistent overhead byte stuffing", IEEE/ACM Transactions on Networking 7(2), 1999. Where the zeros of samples lie cannot
be foreseen: a branch at each, as the library has, is guessed wrong by the processor so often that it costs more than the bytes do.
Here neither direction has one. Frames so long go to boards in this computer only, which need compiled code anyway.
"""

import numpy as np
from cobs import cobs

from backpulse.firmware_py.jit import jit

BLOCK = 254
"""Bytes of the longest block, whose code byte is 255: it stands for no zero, and costs a byte."""


def most(size: int) -> int:
    """Return how many bytes a frame of so many has at most when it is coded."""
    return size + 1 + size // BLOCK


def encode(data: bytes) -> bytes:
    """Return bytes without zeros."""
    coded = np.empty(most(len(data)), np.uint8)
    return coded[: _encode(np.frombuffer(data, np.uint8), coded)].tobytes()


def decode(coded: bytes) -> bytes:
    """Return what bytes without zeros stand for.

    Raises
    ------
    cobs.DecodeError
        If the last block does not end where the bytes do.
    """
    data = np.empty(len(coded), np.uint8)
    size = _decode(np.frombuffer(coded, np.uint8), data)
    if size < 0:
        raise cobs.DecodeError("the last block is cut short")
    return data[:size].tobytes()


@jit
def _encode(data, coded):
    """Code uint8 data; return the number of coded bytes. A block's code byte is written anew with each of its bytes."""
    code, place = 0, 1
    for byte in data:
        if place - code > BLOCK:
            coded[code] = place - code
            code, place = place, place + 1
        coded[place] = byte
        coded[code] = place - code
        code = place if byte == 0 else code
        place += 1
    coded[code] = place - code
    return place


@jit
def _decode(coded, data):
    """Decode uint8 data; return the number of bytes, or -1 of a block cut short. Behind `left` bytes comes a code byte."""
    left, full, place = 1, True, 0
    for byte in coded:
        left -= 1
        ends = left == 0
        data[place] = 0 if ends else byte
        place += not (ends and full)
        full = byte > BLOCK if ends else full
        left = np.int64(byte) if ends else left
    return place if left == 1 else -1

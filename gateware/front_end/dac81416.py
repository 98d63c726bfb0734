"""DAC81416: 16 channels of 16 bits, whose TOGGLE pin switches all of them between two registers, A and B.

A is 0 V and B the code, so that the pin is the gate of all lines. What the sheet (SLASEO0B) was not there to
answer is marked [K] and stands on the wiring page.
"""

from collections.abc import Iterator
from enum import IntEnum

__all__ = ["CHANNELS", "RANGES", "WORD_BITS", "Register", "code_word", "setup"]

CHANNELS = 16
WORD_BITS = 24
"""Of a frame without its CRC: read, 0, six bits of address, 16 of data."""
RANGES = {2.5: 0b1110, 5.0: 0b1001, 10.0: 0b1010, 20.0: 0b1100}
"""Bits of a channel's bipolar range, by its volts."""
ZERO = 0x8000
"""The word of 0 V."""


class Register(IntEnum):
    """Addresses."""

    SPICONFIG = 0x03
    GENCONFIG = 0x04
    SYNCCONFIG = 0x06
    TOGGCONFIG0 = 0x07
    TOGGCONFIG1 = 0x08
    DACPWDWN = 0x09
    DACRANGE0 = 0x0A
    BRDCAST = 0x0F
    DAC0 = 0x10


_ACTIVE_WITH_CRC = 0x0A90
"""SPICONFIG: alarms of CRC and temperature on ALMOUT (bits 9, 11), CRC (4), power (5 clear), no SDO (2)."""
_REFERENCE_ON = 0x3F00
"""GENCONFIG: internal reference."""
_TOGGLE0 = 0x5555
"""TOGGCONFIG: all channels follow TOGGLE0."""


def _write(register: int, value: int) -> int:
    return register << 16 | value


def code_word(channel: int, code: int) -> int:
    """Return the frame that gives a channel a signed code; it takes effect with LDAC."""
    return _write(Register.DAC0 + channel, code & 0xFFFF ^ ZERO)


def setup(volts: float) -> Iterator[tuple[int, bool, bool]]:
    """Return the frames after a reset, each with whether its CRC follows, and whether LDAC does.

    Channels stay clamped to ground until the last of them, when both registers of each are 0 V. [K]: LDAC
    fills A while toggling is off and B while it is on.

    Raises
    ------
    ValueError
        If there is no such range.
    """
    if volts not in RANGES:
        raise ValueError(
            f"Range of a DAC81416 must be one of {', '.join(f'{v:g}' for v in RANGES)} V, not {volts:g} V"
        )
    yield _write(Register.SPICONFIG, _ACTIVE_WITH_CRC), False, False
    yield _write(Register.GENCONFIG, _REFERENCE_ON), True, False
    yield _write(Register.SYNCCONFIG, 0xFFFF), True, False
    for i in range(4):
        yield _write(Register.DACRANGE0 + i, 0x1111 * RANGES[volts]), True, False
    yield _write(Register.BRDCAST, ZERO), True, True
    for register in (Register.TOGGCONFIG0, Register.TOGGCONFIG1):
        yield _write(register, _TOGGLE0), True, False
    yield _write(Register.BRDCAST, ZERO), True, True
    yield _write(Register.DACPWDWN, 0), True, False

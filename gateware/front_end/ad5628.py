"""AD5628 of a Pmod DA4: eight channels of 12 bits from 0 to 2.5 V, and neither a clear nor a latch pin.

Frames have 32 bits, taken at falling edges: four that do not count, command, channel, 12 of data, and eight
that count in set-up alone.
"""

from enum import IntEnum

__all__ = ["ALL", "BITS", "CHANNELS", "MIDDLE", "REFERENCE_ON", "RESET", "WORD_BITS", "Command", "word"]

CHANNELS = 8
BITS = 12
WORD_BITS = 32
ALL = 15
"""The channel that is all of them."""
MIDDLE = 1 << BITS - 1
"""The word of a line's rest: 1.25 V."""


class Command(IntEnum):
    """What a frame does."""

    WRITE = 0
    """Fills a channel's input register."""
    WRITE_UPDATE_ALL = 2
    """Fills a channel's input register, then moves all input registers to the outputs."""
    WRITE_UPDATE = 3
    """Fills a channel's input register and moves it to the output."""
    RESET = 7
    REFERENCE = 8


def word(command: Command, channel: int = 0, value: int = 0) -> int:
    """Return a frame."""
    return command << 24 | channel << 20 | value << 8


RESET = word(Command.RESET)
REFERENCE_ON = word(Command.REFERENCE) | 1

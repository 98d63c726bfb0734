"""Random words of the table device, for benches."""

import random

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.table_device import (
    CLASSES,
    LEAKS,
    MOST_SHIFT,
    OFFSET_AT,
    ROOTS,
    SEGMENTS,
    STUCK,
    TABLE_BITS,
    TableParameter,
    TableWords,
)


def random_tables(rng: random.Random, config: Config) -> TableWords:
    """Return the words of a random table: of small steps as well as of some that cross the range in one pulse, likewise noise and leak."""
    top = config.cell_max
    most = [1 << rng.choice((4, 8, 12, 16)) for _ in range(2 * SEGMENTS)]

    def segments(words: list[int]) -> np.ndarray:
        return np.array(words, np.int64).reshape(2, SEGMENTS)

    return TableWords(
        base=segments([rng.randrange(n) for n in most]),
        delta=segments([rng.randrange(-n // 2, n // 2) for n in most]),
        kind=segments([rng.randrange(CLASSES) for _ in most]),
        root=np.array([rng.randrange(1 << rng.choice((4, 10, 16))) for _ in range(CLASSES * ROOTS)], np.int64).reshape(CLASSES, ROOTS),
        bound_up=rng.randint(top // 2, top * 2 // 3),
        bound_down=-rng.randint(top // 2, top * 2 // 3),
        shift=rng.randint(0, MOST_SHIFT),
        cell_bits=config.cell_bits,
        apparent=rng.randrange(1 << TABLE_BITS[TableParameter.APPARENT]),
        read_sigma=rng.randint(1000, 65535) * config.read_noise,
        leak=np.array([rng.randrange(1 << rng.choice((8, 16))) for _ in range(LEAKS)], np.int64),
        leak_period=rng.randint(0, 2),
        rest=rng.randint(-top - 1, top),
    )


def random_spread(rng: random.Random, shape: tuple[int, int]) -> np.ndarray:
    """Return spread words, int64, some of them of stuck cells, or with the factors and bounds at their ends."""
    words = np.empty(shape, np.int64)
    for place in np.ndindex(shape):
        offset = rng.choice((STUCK & 0xFFFF, *(rng.choice((-1, 1)) * rng.getrandbits(bits) & 0xFFFF for bits in (8, 13, 15))))
        words[place] = rng.choice((0, 32, 255, rng.randrange(256))) | rng.randrange(256) << 8 | offset << OFFSET_AT
    return words

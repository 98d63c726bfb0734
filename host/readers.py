"""What an evaluation brings back of each sample while it goes on: predictions and outputs from the board's rings, or outputs one by one."""

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.registers import Window
from backpulse.host.link import Link


class RingReader:
    """Fetches what a ring of 16-bit words keeps of each sample, before it is overwritten.

    Parameters
    ----------
    link : Link
        The line to the board.
    window : Window
        The ring's window: two words at an address.
    depth : int
        Words of the ring, at least `count`.
    dtype : numpy dtype
        Of a word: <u2 or <i2.
    count : int
        Words of one sample.
    """

    def __init__(self, link: Link, window: Window, depth: int, dtype: np.dtype, count: int = 1) -> None:
        self._link, self._base, self._depth, self._dtype, self._count = link, window.base, depth, dtype, count
        self._words: list[np.ndarray] = []
        self._have = 0
        self.limit = depth // count
        """Samples that may be granted and not yet fetched."""

    def collect(self, done: int) -> None:
        """Fetch the words of all samples up to `done`."""
        while self._have < done * self._count:
            start = self._have % self._depth
            count = min(done * self._count - self._have, self._depth - start)
            first, last = start // 2, (start + count - 1) // 2
            pairs = self._link.read_words(self._base + first, last - first + 1)
            self._words.append(np.array(pairs, "<u4").view(self._dtype)[start - 2 * first :][:count])
            self._have += count

    @property
    def values(self) -> np.ndarray:
        """What was fetched, of shape (samples, count)."""
        empty = np.zeros(0, self._dtype)
        return np.concatenate([empty, *self._words]).reshape(-1, self._count)


class OutputReader:
    """Fetches each sample's outputs from vector memory while the board waits for the next sample.

    Parameters
    ----------
    link : Link
        The line to the board.
    program : Program
        What it runs.
    """

    limit = 1
    """Samples that may be granted and not yet fetched."""

    def __init__(self, link: Link, program: Program) -> None:
        vector = program.vectors[program.vector_names.index(f"a{program.network.depth}")]
        self._link, self._base, self._count = link, Window.VECTOR_MEMORY.base + vector.base, vector.length
        self._rows: list[list[int]] = []

    def collect(self, done: int) -> None:
        """Fetch the last sample's outputs."""
        if len(self._rows) < done:
            self._rows.append(self._link.read_words(self._base, self._count))

    @property
    def values(self) -> np.ndarray:
        """What was fetched, of shape (samples, outputs)."""
        return np.array(self._rows, np.uint32).astype(np.uint16).view(np.int16).reshape(-1, self._count)

"""The golden machine's ring of trace records."""

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.memory import Memory
from backpulse.firmware_py.registers import REG
from backpulse.firmware_py.tape import recording
from backpulse.firmware_py.trace import ring_units, sample_units


class TraceRing:
    """What rtl/core/trace.py is: TRACE_ON, TRACE_WRITTEN, TRACE_READ and the words of TRACE.

    No sample begins whose records might find no room, but one that is larger than the ring begins when nothing else waits: what the
    hardware's tile would keep until there is room waits here.

    Parameters
    ----------
    config : Config
        With a ring.

    Attributes
    ----------
    words : ndarray
        uint32: the ring.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._depth = config, ring_units(config)
        self._units = np.zeros(self._depth, np.uint16)
        self.words = self._units.view("<u4")
        self._waiting = np.zeros(0, np.uint16)
        self._tape = recording(0)
        self._longest = 0
        self.on = False
        self.written = self._read = 0

    @property
    def read(self) -> int:
        """Units that the host has read; to set it frees their room."""
        return self._read

    @read.setter
    def read(self, value: int) -> None:
        self._read = value & (1 << REG["TRACE_READ"].bits) - 1
        self._show()

    def switch(self, on: bool) -> None:
        """Begin or end recording."""
        self.on = on
        if not on:
            self.written, self._waiting = 0, self._waiting[:0]

    def measure(self, memory: Memory) -> None:
        """Learn how many units a sample of the program may leave: each instruction is executed at most once."""
        self._longest = sample_units(self._config, memory.program, memory.regions)
        if len(self._tape.units) < self._depth + self._longest:
            self._tape = recording(self._depth + self._longest)

    def recording(self, memory: Memory) -> Memory:
        """Return the memory with a tape that has as much room as there is."""
        room = self._room - len(self._waiting)
        fits = room - self._longest
        self._tape.at[:] = 0, (max(fits, 0) if room == self._room > 0 else fits)
        return memory._replace(recorded=self._tape)

    def take(self) -> None:
        """Move what was recorded to the ring."""
        self._waiting = np.concatenate([self._waiting, self._tape.units[: self._tape.at[0]]])
        self._show()

    @property
    def _room(self) -> int:
        return max(self._depth - (self.written - self._read) % (2 * self._depth), 0)

    def _show(self) -> None:
        """Put what waits into the ring as far as there is room."""
        fresh = self._waiting[: self._room]
        places = (self.written + np.arange(len(fresh))) % self._depth
        self._units[places] = fresh
        self.written = (self.written + len(fresh)) % (2 * self._depth)
        self._waiting = self._waiting[len(fresh) :]

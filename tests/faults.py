"""A line that damages bytes, for tests: corrupts, drops and doubles at fixed rates, the same for the same seed."""

import random

from backpulse.host.link import Port


class FaultyLine:
    """Passes bytes on, damaging each with the given probabilities.

    Parameters
    ----------
    seed
        Of the random choices.
    corrupt, drop, double
        Probabilities, for each byte, that a bit flips, that it is left out, that it comes twice.

    Attributes
    ----------
    faults
        Bytes damaged so far.
    """

    def __init__(self, seed: int, *, corrupt: float = 0.0, drop: float = 0.0, double: float = 0.0) -> None:
        if min(corrupt, drop, double) < 0 or corrupt + drop + double > 1:
            raise ValueError(f"Fault rates must be 0 to 1 together, not {corrupt}, {drop}, {double}")
        self._random = random.Random(seed)
        self._edges = corrupt, corrupt + drop, corrupt + drop + double
        self.faults = 0

    def __call__(self, data: bytes) -> bytes:
        """Return the bytes as they come out of the line."""
        corrupt, drop, double = self._edges
        out = bytearray()
        for byte in data:
            draw = self._random.random()
            if draw >= double:
                out.append(byte)
                continue
            self.faults += 1
            if draw < corrupt:
                out.append(byte ^ 1 << self._random.randrange(8))
            elif draw >= drop:
                out += bytes((byte, byte))
        return bytes(out)


class FaultyPort:
    """A port with a faulty line in each direction.

    Parameters
    ----------
    port
        The port behind it.
    seed, **rates
        As for FaultyLine; the two directions make different choices.
    """

    def __init__(self, port: Port, seed: int, **rates: float) -> None:
        self._port = port
        self._there = FaultyLine(2 * seed, **rates)
        self._back = FaultyLine(2 * seed + 1, **rates)
        self._rest = bytearray()

    @property
    def faults(self) -> int:
        """Bytes damaged so far in both directions."""
        return self._there.faults + self._back.faults

    def write(self, data: bytes) -> int:
        """Take bytes, and send them on, some of them damaged."""
        self._rest += self._there(data)
        del self._rest[: self._port.write(bytes(self._rest))]
        return len(data)

    def read(self, timeout: float) -> bytes:
        """Receive bytes, some of them damaged; nothing means, as ever, that the timeout has passed."""
        return self._back(self._port.read(timeout))

    def close(self) -> None:
        """Close the port behind."""
        self._port.close()

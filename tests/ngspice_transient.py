"""Transients by ngspice's library in lock step with a test: `python -m tests.ngspice_transient` runs one circuit on orders from a pipe.

Its voltage sources are `external`, without a `dc` value, which would crash the library of Debian 12. To stop where it is told, a step is
cut in the library's call for synchronisation: a `stop when time = t` that is set after the run has begun is never met.
"""

import ctypes
import json
import subprocess
import sys
from collections.abc import Sequence

from tests.ngspice import _CHAR, _EXIT, _RUNNING, _Vector, library

EDGE_S = 50e-9
"""In this time sources go from one voltage to the next."""
_SOURCE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_double, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
_SYNC = ctypes.CFUNCTYPE(
    *(ctypes.c_int, ctypes.c_double, ctypes.POINTER(ctypes.c_double), ctypes.c_double),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p),
)


class Transient:
    """A circuit in a process of its own, which stands still between two calls; a context manager.

    Parameters
    ----------
    netlist
        Lines of the circuit; source k is `vs{k} name 0 external`.
    sources
        How many there are; all begin at 0 V.
    probes
        Names of the vectors that are read.
    """

    def __init__(self, netlist: list[str], sources: int, probes: list[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ngspice_transient"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask([netlist, sources, probes])

    def step(self, seconds: float, volts: Sequence[float]) -> list[float]:
        """Go on by some seconds with the sources at these voltages; return the probes at the end."""
        return self._ask([seconds, list(volts)])

    def _ask(self, order: list[object]) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> "Transient":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class _Circuit:
    """The circuit in this process."""

    def __init__(self, netlist: list[str], sources: int, probes: list[str]) -> None:
        found = library()
        assert found is not None
        self._spice, self._probes = found, probes
        self._from, self._to = [0.0] * sources, [0.0] * sources
        self._begin = self._end = 0.0
        say = _CHAR(lambda text, number, user: _say(text.decode()))
        leave = _EXIT(lambda status, immediate, asked, number, user: sys.exit(f"ngspice ended with {status}"))
        running = _RUNNING(lambda off, number, user: 0)
        self._kept = (say, leave, running, _SOURCE(self._volts), _SYNC(self._cut))  # the library calls them
        self._spice.ngSpice_Init(say, say, leave, None, None, running, None)
        self._spice.ngSpice_Init_Sync(self._kept[3], None, self._kept[4], None, None)
        lines = [line.encode() for line in ["array", *netlist, ".options reltol=1e-4", ".end"]]
        assert self._spice.ngSpice_Circ((ctypes.c_char_p * (len(lines) + 1))(*lines, None)) == 0
        self._spice.ngGet_Vec_Info.restype = ctypes.POINTER(_Vector)
        self._started = False

    def _volts(self, value, time, name, number, user):
        at = int(name.decode().lower().removeprefix("vs"))
        share = min(1.0, max(0.0, (time - self._begin) / EDGE_S))
        value[0] = self._from[at] + share * (self._to[at] - self._from[at])
        return 0

    def _cut(self, time, delta, old_delta, redo, number, where, user):
        room = self._end - time
        if time < self._begin + 2 * EDGE_S:
            delta[0] = min(delta[0], EDGE_S / 5)
        if 0 < room < delta[0]:
            delta[0] = room
        return 0

    def step(self, seconds: float, volts: list[float]) -> list[float]:
        """As `Transient.step`."""
        self._from, self._to = self._to, volts
        self._begin, self._end = self._end, self._end + seconds
        self._command("delete all")
        self._command(f"stop when time > {self._end * (1 - 1e-9):.15g}")
        self._command("resume" if self._started else f"tran {EDGE_S} 1 uic")
        self._started = True
        return [self._last(name) for name in self._probes]

    def _command(self, text: str) -> None:
        assert self._spice.ngSpice_Command(text.encode()) == 0, text

    def _last(self, name: str) -> float:
        vector = self._spice.ngGet_Vec_Info(name.encode()).contents
        return vector.real[vector.length - 1]


def _say(text: str) -> int:
    if "rror" in text:
        print(text, file=sys.stderr)
    return 0


def main() -> None:
    """Obey what comes on standard input until it ends."""
    circuit = None
    for line in sys.stdin:
        order = json.loads(line)
        if circuit is None:
            circuit = _Circuit(*order)
            print("[]", flush=True)
        else:
            print(json.dumps(circuit.step(*order)), flush=True)


if __name__ == "__main__":
    main()

"""Operating points by ngspice's library, for tests alone: `python -m tests.ngspice` reads a netlist and prints the sources' currents.

One circuit a process: the library keeps what it has seen. Sources are plain `dc`; `dc 0 external` would crash the library of Debian 12.
"""

import ctypes
import ctypes.util
import json
import subprocess
import sys

NAMES = ("libngspice.so.0", "libngspice.so")
_CHAR = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
_EXIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_bool, ctypes.c_bool, ctypes.c_int, ctypes.c_void_p)
_RUNNING = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_bool, ctypes.c_int, ctypes.c_void_p)


class _Vector(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("flags", ctypes.c_short),
        ("real", ctypes.POINTER(ctypes.c_double)),
        ("complex", ctypes.c_void_p),
        ("length", ctypes.c_int),
    )


def library() -> ctypes.CDLL | None:
    """Return the library, or None if it is not installed."""
    for name in (*NAMES, ctypes.util.find_library("ngspice")):
        if name:
            try:
                return ctypes.CDLL(name)
            except OSError:
                continue
    return None


def operating_point(netlist: list[str], sources: list[str]) -> list[float]:
    """Return the currents through voltage sources, in a process of their own."""
    given = json.dumps([netlist, sources])
    done = subprocess.run([sys.executable, "-m", "tests.ngspice"], input=given, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Solve what comes on standard input."""
    netlist, sources = json.load(sys.stdin)
    spice = library()
    assert spice is not None
    say = _CHAR(lambda text, number, user: print(text.decode(), file=sys.stderr) or 0)
    leave = _EXIT(lambda status, immediate, asked, number, user: sys.exit(f"ngspice ended with {status}"))
    running = _RUNNING(lambda off, number, user: 0)
    spice.ngSpice_Init(say, say, leave, None, None, running, None)
    lines = [line.encode() for line in ["array", *netlist, ".options reltol=1e-12 abstol=1e-18 gmin=1e-18", ".end"]]
    assert spice.ngSpice_Circ((ctypes.c_char_p * (len(lines) + 1))(*lines, None)) == 0
    assert spice.ngSpice_Command(b"op") == 0
    spice.ngGet_Vec_Info.restype = ctypes.POINTER(_Vector)
    print(json.dumps([spice.ngGet_Vec_Info(f"{name}#branch".encode()).contents.real[0] for name in sources]))


if __name__ == "__main__":
    main()

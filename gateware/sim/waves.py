"""The build of a virtual board that writes waves: its Verilog, its signals, and what it is compiled with."""

# Amaranth's types know neither the members of a component nor what a signal's decoder gives.
# pyright: reportAttributeAccessIssue=false

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Fragment, Signal
from amaranth.lib import wiring

from backpulse.firmware_py.garbage import uncollected
from backpulse.firmware_py.registers import State
from backpulse.gateware.export.export import verilog
from backpulse.gateware.tools import MissingToolError

__all__ = ["FORMATS", "SCOPE", "SIGNALS", "TOP", "Form", "check_form", "export_described"]

FOLDER = Path(__file__).parent
TOP = "waves"
"""Module around the board, whose ports tell the harness which sample is worked on."""
SCOPE = f"TOP.{TOP}"
"""Where the board is in the waves; TOP is Verilator's own."""
SIGNALS = "signals.json"
"""What lies beside the program: scope, name, bits, sign and words of every signal with a name of its own."""

_MODULE = re.compile(r"^module \\?(\S+) \(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_DECLARED = re.compile(
    r"((?:^  \(\* enum_value_\S+ = .* \*\)\n)*)"  # its words
    r"^  (?:input|output|wire|reg) (?:\[(\d+):0\] )?\\?(\S+?) ?(?: = \S+)?;$",
    re.MULTILINE,
)
_WORD = re.compile(r'enum_value_([01]+) = "(.*)"')


@dataclass(frozen=True)
class Form:
    """A file format of waves.

    Parameters
    ----------
    part
        What of Verilator's library writes it.
    option, macros
        What the design and the library are compiled with.
    libraries
        What it is linked with.
    headers
        What the system must have.
    """

    part: str
    option: str
    macros: tuple[str, ...]
    libraries: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        """Return what tells this build from others."""
        files = (FOLDER / f"{TOP}{suffix}" for suffix in (".h", ".v"))
        return "\0".join([self.option, *(file.read_text() for file in files)])

    @property
    def linked(self) -> dict[str, tuple[str, ...]]:
        """Return what of libraries it needs, as arguments of `verilator.link`."""
        return {"libraries": self.libraries, "parts": (self.part,), "macros": self.macros}

    @property
    def defines(self) -> str:
        """Return the lines before the harness."""
        writer = f"#define WAVES_{self.option.rpartition('-')[2].upper()}\n"
        return f'{writer}#define WAVES "{FOLDER / TOP}.h"\n#define TRAINING {State.TRAINING.value}\n'


FORMATS = {
    ".vcd": Form("verilated_vcd_c", "--trace-vcd", ("TRACE", "TRACE_VCD")),
    ".fst": Form(
        "verilated_fst_c", "--trace-fst", ("TRACE", "TRACE_FST"), ("-llz4", "-lz"), ("lz4.h", "zlib.h")
    ),
}
"""Formats by the ending of a file's name."""


def check_form(suffix: str) -> Form:
    """Return the format of an ending.

    Raises
    ------
    ValueError
        If there is no such format.
    MissingToolError
        If the system lacks what it needs.
    """
    if suffix not in FORMATS:
        raise ValueError(
            f"Waves are written as {' or '.join(FORMATS)}, not as {suffix or 'a file without ending'}"
        )
    form = FORMATS[suffix]
    for header in form.headers:
        command = ["g++", "-E", "-x", "c++", "-"]
        done = subprocess.run(
            command, input=f"#include <{header}>\n", capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MissingToolError(
                f"Waves as {suffix} need the header {header}, which this computer lacks: install it "
                "(Debian's packages are liblz4-dev and zlib1g-dev), or name a .vcd file"
            )
    return form


def export_described(component: wiring.Component, name: str, platform: object) -> tuple[str, list[list[Any]]]:
    """Return the Verilog of a component, as `gateware.export.export` does, and what `describe` says of it."""
    ports = [value for _, _, value in component.signature.flatten(component)]
    with uncollected():
        text, names = rtlil.convert_fragment(Fragment.get(component, platform), ports, name, emit_src=False)
    text = verilog(text)
    return text, describe(text, names)


def describe(text: str, names: Mapping[Signal, tuple[str, ...]]) -> list[list[Any]]:
    """Return scope, name, bits, sign, and words by value (or None) of the signals in a Verilog text.

    Names of the generator's, with a $ or a first _, are left out, and memories, which no waves have.

    Parameters
    ----------
    text
        Modules, each named by the path of its only instance.
    names
        Where Amaranth's signals are in it: they know their sign, and state machines their states.
    """
    known = {path: signal for signal, path in names.items()}
    found: list[list[Any]] = []
    for module in _MODULE.finditer(text):
        scope = tuple(module[1].split("."))
        declared: dict[
            str, tuple[int, dict[int, str]]
        ] = {}  # a port is declared twice, and has its words once
        for text, high, name in _DECLARED.findall(module[0]):
            words = {int(value, 2): word for value, word in _WORD.findall(text)}
            if "$" not in name and not name.startswith("_") and (words or name not in declared):
                declared[name] = int(high or 0) + 1, words
        for name, (bits, words) in declared.items():
            signal = known.get((*scope, name))
            signed = signal is not None and signal.shape().signed
            found.append([".".join(scope), name, bits, signed, words or _states(signal) or None])
    return found


def _states(signal: Signal | None) -> dict[int, str]:
    """Return the states of a state machine by number; nothing of another signal."""
    if signal is None or not callable(signal.decoder) or not signal.name.endswith("_state"):
        return {}
    words = {}
    for value in range(1 << len(signal)):
        try:
            words[value] = signal.decoder(value).partition("/")[0]
        except KeyError:  # no such state
            continue
    return words

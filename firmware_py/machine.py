"""The golden machine as the link sees it: addresses, START, GRANT, HALT, ABORT around the golden model's memory."""

from collections.abc import Callable, Sequence

import numpy as np

from backpulse.firmware_py.config import ABI_VERSION, CONFIG_WORDS, Config, DeviceKind
from backpulse.firmware_py.device import parameter_bits, twins
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.golden import execute
from backpulse.firmware_py.memory import ACTIVE, BANK, FAULT, HALT, OUTPUT, PC, STATE, STRIDE, new_memory, number_format, seen
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    MAGIC,
    REGISTERS,
    STREAM_SHIFT,
    WINDOW_SHIFT,
    Counter,
    Fault,
    State,
    Stream,
    Window,
)

_MASK32 = 0xFFFFFFFF
_LOG_ROOM = 4
"""Log entries a cell may need in one sample: a cell is pulsed at most once by each schedule, hand-written programs may do more."""


def _signed(value: int, bits: int) -> int:
    """Read the low bits of a word as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


class GoldenMachine:
    """A whole board but for the line: implements `endpoint.Machine`.

    Parameters
    ----------
    config
        What the machine is.
    log
        Called with an int32 array (n, 5) of step, tile, row, column, count after each sample, if given: the pulse log.
    """

    def __init__(self, config: Config, *, log: Callable[[np.ndarray], None] | None = None) -> None:
        self.config = config
        self.session = 0
        self._format = number_format(config)
        self._order: list[int] = []
        self._entry = 0
        self._watchdog = 1 << 24
        self._log = log
        self._whole = new_memory(config)
        if log is not None:
            self._whole = self._whole._replace(log=np.zeros((config.rows * config.tile_cols * _LOG_ROOM, 5), np.int32))
        self.memory = seen(self._whole, config)

    @property
    def state(self) -> int:
        """State of the controller: TRAINING while granted samples wait to be run."""
        state = int(self.memory.control[STATE])
        return State.TRAINING if state == State.PAUSED and self._order else state

    def start(self) -> None:
        """Begin at ENTRY with no credit and no results; clears a fault."""
        control = self.memory.control
        self._order.clear()
        self.memory.counters[Counter.RESULTS] = 0
        control[PC] = min(self._entry, self.config.program_words)
        control[ACTIVE], control[HALT], control[FAULT], control[OUTPUT] = 0, 0, 0, 0
        control[STATE] = State.TRAINING
        self._execute(0)

    def grant(self, indices: Sequence[int]) -> bool:
        """Add samples to the order; False, and nothing added, if they do not fit."""
        if len(self._order) + len(indices) > self.config.order_depth:
            return False
        self._order.extend(indices)
        return True

    def halt(self) -> None:
        """Stop at the next sample boundary: here, that is now."""
        if self.memory.control[STATE] in (State.TRAINING, State.PAUSED):
            self.memory.control[HALT] = 1
            self._execute(0)

    def abort(self) -> None:
        """Stop at once."""
        control = self.memory.control
        control[STATE], control[ACTIVE], control[HALT] = State.FAULT, 0, 0
        control[FAULT] = Fault.ABORTED | int(control[PC]) << 16

    def clear_credit(self) -> None:
        """Forget the samples that are granted and not begun."""
        self._order.clear()

    def run(self, samples: int) -> int:
        """Work through at most `samples` of the order; returns how many were begun."""
        if self._log is None:
            return self._execute(min(samples, len(self._order)))
        begun = 0
        while begun < samples and self.state == State.TRAINING and self._order:
            begun += self._execute(1)
            self._log(self.memory.log[: self.memory.logged[0]].copy())
            self.memory.logged[0] = 0
        return begun

    def _execute(self, count: int) -> int:
        order = np.array(self._order[:count], np.int64)
        begun = execute(self._whole, self._format, order, count)
        del self._order[:begun]
        return begun

    def read(self, address: int) -> int:
        """Return the 32-bit word at an address.

        Raises
        ------
        BusError
            If there is none.
        """
        return self._access(address, None) & _MASK32

    def write(self, address: int, value: int) -> None:
        """Write the 32-bit word at an address; what the field cannot hold is dropped.

        Raises
        ------
        BusError
            If there is none, or it is read-only.
        """
        self._access(address, value & _MASK32)

    def _access(self, address: int, value: int | None) -> int:
        window, offset = address >> WINDOW_SHIFT, address & ((1 << WINDOW_SHIFT) - 1)
        if window == Window.REGISTERS:
            return self._register(offset, value)
        m, c = self.memory, self.config
        match window:
            case Window.PROGRAM:
                return self._program(offset, value)
            case Window.REGIONS:
                return self._array(m.regions.reshape(-1), offset, value)
            case Window.VECTORS:
                return self._array(m.table, offset, value)
            case Window.VECTOR_MEMORY:
                return self._array(m.vectors, offset, value if value is None else _signed(value, c.acc_bits))
            case Window.STORE:
                return self._array(m.store.view("<u4"), offset, value)
            case Window.RESULTS:
                return self._array(m.results.view("<u4"), offset, value, writable=False)
            case Window.OUTPUTS:
                return self._array(m.outputs.view("<u4"), offset, value, writable=False)
            case Window.CELLS | Window.SPREAD:
                return self._cell(window, offset, value)
            case Window.RANDOM:
                return self._random(offset, value)
            case Window.TILE:
                return self._tile(offset, value)
        raise BusError

    @staticmethod
    def _array(array: np.ndarray, offset: int, value: int | None, *, writable: bool = True) -> int:
        if offset >= len(array) or (value is not None and not writable):
            raise BusError
        if value is not None:
            array[offset] = value
        return int(array[offset])

    def _program(self, offset: int, value: int | None) -> int:
        program, address, high = self.memory.program, offset // 2, offset % 2
        if address >= len(program):
            raise BusError
        word = int(program[address])
        if value is not None:
            word = (word & _MASK32) | _signed(value, 32) << 32 if high else word >> 32 << 32 | value
            program[address] = word
        return (word >> 32 if high else word) & _MASK32

    def _cell(self, window: int, offset: int, value: int | None) -> int:
        row, col = offset >> CELL_ROW_SHIFT, offset & ((1 << CELL_ROW_SHIFT) - 1)
        array = self.memory.cells if window == Window.CELLS else self.memory.spread
        if row >= array.shape[0] or col >= array.shape[1] or (window == Window.SPREAD and not self.config.spread):
            raise BusError
        if value is not None:
            array[row, col] = _signed(value, self.config.cell_bits) if window == Window.CELLS else value & 255
        return int(array[row, col])

    def _random(self, offset: int, value: int | None) -> int:
        stream, lane = offset >> STREAM_SHIFT, offset & ((1 << STREAM_SHIFT) - 1)
        arrays = {Stream.ROUNDING: self.memory.rounding}
        if self.config.device is not DeviceKind.IDEAL:
            arrays[Stream.WRITE] = self.memory.write
        if self.config.read_noise:
            arrays[Stream.READ] = self.memory.read
        if stream not in arrays:
            raise BusError
        array = arrays[Stream(stream)]
        return self._array(array, lane, value if value is None or array.dtype != np.int32 else _signed(value, 32))

    def _tile(self, offset: int, value: int | None) -> int:
        bits = parameter_bits(self.config, offset)
        if bits is None:
            raise BusError
        if not bits:
            return 0
        tile = self.memory.tile
        if value is not None:
            tile[offset] = _signed(value, -bits) if bits < 0 else value & ((1 << bits) - 1)
            for twin in twins(self.config, offset):
                tile[twin] = tile[offset]
        return int(tile[offset])

    def _register(self, offset: int, value: int | None) -> int:
        for register in REGISTERS:
            index = offset - register.address
            if 0 <= index < register.count:
                if value is None:
                    return self._get(register.name, index)
                if register.access != "rw":
                    raise BusError
                self._set(register.name, index, value)
                return value
        raise BusError

    def _get(self, name: str, index: int) -> int:
        control = self.memory.control
        match name:
            case "MAGIC":
                return MAGIC
            case "ABI":
                return ABI_VERSION
            case "CONFIG_WORDS":
                return CONFIG_WORDS
            case "SESSION":
                return self.session >> 32 * index
            case "STATE":
                return int(self.state)
            case "FAULT":
                return int(control[FAULT])
            case "CREDIT":
                return len(self._order)
            case "ENTRY":
                return self._entry
            case "BANK":
                return int(control[BANK])
            case "STRIDE":
                return int(control[STRIDE])
            case "WATCHDOG":
                return self._watchdog
            case "CONFIG":
                return self.config.to_words()[index]
            case "CONFIG_DIGEST":
                return int.from_bytes(self.config.digest[4 * index : 4 * index + 4], "little")
            case "BUILD_DIGEST":
                return 0
            case "SCALE":
                mantissa, exponent = self.memory.scales[index]
                return int(mantissa) | (int(exponent) & 255) << 16
            case "COUNTER":
                return int(self.memory.counters[index])
        raise BusError

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
                self.memory.scales[index] = value & 0xFFFF, _signed(value >> 16, 8)

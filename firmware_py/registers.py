"""The address map: windows, registers with fixed addresses, states and fault codes.

Decoder, host constants and the table in docs/protocol.md come from this list. Addresses count 32-bit words; bits 28 to 31 choose the
window.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from backpulse.firmware_py.config import CONFIG_WORDS
from backpulse.firmware_py.framing import LONG_PAYLOAD, MAX_PAYLOAD
from backpulse.firmware_py.isa import SCALE_REGISTERS

MAGIC = int.from_bytes(b"BKPL", "little")
"""First word of the identity block."""

WINDOW_SHIFT = 28
"""Position of the window number in an address."""


class Window(IntEnum):
    """What an address points into. The offsets are told in docs/protocol.md."""

    REGISTERS = 0
    PROGRAM = 1
    REGIONS = 2
    VECTORS = 3
    VECTOR_MEMORY = 4
    STORE = 5
    RESULTS = 6
    OUTPUTS = 7
    CELLS = 8
    SPREAD = 9
    RANDOM = 10
    TILE = 11
    ARRAY = 12
    TRACE = 13
    TABLE = 14

    @property
    def base(self) -> int:
        """Address of the window's first word."""
        return self << WINDOW_SHIFT


ANYTIME = frozenset({Window.REGISTERS, Window.STORE, Window.RESULTS, Window.OUTPUTS, Window.ARRAY, Window.TRACE})
"""Windows that may be used while a program runs; the others answer BUSY then."""

CELL_ROW_SHIFT = 8
"""In CELLS and SPREAD an offset is row << 8 | column, the rows of all tiles in order."""
PERSISTENT_SHIFT = 27
"""In CELLS, above all rows: 1 for what of a cell stays, of the table device. A write to what reads see (0) is one to what stays, too."""
STREAM_SHIFT = 10
"""In RANDOM an offset is stream << 10 | lane (for Stream.READ: the bank)."""


class Stream(IntEnum):
    """Random streams."""

    ROUNDING = 0
    WRITE = 1
    READ = 2


class TileParameter(IntEnum):
    """Offsets in the TILE window: parameters of the emulated tile's devices (docs/machine.md, The tile)."""

    BASE_UP = 0
    BASE_DOWN = 1
    SLOPE_UP = 2
    SLOPE_DOWN = 3
    BOUND_UP = 4
    BOUND_DOWN = 5
    STEP_UNIT = 6
    BOUND_UNIT = 7
    READ_SIGMA = 8
    ROOT = 32


class TablePart(IntEnum):
    """What of the table device a TABLE offset points into: part << TABLE_PART_SHIFT | index."""

    SEGMENTS = 0
    ROOT = 1
    LEAK = 2
    PARAMETERS = 3
    VISITED = 4


TABLE_PART_SHIFT = 20
"""Position of the part: more rows no machine has."""


class TableParameter(IntEnum):
    """Indices in TablePart.PARAMETERS (docs/machine.md, The table device)."""

    SHIFT = 0
    APPARENT = 1
    REST = 2
    LEAK_ON = 3
    LEAK_PERIOD = 4
    AGE = 5


TILE_WORDS = 64
"""Words of the TILE window; ROOT has one a pulse count."""


class ArrayWord(IntEnum):
    """Offsets in the ARRAY window: what the tile is and how it stands. They may be read at any time (docs/machine.md, The tile).

    From ARM on they are those of a tile that drives lines (`firmware_py.analog`): LIMIT and READ_LIMIT, the most cycles that lines
    may be away from rest for a pulse or a read; CODE_LIMIT and READ_CODE_LIMIT, the largest sizes of their codes; PULSES, those given since
    ARM was written, low word first; WIDTH_MIN, the fewest cycles of a pulse; CALIBRATION, a number that the host writes with the tables and
    that is zero after power-up.
    """

    KIND = 0
    CAPABILITIES = 1
    PROFILES = 2
    SAFE_CYCLES = 3
    STATE = 4
    TRIP = 5
    WORK = 6
    BUDGET = 7
    ARM = 8
    LIMIT = 9
    READ_LIMIT = 10
    CODE_LIMIT = 11
    READ_CODE_LIMIT = 12
    PULSES = 13
    PULSES_HIGH = 14
    CLOCK_KHZ = 15
    WIDTH_MIN = 16
    FRONT_END = 17
    LINES = 18
    SDO_DELAY = 19
    TEMPERATURE = 20
    CALIBRATION = 21


ARRAY_WORDS = 64
"""Words of the ARRAY window."""


class TileKind(IntEnum):
    """Who answers behind the tile contract: ArrayWord.KIND."""

    EMULATED = 1
    MODEL = 2
    ANALOG = 3


class Capability(IntFlag):
    """What a tile claims, and `backpulse array check` tests: ArrayWord.CAPABILITIES."""

    CELLS_READ = 1
    """CELLS answers each cell's conductance."""
    CELLS_WRITE = 2
    """CELLS sets each cell's conductance."""
    CELLS_EXACT = 4
    """What CELLS answers is the whole state of a cell: written back, a run goes on to the same bits."""
    TWO_PHASE = 8
    """A read is the difference of two, with the drives and with their negatives."""
    TRIPS = 16
    """The tile may switch its drivers off by itself; TRIP says why, and a write of TRIP clears it."""
    PULSE_ABORT = 32
    """An abort may end a row of counts between two pulses."""
    WORK = 64
    """WORK starts long work of the tile's own, and reads as zero when that has ended."""
    BUDGET = 128
    """BUDGET holds the pulses that the tile still gives before it trips; all ones, as after power-up: as many as are asked for."""
    ARM = 256
    """Drivers are off, and commands fail with Cause.UNARMED, until ARM is written twice (`backpulse.firmware_py.analog`)."""
    DIRECT = 512
    """TILE has profiles, calibration and the codes and samples of direct operations, which WORK starts."""


class TileState(IntFlag):
    """Bits of ArrayWord.STATE."""

    SAFE = 1
    """No driver is on."""
    BUSY = 2
    """No command is taken: work of the tile's own, or of the host's."""
    TRIPPED = 4
    """The tile has switched its drivers off by itself, and takes no command until TRIP is written."""
    ARMED = 8
    """Drivers may be switched on."""
    INTERLOCK = 16
    """The interlock's circuit is closed."""


class Cause(IntEnum):
    """Why a tile has failed or tripped: ArrayWord.TRIP, and from bit 8 on in FAULT. MISCOUNT is what the core says of a tile."""

    NONE = 0
    INTERLOCK = 1
    WIDTH = 2
    BUDGET = 3
    CRC = 4
    RAIL = 5
    ALIVE = 6
    SUPPLY = 7
    CONVERTER = 8
    MISCOUNT = 9
    UNARMED = 10


CAUSE_AT = 8
"""Position of the cause in FAULT."""


class State(IntEnum):
    """State of the controller."""

    IDLE = 0
    TRAINING = 1
    PAUSED = 2
    FAULT = 3


class Fault(IntEnum):
    """Why the controller is in State.FAULT."""

    NONE = 0
    UNKNOWN_WORD = 1
    WATCHDOG = 2
    ABORTED = 3
    BAD_OPERAND = 4
    TILE = 5


class Counter(IntEnum):
    """Counters, in the order of their registers. All are 32 bits and wrap; the host adds up differences."""

    STEPS = 0
    HITS = 1
    LOSS = 2
    PULSES_UP = 3
    PULSES_DOWN = 4
    PULSES_CLIPPED = 5
    SENSE_CLIPPED = 6
    VECTOR_SATURATED = 7
    CYCLES = 8
    READ_CYCLES = 9
    PULSE_CYCLES = 10
    RESULTS = 11
    PULSES_MISSED = 12


LOSS_FRAC = 12
"""Fraction bits of the LOSS counter, the sum of squared output errors."""


@dataclass(frozen=True, kw_only=True)
class Register:
    """One register or run of registers of the REGISTERS window; of a written word the upper bits beyond `bits` are dropped."""

    name: str
    address: int
    count: int = 1
    access: str = "r"
    bits: int = 32
    reset: int = 0
    description: str


REGISTERS = (
    Register(name="MAGIC", address=0, reset=MAGIC, description="`BKPL`, little-endian"),
    Register(name="ABI", address=1, description="version of the register map and the instructions"),
    Register(name="CONFIG_WORDS", address=2, reset=CONFIG_WORDS, description="words of CONFIG"),
    Register(name="SESSION", address=4, count=2, description="nonce of the session, low word first"),
    Register(name="STATE", address=6, description="0 idle, 1 training, 2 paused, 3 fault"),
    Register(name="FAULT", address=7, description="fault code; bits 8 to 15: cause of a tile's failure; bits 16 to 31: program address"),
    Register(name="CREDIT", address=8, description="samples granted and not yet begun"),
    Register(name="ENTRY", address=9, access="rw", bits=16, description="program address where START begins"),
    Register(name="BANK", address=10, access="rw", bits=1, description="0 training, 1 evaluation (bank of the read-noise stream)"),
    Register(
        name="STRIDE",
        address=11,
        access="rw",
        bits=16,
        reset=1,
        description="words of one sample in the store; only as many bits count as a page's words need",
    ),
    Register(
        name="WATCHDOG",
        address=12,
        access="rw",
        reset=1 << 24,
        description="clock cycles that the tile may take from one sign of progress to the next before it is a fault",
    ),
    Register(name="CONFIG", address=16, count=CONFIG_WORDS, description="the configuration, field by field"),
    Register(name="CONFIG_DIGEST", address=64, count=8, description="SHA-256 of what the machine means, bytes in order"),
    Register(name="BUILD_DIGEST", address=72, count=8, description="SHA-256 of the build, bytes in order"),
    Register(name="SCALE", address=80, count=SCALE_REGISTERS, access="rw", description="scale registers: mantissa, exponent << 16"),
    Register(name="COUNTER", address=96, count=len(Counter), description="counters, 32 bits, wrapping"),
)
"""The registers of every board. An address between them is an error to read or write."""
PAYLOAD = Register(
    name="PAYLOAD",
    address=3,
    reset=LONG_PAYLOAD,
    description=f"bytes of the longest payload; a board without this register, BAD_ADDRESS, takes {MAX_PAYLOAD}",
)
"""The register of boards that take longer frames than every board does."""
TRACE_REGISTERS = (
    Register(
        name="TRACE_ON",
        address=112,
        access="rw",
        bits=1,
        description="1: what the tile answers is recorded, and the tile waits while the ring is full; 0: TRACE_WRITTEN is 0",
    ),
    Register(
        name="TRACE_WRITTEN",
        address=113,
        description="units of 16 bits written to the ring since TRACE_ON became 1, modulo twice the units of the ring",
    ),
    Register(
        name="TRACE_READ",
        address=114,
        access="rw",
        bits=17,
        description="how many of them the host has read, likewise modulo: it frees their room; 0 before TRACE_ON becomes 1",
    ),
)
"""The registers of boards with a ring of trace records (configuration field trace_words); elsewhere BAD_ADDRESS."""

REG = {r.name: r for r in (*REGISTERS, PAYLOAD, *TRACE_REGISTERS)}
"""Registers by name."""
REGISTER_WORDS = 128
"""Size of the REGISTERS window in words."""


def word_name(address: int) -> str:
    """Return what messages call the word at an address: counter STEPS, register FAULT, CELLS row 3 column 5, STORE 0x12."""
    number, offset = address >> WINDOW_SHIFT, address & ((1 << WINDOW_SHIFT) - 1)
    if number not in set(Window):
        return f"0x{address:08x}"
    window = Window(number)
    if window is Window.REGISTERS:
        for register in REG.values():
            index = offset - register.address
            if 0 <= index < register.count:
                if register.name == "COUNTER":
                    return f"counter {Counter(index).name}"
                return f"register {register.name}" + (f"[{index}]" if register.count > 1 else "")
    if window in (Window.CELLS, Window.SPREAD):
        return f"{window.name} row {offset >> CELL_ROW_SHIFT} column {offset & ((1 << CELL_ROW_SHIFT) - 1)}"
    if window is Window.RANDOM and offset >> STREAM_SHIFT in set(Stream):
        return f"RANDOM {Stream(offset >> STREAM_SHIFT).name} {offset & ((1 << STREAM_SHIFT) - 1)}"
    return f"{window.name} 0x{offset:x}"

"""What the golden machine holds: its memories as arrays, and its number formats as integers."""

from typing import Any, NamedTuple

import numpy as np

from backpulse.firmware_py.activation import table_array
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import fixed_words
from backpulse.firmware_py.isa import SCALE_REGISTERS, legal, used_bits
from backpulse.firmware_py.lanes import GROUP, whole
from backpulse.firmware_py.registers import TILE_WORDS, Counter
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.firmware_py.timing import costs


class Memory(NamedTuple):
    """Everything that the machine holds, as arrays that compiled functions share. Lanes are the columns, up to a whole vector of them."""

    cells: np.ndarray  # int16 (rows of all tiles, lanes)
    spread: np.ndarray  # uint8, same shape
    rounding: np.ndarray  # int32 (lanes): the bits of a 32-bit state
    write: np.ndarray  # int32 (lanes)
    read: np.ndarray  # int64 (2), one a bank
    tile: np.ndarray  # int32 (TILE_WORDS)
    program: np.ndarray  # int64 (program_words)
    regions: np.ndarray  # int64 (regions, 4)
    table: np.ndarray  # int64 (vectors)
    masks: np.ndarray  # int64 (vectors): the OR behind a vector's magnitude
    vectors: np.ndarray  # int64 (vector_words)
    pages: np.ndarray  # int8 (2, page_bytes)
    store: np.ndarray  # uint8 (4 store_words)
    results: np.ndarray  # uint16 (result_depth)
    outputs: np.ndarray  # int16 (output_depth)
    scales: np.ndarray  # int64 (SCALE_REGISTERS, 2): mantissa, exponent
    counters: np.ndarray  # int64 (len(Counter))
    activations: np.ndarray  # int64 (512)
    legal: np.ndarray  # bool (16, 16): operation, function
    costs: np.ndarray  # int64 (16, 2, 6): see `timing.costs`
    control: np.ndarray  # int64: the places below
    line: np.ndarray  # int64 scratch of the longest vector, like the three below
    words: np.ndarray  # int64
    factors: np.ndarray  # int64
    sums: np.ndarray  # int64: analog sums, then sense words
    lanes: np.ndarray  # int32 (lanes) scratch: P_j of a PULSE, drives or sums of a read
    hits: np.ndarray  # int64 (tile_rows) scratch: rows with a pulse
    wanted: np.ndarray  # int32 (tile_rows, GROUP) scratch: their counts in one vector of lanes
    noise: np.ndarray  # int32, same shape: their write-noise words
    group: np.ndarray  # int32 scratch: one vector of lanes, for what takes them one by one
    log: np.ndarray  # int32 (n, 5) pulse log: step, tile, row, column, count; n = 0 for none
    logged: np.ndarray  # int64 (1) entries of the log in use
    array: Any = None  # wired.Wired: the array model behind the tile contract; None: cells are read and pulsed exactly
    recorded: Any = None  # tape.Recording of what the tile answers, or None
    played: Any = None  # tape.Answers in the tile's place, or None


PC, ACTIVE, STATE, FAULT, PAGE, BANK, STRIDE, HALT, OUTPUT = range(9)
"""Places in Memory.control; OUTPUT is the place of the output ring that is written next."""


class Format(NamedTuple):
    """The number formats of a configuration as plain integers."""

    tile_rows: int
    tile_cols: int
    tiles: int
    longest: int
    stride_mask: int
    vector_max: int
    vector_frac: int
    pre_frac: int
    unit: int
    drive_shift: int
    drive_max: int
    range_min: int
    range_max: int
    sense_max: int
    sense_shift: int
    forward_shift: int
    backward_shift: int
    pulse_max: int
    cell_bits: int
    spread: int
    read_noise: int
    write_stream: int
    used_bits: int
    profiles: int


def number_format(config: Config, profiles: int = EMULATED.profiles) -> Format:
    """Return the number formats of a configuration, with the profiles that its tile knows."""
    derived = {
        "write_stream": int(config.device is DeviceKind.LINEAR_STEP),
        "used_bits": used_bits(config),
        "profiles": profiles,
    }
    return Format(*(derived[f] if f in derived else int(getattr(config, f)) for f in Format._fields))


def seen(memory: Memory, config: Config) -> Memory:
    """Return a memory without the lanes beyond the columns, which share its arrays but for those."""
    return memory._replace(**{name: getattr(memory, name)[..., : config.tile_cols] for name in ("cells", "spread", "rounding", "write")})


def new_memory(config: Config) -> Memory:
    """Return the memory of a machine after power-up: everything zero, random states one."""
    lanes = whole(config.tile_cols)
    pairs = np.zeros((16, 16), np.bool_)
    for op, function in legal(config):
        pairs[op, function] = True
    line = whole(max(config.longest, config.rows, config.tile_cols) + 1)

    def zeros(*size: int) -> np.ndarray:
        return np.zeros(size, np.int64)

    memory = Memory(
        cells=np.zeros((config.rows, lanes), np.int16),
        spread=np.zeros((config.rows, lanes), np.uint8),
        rounding=np.ones(lanes, np.int32),
        write=np.ones(lanes, np.int32),
        read=np.ones(2, np.int64),
        tile=np.zeros(TILE_WORDS, np.int32),
        program=zeros(config.program_words),
        regions=zeros(config.regions, 4),
        table=zeros(config.vectors),
        masks=zeros(config.vectors),
        vectors=zeros(config.vector_words),
        pages=np.zeros((2, config.page_bytes), np.int8),
        store=np.zeros(4 * config.store_words, np.uint8),
        results=np.zeros(config.result_depth, np.uint16),
        outputs=np.zeros(config.output_depth, np.int16),
        scales=zeros(SCALE_REGISTERS, 2),
        counters=zeros(len(Counter)),
        activations=table_array(config),
        legal=pairs,
        costs=costs(config),
        control=zeros(OUTPUT + 1),
        line=zeros(line),
        words=zeros(line),
        factors=zeros(line),
        sums=zeros(line),
        lanes=np.zeros(lanes, np.int32),
        hits=zeros(config.tile_rows),
        wanted=np.zeros((config.tile_rows, GROUP), np.int32),
        noise=np.zeros((config.tile_rows, GROUP), np.int32),
        group=np.zeros(GROUP, np.int32),
        log=np.zeros((0, 5), np.int32),
        logged=zeros(1),
    )
    memory.control[STRIDE] = 1
    for offset, word in fixed_words(config).items():
        memory.tile[offset] = word
    return memory

"""What the golden machine holds: its memories as arrays, and its number formats as integers."""

import math
from typing import Any, NamedTuple

import numpy as np

from backpulse.firmware_py.activation import table_array
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import fixed_words
from backpulse.firmware_py.isa import SCALE_REGISTERS, legal, used_bits
from backpulse.firmware_py.lanes import GROUP, whole
from backpulse.firmware_py.registers import TILE_WORDS, Counter
from backpulse.firmware_py.streams import leaps
from backpulse.firmware_py.table_memory import new_law
from backpulse.firmware_py.tape import Recording, recording
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.firmware_py.timing import costs

CACHE_LINE = 64
"""Bytes."""


class Memory(NamedTuple):
    """Everything that the machine holds, as arrays that compiled functions share. Lanes are the columns, up to a whole vector of them."""

    cells: np.ndarray  # int16 (rows of all tiles, lanes)
    spread: np.ndarray  # uint8, same shape; of the table device int32
    rounding: np.ndarray  # int32 (lanes): the bits of a 32-bit state
    write: np.ndarray  # int32 (lanes)
    read: np.ndarray  # int64 (2), one a bank
    tile: np.ndarray  # int32 (TILE_WORDS)
    program: np.ndarray  # int64 (program_words)
    regions: np.ndarray  # int64 (regions, 4)
    table: np.ndarray  # int64 (vectors)
    masks: np.ndarray  # int64 (vectors): numbers as long as the OR behind a vector's magnitude
    vectors: np.ndarray  # int32 (vector_words)
    pages: np.ndarray  # int8 (2, page_bytes)
    store: np.ndarray  # uint8 (4 store_words)
    results: np.ndarray  # uint16 (result_depth)
    outputs: np.ndarray  # int16 (output_depth)
    scales: np.ndarray  # int64 (SCALE_REGISTERS, 2): mantissa, exponent
    counters: np.ndarray  # int64 (len(Counter))
    activations: np.ndarray  # int32 (512)
    legal: np.ndarray  # bool (16, 16): operation, function
    costs: np.ndarray  # int64 (16, 2, 6): see `timing.costs`
    control: np.ndarray  # int64: the places below
    filled: np.ndarray  # int64 (2): bytes of each page that a sample has filled; those behind are zero
    checked: np.ndarray  # bool (program_words) scratch: instructions whose operands are known to be good
    line: np.ndarray  # int32 scratch of the longest vector, in whole vectors of lanes, like the four below
    words: np.ndarray  # int32
    factors: np.ndarray  # int32
    sums: np.ndarray  # int32: analog sums, then sense words
    over: np.ndarray  # int32: which of these were over range
    lanes: np.ndarray  # int32 scratch: P_j of a PULSE, drives or sums of a read; with a vector more, for one that begins anywhere
    leaps: np.ndarray  # int32 (tile_rows + 1, 32): see `streams.leaps`
    hits: np.ndarray  # int64 (tile_rows) scratch: rows that may have a pulse
    draws: np.ndarray  # int32 (tile_rows, GROUP) scratch: their rounding words in one vector of lanes
    noise: np.ndarray  # int32, same shape: their write-noise words
    group: np.ndarray  # int32 scratch: one vector of lanes, for what takes them one by one
    log: np.ndarray  # int32 (n, 5) pulse log: step, tile, row, column, count; n = 0 for none
    logged: np.ndarray  # int64 (1) entries of the log in use
    recorded: Recording  # of what the tile answers, without room where nothing is recorded
    law: Any = None  # table_memory.Law of the table device; None: cells take the linear step
    array: Any = None  # wired.Wired: the array model behind the tile contract; None: cells are read and pulsed exactly
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
        "write_stream": int(config.device in (DeviceKind.LINEAR_STEP, DeviceKind.TABLE)),
        "used_bits": used_bits(config),
        "profiles": profiles,
    }
    return Format(*(derived[f] if f in derived else int(getattr(config, f)) for f in Format._fields))


def seen(memory: Memory, config: Config) -> Memory:
    """Return a memory without the lanes beyond the columns, which share its arrays but for those."""
    law = memory.law
    if law is not None:
        law = law._replace(persistent=law.persistent[:, : config.tile_cols])
    lanes = {name: getattr(memory, name)[..., : config.tile_cols] for name in ("cells", "spread", "rounding", "write")}
    return memory._replace(**lanes, law=law)


def _zeros(dtype: type[np.integer], *size: int) -> np.ndarray:
    """Return zeros that begin where a line of the processor's cache does, so that vectors of lanes lie in as few lines as can be."""
    count = math.prod(size)
    room = np.zeros(count + CACHE_LINE // np.dtype(dtype).itemsize, dtype)
    start = -room.ctypes.data % CACHE_LINE // room.itemsize
    return room[start : start + count].reshape(size)


def new_memory(config: Config) -> Memory:
    """Return the memory of a machine after power-up: everything zero, random states one."""
    lanes = whole(config.tile_cols)
    tables = config.device is DeviceKind.TABLE
    pairs = np.zeros((16, 16), np.bool_)
    for op, function in legal(config):
        pairs[op, function] = True
    line = whole(max(config.longest, config.rows, config.tile_cols) + 1) + GROUP  # for a vector that begins at any element
    memory = Memory(
        cells=_zeros(np.int16, config.rows, lanes),
        spread=_zeros(np.int32 if tables else np.uint8, config.rows, lanes),
        rounding=_zeros(np.int32, lanes),
        write=_zeros(np.int32, lanes),
        read=np.ones(2, np.int64),
        tile=_zeros(np.int32, TILE_WORDS),
        program=_zeros(np.int64, config.program_words),
        regions=_zeros(np.int64, config.regions, 4),
        table=_zeros(np.int64, config.vectors),
        masks=_zeros(np.int64, config.vectors),
        vectors=_zeros(np.int32, config.vector_words),
        pages=_zeros(np.int8, 2, config.page_bytes),
        store=_zeros(np.uint8, 4 * config.store_words),
        results=np.zeros(config.result_depth, np.uint16),
        outputs=_zeros(np.int16, config.output_depth),
        scales=_zeros(np.int64, SCALE_REGISTERS, 2),
        counters=_zeros(np.int64, len(Counter)),
        activations=table_array(config),
        legal=pairs,
        costs=costs(config),
        control=_zeros(np.int64, OUTPUT + 1),
        filled=_zeros(np.int64, 2),
        checked=np.zeros(config.program_words, np.bool_),
        **{scratch: _zeros(np.int32, line) for scratch in ("line", "words", "factors", "sums", "over")},
        lanes=_zeros(np.int32, lanes + GROUP),
        leaps=leaps(config.tile_rows),
        hits=_zeros(np.int64, config.tile_rows),
        **{drawn: _zeros(np.int32, config.tile_rows, GROUP) for drawn in ("draws", "noise")},
        group=_zeros(np.int32, GROUP),
        log=_zeros(np.int32, 0, 5),
        logged=_zeros(np.int64, 1),
        recorded=recording(0),
        law=new_law(config, _zeros(np.int16, config.rows, lanes)) if tables else None,
    )
    memory.rounding[:] = memory.write[:] = 1
    memory.control[STRIDE] = 1
    for offset, word in fixed_words(config).items():
        memory.tile[offset] = word
    return memory

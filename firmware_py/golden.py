"""The golden model: executes the controller's program words on the controller's memories, bit for bit.

One function an instruction, in the hardware's own names; docs/machine.md is the text that it follows. All arithmetic is int64 or
narrower signed integers: one uint64 among them would turn numba's arithmetic into float64 without a word. The class at the end is
the machine that the link talks to.
"""

from typing import NamedTuple

import numpy as np

from .activation import activate, fprime, table_array
from .config import Config, DeviceKind
from .device import update
from .formats import bit_length, rshift, sat, shift
from .isa import LEGAL, SCALE_REGISTERS, Function, Op
from .jit import jit
from .registers import TILE_WORDS, Counter, Fault, State
from .streams import gauss, xorshift
from .timing import instruction_cycles

_MASK32 = 0xFFFFFFFF
_PARTIAL, _NONE, _HADAMARD = int(Function.PARTIAL), int(Function.NONE), int(Function.HADAMARD_SIGMOID)
_READ, _READT, _PULSE, _ERR, _NORM2, _AXPY, _NEXT = (
    int(op) for op in (Op.READ, Op.READT, Op.PULSE, Op.ERR, Op.NORM2, Op.AXPY, Op.NEXT)
)
_STEPS, _HITS, _LOSS, _UP, _DOWN, _CLIPPED, _SENSE, _SATURATED, _CYCLES, _READ_CYCLES, _PULSE_CYCLES, _RESULTS = (int(c) for c in Counter)
NORM_EXPONENT = 2
"""Exponent of a scale register written by NORM2."""


class Memory(NamedTuple):
    """Everything that the machine holds, as arrays that compiled functions share."""

    cells: np.ndarray  # int32 (rows of all tiles, columns)
    spread: np.ndarray  # int32, same shape
    rounding: np.ndarray  # int64 (columns), 32-bit states
    write: np.ndarray  # int64 (columns)
    read: np.ndarray  # int64 (2), one a bank
    tile: np.ndarray  # int64 (TILE_WORDS)
    program: np.ndarray  # int64 (program_words)
    regions: np.ndarray  # int64 (regions, 4)
    table: np.ndarray  # int64 (vectors)
    magnitudes: np.ndarray  # int64 (vectors)
    masks: np.ndarray  # int64 (vectors): the OR behind a magnitude
    vectors: np.ndarray  # int64 (vector_words)
    pages: np.ndarray  # int64 (2, page_bytes), signed bytes
    store: np.ndarray  # uint8 (4 store_words)
    results: np.ndarray  # uint8 (result_depth)
    scales: np.ndarray  # int64 (SCALE_REGISTERS, 2): mantissa, exponent
    counters: np.ndarray  # int64 (len(Counter))
    activations: np.ndarray  # int64 (512)
    legal: np.ndarray  # bool (16, 16): operation, function
    control: np.ndarray  # int64: pc, active, state, fault, page, bank, stride, halt
    line: np.ndarray  # int64 scratch: the longer side of a tile
    sums: np.ndarray  # int32 scratch: one a column
    planned: np.ndarray  # int32 scratch: P_j of a PULSE
    log: np.ndarray  # int32 (n, 5) pulse log: step, tile, row, column, count; n = 0 for none
    logged: np.ndarray  # int64 (1) entries of the log in use


PC, ACTIVE, STATE, FAULT, PAGE, BANK, STRIDE, HALT = range(8)
"""Places in Memory.control."""


class Format(NamedTuple):
    """The number formats of a configuration as plain integers."""

    tile_rows: int
    tile_cols: int
    tiles: int
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
    spread: int
    read_noise: int
    write_stream: int


def number_format(config: Config) -> Format:
    """Return the number formats of a configuration."""
    derived = {"write_stream": int(config.device is not DeviceKind.IDEAL)}
    return Format(*(derived[f] if f in derived else int(getattr(config, f)) for f in Format._fields))


@jit
def _element(m, f, entry, index):
    """Return element `index` of a vector: a stored word, a byte of the sample page, or the constant unit behind its end."""
    length = (entry >> 16) & 0x7FFF
    if index == length and (entry >> 15) & 1:
        return f.unit
    address = (entry & 0x7FFF) + index
    if entry >> 31:
        return m.pages[m.control[PAGE], address & (m.pages.shape[1] - 1)] << f.drive_shift
    return m.vectors[address & (m.vectors.shape[0] - 1)]


@jit
def _store(m, f, vector, index, word, final):
    """Write element `index` of a vector; a final word takes part in the vector's magnitude."""
    entry = m.table[vector]
    m.vectors[((entry & 0x7FFF) + index) & (m.vectors.shape[0] - 1)] = word
    if final:
        if index == 0:
            m.masks[vector] = f.unit if (entry >> 15) & 1 else 0
        m.masks[vector] |= abs(word)
        m.magnitudes[vector] = bit_length(m.masks[vector])


@jit
def _magnitude(m, f, vector):
    """Return a vector's magnitude; a sample's is that of full drive."""
    return f.vector_frac if m.table[vector] >> 31 else m.magnitudes[vector]


@jit
def _convert(m, f, total):
    """Return the sense word of an analog sum: read noise, rounding, full scale."""
    if f.read_noise:
        bank = m.control[BANK]
        m.read[bank] = xorshift(m.read[bank])
        total += gauss(m.read[bank]) * m.tile[8]
    sense = rshift(total, f.sense_shift)
    if abs(sense) > f.sense_max:
        m.counters[_SENSE] += 1
    return sat(sense, f.sense_max)


@jit
def _read(m, f, op, region, source, to, aux, function, accumulate, auto_range, backward):
    """READ (rows to columns) and READT (columns to rows)."""
    row0 = (region[0] >> 16) * f.tile_rows + (region[0] & 0xFFFF)
    rows, cols = region[1] >> 16, region[1] & 0xFFFF
    col0, scale_log2 = region[2] >> 16, region[2] & 0xFFFF
    row_offset, col_offset = region[3] >> 16, region[3] & 0xFFFF
    columns_out = op == _READ
    n, offset, out_offset = (rows, row_offset, col_offset) if columns_out else (cols, col_offset, row_offset)
    s = sat_range(f, f.vector_frac - _magnitude(m, f, source)) if auto_range else 0
    for i in range(n):
        wide = shift(_element(m, f, m.table[source], offset + i), s - f.drive_shift)
        if abs(wide) > f.drive_max + 1:
            m.counters[_SATURATED] += 1
        m.line[i] = sat(wide, f.drive_max)
    k = (f.backward_shift if backward else f.forward_shift) + scale_log2 - s
    if columns_out:
        _multiply_rows(m.cells, m.line, row0, rows, col0, cols, m.sums)
        for c in range(cols):
            _receive(m, f, _convert(m, f, np.int64(m.sums[c])), k, to, out_offset + c, aux, function, accumulate)
    else:
        for r in range(rows):
            total = _multiply_row(m.cells, m.line, row0 + r, col0, cols)
            _receive(m, f, _convert(m, f, total), k, to, out_offset + r, aux, function, accumulate)


@jit
def sat_range(f, s):
    """Limit an auto-range shift."""
    return min(max(s, f.range_min), f.range_max)


@jit
def _multiply_rows(cells, line, row0, rows, col0, cols, sums):
    """Sum drive * cell down each column. A sum of 512 rows fits 32 bits, which the compiler's vectors like."""
    for c in range(cols):
        sums[c] = 0
    for r in range(rows):
        drive = np.int32(line[r])
        if drive:
            for c in range(cols):
                sums[c] = np.int32(sums[c] + drive * cells[row0 + r, col0 + c])


@jit
def _multiply_row(cells, line, row, col0, cols):
    """Sum drive * cell along one row. int64."""
    total = 0
    for c in range(cols):
        total += line[c] * cells[row, col0 + c]
    return total


@jit
def _receive(m, f, sense, k, to, index, aux, function, accumulate):
    """Scale one sense word, accumulate it, and store it through the function."""
    word = shift(sense, k)
    if accumulate:
        word += _element(m, f, m.table[to], index)
    if function == _PARTIAL:
        _store(m, f, to, index, word, False)
        return
    y = sat(word, f.vector_max)
    m.counters[_SATURATED] += y != word
    if function >= _HADAMARD:
        y = _times_fprime(m, f, y, _element(m, f, m.table[aux], index), function)
    elif function != _NONE:
        y, clipped = activate(function, y, m.activations, f.pre_frac, f.vector_frac, f.unit, f.vector_max)
        m.counters[_SATURATED] += clipped
    _store(m, f, to, index, y, True)


@jit
def _times_fprime(m, f, y, a, function):
    """Multiply an error by the derivative at output `a`."""
    wide = rshift(y * fprime(function, a, f.vector_frac), f.vector_frac)
    m.counters[_SATURATED] += abs(wide) > f.vector_max
    return sat(wide, f.vector_max)


@jit
def pulse_shift(exponent, scale_log2, magnitude):
    """Return (f, q) of a PULSE: bits that the column words lose, and bytes that the products lose."""
    x = exponent - scale_log2
    t = 24 - x - (magnitude + 1)
    if t < 0:
        return min(max(24 - x, 0), 31), 0
    return magnitude + 1 + t % 8, t // 8


@jit
def _pulse(m, f, region, rows_vector, cols_vector, scale, stochastic):
    """PULSE: outer-product weight pulses, row by row."""
    tile = region[0] >> 16
    row0 = tile * f.tile_rows + (region[0] & 0xFFFF)
    rows, cols = region[1] >> 16, region[1] & 0xFFFF
    col0, scale_log2 = region[2] >> 16, region[2] & 0xFFFF
    row_offset, col_offset = region[3] >> 16, region[3] & 0xFFFF
    lose, q = pulse_shift(m.scales[scale, 1], scale_log2, _magnitude(m, f, cols_vector))
    for c in range(f.tile_cols):
        m.planned[c] = 0
    if q <= 3:
        for c in range(cols):
            word = _element(m, f, m.table[cols_vector], col_offset + c)
            m.planned[col0 + c] = sat(rshift(word * m.scales[scale, 0], lose), 32767)
    noisy = f.write_stream and m.tile[32 + 1] != 0
    for r in range(rows):
        row = row0 + r
        a = np.int32(_element(m, f, m.table[rows_vector], row_offset + r))
        if f.write_stream:
            _advance(m.write)
        _advance(m.rounding)
        if a == 0:
            continue
        if m.log.shape[0]:
            _log_row(m, f, a, 8 * q, stochastic, tile, row)
        _pulse_row(m, f, m.cells[row], m.spread[row], a, 8 * q, stochastic, noisy)


@jit
def _advance(states):
    """Advance the random stream of every lane."""
    for c in range(states.shape[0]):
        states[c] = xorshift(states[c])


@jit
def _count(u, bits, word, stochastic, pulse_max):
    """Return (pulses, wanted): the magnitude of a pulse count after and before clipping."""
    n = ((abs(u) >> bits) + ((word >> 16) if stochastic else 0x8000)) >> 16
    return min(n, pulse_max), n


@jit
def _pulse_row(m, f, cells, spread, a, bits, stochastic, noisy):
    """Pulse the cells of one row: plan the counts of all lanes, then move the cells."""
    up = 0
    down = 0
    clipped = 0
    for c in range(cells.shape[0]):
        u = a * m.planned[c]
        n, wanted = _count(u, bits, m.rounding[c], stochastic, f.pulse_max)
        clipped += wanted > n
        up += n if u > 0 else 0
        down += n if u < 0 else 0
        m.sums[c] = n if u > 0 else -n
    m.counters[_UP] += up
    m.counters[_DOWN] += down
    m.counters[_CLIPPED] += clipped
    if up + down == 0:
        return
    for c in range(cells.shape[0]):
        if m.sums[c]:
            word = m.write[c] if noisy else 0
            cells[c] = update(np.int64(cells[c]), np.int64(m.sums[c]), np.int64(spread[c]), word, m.tile, f.spread)


@jit
def _log_row(m, f, a, bits, stochastic, tile, row):
    """Append the pulses of one row to the log."""
    for c in range(f.tile_cols):
        u = a * m.planned[c]
        n, _ = _count(u, bits, m.rounding[c], stochastic, f.pulse_max)
        if n and m.logged[0] < m.log.shape[0]:
            entry = m.log[m.logged[0]]
            entry[0] = m.counters[_STEPS]
            entry[1], entry[2], entry[3] = tile, row - tile * f.tile_rows, c
            entry[4] = n if u > 0 else -n
            m.logged[0] += 1


@jit
def _err(m, f, target, output, to, function):
    """ERR: the output error, its loss, the hit and the prediction."""
    length = (m.table[target] >> 16) & 0x7FFF
    total = 0
    best, wanted = 0, 0
    best_a, best_t = 0, 0
    for i in range(length):
        t = _element(m, f, m.table[target], i)
        a = _element(m, f, m.table[output], i)
        if i == 0 or a > best_a:
            best, best_a = i, a
        if i == 0 or t > best_t:
            wanted, best_t = i, t
        e = sat(t - a, f.vector_max)
        m.counters[_SATURATED] += e != t - a
        total += e * e
        _store(m, f, to, i, e if function == _NONE else _times_fprime(m, f, e, a, function), True)
    shift_bits = 2 * f.vector_frac - 12
    m.counters[_LOSS] += rshift(total, shift_bits)
    m.counters[_HITS] += best == wanted
    m.results[m.counters[_RESULTS] % m.results.shape[0]] = best & 255
    m.counters[_RESULTS] = (m.counters[_RESULTS] + 1) & _MASK32


@jit
def _norm2(m, f, vector, eta, to):
    """NORM2: a scale register becomes eta |a|^2."""
    length = (m.table[vector] >> 16) & 0x7FFF
    total = 0
    for i in range(length):
        word = _element(m, f, m.table[vector], i)
        total += word * word
    norm = min(rshift(total, 2 * f.vector_frac - 12), 65535)
    product = norm * m.scales[eta, 0]
    bits = min(max(14 - m.scales[eta, 1], -17), 47)
    m.scales[to, 0] = min(shift(product, -bits), 65535)
    m.scales[to, 1] = NORM_EXPONENT


@jit
def _axpy(m, f, source, to, scale, function):
    """AXPY: take a scaled vector off another."""
    length = (m.table[source] >> 16) & 0x7FFF
    bits = min(max(16 - m.scales[scale, 1], 0), 47)
    for i in range(length):
        a = _element(m, f, m.table[source], i)
        wide = _element(m, f, m.table[to], i) - rshift(m.scales[scale, 0] * a, bits)
        y = sat(wide, f.vector_max)
        m.counters[_SATURATED] += y != wide
        _store(m, f, to, i, y if function == _NONE else _times_fprime(m, f, y, a, function), True)


@jit
def _fault(m, code):
    """Stop with a fault at the present instruction."""
    m.control[STATE] = 3
    m.control[FAULT] = code | m.control[PC] << 16


@jit
def _operands_bad(m, f, op, region, a, b, c, function):
    """Say whether an instruction's region or vectors cannot be used."""
    if op == _READ or op == _READT or op == _PULSE:
        if region >= m.regions.shape[0]:
            return True
        words = m.regions[region]
        rows, cols = words[1] >> 16, words[1] & 0xFFFF
        row_end, col_end = (words[0] & 0xFFFF) + rows, (words[2] >> 16) + cols
        if rows == 0 or cols == 0 or row_end > f.tile_rows or col_end > f.tile_cols or (words[0] >> 16) >= f.tiles:
            return True
    for vector in (a, b):
        if op == _NORM2 and vector == b:
            continue
        if vector >= m.table.shape[0] or (m.table[vector] >> 16) & 0x7FFF == 0:
            return True
    uses_c = op == _ERR or ((op == _READ or op == _READT) and function >= _HADAMARD)
    return uses_c and (c >= m.table.shape[0] or (m.table[c] >> 16) & 0x7FFF == 0)


@jit
def _load_sample(m, index):
    """Copy one sample of the store into the free page and swap pages."""
    page = 1 - m.control[PAGE]
    size = 4 * m.control[STRIDE]
    start = index * size
    for i in range(size):
        byte = np.int64(m.store[(start + i) % m.store.shape[0]])
        m.pages[page, i & (m.pages.shape[1] - 1)] = (byte ^ 128) - 128
    m.control[PAGE] = page


@jit
def execute(m, f, order, count):
    """Run the machine until it needs a sample it has not, ends or faults.

    Parameters
    ----------
    m, f
        Memory and Format.
    order
        int64 array: sample indices; the first `count` are granted.

    Returns
    -------
    Samples begun.
    """
    begun = 0
    counters = m.counters
    while m.control[STATE] == 1 or m.control[STATE] == 2:
        pc = m.control[PC]
        if pc >= m.program.shape[0]:
            _fault(m, 1)
            break
        word = m.program[pc]
        op, function = word & 15, (word >> 34) & 15
        region, a, b, c = (word >> 4) & 0xFFF, (word >> 16) & 63, (word >> 22) & 63, (word >> 28) & 63
        if not m.legal[op, function]:
            _fault(m, 1)
            break
        if op == _NEXT:
            if m.control[ACTIVE]:
                m.control[ACTIVE] = 0
                counters[_STEPS] = (counters[_STEPS] + 1) & _MASK32
            if m.control[HALT]:
                m.control[HALT] = 0
                m.control[STATE] = 0
                break
            if begun == count:
                m.control[STATE] = 2
                break
            _load_sample(m, order[begun])
            begun += 1
            m.control[STATE] = 1
            m.control[ACTIVE] = 1
            m.control[PC] = region
            counters[_CYCLES] = (counters[_CYCLES] + instruction_cycles(op, 0, 0, 0)) & _MASK32
            continue
        if op > _NEXT:
            m.control[STATE] = 0
            break
        if _operands_bad(m, f, op, region, a, b, c, function):
            _fault(m, 4)
            break
        accumulate, auto_range, backward, stochastic = (word >> 38) & 1, (word >> 39) & 1, (word >> 40) & 1, (word >> 41) & 1
        rows = cols = 0
        if op <= _PULSE:
            rows, cols = m.regions[region][1] >> 16, m.regions[region][1] & 0xFFFF
        cycles = instruction_cycles(op, rows, cols, (m.table[a] >> 16) & 0x7FFF)
        if op == _PULSE:
            _pulse(m, f, m.regions[region], a, b, c & 7, stochastic)
            counters[_PULSE_CYCLES] = (counters[_PULSE_CYCLES] + cycles) & _MASK32
        elif op == _ERR:
            _err(m, f, a, b, c, function)
        elif op == _NORM2:
            _norm2(m, f, a, b & 7, c & 7)
        elif op == _AXPY:
            _axpy(m, f, a, b, c & 7, function)
        else:
            _read(m, f, op, m.regions[region], a, b, c, function, accumulate, auto_range, backward)
            counters[_READ_CYCLES] = (counters[_READ_CYCLES] + cycles) & _MASK32
        counters[_CYCLES] = (counters[_CYCLES] + cycles) & _MASK32
        m.control[PC] = pc + 1
    for i in range(counters.shape[0]):
        counters[i] &= _MASK32
    return begun


def new_memory(config: Config) -> Memory:
    """Return the memory of a machine after power-up: everything zero, random states one."""
    cols, shape = config.tile_cols, (config.rows, config.tile_cols)
    legal = np.zeros((16, 16), np.bool_)
    for op, function in LEGAL:
        legal[op, function] = True

    def zeros(*size: int) -> np.ndarray:
        return np.zeros(size, np.int64)

    memory = Memory(
        cells=np.zeros(shape, np.int32),
        spread=np.zeros(shape, np.int32),
        rounding=np.ones(cols, np.int64),
        write=np.ones(cols, np.int64),
        read=np.ones(2, np.int64),
        tile=zeros(TILE_WORDS),
        program=zeros(config.program_words),
        regions=zeros(config.regions, 4),
        table=zeros(config.vectors),
        magnitudes=zeros(config.vectors),
        masks=zeros(config.vectors),
        vectors=zeros(config.vector_words),
        pages=zeros(2, config.page_bytes),
        store=np.zeros(4 * config.store_words, np.uint8),
        results=np.zeros(config.result_depth, np.uint8),
        scales=zeros(SCALE_REGISTERS, 2),
        counters=zeros(len(Counter)),
        activations=table_array(config),
        legal=legal,
        control=zeros(8),
        line=zeros(max(config.tile_rows, cols)),
        sums=np.zeros(cols, np.int32),
        planned=np.zeros(cols, np.int32),
        log=np.zeros((0, 5), np.int32),
        logged=zeros(1),
    )
    memory.control[STRIDE] = 1
    return memory


__all__ = ["Format", "Memory", "execute", "new_memory", "number_format", "State", "Fault"]

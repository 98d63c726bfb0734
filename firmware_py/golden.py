"""The golden model: executes the controller's program words on the controller's memories, bit for bit.

One function an instruction, in the hardware's own names; docs/machine.md is the text that it follows. All arithmetic is int64 or
narrower signed integers: one uint64 among them would turn numba's arithmetic into float64 without a word. The machine that the link
talks to is in machine.py.
"""

# Over 400 lines: one function an instruction, and the loop that calls them.

import numpy as np

from backpulse.firmware_py.activation import activate, fprime
from backpulse.firmware_py.crossbar import (
    any_leak,
    any_leaks,
    any_pulse_lanes,
    any_read,
    any_settle,
    any_take_sample,
    any_words_of,
    plan_lanes,
)
from backpulse.firmware_py.formats import rshift, sat, shift
from backpulse.firmware_py.isa import NORM_EXPONENT, Function, Op, require
from backpulse.firmware_py.jit import inlined, jit, part
from backpulse.firmware_py.lanes import GROUP, bit_length, count, everywhere, load, peak, store, total, upto, where
from backpulse.firmware_py.memory import ACTIVE, FAULT, HALT, OUTPUT, PAGE, PC, STATE, STRIDE
from backpulse.firmware_py.operands import PLACED, operands_bad
from backpulse.firmware_py.registers import LOSS_FRAC, Counter, Fault, State
from backpulse.firmware_py.tape import (
    begin_pulse,
    no_room,
    play_pulse,
    play_read,
    played_out,
    pulse_cycles_more,
    record_completion,
    stopped,
)
from backpulse.firmware_py.timing import instruction_cycles, leak_cycles, refused_cycles
from backpulse.firmware_py.trace import Ended

_MASK32 = 0xFFFFFFFF
_PARTIAL, _NONE, _HADAMARD = int(Function.PARTIAL), int(Function.NONE), int(Function.HADAMARD_SIGMOID)
_HANDLED = (Op.READ, Op.READT, Op.PULSE, Op.ERR, Op.NORM2, Op.AXPY, Op.NEXT, Op.END)
require("golden model", _HANDLED)
_READ, _READT, _PULSE, _ERR, _NORM2, _AXPY, _NEXT, _END = (int(op) for op in _HANDLED)
_STEPS, _HITS, _LOSS, _UP, _DOWN, _CLIPPED, _SENSE, _SATURATED, _CYCLES, _READ_CYCLES, _PULSE_CYCLES, _RESULTS, _ = (
    int(c) for c in Counter
)
_IDLE, _TRAINING, _PAUSED, _FAULTY = (int(s) for s in State)
_UNKNOWN_WORD, _BAD_OPERAND = int(Fault.UNKNOWN_WORD), int(Fault.BAD_OPERAND)
_OK, _REFUSED = int(Ended.OK), int(Ended.REFUSED)
_LOSS_FRAC, _NORM_EXPONENT = int(LOSS_FRAC), int(NORM_EXPONENT)


@part
def _gather(m, f, vector, offset, n, line):
    """Copy elements offset .. offset + n - 1 of a vector to a line: stored words, bytes of the sample page, the unit behind the end."""
    entry = m.table[vector]
    base, bias, length = (entry & 0x7FFF) + offset, (entry >> 15) & 1, (entry >> 16) & 0x7FFF
    if entry >> 31:
        _take(line, m.pages[m.control[PAGE]], base, n, f.drive_shift)
    else:
        _take(line, m.vectors, base, n, 0)
    if bias and offset <= length < offset + n:
        line[length - offset] = f.unit


@part
def _take(line, words, base, n, bits):
    """Copy words, shifted left, from a memory that begins anew at its end; what is in the line behind them is undefined."""
    if base + n + GROUP <= words.shape[0]:
        for i in range(0, n, GROUP):
            store(line, i, load(words, base + i) << bits)
    else:
        for i in range(n):
            line[i] = np.int64(words[(base + i) & (words.shape[0] - 1)]) << bits


@part
def _scatter(m, f, vector, offset, n, line, final):
    """Write a line to elements offset .. offset + n - 1 of a vector; final words take part in the vector's magnitude."""
    entry = m.table[vector]
    mask = _put(m.vectors, line, (entry & 0x7FFF) + offset, n)
    if final:
        if offset == 0:
            m.masks[vector] = f.unit if (entry >> 15) & 1 else 0
        m.masks[vector] |= mask


@part
def _put(words, line, base, n):
    """Copy a line to a memory that begins anew at its end; return a number as long as the OR of the magnitudes."""
    if base + n + GROUP > words.shape[0]:
        mask = 0
        for i in range(n):
            words[(base + i) & (words.shape[0] - 1)] = line[i]
            mask |= abs(line[i])
        return mask
    largest = everywhere(0)
    for i in range(0, n, GROUP):
        word = where(upto(n - i), load(line, i), load(words, base + i))
        store(words, base + i, word)
        largest = max(largest, abs(word) & upto(n - i))
    return peak(largest)


@part
def _magnitude(m, f, vector):
    """Return a vector's magnitude; a sample's is that of full drive."""
    return f.vector_frac if m.table[vector] >> 31 else bit_length(m.masks[vector])


@part
def _length(m, vector):
    """Return a vector's length."""
    return (m.table[vector] >> 16) & 0x7FFF


@part
def _read(m, f, op, region, source, to, aux, function, accumulate, auto_range, backward):
    """READ (rows to columns) and READT (columns to rows); returns the fault that it ends with, or 0."""
    row0 = (region[0] >> 16) * f.tile_rows + (region[0] & 0xFFFF)
    rows, cols = region[1] >> 16, region[1] & 0xFFFF
    col0, scale_log2 = region[2] >> 16, region[2] & 0xFFFF
    row_offset, col_offset = region[3] >> 16, region[3] & 0xFFFF
    columns_out = op == _READ
    n, offset, n_out, out_offset = (rows, row_offset, cols, col_offset) if columns_out else (cols, col_offset, rows, row_offset)
    s = min(max(f.vector_frac - _magnitude(m, f, source), f.range_min), f.range_max) if auto_range else 0
    line, words, factors = m.line, m.words, m.factors
    _gather(m, f, source, offset, n, line)
    m.counters[_SATURATED] += _to_drives(line, n, s - f.drive_shift, f.drive_max)
    over, fault = _sense(m, m.played, f, op, row0, rows, col0, cols, n_out)
    m.counters[_SENSE] += over
    if fault != 0 or stopped(m.played):
        return fault
    k = (f.backward_shift if backward else f.forward_shift) + scale_log2 - s
    if accumulate:
        _gather(m, f, to, out_offset, n_out, words)
    if function >= _HADAMARD:
        _gather(m, f, aux, out_offset, n_out, factors)
    m.counters[_SATURATED] += _finish(m, f, n_out, k, accumulate, function)
    _scatter(m, f, to, out_offset, n_out, words, function != _PARTIAL)
    return 0


@part
def _finish(m, f, n, k, accumulate, function):
    """Turn sense words into the words that a read stores in m.words, onto which it accumulates; return how many were clamped."""
    clamped = 0
    for i in range(0, n, GROUP):
        word = shift(load(m.sums, i), k)
        if accumulate:
            word = word + load(m.words, i)
        if function != _PARTIAL:
            clamped += count((abs(word) > f.vector_max) & upto(n - i))
            word = sat(word, f.vector_max)
            if function >= _HADAMARD:
                word = _times_fprime(word, load(m.factors, i), function, f)
                clamped += count((abs(word) > f.vector_max) & upto(n - i))
                word = sat(word, f.vector_max)
            elif function != _NONE:
                word, more = activate(function, word, m.activations, f.pre_frac, f.vector_frac, f.unit, f.vector_max)
                clamped += count(more & upto(n - i))
        store(m.words, i, word)
    return clamped


@part
def _sense(m, played, f, op, row0, rows, col0, cols, n):
    """Turn the drives in m.line into sense words in m.sums, or play these; return how many were over range, and a fault or 0."""
    if played is not None:
        return play_read(played, op, n, m.sums, f.sense_max)
    over = any_read(m, f, op == _READ, row0, rows, col0, cols)
    record_completion(m.recorded, op, _OK, 0, 0)
    return over, 0


@part
def _to_drives(line, n, bits, drive_max):
    """Turn vector words into drives in place; return how many were clamped by more than the missing 1.0."""
    clamped = 0
    for i in range(0, n, GROUP):
        wide = shift(load(line, i), bits)
        clamped += count((abs(wide) > drive_max + 1) & upto(n - i))
        store(line, i, sat(wide, drive_max))
    return clamped


@part
def _times_fprime(word, output, function, f):
    """Return errors times the derivative at their outputs."""
    return rshift(word * fprime(function, output, f.vector_frac, f.unit), f.vector_frac)


@part
def _derived(words, outputs, n, function, f):
    """Multiply errors by the derivative at their outputs if the function says so, in place; return how many were clamped."""
    clamped = 0
    for i in range(0, n if function != _NONE else 0, GROUP):
        word = _times_fprime(load(words, i), load(outputs, i), function, f)
        clamped += count((abs(word) > f.vector_max) & upto(n - i))
        store(words, i, sat(word, f.vector_max))
    return clamped


@inlined
def pulse_shift(exponent, scale_log2, magnitude):
    """Return (f, q) of a PULSE: bits that the column words lose, and bytes that the products lose."""
    x = exponent - scale_log2
    t = 24 - x - (magnitude + 1)
    if t < 0:
        return min(max(24 - x, 0), 31), 0
    return magnitude + 1 + t % 8, t // 8


@part
def _pulse(m, f, region, rows_vector, cols_vector, scale, stochastic):
    """PULSE: outer-product weight pulses, row by row; returns the fault that it ends with, or 0.

    Column j is loaded with P_j = sat(rshift(b_j * mantissa, f), 32767), or 0 if q > 3.
    """
    row0 = (region[0] >> 16) * f.tile_rows + (region[0] & 0xFFFF)
    rows, cols = region[1] >> 16, region[1] & 0xFFFF
    col0, scale_log2 = region[2] >> 16, region[2] & 0xFFFF
    row_offset, col_offset = region[3] >> 16, region[3] & 0xFFFF
    lose, q = pulse_shift(m.scales[scale, 1], scale_log2, _magnitude(m, f, cols_vector))
    line, planned = m.line, m.lanes
    _gather(m, f, cols_vector, col_offset, cols, line)
    for lane in range(0, m.rounding.shape[0], GROUP):
        store(planned, lane, everywhere(0))
    if q <= 3:
        for c in range(cols):
            planned[col0 + c] = sat(rshift(np.int64(line[c]) * m.scales[scale, 0], lose), 32767)
    _gather(m, f, rows_vector, row_offset, rows, line)
    shared = any_words_of(m, f)
    # The log wants them row by row; else the lanes are outside, for their streams then stay in the processor's registers.
    rows_at_once = 1 if m.log.shape[0] else rows
    begin_pulse(m.played, rows)
    ups = downs = clips = everywhere(0)
    first, bits = 0, 8 * min(q, 3)
    while first < rows:
        for lane in range(0, m.rounding.shape[0], GROUP):
            hits = plan_lanes(m, f, lane, rows_at_once, line[first:], bits, stochastic)
            up, down, clipped = any_pulse_lanes(m, m.played, f, lane, row0, first, hits, line[first:], bits, stochastic, shared)
            ups, downs, clips = ups + up, downs + down, clips + clipped
        first += rows_at_once
    m.counters[_UP] += total(ups)
    m.counters[_DOWN] += total(downs)
    m.counters[_CLIPPED] += total(clips)
    any_settle(m, f, row0, rows, shared)
    record_completion(m.recorded, _PULSE, _OK, total(ups) + total(downs), rows)
    return play_pulse(m.played, m, row0, rows, f.tile_rows)


@part
def _largest(line, n):
    """Return the index of the largest word, the first of equals."""
    best, largest = 0, line[0]
    for i in range(1, n):
        if line[i] > largest:
            best, largest = i, line[i]
    return best


@part
def _err(m, f, target, output, to, function):
    """ERR: the output error, its loss, the hit and the prediction."""
    n = _length(m, target)
    targets, outputs, errors, counters = m.line, m.factors, m.words, m.counters
    _gather(m, f, target, 0, n, targets)
    _gather(m, f, output, 0, n, outputs)
    for i in range(0, n, GROUP):
        error = load(targets, i) - load(outputs, i)
        counters[_SATURATED] += count((abs(error) > f.vector_max) & upto(n - i))
        store(errors, i, sat(error, f.vector_max))
    counters[_LOSS] += _norm(errors, n, f)
    best = _largest(outputs, n)
    counters[_HITS] += best == _largest(targets, n)
    m.results[counters[_RESULTS] % m.results.shape[0]] = best
    counters[_RESULTS] = (counters[_RESULTS] + 1) & _MASK32
    if m.outputs.shape[0]:
        _put(m.outputs, outputs, m.control[OUTPUT], n)
        m.control[OUTPUT] = (m.control[OUTPUT] + n) & (m.outputs.shape[0] - 1)
    counters[_SATURATED] += _derived(errors, outputs, n, function, f)
    _scatter(m, f, to, 0, n, errors, True)


@part
def _norm(line, n, f):
    """Return the squared norm of a line, Q.12."""
    squares = 0
    for i in range(n):
        squares += np.int64(line[i]) * np.int64(line[i])
    return rshift(squares, 2 * f.vector_frac - _LOSS_FRAC)


@part
def _norm2(m, f, vector, eta, to):
    """NORM2: a scale register becomes eta |a|^2."""
    n, line = _length(m, vector), m.line
    _gather(m, f, vector, 0, n, line)
    product = min(_norm(line, n, f), 65535) * m.scales[eta, 0]
    bits = min(max(14 - m.scales[eta, 1], 0), 47)
    m.scales[to, 0] = min(rshift(product, bits), 65535)
    m.scales[to, 1] = _NORM_EXPONENT


@part
def _axpy(m, f, source, to, scale, function):
    """AXPY: take a scaled vector off another, times f' of the first if the function says so."""
    n, outputs, words = _length(m, source), m.factors, m.words
    _gather(m, f, source, 0, n, outputs)
    _gather(m, f, to, 0, n, words)
    mantissa, bits = m.scales[scale, 0], min(max(16 - m.scales[scale, 1], 0), 47)
    for i in range(n):
        word = words[i] - rshift(mantissa * outputs[i], bits)
        m.counters[_SATURATED] += abs(word) > f.vector_max
        words[i] = sat(word, f.vector_max)
    m.counters[_SATURATED] += _derived(words, outputs, n, function, f)
    _scatter(m, f, to, 0, n, words, True)


@part
def _fault(m, code):
    """Stop with a fault at the present instruction."""
    m.control[STATE] = _FAULTY
    m.control[FAULT] = code | m.control[PC] << 16


@part
def _load_sample(m, f, index):
    """Copy one sample of the store into the free page, zeros behind it, and swap pages."""
    at = m.control[PAGE] = 1 - m.control[PAGE]
    page, samples = m.pages[at], m.store
    size = 4 * (m.control[STRIDE] & f.stride_mask)
    place, end = index * size % samples.shape[0], size + GROUP - 1 & -GROUP
    if place + end <= samples.shape[0] and end <= page.shape[0]:
        for i in range(0, end, GROUP):
            store(page, i, load(samples, place + i) & upto(size - i))
    else:
        for i in range(size):
            page[i & (page.shape[0] - 1)] = np.int8(samples[(place + i) % samples.shape[0]])
        end = size
    for i in range(end, min(m.filled[at], page.shape[0])):
        page[i] = 0
    m.filled[at] = end


@jit
def execute(m, f, order, granted):
    """Run the machine until it needs a sample it has not, ends or faults.

    Parameters
    ----------
    m, f
        Memory and Format.
    order
        int64 array: sample indices; the first `granted` are granted.

    Returns
    -------
    Samples begun.
    """
    begun, counters = 0, m.counters
    for i in range(m.checked.shape[0]):
        m.checked[i] = False
    while m.control[STATE] == _TRAINING or m.control[STATE] == _PAUSED:
        pc = m.control[PC]
        if pc >= m.program.shape[0]:
            _fault(m, _UNKNOWN_WORD)
            break
        word = m.program[pc]
        op, function = word & 15, (word >> 34) & 15
        region, a, b, c = (word >> 4) & 0xFFF, (word >> 16) & 63, (word >> 22) & 63, (word >> 28) & 63
        profile = (word >> 42) & 15
        if word >> f.used_bits != 0 or not m.legal[op, function] or (profile and not PLACED[op]):
            _fault(m, _UNKNOWN_WORD)
            break
        if op == _NEXT:
            if m.control[ACTIVE]:
                m.control[ACTIVE] = 0
                counters[_STEPS] = (counters[_STEPS] + 1) & _MASK32
            if m.control[HALT]:
                m.control[HALT] = 0
                m.control[STATE] = _IDLE
                break
            if begun == granted or no_room(m.recorded) or played_out(m.played):
                m.control[STATE] = _PAUSED
                break
            _load_sample(m, f, order[begun])
            begun += 1
            m.control[STATE] = _TRAINING
            m.control[ACTIVE] = 1
            any_take_sample(m)
            m.control[PC] = min(region, m.program.shape[0])
            counters[_CYCLES] = (counters[_CYCLES] + instruction_cycles(m.costs, op, 0, 0, 0, 0)) & _MASK32
            continue
        if op == _END:
            m.control[STATE] = _IDLE
            break
        if not m.checked[pc]:
            if operands_bad(m, f, op, region, a, b, c, function):
                _fault(m, _BAD_OPERAND)
                break
            m.checked[pc] = True
        if profile >= f.profiles:
            cycles = refused_cycles(m.costs, op)
            counters[_CYCLES] += cycles
            counters[_PULSE_CYCLES if op == _PULSE else _READ_CYCLES] += cycles
            record_completion(m.recorded, op, _REFUSED, 0, 0)
            _fault(m, _BAD_OPERAND)
            break
        accumulate, auto_range, backward, stochastic = (word >> 38) & 1, (word >> 39) & 1, (word >> 40) & 1, (word >> 41) & 1
        rows = cols = 0
        if PLACED[op]:
            rows, cols = m.regions[region][1] >> 16, m.regions[region][1] & 0xFFFF
        cycles = instruction_cycles(m.costs, op, int(function >= _HADAMARD), rows, cols, (m.table[a] >> 16) & 0x7FFF)
        if rows and any_leaks(m):
            cycles += leak_cycles(op, rows, cols)
            if m.played is None:
                any_leak(m, f, m.array, (m.regions[region][0] >> 16) * f.tile_rows + (m.regions[region][0] & 0xFFFF), rows)
        fault = 0
        if op == _PULSE:
            fault = _pulse(m, f, m.regions[region], a, b, c & 7, stochastic)
            cycles += pulse_cycles_more(m.recorded)
            counters[_PULSE_CYCLES] = (counters[_PULSE_CYCLES] + cycles) & _MASK32
        elif op == _ERR:
            _err(m, f, a, b, c, function)
        elif op == _NORM2:
            _norm2(m, f, a, b & 7, c & 7)
        elif op == _AXPY:
            _axpy(m, f, a, b, c & 7, function)
        elif op == _READ or op == _READT:
            fault = _read(m, f, op, m.regions[region], a, b, c, function, accumulate, auto_range, backward)
            counters[_READ_CYCLES] = (counters[_READ_CYCLES] + cycles) & _MASK32
        counters[_CYCLES] = (counters[_CYCLES] + cycles) & _MASK32
        if fault != 0 or stopped(m.played):
            _fault(m, fault)
            break
        m.control[PC] = pc + 1
    for i in range(counters.shape[0]):
        counters[i] &= _MASK32
    return begun

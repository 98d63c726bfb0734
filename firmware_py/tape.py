"""Tapes of the golden model: one that records what its tile answers, and one that answers in the tile's place (docs/trace.md).

A memory that records nothing holds a tape without room: whether to record is asked where a record would be written, for other compiled
functions would take longer to compile than all these questions. Where no tape is played it holds None: then they contain nothing of that.
"""

from typing import NamedTuple

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.jit import part
from backpulse.firmware_py.lanes import whole
from backpulse.firmware_py.registers import CAUSE_AT, Counter, Fault
from backpulse.firmware_py.trace import COMPLETION_BITS, PULSE_UNITS, SENSE_BITS, SHORT_BITS, SHORT_UNITS, UNIT_BITS, Ended, Kind

_SENSE, _COMPLETION, _SHORT = int(Kind.SENSE), int(Kind.COMPLETION), int(Kind.SHORT)
_KIND = 3
_UNIT = (1 << UNIT_BITS) - 1
_OVER, _LAST, _VALUE = (SENSE_BITS[name][0] for name in ("over", "last", "value"))
_VALUE_MASK, _VALUE_SIGN = (1 << SENSE_BITS["value"][1]) - 1, 1 << SENSE_BITS["value"][1] - 1
_STATUS, _CAUSE, _OP = (COMPLETION_BITS[name][0] for name in ("status", "cause", "op"))
_ROW = SHORT_BITS["row"][0]
_PULSE = int(Op.PULSE)
_OK, _REFUSED, _FAILED = int(Ended.OK), int(Ended.REFUSED), int(Ended.FAILED)
_TILE, _BAD_OPERAND, _ABORTED = int(Fault.TILE), int(Fault.BAD_OPERAND), int(Fault.ABORTED)
_AT_CAUSE = int(CAUSE_AT)
_STEPS, _MISSED = int(Counter.STEPS), int(Counter.PULSES_MISSED)


class Recording(NamedTuple):
    """A tape that is written."""

    units: np.ndarray  # uint16
    at: np.ndarray  # int64 (2): units in use, and how many may be in use when a sample begins


ASKED_UP, ASKED_DOWN, DONE_UP, DONE_DOWN, UNSURE = range(5)
"""Planes of a ledger: pulses that each cell was asked for, and those that it surely got; the pulses of a row that stopped short after
some of its pulses are unsure."""
LEDGER_PLANES = 5
AT, END, STOPS, FOUND, ELEMENT, WANT, GOT = range(7)
"""Places in `Answers.at`: the next unit; the end of the tape; whether no sample begins there; then what was found amiss, or CUT."""
CUT, ORDER, LAST, RANGE, ASKED, ROWS, SHORT_ASKED, SHORT_SUM, NO_ROW = range(1, 10)
"""What may be found: the tape's end within an instruction, a record of another kind than wanted; a last sense word that is not said to
be, or one that is said to be; a sense word that the converter does not have; other pulses than planned; other rows; a short row with
other pulses than planned; short rows that do not add up; a row that the region has not."""


class Answers(NamedTuple):
    """A tape that is played."""

    units: np.ndarray  # uint16
    at: np.ndarray  # int64: the places above
    counts: np.ndarray  # int32 (tile_rows, lanes): those of the PULSE that executes
    ledger: np.ndarray  # int32 (LEDGER_PLANES, rows of all tiles, lanes)


def recording(units: int) -> Recording:
    """Return an empty tape with room for so many units; none is recorded where there is no room at all."""
    return Recording(np.zeros(units, np.uint16), np.array([0, units], np.int64))


def answers(units: np.ndarray, config: Config) -> Answers:
    """Return a tape of units (uint16) at its beginning, with an empty ledger."""
    lanes = whole(config.tile_cols)
    at = np.zeros(GOT + 1, np.int64)
    at[END], at[STOPS] = len(units), 1
    return Answers(units, at, np.zeros((config.tile_rows, lanes), np.int32), np.zeros((LEDGER_PLANES, config.rows, lanes), np.int32))


@part
def record(tape, unit):
    """Record a unit."""
    if tape.units.shape[0]:
        tape.units[tape.at[0]] = unit
        tape.at[0] += 1


@part
def record_sense(tape, sense, over, last):
    """Record a sense word."""
    if tape.units.shape[0]:
        record(tape, _SENSE | over << _OVER | last << _LAST | (sense & _VALUE_MASK) << _VALUE)


@part
def record_read(tape, sums, over, n):
    """Record the sense words of a read; those over range are marked by -1 in `over`."""
    if tape.units.shape[0]:
        for i in range(n):
            record_sense(tape, sums[i], -over[i], int(i == n - 1))


@part
def record_completion(tape, op, status, asked, rows):
    """Record a completion without a cause, all pulses done."""
    if tape.units.shape[0]:
        record(tape, _COMPLETION | status << _STATUS | op << _OP)
        if op == _PULSE:
            for number in (asked, asked):
                record(tape, number & _UNIT)
                record(tape, number >> UNIT_BITS)
            record(tape, rows)


@part
def pulse_cycles_more(tape):
    """Return the cycles that a PULSE takes more where it is recorded: its completion waits until its last unit is written."""
    if tape.units.shape[0]:
        return PULSE_UNITS - 1
    return 0


@part
def no_room(tape):
    """Say whether a sample may not begin, as its records might find no room."""
    if tape.units.shape[0]:
        return tape.at[0] > tape.at[1]
    return False


@part
def played_out(tape):
    """Say whether no sample may begin, as the tape is at its end."""
    if tape is not None:
        return tape.at[STOPS] != 0 and tape.at[AT] == tape.at[END]
    return False


@part
def stopped(tape):
    """Say whether something was found amiss on the tape, or its end."""
    if tape is not None:
        return tape.at[FOUND] != 0
    return False


@part
def _find(tape, what, element, want, got):
    """Keep what was found amiss, the first time."""
    if tape.at[FOUND] == 0:
        tape.at[FOUND], tape.at[ELEMENT], tape.at[WANT], tape.at[GOT] = what, element, want, got


@part
def _fault_of(unit):
    """Return the fault that a completion leads to, 0 for none."""
    status, cause = (unit >> _STATUS) & 3, (unit >> _CAUSE) & 15
    if status == _OK:
        return 0
    if status == _REFUSED:
        return _BAD_OPERAND
    return _TILE | cause << _AT_CAUSE if status == _FAILED else _ABORTED


@part
def play_read(tape, op, n, sums, sense_max):
    """Take the sense words and the completion of a read off the tape; return how many were over range, and the fault or 0.

    Sense words before a failure are taken; the completion may stand before the last of them.
    """
    over = got = fault = 0
    completed = False
    while got < n or not completed:
        if tape.at[AT] == tape.at[END]:
            _find(tape, CUT, got, 0, 0)
            break
        unit = np.int64(tape.units[tape.at[AT]])
        kind = unit & _KIND
        if kind == _SENSE and got < n:
            value = ((unit >> _VALUE & _VALUE_MASK) ^ _VALUE_SIGN) - _VALUE_SIGN
            if (unit >> _LAST & 1) != (got == n - 1):
                _find(tape, LAST, got, int(got == n - 1), unit >> _LAST & 1)
                break
            if abs(value) > sense_max:
                _find(tape, RANGE, got, sense_max, value)
                break
            sums[got] = value
            over += unit >> _OVER & 1
            got += 1
        elif kind == _COMPLETION and not completed and (unit >> _OP & 15) == op:
            completed, fault = True, _fault_of(unit)
        else:
            _find(tape, ORDER, got, _SENSE if got < n else _COMPLETION, kind)
            break
        tape.at[AT] += 1
        if fault != 0:
            break
    return over, fault


@part
def begin_pulse(tape, rows):
    """Forget the counts of the PULSE before."""
    if tape is not None:
        tape.counts[:rows] = 0


@part
def _number(tape, at):
    """Return the number in two units."""
    return np.int64(tape.units[at]) | np.int64(tape.units[at + 1]) << UNIT_BITS


@part
def _row_sum(tape, row):
    """Return the pulses of a row."""
    asked = 0
    for lane in range(tape.counts.shape[1]):
        asked += abs(tape.counts[row, lane])
    return asked


@part
def play_pulse(tape, m, row0, rows, tile_rows):
    """Take short rows and the completion of a PULSE off the tape, compare them with its counts, and book the pulses.

    Returns the fault that the completion leads to, or 0.
    """
    if tape is None:
        return 0
    begin = tape.at[AT]
    missing = 0
    while tape.at[AT] < tape.at[END] and tape.units[tape.at[AT]] & _KIND == _SHORT and tape.at[AT] + SHORT_UNITS <= tape.at[END]:
        at = tape.at[AT]
        row, asked, done = tape.units[at] >> _ROW, np.int64(tape.units[at + 1]), np.int64(tape.units[at + 2])
        place = row - row0 % tile_rows
        if place < 0 or place >= rows:
            _find(tape, NO_ROW, row, 0, 0)
            return 0
        if _row_sum(tape, place) != asked:
            _find(tape, SHORT_ASKED, row, _row_sum(tape, place), asked)
            return 0
        missing += asked - done
        tape.at[AT] += SHORT_UNITS
    at = tape.at[AT]
    if at == tape.at[END]:
        _find(tape, CUT, 0, 0, 0)
        return 0
    head = np.int64(tape.units[at])
    if head & _KIND == _SHORT or (head & _KIND == _COMPLETION and at + PULSE_UNITS > tape.at[END]):
        _find(tape, CUT, 0, 0, 0)
        return 0
    if head & _KIND != _COMPLETION or (head >> _OP & 15) != _PULSE:
        _find(tape, ORDER, 0, _COMPLETION, head & _KIND)
        return 0
    asked, done, taken = _number(tape, at + 1), _number(tape, at + 3), np.int64(tape.units[at + 5])
    fault = _fault_of(head)
    if taken > rows or (fault == 0 and taken != rows):
        _find(tape, ROWS, 0, rows, taken)
        return 0
    planned = 0
    for row in range(taken):
        planned += _row_sum(tape, row)
    if planned != asked:
        _find(tape, ASKED, 0, planned, asked)
        return 0
    if missing != asked - done:
        _find(tape, SHORT_SUM, 0, asked - done, missing)
        return 0
    tape.at[AT] = at + PULSE_UNITS
    m.counters[_MISSED] += missing
    for row in range(taken):
        _book(tape, m, row0 + row, row, tile_rows)
    for short in range(begin, at, SHORT_UNITS):
        place = (tape.units[short] >> _ROW) - row0 % tile_rows
        _take_back(tape, row0 + place, place, np.int64(tape.units[short + 2]))
    return fault


@part
def _book(tape, m, row, place, tile_rows):
    """Book the counts of a row as asked for and done, and log them where there is a log."""
    for lane in range(tape.counts.shape[1]):
        count = tape.counts[place, lane]
        up, down = max(count, 0), -min(count, 0)
        tape.ledger[ASKED_UP, row, lane] += up
        tape.ledger[ASKED_DOWN, row, lane] += down
        tape.ledger[DONE_UP, row, lane] += up
        tape.ledger[DONE_DOWN, row, lane] += down
        if count != 0 and m.logged[0] < m.log.shape[0]:
            entry = m.log[m.logged[0]]
            entry[0] = m.counters[_STEPS]
            entry[1], entry[2], entry[3], entry[4] = row // tile_rows, row % tile_rows, lane, count
            m.logged[0] += 1


@part
def _take_back(tape, row, place, done):
    """Book the counts of a row that stopped short as not done, or unsure where some of them were done."""
    for lane in range(tape.counts.shape[1]):
        count = tape.counts[place, lane]
        tape.ledger[DONE_UP, row, lane] -= max(count, 0)
        tape.ledger[DONE_DOWN, row, lane] += min(count, 0)
        if done > 0:
            tape.ledger[UNSURE, row, lane] += abs(count)

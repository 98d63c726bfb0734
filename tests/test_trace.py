"""Traces: what was recorded replays bit for bit, whatever the ring and the line; cuts and differences are named."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backpulse.firmware_py.config import LEAN
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import Counter
from backpulse.firmware_py.tape import DONE_DOWN, DONE_UP
from backpulse.firmware_py.trace import Kind, parse, ring_units
from backpulse.host.errors import HostError, InputError
from backpulse.host.ledger import ledger_arrays, save_ledger
from backpulse.host.output import RunLog
from backpulse.host.recorder import forecast, sample_bytes
from backpulse.host.replay import Replay
from backpulse.host.trace_file import MAGIC, Chunk, parsed, read_trace
from backpulse.host.urls import open_board

from .traces import CONFIG, SAMPLES, chunks, recorded, written


class Line:
    """A port that is gone after some bytes of the board's."""

    def __init__(self, port, limit: int) -> None:
        self._port, self._left = port, limit

    def write(self, data: bytes) -> int:
        return self._port.write(data)

    def read(self, timeout: float) -> bytes:
        data = self._port.read(timeout)
        self._left -= len(data)
        if self._left < 0:
            raise OSError("device unplugged")
        return data

    def close(self) -> None:
        self._port.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return file, program, totals and cells of a recorded run."""
    path = tmp_path_factory.mktemp("trace") / "run.trace"
    return path, *recorded(path)


def with_units(path: Path, to: Path, edit: Callable[[list[int]], None], missed: int = 0) -> Path:
    """Write a trace whose units are edited; `missed` is added to what the board counted as missed."""
    parts, counts = chunks(path), []
    units = [int(unit) for _, payload in (p for p in parts if p[0] is Chunk.UNITS) for unit in np.frombuffer(payload, "<u2")]
    before = len(units)
    edit(units)
    more, new = len(units) - before, []
    for kind, payload in parts:
        if kind is Chunk.UNITS:
            size = len(payload) // 2 + (0 if counts else more)
            counts.append(size)
            start = sum(counts[:-1])
            payload = np.array(units[start : start + size], "<u2").tobytes()
        if kind is Chunk.REST and counts:
            words = np.frombuffer(payload, "<u4").copy()
            words[2 + Counter.PULSES_MISSED] += missed
            payload = words.tobytes()
        new.append((kind, payload))
    return written(to, new)


def first_pulse(units: list[int]) -> int:
    """Return the place of the first completion of a PULSE with pulses."""
    at = 0
    for record in parse(units):
        if record.op == Op.PULSE and record.asked:
            return at
        at += 6 if record.op == Op.PULSE else 1
    raise AssertionError("no pulse")


def test_a_recorded_run_replays_without_a_difference(run):
    path, _, totals, _ = run
    trace = read_trace(path)
    outcome = Replay(trace).go()
    assert outcome.divergence == outcome.stopped == ""
    assert (outcome.training, outcome.evaluation, outcome.ended) == (2 * SAMPLES, 2 * 9, True)
    pulses = totals[Counter.PULSES_UP] + totals[Counter.PULSES_DOWN]
    assert outcome.pulses == {"asked": pulses, "done": pulses, "unsure": 0}
    assert outcome.compared == {"counters": 60, "vector words": 6 * 64, "class words": 14, "output words": 12}
    assert outcome.ledger[DONE_UP].sum() == totals[Counter.PULSES_UP]
    assert outcome.ledger[DONE_DOWN].sum() == totals[Counter.PULSES_DOWN]


def test_recording_changes_nothing_and_a_small_ring_records_the_same(run, tmp_path):
    path, _, totals, cells = run
    _, plain_totals, plain = recorded(Path())
    small = tmp_path / "small.trace"
    _, small_totals, few = recorded(small, config=replace(CONFIG, trace_words=4), wrap=lambda port: port)
    assert (plain == cells).all()
    assert (few == cells).all()
    assert totals == small_totals
    of_time = {Counter.CYCLES, Counter.PULSE_CYCLES}
    assert {c: n for c, n in totals.items() if c not in of_time} == {c: n for c, n in plain_totals.items() if c not in of_time}
    one, other = read_trace(path), read_trace(small)
    assert (one.units == other.units).all()
    assert Replay(other).go().divergence == ""
    assert Replay(one).go().digest == Replay(other).go().digest


def test_one_flipped_bit_anywhere_is_refused(run):
    """A length that reaches beyond the end could be taken for a cut: its own checksum tells."""
    data = run[0].read_bytes()
    for at in range(len(data)):
        with pytest.raises(InputError, match=r"damaged\.trace"):
            parsed(Path("damaged.trace"), data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])


def test_every_prefix_replays(run, tmp_path):
    data, cut = run[0].read_bytes(), tmp_path / "cut.trace"
    whole = read_trace(run[0]).units
    sizes = [len(payload) + 12 for _, payload in chunks(run[0])]
    ends = np.cumsum([len(MAGIC), *sizes])
    assert ends[-1] == len(data)
    for end in [*ends[2:-1:7], *range(int(ends[-1]) // 2, int(ends[-1]) // 2 + 40, 9), len(data) - 1]:
        cut.write_bytes(data[:end])
        trace = read_trace(cut)
        assert (trace.units == whole[: len(trace.units)]).all()
        outcome = Replay(trace).go()
        assert not outcome.divergence
        assert not outcome.ended


def test_a_trace_of_a_line_that_breaks_is_a_prefix(run, tmp_path):
    whole = read_trace(run[0]).units
    for limit in (1900, 4000, 6000):
        path = tmp_path / f"{limit}.trace"
        with suppress(HostError):
            recorded(path, wrap=lambda port, limit=limit: Line(port, limit))
        trace = read_trace(path)
        assert len(trace.units) < len(whole)
        assert (trace.units == whole[: len(trace.units)]).all()
        outcome = Replay(trace).go()
        assert not outcome.divergence
        assert not outcome.ended


def test_a_difference_is_named_by_sample_instruction_and_both_values(run, tmp_path):
    def sense(units):
        # Words that the converter has: what the golden model makes of them differs, if not at once.
        for at in range(first_pulse(units)):
            units[at] ^= 0x0800 * (units[at] & 3 == Kind.SENSE)

    def pulses(units):
        units[first_pulse(units) + 1] += 1

    def lost(units):
        del units[1]

    def order(units):
        units[0] = int(Kind.SHORT)

    def out_of_range(units):
        units[0] = units[0] & 15 | 0x7FF0

    cases = {
        sense: r"sample 1 of run 1 \(training, record 0\), instruction \d PULSE W\d.*asked for \d+ pulses, the golden model plans \d+",
        pulses: r"sample \d+ of run 1 \(training, record \d+\), instruction \d PULSE W\d.*asked for \d+ pulses, the golden model plans \d+",
        lost: r"sample 1 of run 1 \(training, record 0\), instruction 0 READ W1, x > a1, sigmoid: sense word 2: `last` is 1 on the board",
        order: r"sample 1 of run 1 \(training, record 0\), instruction 0 READ W1.*: SHORT came, and the golden model waits for SENSE",
        out_of_range: r"sense word 0 is 2047, and the converter's largest is 511",
    }
    for edit, sentence in cases.items():
        divergence = Replay(read_trace(with_units(run[0], tmp_path / "edited.trace", edit))).go().divergence
        assert re.search(sentence, divergence), (edit.__name__, divergence)


def test_what_the_board_counted_and_held_is_compared(run, tmp_path):
    def edited(kind: Chunk, place: int) -> str:
        parts = chunks(run[0])
        last = max(i for i, part in enumerate(parts) if part[0] is kind)
        payload = bytearray(parts[last][1])
        payload[place] ^= 1
        parts[last] = (kind, bytes(payload))
        return Replay(read_trace(written(tmp_path / "edited.trace", parts))).go().divergence

    assert "counter HITS of the board is" in edited(Chunk.REST, 4 * (2 + Counter.HITS))
    assert "the board stopped with fault" in edited(Chunk.REST, 4)
    assert edited(Chunk.REST, 4 * (2 + Counter.CYCLES)) == ""
    assert "element 2: the board has" in edited(Chunk.READ, 4 + 4 * 2)
    assert "sample 1 of run 5 (evaluation, record 0), class 0: the board has" in edited(Chunk.RESULTS, 0)
    assert "sample 2 of run 6 (evaluation, record 1), output 1: the board has" in edited(Chunk.OUTPUTS, 2 + 2 * 4)


def test_a_row_that_stopped_short_is_booked_as_such(run, tmp_path):
    """The pulses of a row of which none was done were not done; where some were, nobody knows which."""
    for done in (0, 1):

        def stop(units, done=done, of_row=(of_row := [0])):
            at = first_pulse(units)
            log = Rows()
            Replay(read_trace(run[0]), log=log).go()
            step, _, row, _, _ = log.rows[0]
            asked = sum(abs(count) for s, _, r, _, count in log.rows if (s, r) == (step, row))
            total = units[at + 3] | units[at + 4] << 16
            units[at + 3], units[at + 4] = (total - asked + done) & 0xFFFF, (total - asked + done) >> 16
            units[at:at] = [Kind.SHORT | row << 2, asked, done]
            of_row[:] = [asked]

        with_units(run[0], tmp_path / "short.trace", stop)
        # The core counts them.
        path = with_units(run[0], tmp_path / "short.trace", stop, missed=of_row[0] - done)
        outcome = Replay(read_trace(path)).go()
        assert outcome.divergence == ""
        assert outcome.pulses["asked"] - outcome.pulses["done"] == of_row[0]
        assert outcome.pulses["unsure"] == (of_row[0] if done else 0)


class Rows(RunLog):
    """A log that keeps pulses in a list."""

    def __init__(self) -> None:
        super().__init__(Path("never.npz"))
        self.rows: list[list[int]] = []

    def __call__(self, pulses: np.ndarray) -> None:
        self.rows.extend(pulses.tolist())


def test_a_ledger_as_tables(run, tmp_path):
    ledger = Replay(read_trace(run[0])).go().ledger
    arrays = ledger_arrays(ledger)
    save_ledger(tmp_path / "l.csv", ledger, CONFIG)
    table = pd.read_csv(tmp_path / "l.csv")
    assert list(table.columns) == ["tile", "row", "column", *arrays]
    assert (table["done"].sum(), len(table)) == (arrays["done"].sum(), np.count_nonzero(arrays["asked"]))
    pytest.importorskip("pyarrow")
    save_ledger(tmp_path / "l.parquet", ledger, CONFIG)
    assert (pd.read_parquet(tmp_path / "l.parquet") == table).all(axis=None)


def test_a_board_without_a_ring_refuses():
    with open_board("golden://", config=replace(CONFIG, trace_words=0)) as board, pytest.raises(InputError, match="has no ring"):
        board.record(Path("never.trace"))
    with pytest.raises(ValueError, match="trace_words must be 0 if lean"):
        replace(LEAN, trace_words=64)
    assert not Path("never.trace").exists()


def test_what_a_line_carries_is_said(run):
    program = run[1]
    assert sample_bytes(program) == 2 * len(read_trace(run[0]).units[: _step(run[0])])
    assert "a line of 1,000,000 baud carries" in forecast(program, "/dev/ttyUSB0", 1_000_000)
    assert "no line that could be too slow" in forecast(program, "golden://", 1)
    assert "no faster than the line carries" in forecast(program, "socket://a:1", 1)


def _step(path: Path) -> int:
    """Return the units of the first step."""
    units = read_trace(path).units.tolist()
    at = 0
    pulses = 0
    for record in parse(units):
        at += 6 if record.op == Op.PULSE else 1
        pulses += record.op == Op.PULSE
        if pulses == 2:
            return at
    raise AssertionError


def test_a_ring_holds_two_units_a_word():
    assert ring_units(CONFIG) == 128

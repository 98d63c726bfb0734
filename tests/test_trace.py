"""Traces: what was recorded replays bit for bit, whatever the ring and the line; damage, cuts and differences are named."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backpulse.firmware_py.compiler import Program, compile_network
from backpulse.firmware_py.config import IDEAL, LEAN, Config
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.image import initial_cells
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import Counter
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.tape import DONE_DOWN, DONE_UP
from backpulse.firmware_py.trace import Kind, parse, ring_units
from backpulse.host.board import Board
from backpulse.host.errors import HostError, InputError, StorageError
from backpulse.host.ledger import ledger_arrays, save_ledger
from backpulse.host.output import RunLog
from backpulse.host.recorder import forecast, sample_bytes
from backpulse.host.replay import Replay
from backpulse.host.trace_file import MAGIC, Chunk, TraceWriter, _chunks, parsed, read_trace
from backpulse.host.urls import open_board
from tests.machines import samples_for

CONFIG = replace(
    IDEAL,
    tile_rows=16,
    tile_cols=4,
    vector_words=64,
    program_words=64,
    regions=8,
    vectors=16,
    page_bytes=64,
    store_words=256,
    result_depth=16,
    output_depth=64,
    trace_words=64,
)
NETWORK = Network.parse("5-4-3")
SAMPLES = 20


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


def recorded(path: Path, *, config: Config = CONFIG, wrap=None, epochs: int = 2) -> tuple[Program, dict[Counter, int], np.ndarray]:
    """Train and evaluate a little on the golden model, recorded to a file if there is a name; return program, totals and cells."""
    program = compile_network(NETWORK, config)
    records = np.zeros((SAMPLES, 4 * program.stride_words), np.int8)
    samples = samples_for(NETWORK, SAMPLES, 1)
    records[:, : samples.shape[1]] = samples
    with open_board("golden://", config=config, wrap=wrap) as board:
        if path.name:
            board.record(path, {"layers": NETWORK.text})
        load(board, program)
        board.upload(records.view("<u4"))
        for epoch in range(epochs):
            board.train(program, np.roll(np.arange(SAMPLES), epoch))
            board.evaluate(program, np.arange(0, SAMPLES, 3), 1)
            board.evaluate_outputs(program, np.arange(2), 1)
        board.end_recording()
        return program, board.totals, board.read_cells()


def load(board: Board, program: Program) -> None:
    """Load a program with cells and random states."""
    device = PRESETS["ideal"]
    board.load(program, scales=[0x2_8000] * 8, tile_words=device.tile_words(board.config))
    board.write_cells(initial_cells(program, device, 1))
    board.write_random(seed_states(board.config, 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return file, program, totals and cells of a recorded run."""
    path = tmp_path_factory.mktemp("trace") / "run.trace"
    return path, *recorded(path)


def chunks(path: Path) -> list[tuple[Chunk, bytes]]:
    """Return kind and payload of all chunks."""
    return [(Chunk(kind), payload) for _, kind, payload in _chunks(path, path.read_bytes())]


def written(path: Path, parts: list[tuple[Chunk, bytes]]) -> Path:
    """Write a trace of chunks, with checksums that are right."""
    path.unlink(missing_ok=True)
    writer = TraceWriter(path)
    for kind, payload in parts:
        writer.write(kind, payload)
    writer.close()
    return path


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


def header(**changed) -> Callable[[list], list]:
    """Return an edit of the header."""

    def edit(parts):
        said = json.loads(parts[0][1]) | changed
        return [(Chunk.HEADER, json.dumps(said).encode()), *parts[1:]]

    return edit


def behind(kind: int, payload: bytes) -> Callable[[list], list]:
    """Return an edit that puts a chunk behind the header."""
    return lambda parts: [parts[0], (kind, payload), *parts[1:]]


WORDS = CONFIG.to_words()
BAD = {
    "no header": (lambda parts: parts[1:], "a trace begins with HEADER"),
    "two headers": (lambda parts: [parts[0], *parts], "is a second HEADER"),
    "header of text": (lambda parts: [(Chunk.HEADER, b"hello"), *parts[1:]], r"the header is none \(JSONDecodeError\)"),
    "header of a list": (lambda parts: [(Chunk.HEADER, b"[1]"), *parts[1:]], r"the header is none \(TypeError\)"),
    "no configuration": (lambda parts: [(Chunk.HEADER, b'{"abi": 4}'), *parts[1:]], r"the header is none \(KeyError\)"),
    "other ABI": (header(abi=3), "the trace is of ABI 3, this program of 4"),
    "few words": (header(config=WORDS[:-1]), "A configuration has 30 words, not 29"),
    "wrong word": (header(config=[0, *WORDS[1:]]), "tile_rows must be an integer from 1 to 512, not 0"),
    "no ring": (header(config=[*WORDS[:-1], 0]), "a board without a ring"),
    "other digest": (header(config_digest="00"), "configuration digest is not that of its configuration"),
    "unknown kind": (behind(77, b""), "is of kind 77, which this version does not know"),
    "odd units": (behind(Chunk.UNITS, b"abc"), "has 3 bytes, and units have two each"),
    "start with data": (behind(Chunk.START, b"a"), "START has 1 bytes, and should have none"),
    "half a write": (behind(Chunk.WRITE, b"abcdef"), "WRITE has 6 bytes, and should have an address and words"),
    "empty grant": (behind(Chunk.GRANT, b""), "GRANT has 0 bytes"),
    "short rest": (behind(Chunk.REST, bytes(8)), "REST has 8 bytes, and should have 60"),
    "outputs": (behind(Chunk.OUTPUTS, b"\3\0abcd"), "OUTPUTS has 6 bytes, which are no whole samples"),
    "behind the end": (lambda parts: [*parts, parts[-1]], "stands behind the end of the trace"),
}
FILES = {
    "empty": (b"", "ends within its first 8 bytes: nothing was recorded"),
    "a few bytes": (MAGIC[:3], "ends within its first 8 bytes"),
    "magic alone": (MAGIC, "ends within its header"),
    "other version": (MAGIC[:-1] + b"9" + bytes(40), "is a trace of version b'9', and this program reads b'1'"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(40), "is no trace: it begins with"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_trace_put_together_wrongly_is_refused_in_a_sentence(run, tmp_path, name):
    edit, sentence = BAD[name]
    path = written(tmp_path / "bad.trace", edit(chunks(run[0])))
    with pytest.raises(InputError, match=sentence) as error:
        read_trace(path)
    assert error.value.exit_code == 2


def test_files_that_are_no_traces_end_the_command_with_2(backpulse, tmp_path):
    for name, (data, sentence) in FILES.items():
        (tmp_path / "file").write_bytes(data)
        code, _, err = backpulse("replay", "file")
        assert (code, sentence in " ".join(err.split())) == (2, True), (name, err)
        assert "Traceback" not in err
    code, _, err = backpulse("replay", "nothing")
    assert code == 2
    assert "cannot be read" in err


def test_a_listing_put_together_wrongly_is_refused(run, tmp_path):
    path = written(tmp_path / "bad.trace", behind(Chunk.LISTING, b"{}")(chunks(run[0])))
    with pytest.raises(InputError, match="LISTING is none"):
        Replay(read_trace(path)).go()


def test_train_replay_and_infer(backpulse, tmp_path):
    """From the command line: record, replay with ledger and logs; the log of a trace is that of the golden model."""
    table = "\n".join(f"{(i * 7) % 13},{i % 5},{'ab'[i % 2]}" for i in range(40))
    (tmp_path / "t.csv").write_text(f"x,y,class\n{table}\n")
    options = ("--dataset", "t.csv", "--layers", "2-3-2", "--tile", "16x4", "--epochs", "2", "--checkpoint", "c.npz")
    code, _, err = backpulse("train", *options, "--trace", "run.trace", "--pulse-log", "golden.npz", "--json", "train.json")
    assert code == 0, err
    assert "The trace takes 46 bytes a step" in err
    code, out, err = backpulse("replay", "run.trace", "--json", "-", "--ledger", "l.npz", "--pulse-log", "log.npz", "--plot", "l.png")
    assert code == 0, err
    told, trained = json.loads(out), json.loads((tmp_path / "train.json").read_text())
    assert told["trace_digest"] == trained["trace"]["digest"]
    assert told["training_samples"] == trained["steps"]
    with np.load(tmp_path / "l.npz") as ledger:
        assert ledger["up"].sum() == trained["pulses_up"]
        assert ledger["down"].sum() == trained["pulses_down"]
    with np.load(tmp_path / "golden.npz") as one, np.load(tmp_path / "log.npz") as other:
        for name in one.files:
            assert (one[name] == other[name]).all(), name
    assert backpulse("infer", "--checkpoint", "c.npz", "--trace", "infer.trace")[0] == 0
    code, _, err = backpulse("replay", "infer.trace")
    assert code == 0
    assert "no difference" in err
    code, _, err = backpulse("train", *options, "--trace", "run.trace")
    assert code == 2
    assert "a trace is never written over" in " ".join(err.split())
    data = (tmp_path / "run.trace").read_bytes()
    parts = chunks(tmp_path / "run.trace")
    rest = max(i for i, part in enumerate(parts) if part[0] is Chunk.REST)
    payload = bytearray(parts[rest][1])
    payload[4 * (2 + Counter.LOSS)] ^= 1
    written(tmp_path / "other.trace", [*parts[:rest], (Chunk.REST, bytes(payload)), *parts[rest + 1 :]])
    code, _, err = backpulse("replay", "other.trace")
    assert code == 1
    assert "counter LOSS of the board is" in " ".join(err.split())
    assert (tmp_path / "run.trace").read_bytes() == data


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


def test_a_disk_that_is_full_ends_the_recording_and_not_the_run(run, tmp_path, monkeypatch):
    put, left = TraceWriter._put, [60]

    def full(self, data, **more):
        left[0] -= 1
        if left[0] < 0:
            raise StorageError("The trace cannot be written: No space left on device")
        put(self, data, **more)

    monkeypatch.setattr(TraceWriter, "_put", full)
    with pytest.raises(StorageError, match="No space left"):
        recorded(path := tmp_path / "full.trace")
    trace = read_trace(path)
    assert Replay(trace).go().divergence == ""
    assert not trace.ended


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

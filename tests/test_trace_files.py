"""Files of traces: those put together wrongly are refused; what the commands make of them; a disk that is full."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from backpulse.firmware_py.registers import Counter
from backpulse.host.errors import InputError, StorageError
from backpulse.host.replay import Replay
from backpulse.host.trace_file import MAGIC, Chunk, TraceWriter, read_trace

from .traces import CONFIG, chunks, recorded, written


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return file, program, totals and cells of a recorded run."""
    path = tmp_path_factory.mktemp("trace") / "run.trace"
    return path, *recorded(path)


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

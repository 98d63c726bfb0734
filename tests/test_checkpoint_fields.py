"""Checkpoints whose digests are right and whose contents are not: refused, and the sentence names the field."""

import json
import os
import subprocess
import sys
import zipfile
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.registers import Counter, Stream
from backpulse.host.archive import DIGEST_CHARS, MANIFEST, MOST_MANIFEST, encode, sign
from backpulse.host.checkpoint import Checkpoint, Position
from backpulse.host.errors import HostError, InputError
from backpulse.host.features import Features
from backpulse.host.scaling import Scaler
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .checkpoints import forge, parts, small_run, verdict

WRONG = (None, 1.5, -2, 10**30, "no", "", [], {}, [1], {"no": 1}, True, float(10**300))
"""What no field of the manifest may be, but for those of `RIGHT`."""
RIGHT = {
    ("settings", "dataset"): ("no", ""),
    **{("settings", name): (None, "no", "") for name in ("target", "features", "drop")},
    ("settings", "bias"): (True,),
    ("settings", "auto_range"): (True,),
    ("settings", "missing"): (None,),
    ("features", "label"): (None,),
    ("features", "named"): (True,),
    ("features", "missing"): (None,),
    ("optional",): ({}, {"no": 1}),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the path and bytes of a run with every array, and what is in it."""
    path = tmp_path_factory.mktemp("run") / "run.npz"
    return path, small_run(path, layers="4-5-3", device="ecram", tile="16x8"), parts(path)


@pytest.fixture
def judge(run, tmp_path):
    """Return a function that changes fields and arrays in place, and tells the verdict of the forged file."""
    _, whole, original = run

    def load(change):
        values, arrays = deepcopy(original)
        change(values, arrays)
        forge(tmp_path / "bad.npz", values, arrays)
        return verdict(tmp_path / "bad.npz", whole, tmp_path / "copy.npz")

    return load


def leaves(values, path=()):
    """Yield the paths of all fields, objects of fields among them."""
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))


def at(values, path):
    for name in path[:-1]:
        values = values[name]
    return values


def test_a_file_forged_without_a_change_is_the_original(run, judge):
    assert judge(lambda values, arrays: None) == ""
    assert encode(*run[2]) == run[1]


def test_a_field_of_another_type_or_beyond_its_range_is_refused(run, judge):
    tried = 0
    for number, path in enumerate(leaves(run[2][0])):
        for wrong in WRONG[number % 3 :: 3]:
            if any(type(wrong) is type(right) and wrong == right for right in RIGHT.get(path, ())):
                continue
            tried += 1
            answer = judge(lambda values, _, path=path, wrong=wrong: at(values, path).update({path[-1]: wrong}))
            assert answer not in ("", "changed"), (path, wrong)
    assert tried > 300


def test_a_missing_or_an_unknown_field_is_named(run, judge):
    for path in leaves(run[2][0]):
        answer = judge(lambda values, _, path=path: at(values, path).pop(path[-1]))
        assert path[-1] in answer, (path, answer)
    for path in (("new",), ("settings", "new"), ("config", "new"), ("position", "new"), ("position", "totals", "new")):
        answer = judge(lambda values, _, path=path: at(values, path).update({path[-1]: 1}))
        assert "has field 'new': read it with the version that made it" in answer


def test_what_is_optional_may_be_unknown(judge):
    def later(values, arrays):
        values["optional"] = {"remark": "of a later version", "more": {"depth": [1, 2]}}
        arrays["optional_more"] = np.zeros((2, 3))

    assert judge(later) == ""


def test_an_array_of_another_type_or_shape_is_refused(run, judge):
    _, arrays = run[2]
    others = {
        "type": [lambda a, dtype=dtype: np.zeros(a.shape, dtype) for dtype in ("<i8", "<f4", "?", "<c16", "<U5", ">i2", ">f8", "S3", "V2")],
        "shape": [lambda a: a.ravel()[:-1], lambda a: a[None], lambda a: np.concatenate([a, a]), lambda a: a.ravel()[0], lambda a: a[:0]],
    }
    for name in arrays:
        for kind, changes in others.items():
            for change in changes:
                answer = judge(lambda _, arrays, name=name, change=change: arrays.update({name: np.asarray(change(arrays[name]))}))
                assert f"array {name} must be of type" in answer, (name, kind, answer)
        assert f"it has no array {name}" in judge(lambda _, arrays, name=name: arrays.pop(name))
    assert "'later', which this version does not know" in judge(lambda _, arrays: arrays.update(later=np.zeros(3)))
    assert "must be of type <i2" in judge(lambda _, arrays: arrays.update(cells=arrays["cells"].T.copy()))


def put(name, index, value):
    return lambda _, arrays: arrays[name].__setitem__(index, value)


def setting(**values):
    return lambda fields, _: fields["settings"].update(values)


def feature(**values):
    return lambda fields, _: fields["features"].update(values)


def counters(**values):
    return lambda fields, _: fields["position"]["totals"].update(values)


def cells_of_text(_, arrays):
    arrays["cells"] = arrays["cells"].astype(str)


def cells_beyond(_, arrays):
    arrays["cells"] = np.full(arrays["cells"].shape, 40000, "<i4")


def two_epochs(values, _):
    values["position"]["epoch"] = values["epochs"] = 2


LIES = {
    "cells of 40000": (cells_beyond, "array cells must be of type <i2"),
    "cells of text": (cells_of_text, "array cells must be of type <i2"),
    "scales 0": (put("scales", slice(None), 0), "scales must be the words that the settings give"),
    "one scale 0": (put("scales", 1, 0), "scales must be the words that the settings give in this version, not 0 (at 1"),
    "a norm": (put("scales", 2, 1), "scales must be"),
    "center NaN": (put("center", 2, np.nan), "center must be finite, not nan (at 2"),
    "center infinite": (put("center", 0, -np.inf), "center must be finite"),
    "half 0": (put("half", 1, 0.0), "half must be finite and above 0, not 0.0 (at 1"),
    "half negative": (put("half", 1, -1.0), "half must be finite and above 0"),
    "half NaN": (put("half", 1, np.nan), "half must be finite and above 0"),
    "half infinite": (put("half", 1, np.inf), "half must be finite and above 0"),
    "rounding 0": (put("random_rounding", 3, 0), "random_rounding must not be 0, where a random stream stays for ever, not 0 (at 3"),
    "write 0": (put("random_write", slice(None), 0), "random_write must not be 0"),
    "another base": (put("tile", 0, 3000), "tile must be the words that the settings give"),
    "a base beyond its width": (put("tile", 1, 1 << 17), "tile must be the words"),
    "a word that no tile has": (put("tile", 12, 1), "tile must be the words"),
    "accuracy NaN": (put("test_accuracy", 0, np.nan), "test_accuracy must be from 0 to 1.0, not nan (epoch 1)"),
    "accuracy 1.1": (put("train_accuracy", 0, 1.1), "train_accuracy must be from 0 to 1.0, not 1.1"),
    "loss negative": (put("train_loss", 0, -0.1), "train_loss must be from 0 to inf, not -0.1"),
    "loss infinite": (put("train_loss", 0, np.inf), "train_loss must be from 0 to inf, not inf"),
    "an epoch too many": (two_epochs, "array test_accuracy must be of type <f8 and shape [2]"),
    "place": (lambda values, _: values["position"].update(place=7), "position.epoch 1 and place 7 are not where 120 + 0 samples end"),
    "steps": (counters(STEPS=121), "position.epoch 1 and place 0 are not where 120 + 1 samples end"),
    "steps too few": (counters(STEPS=100), "position.epoch_start.STEPS must be a whole number from 0 to 100, not 120"),
    "hits": (counters(HITS=121), "position.totals.HITS must be a whole number from 0 to 120, not 121"),
    "a total below its start": (counters(CYCLES=5), "position.epoch_start.CYCLES must be a whole number from 0 to 5"),
    "another rate": (setting(lr=0.25), "scales must be the words that the settings give"),
    "another device": (setting(device="ecram-mo"), "tile must be the words"),
    "another schedule": (setting(schedule="progressive"), "program_digest is not that of what this version compiles"),
    "software": (setting(schedule="software"), "settings.schedule must be one that runs in the array"),
    "no bias": (setting(bias=False), "program_digest is not"),
    "another activation": (setting(activation="tanh"), "program_digest is not"),
    "another scale of weights": (setting(weight_scale=8), "program_digest is not"),
    "other layers": (setting(layers="4-6-3"), "program_digest is not"),
    "layers beyond any board": (setting(layers="9999999-9999999-3"), "weights, and config has 128 cells"),
    "layers without end": (setting(layers="1-" * 2000 + "2"), "weights, and config has 128 cells"),
    "too long a text": (setting(layers="4-" * 3000 + "3"), "weights, and config has 128 cells"),
    "no layers": (setting(layers="four"), "Layers must be numbers joined by dashes"),
    "rate 0": (setting(lr=0), "The learning rate must be a positive number, not 0"),
    "an unknown device": (setting(device="memristor"), "Unknown device memristor"),
    "another machine": (lambda values, _: values["config"].update(pulse_max=30), "config_digest is not that of config"),
    "no spread": (lambda values, _: values["config"].update(spread=0), "it has an array 'spread'"),
    "a digest in capitals": (lambda values, _: values.update(data_digest="A" * 64), "data_digest must be a SHA-256"),
    "a digest too short": (lambda values, _: values.update(program_digest="0" * 63), "program_digest must be a SHA-256"),
    "another configuration": (lambda values, _: values.update(config_digest="0" * 64), "config_digest is not that of config"),
    "a class twice": (feature(labels=["a", "b", "a"]), "features: labels"),
    "a class that is a number": (feature(labels=["a", "b", 3]), "features: labels"),
    "a column too few": (feature(columns=[{"name": "1", "kind": "number"}]), "features are 1 inputs, and settings.layers begins with 4"),
    "a column of dates": (feature(columns=[{"name": str(k + 1), "kind": "date"} for k in range(4)]), "features: columns.kind of 1"),
    "layers as a list": (setting(layers=[4, 5, 3]), "settings.layers must be as '4-5-3', not [4, 5, 3]"),
    "a column that is a number": (setting(target=5), "settings.target must be as '5', not 5"),
    "floor": (lambda values, _: values.update(floor=-3), "floor must be a whole number from -1 to 0, not -3"),
    "version 99": (lambda values, _: values.update(version=99), "it has version 99, and this program reads version 2"),
    "no checkpoint": (lambda values, _: values.update(format="weights"), "format must be 'backpulse checkpoint', not 'weights'"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_by_name(judge, lie):
    change, sentence = LIES[lie]
    answer = judge(change)
    assert sentence in answer
    assert "cannot be used: " in answer


def test_no_spread_words_where_the_configuration_has_none(tmp_path):
    path = tmp_path / "run.npz"
    whole = small_run(path)
    values, arrays = parts(path)
    assert "spread" not in arrays
    forge(path, values, {**arrays, "spread": np.zeros((8, 4), np.uint8)})
    assert "an array 'spread', which this version does not know" in verdict(path, whole, tmp_path / "copy.npz")
    path.write_bytes(whole)
    checkpoint = Checkpoint.load(path)
    with pytest.raises(HostError, match="spread must be zero throughout"):
        replace(checkpoint, spread=np.ones((8, 4), np.uint8)).save(path)


def test_cells_keep_within_their_bits(tmp_path):
    settings = Settings(layers="4-3", dataset="iris")
    config = replace(board_config(settings.network, settings.device_model, tile="8x4"), cell_bits=12, cell_frac=10)
    path = tmp_path / "run.npz"
    with open_board("golden://", config=config) as board:
        Trainer(board, settings, 1).run(path)
    values, arrays = parts(path)
    for cell, refused in ((2047, False), (-2048, False), (2048, True), (-2049, True)):
        arrays["cells"][2, 1] = cell
        forge(path, values, arrays)
        if refused:
            with pytest.raises(InputError, match=f"cells must be from -2048 to 2047, not {cell} \\(at 2, 1"):
                Checkpoint.load(path)
        else:
            cells = Checkpoint.load(path).cells
            assert cells is not None
            assert cells[2, 1] == cell


def test_what_could_not_be_loaded_is_not_saved(run, tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(run[1])
    sound = Checkpoint.load(str(path))
    scaler, position = sound.scaler, sound.position
    assert sound.cells is not None
    assert sound.tile is not None
    lies = {
        "cells must be numbers that int16 holds, not 40000": {"cells": np.full(sound.cells.shape, 40000)},
        "cells must be whole numbers, not of type <U3": {"cells": np.full(sound.cells.shape, "one")},
        "cells must have the shape": {"cells": sound.cells[:1]},
        "center must be finite": {"scaler": Scaler(center=scaler.center * np.nan, half=scaler.half, floor=-1)},
        "the arrays must be": {"random": {Stream.ROUNDING: sound.random[Stream.ROUNDING]}},
        "test_accuracy must have 1 numbers": {"position": replace(position, test_accuracy=[])},
        "epochs must be a whole number": {"epochs": 0},
        "may take 3,145,728 bytes": {"features": Features.plain(4, ("a", "b", "c" * MOST_MANIFEST))},
    }
    for sentence, change in lies.items():
        with pytest.raises(HostError, match=f"is not saved, since it could not be loaded again: .*{sentence}"):
            replace(sound, **change).save(path)
        assert path.read_bytes() == run[1]
    assert os.listdir(tmp_path) == ["run.npz"]
    replace(sound, cells=sound.cells.astype(np.int64), tile=sound.tile.tolist()).save(path)
    assert path.read_bytes() == run[1]


def test_a_position_that_no_such_data_gives_is_refused_by_the_run(run):
    sound = Checkpoint.load(run[0])
    settings = sound.settings
    steps = {c.name: 240 if c is Counter.STEPS else 0 for c in Counter}
    for position in (replace(sound.position, totals=steps, epoch_start=steps), Position(place=121, totals=steps | {"STEPS": 121})):
        with open_board("golden://", config=sound.config) as board, pytest.raises(InputError, match="is none of a run with 120 training"):
            Trainer(board, settings, 3, checkpoint=replace(sound, position=position))
    with open_board("golden://", config=sound.config) as board:
        with pytest.raises(InputError, match="1 epochs done: epochs must be at least as many, not 0"):
            Trainer(board, settings, 0, checkpoint=sound)
        with pytest.raises(InputError, match=r"The number of epochs must be a whole number, not 1\.5"):
            Trainer(board, settings, 1.5)  # type: ignore[arg-type]  # the test
        number = np.int64(2)
        assert Trainer(board, settings, number, checkpoint=sound).checkpoint().epochs == 2  # type: ignore[arg-type]  # and so is this


def with_manifest(whole: bytes, old: bytes, new: bytes) -> bytes:
    """Return a file whose manifest has other bytes of the same length, its digest made right."""
    assert len(old) == len(new)
    assert old in whole
    return sign(whole.replace(old, new, 1))


def test_what_no_json_library_writes_is_refused(run, tmp_path):
    whole, bad = run[1], tmp_path / "bad.npz"
    for old, new in {
        b'"lr": 0.5': b'"lr": NaN',
        b'"epochs": 1': b'"format": 1',
        b'"floor": -1': b'"floor": \xff1',
        b'"version": 2': b'"version": ]',
    }.items():
        bad.write_bytes(with_manifest(whole, old, new))
        assert "damaged or no checkpoint (its manifest is no JSON)" in verdict(bad, whole, tmp_path / "copy.npz")
    bad.write_bytes(with_manifest(whole, b', "lr": 0.5,', b',"lr":1e999,'))
    assert "The learning rate must be a positive number, not inf" in verdict(bad, whole, tmp_path / "copy.npz")


WATCH = """
import resource, sys
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.errors import InputError

def status(name):
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith(name))

sound, *others = sys.argv[1:]
Checkpoint.load(sound)
before, room = status("VmHWM"), status("VmSize") + (100 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))  # what is only reserved counts too
for path in others:
    try:
        Checkpoint.load(path)
    except InputError as error:
        print(error)
print((status("VmHWM") - before) >> 20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures as Linux does")
def test_a_file_that_claims_much_takes_no_memory(run, tmp_path):
    """No more than 100 MB beyond a sound load, whether a manifest claims 10 GB, a file is 10 GB, or a member was compressed."""
    path, whole, (values, arrays) = run
    config = {**values["config"], "tile_rows": 512, "tile_cols": 256, "tiles": 1024}
    largest = Config(**config)
    huge = {"dtype": "<i2", "shape": [100_000, 50_000], "bytes": 10_000_000_128, "sha256": "0" * 64}
    file = encode(values, arrays)

    def claim(name, change):
        """Write a file with another manifest, whose digest is right."""
        start = file.index(b"{")
        stop = file.index(b"PK\3\4", 1)
        manifest = json.loads(file[start:stop])
        change(manifest)
        text = json.dumps(manifest, separators=(",", ":")).encode()
        header = bytearray(file[:start])
        header[18:26] = 2 * len(text).to_bytes(4, "little")
        (tmp_path / name).write_bytes(sign(bytes(header) + text + file[stop:]))

    def most(manifest):
        manifest |= {"config": config, "config_digest": largest.digest.hex()}
        manifest["arrays"]["cells"] |= {"shape": [largest.rows, largest.tile_cols], "bytes": 2 * largest.rows * largest.tile_cols + 128}

    claim("huge", lambda manifest: manifest["arrays"].update(cells=huge))
    claim("most", most)
    claim("epochs", lambda manifest: manifest["position"].update(epoch=1 << 31))
    claim("lists", lambda manifest: manifest.update(features=[[]] * 1_000_000))
    (tmp_path / "deep").write_bytes(sign(with_manifest(whole, whole[43:3043], b"[" * 3000)))
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.write(whole[:100])
        sparse.truncate(10**10)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
        bomb.comment = bytes(DIGEST_CHARS)
        bomb.writestr(MANIFEST, bytes(200_000_000))
    (tmp_path / "bomb.npz").write_bytes(sign((tmp_path / "bomb.npz").read_bytes()))
    names = ("huge", "most", "epochs", "lists", "deep", "sparse", "bomb.npz")
    done = subprocess.run(
        [sys.executable, "-c", WATCH, path, *(tmp_path / name for name in names)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *sentences, grown = done.stdout.splitlines()
    assert len(sentences) == len(names), sentences
    assert int(grown) < 100
    print(f"{grown} MB beyond a sound load", *sentences, sep="\n")

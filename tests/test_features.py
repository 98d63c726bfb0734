"""What is learned about columns travels as plain JSON and is checked on its way back; settings are converted or refused."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpulse.host.columns import Column
from backpulse.host.datasets import Dataset, load
from backpulse.host.errors import InputError
from backpulse.host.features import Features
from backpulse.host.settings import Settings, prepare

FEATURES = Features(
    columns=(
        Column(name="a", fill=1.5),
        Column(name="wet", kind="true-false", fill=0.0),
        Column(name="tree", kind="text", categories=("elm", "oak"), fill="oak"),
        Column(name="b"),
    ),
    labels=("no", "yes"),
    source=("kind", "b", "a", "note", "wet", "tree"),
    label="kind",
    named=True,
    missing="mean",
)


@pytest.mark.parametrize("features", [FEATURES, Features.plain(3, ["0", "1"]), replace(FEATURES, label=None, missing=None)])
def test_features_come_back_from_json(features):
    assert Features.from_dict(json.loads(json.dumps(features.to_dict()))) == features


def test_inputs_of_features():
    assert FEATURES.width == 5
    assert FEATURES.one_hot.tolist() == [False, False, True, True, False]
    assert FEATURES.starts.tolist() == [0, 1, 2, 4]
    raw = np.array([[2, 1, 0, 7], [np.nan, np.nan, np.nan, 8]])
    assert FEATURES.inputs(raw).tolist() == [[2, 1, 1, 0, 7], [1.5, 0, 0, 1, 8]]


ALTERED = [
    (["columns"], []),
    (["columns"], {"a": 1}),
    (["columns", 0], "a"),
    (["columns", 0, "name"], 3),
    (["columns", 0, "name"], ""),
    (["columns", 0, "name"], "b"),
    (["columns", 0, "kind"], "numbers"),
    (["columns", 0, "kind"], ["number"]),
    (["columns", 0, "kind"], "text"),
    (["columns", 0, "fill"], "1.5"),
    (["columns", 0, "fill"], float("nan")),
    (["columns", 0, "fill"], True),
    (["columns", 0, "more"], 1),
    (["columns", 1, "fill"], 2),
    (["columns", 2, "categories"], []),
    (["columns", 2, "categories"], ["elm", "elm", "oak"]),
    (["columns", 2, "categories"], [1, 2]),
    (["columns", 2, "fill"], "yew"),
    (["labels"], ["no"]),
    (["labels"], ["no", "no"]),
    (["labels"], ["no", 1]),
    (["labels"], "no yes"),
    (["label"], 4),
    (["label"], "a"),
    (["label"], "other"),
    (["source"], ["kind", "b", "a", "note", "wet"]),
    (["source"], ["kind", "b", "a", "note", "wet", "tree", "a"]),
    (["source"], ["kind", "b", "a", 4, "wet", "tree"]),
    (["source"], "kind b a"),
    (["source"], None),
    (["named"], 1),
    (["missing"], "mode"),
    (["missing"], []),
    (["other"], 1),
]


@pytest.mark.parametrize(("path", "value"), ALTERED)
def test_altered_features_are_refused_by_name(path, value):
    data = copy.deepcopy(FEATURES.to_dict())
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=path[0] if path[0] != "other" else "features must have the fields"):
        Features.from_dict(data)


def test_names_that_are_no_places_are_refused():
    with pytest.raises(ValueError, match="features: source"):
        Features.from_dict({**FEATURES.to_dict(), "named": False})


@pytest.mark.parametrize("field", FEATURES.to_dict())
def test_a_field_must_be_there(field):
    data = FEATURES.to_dict()
    del data[field]
    with pytest.raises(ValueError, match="features must have the fields"):
        Features.from_dict(data)


def test_settings_take_what_means_the_same():
    plain = Settings(layers="4-3", seed=3, lr=0.5, dataset="mine.csv", target="2", drop='a,"b, c"', bias=True)
    values: dict[str, Any] = {
        "layers": (np.int64(4), 3),
        "seed": np.int32(3),
        "lr": np.float32(0.5),
        "dataset": Path("mine.csv"),
        "target": np.int64(2),
        "drop": ["a", "b, c"],
        "bias": np.True_,
    }
    same = Settings(**values)
    assert same == plain
    assert json.loads(json.dumps(same.to_dict())) == plain.to_dict()
    for layers in ([4, 3], np.array([4, 3])):
        assert Settings.from_dict({"layers": layers}).layers == "4-3"
    assert Settings.from_dict({**plain.to_dict(), "lr": 1}).lr == 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("seed", value) for value in (1.0, "1", True, None, [1])),
        *(("lr", value) for value in ("0.5", None, True, [0.5], 1j, float("nan"), 10**400)),
        *(("bias", value) for value in (1, "yes", None)),
        *(("weight_scale", value) for value in (4.0, "4", False)),
        *(("layers", value) for value in (None, 4, {}, [4, "x"], [4, 3.5], [[4], [3]], "4-", [True, 3])),
        *(("dataset", value) for value in (None, 3, b"mine")),
        *(("target", value) for value in (1.5, [1], True)),
        *(("features", value) for value in (3, {"a"})),
        *((name, value) for name in ("schedule", "activation", "output", "loss", "rounding", "device") for value in (None, 1, ["relu"])),
        *((name, "") for name in ("target", "features", "drop", "missing", "schedule", "layers")),
        ("missing", "mode"),
        ("nonsense", 1),
    ],
)
def test_settings_refuse_what_they_cannot_keep(name, value):
    for make in (lambda: Settings.from_dict({name: value}), lambda: Settings(**{name: value})):
        with pytest.raises((InputError, TypeError) if name == "nonsense" else InputError):
            make()


def test_settings_must_be_values_by_name():
    for values in (None, [], "x", {1: 2}):
        with pytest.raises(InputError, match="Settings must be values by name"):
            Settings.from_dict(values)  # type: ignore[arg-type]  # wrong types are the test


FLOWERS = "a,b,kind\n" + "".join(f"{k / 4},{k % 7 / 2},{('elm', 'oak')[k % 2]}\n" for k in range(20))


def learned_from(tmp_path, text):
    """Return the features of a table."""
    (tmp_path / "train.csv").write_text(text)
    return load(tmp_path / "train.csv").features


@pytest.mark.parametrize("cells", [np.ones((3, 4)), np.full((3, 4), "1"), None])
def test_a_label_is_no_column_of_arrays(tmp_path, cells):
    learned = learned_from(tmp_path, "".join(f"{k / 4},{k % 7 / 2},{k % 5 / 3},{('elm', 'oak')[k % 2]}\n" for k in range(20)))
    path = tmp_path / "later.npz" if cells is not None else "iris"
    if cells is not None:
        np.savez(path, X=cells)
    with pytest.raises(InputError, match=r"has 4 columns, but the network was trained on 3 features and a label, .*same features$"):
        load(path, learned=learned)
    with pytest.raises(InputError, match="--target names a column of a table of text"):
        load(path, learned=learned, target="4")


def test_a_name_of_the_label_among_arrays_is_ignored_and_said(tmp_path):
    np.savez(tmp_path / "later.npz", X=np.ones((2, 3)), feature_names=["kind", "b", "a"])
    data = load(tmp_path / "later.npz", learned=learned_from(tmp_path, FLOWERS))
    assert data.y.tolist() == [-1, -1]
    assert "ignored kind, which the network was not trained on" in data.warnings[0]


def test_target_is_offered_for_columns_only(tmp_path):
    y = np.arange(40) % 2
    for labels, sentence in [(y + 0.5, "number the classes"), (y * 0, "nothing to learn"), (np.arange(40), "sort them into few classes")]:
        for offered in (True, False):
            if offered:
                path = tmp_path / "t.csv"
                path.write_text("a,kind\n" + "".join(f"{k / 7},{label}\n" for k, label in enumerate(labels)))
            else:
                path = tmp_path / "t.npz"
                np.savez(path, X=np.arange(40.0)[:, None], y=labels)
            with pytest.raises(InputError, match=sentence) as error:
                load(path, target="2" if offered else None).check(1, 2)
            assert ("--target" in str(error.value)) == offered


def test_a_wrong_label_names_the_column_taken_as_the_label(tmp_path):
    learned = learned_from(tmp_path, FLOWERS)
    path = tmp_path / "later.csv"
    for text, target, where in [
        ("1,2,3\n", None, "column 3 is taken as the label by its place: give the columns of the training in their order, or name"),
        ("a,b,kind\n1,2,3\n", None, "column kind is taken as the label by its name: leave"),
        ("a,b,c\n1,2,3\n", "c", "column c is taken as the label: leave"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=f"row 1 has label 3, which .* elm, oak.; {where}"):
            load(path, learned=learned, target=target)
    np.savez(tmp_path / "later.npz", X=np.ones((2, 2)), y=[3, 3])
    with pytest.raises(InputError, match=r"leave the labels out$"):
        load(tmp_path / "later.npz", learned=learned)


def test_headers_of_numbers_in_later_data(tmp_path):
    rows = [f"{k}.5,{k % 3 + 0.25},{k % 7 + 0.75}" for k in range(12)]
    path = tmp_path / "later.csv"
    bare = learned_from(tmp_path, "\n".join(f"{row},{'uv'[k % 2]}" for k, row in enumerate(rows)))
    named = learned_from(tmp_path, "400,410,420,kind\n" + "\n".join(f"{row},{'uv'[k % 2]}" for k, row in enumerate(rows)))
    path.write_text("\n".join(["400,410,430", *rows]))
    with pytest.raises(InputError, match="has no column 420, which the network was trained on: it has 400, 410, 430"):
        load(path, learned=named)
    for learned in (bare, named):
        path.write_text("\n".join(rows))
        assert len(load(path, learned=learned).x) == 12
        for header in ("0,1,2", "1,2,3"):
            path.write_text("\n".join([header, *rows]))
            with pytest.raises(
                InputError, match=r"the first line \([012], [123], [23]\) may be the names of the columns or a sample: remove"
            ):
                load(path, learned=learned)
            path.write_text("\n".join(["p,q,r", header, *rows]))
            if learned is bare:
                assert len(load(path, learned=learned).x) == 13
    path.write_text("0,1,2")
    assert load(path, learned=bare).x.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("header", ["a,kind\n", ""])
def test_a_network_of_one_feature_classifies_one_column(tmp_path, header):
    learned = learned_from(tmp_path, header + "".join(f"{k / 4},{('elm', 'oak')[k % 2]}\n" for k in range(20)))
    path = tmp_path / "later.csv"
    for text in ("3.5\n0\n1\n", "a\n3.5\n0\n1\n", 'a\n"3.5"\n""\n"0"\n"1"'):
        path.write_text(text)
        assert load(path, learned=learned).x.tolist() == [[3.5], [0], [1]]
    path.write_text("a,b\n3.5,1\n" if header else "3.5,1,2\n")
    if header:
        assert load(path, learned=learned).x.tolist() == [[3.5]]
    path.write_text("b\n3.5\n")
    if header:
        with pytest.raises(InputError, match="has no column a, which the network was trained on: it has b"):
            load(path, learned=learned)
    with pytest.raises(InputError, match="has one column only"):
        load(path)


def labelled(tmp_path, marks):
    """Return the path of a table with classes 0 to 2, and marks in the place of some labels."""
    path = tmp_path / "t.csv"
    labels = [marks[k // 10 % len(marks)] if k % 10 == 4 else str(k % 3) for k in range(60)]
    path.write_text("a,b,kind\n" + "".join(f"{k * 7 % 60 / 3},{k % 11 / 2},{label}\n" for k, label in enumerate(labels)))
    return path


def test_a_dash_among_labels_of_numbers_is_none(tmp_path):
    path = labelled(tmp_path, "-")
    with pytest.raises(InputError, match=r"row 5 has no label .6 of 60 rows."):
        load(path)
    data = load(path, missing="drop")
    assert (data.labels, len(data.y)) == (("0", "1", "2"), 54)
    assert load(path, learned=data.features).y.tolist()[3:6] == [0, -1, 2]
    path.write_text("a,b,kind\n1,2,-\n")
    assert load(path, learned=data.features).y.tolist() == [-1]
    np.savez(tmp_path / "t.npz", X=np.arange(40.0).reshape(20, 2), y=np.arange(20) % 2, label_names=["1", "-"])
    assert load(tmp_path / "t.npz").labels == ("1", "-")


def test_other_words_among_labels_of_numbers_are_named(tmp_path):
    for marks, said in [(["None"], ": None;"), (["unknown", "."], ": ., unknown;"), (["1"], None)]:
        data = load(labelled(tmp_path, marks))
        warnings = "\n".join(prepare(Settings().fitting(data), 127, dataset=data).warnings)
        assert ("words among numbers" in warnings) == (said is not None)
        assert said is None or f"each a class of its own{said} if one marks a missing label" in warnings


def test_whole_numbers_stay_what_they_are(tmp_path):
    large = 1 << 53
    path = tmp_path / "t.npz"
    for dtype in (np.int64, np.uint64):
        x = np.array([[large, 1], [5, 2]], dtype).repeat(4, axis=0)
        np.savez(path, X=x, y=np.arange(8) % 2)
        assert load(path).x.tolist() == x.tolist()
        x[3, 0] += 1
        np.savez(path, X=x, y=np.arange(8) % 2)
        with pytest.raises(InputError, match="row 4, column 1 is 9007199254740993, beyond what float64 keeps exactly"):
            load(path)
    csv = tmp_path / "t.csv"
    csv.write_text("a,kind\n" + "".join(f"{k}.5,{large + k % 2}\n" for k in range(8)))
    data = load(csv)
    assert (data.labels, data.y.tolist()) == ((str(large), str(large + 1)), [0, 1] * 4)
    assert load(csv, learned=data.features).y.tolist() == [0, 1] * 4
    np.savez(path, X=np.arange(8.0)[:, None], y=large + np.arange(8) % 2)
    assert load(path).labels == data.labels
    assert load(path, learned=data.features).y.tolist() == [0, 1] * 4


def said_of(x):
    """Return what is said of a column of numbers about a mark."""
    data = Dataset(name="mine", x=np.column_stack([x, np.arange(200.0)]), y=np.arange(200) % 2, labels=["a", "b"], image=False)
    return [text for text in prepare(Settings().fitting(data), 127, dataset=data).warnings if "column 1 has" in text]


WIDE = np.arange(200) * 71 % 199


@pytest.mark.parametrize(
    ("values", "mark", "why"),
    [
        (7 * WIDE, -999, "the only value below 0|beyond all"),
        (4 * WIDE - 30, 999, "beyond all"),
        (20 * WIDE - 2000, -9999, "far|beyond all"),
        (40 * WIDE, 9999, "beyond all"),
        (WIDE / 2 - 40, -99, "beyond all"),
        (WIDE / 3, 99, "beyond all"),
        (WIDE, -1, "the only value below 0"),
        (WIDE / 199, -1, "the only value below 0|far"),
    ],
)
def test_marks_of_missing_values_are_told_in_wide_ranges(values, mark, why):
    said = said_of(np.where(np.arange(200) % 9, values, mark))
    assert len(said) == 1
    assert re.search(f"column 1 has {mark} in 23 rows, ({why})[a-z 0]*: if it marks a missing value", said[0])


@pytest.mark.parametrize("values", [WIDE % 50 - 2, WIDE % 3 - 1, WIDE % 2 * 2 - 1, np.minimum(WIDE, 99), WIDE - 99, WIDE % 100])
def test_values_that_are_no_marks_are_not_told(values):
    assert said_of(np.concatenate([values[:100], values[:100]])) == []


def test_words_of_a_column_that_differ_in_capitals_are_told(tmp_path):
    path = tmp_path / "t.csv"
    for words, said in [("Red red blue", "words Red and red differ"), ("A A- A+", None), ("red blue green", None)]:
        path.write_text("a,shade,kind\n" + "".join(f"{k / 7},{words.split()[k % 3]},{'uv'[k % 2]}\n" for k in range(60)))
        data = load(path)
        warnings = "\n".join(prepare(Settings().fitting(data), 127, dataset=data).warnings)
        assert ("differ in capitals" in warnings) == (said is not None)
        assert f"column shade: {said or ''}" in warnings or said is None

"""Files as people have them: forms of text tables, names of IDX archives, arrays, and what arrays must not hold."""

import gzip
from typing import Any

import numpy as np
import pytest

from backpulse.host.columns import join_names, parse_names
from backpulse.host.datasets import Dataset, load
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings

from .test_datasets import write_idx

ROWS = ["0.5,2,red", "1.5,3,blue", "2.5,4,red", "3.5,5,blue"]
X = [[0.5, 2], [1.5, 3], [2.5, 4], [3.5, 5]]
PLAIN = "a,b,kind\n" + "\n".join(ROWS) + "\n"
FORMS = {
    "plain.csv": PLAIN,
    "SCOPE.CSV": PLAIN,
    "windows.csv": "\ufeff" + PLAIN.replace("\n", "\r\n"),
    "old.csv": PLAIN.replace("\n", "\r"),
    "excel.csv": PLAIN.encode("utf-16"),
    "packed.csv.gz": gzip.compress(PLAIN.encode()),
    "PACKED.CSV.GZ": gzip.compress(PLAIN.encode()),
    "tabs.tsv": PLAIN.replace(",", "\t"),
    "semicolons.csv": PLAIN.replace(",", ";"),
    "bars.txt": PLAIN.replace(",", "|"),
    "blanks.data": PLAIN.replace(",", "   "),
    "after.csv": PLAIN.replace(",", ", ").replace("\n", " \n"),
    "comment.csv": "# bench 3\n# at noon, in the lab\n\n" + PLAIN,
    "trailing.csv": PLAIN.replace("\n", ",\n"),
    "rows_trail.csv": PLAIN.replace("\n", ",\n").replace("kind,\n", "kind\n"),
    "header_trails.csv": PLAIN.replace("kind\n", "kind,\n"),
    "quotes.csv": "\n".join('"' + line.replace(",", '","') + '"' for line in PLAIN.splitlines()),
    "single.csv": "\n".join("'" + line.replace(",", "','") + "'" for line in PLAIN.splitlines()),
    "lines.csv": PLAIN.replace("a,b,kind\n", '"a",b,kind\n').replace("\n", "\n\n") + ",,\n,,\n",
    "numbered.csv": PLAIN.replace("a,b,kind", "0,1,kind"),
    "wavelengths.csv": PLAIN.replace("a,b,kind", "400.5,410,kind"),
    "bare.csv": "\n".join(ROWS),
    "excel_too.csv": "sep=;\n" + PLAIN.replace(",", ";"),
    "savetxt.csv": "# a,b,kind\n" + "\n".join(ROWS),
    "indexed.csv": ",a,b,kind\n" + "".join(f"{k},{row}\n" for k, row in enumerate(ROWS)),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_text(tmp_path, name):
    content = FORMS[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = load(path, drop="1" if name == "indexed.csv" else None)
    assert data.x.tolist() == X
    assert data.y.tolist() == [1, 0, 1, 0]
    assert data.features.labels == ("blue", "red")
    names = {"numbered.csv": ["0", "1"], "wavelengths.csv": ["400.5", "410"], "bare.csv": ["1", "2"]}
    assert [column.name for column in data.features.columns] == names.get(name, ["a", "b"])


def test_columns_are_chosen_by_name_and_number(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('kind,a,"b, long",c\nu,1,2,2\nv,3,4,4\nu,5,6,6\nv,7,8,8\n')
    choice: dict[str, Any]
    for choice in ({"features": "a"}, {"features": "2"}, {"drop": '"b, long",c'}, {"drop": "3,4"}, {"features": "a,c", "drop": "c"}):
        data = load(path, target="kind", **choice)
        assert data.x.tolist() == [[1], [3], [5], [7]]
        assert data.features.label == "kind"
    for choice, sentence in [
        ({"features": "z"}, "has no column z: --features must be one of kind, a, b, long, c"),
        ({"drop": "5"}, "has no column 5: --drop must be one of"),
        ({"drop": "kind"}, "column kind is the label: take it out"),
        ({"drop": "a,3,c"}, "has no column left"),
        ({"missing": "mode"}, "--missing must be one of drop, mean, median, not mode"),
    ]:
        with pytest.raises(InputError, match=sentence):
            load(path, target="1", **choice)


def test_a_number_among_names_that_are_numbers_is_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("0,1,2,3,y\n1,2,3,4,u\n5,6,7,8,v\n2,4,6,8,u\n1,3,5,7,v\n")
    data = load(path, drop="4")
    assert [column.name for column in data.features.columns] == ["0", "1", "2"]
    assert f"--drop 4 is column 4 of {path}, which is named 3" in data.warnings
    assert f"--drop 3 is the column named 3, column 4 of {path}" in load(path, drop="3").warnings


@pytest.mark.parametrize("names", [",", "", '""', "a,,b", "a,", " "])
def test_empty_names_are_refused(tmp_path, names):
    path = tmp_path / "plain.csv"
    path.write_text(PLAIN)
    for option in ("features", "drop"):
        for ask in (lambda o: load(path, **o), lambda o: Settings(**o)):
            with pytest.raises(InputError, match=f"(--{option} .* names an empty column|The setting {option} must be text)"):
                ask({option: names})
        with pytest.raises(InputError, match=f"--{option} .* names an empty column"):
            Settings.from_dict({option: ["a", ""]})


def test_names_of_any_letters_are_parted_again():
    names = ["a", "b, long", 'say "c"', '"d"', "e'f"]
    assert parse_names(join_names(names), "--drop") == names


def test_commas_that_may_be_of_thousands_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    lines = ["1,234;0,5;u", "12,345;1,5;v", "7;2;u", "3,100;1,5;v"]
    path.write_text("p;q;kind\n" + "\n".join(lines))
    assert load(path).x[:, 0].tolist() == [1.234, 12.345, 7, 3.1]
    path.write_text("p;kind\n" + "\n".join(line.split(";")[0] + ";" + line.split(";")[2] for line in lines))
    with pytest.raises(InputError, match=r"column p has numbers such as 1,234, which may be 1\.234 or 1234: write them without commas"):
        load(path)


def test_missing_cells_are_filled_from_the_training_part_only(tmp_path):
    path = tmp_path / "t.csv"
    rows = [(str(k * k), "ab"[k % 2 and k > 3], "xy"[k % 2]) for k in range(20)]
    rows[4], rows[5] = ("?", "a", "x"), ("25", "", "y")
    path.write_text("n,w,kind\n" + "".join(",".join(row) + "\n" for row in rows))
    train, _ = load(path, missing="mean").split()
    squares = np.array([k * k for k in train if k != 4], float)
    for missing, fill in (("mean", squares.mean()), ("median", np.median(squares))):
        data = load(path, missing=missing)
        assert data.x[4, 0] == pytest.approx(fill)
        assert data.features.columns[0].fill == data.x[4, 0]
        assert data.x[5].tolist() == [25, 1, 0]
    data = load(path, missing="drop")
    assert data.rows.tolist() == [k for k in range(20) if k not in (4, 5)]
    later = tmp_path / "later.csv"
    later.write_text("n,w\n-,b\n4,a\n")
    assert load(later, learned=load(path, missing="median").features).x[0, 0] == np.median(squares)
    assert load(later, learned=data.features).rows.tolist() == [1]
    rows[0] = ("0", "a", "")
    path.write_text("n,w,kind\n" + "".join(",".join(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="row 1 has no label"):
        load(path)
    assert 0 not in load(path, missing="median").rows


def test_preprocessing_has_the_same_bits_everywhere(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("n,w,kind\n" + "".join(f"{k / 7 if k % 9 else ''},{'abc'[k % 3]},{'xy'[k % 2]}\n" for k in range(1, 60)))
    data = load(path, missing="mean")
    assert data.digest == "8c701cdc84a1604d1b150e1dca926ec9cf72f29d3ad990097da86d600453c06c"


@pytest.mark.parametrize(
    "pattern",
    [
        "{part}-{kind}-{dims}-ubyte",
        "{part}-{kind}.{dims}-ubyte",
        "{part}-{kind}-{dims}-ubyte.gz",
        "{part}-{kind}-{dims}-ubyte/{part}-{kind}-{dims}-ubyte",
        "emnist-letters-{part}-{kind}-{dims}-ubyte",
        "{part}-{kind}.{dims}-ubyte|{part}-{kind}-{dims}-ubyte/{part}-{kind}-{dims}-ubyte",
    ],
)
def test_names_of_idx_archives(tmp_path, pattern):
    x = np.random.RandomState(3).randint(0, 256, (20, 4, 3))
    y = np.arange(20) % 5 + 1
    for form in pattern.split("|"):
        for part, size in (("train", 20), ("test" if "emnist" in form else "t10k", 8)):
            for kind, dims, array in (("images", "idx3", x), ("labels", "idx1", y)):
                path = tmp_path / form.format(part=part, kind=kind, dims=dims)
                path.parent.mkdir(exist_ok=True)
                write_idx(path, array[:size])
    data = load(tmp_path)
    assert data.image
    assert data.features.labels == ("1", "2", "3", "4", "5")
    assert np.array_equal(data.x[:20], x.reshape(20, 12))
    assert [len(part) for part in data.split()] == [20, 8]
    one = pattern.split("|")[-1].format(part="train", kind="images", dims="idx3")
    alone = load((tmp_path / one).parent if "/" in one else tmp_path / one)
    assert np.array_equal(alone.y, y - 1)


def test_several_sets_in_a_folder_are_told(tmp_path):
    for name in ("emnist-letters", "emnist-digits"):
        for part in ("train", "test"):
            write_idx(tmp_path / f"{name}-{part}-images-idx3-ubyte", np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match=r"holds several sets \(emnist-digits-train-images-idx3-ubyte, emnist-letters"):
        load(tmp_path)


def test_arrays_with_names(tmp_path):
    path = tmp_path / "a.npz"
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    np.savez(path, X=x, y=y[:, None], feature_names=["u", "v"], label_names=["no", "an even"])
    data = load(path)
    assert data.features.labels == ("no", "an even")
    assert np.array_equal(data.y, y)
    np.savez(tmp_path / "b.npz", X=x[:, ::-1], feature_names=["v", "u"])
    later = load(tmp_path / "b.npz", learned=data.features)
    assert np.array_equal(later.x, x)
    assert later.y.tolist() == [-1] * 6
    np.savez(tmp_path / "c.npz", X=x, y=y, feature_names=["v", "w"])
    with pytest.raises(InputError, match="has no column u, which the network was trained on: it has v, w"):
        load(tmp_path / "c.npz", learned=data.features)
    np.savez(tmp_path / "c.npz", X=x[:, :1])
    with pytest.raises(InputError, match="has 1 column, but the network was trained on 2 features"):
        load(tmp_path / "c.npz", learned=data.features)
    np.savez(tmp_path / "d.npz", X=np.where(x == 4, np.nan, x), y=y)
    with pytest.raises(InputError, match=r"without a value in column 1 \(1\), first in row 3"):
        load(tmp_path / "d.npz")
    assert load(tmp_path / "d.npz", missing="drop").rows.tolist() == [0, 1, 3, 4, 5]
    np.savez(tmp_path / "e.npz", X=np.array([["1", "oak"], ["2", "elm"], ["3", "oak"], ["4", "elm"]]), y=[b"u", b"v", b"u", b"v"])
    assert load(tmp_path / "e.npz").x.tolist() == [[1, 0, 1], [2, 1, 0], [3, 0, 1], [4, 1, 0]]
    for names in (["u"], ["u", "u"], ["u", ""]):
        np.savez(path, X=x, y=y, feature_names=names)
        with pytest.raises(InputError, match="feature_names must be 2 different names"):
            load(path)
    np.savez(path, X=x, y=y, label_names=["only"])
    with pytest.raises(InputError, match="has 1 class name, so y must hold numbers from 0 to 0"):
        load(path)


Y = np.arange(6) % 3
GOOD = np.arange(12.0).reshape(6, 2)


def with_cell(value, dtype: type = np.float64):
    x = GOOD.astype(dtype)
    x[3, 1] = value
    return x


WRONG = {
    "complex": (GOOD * 1j, Y, "holds complex numbers"),
    "complex without imaginary part": (GOOD.astype(complex), Y, "holds complex numbers"),
    "infinite": (with_cell(np.inf), Y, "row 4, column 2 is inf, not a finite number"),
    "overflow": (with_cell(np.longdouble("1e4000"), np.longdouble), Y, "row 4, column 2 is 1e\\+4000, beyond what float64 keeps exactly"),
    "large integer": (with_cell((1 << 60) + 1, np.int64), Y, "row 4, column 2 is 1152921504606846977, beyond what float64"),
    "range": (np.array([[1.7e308], [-1.7e308]] * 3), Y, "column 1 has a range beyond float64"),
    "dates": (GOOD.astype("datetime64[s]"), Y, "features of type datetime64"),
    "no features": (GOOD[:, :0], Y, "holds no samples"),
    "one dimension": (GOOD[:, 0], Y, "holds no samples"),
    "complex labels": (GOOD, Y * 1j, "(labels|classes) of type complex128"),
    "broken labels": (GOOD, Y + 0.5, "row 1 has (label|class) 0.5"),
    "negative labels": (GOOD, Y - 1, "row 1 has (label|class) -1"),
    "labels too few": (GOOD, Y[:5], "has 6 samples but labels of shape"),
    "labels too wide": (GOOD, np.eye(3)[Y], "labels of shape"),
    "no samples at all": (np.float64(3), Y, "holds no samples"),
    "one label": (GOOD, np.int64(1), "labels of shape"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_kept_is_refused_at_every_door(tmp_path, what):
    x, y, sentence = WRONG[what]
    with pytest.raises(InputError, match=sentence):
        Dataset(name="mine", x=x, y=y, labels=["a", "b", "c"], image=False)
    np.savez(tmp_path / "x.npz", X=x, y=y)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "x.npz")


BYTES = {
    "labels": ({"y": np.array([b"M\xe4", b"M\xfc", b"x"] * 2)}, r"holds the bytes b'M\\xe4', which are no UTF-8"),
    "words": ({"X": np.array([[b"M\xe4"], [b"x"]] * 3)}, "which are no UTF-8"),
    "names of features": ({"feature_names": [b"u", b"\xff"]}, "feature_names holds the bytes"),
    "names of labels": ({"label_names": [b"u", b"\xff", b"w"]}, "label_names holds the bytes"),
    "blanks": ({"y": np.array(["a", "a ", "b"] * 2)}, "has labels that differ from 'a' in blanks only"),
    "blanks in bytes": ({"y": np.array([b"a", b" a", b"b"] * 2)}, "has labels that differ from 'a' in blanks only"),
}


@pytest.mark.parametrize("what", BYTES)
def test_bytes_are_text_or_refused(tmp_path, what):
    arrays, sentence = BYTES[what]
    np.savez(tmp_path / "x.npz", **{"X": GOOD, "y": Y, **arrays})
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "x.npz")


def test_bytes_that_are_text(tmp_path):
    path = tmp_path / "x.npz"
    names = {"feature_names": [b"u", "\u00e4".encode()], "label_names": [b"no", b"maybe", b"yes"]}
    np.savez(path, X=GOOD, y=Y, **names)  # type: ignore[arg-type]  # of the names none is its other argument
    data = load(path)
    assert ([column.name for column in data.features.columns], data.labels) == (["u", "\u00e4"], ("no", "maybe", "yes"))
    np.savez(path, X=np.array([[b"oak "], [b"elm"], [b"oak"]] * 2), y=Y)
    assert load(path).features.columns[0].categories == ("elm", "oak")


def damaged(path, kind):
    """Write an .npz file that cannot be read."""
    np.savez_compressed(path, X=GOOD, y=Y)
    raw = bytearray(path.read_bytes())
    if kind == "deflate":
        raw[60:90] = bytes(30)
    if kind == "compression":
        raw[8] = raw[raw.index(b"PK\1\2") + 10] = 77
    if kind == "encrypted":
        raw[6] |= 1
        raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    if kind == "one array":
        with path.open("wb") as file:
            np.save(file, GOOD)


@pytest.mark.parametrize("kind", ["deflate", "compression", "encrypted", "one array"])
def test_a_damaged_archive_is_told(tmp_path, kind):
    damaged(tmp_path / "x.npz", kind)
    with pytest.raises(InputError, match=r"is not a readable \.npz file of plain arrays"):
        load(tmp_path / "x.npz")


def test_what_is_no_array_is_refused():
    hidden = np.ma.masked_equal(GOOD, 5.0)
    for x, y, sentence in [
        ([[1, 2], [3]], [0, 1], "has rows that are not of one length"),
        (GOOD, [[0], [1, 2]], "has rows that are not of one length"),
        (hidden, Y, "mine has masked cells, which have no value"),
        (GOOD, np.ma.masked_equal(Y, 2), "mine has masked cells"),
    ]:
        with pytest.raises(InputError, match=sentence):
            Dataset(name="mine", x=x, y=y, labels=["a", "b", "c"], image=False)
    assert np.array_equal(Dataset(name="mine", x=np.ma.array(GOOD), y=Y, labels=["a", "b", "c"], image=False).x, GOOD)


def test_arrays_that_mean_the_same_are_converted():
    x, y = GOOD.astype(np.float32), Y
    same_x: Any
    same_y: Any
    for same_x in (x, x.tolist(), GOOD.astype(int), GOOD.astype(np.uint8)):
        for same_y in (y, y[:, None], y.tolist(), y.astype(float), y.astype(np.int8)):
            data = Dataset(name="mine", x=same_x, y=same_y, labels=["a", "b", "c"], image=False)
            assert (data.x.dtype, data.y.dtype) == (np.float64, np.int64)
            assert np.array_equal(data.x, GOOD)
            assert np.array_equal(data.y, Y)
    with pytest.raises(InputError, match="row 4, column 2 is nan"):
        Dataset(name="mine", x=with_cell(np.nan), y=Y, labels=["a", "b", "c"], image=False)
    with pytest.raises(InputError, match="row 3 has class 2, but classes are whole numbers from 0 to 1"):
        Dataset(name="mine", x=GOOD, y=Y, labels=["a", "b"], image=False)
    with pytest.raises(InputError, match="labels must be a list of words"):
        Dataset(name="mine", x=GOOD, y=Y, labels="abc", image=False)

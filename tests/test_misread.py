"""Ways in which a table of numbers is misread: each is read right and said, or refused in a sentence; none gives a number silently."""

import re

import numpy as np
import pytest

from backpulse.host.datasets import Dataset, load
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings, prepare

ROWS = 40
RANDOM = np.random.RandomState(5)
KIND = np.arange(ROWS) % 2
A = RANDOM.randint(0, 90, ROWS) / 8 + KIND
B = RANDOM.randint(0, 90, ROWS) / 8
WORDS = np.array(["oak", "elm"])[KIND]
PLACES = np.array(["north", "east", "west"])[np.arange(ROWS) % 3]


def table(*columns, header=None, separator=","):
    """Return the text of a table."""
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join(([header] if header else []) + rows) + "\n"


def read(tmp_path, content, **options):
    """Read a file as `train` does: the data set, and what is said before training."""
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = Settings(dataset=path, **options)
    data = settings.load()
    return data, "\n".join(prepare(settings.fitting(data), 127, dataset=data).warnings)


def changed(values, row, value):
    return [value if k == row else v for k, v in enumerate(values)]


SAID = {
    "label first": (table(WORDS, A, B, header="class,a,b"), {}, ["a", "b"], "class is taken as the label (by its name)"),
    "label in the middle": (table(A, WORDS, B, header="a,tree,b"), {"target": "tree"}, ["a", "b"], ""),
    "label guessed": (table(A, B, WORDS, header="a,b,tree"), {}, ["a", "b"], "tree is taken as the label (the last column); --target"),
    "no header": (table(A, B, WORDS), {}, ["1", "2"], "has no header: columns are called by their number, 1 to 3"),
    "header of numbers": (table(A, B, WORDS, header="0,1,y"), {}, ["0", "1"], "y is taken as the label"),
    "header of numbers alone": (
        table(A, B, KIND, header="0,1,2"),
        {},
        ["0", "1"],
        "the first line (0, 1, 2) is taken as the names of the columns, not as a row",
    ),
    "one number in the header": (
        table(PLACES, A, WORDS, header="place,2020,tree"),
        {},
        ["place", "2020"],
        "the first line (place, 2020, tree) is taken as the names",
    ),
    "index and header of numbers": (table(range(ROWS), A, B, WORDS, header=",0,1,tree"), {}, ["unnamed 1", "0", "1"], "unnamed 1 numbers"),
    "index and numbers alone": (table(range(ROWS), A, B, KIND, header=",0,1,2"), {}, ["unnamed 1", "0", "1"], "unnamed 1 numbers"),
    "a name that is a label": (table(A, B, np.where(KIND, "y", "n"), header="a,b,y"), {}, ["a", "b"], "the first line (a, b, y) is taken"),
    "bars in cells": (
        table(np.where(KIND, "oak|elm", "fir|elm"), A, WORDS, header="wood,a,tree"),
        {},
        ["wood", "a"],
        "one input a word: wood",
    ),
    "called #": (table(range(ROWS), A, WORDS, header="#,a,tree"), {}, ["#", "a"], "column # numbers the rows"),
    "colours": (table(np.where(KIND, "#ff0000", "#00ff00"), A, WORDS), {}, ["1", "2"], "one input a word: 1 (2 words)"),
    "all words": (table(PLACES, WORDS, header="place,tree"), {}, ["place"], "one input a word: place (3 words)"),
    "row numbers": (table(range(ROWS), A, WORDS, header=",a,tree"), {}, ["unnamed 1", "a"], "column unnamed 1 numbers the rows"),
    "identifiers": (table(range(700, 740), A, WORDS, header="id,a,tree"), {}, ["id", "a"], "column id numbers the rows or names them"),
    "constant column": (table(A, [3] * ROWS, WORDS, header="a,b,tree"), {}, ["a", "b"], "column b has one value only"),
    "twice the same": (table(A, B, A, WORDS, header="a,b,c,tree"), {}, ["a", "b", "c"], "column c is a copy of column a"),
    "label twice": (table(A, 5 - KIND, WORDS, header="a,b,tree"), {}, ["a", "b"], "column b has one value for each class"),
    "no value as a number": (
        table(changed(A, 3, -9999), B, WORDS, header="a,b,tree"),
        {},
        ["a", "b"],
        "column a has 1 value far from the others (from -9999 to",
    ),
    "decimal commas": (
        table([f"{v:.4f}".replace(".", ",") for v in A], B, WORDS, header="a;b;tree", separator=";"),
        {},
        ["a", "b"],
        "column a is read with decimal commas",
    ),
    "capitals": (
        table(A, B, [w.title() if k < 9 else w for k, w in enumerate(WORDS)], header="a,b,tree"),
        {},
        ["a", "b"],
        "labels Elm and elm, Oak and oak differ in capitals",
    ),
    "two classes, one rare": (table(A, B, ["oak"] * 38 + ["elm"] * 2, header="a,b,tree"), {}, ["a", "b"], "95.0 % of the samples are of"),
    "single sample": (table(A, B, changed(WORDS, 7, "yew"), header="a,b,tree"), {}, ["a", "b"], "class yew has one sample only"),
    "true and false": (table(A, np.where(B > 5, "yes", "No"), WORDS, header="a,b,tree"), {}, ["a", "b"], "the numbers 1 and 0: b"),
    "empty column": (table(A, B, WORDS, [""] * ROWS, header="a,b,tree,"), {}, ["a", "b"], "column unnamed 4 has no values and is left out"),
    "lost values": (table(changed(A, 2, "?"), B, WORDS, header="a,b,tree"), {"missing": "drop"}, ["a", "b"], "1 of 40 rows"),
    "filled values": (table(changed(A, 2, ""), B, WORDS, header="a,b,tree"), {"missing": "mean"}, ["a", "b"], "filled by mean"),
    "number for a name": (table(A, B, WORDS, header="0,1,tree"), {"drop": "1"}, ["0"], "--drop 1 is the column named 1, column 2 of"),
}


@pytest.mark.parametrize("way", SAID)
def test_it_is_read_right_and_said(tmp_path, way):
    content, options, names, said = SAID[way]
    data, warnings = read(tmp_path, content, **options)
    assert said in warnings
    assert [column.name for column in data.features.columns] == names
    assert len(data.x) == ROWS - (way == "lost values")
    assert set(data.features.labels) >= {"oak", "elm"} or data.features.labels in (("0", "1"), ("n", "y"))
    known = {"a": A, "b": B, "1": A if way == "no header" else None, "2": B if way == "no header" else A, "0": A}
    for k, column in enumerate(data.features.columns):
        values = known.get(column.name)
        if values is not None and way not in ("constant column", "label twice", "true and false", "lost values", "header of numbers"):
            assert np.sum(np.abs(data.x[:, data.features.starts[k]] - values) > 1e-3) <= (way in ("no value as a number", "filled values"))


REFUSED = {
    "label first, last constant": (table(WORDS, A, [1] * ROWS, header="tree,a,b"), r"b cannot be the label \(it has one .* be tree\)"),
    "a quantity as label": (table(WORDS, A, header="tree,a"), r"a cannot be the label \(it holds measured numbers"),
    "prices as label": (table(A, B * 8000 + A, header="a,price"), "price cannot be the label"),
    "one class": (table(A, ["oak"] * ROWS, header="a,tree"), "cannot be the label .it has one value only"),
    "unit in cells": (table([f"{v} cm" for v in A], WORDS, header="a,tree"), r"a \(numbers with a unit such as '.* cm'; leave the numbers"),
    "line of units": (table(changed(A, 0, "mm"), B, WORDS, header="a,b,tree"), "row 1, column a is 'mm', not a number"),
    "a word among numbers": (table(changed(A, 4, "high"), B, WORDS, header="a,b,tree"), "row 5, column a is 'high', not a number"),
    "commas in thousands": (table([f'"1,{k:03}"' for k in range(ROWS)], WORDS, header="a,tree"), "numbers with commas such as '1,000'"),
    "missing values": (table(changed(A, 2, "?"), B, WORDS, header="a,b,tree"), r"column a \(1\), first in row 3: --missing drop"),
    "dates": (table([f"2024-05-{k % 28 + 1:02}" for k in range(ROWS)], WORDS, header="day,tree"), r"day \(dates .*--drop day"),
    "free text": (table([f"seen {k}" for k in range(ROWS)], WORDS, header="note,tree"), r"note \(a different word in nearly every row"),
    "two columns of free text": (
        table([f"seen {k}" for k in range(ROWS)], [f"by {k}" for k in range(ROWS)], WORDS, header='note 1,"note, 2",tree'),
        r"""leave them out with --drop 'note 1,"note, 2"'""",
    ),
    "name as label": (table(A, [f"n{k}" for k in range(ROWS)], header="a,name"), "40 different values in 40 rows"),
    "Latin-1": ("a,größe,tree\n1,2,oak\n".encode("latin-1"), "is no UTF-8 text .byte 0xf6 in line 1.: .*iconv -f WINDOWS-1252"),
    "spreadsheet": (b"PK\3\4 and so on", "is an archive or a spreadsheet"),
    "label in two ways": (table(A, np.where(KIND, "1", "01"), header="a,tree"), "the labels .* are one number"),
    "negative label": (table(A, KIND - 1, header="a,tree"), "row 1 has label -1; labels are whole numbers from 0"),
    "too large to be exact": (table([2**53 + 1 + k for k in range(ROWS)], WORDS, header="a,tree"), "float64 cannot keep exactly"),
    "too large at all": (table(changed(A, 1, "1e999"), WORDS, header="a,tree"), "row 2, column a is '1e999', beyond the range of float64"),
    "range too large": (table(changed(changed(A, 1, "1.7e308"), 2, "-1.7e308"), WORDS, header="a,tree"), "a range beyond float64"),
    "row too short": (table(A, B, WORDS, header="a,b,tree") + "1,oak\n", "row 41 has 2 columns, but the first line has 3"),
    "row too long": (table(A, B, WORDS, header="a,b,tree") + "1,5,2,oak\n", "row 41 has 4 columns, but the first line has 3"),
    "quotation not closed": (table(A, B, WORDS, header="a,b,tree") + '1,"2,oak\n', "row 41 has 2 columns"),
    "one name twice": (table(A, B, WORDS, header="a,a,tree"), "columns 1 and 2 are both called a"),
    "a title": (
        "Results of run 5\n" + table(A, B, WORDS, header="a,b,tree"),
        r"the first line \(Results of run 5\) has 1 column, but the rows have 3: .* remove it or mark it with #",
    ),
    "comments with another mark": (
        "% made\n% by hand\n" + table(A, B, WORDS, header="a,b,tree"),
        r"the first line \(% made\) has 1 column",
    ),
    "a name too many": (table(A, B, WORDS, header="id,a,b,tree"), r"the first line \(id, a, b, tree\) has 4 columns, but the rows have 3"),
    "a name too few": (table(A, B, WORDS, header="a,tree"), r"the first line \(a, tree\) has 2 columns, but the rows have 3: name every"),
    "one column": (table(WORDS, header="tree"), "has one column only"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_it_is_refused_in_a_sentence(tmp_path, way):
    content, sentence = REFUSED[way]
    with pytest.raises(InputError, match=sentence) as refused:
        read(tmp_path, content)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


LATER = {
    "other order": (table(WORDS, B, A, header="tree,b,a"), True, ""),
    "without label": (table(B, A, header="b,a"), False, ""),
    "label empty": (table(B, A, [""] * ROWS, header="b,a,tree"), False, ""),
    "more columns": (table(B, A, B, header="b,a,moisture"), False, "ignored moisture"),
    "no header, label last": (table(A, B, WORDS), True, "names no columns: features are matched by position, with column 3 as the label"),
    "no header, no label": (table(A, B), False, "names no columns: features are matched by position, with no label"),
}


@pytest.fixture
def learned(tmp_path):
    return read(tmp_path, table(A, B, WORDS, header="a,b,tree"))[0].features


@pytest.mark.parametrize("way", LATER)
def test_later_data_is_matched_by_name(tmp_path, learned, way):
    content, labelled, said = LATER[way]
    (tmp_path / "later.csv").write_text(content)
    data = load(tmp_path / "later.csv", learned=learned)
    assert said in "\n".join(data.warnings)
    assert bool(data.warnings) == bool(said)
    np.testing.assert_array_equal(data.x, np.column_stack([A, B]))
    np.testing.assert_array_equal(data.y, np.where(WORDS == "elm", 0, 1) if labelled else -1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (table(A, WORDS, header="a,tree"), "has no column b, which the network was trained on: it has a, tree"),
        (table(A, B, WORDS, header="a,b (cm),tree"), "has no column b, which"),
        (table(A, B, ["yew"] * ROWS, header="a,b,tree"), "row 1 has label yew, which the checkpoint's network does not know"),
        (table(changed(A, 3, ""), B, header="a,b"), "row 4, column a has no value, and training had values everywhere"),
        (table(A, B, A, B, header=None), "has 4 columns, but the network was trained on 2 features and a label"),
    ],
)
def test_later_data_that_does_not_fit_is_refused(tmp_path, learned, content, sentence):
    (tmp_path / "later.csv").write_text(content)
    with pytest.raises(InputError, match=sentence):
        load(tmp_path / "later.csv", learned=learned)


def test_a_dash_is_no_value_among_numbers_and_a_word_among_words(tmp_path):
    numbers, signs = changed(A, 2, "-"), np.where(B > 5, "+", "-")
    data = read(tmp_path, table(numbers, signs, np.where(KIND, "+", "-"), header="a,sign,kind"), missing="drop")[0]
    assert data.rows.tolist() == [0, 1, *range(3, ROWS)]
    assert data.features.labels == ("+", "-")
    assert data.features.columns[1].categories == ("+", "-")


def test_words_are_those_of_the_training(tmp_path):
    known = read(tmp_path, table(PLACES, np.where(B > 5, "yes", "no"), WORDS, header="place,wet,tree"))[0]
    path = tmp_path / "later.csv"
    path.write_text("wet,place\nTRUE,west\nf,east\n")
    assert load(path, learned=known.features).x.tolist() == [[0, 0, 1, 1], [1, 0, 0, 0]]
    path.write_text("wet,place\nyes,west\nno,south\n")
    with pytest.raises(InputError, match="row 2, column place is 'south', which is none of the words it was trained on: east, north, west"):
        load(path, learned=known.features)
    path.write_text("wet,place\nyes,west\nmaybe,west\n")
    with pytest.raises(InputError, match="row 2, column wet is 'maybe', neither true nor false"):
        load(path, learned=known.features)


def test_without_names_position_counts(tmp_path):
    known = read(tmp_path, table(A, PLACES, B, WORDS), drop="2")[0].features
    assert (known.label, known.source) == ("4", ("1", "2", "3", "4"))
    path = tmp_path / "later.csv"
    for content, said in [
        (table(A, PLACES, B, WORDS), "has no header"),
        (table(A, PLACES, B), "matched by position, with no label"),
        (table(A, B), "matched by position, with no label"),
        (table(A, PLACES, B, WORDS, header="a,place,b,tree"), "the training data named no columns"),
    ]:
        path.write_text(content)
        data = load(path, learned=known)
        np.testing.assert_array_equal(data.x, np.column_stack([A, B]))
        assert said in "\n".join(data.warnings)


def remarks(x, image=False):
    """Return what is said of arrays, apart from the size of their test part."""
    data = Dataset(name="mine", x=x, y=np.arange(len(x)) % 2, labels=["a", "b"], image=image)
    return [remark for remark in prepare(Settings().fitting(data), 127, dataset=data).warnings if "says little" not in remark]


MANY = 200
MEASURED = np.random.RandomState(2).rand(MANY)
LOOKED_AT = {
    "-999 in a tenth": (
        np.where(np.arange(MANY) % 10, MEASURED, -999),
        "has -999 in 20 rows, far from all other values: .* give --missing",
    ),
    "9999 in two rows": (np.where(np.arange(MANY) % 100, 50 * MEASURED, 9999), "has 9999 in 2 rows, far from"),
    "0 for none": (np.where(np.arange(MANY) % 3, 1990 + np.floor(30 * MEASURED), 0), "has 0 in 67 rows, far from"),
    "of all sizes": (10 ** (9 * MEASURED), "few drive words tell them apart: column 1 "),
    "shuffled numbers": (np.random.RandomState(3).permutation(MANY), "numbers the rows"),
    "reversed numbers": (np.arange(MANY)[::-1], "numbers the rows"),
    "numbers with gaps": (np.arange(MANY) + np.arange(MANY) // 7, "numbers the rows"),
}
SOUND = {
    "measured": MEASURED,
    "whole numbers": np.floor(60 * MEASURED),
    "different whole numbers": np.random.RandomState(4).permutation(10 * MANY)[:MANY],
    "few values": np.arange(MANY) % 3,
    "two values": np.where(np.arange(MANY) % 10, 1, 1000),
    "long tail": np.floor(-8 * np.log(MEASURED)),
}


@pytest.mark.parametrize("way", LOOKED_AT)
def test_a_column_is_looked_at(way):
    said = remarks(np.column_stack([LOOKED_AT[way][0], MEASURED]))
    assert len(said) == 1
    assert re.search(LOOKED_AT[way][1], said[0])


@pytest.mark.parametrize("way", SOUND)
def test_nothing_is_said_of_a_sound_column(way):
    assert remarks(np.column_stack([SOUND[way], MEASURED[::-1]])) == []


@pytest.mark.parametrize("name", ["PassengerId", "CustomerID", "Unnamed: 0", "row_no", ""])
def test_a_column_called_a_number_is_told(tmp_path, name):
    codes = 100 * RANDOM.permutation(ROWS) + 7
    said = read(tmp_path, table(codes, A, WORDS, header=f"{name},a,tree"))[1]
    assert f"column {name or 'unnamed 1'} numbers the rows or names them" in said
    assert "numbers the rows" not in read(tmp_path, table(codes, A, WORDS, header="Idaho,a,tree"))[1]


def test_numbers_of_rows_are_seen_though_rows_are_left_out(tmp_path):
    content = table(range(5, 5 + ROWS), changed(A, 7, ""), WORDS, header="n,a,tree")
    assert "column n numbers the rows" in read(tmp_path, content, missing="drop")[1]


def test_images_are_looked_at():
    x = RANDOM.rand(60, 5, 5)
    assert remarks(x, image=True) == []
    x[:, 0, 0] = 0
    assert remarks(x, image=True) == []
    far = x.copy()
    far[3, 1, 1] = 1e6
    assert "nearly all samples are from " in remarks(far, image=True)[0]
    x[:, 3, 3] = 1e6
    assert "nearly all pixels are from " in remarks(x, image=True)[0]
    for shape in ((60, 5, 5), (60, 3)):
        with pytest.raises(InputError, match="mine has the same numbers in all samples: there is nothing to learn"):
            remarks(np.ones(shape), image=len(shape) > 2)


ROW = 13.25
"""Of the first row of a table without a header."""
FIRST_ROWS = {
    "1,2,3": table([1, *(B * 8).astype(int)], [2, *(A * 8).astype(int)], [3, *KIND + 2]),
    "dash": table([ROW, *A], ["-", *B], ["oak", *WORDS]),
    "missing": table([ROW, *A], ["?", *B], ["oak", *WORDS]),
    "missing, growing": table([ROW, *A], ["NA", *B], [99, *B], ["oak", *WORDS]),
    "dash alone": table(["-", *A], ["-", *B], [ROW, *B], [1, *KIND]),
}


@pytest.mark.parametrize("way", FIRST_ROWS)
def test_a_first_row_is_no_header(tmp_path, way):
    data, warnings = read(tmp_path, FIRST_ROWS[way], missing="median")
    assert len(data.x) == ROWS + 1
    assert "has no header" in warnings


@pytest.mark.parametrize("word", ["None", "inf", "high"])
def test_a_word_in_the_first_row_is_named(tmp_path, word):
    with pytest.raises(InputError, match=f"row 1, column 2 is '{word}', not a number"):
        read(tmp_path, table([ROW, *A], [word, *B], ["oak", *WORDS]))


def test_the_training_says_whether_numbers_are_names(tmp_path):
    path = tmp_path / "later.csv"
    path.write_text("0,1,2\n0,4,1\n")
    named = read(tmp_path, table(A, B, KIND, header="0,1,2"))[0].features
    assert load(path, learned=named).x.tolist() == [[0, 4]]
    nameless = read(tmp_path, table(A, B, KIND + 1))[0].features
    assert load(path, learned=nameless).x.tolist() == [[0, 1], [0, 4]]


@pytest.mark.parametrize("named", [True, False])
def test_the_label_stays_where_it_was(tmp_path, named):
    """A later file without names has its label first, as the training had, not last."""
    sizes, known = KIND + 1, np.array(["oak", "elm"])[KIND]
    learned = read(tmp_path, table(known, B, A, sizes, header="tree,b,a,size" if named else None), target="1", drop="2")[0].features
    path = tmp_path / "later.csv"
    for content, labelled, options, said in [
        (table(known, B, A, sizes), True, {}, "column 1 as the label; columns 3, 4 are taken as" if named else "has no header"),
        (table(B, A, sizes), False, {}, "no label; columns 2, 3 are taken as"),
        (table(A, sizes), False, {}, "no label; columns 1, 2 are taken as"),
        (table(A, sizes, known), True, {"target": "3"}, "column 3 as the label; columns 1, 2 are taken as"),
        (
            table(B, A, sizes, known),
            True,
            {"target": "4"},
            "column 4 as the label; columns 2, 3 are taken as" if named else "has no header",
        ),
    ]:
        path.write_text(content)
        data = load(path, learned=learned, **options)
        np.testing.assert_array_equal(data.x, np.column_stack([A, sizes]))
        np.testing.assert_array_equal(data.y, np.where(known == "elm", 0, 1) if labelled else -1)
        assert said in "\n".join(data.warnings)
    path.write_text(table(A, B, A, B, A, known))
    with pytest.raises(InputError, match="has 6 columns, but the network was trained on 2 features and a label"):
        load(path, learned=learned)


def test_a_label_is_not_guessed_in_later_data(tmp_path):
    path = tmp_path / "later.csv"
    path.write_text("5.1,3.5,1.4,0.2,setosa\n7,3.2,4.7,1.4,versicolor\n")
    learned = load("iris").features
    with pytest.raises(
        InputError, match=r"has 5 columns, but the network was trained on 4 features, .* name that of the label with --target"
    ):
        load(path, learned=learned)
    assert load(path, learned=learned, target="5").y.tolist() == [0, 1]


def test_later_cells_are_filled_and_said(tmp_path):
    learned = read(tmp_path, table(changed(A, 2, ""), B, WORDS, header="a,b,tree"), missing="median")[0].features
    path = tmp_path / "later.csv"
    path.write_text("b,a\n1,\n5,\n,4\n2,3\n")
    assert (
        f"{path}: filled by median of the training part, words by the most frequent: a (2), b (1)" in load(path, learned=learned).warnings
    )
    path.write_text("B,A\n1,2\n")
    with pytest.raises(InputError, match=r"has no column a, b, which .*: it has B, A .capitals count: write the names as in training"):
        load(path, learned=learned)

import gzip
import hashlib
import struct

import numpy as np
import pytest

from backpulse.host.datasets import NAMES, Dataset, load
from backpulse.host.errors import InputError
from backpulse.host.scaling import Scaler, records, targets
from backpulse.host.settings import Settings, prepare

CSV = "a,b,label\n1,2,cat\n3,4,dog\n5,6,cat\n7,8,dog\n"


def write_idx(path, array):
    data = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def images():
    random = np.random.RandomState(3)
    return random.randint(0, 256, (20, 4, 3)), np.arange(20) % 5


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("digits", (1797, 64), 10), ("iris", (150, 4), 3), ("wine", (178, 13), 3), ("breast-cancer", (569, 30), 2)],
)
def test_named_sets(name, shape, classes):
    data = load(name)
    assert data.x.shape == shape
    assert len(data.labels) == classes
    assert data.image == (name == "digits")


def test_split_is_stratified_fixed_and_disjoint():
    data = load("digits")
    train, test = data.split()
    again = load("digits").split()
    assert np.array_equal(train, again[0])
    assert np.array_equal(test, again[1])
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(1797))
    for k in range(10):
        assert abs(np.sum(data.y[test] == k) - 0.2 * np.sum(data.y == k)) <= 0.5


def test_csv_takes_the_last_column_or_the_named_one(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text(CSV)
    data = load(str(path))
    assert data.labels == ("cat", "dog")
    assert data.y.tolist() == [0, 1, 0, 1]
    assert data.x.tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    path.write_text("label,b,c\n0,2,9\n1,4,8\n")
    data = load(str(path), target="label")
    assert data.y.tolist() == [0, 1]
    assert data.x.tolist() == [[2, 9], [4, 8]]


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_idx_pair(tmp_path, images, ending):
    x, y = images
    write_idx(tmp_path / f"some-images-idx3-ubyte{ending}", x)
    write_idx(tmp_path / f"some-labels-idx1-ubyte{ending}", y)
    data = load(str(tmp_path / f"some-images-idx3-ubyte{ending}"))
    assert data.image
    assert np.array_equal(data.x, x.reshape(20, 12))
    assert np.array_equal(data.y, y)


def test_idx_folder_keeps_its_own_split(tmp_path, images):
    x, y = images
    for part, size in (("train", 20), ("t10k", 8)):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", x[:size])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", y[:size])
    train, test = load(str(tmp_path)).split()
    assert train.tolist() == list(range(20))
    assert test.tolist() == list(range(20, 28))


def test_npz_knows_images_from_tables(tmp_path, images):
    x, y = images
    np.savez(tmp_path / "i.npz", X=x, y=y)
    np.savez(tmp_path / "t.npz", X=x.reshape(20, 12), y=y.astype(float))
    assert load(str(tmp_path / "i.npz")).image
    assert not load(str(tmp_path / "t.npz")).image


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b,label\n", "holds no samples"),
        ("1,2,0\n3,4,1\n", "has no class with two samples"),
        ("a,b,label\n1,2,x\n3,nan,y\n", r"without a value in column b \(1\), first in row 2: --missing"),
        ("a,b,label\n1,2,x\n3,inf,y\n", "row 2, column b is 'inf', not a number"),
        ("a,b,label\n1,2,x\n,4,y\n", r"without a value in column a \(1\)"),
        ("a,b,label\n1,2,x\nfoo,4,y\n", "row 2, column a is 'foo', not a number"),
        ("a,b,label\n1,2,x\n3,4\n", "row 2 has 2 columns, but the first line has 3"),
        ("a,b,label\n1,2,x\n3,4,\n5,6,y\n", r"row 2 has no label \(1 of 3 rows\)"),
        ("a,b,label\n1,2,0\n3,4,-1\n", "row 2 has label -1"),
        ("a,b,label\n1,2,0\n3,4,1.5\n", r"label cannot be the label \(it holds measured numbers such as 1.5\): .*; .* BackpulseRegressor"),
    ],
)
def test_bad_csv_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load(str(path)).split()


def test_bad_files_and_names(tmp_path, images):
    x, y = images
    with pytest.raises(InputError, match="There is no data set mnist"):
        load("mnist")
    with pytest.raises(InputError, match="names a column of a table of text"):
        load("digits", target="a")
    path = tmp_path / "d.csv"
    path.write_text(CSV)
    with pytest.raises(InputError, match="has no column z: --target must be one of a, b, label"):
        load(str(path), target="z")
    (tmp_path / "a.npz").write_bytes(b"not a zip")
    with pytest.raises(InputError, match=r"not a readable \.npz"):
        load(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", X=x)
    with pytest.raises(InputError, match="has no array y"):
        load(str(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", X=x, y=y[:-1])
    with pytest.raises(InputError, match="20 samples but labels of shape"):
        load(str(tmp_path / "c.npz"))
    np.savez(tmp_path / "p.npz", X=np.array([[{}], [1]], dtype=object), y=np.arange(2))
    with pytest.raises(InputError, match="plain arrays"):
        load(str(tmp_path / "p.npz"))
    write_idx(tmp_path / "x-images-idx3-ubyte", x)
    with pytest.raises(InputError, match="has no labels"):
        load(str(tmp_path / "x-images-idx3-ubyte"))
    damaged = (tmp_path / "x-images-idx3-ubyte").read_bytes()[:-5]
    (tmp_path / "y-images").write_bytes(damaged)
    with pytest.raises(InputError, match="is damaged"):
        load(str(tmp_path / "y-images"))


def test_labels_and_features_must_fit_the_network(tmp_path):
    data = load("iris")
    data.check(4, 3)
    with pytest.raises(InputError, match="4 features but the input layer has 5"):
        data.check(5, 3)
    with pytest.raises(InputError, match="row 101 has label virginica, class 2, but the output layer has classes 0 to 1"):
        data.check(4, 2)
    path = tmp_path / "d.csv"
    path.write_text("a,label\n1,0\n2,0\n3,1\n")
    train, test = load(str(path)).split()
    assert len(test) == 1
    assert 2 in train


def test_scaling_is_fitted_on_the_training_part_and_clips():
    x = np.array([[0.0, 10.0, 5.0], [4.0, 20.0, 5.0]])
    table = Scaler.fit(x, image=False)
    assert table.to_bytes(x, 127).tolist() == [[-127, -127, 0], [127, 127, 0]]
    assert table.to_bytes(np.array([[9.0, -9.0, 5.0], [2.0, 15.0, 5.0]]), 127).tolist() == [[127, -127, 0], [0, 0, 0]]
    image = Scaler.fit(x, image=True)
    assert image.to_bytes(x, 127).tolist() == [[0, 64, 32], [25, 127, 32]]
    assert image.to_bytes(x - 100, 127).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_records_hold_inputs_then_targets():
    t = targets(np.array([1, 0]), 2, 127, off=-127)
    assert t.tolist() == [[-127, 127], [127, -127]]
    x = np.array([[1, -2, 3], [4, 5, 6]], np.int8)
    packed = records(x, t)
    assert packed.shape == (2, 2)
    assert packed.astype("<u4").tobytes() == bytes([1, 254, 3, 129, 127, 0, 0, 0, 4, 5, 6, 127, 129, 0, 0, 0])


def test_names_all_load():
    inside = {*NAMES} - {"fashion-mnist"}  # of which only the name is ours
    assert {load(name).name for name in inside} == inside


def test_pixels_that_are_bytes_stay_bytes_and_are_the_same_data():
    rng = np.random.RandomState(1)
    x = rng.randint(0, 200, (3000, 20, 30)) * (rng.rand(3000, 20, 30) < 0.3)  # more than is worked on at a time
    x[:, 0, 0] = 7
    y = rng.randint(0, 3, 3000)
    wide, narrow = (Dataset(name="pixels", x=x.astype(kind), y=y, labels=["a", "b", "c"], image=True) for kind in (np.float64, np.uint8))
    assert (wide.x.dtype, narrow.x.dtype) == (np.float64, np.uint8)
    assert wide.digest == narrow.digest == hashlib.sha256(x.astype("<f8").tobytes() + y.astype("<i8").tobytes()).hexdigest()
    settings = Settings(layers="600-4-3")
    one, other = (prepare(settings, 127, dataset=data) for data in (wide, narrow))
    assert np.array_equal(one.records, other.records)
    assert np.array_equal(one.x, np.floor(x.reshape(3000, 600) / x.max() * 127 + 0.5))
    assert one.scaler.center.dtype == other.scaler.center.dtype == np.float64
    assert one.warnings == other.warnings

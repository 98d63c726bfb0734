"""Fashion-MNIST by its name: where its package puts it, and what is said where it is not."""

import json

import numpy as np
import pytest

from backpulse.host.datasets import load
from backpulse.host.errors import InputError
from backpulse.host.sources import FASHION, FASHION_FOLDER, FASHION_LABELS, FASHION_PACKAGE

from .test_datasets import write_idx


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Put a set with such names in the place of the package's: 40 images to train and 10 to test."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    rng = np.random.RandomState(3)
    for part, size in (("train", 40), ("t10k", 10)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", rng.randint(0, 256, (size, 4, 3)))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.arange(size) % 10)
    monkeypatch.setattr("backpulse.host.sources.FASHION_FOLDER", folder)


def test_it_is_where_its_package_puts_it(backpulse, small):
    data = load(FASHION)
    assert (data.name, data.labels, data.image) == (FASHION, FASHION_LABELS, True)
    assert [len(part) for part in data.split()] == [40, 10]
    code, out, err = backpulse("train", "--dataset", FASHION, "--layers", "12-4-10", "--epochs", 1, "--validation", 0.25, "--json", "-")
    assert code == 0, err
    result = json.loads(out)
    assert (result["steps"], result["labels"]) == (30, list(FASHION_LABELS))


def test_where_it_is_not_installed_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("backpulse.host.sources.FASHION_FOLDER", tmp_path / "none")
    with pytest.raises(
        InputError, match=r"^fashion-mnist is not installed: install the package dataset-fashion-mnist .* the IDX files of tr"
    ):
        load(FASHION)


@pytest.mark.skipif(not FASHION_FOLDER.is_dir(), reason=f"the package {FASHION_PACKAGE} is not installed")
def test_it_is_as_it_was_published():
    data = load(FASHION)
    assert (data.x.shape, data.x.dtype, data.labels) == ((70_000, 784), np.uint8, FASHION_LABELS)
    assert [len(part) for part in data.split()] == [60_000, 10_000]
    assert (np.bincount(data.y) == 7000).all()

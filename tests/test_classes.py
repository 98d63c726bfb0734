"""Hundreds of classes keep their numbers and names on the host: file, targets, later data."""

import numpy as np
import pytest

from backpulse.host.datasets import load
from backpulse.host.errors import InputError
from backpulse.host.labels import number
from backpulse.host.scaling import targets
from backpulse.host.settings import Settings, prepare
from backpulse.host.tables import Words

EACH = 4


@pytest.mark.parametrize("count", [257, 500, 1000])
@pytest.mark.parametrize("name", [str, lambda k: str(k + 1), lambda k: f"kind {k}", lambda k: f"{k:04}"], ids=["0", "1", "text", "zeros"])
def test_labels_of_many_classes(tmp_path, count, name):
    order = np.random.RandomState(count).permutation(count * EACH) % count
    words = [name(k) for k in order]
    path = tmp_path / "many.csv"
    path.write_text("a,b,kind\n" + "".join(f"{k % 32},{k // 32},{word}\n" for k, word in zip(order, words, strict=True)))
    settings = Settings(dataset=path)
    data = settings.load()
    settings = settings.fitting(data)
    prepared = prepare(settings, 127, dataset=data)
    assert settings.network.layers == (2, 32, count)
    assert [prepared.features.labels[k] for k in prepared.y] == words
    assert np.array_equal(prepared.t.argmax(axis=1), prepared.y)
    assert set(np.unique(prepared.y[prepared.train])) == set(range(count))
    later = tmp_path / "later.csv"
    later.write_text("kind,b,a\n" + "".join(f"{word},{k // 32},{k % 32}\n" for k, word in list(zip(order, words, strict=True))[::-3]))
    again = load(later, learned=prepared.features)
    assert np.array_equal(again.y, data.y[::-3])
    assert np.array_equal(again.x, data.x[::-3])


def test_more_classes_than_a_result_can_name_are_refused():
    classes = (1 << 16) + 1
    column = Words(np.arange(3 * classes) % classes, [f"c{k}" for k in range(classes)])
    with pytest.raises(InputError, match="65537 classes: at most 65536 can be told apart"):
        number("mine", column, np.arange(3 * classes), inside=True)
    fewer = Words(np.arange(3 << 16) % (1 << 16), column.words[:-1])
    labels, y = number("mine", fewer, np.arange(3 << 16), inside=True)
    assert len(labels) == y.max() + 1 == 1 << 16


def test_targets_of_many_outputs():
    y = np.array([0, 999, 512, 255, 256])
    t = targets(y, 1000, 127, off=-127)
    assert t.argmax(axis=1).tolist() == y.tolist()
    assert (t.astype(int).sum(axis=1) == 127 - 999 * 127).all()

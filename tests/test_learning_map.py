"""`compare --map`: which runs it does, where a schedule leaves software, and what it writes."""

import json

import numpy as np
import pytest

from backpulse.host import learning_map
from backpulse.host.learning_map import Departure, departure, departures, layers_of, points_of, runs_of
from backpulse.host.settings import SOFTWARE, Settings


def point(lr, schedule, software=96.0, deviation=0.5):
    return {
        "activation": "tanh",
        "device": "ideal",
        "layers": "9-5-3",
        "lr": lr,
        "progressive": [schedule, 0.2],
        SOFTWARE: [software, deviation],
    }


def test_the_runs_are_those_of_the_map():
    runs = runs_of(Settings(), ["progressive", SOFTWARE], {"tanh": (0.1, 0.2), "relu": (0.3,)}, ["ideal", "ecram"], 3)
    wide, deep = layers_of(64, 10)
    networks = set(wide) | set(deep)
    assert len(set(runs)) == len(runs) == len(networks) * 3 * 3 * (2 + 1)
    assert {run.layers for run in runs} == networks
    assert [text.count("-") for text in deep] == list(learning_map.DEPTHS)
    assert {run.device for run in runs if run.schedule == SOFTWARE} == {"ideal"}
    weights = [run.network.weights for run in runs]
    assert weights == sorted(weights)


def test_a_point_is_the_mean_of_the_last_epochs_beside_the_same_software():
    first = Settings(layers="9-5-3")
    curves = {1: [0.1, 0.5, 0.6, 0.7], 2: [0.2, 0.7, 0.8, 0.9]}
    results = [(first.changed(seed=seed, schedule=SOFTWARE), curve(line)) for seed, line in curves.items()]
    results += [(first.changed(device=device, schedule="deferred"), curve([0.5, 0.5, 0.5, 0.5])) for device in ("ideal", "ecram")]
    points = points_of(results)
    assert [p["device"] for p in points] == ["ideal", "ecram"]
    for p in points:
        assert p[SOFTWARE] == [70.0, 10.0]
        assert p["deferred"] == [50.0, 0.0]


def curve(accuracies):
    return {"test_accuracy": accuracies, "class_accuracy": [accuracies[-1]], "best_epoch": None, "validation_accuracy": []}


def test_where_a_schedule_leaves_software():
    near, far = point(0.1, 95.0), point(0.4, 87.0)  # 1 and 9 points below: 3 lies in the middle, as powers of the rate
    assert departure([far, near], "progressive") == (0.1, 0.4, pytest.approx(0.2))
    assert departure([near], "progressive") == (0.1, np.inf, 0.1)
    assert departure([far], "progressive") == (0.0, 0.4, 0.4)
    assert departure([point(0.1, 20.0, 70.0), point(0.4, 20.0, deviation=9.0)], "progressive") is None
    assert departure([near, point(0.2, 20.0, 40.0), far], "progressive") == (0.1, 0.4, pytest.approx(0.2))
    assert departure([point(0.05, 90.0), near, far], "progressive") == (0.1, 0.4, pytest.approx(0.2))
    assert list(departures([near, far], "progressive")) == [("tanh", "ideal", "9-5-3")]


def test_what_a_departure_says_of_a_rate():
    inside, below, above = Departure(0.1, 0.4, 0.2), Departure(0.0, 0.4, 0.4), Departure(0.1, np.inf, 0.1)
    assert [inside.agrees(rate, 2) for rate in (0.09, 0.11, 0.39, 0.41)] == [False, True, True, False]
    assert [below.agrees(rate, 2) for rate in (0.01, 0.79, 0.81)] == [True, True, False]
    assert [above.agrees(rate, 2) for rate in (0.04, 0.06, 9.0)] == [False, True, True]


@pytest.fixture
def small(monkeypatch):
    """A map of few runs."""
    monkeypatch.setattr(learning_map, "WIDTHS", (4,))
    monkeypatch.setattr(learning_map, "DEPTHS", (1, 2))
    monkeypatch.setattr(learning_map, "WIDTH", 3)


def test_the_command_draws_a_map_and_goes_on(small, tmp_path, backpulse):
    words = ["compare", "--map", str(tmp_path / "runs"), "--dataset", "iris", "--epochs", "1", "--seeds", "1"]
    words += ["--activation", "tanh", "--device", "ecram", "--lr", "0.5,0.1"]
    words += ["--plot", str(tmp_path / "map.png"), "--json", str(tmp_path / "map.json")]
    code, out, _ = backpulse(*words)
    assert code == 0
    assert "bound" in out
    first = json.loads((tmp_path / "map.json").read_text())
    assert {(p["layers"], p["device"], p["lr"]) for p in first["points"]} == {
        (layers, "ecram", lr) for layers in ("4-4-4-3", "4-3", "4-3-3") for lr in (0.1, 0.5)
    }
    assert {entry["layers"]: entry["lr"] is None for entry in first["bounds"]} == {"4-4-4-3": False, "4-3": True, "4-3-3": False}
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    parts = {part: part.read_bytes() for part in (tmp_path / "runs").glob("*.parquet")}
    assert parts
    (tmp_path / "map.json").unlink()
    assert backpulse(*words)[0] == 0
    assert json.loads((tmp_path / "map.json").read_text()) == first
    assert {part: part.read_bytes() for part in (tmp_path / "runs").glob("*.parquet")} == parts


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--layers", "4-3-3"], "leave --layers out"),
        (["--schedules", "software"], "name others"),
        (["--schedules", "progresive"], "Unknown schedule progresive"),
    ],
    ids=str,
)
def test_what_it_cannot_map_is_refused(words, sentence, tmp_path, backpulse):
    code, _, err = backpulse("compare", "--map", tmp_path / "runs", "--dataset", "iris", *words)
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "runs").exists()

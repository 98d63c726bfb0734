"""The rate from which on `progressive` departs: its formula, its sentence, and the map that it is measured on."""

import inspect
import json

import numpy as np
import pytest

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, compile_network
from backpulse.firmware_py.network import Network
from backpulse.host import departure
from backpulse.host.cli import program, train
from backpulse.host.cli_boards import fit as backpulse_fit
from backpulse.host.departure import DRIFTING, bound, bound_of, remark
from backpulse.host.learning_map import DEPARTS, below, learns
from backpulse.host.settings import SOFTWARE, Settings, prepare
from backpulse.host.training import Event, Trainer
from backpulse.host.urls import board_config, open_board
from benchmarks.learning_map import FACTOR, STAYS, SUMMARY, bound_at, predicted

POINTS = json.loads(SUMMARY.read_text())
MAPPED = [p for p in POINTS if p["part"] == "map"]
DEEP = Settings(dataset="iris", layers="4-32-32-32-3", schedule=DRIFTING, lr=1.0)
UNIT = 127
RANDOM = np.random.RandomState(5)
X = RANDOM.rand(40, 9)
T = np.eye(3)[np.arange(40) % 3]


def trained(settings, *, parts=(2,), checkpoint=None):
    """Train to each of some epochs in turn, each time from a checkpoint; return the sentences watched and the last trainer."""
    sentences = []

    def watch(event: Event) -> None:
        if event.phase == "remark":
            sentences.append(event.remark)

    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        for epochs in parts:
            trainer = Trainer(board, settings, epochs, checkpoint=checkpoint, watch=watch)
            trainer.run()
            checkpoint = trainer.checkpoint()
    return sentences, trainer


def test_it_is_said_once_and_costs_no_bit(monkeypatch):
    sentences, trainer = trained(DEEP)
    assert [*trainer.data.warnings, *sentences] == trainer.result()["warnings"]
    assert len(sentences) == 1
    for word in ("4-32-32-32-3", "sigmoid", "this is 1", "progressive-exact and deferred"):
        assert word in sentences[0]
    again, in_parts = trained(DEEP, parts=(1, 2))
    assert again == sentences
    assert in_parts.result()["conductance_digest"] == trainer.result()["conductance_digest"]
    monkeypatch.setattr(departure, "LIMIT", np.inf)
    silent, unsaid = trained(DEEP)
    assert silent == []
    assert unsaid.result()["conductance_digest"] == trainer.result()["conductance_digest"]


@pytest.mark.parametrize("change", [{"schedule": DEFAULT_SCHEDULE}, {"layers": "4-5-3"}, {"lr": 0.05}], ids=str)
def test_it_is_not_said_without_a_reason(change):
    sentences, trainer = trained(DEEP.changed(**change), parts=(1,))
    assert sentences == []
    assert trainer.result()["warnings"] == list(trainer.data.warnings)


FUNCTIONS = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "relu": (lambda z: np.clip(z, 0, 1), lambda a: 1.0 * ((a > 0) & (a < 1))),
}


@pytest.mark.parametrize(("activation", "reach"), [("sigmoid", 2), ("tanh", 1), ("relu", 1)])
@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_the_bound_is_its_formula(monkeypatch, activation, reach, loss):
    """Sample by sample, on two hidden layers, from the initial weights (no step towards the plateau)."""
    monkeypatch.setattr(departure, "STEPS", 0)
    network = Network.parse("9-7-6-3", activation=activation, loss=loss)
    w1, w2, w3 = network.initial_weights(4)
    function, slope = FUNCTIONS[activation]
    drift, error = [np.zeros_like(w1), np.zeros_like(w2)], [np.zeros_like(w1), np.zeros_like(w2)]
    driven: list[list[np.ndarray]] = [[], []]
    frequent = T.mean(0)
    for x, t in zip(X, T, strict=True):
        b1 = np.append(x, 1.0)
        a1 = function(w1 @ b1)
        b2 = np.append(a1, 1.0)
        a2 = function(w2 @ b2)
        d3 = (t - frequent) * (frequent * (1 - frequent) if loss == "squared" else 1)
        d2 = (w3[:, :-1].T @ d3) * slope(a2)
        d1 = (w2[:, :-1].T @ d2) * slope(a1)
        error[1] += np.outer(d2, b2) / len(X)
        error[0] += np.outer(d1, b1) / len(X)
        drift[1] += np.outer((d3 @ d3) * a2 * slope(a2), b2) / len(X)
        drift[0] += np.outer((d2 @ d2) * a1 * slope(a1), b1) / len(X)
        driven[0].append(b1)
        driven[1].append(b2)
    ratios = 0.0
    for layer in range(2):
        differing = np.array(driven[layer]) - np.mean(driven[layer], 0)
        ratios += np.linalg.norm(differing @ drift[layer].T) / np.linalg.norm(differing @ error[layer].T)
    assert bound(network, X, T, seed=4, unit=1.0) == pytest.approx(0.5 * reach / ratios)


def test_a_network_that_sends_no_error_back_has_none():
    assert bound(Network.parse("9-3"), X, T, seed=1, unit=1.0) == np.inf
    assert bound(Network.parse("9-8-3"), X, np.broadcast_to(T[0], T.shape), seed=1, unit=1.0) == np.inf


def test_the_plateau_is_where_outputs_know_how_frequent_classes_are(monkeypatch):
    """After the steps the loss is near that of constant outputs, so a further step changes the bound little."""
    settings = Settings(layers="64-32-32-10", activation="relu")
    data = prepare(settings, UNIT)
    rates = []
    for steps in (0, departure.STEPS, departure.STEPS + 1):
        monkeypatch.setattr(departure, "STEPS", steps)
        rates.append(bound_of(settings, data, UNIT))
    assert rates[2] == pytest.approx(rates[1], rel=0.15)
    assert abs(np.log(rates[1] / rates[0])) > 2 * abs(np.log(rates[2] / rates[1]))


def test_the_bound_of_the_map_is_that_of_the_code():
    for p in MAPPED[:: len(MAPPED) // 3]:
        assert bound_at("digits", "squared", p["activation"], p["layers"]) == (p["bound"] and pytest.approx(p["bound"], rel=0.02))


def test_the_map_has_the_points_that_it_should():
    assert len(MAPPED) >= 300
    assert {(p["activation"], p["device"]) for p in MAPPED} == {(a, d) for a in ("sigmoid", "tanh", "relu") for d in ("ideal", "ecram")}
    assert {p["layers"].count("-") for p in MAPPED} >= {1, 2, 3, 4, 6, 10}


def test_the_bound_lies_within_a_factor_of_two_of_the_measured_departure():
    found = [(place, rate) for _, place, rate in predicted(MAPPED) if place.inside]
    assert len(found) >= 15
    assert sum(place.agrees(rate, FACTOR) for place, rate in found) >= 0.9 * len(found)
    assert 0.7 < np.median([rate / place.at for place, rate in found]) < 1.4


def test_it_is_said_where_the_schedule_departs_and_not_where_it_stays_near():
    departing, staying = [], []
    data = prepare(Settings(), UNIT)
    for p in MAPPED:
        if p["device"] == "ideal" and p["layers"] in ("64-32-10", "64-16-16-10", "64-64-64-10", "64-32-32-32-10") and learns(p):
            settings = Settings(layers=p["layers"], activation=p["activation"], lr=p["lr"], schedule=DRIFTING)
            if below(p, DRIFTING) > DEPARTS:
                departing.append(remark(settings, data, UNIT) is not None)
            elif abs(below(p, DRIFTING)) < STAYS:
                staying.append(remark(settings, data, UNIT) is not None)
    assert len(departing) >= 10
    assert len(staying) >= 25
    assert np.mean(departing) > 0.8
    assert np.mean(staying) < 0.15


@pytest.mark.parametrize("taker", [train, program, backpulse_fit, Settings, compile_network])
def test_one_default_schedule(taker):
    assert inspect.signature(taker).parameters["schedule"].default == DEFAULT_SCHEDULE == "progressive-exact"


def test_the_default_schedule_learns_as_software_does():
    distances = [below(p, DEFAULT_SCHEDULE) for p in MAPPED if p["device"] == "ideal" and learns(p)]
    assert len(distances) > 80
    assert sum(d <= 1.5 for d in distances) >= 0.9 * len(distances)
    assert max(distances) <= 5


def test_software_is_the_same_beside_both_devices():
    software = {}
    for p in MAPPED:
        assert software.setdefault((p["activation"], p["layers"], p["lr"]), p[SOFTWARE]) == p[SOFTWARE]

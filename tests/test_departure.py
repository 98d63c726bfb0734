"""The sentence of `progressive`: when it is said, and the grid that its limits come from."""

import inspect
import json

import pytest

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, compile_network
from backpulse.firmware_py.network import Network
from backpulse.host.cli import program, train
from backpulse.host.cli_boards import fit as backpulse_fit
from backpulse.host.departure import DRIFTING, RULES, drift, remark
from backpulse.host.settings import Settings
from backpulse.host.training import Event, Trainer
from backpulse.host.urls import board_config, open_board
from benchmarks.schedules import key, run, run_all
from benchmarks.schedules_page import DEPARTS, LEARNS, SOFTWARE, STAYS, SUMMARY, below, fit, steady

POINTS = json.loads(SUMMARY.read_text())
DEEP = Settings(dataset="iris", layers="4-32-32-32-3", schedule=DRIFTING, lr=1.0)


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


def test_it_is_said_once_and_costs_no_bit():
    sentences, trainer = trained(DEEP)
    assert [*trainer.data.warnings, *sentences] == trainer.result()["warnings"]
    assert len(sentences) == 1
    for word in ("4-32-32-32-3", "sigmoid", "lr 1", "progressive-exact and deferred"):
        assert word in sentences[0]
    again, in_parts = trained(DEEP, parts=(1, 2))
    assert again == sentences
    assert in_parts.result()["conductance_digest"] == trainer.result()["conductance_digest"]


@pytest.mark.parametrize("change", [{"schedule": DEFAULT_SCHEDULE}, {"layers": "4-5-3"}, {"lr": 0.1}], ids=str)
def test_it_is_not_said_without_a_reason(change):
    sentences, trainer = trained(DEEP.changed(**change), parts=(1,))
    assert sentences == []
    assert trainer.result()["warnings"] == list(trainer.data.warnings)


def test_drift_grows_with_rate_loss_width_and_depth():
    network = Network.parse("9-32-32-3")
    assert drift(network, 0.5, 0.4) == pytest.approx(0.5 * 0.8 / 16 * 32 * 4)
    assert drift(network, 1.0, 0.2) == drift(network, 0.5, 0.4)
    assert drift(Network.parse("9-64-16-3"), 0.5, 0.4) == pytest.approx(drift(network, 0.5, 0.4))
    assert drift(Network.parse("9-32-32-3", loss="cross-entropy"), 0.5, 0.4) == pytest.approx(16 * drift(network, 0.5, 0.4))
    assert drift(Network.parse("9-32-32-3", activation="tanh"), 0.5, 0.4) == pytest.approx(0.5 * 0.8 / 16 * 32**0.5 / 0.65)
    assert drift(Network.parse("9-3"), 0.5, 0.4) == 0


@pytest.mark.parametrize("activation", RULES)
def test_the_limits_are_those_of_the_fit(activation):
    assert RULES[activation].limit == pytest.approx(fit(POINTS, activation), rel=0.05)


def test_it_is_said_where_the_schedule_departs_and_not_where_it_stays_near():
    """On the fresh points, which took no part in the fit."""
    departing, staying = [], []
    for p in POINTS:
        if p["part"] == "fresh" and p[SOFTWARE]["mean"] > LEARNS:
            settings = Settings(layers=p["layers"], activation=p["activation"], lr=p["lr"], schedule=DRIFTING)
            one = remark(settings, p[DRIFTING]["early_loss"]) is not None
            if below(p, DRIFTING) > DEPARTS:
                departing.append(one)
            elif abs(below(p, DRIFTING)) < STAYS:
                staying.append(one)
    assert len(departing) >= 15
    assert len(departing) + len(staying) >= 40
    assert all(departing)
    assert not any(staying)


@pytest.mark.parametrize("taker", [train, program, backpulse_fit, Settings, compile_network])
def test_one_default_schedule(taker):
    assert inspect.signature(taker).parameters["schedule"].default == DEFAULT_SCHEDULE == "progressive-exact"


def test_the_default_schedule_learns_as_software_does():
    distances = [below(p, DEFAULT_SCHEDULE) for p in steady(POINTS)]
    assert len(distances) > 100
    assert sum(d <= 1.5 for d in distances) >= 0.9 * len(distances)
    assert max(distances) <= 5


def test_a_grid_that_was_stopped_does_what_is_missing(tmp_path):
    file = tmp_path / "runs.jsonl"
    wanted = [DEEP.changed(layers="4-3-3", schedule=name) for name in ("software", DEFAULT_SCHEDULE, DRIFTING)]
    whole = [run(s) for s in wanted[:2]]
    marked = {**whole[0], "train_loss": ["kept"]}
    file.write_text(json.dumps(marked) + "\n" + json.dumps(whole[1])[:-30])  # stopped while it wrote the second
    found = run_all(wanted, file, workers=1)
    assert list(found) == [key(s) for s in wanted]
    assert found[key(wanted[0])] == marked
    assert found[key(wanted[1])] == whole[1]
    _, trainer = trained(wanted[2], parts=(10,))
    assert found[key(wanted[2])]["conductance_digest"] == trainer.result()["conductance_digest"]
    text = file.read_text()
    assert run_all(wanted, file, workers=1) == found
    assert file.read_text() == text

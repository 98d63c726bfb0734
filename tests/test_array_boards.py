"""Runs on boards with an array behind them: golden model and virtual board, sense word by sense word and as whole runs."""

import json

import pytest

from backpulse.host.checkpoint import Checkpoint

FILE = """
[wires]
row_ohm = 3
col_ohm = 2
[read]
phases = 2
noise = 1.0
gain_error = 0.01
adc_bits = 14
[[stuck]]
row = 1
col = 2
value = 0.25
[write]
steepness = 10
"""
RUN = ("--dataset", "iris", "--layers", "4-6-3", "--tile", "16x8", "--device", "ecram", "--epochs", "2")


def result(backpulse, board, *more):
    code, out, err = backpulse("train", *RUN, "--board", f"{board}?array=array.toml", "--json", "-", *more)
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def golden(backpulse, tmp_path):
    (tmp_path / "array.toml").write_text(FILE)
    return result(backpulse, "golden://")


def test_the_virtual_board_trains_like_the_golden_model(backpulse, golden):
    """Digests need not agree, for floats decide about sense words; with the same formulas in the same order they nearly always do."""
    found = result(backpulse, "sim://")
    again = result(backpulse, "sim://")
    assert found["conductance_digest"] == again["conductance_digest"]
    assert found["pulses_up"] == pytest.approx(golden["pulses_up"], rel=0.02)
    assert found["test_accuracy"] == pytest.approx(golden["test_accuracy"], abs=0.1)
    assert found["conductance_digest"] == golden["conductance_digest"]


def test_a_run_repeats_its_digest_and_goes_on_from_a_checkpoint(backpulse, golden, tmp_path):
    """All that is random is in the checkpoint, the noise of the converters too; another array gives another digest."""
    result(backpulse, "golden://", "--checkpoint", "half.npz", "--epochs", "1")
    assert Checkpoint.load(tmp_path / "half.npz").position.epoch == 1
    resumed = json.loads(
        backpulse("train", "--board", "golden://?array=array.toml", "--resume", "half.npz", "--epochs", 2, "--json", "-")[1]
    )
    assert resumed["conductance_digest"] == golden["conductance_digest"]
    (tmp_path / "array.toml").write_text(FILE.replace("row_ohm = 3", "row_ohm = 30"))
    assert result(backpulse, "golden://")["conductance_digest"] != golden["conductance_digest"]


def test_infer_and_compare_take_an_array(backpulse, golden, tmp_path):
    result(backpulse, "golden://", "--checkpoint", "run.npz")
    accuracies = []
    for ohm in ("3", "3000"):
        (tmp_path / "array.toml").write_text(FILE.replace("row_ohm = 3", f"row_ohm = {ohm}"))
        code, out, err = backpulse("infer", "--checkpoint", "run.npz", "--board", "golden://?array=array.toml", "--json", "-")
        assert code == 0, err
        accuracies.append(json.loads(out)["accuracy"])
    assert accuracies[0] == golden["test_accuracy"][-1] > accuracies[1]
    (tmp_path / "array.toml").write_text(FILE)
    code, out, err = backpulse("compare", *RUN, "--array", "array.toml", "--seeds", 1, "--schedules", "progressive-exact", "--json", "-")
    assert code == 0, err
    assert json.loads(out)["runs"][0]["conductance_digest"] == golden["conductance_digest"]


@pytest.mark.parametrize("board", ["golden://", "sim://"])
def test_a_trace_of_an_array_replays(backpulse, golden, board):
    """The replay needs no array: it has what the tile answered."""
    assert result(backpulse, board, "--trace", "run.trace")["conductance_digest"] == golden["conductance_digest"]
    code, _, err = backpulse("replay", "run.trace")
    assert code == 0, err

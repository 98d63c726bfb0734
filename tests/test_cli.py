"""The command line: results, exit codes, and one sentence for every error of the user."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backpulse.gateware import sim

SMALL = ["--dataset", "iris", "--layers", "4-5-3", "--tile", "16x8"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a checkpoint of two epochs, its JSON beside it."""
    folder = tmp_path_factory.mktemp("trained")
    arguments = ["train", *SMALL, "--epochs", "2", "--checkpoint", "run.npz", "--json", "run.json"]
    command = [sys.executable, "-W", "error", "-m", "backpulse", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=200)
    return folder / "run.npz"


def test_train_reports_every_key(trained):
    result = json.loads(trained.with_suffix(".json").read_text())
    assert {
        *("config_digest", "test_accuracy", "train_loss", "steps", "cycles", "cycles_per_step", "pulses_up", "pulses_down"),
        *("pulses_clipped", "sense_clipped", "vector_saturated", "conductance_digest", "steps_per_second", "link_retries"),
    } <= set(result)
    assert len(result["test_accuracy"]) == len(result["train_loss"]) == 2
    assert result["steps"] == 2 * 120
    assert result["cycles"] == result["cycles_per_step"] * result["steps"]


def test_json_on_standard_output_is_json_alone(backpulse):
    code, out, err = backpulse("train", *SMALL, "--epochs", 1, "--json", "-")
    assert code == 0
    assert json.loads(out)["complete"]
    assert "epoch 1/1" in err


@pytest.mark.parametrize("schedule", ["progressive-exact", "progressive-corrected", "deferred", "software"])
def test_every_schedule_trains(backpulse, schedule):
    code, out, _ = backpulse("train", *SMALL, "--epochs", 1, "--schedule", schedule, "--json", "-")
    assert code == 0
    assert len(json.loads(out)["test_accuracy"]) == 1


def test_progressive_says_where_it_is_likely_to_depart(backpulse):
    wide = ["train", "--dataset", "iris", "--layers", "4-32-32-32-3", "--lr", 1, "--epochs", 2, "--json", "-"]
    words = "is likely to learn less than software"
    code, out, err = backpulse(*wide, "--schedule", "progressive")
    assert code == 0
    assert err.count(words) == 1
    assert [words in one for one in json.loads(out)["warnings"]].count(True) == 1
    _, out, err = backpulse(*wide)
    assert words not in out + err


def test_infer_gives_the_accuracy_of_training(backpulse, trained):
    code, out, _ = backpulse("infer", "--checkpoint", trained, "--json", "-")
    result, training = json.loads(out), json.loads(trained.with_suffix(".json").read_text())
    assert code == 0
    assert result["part"] == "test"
    assert result["accuracy"] == training["test_accuracy"][-1]
    assert result["predictions"] == training["predictions"]


def test_infer_brings_outputs(backpulse, trained):
    code, out, _ = backpulse("infer", "--checkpoint", trained, "--outputs", "--json", "-")
    result = json.loads(out)
    outputs = np.array(result["outputs"])
    assert code == 0
    assert outputs.shape == (30, 3)
    assert outputs.argmax(axis=1).tolist() == result["predictions"]
    assert 0 <= outputs.min() < outputs.max() <= 127 / 128
    code, _, err = backpulse("infer", "--checkpoint", trained, "--outputs")
    assert (code, "--outputs are for the JSON" in err) == (2, True)


def test_infer_numbers_the_labels_of_other_data_as_in_training(backpulse, trained, tmp_path):
    from sklearn.datasets import load_iris

    iris: Any = load_iris()
    rows = [[*x, iris.target_names[k]] for x, k in zip(iris.data, iris.target, strict=True) if k > 0]
    with (tmp_path / "two.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "d", "kind"], *rows])
    code, out, _ = backpulse("infer", "--checkpoint", trained, "--dataset", "two.csv", "--target", "kind", "--json", "-")
    two = json.loads(out)
    assert code == 0
    assert two["part"] == "all"
    _, out, _ = backpulse("infer", "--checkpoint", trained, "--part", "all", "--json", "-")
    assert two["predictions"] == json.loads(out)["predictions"][50:]
    (tmp_path / "other.csv").write_text("a,b,c,d,kind\n1,2,3,4,rosa\n")
    code, _, err = backpulse("infer", "--checkpoint", trained, "--dataset", "other.csv", "--target", "kind")
    assert code == 2
    assert "row 1 has label rosa, which the checkpoint's network does not know" in err


def test_resume_adds_epochs(backpulse, trained):
    code, out, _ = backpulse("train", "--resume", trained, "--epochs", 3, "--checkpoint", "more.npz", "--json", "-")
    assert code == 0
    more = json.loads(out)
    _, out, _ = backpulse("train", *SMALL, "--epochs", 3, "--json", "-")
    whole = json.loads(out)
    assert {k: v for k, v in more.items() if k != "steps_per_second"} == {k: v for k, v in whole.items() if k != "steps_per_second"}


@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_pulse_log_adds_up_to_the_counters(backpulse, tmp_path, ending):
    code, out, _ = backpulse("train", *SMALL, "--epochs", 2, "--pulse-log", f"log{ending}", "--json", "-")
    assert code == 0
    result = json.loads(out)
    if ending == ".npz":
        with (tmp_path / "log.npz").open("rb") as file:
            log = dict(np.load(file))
    else:
        table = np.loadtxt(tmp_path / "log.csv", delimiter=",", skiprows=1, dtype=int)
        log = dict(zip(("step", "tile", "row", "column", "count"), table.T, strict=True))
    assert log["count"][log["count"] > 0].sum() == result["pulses_up"]
    assert -log["count"][log["count"] < 0].sum() == result["pulses_down"]
    assert log["step"].min() == 0
    assert log["step"].max() < result["steps"]


def test_pictures(backpulse, tmp_path):
    code, _, _ = backpulse("train", *SMALL, "--epochs", 2, "--reference", "--plot", "run.png")
    assert code == 0
    code, out, _ = backpulse(
        "compare",
        *SMALL,
        "--schedules",
        "progressive,software",
        "--lr",
        "0.5,1",
        "--seeds",
        2,
        "--epochs",
        1,
        "--plot",
        "c.png",
        "--json",
        "-",
    )
    assert code == 0
    for name in ("run.png", "c.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    result = json.loads(out)
    assert len(result["runs"]) == 8
    assert [(row["schedule"], row["lr"]) for row in result["summary"]] == [(s, r) for s in ("progressive", "software") for r in (0.5, 1.0)]
    first = [run["test_accuracy"][-1] for run in result["runs"][:2]]
    assert result["summary"][0]["mean"] == pytest.approx(np.mean(first))


def test_program_prints_the_page(backpulse):
    code, out, _ = backpulse("program", "--layers", "64-32-10", "--schedule", "deferred")
    assert code == 0
    for word in ("READ   W1, x", "ERR    t, a2 > d2", "PULSE  W2, a1, d2", "Error vectors held across a pulse: 2"):
        assert word in out
    code, out, _ = backpulse("program", "--json", "-")
    assert json.loads(out)["error_vectors_held"] == 2


def test_info(backpulse):
    code, out, _ = backpulse("info", "--json", "-")
    assert code == 0
    assert json.loads(out)["config"]["tile_rows"] == 128
    code, out, _ = backpulse("info")
    assert "config digest" in out


def test_every_command_has_help(backpulse):
    for command in ("train", "infer", "compare", "program", "info", "sim", "export"):
        code, out, _ = backpulse(command, "--help")
        assert code == 0
        assert "--json" in out


NAN = "a,b,c,d,kind\n1,2,3,4,x\n1,nan,3,4,y\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--board", "foo://"], "Unknown board foo://"),
        (["train", "--board", "/dev/nothing"], "port /dev/nothing cannot be opened: no such file or directory"),
        (["train", "--board", "socket://127.0.0.1:1"], "No connection to socket://127.0.0.1:1"),
        (["train", "--layers", "64-x"], "Layers must be numbers joined by dashes"),
        (["train", "--layers", "4-3"], "digits has 64 features but the input layer has 4"),
        (["train", "--layers", "64-8"], "row 9 has label 8, class 8, but the output layer has classes 0 to 7"),
        (["train", "--layers", "64-200-10", "--tiles", "1"], "needs 5 tiles of 128 x 32 and this board has 1, 4 too few"),
        (["train", "--layers", "5000-900-10"], "tiles of 128x32 and a board has at most 1024"),
        (["train", "--lr", "1e-9"], "can never make a pulse"),
        (["train", "--lr", "0"], "learning rate must be a positive number"),
        (["train", "--schedule", "no"], "Unknown schedule no"),
        (["train", "--device", "no"], "Unknown device no"),
        (["train", "--loss", "cross-entropy", "--output", "tanh"], "Cross-entropy needs the output function sigmoid"),
        (["train", "--weight-scale", "3"], "weight_scale must be one of 1, 2, 4"),
        (["train", "--tile", "big"], "A tile is rows x columns"),
        (["train", "--dataset", "nan.csv", "--layers", "4-2"], "nan.csv has cells without a value in column b (1), first in row 2"),
        (["train", "--dataset", "empty.csv"], "empty.csv is empty"),
        (["train", "--resume", "none.npz"], "There is no checkpoint none.npz"),
        (["train", "--resume", "nan.csv"], "damaged or no checkpoint"),
        (["train", "--json", "no/x.json"], "There is no folder no"),
        (["train", "--plot", "x.txt"], "--plot must name a .png"),
        (["train", "--pulse-log", "x.txt"], "A pulse log is a file ending in"),
        (["train", "--seed", "-1"], "The seed must be from 0"),
        (["compare", "--lr", "a"], "--lr must be numbers joined by commas"),
        (["program", "--schedule", "software"], "runs no program"),
        (["info", "--device", "no"], "Unknown device no"),
    ],
)
def test_wrong_input_is_one_sentence(backpulse, tmp_path, arguments, message):
    (tmp_path / "nan.csv").write_text(NAN)
    (tmp_path / "empty.csv").write_text("")
    code, out, err = backpulse(*arguments)
    assert code == 2
    assert message in err
    assert err.strip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in err
    assert out == ""


def test_unknown_options_exit_with_2(backpulse):
    assert backpulse("train", "--epochs", "0")[0] == 2
    assert backpulse("train", "--nonsense")[0] == 2


def test_resume_refuses_other_settings(backpulse, trained):
    code, _, err = backpulse("train", "--resume", trained)
    assert (code, "has all of its 2 epochs" in err) == (2, True)
    code, _, err = backpulse("train", "--resume", trained, "--epochs", 3, "--lr", 0.25)
    assert (code, "--lr 0.25 is not the checkpoint's 0.5" in err) == (2, True)
    code, _, err = backpulse("train", "--resume", trained, "--epochs", 3, "--tile", "32x8")
    assert (code, "made on another configuration" in err) == (2, True)


def test_a_missing_simulator_is_told(backpulse, monkeypatch):
    monkeypatch.setitem(sys.modules, "backpulse.gateware.sim.virtual_board", None)
    monkeypatch.delattr(sim, "virtual_board", raising=False)
    for command in (["train", "--board", "sim://"], ["sim"], ["export", "--out", "v"]):
        code, _, err = backpulse(*command)
        assert code == 2
        assert "needs the simulator's packages" in err


def test_infer_writes_over_nothing_that_it_reads(backpulse, trained, tmp_path):
    copy = tmp_path / "copy.npz"
    copy.write_bytes(trained.read_bytes())
    code, _, err = backpulse("infer", "--checkpoint", copy, "--json", copy)
    assert (code, f"--json {copy} would write over the file of --checkpoint" in err) == (2, True)
    assert copy.read_bytes() == trained.read_bytes()

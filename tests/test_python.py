"""`import backpulse`: what docs/python.md tells is there, and does what the commands do."""

import ast
import doctest
import functools
import json
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import joblib
import numpy as np
import pytest
import typer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.neural_network import MLPClassifier

import backpulse as bp
from backpulse.host import (
    api,
    api_boards,
    api_devices,
    api_parts,
    api_runs,
    api_sweeps,
    device_simulation,
    estimators,
    runs,
    weights,
)
from backpulse.host.cli import app
from backpulse.host.version import package_version

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SMALL = {"dataset": "iris", "layers": "4-6-3", "seed": 2}


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: " ".join(text.split()[:4]))
def test_the_pages_examples_run(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    statements = [
        one for one in ast.walk(ast.parse(text)) if isinstance(one, ast.stmt) and not isinstance(one, ast.Import | ast.ImportFrom)
    ]
    assert len(statements) <= 10
    exec(text, {"__name__": "__main__"})


MODULES = [api_boards, api_devices, api_parts, api_runs, api_sweeps, device_simulation, estimators, weights]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_docstrings_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


def test_every_public_name_is_there_and_told():
    names = {*api.__all__, "BackpulseClassifier", "BackpulseRegressor"}
    assert set(dir(bp)) == names
    for name in names:
        thing = getattr(bp, name)
        assert isinstance(thing, tuple | dict) or thing.__doc__
        assert re.search(rf"\b{name}\b", PAGE), name
    assert bp.__version__ == package_version()
    with pytest.raises(AttributeError, match="module 'backpulse' has no attribute 'nonsense'"):
        _ = bp.nonsense  # type: ignore[attr-defined]  # the test


def commands(group, before=()):
    """Return the names of all commands below one, as they are typed."""
    below = getattr(group, "commands", {})
    return {name for one, command in below.items() for name in commands(command, (*before, one))} or {" ".join(before)}


def test_every_command_has_a_function_or_a_reason():
    (table,) = re.findall(r"\| command \| Python \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    rows = dict(re.findall(r"^\| `([a-z -]+)` \| (.*) \|$", table, re.MULTILINE))
    assert len(rows) == table.count("\n")
    assert set(rows) == commands(typer.main.get_command(app))
    for said in rows.values():
        if said.startswith("none: "):
            assert len(said) > 40
            continue
        for name in re.findall(r"`([\w.]+)`", said) or [said]:
            thing = functools.reduce(getattr, name.split("."), bp)
            assert callable(thing), name
            assert re.search("Raises|Returns", thing.__doc__ or ""), name
    assert {name for name, said in rows.items() if said.startswith("none: ")} == {"sim", "flash", "doctor", "cache"}


def test_nothing_is_imported_before_it_is_asked_for():
    code = (
        "import sys, backpulse; first = set(sys.modules); backpulse.Settings; second = set(sys.modules); "
        "print({'numba', 'numpy', 'backpulse.host.api'} & first, {'sklearn', 'matplotlib', 'pandas', 'typer'} & second)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "set() set()\n"


def test_types_and_versions_are_said():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    versions = [name.rpartition(" ")[2] for name in project["project"]["classifiers"] if name.count("3.")]
    assert versions == ["3.11", "3.12", "3.13"]
    assert (ROOT / "backpulse" / "py.typed").exists()
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["*"]


def without_time(result):
    return {name: value for name, value in json.loads(json.dumps(result)).items() if name != "steps_per_second"}


def test_a_run_is_that_of_the_command(backpulse):
    run = bp.train(**SMALL, epochs=2, checkpoint="python.npz", reference=True)
    options = ["--dataset", "iris", "--layers", "4-6-3", "--seed", 2]
    code, out, err = backpulse("train", *options, "--epochs", 2, "--checkpoint", "command.npz", "--reference", "--json", "-")
    assert code == 0, err
    told = json.loads(out)
    told["reference"].pop("steps_per_second")
    run.result["reference"].pop("steps_per_second")
    assert without_time(told) == without_time(run.result)
    assert run.complete
    code, out, _ = backpulse("infer", "--checkpoint", "command.npz", "--outputs", "--json", "-")
    assert json.loads(out) == bp.infer(run, outputs=True) == bp.infer("python.npz", outputs=True)
    more = bp.train(resume="python.npz", checkpoint="more.npz", epochs=3)
    assert without_time(more.result) == without_time(bp.train(**SMALL, epochs=3).result)
    run.plot("run.png")
    assert Path("run.png").stat().st_size > 10_000


def test_weights_go_out_and_in_again(backpulse):
    run = bp.train(**SMALL, epochs=3)
    assert [(W.shape, b.shape) for W, b in run.weights()] == [((4, 6), (6,)), ((6, 3), (3,))]
    run.weights().save("weights.npz")
    for init in (run, list(run.weights()), "weights.npz"):
        again = bp.train(**SMALL, epochs=1, init=init.weights() if isinstance(init, bp.Training) else init)
        assert (again.trainer.initial == run.trainer.cells).all()
        assert again.result["init"] == run.weights().digest
    code, out, err = backpulse(
        "train", "--dataset", "iris", "--layers", "4-6-3", "--seed", 2, "--epochs", 1, "--init", "weights.npz", "--json", "-"
    )
    assert code == 0, err
    assert without_time(json.loads(out)) == without_time(again.result)
    # By hand, with inputs as they are driven.
    x = again.trainer.data.x[:20] / 128
    for W, b in run.weights():
        x = 1 / (1 + np.exp(-(x @ W + b)))
    outputs = np.array(bp.infer(run, part="all", outputs=True)["outputs"])[:20]
    assert np.abs(outputs - x).max() < 0.05


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_a_model_of_scikit_learn_goes_in_with_its_scaling(load, tmp_path):
    X, y = load(return_X_y=True)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    data = bp.dataset(scaled, y)
    train = data.split()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        mlp = MLPClassifier((8,), activation="logistic", alpha=1.0, solver="lbfgs", max_iter=300, random_state=1).fit(
            scaled[train], y[train]
        )
    test = data.split()[1]
    layers = (X.shape[1], 8, len(np.unique(y)))
    run = bp.train(data=data, layers=layers, init=mlp, weight_scale=8, lr=0.01, epochs=1)
    assert run.result["test_accuracy"][0] >= mlp.score(scaled[test], y[test]) - 0.05
    assert not [text for text in run.result["warnings"] if "beyond" in text]
    joblib.dump(mlp, tmp_path / "mlp.joblib")
    again = bp.train(data=data, layers=layers, init=tmp_path / "mlp.joblib", weight_scale=8, lr=0.01, epochs=1)
    assert (again.trainer.initial == run.trainer.initial).all()
    reference = bp.train(data=data, layers=layers, init=mlp, schedule="software", lr=0.01, epochs=1)
    assert reference.result["test_accuracy"][0] >= mlp.score(scaled[test], y[test]) - 0.05
    assert reference.result["init"] == run.result["init"]


def test_weights_beyond_the_device_are_set_to_its_bounds_and_said():
    init = [(np.full((4, 6), 5.0), np.zeros(6)), (np.zeros((6, 3)), np.zeros(3))]
    run = bp.train(**SMALL, epochs=1, init=init)
    told = "init: 24 weights beyond -4 to 4, the bounds of the device, set to them: a larger --weight-scale has room"
    assert told in run.result["warnings"]
    assert np.abs(run.trainer.initial).max() == 1 << 14


def test_weights_that_are_none_are_refused(tmp_path):
    wrong = [
        (np.zeros((4, 6)), "A ndarray holds no weights: give pairs"),
        ([np.zeros(3)], "init must be a pair .W, b. of arrays of numbers for each layer"),
        ([], "init has no layer"),
        ([(np.zeros((4, 6)), np.zeros(5))], "init: layer 1 has weights of shape"),
        ([(np.zeros((4, 5)), np.zeros(5))], "init has the layers 4-5, and the network 4-6-3"),
        ([(np.full((4, 6), np.inf), np.zeros(6)), (np.zeros((6, 3)), np.zeros(3))], "no finite numbers"),
        (3, "A int holds no weights"),
        ("none.npz", "none.npz cannot be read"),
        (ROOT / "README.md", "README.md holds no weights: give the weights of a network"),
    ]
    for init, sentence in wrong:
        with pytest.raises(bp.InputError, match=sentence):
            bp.train(**SMALL, epochs=1, init=init)
    with pytest.raises(bp.InputError, match=r"^train has no epoch \(did you mean epochs\?\), dveice \(did you mean device\?\): it takes"):
        bp.train(epoch=3, dveice="ecram")
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    with pytest.raises(bp.InputError, match=r"x.npz holds x: give the weights of a network"):
        bp.Weights.of(tmp_path / "x.npz")
    ones = [(np.ones((4, 6)), np.ones(6)), (np.ones((6, 3)), np.ones(3))]
    with pytest.raises(bp.InputError, match="init has intercepts, and the network no bias lines"):
        bp.train(**SMALL, bias=False, epochs=1, init=ones)
    with pytest.raises(bp.InputError, match="has its weights already: leave init out"):
        bp.train(**SMALL, epochs=1, init=ones, start="as-is")


def test_an_open_board_stays_open():
    settings = bp.Settings(**SMALL)
    with bp.open_board("golden://", settings, tile="16x8") as board:
        first = bp.train(settings, board=board, epochs=2)
        second = bp.train(settings, board=board, epochs=2)
        assert without_time(first.result) == without_time(second.result)
        assert first.result["board"] == "golden://"
        assert bp.infer(second, board=board)["accuracy"] == second.result["test_accuracy"][-1]
        assert board.status()[0].name == "IDLE"
    assert bp.train(settings, tile="16x8", epochs=2).result["conductance_digest"] == first.result["conductance_digest"]


def test_runs_on_an_open_board_keep_to_its_array_file(tmp_path):
    """Its dead lines, its budget and the ledger of its cells."""
    text = 'kind = "real"\ndevice = "ecram"\n[endurance]\npulses = 100000\nledger = "ledger.npz"\n[dead]\nrows = [1]\n'
    (tmp_path / "real.toml").write_text(text)
    settings = bp.Settings(**SMALL, device="ecram")
    with bp.open_board(f"golden://?array={tmp_path / 'real.toml'}", settings) as board:
        run = bp.train(settings, board=board, epochs=1)
    assert run.result["settings"]["dead"] == "r1"
    with np.load(tmp_path / "ledger.npz") as ledger:
        done = ledger["done"]
    assert done.sum() == run.result["pulses_up"] + run.result["pulses_down"] + run.result["verify_pulses"]
    assert not done[1].any()
    assert run.result["pulses_most"] == done.max()


def test_a_run_can_be_watched_and_stopped(tmp_path):
    stop, seen = bp.Stop(), []

    def watch(event):
        seen.append(event.phase)
        stop.asked |= event.phase == "epoch" and event.epoch == 2

    run = bp.train(**SMALL, epochs=50, watch=watch, stop=stop)
    assert not run.complete
    assert seen.count("epoch") == 2
    run.checkpoint().save(tmp_path / "run.npz")
    assert bp.train(resume=tmp_path / "run.npz", epochs=3).complete


def test_an_array_in_the_lab_is_told_of_and_stopped(tmp_path):
    stop, seen = bp.Stop(), []

    def progress(what, done, total):
        seen.append((what, done, total))
        stop.asked |= (what, done) == ("pulsing", 5)

    with bp.open_array("golden://", bp.Settings(**SMALL, device="ecram"), tile="8x4", progress=progress, stop=stop) as lab:
        checked = lab.self_check()
        assert lab.board.config.tiles == 3  # as many as the network needs
        assert ("checking", len(checked.areas), len(checked.areas)) in seen
        curves = lab.pulse("r1c0-1", pulses=60)
        assert not curves.complete
        assert curves.conductance.shape == (len(curves.pulses), 2) == (6, 2)
        curves.save(tmp_path / "curves.csv")
        assert "# stopped: by the user, before the end" in (tmp_path / "curves.csv").read_text()
        with pytest.raises(bp.HostError, match="Stopped: all drivers are off; nothing was written"):
            lab.map()
        with pytest.raises(bp.InputError, match="This board's array needs no arming"):
            lab.arm()


def test_cells_of_a_table_device_move_as_its_table_says():
    with bp.open_array("golden://", device="enode", tile="8x4") as lab:
        curves = lab.pulse("r0c0", pulses=40)
        twin = bp.read_device("enode").table_device
        assert curves.steps["up"] == pytest.approx(lab.array.cells.per_unit * twin.dw_min, rel=0.5)
    target = np.full((8, 4), np.nan)
    target[2:4, 1:3] = 40e-6
    with bp.open_array("golden://", tile="8x4") as lab:
        done = lab.program(target)
        assert np.abs(done.conductance - target)[2:4, 1:3].max() < 0.5e-6
        assert (np.isnan(done.conductance) == np.isnan(target)).all()
        with pytest.raises(bp.InputError, match="--times takes rising numbers"):
            lab.retention([2.0, 1.0])


def test_what_cannot_be_written_leaves_the_run(monkeypatch, tmp_path):
    def full(*_):
        raise bp.StorageError("The pulse log cannot be written: no space")

    monkeypatch.setattr(runs.RunLog, "close", full)
    with pytest.raises(bp.StorageError, match="no space") as error:
        bp.train(**SMALL, epochs=1, pulse_log=tmp_path / "log.npz")
    assert error.value.run
    assert error.value.run.result["steps"] == 120


def test_the_software_schedule_has_no_array():
    run = bp.train(**SMALL, schedule="software", epochs=1)
    with pytest.raises(bp.InputError, match="The software schedule has no array"):
        run.weights()
    with pytest.raises(bp.InputError, match="The software schedule runs no program"):
        bp.program(bp.Settings(schedule="software"))


def test_a_device_of_ones_own_is_kept_with_the_run(tmp_path):
    mine = bp.Device(name="mine", dw_min=0.01, write_noise=0.2)
    run = bp.train(**SMALL, device=mine, epochs=1)
    run.checkpoint().save(tmp_path / "run.npz")
    assert bp.Checkpoint.load(tmp_path / "run.npz").settings.device_model == mine
    assert bp.Settings().changed(device=bp.device("ecram")).device == "ecram"


def test_a_program_of_ones_own_is_for_the_boards_configuration(tmp_path):
    settings = bp.Settings(**SMALL)
    run = bp.train(settings, program=bp.program(settings, tile="16x8"), tile="16x8", epochs=1, save=tmp_path / "run")
    assert run.program is not None
    saved = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert saved["listing"] == run.program.listing().splitlines()
    with pytest.raises(bp.InputError, match="The program is compiled for another configuration than the board's"):
        bp.train(settings, program=bp.program(settings, tile="16x8"), epochs=1)

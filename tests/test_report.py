"""Reports of saved runs: one file that needs nothing else, whose command repeats the run; the same numbers as HDF5."""

import json
import re
import shlex
import sys
import warnings
from html import unescape

import numpy as np
import pandas as pd
import pytest
from sklearn.neural_network import MLPClassifier

import backpulse as bp
from backpulse.firmware_py.installing import install
from backpulse.host.saved.command import repeating
from backpulse.host.saved.folder import read_run
from backpulse.host.saved.report import reference_of, repeats
from backpulse.host.settings import Settings

LOADS = re.compile(r"""(?:src|href|action)\s*=\s*["']?+(?!data:image/png;base64,)|url\(|@import|<script|<link|<iframe""", re.IGNORECASE)
"""What would make a browser load something."""
TARGET = ("--target", "class & co")
SECTIONS = ["Repeat it", "Learning", "Classes", "The array", "Pulses and endurance", "Energy and time", "Settings and counters"]
SECTIONS += ["Program", "Digests"]


@pytest.fixture
def table(tmp_path):
    """Write data whose names have to be quoted in a command line and in HTML."""
    rows = "\n".join(f"{(i * 7) % 13},{i % 5},{'ab'[i % 2]}" for i in range(60))
    (tmp_path / "my <b> data.csv").write_text(f"x,y,class & co\n{rows}\n")
    return "my <b> data.csv"


def command_of(page: str) -> list[str]:
    """Return the command that a page shows, as a shell would take it apart."""
    (shown,) = re.findall(r'<pre class="command" id="command">(.*?)</pre>', page, re.DOTALL)
    return shlex.split(unescape(shown))


def test_the_command_of_a_report_repeats_the_run(backpulse, tmp_path, table):
    given = ["--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", "--lr", "0.25", "--no-bias"]
    given += ["--device", "ecram", "--seed", "7", "--validation", "0.2", "--patience", "3", "--lr-schedule", "step", "--epochs", "4"]
    code, _, err = backpulse("train", *given, "--save", "run", "--keep", "pulses")
    assert code == 0, err
    code, out, err = backpulse("report", "run")
    assert (code, out) == (0, ""), err
    assert "Report: run/report.html" in err
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    run = read_run(tmp_path / "run")
    words = command_of(page)
    assert words[:2] == ["backpulse", "train"]
    code, out, err = backpulse(*words[1:], "--json", "-")
    assert code == 0, err
    again = json.loads(out)
    assert again["conductance_digest"] == run.result["conductance_digest"]
    assert again["test_accuracy"] == run.result["test_accuracy"]
    assert again["config_digest"] == run.manifest["config_digest"]
    assert again["settings"] == run.manifest["settings"]
    # The page says so, and loads nothing.
    assert run.result["conductance_digest"] in page
    assert re.findall("<h2>(.*?)</h2>", page) == SECTIONS
    assert LOADS.search(page) is None
    assert page.count("data:image/png;base64,") == 2 + 1 + 3 + 4
    assert "<b> data" not in page
    assert "READ   W1" in page
    assert re.search(r"<p>A step: 3 reads of \d+ cells in all, [\d.]+ pulses; .*</p>\n<p>Wear: ", page)
    assert "{&#39;" not in page


def test_a_run_that_went_on_is_repeated_from_its_beginning(backpulse, tmp_path, table):
    given = ["--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8"]
    assert backpulse("train", *given, "--epochs", "1", "--checkpoint", "c.npz")[0] == 0
    assert backpulse("train", "--resume", "c.npz", "--epochs", "3", "--save", "run")[0] == 0
    run = read_run(tmp_path / "run")
    code, out, _ = backpulse(*run.manifest["command"][1:], "--json", "-")
    assert code == 0
    assert json.loads(out)["conductance_digest"] == run.result["conductance_digest"]


def repeated(backpulse, folder):
    """Run the command of a saved run; return the run and what the repetition came to."""
    run = read_run(folder)
    code, out, err = backpulse(*run.manifest["command"][1:], "--json", "-")
    assert code == 0, err
    again = json.loads(out)
    assert again["conductance_digest"] == run.result["conductance_digest"]
    assert again["test_accuracy"] == run.result["test_accuracy"]
    return run


def test_data_and_weights_that_were_given_in_memory_are_in_the_folder(backpulse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    x, y = random.uniform(-1, 1, (60, 3)) ** 3, np.array(["no", "yes", "perhaps"])[random.integers(0, 3, 60)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it need not converge
        mlp = MLPClassifier((4,), activation="logistic", max_iter=20, random_state=1).fit(x, y)
    trained = bp.train(data=(x, y), layers=(3, 4, 3), init=mlp, weight_scale=16, tile="16x8", epochs=2, save="run")
    run = repeated(backpulse, tmp_path / "run")
    assert [word for word in run.manifest["command"] if word.startswith("run/")] == ["run/data.npz", "run/init.npz"]
    assert run.load().digest == run.manifest["data_digest"]
    assert trained.data is not None
    assert run.load().features == trained.data.features
    assert reference_of(run)["test_accuracy"][-1] > 0.2
    assert repeats(run) == "It comes to the same digest of cells."


def test_data_of_words_and_pictures_is_whole_in_a_file(tmp_path, table):
    rows = "\n".join(f"{(i * 7) % 13},{'xyz'[i % 3]},{'ab'[i % 2]}" for i in range(60))
    (tmp_path / "words.csv").write_text(f"n,word,class\n{rows}\n")
    for source in (tmp_path / "words.csv", "digits"):
        data = bp.load_dataset(source)
        data.save(tmp_path / "data.npz")
        again = bp.load_dataset(tmp_path / "data.npz")
        assert (again.digest, again.features, again.image, again.train_size) == (data.digest, data.features, data.image, data.train_size)
        assert again.x.dtype == data.x.dtype
    content = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(content[:-400] + bytes(400))
    with pytest.raises(bp.InputError, match=r"data.npz"):
        bp.load_dataset(tmp_path / "data.npz")


def test_a_board_that_was_open_is_named_by_the_command(backpulse, tmp_path, monkeypatch):
    """With an array of wires behind it, and a log of its pulses."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wires.toml").write_text("[wires]\nrow_ohm = 2.0\ncol_ohm = 2.0\n[dead]\nrows = [1]\n")
    settings = bp.Settings(dataset="iris", layers="4-6-3", dead="r1")
    with bp.open_board("golden://?array=wires.toml", settings, tile="16x8") as board:
        trained = bp.train(settings, board=board, epochs=1, save="run", keep="pulses")
    run = repeated(backpulse, tmp_path / "run")
    assert run.manifest["board"] == "golden://?array=wires.toml"
    pulses = pd.read_parquet(tmp_path / "run" / "pulses")["count"]
    assert pulses.abs().sum() == trained.result["pulses_up"] + trained.result["pulses_down"]


def test_what_no_command_line_names_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = bp.Settings(dataset="iris", layers="4-6-3")
    address = bp.Address("golden://", bp.Array.model_validate({"wires": {"row_ohm": 2.0}}))
    bp.train(settings, board=address, program=bp.program(settings, tile="16x8"), tile="16x8", epochs=1, save="run")
    told = "It does not repeat the run, which had a program of its own and an array that was given in memory: no command line names that."
    assert repeats(bp.read_run("run")) == told


def test_what_an_array_has_answered_when_it_was_asked_is_replayed(backpulse, tmp_path, table):
    (tmp_path / "wires.toml").write_text("[wires]\nrow_ohm = 2.0\ncol_ohm = 2.0\n[dead]\nrows = [1]\n")
    board = ["--board", "golden://?array=wires.toml"]
    given = ["--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", *board, "--epochs", "1", "--checkpoint", "c.npz"]
    assert backpulse("train", *given)[0] == 0
    asked = ["infer", "--checkpoint", "c.npz", *board]
    code, out, err = backpulse(*asked, "--trace", "asked.trace", "--json", "-")
    assert code == 0, err
    assert json.loads(backpulse(*asked, "--json", "-")[1]) == json.loads(out)
    replayed = bp.replay(tmp_path / "asked.trace")
    assert (replayed.divergence, replayed.evaluation, replayed.ended) == ("", len(json.loads(out)["samples"]), True)


@pytest.mark.parametrize(("text", "found"), [('<img src="x.png">', 1), ("<script>", 1), ('<img src="data:image/png;base64,AA">', 0)])
def test_what_would_load_something_is_found(text, found):
    assert len(LOADS.findall(text)) == found


def test_options_are_those_of_the_settings():
    settings = Settings(layers="4-3", dataset="iris", auto_range=False, target="-1", lr=0.125)
    words = repeating(settings, {"epochs": 3, "start": None})
    assert words[2:] == [
        *("--layers", "4-3", "--lr", "0.125", "--no-auto-range", "--dataset", "iris"),
        *("--target=-1", "--epochs", "3"),
    ]


def test_hdf5_has_the_same_numbers(backpulse, tmp_path, table):
    h5py = pytest.importorskip("h5py")
    given = ["--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", "--epochs", "2", "--reference"]
    assert backpulse("train", *given, "--save", "run", "--keep", "pulses")[0] == 0
    code, _, err = backpulse("report", "run", "--html", "page.html", "--hdf5", "run.h5")
    assert code == 0, err
    run = read_run(tmp_path / "run")
    with h5py.File(tmp_path / "run.h5") as file:
        assert json.loads(file.attrs["manifest"]) == run.manifest
        assert json.loads(file.attrs["result"]) == run.result
        assert file["epochs/test_accuracy"][:].tolist() == run.result["test_accuracy"]
        assert file["reference/train_loss"][:].tolist() == run.result["reference"]["train_loss"]
        assert (file["array/after"][:] * (1 << run.config.cell_frac) == run.after).all()
        assert (file["ledger/up"][:] == run.pulses["up"]).all()
        log = pd.read_parquet(tmp_path / "run" / "pulses")
        assert all((file["pulses"][name][:] == log[name]).all() for name in log.columns)
    assert (tmp_path / "page.html").exists()
    assert not (tmp_path / "run" / "report.html").exists()


def test_the_pulses_of_a_trace_are_in_the_report(backpulse, tmp_path, table):
    given = ["--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", "--epochs", "1"]
    assert backpulse("train", *given, "--save", "run", "--keep", "trace")[0] == 0
    assert backpulse("report", "run")[0] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Pulses of each cell" in page
    assert read_run(tmp_path / "run").result["trace"]["digest"] in page


def test_what_is_not_known_is_said(backpulse, tmp_path, table):
    assert backpulse("train", "--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", "--epochs", "1", "--save", "run")[0] == 0
    (tmp_path / table).write_text("x,y,class & co\n" + "1,2,a\n2,3,b\n" * 30)
    assert backpulse("report", "run")[0] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "No reference: The data set my &lt;b&gt; data.csv is not what the run was trained with" in page
    assert "How many pulses each cell got is not known" in page
    assert "The pulses of each cell were not kept: --keep pulses does" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "There is no folder nothing: give that of a run, made by train --save"),
        (["empty"], "empty is no saved run, as it has no manifest.json"),
        (["run", "--html", "page.pdf"], "--html must name a .html file, not page.pdf"),
        (["run", "--html", "no/page.html"], "There is no folder no for page.html"),
    ],
)
def test_what_cannot_be_reported_is_told(backpulse, tmp_path, table, arguments, message):
    (tmp_path / "empty").mkdir()
    assert backpulse("train", "--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", "--epochs", "1", "--save", "run")[0] == 0
    code, _, err = backpulse("report", *arguments)
    assert code == 2
    assert message in err


def test_a_missing_package_for_hdf5_is_told_before_the_work(backpulse, monkeypatch, tmp_path, table):
    assert backpulse("train", "--dataset", table, *TARGET, "--layers", "2-3-2", "--tile", "16x8", "--epochs", "1", "--save", "run")[0] == 0
    monkeypatch.setitem(sys.modules, "h5py", None)
    code, _, err = backpulse("report", "run", "--hdf5", "run.h5")
    assert code == 2
    assert install("runs") in " ".join(err.split())
    assert not (tmp_path / "run" / "report.html").exists()

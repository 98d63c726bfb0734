"""Reports of saved runs: one file that needs nothing else, whose command repeats the run; the same numbers as HDF5."""

import json
import re
import shlex
import sys
from html import unescape

import pandas as pd
import pytest

from backpulse.firmware_py.installing import install
from backpulse.host.saved.command import repeating
from backpulse.host.saved.folder import read_run
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

"""Results survive: what fails takes no other with it, and what could not be written is told before the work."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from backpulse.host import cli_train
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.errors import InputError
from backpulse.host.output import check_outputs
from backpulse.host.training import Trainer

SMALL = ["--dataset", "iris", "--layers", "4-3", "--tile", "8x4", "--epochs", 1]
FILES = {"--checkpoint": "c.npz", "--json": "r.json", "--pulse-log": "l.csv", "--plot": "p.png"}
MAGIC = {"c.npz": b"PK", "r.json": b"{", "l.csv": b"step", "p.png": b"\x89PNG"}


def folder_gone(monkeypatch, path):
    shutil.rmtree(path.parent)


def taken_by_a_folder(monkeypatch, path):
    (path / "inside").mkdir(parents=True)


def disk_full(monkeypatch, path):
    sync = os.fsync

    def full(handle):
        if os.readlink(f"/proc/self/fd/{handle}").startswith(str(path.parent)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)


def options(files):
    return [word for pair in files.items() for word in pair]


@pytest.mark.parametrize(
    ("failing", "trouble"),
    [
        ("--checkpoint", folder_gone),
        ("--checkpoint", disk_full),
        ("--json", folder_gone),
        ("--json", disk_full),
        ("--pulse-log", taken_by_a_folder),
        ("--plot", folder_gone),
    ],
)
def test_a_result_that_fails_in_the_end_takes_no_other_along(backpulse, monkeypatch, tmp_path, failing, trouble):
    paths = {option: tmp_path / option.strip("-") / name for option, name in FILES.items()}
    for path in paths.values():
        path.parent.mkdir()
    epoch = Trainer.epoch
    monkeypatch.setattr(Trainer, "epoch", lambda *arguments: (trouble(monkeypatch, paths[failing]), epoch(*arguments))[1])
    code, out, err = backpulse("train", *SMALL, *options(paths))
    assert (code, out) == (3, ""), err
    assert str(paths[failing]) in err.strip().splitlines()[-1]
    assert "Test accuracy" in err
    for option, path in paths.items():
        if option == failing:
            assert not path.is_file()
        else:
            assert path.read_bytes().startswith(MAGIC[path.name])
            assert [p.name for p in path.parent.iterdir()] == [path.name]
    if failing != "--json":
        assert json.loads(paths["--json"].read_text())["complete"]


def test_a_picture_that_cannot_be_drawn_takes_no_other_along(backpulse, monkeypatch, tmp_path):
    monkeypatch.setattr("backpulse.host.plots.plot_training", lambda *_, **__: 1 / 0)
    code, _, err = backpulse("train", *SMALL, *options(FILES))
    assert (code, "ZeroDivisionError" in err) == (4, True)
    assert {path.name for path in tmp_path.iterdir()} == set(FILES.values()) - {"p.png"}


COMMANDS = {
    "train": SMALL,
    "infer": ["--checkpoint", "run.npz"],
    "compare": [*SMALL, "--seeds", 1, "--schedules", "progressive"],
    "sweep": ["s.toml"],
    "program": [],
    "info": [],
    "boards": [],
    "fit": ["--board", "icebreaker"],
    "build": ["--board", "icebreaker"],
    "sim": [],
    "doctor": [],
    "cache": [],
    "export": ["--out", "v"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_output_is_tried_before_the_work(backpulse, tmp_path, command):
    (tmp_path / "link.json").symlink_to("none/r.json")
    os.mkfifo(tmp_path / "pipe")
    refused = {
        "none/r.json": "There is no folder none for r.json: make it first",
        ".": ". is a folder: give the name of a file",
        "link.json": "for r.json: make it first",
        "pipe": "pipe is no regular file: give the name of a file, or - for standard output",
        "/dev/null": "/dev/null is no regular file: give the name of a file",
        "/sys/r.json": "/sys/r.json cannot be written: permission denied: choose another name or folder",
        "x" * 300: "cannot be written: file name too long: choose another name or folder",
    }
    for path, sentence in refused.items():
        code, out, err = backpulse(command, *COMMANDS[command], "--json", path)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert sentence in err
    assert sorted(os.listdir(tmp_path)) == ["link.json", "pipe"]


def test_room_is_tried_too(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(InputError, match=r"r\.json cannot be written: no space left on device: choose another"):
        check_outputs({"--json": tmp_path / "r.json"})


def test_an_older_result_stays_until_the_new_one_is_whole(backpulse, monkeypatch, tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "r.json").symlink_to("real.json")
    disk_full(monkeypatch, tmp_path / "r.json")
    assert backpulse("program", "--json", "r.json")[0] == 3
    assert (tmp_path / "real.json").read_text() == "old"
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert backpulse("program", "--json", tmp_path / "r.json")[0] == 0
    assert json.loads((tmp_path / "real.json").read_text())["train_entry"] > 0
    assert sorted(os.listdir(tmp_path)) == ["r.json", "real.json"]
    assert (tmp_path / "r.json").is_symlink()


def test_a_resumed_run_says_where_it_saves_and_leaves_no_less(backpulse, tmp_path):
    assert backpulse("train", *SMALL, "--checkpoint", "run.npz")[0] == 0
    before = (tmp_path / "run.npz").read_bytes()
    code, _, err = backpulse("train", "--resume", "run.npz", "--epochs", 2, "--checkpoint", "other.npz")
    assert (code, "run.npz" in err) == (0, False)
    assert (tmp_path / "run.npz").read_bytes() == before
    code, _, err = backpulse("train", "--resume", "run.npz", "--epochs", 3)
    assert (code, "Going on from run.npz, which is saved anew after each epoch" in err) == (0, True)
    assert Checkpoint.load(tmp_path / "run.npz").position.epoch == 3
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "run.npz").symlink_to("/sys/run.npz")
    code, _, err = backpulse("train", "--resume", "run.npz", "--epochs", 4, "--json", "folder/run.npz")
    assert (code, "cannot be written: permission denied" in err) == (2, True)


NAMES = {
    "$V^$_2 [red]x[bold] b'c\".csv": "$V^$_2 [red]x[bold] b'c\".csv",
    "line\nfeed \udcff\x1b.csv": r"line\nfeed \xff\x1b.csv",
    "鍵 :smile: {x} %s.csv": "鍵 :smile: {x} %s.csv",
}
"""Names, and how they are shown."""


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_are_names(backpulse, tmp_path, name):
    (tmp_path / name).write_text("a,b,kind\n" + "".join(f"{k},{k * k % 7},{'xyz'[k % 3]}\n" for k in range(30)))
    outputs = {"--checkpoint": f"{name}.npz", "--json": f"{name}.json", "--plot": f"{name}.png", "--pulse-log": f"{name}.log.csv"}
    code, _, err = backpulse("train", "--dataset", name, "--layers", "2-3", "--tile", "8x4", "--epochs", 1, *options(outputs))
    assert code == 0, err
    assert {path.name for path in tmp_path.iterdir()} == {name, *outputs.values()}
    assert json.loads((tmp_path / f"{name}.json").read_text())["settings"]["dataset"] == name
    code, _, err = backpulse("infer", "--checkpoint", outputs["--checkpoint"], "--dataset", name, "--json", "i.json")
    assert (code, "By class: x " in err) == (0, True)
    code, out, _ = backpulse(
        "compare",
        "--dataset",
        name,
        "--layers",
        "2-3",
        "--tile",
        "8x4",
        "--epochs",
        1,
        "--seeds",
        1,
        "--schedules",
        "progressive",
        "--plot",
        "c.svg",
    )
    assert (code, "progressive" in out) == (0, True)
    code, _, err = backpulse("train", "--dataset", f"{name}.none")
    assert (code, f"Error: There is no data set {NAMES[name]}.none: give one of digits, " in err) == (2, True)


def test_every_schedule_has_the_same_fields(backpulse):
    results = {}
    for schedule in ("progressive", "progressive-exact", "progressive-corrected", "deferred", "software"):
        code, out, err = backpulse("train", *SMALL, "--schedule", schedule, "--json", "-")
        results[schedule] = json.loads(out)
        assert (code, " 0 samples/s" in err, "By class: setosa" in err) == (0, False, True)
        assert len(results[schedule]["train_accuracy"]) == 1
        confusion = np.array(results[schedule]["confusion"])
        assert confusion.sum(axis=1).tolist() == [10, 10, 10]
        assert np.trace(confusion) / 30 == pytest.approx(results[schedule]["test_accuracy"][-1])
        assert results[schedule]["class_accuracy"] == (np.diag(confusion) / 10).tolist()
    keys = {schedule: sorted(result) for schedule, result in results.items()}
    assert len({tuple(names) for names in keys.values()}) == 1, keys


def test_infer_and_compare_tell_the_classes_apart(backpulse):
    assert backpulse("train", *SMALL, "--checkpoint", "run.npz", "--json", "r.json")[0] == 0
    _, out, _ = backpulse("infer", "--checkpoint", "run.npz", "--json", "-")
    with open("r.json") as file:
        trained = json.load(file)
    inferred = json.loads(out)
    assert (inferred["confusion"], inferred["class_accuracy"]) == (trained["confusion"], trained["class_accuracy"])
    with open("new.csv", "w") as file:
        file.write("1,2,3,4\n")
    _, out, _ = backpulse("infer", "--checkpoint", "run.npz", "--dataset", "new.csv", "--json", "-")
    assert (json.loads(out)["confusion"], json.loads(out)["class_accuracy"]) == (None, None)
    _, out, _ = backpulse("compare", *SMALL, "--seeds", 2, "--schedules", "progressive-exact", "--json", "-")
    compared = json.loads(out)
    assert compared["runs"][0]["confusion"] == trained["confusion"]
    mean = np.mean([run["class_accuracy"] for run in compared["runs"]], axis=0)
    assert compared["summary"][0]["class_accuracy"] == pytest.approx(mean)


def test_a_checkpoint_that_nobody_named_replaces_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for _ in range(3):
        names.append(str(cli_train._unused(cli_train.DEFAULT_CHECKPOINT)))
        Path(names[-1]).touch()
    assert names == ["backpulse-checkpoint.npz", "backpulse-checkpoint-2.npz", "backpulse-checkpoint-3.npz"]

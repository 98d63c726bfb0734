"""Where checkpoints are written: links, devices, full disks."""

import errno
import json
import os
import resource
import stat
import sys
from dataclasses import replace

import pytest

from backpulse.host.checkpoint import Checkpoint
from backpulse.host.cli import main
from backpulse.host.errors import InputError, StorageError
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

SETTINGS = Settings(layers="4-3", dataset="iris")
SMALL = ["--dataset", "iris", "--layers", "4-3", "--tile", "8x4"]


@pytest.fixture
def trainer():
    """Return a function that makes a trainer of some epochs."""
    with open_board("golden://", config=board_config(SETTINGS.network, SETTINGS.device_model, tile="8x4")) as board:
        yield lambda epochs, **rest: Trainer(board, SETTINGS, epochs, **rest)


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """Return a function that runs the command `train` in a folder of its own and returns (exit code, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["backpulse", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().err

    return run


def full_at(monkeypatch, *calls):
    """Let the disk be full at these calls of fsync (from 1): each saving makes one of its file and one of the folder."""
    made, sync = [], os.fsync

    def fsync(handle):
        made.append(handle)
        if len(made) in calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)


def test_the_file_behind_a_link_is_replaced(trainer, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.npz").write_text("old")
    (tmp_path / "near.npz").symlink_to("real/a.npz")
    (tmp_path / "far.npz").symlink_to(tmp_path / "near.npz")
    (tmp_path / "new.npz").symlink_to("real/b.npz")
    for link, real in (("far.npz", "a.npz"), ("near.npz", "a.npz"), ("new.npz", "b.npz")):
        trainer(1).run(str(tmp_path / link))
        assert (tmp_path / link).is_symlink()
        assert not (tmp_path / "real" / real).is_symlink()
        assert Checkpoint.load(str(tmp_path / "real" / real)).position.epoch == 1
    assert sorted(os.listdir(tmp_path / "real")) == ["a.npz", "b.npz"]
    assert sorted(os.listdir(tmp_path)) == ["far.npz", "near.npz", "new.npz", "real"]


def test_a_link_that_lies_beside_it_is_not_followed(trainer, tmp_path):
    """A name that could be foreseen would let another user choose what is overwritten."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run.npz.part").symlink_to("mine")
    trainer(1).run(tmp_path / "run.npz")
    assert (tmp_path / "mine").read_text() == "mine"


def test_what_is_no_regular_file_is_refused_before_the_run(trainer, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-null").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    refused = {
        "/dev/null": "is no regular file",
        "/dev/full": "is no regular file",
        tmp_path / "pipe": "is no regular file",
        tmp_path / "to-null": "is no regular file",
        tmp_path: "is a folder",
        tmp_path / "none" / "run.npz": "There is no folder",
        tmp_path / "loop": "too many levels of symbolic links",
    }
    for path, sentence in refused.items():
        run = trainer(1)
        with pytest.raises(InputError, match=sentence):
            run.run(path)
        assert run.position.epoch == run.position.place == 0
    for path in ("/dev/null", "/dev/full", tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="is no regular file: give the file that a run saved"):
            Checkpoint.load(path)


def test_saving_over_a_pipe_is_refused_too(trainer, tmp_path):
    """A device node in an own folder stands for all: even root must not have it replaced."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="is no regular file: give the name of a file"):
        trainer(1).checkpoint().save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_permissions_stay_or_are_the_usual_ones(trainer, tmp_path):
    path = tmp_path / "run.npz"
    old = os.umask(0o027)
    try:
        trainer(1).run(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    trainer(1).run(path)
    assert path.stat().st_mode & 0o777 == 0o604


def test_a_folder_that_cannot_be_written_is_told_before_the_run(trainer, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"/sys/run\.npz cannot be written: permission denied: choose another name or folder"):
        trainer(1).run("/sys/run.npz")  # the one folder that not even root may write in
    (tmp_path / "run.npz").write_text("mine")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write every file
    with pytest.raises(InputError, match=r"run\.npz is protected from writing: give another name"):
        trainer(1).run(tmp_path / "run.npz")
    assert (tmp_path / "run.npz").read_text() == "mine"


def test_a_full_disk_keeps_the_last_good_one_and_the_run_goes_on(trainer, tmp_path, monkeypatch):
    path, told = tmp_path / "run.npz", []
    full_at(monkeypatch, 3, 4)  # epochs 2 and 3: the file itself fails, the folder's turn does not come
    run = trainer(4, watch=lambda event: told.append((event.epoch, event.remark)) if event.remark else None)

    def epoch(event):
        if event.phase == "epoch" and event.epoch in (3, 4):
            # Before the saving of this epoch: what the one before left.
            assert Checkpoint.load(path).position.epoch == 1

    watch = run.watch
    run.watch = lambda event: (watch(event), epoch(event))
    assert run.run(path)
    assert Checkpoint.load(path).position.epoch == 4
    assert [at for at, _ in told] == [2]
    assert told[0][1].endswith(
        "cannot be written: no space left on device: make room there, or name another place. "
        "The run goes on, and tries again after each epoch"
    )
    assert os.listdir(tmp_path) == ["run.npz"]


def test_a_limit_of_the_system_is_a_full_disk(trainer, tmp_path):
    """The same from the system itself, where a file may grow to 1,000 bytes."""
    path = tmp_path / "run.npz"
    trainer(1).run(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(event):
        if event.phase == "train":
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))

    try:
        run = trainer(2, watch=full)
        with pytest.raises(StorageError, match="cannot be written: file too large"):
            run.run(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run.complete
    assert len(run.result()["test_accuracy"]) == 2
    assert Checkpoint.load(path).position.epoch == 1
    assert os.listdir(tmp_path) == ["run.npz"]


def test_the_command_ends_with_a_code_of_its_own_and_its_results(train, monkeypatch, tmp_path):
    assert train(*SMALL, "--epochs", 1, "--checkpoint", "run.npz")[0] == 0
    full_at(monkeypatch, 1, 2)
    code, err = train("--resume", "run.npz", "--epochs", 3, "--json", "run.json")
    assert code == 3
    assert err.count("The run goes on, and tries again after each epoch") == 1
    assert "epoch 3/3" in err
    assert "Test accuracy" in err
    assert err.splitlines()[-1].startswith(
        "Error: The checkpoint run.npz cannot be written: no space left on device: make room there, or name another place. "
        "The file is as it was last"
    )
    assert json.loads((tmp_path / "run.json").read_text())["complete"]
    assert Checkpoint.load(tmp_path / "run.npz").position.epoch == 1
    assert sorted(os.listdir(tmp_path)) == ["run.json", "run.npz"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full"])
def test_the_command_refuses_devices(train, path):
    code, err = train(*SMALL, "--epochs", 1, "--checkpoint", path)
    assert (code, err.strip()) == (2, f"Error: {path} is no regular file: give the name of a file")


def test_an_interrupted_saving_leaves_nothing(trainer, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    trainer(1).run(path)
    before = path.read_bytes()

    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        trainer(2).run(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.npz"]


def test_a_stopped_run_that_could_not_be_saved_says_so(trainer, tmp_path, monkeypatch):
    full_at(monkeypatch, 1)
    stop = Stop()
    run = trainer(2, stop=stop)
    stop.asked = True
    with pytest.raises(StorageError, match=r"run\.npz cannot be written"):
        run.run(tmp_path / "run.npz")
    assert not run.complete


def test_a_file_system_that_cannot_sync_a_folder_will_do(trainer, tmp_path, monkeypatch):
    sync = os.fsync

    def fsync(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    trainer(1).run(tmp_path / "run.npz")
    assert Checkpoint.load(tmp_path / "run.npz").position.epoch == 1


def test_names_that_no_checkpoint_has_room_for_are_told_before_the_run(trainer, tmp_path):
    run = trainer(1)
    names = tuple(f"{k:0100}" for k in range(40_000))
    run.data = replace(run.data, features=replace(run.data.features, source=names))
    with pytest.raises(InputError, match=r"names .* take 4,160,\d{3} bytes, and a checkpoint has room for 3,080,192"):
        run.run(tmp_path / "run.npz")
    assert run.position.totals["STEPS"] == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--dataset", "mine.csv", "--checkpoint", "mine.csv"], "--checkpoint mine.csv would write over the file of --dataset"),
        (["--checkpoint", "same.npz", "--json", "./same.npz"], "--json ./same.npz would write over the file of --checkpoint"),
        (["--plot", "a.png", "--json", "a.png"], "--plot a.png would write over the file of --json"),
    ],
)
def test_no_result_is_written_over_what_is_read_or_another_one(train, tmp_path, options, sentence):
    (tmp_path / "mine.csv").write_text("a,kind\n1,x\n2,y\n" * 9)
    before = (tmp_path / "mine.csv").read_bytes()
    code, errors = train(*options)
    assert (code, sentence in errors) == (2, True), errors
    assert (tmp_path / "mine.csv").read_bytes() == before

import json
from dataclasses import replace

import numpy as np
import pytest

from host.checkpoint import Checkpoint
from host.errors import InputError
from host.settings import Settings
from host.training import Stop, Trainer
from host.urls import board_config, open_board

SETTINGS = Settings(layers="4-5-3", dataset="iris", device="ecram", lr=0.5)
EPOCHS = 4


def config(tile="16x8"):
    return board_config(SETTINGS.network, SETTINGS.device_model, tile=tile)


@pytest.fixture(scope="module")
def unbroken():
    with open_board("golden://", config=config()) as board:
        trainer = Trainer(board, SETTINGS, EPOCHS)
        trainer.run()
        return trainer.result()


def stop_after(events):
    """Return a stop and a watcher that asks for it at an event's number."""
    stop, seen = Stop(), []

    def watch(event):
        if event.phase in ("train", "test"):
            seen.append(event)
            stop.asked = len(seen) == events

    return stop, watch


@pytest.mark.parametrize("events", [1, 2, 3, 5, 6])
def test_a_run_stopped_anywhere_goes_on_with_the_same_bits(tmp_path, unbroken, events):
    path = tmp_path / "run.npz"
    stop, watch = stop_after(events)
    with open_board("golden://", config=config()) as board:
        first = Trainer(board, SETTINGS, EPOCHS, watch=watch, stop=stop)
        assert not first.run(path)
    saved = Checkpoint.load(path)
    assert saved.position.epoch < EPOCHS
    with open_board("golden://", config=config()) as board:
        second = Trainer(board, saved.settings, saved.epochs, checkpoint=saved)
        assert second.run(path)
        result = second.result()
    assert {k: v for k, v in result.items() if k != "steps_per_second"} == {k: v for k, v in unbroken.items() if k != "steps_per_second"}


def test_stopping_in_mid_epoch_counts_the_samples_done(tmp_path):
    stop, watch = stop_after(1)
    with open_board("golden://", config=config()) as board:
        trainer = Trainer(board, SETTINGS, EPOCHS, watch=watch, stop=stop)
        trainer.run(tmp_path / "run.npz")
    position = Checkpoint.load(tmp_path / "run.npz").position
    assert 0 < position.place < len(trainer.data.train)
    assert position.totals["STEPS"] == position.place


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.npz"
    with open_board("golden://", config=config()) as board:
        trainer = Trainer(board, SETTINGS, 1)
        trainer.run(path)
    return path


def test_no_pickle_and_plain_arrays(saved):
    with np.load(saved, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
        assert json.loads(str(file["head"]))["version"] == 1


def test_damaged_files(saved, tmp_path):
    whole = saved.read_bytes()
    bad = tmp_path / "bad.npz"
    for content in (b"", b"nonsense", whole[: len(whole) // 2], whole[:200] + bytes(50) + whole[250:]):
        bad.write_bytes(content)
        with pytest.raises(InputError, match="damaged or no checkpoint"):
            Checkpoint.load(bad)
    with pytest.raises(InputError, match="There is no checkpoint"):
        Checkpoint.load(tmp_path / "none.npz")


@pytest.mark.parametrize("missing", ["head", "cells", "random_rounding", "center"])
def test_incomplete_files(saved, missing):
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files if name != missing}
    np.savez(saved, **arrays)
    with pytest.raises(InputError, match="damaged or no checkpoint"):
        Checkpoint.load(saved)


def test_another_version_is_told(saved):
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    head = {**json.loads(str(arrays["head"])), "version": 99}
    np.savez(saved, **{**arrays, "head": np.array(json.dumps(head))})
    with pytest.raises(InputError, match="has version 99"):
        Checkpoint.load(saved)


def test_another_configuration_or_data_is_refused(saved):
    checkpoint = Checkpoint.load(saved)
    with (
        open_board("golden://", config=config("32x8")) as board,
        pytest.raises(InputError, match="made on another configuration"),
    ):
        Trainer(board, SETTINGS, 2, checkpoint=checkpoint)
    other = replace(checkpoint, data_digest="0")
    with open_board("golden://", config=config()) as board, pytest.raises(InputError, match="not the data of the checkpoint"):
        Trainer(board, SETTINGS, 2, checkpoint=other)
    other = replace(checkpoint, program_digest="0")
    with open_board("golden://", config=config()) as board, pytest.raises(InputError, match="not what this version compiles"):
        Trainer(board, SETTINGS, 2, checkpoint=other)

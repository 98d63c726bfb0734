import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backpulse.host.archive import MANIFEST
from backpulse.host.checkpoint import VERSION, Checkpoint
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .checkpoints import forge, parts

ABI_2 = Path(__file__).parent / "files/abi2.npz"
ABI_3 = Path(__file__).parent / "files/abi3.npz"
SETTINGS = Settings(layers="4-5-3", dataset="iris", device="ecram", lr=0.5)
EPOCHS = 4


def config(tile="16x8"):
    return board_config(SETTINGS.network, SETTINGS.device_model, tile=tile)


FALLING = SETTINGS.changed(lr_schedule="plateau", lr_wait=1, lr_factor=0.3, validation=0.2)


@pytest.fixture(scope="module", params=[SETTINGS, FALLING], ids=["constant", "falling"])
def unbroken(request):
    with open_board("golden://", config=config()) as board:
        trainer = Trainer(board, request.param, EPOCHS)
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
        first = Trainer(board, Settings(**unbroken["settings"]), EPOCHS, watch=watch, stop=stop)
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
        manifest = json.loads(file[MANIFEST])
        assert manifest["version"] == VERSION
        assert file.files == [MANIFEST, *manifest["arrays"]]
        for name, entry in manifest["arrays"].items():
            assert (file[name].dtype.str, list(file[name].shape)) == (entry["dtype"], entry["shape"])
            assert file[name].dtype != object


def test_files_that_are_none(saved, tmp_path):
    whole = saved.read_bytes()
    bad = tmp_path / "bad.npz"
    for content in (b"", b"nonsense", bytes(300), whole[: len(whole) // 2], whole[:200] + bytes(50) + whole[250:]):
        bad.write_bytes(content)
        with pytest.raises(InputError, match="damaged or no checkpoint"):
            Checkpoint.load(bad)
    with pytest.raises(InputError, match="There is no checkpoint"):
        Checkpoint.load(tmp_path / "none.npz")


def test_what_numpy_wrote_anew_is_none(saved):
    """The digest is of the bytes: a file that numpy read and wrote is another."""
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files if name != MANIFEST}
    np.savez(saved, **arrays)
    with pytest.raises(InputError, match="damaged or no checkpoint \\(it does not begin as one\\)"):
        Checkpoint.load(saved)


def test_version_1_is_told(tmp_path):
    """Its first members, as numpy wrote them."""
    arrays = {"cells": np.zeros((8, 4), np.int16), "spread": np.zeros((8, 4), np.uint8), "head": np.array(json.dumps({"version": 1}))}
    np.savez_compressed(tmp_path / "old.npz", **arrays)
    with pytest.raises(InputError, match="version 1, which this program does not read: go on with the one that made it, or start again"):
        Checkpoint.load(tmp_path / "old.npz")


def test_a_run_of_abi_2_goes_on_with_its_bits(tmp_path):
    """An epoch of it is in the file, as the version before ABI 3 wrote it; that version's own second epoch ended with this digest."""
    saved = Checkpoint.load(ABI_2)
    with open_board("golden://", config=saved.config) as board:
        trainer = Trainer(board, saved.settings, 2, checkpoint=saved)
        assert trainer.run()
    result = trainer.result()
    assert result["conductance_digest"] == "ee95b53f786b4328c6a47629627832d8de4b6c113b506898be8f4f182b8c0f43"
    assert result["test_accuracy"] == [0.7666666666666667, 0.8666666666666667]
    fields, arrays = parts(ABI_2)
    for change in ({"pulse_max": 30}, {"lean": 1}, {"steps": 2}):
        forge(tmp_path / "lie.npz", {**fields, "config": {**fields["config"], **change}}, arrays)
        with pytest.raises(InputError, match="config has no field"):
            Checkpoint.load(tmp_path / "lie.npz")


def test_a_run_of_abi_3_goes_on_with_its_bits(tmp_path):
    """Likewise: it has no trace and did not count missed pulses."""
    saved = Checkpoint.load(ABI_3)
    with open_board("golden://", config=saved.config) as board:
        trainer = Trainer(board, saved.settings, 2, checkpoint=saved)
        assert trainer.run()
    result = trainer.result()
    assert result["conductance_digest"] == "27fa33fe76fe3816124cac61ea80c1df9cd4c50c2b7ca78b579ed68f4edbd5c9"
    assert result["pulses_missed"] == 0
    assert result["test_accuracy"] == [0.7666666666666667, 0.9333333333333333]
    fields, arrays = parts(ABI_3)
    for change in ({"pulse_max": 30}, {"trace_words": 16}):
        forge(tmp_path / "lie.npz", {**fields, "config": {**fields["config"], **change}}, arrays)
        with pytest.raises(InputError, match=r"config has no field|config_digest is not that|PULSES_MISSED"):
            Checkpoint.load(tmp_path / "lie.npz")


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


def test_the_example_of_the_docs_reads_a_checkpoint(saved, monkeypatch, capsys):
    page = (Path(__file__).parent.parent / "docs" / "checkpoints.md").read_text()
    example = page.partition("<!-- example -->")[2].partition("```python\n")[2].partition("```")[0]
    monkeypatch.setattr(sys, "argv", ["example", str(saved)])
    exec(compile(example, "docs/checkpoints.md", "exec"), {})
    assert capsys.readouterr().out == "4-5-3 (16, 8) 1\n"
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="is damaged"):
        exec(compile(example, "docs/checkpoints.md", "exec"), {})


def test_the_docs_name_every_field_and_array(saved):
    page = (Path(__file__).parent.parent / "docs" / "checkpoints.md").read_text()
    with np.load(saved) as file:
        for name in (*json.loads(file[MANIFEST]), *file.files):
            assert f"`{name}`" in page

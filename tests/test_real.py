"""Runs on arrays whose cells nobody can read or write: start, checkpoints, profiles, missed pulses, trips."""

import re
from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.device import PRESETS, with_values
from backpulse.firmware_py.image import initial_cells
from backpulse.firmware_py.registers import Cause, Counter, Fault, State, Window
from backpulse.host.array_cells import Areas
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.errors import FaultError, HostError, InputError, RefusedError
from backpulse.host.settings import Settings
from backpulse.host.tile import CAUSES, FAULTS, fault_error
from backpulse.host.training import Trainer
from backpulse.host.urls import open_board

from .real_boards import real_board

CONFIG = replace(IDEAL, tile_rows=24, tile_cols=16)
IRIS = Settings(dataset="iris", layers="4-8-3", lr=1.0)
DEVICES = {
    "ideal": PRESETS["ideal"],
    "ideal, 1 LSB of noise": with_values(PRESETS["ideal"], read_noise=1.0),
    "ecram": PRESETS["ecram"],
    "ecram, 1 LSB of noise": with_values(PRESETS["ecram"], read_noise=1.0),
    "ecram-mo": PRESETS["ecram-mo"],
}


def real(device=PRESETS["ideal"], **more):
    return real_board(device, CONFIG, **more)


def test_nobody_reads_or_writes_what_real_devices_have_not():
    with real() as (board, _):
        for window in (Window.CELLS, Window.SPREAD, Window.TILE):
            with pytest.raises(RefusedError, match="there is nothing at that address"):
                board.link.read_words(window.base, 1)
            with pytest.raises(RefusedError, match="there is nothing at that address"):
                board.link.write_words(window.base, [1])
        assert [stream.name for stream in board.read_random()] == ["ROUNDING"]


def test_a_network_learns_in_cells_that_nobody_knows():
    told = []
    with real(PRESETS["ecram"]) as (board, machine):
        trainer = Trainer(board, IRIS.changed(device="ecram"), 6, watch=told.append)
        before = machine.memory.cells.copy()
        assert trainer.run()
        result = trainer.result()
        assert (machine.memory.cells != before).any()
        assert np.abs(trainer.cells - machine.memory.cells)[Areas(board, trainer.program).used].max() <= 0.7 * (1 << 14) / 127
        assert trainer.board.evaluate(trainer.program, trainer.data.test, 1).tolist() == result["predictions"]  # the program is back
    assert result["test_accuracy"][-1] > 0.85
    assert result["conductance_digest"] is None
    assert result["array"] == {"kind": "model", "capabilities": ["trips"], "profiles": 4, "safe_cycles": 8}
    assert (result["start"], result["off"], result["pulses_missed"]) == ("verify", [], 0)
    assert any("pulsed to the initial weights" in event.remark for event in told)


@pytest.mark.parametrize("name", DEVICES)
def test_program_verify_brings_every_device_to_the_weights(name):
    device = DEVICES[name]
    settings = IRIS.changed(device=device.name)
    with real(device) as (board, machine):
        trainer = Trainer(board, settings, 1)
        areas = Areas(board, trainer.program)
        wanted = initial_cells(trainer.program, device, settings.seed)
        off = ((wanted - machine.memory.cells) / (1 << 14) * areas.unit)[areas.used]
        outside = machine.memory.cells[~areas.used]
    started = trainer.started
    assert started["residual_rms"] < (0.75 if device.read_noise else 0.35)
    assert np.sqrt(np.mean(off**2)) < 0.45  # what the cells really are: within half a sense word
    assert np.abs(off).max() < 2
    assert started["rounds"] <= 12
    assert 0.7 < started["step"] / device.dw_min < 1.4
    with real(device) as (_, untouched):
        assert np.array_equal(outside, untouched.memory.cells[~areas.used])


def test_an_array_can_start_as_it_stands():
    with real() as (board, machine):
        before = machine.memory.cells.copy()
        trainer = Trainer(board, IRIS, 1, start="as-is")
        assert np.array_equal(machine.memory.cells, before)
        assert trainer.started == {"start": "as-is"}
        with pytest.raises(InputError, match="cannot be written: start with verify or as-is"):
            Trainer(board, IRIS, 1, start="write")
        with pytest.raises(InputError, match="Unknown start warm: choose one of write, verify, as-is"):
            Trainer(board, IRIS, 1, start="warm")
    with open_board("golden://", config=CONFIG) as board:  # an emulated array can be brought there by pulses, too
        verified = Trainer(board, IRIS, 1, start="verify")
        assert np.abs(board.read_cells() - initial_cells(verified.program, PRESETS["ideal"], 1)).max() < (1 << 14) / 127


def test_a_checkpoint_without_cells_goes_on_with_those_of_the_array(tmp_path):
    path = tmp_path / "run.npz"
    with real(PRESETS["ecram"]) as (board, machine):
        Trainer(board, IRIS, 3).run()
        straight = machine.memory.cells.copy()
    with real(PRESETS["ecram"]) as (board, machine):
        Trainer(board, IRIS, 1).run(path)
        saved = Checkpoint.load(path)
        assert (saved.cells, saved.spread, saved.tile) == (None, None, None)
        again = Trainer(board, saved.settings, 3, checkpoint=saved)
        assert again.warnings == ["The checkpoint holds no cells: the run goes on with those of the array, as they stand"]
        assert again.run(path)
        assert np.array_equal(machine.memory.cells, straight)
        with pytest.raises(InputError, match="has its weights already: leave the start verify out"):
            Trainer(board, IRIS, 4, checkpoint=saved, start="verify")
        with pytest.raises(InputError, match=r"best epoch's cells cannot be kept .*: leave --best out"):
            Trainer(board, IRIS.changed(validation=0.2), 1, start="as-is").run(best_file=tmp_path / "best.npz")
    with open_board("golden://", config=CONFIG) as board, pytest.raises(InputError, match="made on another configuration"):
        Trainer(board, IRIS, 4, checkpoint=saved)
    with pytest.raises(InputError, match=r"Real devices are those of a board, or of golden://\?array=FILE"):
        open_board("golden://", config=saved.config)


def test_profiles_are_in_the_program_and_must_be_known():
    settings = IRIS.changed(read_profile=1, pulse_profile=2, evaluate_profile=3)
    with real() as (board, _):
        trainer = Trainer(board, settings, 1, start="as-is")
        assert trainer.run()
    texts = [trainer.program.text(ins) for ins in trainer.program.instructions]
    step, evaluation = texts[: trainer.program.evaluate_start], texts[trainer.program.evaluate_start :]
    for part, kind, profile in ((step, "READ", 1), (step, "PULSE", 2), (evaluation, "READ", 3)):
        chosen = [text for text in part if text.startswith(kind)]
        assert chosen
        assert all(f", profile {profile}" in text for text in chosen)
    assert "profile" not in IRIS.compile(CONFIG).listing()
    with open_board("golden://", config=CONFIG) as board, pytest.raises(InputError, match=r"read_profile is 1, .* must be 0, the only one"):
        Trainer(board, settings, 1)
    with real() as (board, _), pytest.raises(InputError, match=r"evaluate_profile is 4, .*knows 4 profiles: it must be from 0 to 3"):
        Trainer(board, settings.changed(evaluate_profile=4), 1)
    with pytest.raises(InputError, match="pulse_profile must be from 0 to 15, not 16"):
        IRIS.changed(pulse_profile=16)


def test_missed_pulses_are_told_at_the_end():
    with real() as (board, machine):

        def miss(event):
            if event.phase == "train":
                machine.memory.counters[Counter.PULSES_MISSED] = 7

        trainer = Trainer(board, IRIS, 1, watch=miss)
        trainer.run()
        result = trainer.result()
    asked = result["pulses_up"] + result["pulses_down"]
    assert result["pulses_missed"] == 7
    assert result["warnings"][-1].startswith(f"The array did not do 7 of {asked:,} pulses (")


def test_a_trip_is_told_with_its_cause_and_cleared_on_purpose():
    with real() as (board, machine):

        def trip(event):
            if event.phase == "train" and event.progress.done:
                machine.trip(Cause.SUPPLY)

        trainer = Trainer(board, IRIS, 3, watch=trip, start="as-is")
        with pytest.raises(
            FaultError, match=r"fault TILE at program address \d+, after \d+ samples .*supply is out of its range \(cause SUPPLY\)"
        ):
            trainer.run()
        machine.trip(Cause.RAIL)  # the first cause stays
        with pytest.raises(FaultError, match=r"The array has tripped: a supply .*\(cause SUPPLY\): check .* `backpulse array clear`"):
            Trainer(board, IRIS, 1)
        assert board.clear_trip() == Cause.SUPPLY
        assert board.clear_trip() == 0
        assert Trainer(board, IRIS, 1, start="as-is").run()


def test_every_fault_and_cause_has_its_sentence():
    assert {*FAULTS} == {*Fault} - {Fault.NONE}
    assert {*CAUSES} == {*Cause}
    for fault in FAULTS:
        for cause in CAUSES if fault is Fault.TILE else (Cause.NONE,):
            error = fault_error(fault | cause << 8, 3, 5)
            assert (error.fault, error.cause) == (fault, cause)
            assert re.fullmatch(
                rf"The board stopped with fault {fault.name} at program address 3, after 5 samples of this run: .+: .+", str(error)
            )
    assert "cause 99, which this version does not know" in str(fault_error(Fault.TILE | 99 << 8, 0, 0))
    assert str(fault_error(77, 0, 0)).startswith("The board stopped with fault 77 at")


def test_the_watchdog_of_real_devices_is_the_longest():
    with real() as (board, _):
        Trainer(board, IRIS, 1, start="as-is")
        assert board.link.read_words(12, 1) == [0xFFFFFFFF]
        assert board.status()[0] is State.IDLE
    with open_board("golden://", config=CONFIG) as board:
        Trainer(board, IRIS, 1)
        assert board.link.read_words(12, 1) == [1 << 24]


def test_a_board_of_a_kind_that_nobody_knows_is_refused(monkeypatch):
    monkeypatch.setattr("backpulse.firmware_py.tile_facts.TileFacts.words", lambda facts: {0: 9, 1: 0, 2: 1, 3: 8})
    with pytest.raises(HostError, match="array is of kind 9 with 1 profiles, and this program knows kinds 1 to 3"), real():
        pass

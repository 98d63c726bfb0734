"""Learning rates that fall, validation, early ends and the best checkpoint: the same wherever and in however many pieces a run is done."""

import json
from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.registers import REG, Counter
from backpulse.host.checkpoint import LATER, Checkpoint
from backpulse.host.datasets import validation_of
from backpulse.host.errors import InputError
from backpulse.host.output import RunLog
from backpulse.host.rates import LR_SCHEDULES, best_epoch, has_ended, shares
from backpulse.host.run_logs import repeat
from backpulse.host.settings import Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .checkpoints import forge, parts
from .faults import FaultyPort

PLAIN = Settings(layers="4-5-3", dataset="iris", lr=2.0)
SAME = ("conductance_digest", "predictions", "test_accuracy", "train_loss", "validation_loss", "validation_accuracy", "learning_rate")


def run(settings, epochs=4, wrap=None, **files):
    with open_board("golden://", config=board_config(settings.network, settings.device_model, tile="16x8"), wrap=wrap) as board:
        trainer = Trainer(board, settings, epochs)
        assert trainer.run(**files)
        return trainer.result()


@pytest.mark.parametrize(
    ("schedule", "losses", "expected"),
    [
        ("constant", [1, 2, 3], [1, 1, 1, 1]),
        ("step", [1] * 7, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2]),
        ("cosine", [1] * 4, [1, 0.2 + 0.8 * 0.853553391, 0.6, 0.2 + 0.8 * 0.146446609, 0.2]),
        ("plateau", [3, 2, 1, 0.5], [1] * 5),
        # No loss is below the 1 of epoch 2: the rate falls after epochs 4 and 6. That of epoch 7 is, and the count begins anew.
        ("plateau", [3, 1, 1, 2, 1, 1, 0.9, 0.9, 0.9, 0.9], [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2]),
    ],
)
def test_rates_by_schedule(schedule, losses, expected):
    assert shares(schedule, losses, epochs=4, wait=2, factor=0.5, floor=0.2) == pytest.approx(expected, rel=1e-12)


def test_the_best_epoch_and_the_early_end():
    assert [best_epoch(losses) for losses in ([], [2.0], [2.0, 1.0, 1.0], [1.0, 2.0])] == [0, 1, 2, 1]
    assert [has_ended([3.0, 1.0, 1.0, 2.0], patience) for patience in range(4)] == [False, True, True, False]
    assert not has_ended([], 1)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lr_schedule": "linear"}, "Unknown lr_schedule linear: choose one of constant, step, cosine, plateau"),
        ({"lr_wait": 0}, "The setting lr_wait must be at least 1, not 0"),
        ({"lr_factor": 1.0}, "The setting lr_factor must be above 0 and below 1, not 1.0"),
        ({"lr_floor": 0.0}, "The setting lr_floor must be above 0 and at most 1, not 0.0"),
        ({"lr_floor": float("nan")}, "The setting lr_floor must be above 0 and at most 1, not nan"),
        ({"validation": 1.0}, "The setting validation must be at least 0 and below 1, not 1.0"),
        ({"patience": -1, "validation": 0.5}, "The setting patience must be at least 0, not -1"),
        ({"patience": 2}, "A run with patience ends by its validation loss: give a share of the training part for it with --validation"),
        (
            {"lr_schedule": "cosine", "rounding": "nearest", "lr": 0.01},
            r"Learning rate 0.0001 \(lr times lr_floor, where cosine may end\) can never make a pulse: .* at least 0.0",
        ),
    ],
)
def test_wrong_settings(wrong, sentence):
    with pytest.raises(InputError, match=f"^{sentence}"):
        PLAIN.changed(**wrong)


def test_the_validation_part_is_a_share_of_each_class_by_the_seed():
    y = np.repeat([0, 1, 2, 3], [50, 20, 2, 1])[::-1]
    train = np.flatnonzero(np.arange(len(y)) % 5 != 4)
    rest, part = validation_of("data", y, train, 0.25, 3)
    assert np.array_equal(np.sort(np.concatenate([rest, part])), train)
    assert np.bincount(y[part], minlength=4).tolist() == [10, 4, 1, 0]
    assert np.array_equal(part, validation_of("data", y, train, 0.25, 3)[1])
    assert not np.array_equal(part, validation_of("data", y, train, 0.25, 4)[1])
    assert np.bincount(y[validation_of("data", y, train, 0.99, 3)[0]]).tolist() == [1, 1, 1, 1]
    assert [len(indices) for indices in validation_of("data", y, train, 0.0, 3)] == [len(train), 0]
    with pytest.raises(InputError, match=r"^data has no class with two training samples, but --validation needs one"):
        validation_of("data", y, train[-1:], 0.5, 3)


def test_the_scaling_knows_nothing_of_the_validation_part():
    part = prepare(PLAIN.changed(validation=0.5), 127)
    raw = PLAIN.load()
    assert np.array_equal(part.scaler.center, (raw.x[part.train].min(axis=0) + raw.x[part.train].max(axis=0)) / 2)
    assert len(part.train) == len(part.validation) == 60


@pytest.mark.parametrize("schedule", LR_SCHEDULES)
def test_the_registers_hold_the_rate_of_each_epoch(schedule):
    settings = PLAIN.changed(lr_schedule=schedule, lr_wait=1, lr_floor=0.1, validation=0.2)
    seen = []

    def watch(event):
        if event.phase == "train" and event.progress.done == event.progress.total:
            words = board.link.read_words(REG["SCALE"].address, 2)
            assert words == settings.scale_words(event.rates[-1])[:2]
            seen.append(Scale.from_word(words[1]).value)

    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        trainer = Trainer(board, settings, 6, watch=watch)
        trainer.run()
    rates = trainer.result()["learning_rate"]
    assert seen == pytest.approx(rates, rel=2.0**-16)
    assert (len(set(rates)) == 1) == (schedule == "constant")
    assert rates[0] == settings.lr


def test_pulses_follow_the_rate():
    """An epoch at another rate is one that begins with these cells and streams at that rate."""
    falling = PLAIN.changed(lr_schedule="step", lr_wait=1, lr_factor=0.25)
    with open_board("golden://", config=board_config(PLAIN.network, PLAIN.device_model, tile="16x8")) as board:
        first = Trainer(board, PLAIN, 1)
        first.run()
        second = Trainer(board, PLAIN.changed(lr=0.5), 2, checkpoint=first.checkpoint())
        second.run()
    assert second.position.totals["STEPS"] == 240
    assert run(falling, epochs=2)["conductance_digest"] == second.result()["conductance_digest"]


def test_validating_changes_no_bit_of_training_and_counts_as_the_host_does():
    """A run on the rest of the training part, and the loss that its outputs give."""
    settings = PLAIN.changed(validation=0.25, device="ecram")
    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        trainer = Trainer(board, settings, 2)
        trainer.run()
        digest = trainer.result()["conductance_digest"]
        part = trainer.data.validation
        outputs = board.evaluate_outputs(trainer.program, part, settings.seed) / board.config.one
    target = trainer.data.t[part] / 128
    assert trainer.position.validation_loss[-1] == pytest.approx(0.5 * np.mean(np.sum((target - outputs) ** 2, axis=1)), abs=1e-3)
    assert trainer.position.validation_accuracy[-1] == np.mean(np.argmax(outputs, axis=1) == trainer.data.y[part])
    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        plain = Trainer(board, settings, 2, data=replace(trainer.data, validation=part[:0]))
        plain.run()
        assert plain.result()["conductance_digest"] == digest


def test_a_bad_line_changes_no_rate():
    settings = PLAIN.changed(lr_schedule="plateau", lr_wait=1, validation=0.2)
    clean = run(settings, epochs=5)
    bad = run(settings, epochs=5, wrap=lambda port: FaultyPort(port, 5, corrupt=0.0003, drop=0.0003, double=0.0003))
    assert len(set(clean["learning_rate"])) > 1
    assert bad["link_retries"] > 0
    assert {name: bad[name] for name in SAME} == {name: clean[name] for name in SAME}


ENDING = PLAIN.changed(lr=8.0, validation=0.2, patience=2, seed=2)


def test_a_run_with_patience_ends_early_and_keeps_its_best(backpulse, tmp_path):
    result = run(ENDING, epochs=60, checkpoint_file=tmp_path / "run.npz", best_file=tmp_path / "best.npz")
    losses = result["validation_loss"]
    assert result["epochs"] == len(losses) == result["best_epoch"] + 2 < 60
    assert result["best_epoch"] == 1 + np.argmin(losses)
    best = Checkpoint.load(tmp_path / "best.npz")
    assert best.position.epoch == result["best_epoch"]
    assert best.position.validation_loss == losses[:-2]
    options = ("--checkpoint", tmp_path / "best.npz", "--dataset", "iris", "--json", "-")
    code, out, err = backpulse("infer", *options)
    assert code == 0, err
    assert json.loads(out)["accuracy"] == result["test_accuracy"][result["best_epoch"] - 1]
    code, _, err = backpulse("train", "--resume", tmp_path / "run.npz", "--epochs", 70)
    assert code == 2
    assert f"has ended: no validation loss has been below that of epoch {result['best_epoch']}; start a new one" in err


def test_the_reference_goes_by_the_same_rule_or_the_same_rates():
    settings = ENDING.changed(lr_schedule="plateau", lr_wait=1)
    data = prepare(settings, 127)
    own = train_software(settings, data, 60, 127)
    assert own["learning_rate"] == settings.rates(60, own["validation_loss"])[:-1]
    assert own["epochs"] == own["best_epoch"] + 2 < 60
    rates = [2.0, 1.0, 0.5, 0.25, 0.125, 0.1]
    led = train_software(settings, data, 5, 127, rates=rates)
    assert led["learning_rate"] == rates[:5]
    array = run(PLAIN.changed(validation=0.2, lr=0.5), epochs=5)
    same = train_software(PLAIN.changed(validation=0.2, lr=0.5), data, 5, 127)
    assert array["validation_loss"] == pytest.approx(same["validation_loss"], abs=0.02)


def test_train_says_rate_and_validation(backpulse, tmp_path):
    options = ("--dataset", "iris", "--layers", "4-5-3", "--epochs", 4, "--lr-schedule", "cosine", "--validation", 0.2)
    code, out, err = backpulse("train", *options, "--reference", "--json", "-", "--plot", "run.svg", "--checkpoint", "run.npz")
    assert code == 0, err
    result = json.loads(out)
    assert "lr 0.5, cosine" in err
    for epoch, rate in enumerate(result["learning_rate"]):
        scores = f"loss {result['train_loss'][epoch]:.4f}  validation loss {result['validation_loss'][epoch]:.4f}"
        assert f"epoch {epoch + 1}/4  lr {rate:.3g}  {scores}" in err
    best = result["best_epoch"]
    assert f"Lowest validation loss {min(result['validation_loss']):.4f} after epoch {best}, where test accuracy was" in err
    picture = (tmp_path / "run.svg").read_text()
    assert "<!-- learning rate -->" in picture
    assert "<!-- in the array, validation part -->" in picture
    code, _, err = backpulse("train", "--resume", "run.npz", "--epochs", 5)
    assert (code, "falls to the end of its 4 epochs: give as many, not 5" in err) == (2, True)
    for more, sentence in {
        ("--best", "best.npz"): "The best epoch has the lowest validation loss: give a share of the training part for it",
        ("--best", "best.npz", "--schedule", "software"): "The software schedule has no array: leave --checkpoint, --best",
    }.items():
        code, _, err = backpulse("train", "--dataset", "iris", *more)
        assert (code, sentence in err) == (2, True), err


def test_a_run_done_again_for_its_pulse_log_has_its_rates(tmp_path):
    """On the golden model, up to where the user stopped, with the rates of the run that was to be longer."""
    settings, logs = PLAIN.changed(lr_schedule="cosine", validation=0.2), []
    for name in ("golden.npz", "again.npz"):
        log = RunLog(tmp_path / name)
        config = board_config(settings.network, settings.device_model, tile="16x8")
        with open_board("golden://", config=config, log=log if name == "golden.npz" else None) as board:
            trainer = Trainer(board, settings, 8, log=log if name == "golden.npz" else None)
            start = trainer.checkpoint()
            for _ in range(2):
                trainer.epoch()
            trainer.train_part(7)
            if name == "again.npz":
                repeat(start, trainer, log, trainer.result())
        log.close()
        with np.load(tmp_path / name) as file:
            logs.append({key: file[key] for key in file.files})
    assert all(np.array_equal(logs[0][key], logs[1][key]) for key in logs[0])


def test_checkpoints_keep_what_a_schedule_needs(tmp_path):
    path = tmp_path / "run.npz"
    settings = PLAIN.changed(lr_schedule="cosine", lr_floor=0.1, validation=0.2)
    run(settings, epochs=3, checkpoint_file=path)
    fields, arrays = parts(path)
    given = ("lr_schedule", "lr_floor", "validation")
    assert [name for name in LATER if name in fields["settings"]] == list(given)
    assert Checkpoint.load(path).settings == settings
    lies = [
        (lambda f, a: f["settings"].update(lr_schedule="step"), "scales must be the words that the settings give"),
        (lambda f, a: f["settings"].update(lr_wait=1.5), "The setting lr_wait must be a whole number, not 1.5"),
        (lambda f, a: f["settings"].update(lr_factor=2.0), "The setting lr_factor must be above 0 and below 1, not 2.0"),
        (lambda f, a: f["settings"].update(lr_floor=1), "settings.lr_floor must be as 1.0, not 1"),
        (lambda f, a: f["settings"].pop("validation"), "it has an array 'validation_loss', which this version does not know"),
        (lambda f, a: f.update(epochs=4), "scales must be the words that the settings give"),
        (lambda f, a: a.pop("validation_loss"), "it has no array validation_loss"),
        (lambda f, a: a["validation_loss"].__setitem__(1, -1.0), "validation_loss must be from 0 to inf, not -1.0 (epoch 2)"),
        (lambda f, a: a["validation_accuracy"].__setitem__(0, 1.5), "validation_accuracy must be from 0 to 1.0, not 1.5 (epoch 1)"),
    ]
    for change, sentence in lies:
        lying, of_it = json.loads(json.dumps(fields)), {name: array.copy() for name, array in arrays.items()}
        change(lying, of_it)
        forge(path, lying, of_it)
        with pytest.raises(InputError) as refused:
            Checkpoint.load(path)
        assert sentence in str(refused.value)


def test_a_run_without_them_is_saved_as_before(tmp_path):
    run(PLAIN, epochs=1, checkpoint_file=tmp_path / "run.npz")
    fields, arrays = parts(tmp_path / "run.npz")
    assert not {*LATER} & {*fields["settings"]}
    assert not {"validation_loss", "validation_accuracy"} & {*arrays}
    assert fields["position"]["totals"].keys() == {c.name for c in Counter}

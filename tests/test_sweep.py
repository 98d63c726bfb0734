"""What a sweep's file says: its runs, and what is refused before anything starts."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from backpulse.host.errors import InputError
from backpulse.host.rates import best_epoch
from backpulse.host.settings import SOFTWARE, Settings
from backpulse.host.sweep import DIGITS, Interval, Sweep, plan
from backpulse.host.sweep_table import chosen, ranked, summarise, varied

IRIS: dict[str, Any] = {"dataset": "iris", "layers": "4-3"}


def test_a_grid_is_every_combination_in_order():
    runs, warnings = Sweep(settings=IRIS, grid={"lr": [0.5, 1.0], "seed": [1, 2, 3]}, epochs=2, tile="8x4").plan()
    assert [(run.settings.lr, run.settings.seed) for run in runs] == [(r, s) for r in (0.5, 1.0) for s in (1, 2, 3)]
    assert {(run.epochs, run.tile, run.settings.layers, len(run.data)) for run in runs} == {(2, "8x4", "4-3", 64)}
    assert not warnings


def test_points_draws_and_grid_are_combined_and_the_same_run_is_one():
    sweep = Sweep(
        settings=IRIS,
        points=[{"schedule": SOFTWARE}, {"schedule": "progressive", "rounding": "nearest"}],
        random={"lr": [0.25, 0.5]},
        draws=20,
        grid={"seed": [1, 2]},
    )
    assert len(sweep) == 2 * 20 * 2
    runs, _ = sweep.plan()
    assert len(runs) == len({run.identity for run in runs}) == 2 * 2 * 2
    assert varied([run.settings for run in runs]) == ["schedule", "lr", "rounding"]


def test_draws_depend_on_nothing_but_their_seed():
    rate: dict[str, Any] = {"low": 0.01, "high": 1.0, "log": True}
    few = Sweep(settings=IRIS, random={"lr": rate}, draws=5).plan()[0]
    many = Sweep(settings=IRIS, random={"weight_scale": [2, 4, 8], "lr": Interval(**rate)}, draws=200).plan()[0]
    assert [run.settings.lr for run in few] == [run.settings.lr for run in many][:5]
    drawn = [run.settings.lr for run in many]
    assert all(0.01 <= value <= 1 and value == float(f"{value:.{DIGITS}g}") for value in drawn)
    assert 0.4 < sum(value < 0.1 for value in drawn) / 200 < 0.6
    assert {run.settings.weight_scale for run in many} == {2, 4, 8}
    assert drawn != [run.settings.lr for run in Sweep(settings=IRIS, random={"lr": rate}, draws=200, draw_seed=2).plan()[0]]
    seeds = [run.settings.seed for run in Sweep(settings=IRIS, random={"seed": {"low": 3, "high": 6}}, draws=100).plan()[0]]
    assert sorted(seeds) == [3, 4, 5, 6]
    assert all(type(seed) is int for seed in seeds)


def test_a_run_is_known_by_all_that_it_is():
    (one,), _ = plan([Settings(**IRIS)], 2)
    same, _ = plan([Settings(**IRIS)], 2)
    others = [plan([Settings(**IRIS)], 3)[0], plan([Settings(**IRIS)], 2, "8x4")[0], plan([Settings(**IRIS, seed=2)], 2)[0]]
    identities = [run.identity for run in [one, *(run for (run,) in others), one.on("other data"), one.on("", "other spread")]]
    assert same[0].identity == one.identity
    assert len(set(identities)) == len(identities)


def test_without_layers_the_network_is_that_of_the_data():
    runs, _ = Sweep(grid={"dataset": ["iris", "wine"]}).plan()
    assert [run.settings.layers for run in runs] == ["4-32-3", "13-32-3"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epoch = 3", "Unknown key epoch (did you mean epochs?): keys are settings, points, random"),
        ("lr = 0.5", "Unknown key lr: keys are settings, "),
        ("[grid]\nlrr = [1.0]", "Unknown setting lrr (did you mean lr?) in grid: settings are layers, "),
        ("[grid]\nlr = 0.5", "grid.lr must be a list of values, as in [0.25, 0.5], not 0.5"),
        ("[grid]\nlr = []", "grid.lr must be a list of values"),
        ("[grid]\nlr = [0.5]\n[settings]\nlr = 1.0", "The setting lr stands in settings and in grid: leave it in one of them"),
        ("draws = 3", "A random draw needs both: draws, how many, and the table random, of what"),
        ("[random]\nlr = [0.5]", "A random draw needs both"),
        ("draws = 2\n[random]\nlr = {low = 1.0, high = 0.5}", "random.lr must be a list to choose from or an interval as {low = 0.01"),
        ("draws = 2\n[random]\nlr = {low = 0.0, high = 0.5, log = true}", "low at most high, and above 0 with log"),
        ("draws = 2\n[random]\nseed = {low = 1.5, high = 3.0}", "an interval as {low = 1, high = 8}"),
        ("draws = 2\n[random]\nschedule = {low = 1, high = 3}", "random.schedule must be a list to choose from, not"),
        ("draws = 2\n[random]\nlr = {lo = 1, high = 3}", "random.lr must be a list"),
        ("draws = -1", "draws must be a whole number from 0 to 1,000,000, not -1"),
        ("epochs = 1.5", "epochs must be a whole number from 1 to"),
        ("epochs = 0", "epochs must be a whole number from 1 to"),
        ("tile = 8", "tile must be text, not 8"),
        ("points = []", "points must be a list of tables, not []"),
        ("grid = [1]", "grid must be a table of settings, not [1]"),
        ("choose = ['lr']", "choose names lr, which does not vary: leave it out"),
        ("choose = ['lr']\n[grid]\nlr = [0.5, 1.0]", "choose needs a part to choose by: give all runs one with validation"),
        ("choose = ['lr']\n[grid]\nseed = [1, 2]\nactivation = ['tanh', 'relu']", "name some of activation"),
        (
            "[grid]\nlr = [1.0, -1.0, 1e-9]",
            "2 of 3 runs can never be done, and none is started: The learning rate must be a positive number",
        ),
        ("[grid]\nlr = [1.0, -1.0, 1e-9]", ". Learning rate 1e-09 can never make a pulse"),
        (
            "[settings]\nlayers = '64-10'\n[grid]\ndataset = ['iris', 'digits']",
            "1 of 2 runs can never be done, and none is started: iris has",
        ),
        ("[grid]\ndataset = ['none.csv']", "There is no data set none.csv"),
        ("[settings]\nlayers = '64-10'\n[grid]\nschedule = ['prog']", "Unknown schedule prog: choose one of"),
        ("tile = '8'\n[settings]\nlayers = '64-10'", "A tile is rows x columns, as in 128x32, not 8"),
        ("[grid]\nlr = [1.0, '2']", "The setting lr must be a number, not '2'"),
        ("[grid]\nseed = [1, 2.5]", "The setting seed must be a whole number, not 2.5"),
    ],
)
def test_what_is_no_sweep_is_refused(text, sentence):
    with pytest.raises(InputError) as refused:
        Sweep(**tomllib.loads(text)).plan()
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_too_many_runs_are_refused_before_they_are_made():
    sweep = Sweep(settings=IRIS, grid={"seed": list(range(2000)), "lr": [0.5 + k / 1000 for k in range(1000)]})
    with pytest.raises(InputError, match=r"The sweep has 2,000,000 runs, and at most 1,000,000 are possible"):
        sweep.plan()


def test_files_that_cannot_be_read(tmp_path):
    for name, content, sentence in (
        ("none.toml", None, "cannot be read: no such file"),
        ("bad.toml", b"lr = ", "is no TOML: "),
        ("bytes.toml", b"\xff", "is no TOML: "),
        ("key.toml", b"epoch = 3", "key.toml: Unknown key epoch (did you mean epochs?)"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as refused:
            Sweep.read(tmp_path / name)
        assert sentence in str(refused.value)
    with pytest.raises(InputError, match="cannot be read"):
        Sweep.read(Path(tmp_path))


def results(*runs):
    """Return what runs came to: (settings, accuracies by epoch, validation accuracies by epoch, validation losses)."""
    found = []
    for values, tested, validated, losses in runs:
        result = {"test_accuracy": tested, "class_accuracy": [1.0]}
        result |= {"validation_accuracy": validated, "best_epoch": best_epoch(losses) or None}
        found.append((Settings(**values), result))
    return found


def test_the_choice_is_made_by_the_validation_part_alone():
    """The group and the epoch that look best on the test part are not those that the validation part chooses."""
    found = results(
        ({"lr": 0.5, "seed": 1}, [0.5, 0.7, 0.99], [0.6, 0.8, 0.7], [0.3, 0.1, 0.2]),
        ({"lr": 0.5, "seed": 2}, [0.5, 0.8, 0.99], [0.6, 0.9, 0.7], [0.3, 0.1, 0.1]),
        ({"lr": 1.0, "seed": 1}, [0.5, 0.9, 0.99], [0.6, 0.7, 0.9], [0.3, 0.1, 0.2]),
        ({"lr": 1.0, "seed": 2}, [0.5, 0.9, 0.99], [0.6, 0.7, 0.9], [0.3, 0.1, 0.2]),
    )
    groups = summarise(found, ["lr"])
    assert [(group["lr"], round(group["mean"], 9)) for group in groups] == [(0.5, 0.75), (1.0, 0.9)]
    assert groups[0]["std"] == pytest.approx(math.sqrt(0.005))
    (best,) = chosen(groups, ["lr"], ["lr"])
    assert (best["lr"], best["validation_accuracy"]) == (0.5, pytest.approx(0.85))
    assert [group["lr"] for group in ranked(groups)] == [0.5, 1.0]


def test_one_is_chosen_for_each_of_the_other_settings():
    found = results(
        *(
            ({"schedule": schedule, "lr": rate}, [accuracy], [accuracy], [0.1])
            for schedule, rate, accuracy in (
                ("progressive", 0.5, 0.6),
                ("progressive", 1.0, 0.5),
                (SOFTWARE, 0.5, 0.7),
                (SOFTWARE, 1.0, 0.8),
            )
        )
    )
    best = chosen(summarise(found, ["schedule", "lr"]), ["schedule", "lr"], ["lr"])
    assert [(group["schedule"], group["lr"]) for group in best] == [(SOFTWARE, 1.0), ("progressive", 0.5)]

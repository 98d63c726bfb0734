"""Run files: the options of train in TOML."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backpulse.host.run_file import FOR_INFER, read_run_file
from backpulse.host.settings import Settings

PAGE = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
RUN = 'dataset = "iris"\nlayers = [4, 6, 3]\nlr = 1\nbias = false\nepochs = 2\ntile = "16x8"\nreference = true\ncheckpoint = "run.npz"\n'


def test_the_command_line_wins(backpulse):
    Path("run.toml").write_text(RUN)
    code, out, err = backpulse("train", "--config", "run.toml", "--lr", 0.25, "--epochs=1", "--bias", "--json", "-")
    assert code == 0, err
    result = json.loads(out)
    wanted = Settings(dataset="iris", layers="4-6-3", lr=0.25)
    assert (result["settings"], result["epochs"], "reference" in result) == (wanted.to_dict(), 1, True)
    code, out, err = backpulse("infer", "--config=run.toml", "--json", "-")
    assert code == 0, err
    assert json.loads(out)["accuracy"] == result["test_accuracy"][-1]
    # Goes on: what the file says is that of the checkpoint.
    code, out, err = backpulse("train", "--config", "run.toml", "--resume", "run.npz", "--lr", 0.25, "--bias", "--json", "-")
    assert (code, json.loads(out)["epochs"]) == (0, 2), err


def test_the_pages_example_runs(backpulse):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    Path("run.toml").write_text(text)
    assert backpulse("train", "--config", "run.toml")[0] == 0
    assert backpulse("infer", "--config", "run.toml")[0] == 0


def test_every_option_can_stand_in_it(tmp_path):
    """And what infer takes of it is an option of both."""
    (tmp_path / "run.toml").write_text("no = 1")
    with pytest.raises(ValueError, match="Unknown key") as error:
        read_run_file(tmp_path / "run.toml")
    keys = set(str(error.value).rpartition("keys are ")[2].split(", "))
    assert {*Settings.model_fields, "board", "epochs", "init", "plot", "json", *FOR_INFER} <= keys


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("epoch = 3", "run.toml: Unknown key epoch (did you mean epochs?): keys are layers, "),
        ("weight-scale = 8", "run.toml: Unknown key weight-scale (did you mean weight_scale?)"),
        ("config = 'other.toml'", "run.toml: Unknown key config"),
        ("epochs = 2.5", "run.toml: epochs must be a whole number, not 2.5"),
        ("epochs = true", "run.toml: epochs must be a whole number, not True"),
        ("lr = '1'", "run.toml: lr must be a number, not '1'"),
        ("bias = 1", "run.toml: bias must be true or false, not 1"),
        ("board = 1", "run.toml: board must be text, not 1"),
        ("dataset = 2020-01-01", "run.toml: dataset must be text, not datetime.date(2020, 1, 1)"),
        ("schedule = 'deffered'", "run.toml: schedule: Unknown schedule deffered (did you mean deferred?): choose one of progressive, "),
        ("epochs = 0", "run.toml: epochs: Input should be greater than or equal to 1, not 0"),
        ("lr = 1e6", "run.toml: lr: Learning rate 1e+06 is beyond the scale registers: it must be at most 3.36e+04"),
        ("tile = '8y4'", "run.toml: tile: A tile is rows x columns, as in 128x32, not 8y4"),
        ("seed = -4", "run.toml: seed: The seed must be from 0 to 4294967295, not -4"),
        ("tiles = 9999", "run.toml: tiles: Configuration field tiles must be an integer from 1 to 1024, not 9999"),
        ("board = 'gloden://'", "run.toml: board: Unknown board gloden://: did you mean golden://?"),
        ("x = ", "run.toml is no TOML: "),
        ("json = 'run.toml'", "--json run.toml would write over the file of --config"),
    ],
)
def test_what_is_wrong_is_one_sentence(backpulse, text, sentence):
    Path("run.toml").write_text(text)
    code, _, err = backpulse("train", "--config", "run.toml")
    assert (code, sentence in " ".join(err.split())) == (2, True), err


def test_what_the_command_line_says_wrong_is_not_the_files(backpulse):
    Path("run.toml").write_text("dataset = 'iris'\nlr = 0.5\nepochs = 3\n")
    for arguments in (["--lr", -1], ["--epochs", 0], ["--tile", "8y4"]):
        code, _, err = backpulse("train", "--config", "run.toml", *arguments)
        assert (code, "run.toml" in err) == (2, False), err


def test_a_file_that_is_not_there_is_told(backpulse):
    code, _, err = backpulse("infer", "--config", "none.toml")
    assert (code, "none.toml cannot be read: no such file" in err) == (2, True)
    Path("a.toml").touch()
    code, _, err = backpulse("train", "--config", "a.toml", "--config", "a.toml")
    assert (code, "--config names one run file, not 2" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--activation", "sigmoyd"], "Unknown activation sigmoyd (did you mean sigmoid?)"),
        (["--output", "liner"], "Unknown output liner (did you mean linear?)"),
        (["--loss", "cross_entropy"], "Unknown loss cross_entropy (did you mean cross-entropy?)"),
        (["--lr-schedule", "cosin"], "Unknown lr_schedule cosin (did you mean cosine?)"),
        (["--rounding", "neerest"], "Unknown rounding neerest (did you mean nearest?)"),
        (["--device", "ecrm"], "Unknown device ecrm (did you mean ecram?)"),
        (["--device", "ecram:linaer"], "Unknown device ecram:linaer (did you mean ecram:linear?)"),
        (["--board", "golden://?arry=a.toml"], "Unknown board golden://?arry=a.toml (did you mean array?)"),
        (["--device", "aihwkit:EcRm"], "Unknown preset EcRm (did you mean EcRam?)"),
        (["--dataset", "digts"], "There is no data set digts (did you mean digits?)"),
        (["--start", "verfy", "--dataset", "iris"], "Unknown start verfy (did you mean verify?)"),
        (["--missing", "medain"], "not medain (did you mean median?)"),
    ],
)
def test_wrong_words_get_the_nearest_right_one(backpulse, options: list[Any], told):
    code, _, err = backpulse("train", *options)
    assert (code, told in " ".join(err.split())) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fit", "--board", "icebraker"], "Unknown board 'icebraker' (did you mean icebreaker?)"),
        (["array", "model", "a.toml"], "a.toml: kind must be one of emulated, real, not 'emulatd' (did you mean emulated?)"),
        (["device", "fit", "a.csv", "--out", "b.toml", "--layout", "rampz"], "not 'rampz' (did you mean ramps?)"),
        (["train", "--dataset", "a.csv", "--target", "specis"], "a.csv has no column specis (did you mean species?)"),
        (["sweep", "s.toml"], "s.toml: Unknown schedule defered (did you mean deferred?)"),
        (["train", "--schedul", "deferred"], "No such option: --schedul (Possible options: --lr-schedule, --schedule,"),
        (["array", "clibrate"], "No such command 'clibrate'. Did you mean 'calibrate'?"),
    ],
)
def test_so_do_names_and_words_in_files(backpulse, arguments: list[str], told):
    Path("a.toml").write_text("kind = 'emulatd'")
    Path("a.csv").write_text("size,species\n1,a\n2,b\n")
    Path("s.toml").write_text("[grid]\nschedule = ['defered']\n")
    code, _, err = backpulse(*arguments)
    assert (code, told in " ".join(err.split())) == (2, True), err

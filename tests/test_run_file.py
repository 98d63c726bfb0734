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
        ("schedule = 'deffered'", "Unknown schedule deffered (did you mean deferred?): choose one of progressive, "),
        ("epochs = 0", "Invalid value for '--epochs'"),
        ("x = ", "run.toml is no TOML: "),
        ("json = 'run.toml'", "--json run.toml would write over the file of --config"),
    ],
)
def test_what_is_wrong_is_one_sentence(backpulse, text, sentence):
    Path("run.toml").write_text(text)
    code, _, err = backpulse("train", "--config", "run.toml")
    assert (code, sentence in " ".join(err.split())) == (2, True), err


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
        (["--device", "aihwkit:EcRm"], "Unknown preset EcRm (did you mean EcRam?)"),
        (["--dataset", "digts"], "There is no data set digts (did you mean digits?)"),
        (["--start", "verfy", "--dataset", "iris"], "Unknown start verfy (did you mean verify?)"),
        (["--missing", "medain"], "not medain (did you mean median?)"),
    ],
)
def test_wrong_words_get_the_nearest_right_one(backpulse, options: list[Any], told):
    code, _, err = backpulse("train", *options)
    assert (code, told in " ".join(err.split())) == (2, True), err

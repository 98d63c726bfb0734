import json
import tomllib
from typing import Any, get_args

import pytest

from backpulse.host.cli_boards import fit
from backpulse.host.cli_compare import compare
from backpulse.host.cli_train import train
from backpulse.host.errors import InputError
from backpulse.host.options import OF_DATA, OF_TRAINING
from backpulse.host.settings import Settings

NAMES = ", ".join(Settings.model_fields)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("learing_rate", "learing_rate"),
        ("layer", "layer (did you mean layers?)"),
        ("weight-scale", "weight-scale (did you mean weight_scale?)"),
        ("shedule", "shedule (did you mean schedule?)"),
        ("Seed", "Seed (did you mean seed?)"),
    ],
)
def test_an_unknown_setting_is_told_with_the_nearest(name, told):
    wrong: dict[str, Any] = {name: 1}
    for make in (lambda: Settings(**wrong), lambda: Settings.from_dict({name: 1, "seed": 2}), lambda: Settings().changed(**{name: 1})):
        with pytest.raises(InputError) as error:
            make()
        assert str(error.value) == f"Unknown setting {told}: settings are {NAMES}"
        assert error.value.exit_code == 2


def test_all_unknown_settings_are_told_before_wrong_values():
    with pytest.raises(InputError, match=r"^Unknown setting sed \(did you mean seed\?\), nonsense: settings are layers, "):
        Settings.from_dict({"sed": 1, "lr": "fast", "nonsense": None})


def test_files_have_the_same_schema():
    text = 'layers = "4-5-3"\nlr = 1\ndataset = "iris"\ndrop = ["a", "b, c"]\nbias = false\n'
    settings = Settings.from_dict(tomllib.loads(text))
    assert settings == Settings(layers="4-5-3", lr=1.0, dataset="iris", drop='a,"b, c"', bias=False)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert Settings.from_dict({}) == Settings()
    assert hash(settings.changed(seed=2)) == hash(settings.changed(seed=2)) != hash(settings)


def test_settings_stay_as_they_were_checked():
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.lr = -1.0  # type: ignore[misc]  # the test
    with pytest.raises(InputError, match="The learning rate must be a positive number, not -1"):
        settings.changed(lr=-1.0)


@pytest.mark.parametrize(
    ("command", "but"),
    [
        (train, set()),
        (compare, {"schedule", "lr", "seed", "patience"}),
        (fit, {"rounding", "auto_range", "device", "spread", "seed", *OF_TRAINING, *OF_DATA}),
    ],
)
def test_commands_have_the_options_of_the_schema(command, but):
    """Name, type, default and text of each are those of the schema; none of them is in the command's own code."""
    annotations = command.__annotations__
    assert {*annotations} & {*Settings.model_fields} - {*command.__wrapped__.__annotations__} == {*Settings.model_fields} - but
    defaults = {name: parameter.default for name, parameter in command.__signature__.parameters.items()}
    for name in {*Settings.model_fields} - but:
        kind, option = get_args(annotations[name])
        field = Settings.model_fields[name]
        assert (kind, defaults[name]) == (field.annotation, field.default)
        assert option.help in {about.text for about in field.metadata if hasattr(about, "text")}


def test_options_reach_the_run(backpulse, tmp_path):
    """Every setting, by its option, ends in the result; a typo is refused and the nearest named."""
    given = {
        "layers": "4-6-3",
        "activation": "tanh",
        "output": "tanh",
        "bias": False,
        "weight_scale": 8,
        "schedule": "deferred",
        "lr": 0.25,
        "lr_schedule": "plateau",
        "lr_wait": 2,
        "lr_factor": 0.75,
        "lr_floor": 0.5,
        "validation": 0.25,
        "patience": 3,
        "rounding": "nearest",
        "auto_range": False,
        "device": "ecram-mo",
        "seed": 7,
        "dataset": "iris",
        "features": "1,2,3,4",
    }
    options = []
    for name, value in given.items():
        option = name.replace("_", "-")
        options += [f"--{option}", value] if not isinstance(value, bool) else [f"--no-{option}"]
    code, out, err = backpulse("train", *options, "--epochs", 1, "--json", "-")
    assert code == 0, err
    assert json.loads(out)["settings"] == {**Settings().to_dict(), **given}
    code, _, err = backpulse("train", "--weight-scal", 8)
    assert (code, "--weight-scale" in err) == (2, True)

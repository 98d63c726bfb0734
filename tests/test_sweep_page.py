"""The examples of docs/sweeps.md are sweeps, and its programs run."""

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from backpulse.host.sweep import Sweep

PAGE = (Path(__file__).parent.parent / "docs" / "sweeps.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", blocks("toml"), ids=lambda text: text.split()[1])
def test_examples_are_sweeps(text):
    runs, warnings = Sweep(**tomllib.loads(text)).plan()
    assert len(runs) > 10
    assert not warnings


def test_every_key_is_in_the_table():
    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)))) == set(Sweep.model_fields)


def small(text):
    """Return a sweep of digits as one that takes no time."""
    text = text.replace("digits", "iris").replace("64-32-10", "4-3").replace("seed = [1, 2, 3, 4, 5]", "seed = [1, 2]")
    return re.sub(r"epochs = \d+", 'epochs = 3\ntile = "8x4"', text)


def test_the_rate_is_chosen_by_the_validation_part(backpulse):
    Path("rates.toml").write_text(small(blocks("toml")[3]))
    code, out, err = backpulse("sweep", "rates.toml", "--workers", 1, "--json", "r.json")
    assert (code, "What is chosen by the test part" in err) == (0, False)
    assert "The best lr by the validation part, and what the test part says of it, in %" in " ".join(out.split())
    told = json.loads(Path("r.json").read_text())
    assert (told["choose"], [len(group["curves"]) for group in told["summary"]]) == (["lr"], [2, 2, 2])
    rows = pd.read_parquet("rates")
    for group in told["summary"]:
        some = rows.query(f"schedule == {group['schedule']!r}")
        validated = [accuracies[best - 1] for accuracies, best in zip(some.validation_accuracy, some.best_epoch, strict=True)]
        means = some.assign(validated=validated).groupby("lr").validated.mean()
        assert group["validation_accuracy"] == pytest.approx(means.max()) == pytest.approx(means[group["lr"]])
        assert group["mean"] == pytest.approx(some.query(f"lr == {group['lr']}").accuracy.mean())


def test_programs_run(backpulse, capsys):
    reading, cluster, python = blocks("python")
    Path("grid.toml").write_text(small(blocks("toml")[0]))
    assert backpulse("sweep", "grid.toml", "--workers", 1, "--curves", "curves.png", "--heat-map", "map.svg")[0] == 0
    assert {Path(name).read_bytes()[:4] for name in ("curves.png", "map.svg")} == {b"\x89PNG", b"<?xm"}
    exec(reading, {})
    exec(python, {"__name__": "__main__"})
    out, _ = capsys.readouterr()
    assert "progressive-exact" in out
    assert len(re.findall(r"^ *[\d.]+  [\d.]+ %$", out, re.MULTILINE)) == 4
    compile(cluster, "cluster", "exec")

"""The examples of docs/sweeps.md are sweeps, and its programs run."""

import re
import tomllib
from pathlib import Path

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


def test_programs_run(backpulse, capsys):
    reading, cluster, python = blocks("python")
    small = blocks("toml")[0].replace("digits", "iris").replace("64-32-10", "4-3").replace("epochs = 10", "epochs = 2")
    Path("grid.toml").write_text(small)
    assert backpulse("sweep", "grid.toml", "--workers", 1, "--curves", "curves.png", "--heat-map", "map.svg")[0] == 0
    assert {Path(name).read_bytes()[:4] for name in ("curves.png", "map.svg")} == {b"\x89PNG", b"<?xm"}
    exec(reading, {})
    exec(python, {"__name__": "__main__"})
    out, _ = capsys.readouterr()
    assert "progressive-exact" in out
    assert len(re.findall(r"^ *[\d.]+  [\d.]+ %$", out, re.MULTILINE)) == 4
    compile(cluster, "cluster", "exec")

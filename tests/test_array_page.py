"""docs/array.md takes a person from a bare board to a trained array: its commands, in their order, against the simulated front end."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from backpulse.firmware_py.array import Array, FrontEnd, Stuck
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.physical import physical
from backpulse.gateware.sim.front_end_board import CLOCK_KHZ, build_with_front_end
from backpulse.gateware.sim.virtual_board import VirtualBoard
from backpulse.host.array_file import read_array
from backpulse.host.calibration_file import read_calibration
from backpulse.host.datasets import load
from backpulse.host.urls import board_config
from tests.front_ends import SMALL

PAGE = (Path(__file__).parent.parent / "docs" / "array.md").read_text()
PORT = "/dev/ttyUSB1"
KNOWN = 22e3
MARK = "<!-- devices -->"
"""Behind it devices are in the socket, before it resistors."""


def commands(text):
    """Return what the page lets a person type."""
    return [shlex.split(line) for line in text.splitlines() if re.match("    (backpulse|sed) ", line)]


def in_the_socket(array: Array, *, resistors: bool) -> Array:
    """Return what is simulated: amplifiers with errors that the file does not know, and perhaps resistors in place of devices."""
    front = array.front_end
    assert front
    units = (1 / KNOWN - array.cells.mid) / array.cells.per_unit
    stuck = [Stuck(row=row, col=col, value=units) for row in range(8) for col in range(8)] if resistors else []
    errors = FrontEnd(**{**front.model_dump(), "offset_mv": 2.0, "gain_error": 0.01})
    return array.model_copy(update={"front_end": errors, "stuck": stuck})


class Person:
    """Types what the page says."""

    def __init__(self, backpulse, folder, shortened):
        self._run, self._folder, self._shortened = backpulse, folder, shortened
        self.typed: list[str] = []
        self.out: dict[str, str] = {}
        self._code = ""

    def type(self, words, url):
        if words[0] == "sed":  # sed -i '1i TEXT' FILE
            file = self._folder / words[3]
            file.write_text(words[2].removeprefix("1i ") + "\n" + file.read_text())
            return
        words = [self._code if word == "CODE" else word.replace(PORT, url) for word in words[1:]]
        if words[0] == "train" and self._shortened:
            words[words.index("iris")], words[words.index("--epochs") + 1] = "few.csv", "1"
        code, out, err = self._run(*words)
        assert code == 0, (words, err)
        name = " ".join(words[: 2 if words[0] == "array" else 1])
        self.typed.append(name)
        self.out[name] = " ".join((out + err).split())
        if found := re.findall("--confirm ([0-9a-f]{6})", err):
            self._code = found[0]


def follow(backpulse, folder, *, shortened):
    """Do all that the page says, in an empty folder; return the person who did."""
    (folder / "lab.toml").write_text(re.findall("```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    array = read_array(folder / "lab.toml")
    if shortened:
        flowers = load("iris")
        rows = [f"{','.join(f'{value:g}' for value in flowers.x[k])},{'abc'[flowers.y[k]]}" for k in range(0, 150, 10)]
        (folder / "few.csv").write_text("a,b,c,d,kind\n" + "\n".join(rows) + "\n")
    person = Person(backpulse, folder, shortened)
    config = board_config(None, PRESETS["ideal"], array=array)
    program = build_with_front_end(config, array)  # one serves both
    before, after = PAGE.split(MARK)
    for text, resistors in ((before, True), (after, False)):
        found = physical(in_the_socket(array, resistors=resistors), CLOCK_KHZ, config).to_bytes()
        with VirtualBoard(program, line="tcp", array=found) as board:
            for words in commands(text):
                person.type(words, board.url)
    return person


def check(person, folder):
    """Check what a person finds behind the last command."""
    assert person.typed == [
        *("info", "array arm", "array arm", "array map", "array calibrate", "array map"),
        *("array arm", "array arm", "array map", "array pulse", "array iv", "array retention", "array endurance"),
        *("array program", "train", "infer", "array arm"),
    ]
    assert "Off: all drivers are off" in person.out["array arm"]
    assert re.search(r"READ and READT differ, RMS and worst 0\.\d+ µS, .* N² g R 0\.00\d+, at most 0\.1", person.out["array map"])
    found = read_calibration(folder / "calibration.json")
    assert (found.name, found.method) == ("die 7", "gains and factors of known resistors")
    assert max(map(abs, found.trim)) > 5
    header, *rows = [line for line in (folder / "pulses.csv").read_text().splitlines() if not line.startswith("#")]
    assert header == "row,column,pulse,direction,conductance_S"
    curve = np.array([float(row.split(",")[4]) for row in rows[:41]])
    assert curve[20] - curve[0] > 1e-6
    assert abs(curve[40] - curve[0]) < 1e-6
    with np.load(folder / "ledger.npz") as ledger:
        assert ledger["done"][7, 7] >= 120
        assert ledger["done"][1, 1] >= 40
    for name in ("first", "calibrated", "map", "pulses", "programmed"):
        assert (folder / f"{name}.png").exists()


def test_its_commands_work_in_their_order(backpulse, tmp_path, monkeypatch):
    """With every tenth flower and one epoch of training, on a board that other tests build too; `make array` takes all."""
    monkeypatch.setattr("backpulse.host.urls.DEFAULT", SMALL)
    person = follow(backpulse, tmp_path, shortened=True)
    check(person, tmp_path)
    assert "Accuracy" in person.out["infer"]


@pytest.mark.slow
def test_its_training_trains(backpulse, tmp_path):
    person = follow(backpulse, tmp_path, shortened=False)
    check(person, tmp_path)
    accuracy = float(re.findall(r"Accuracy ([\d.]+) %", person.out["infer"])[0])
    assert accuracy >= 80


def test_the_page_names_each_command_of_the_lab():
    for name in ("map", "pulse", "program", "retention", "endurance", "arm", "calibrate", "iv", "form"):
        assert f"`{name}`" in PAGE or f"backpulse array {name}" in PAGE

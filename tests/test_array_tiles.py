"""The conformance bench on virtual boards: the example of docs/tile.md keeps the contract, and tiles with faults are found by their checks.

The matrix of all faults takes minutes: `make array`.
"""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from backpulse.firmware_py.config import IDEAL, DeviceKind
from backpulse.firmware_py.device import PRESETS
from backpulse.gateware.sim.virtual_board import VirtualBoard, build
from backpulse.host.array_bench import Bench
from backpulse.host.array_check import CHECKS, check_array, chosen
from backpulse.host.urls import open_board
from cocotb_tests.broken_tiles import FAULT_WORD, FAULTS, OF_SERIAL, broken_emulated, broken_serial, number

CONFIG = replace(
    IDEAL,
    tile_rows=8,
    tile_cols=4,
    program_words=128,
    regions=32,
    vector_words=256,
    page_bytes=64,
    store_words=1024,
    order_depth=64,
    result_depth=16,
    output_depth=0,
    trace_words=64,
)
TILES = {"emulated": (broken_emulated, CONFIG), "serial": (broken_serial, replace(CONFIG, device=DeviceKind.REAL))}
NOT_TESTED = {"emulated": {6, 7, 12, 13, 15, 16, 17, 18, 19, 21}, "serial": {6, 12, 13, 15, 16, 17, 19, 21}}
"""Checks that are not made of a tile, or not whole."""


@contextmanager
def virtual(tile, fault):
    make, config = TILES[tile]
    with VirtualBoard(build(config, tile=make), line="tcp") as running, open_board(running.url) as board:
        board.link.write_words(FAULT_WORD, [number(fault) if fault else 0])
        yield board


def results(board, only=None):
    bench = Bench(board, PRESETS["ideal"])
    with bench.kept():
        return list(check_array(bench, chosen(only), lambda check: None))


def failed(found):
    return {result.check.number for result in found if result.status == "failed"}


def test_the_example_keeps_the_contract_and_its_faults_are_found():
    with virtual("serial", None) as board:
        assert [result.status for result in results(board, "3,7,14,18,19")] == [*["passed"] * 5, "not tested"]
    with virtual("serial", "even part") as board:
        assert failed(results(board, "7,18")) == {7}
    with virtual("serial", "budget ignored") as board:
        assert failed(results(board, "7,18")) == {18}


@pytest.mark.slow
@pytest.mark.parametrize("tile", TILES)
def test_a_sound_tile_passes_all_that_it_claims(tile):
    with virtual(tile, None) as board:
        found = results(board)
    assert not failed(found)
    assert {result.check.number for result in found if result.status == "not tested"} == NOT_TESTED[tile]
    assert len(found) == len(CHECKS)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_by_its_checks_and_by_no_others(fault):
    with virtual("serial" if fault in OF_SERIAL else "emulated", fault) as board:
        found = results(board)
    assert failed(found) == FAULTS[fault], [result.why for result in found if result.status == "failed"]


def test_the_page_has_the_faults():
    page = (Path(__file__).parents[1] / "docs" / "tile.md").read_text()
    for fault, checks in FAULTS.items():
        assert f"| {fault} | {', '.join(map(str, sorted(checks)))} |" in page

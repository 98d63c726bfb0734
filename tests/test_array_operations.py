"""Reads with chosen drives, read maps and chosen pulses, over boards of every format."""

from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.config import DEFAULT, IDEAL, LEAN
from backpulse.firmware_py.formats import rshift
from backpulse.firmware_py.registers import Counter, Fault, Window
from backpulse.host.array_chain import room
from backpulse.host.array_operations import cell_sense, pulse, read, read_map, rectangle
from backpulse.host.errors import FaultError, InputError
from backpulse.host.urls import open_board

SMALL = replace(IDEAL, tile_rows=20, tile_cols=6, tiles=2)
TINY = {"program_words": 8, "regions": 2, "vectors": 8, "vector_words": 64, "page_bytes": 32, "store_words": 64, "order_depth": 16}
CONFIGS = {
    "small": SMALL,
    "tiny memories": replace(SMALL, **TINY, result_depth=16, output_depth=0, trace_words=0),
    "lean": replace(LEAN, tile_rows=20, tiles=2, cell_bits=11, cell_frac=10, page_bytes=32),
    "few bits": replace(SMALL, vector_frac=10, pre_frac=10, drive_bits=8, sense_bits=12, sense_scale_log2=4),
    "fewer bits": replace(SMALL, vector_bits=12, vector_frac=10, drive_bits=4, sense_bits=6, pulse_max=3),
    "linear step": replace(DEFAULT, tile_rows=20, tile_cols=6, tiles=2),
}
STEP = 8
"""Cell words of a pulse."""


@pytest.fixture(params=list(CONFIGS.values()), ids=list(CONFIGS))
def board(request):
    with open_board("golden://", config=request.param) as opened:
        opened.write([(Window.TILE.base, [64 * STEP, 64 * STEP])])
        if opened.config.bounds:
            opened.write([(Window.TILE.base + 4, [opened.config.cell_max, -opened.config.cell_max & 0xFFFFFFFF])])
        yield opened


def cells_of(board, seed=1):
    shape = (board.config.rows, board.config.tile_cols)
    limit = board.config.cell_max // 2
    cells = np.random.RandomState(seed).randint(-limit, limit + 1, shape)
    board.write_cells(cells)
    return cells


def sensed(config, cells, drives):
    words = [rshift(int(word), config.sense_shift) for word in (drives @ cells).ravel()]
    return np.clip(np.array(words).reshape(len(drives), -1), -config.sense_max, config.sense_max)


def test_reads_are_products_with_the_cells(board):
    config, cells = board.config, cells_of(board)
    area = rectangle(config, tile=1, row0=3, rows=11, col0=1, cols=3)
    inside = cells[config.tile_rows + 3 : config.tile_rows + 14, 1:4]
    rng = np.random.RandomState(2)
    for transposed, matrix in ((False, inside), (True, inside.T)):
        drives = rng.randint(-config.drive_max, config.drive_max + 1, (70, len(matrix)))
        told = []
        found = read(board, area, drives, transposed=transposed, report=lambda *at, told=told: told.append(at))
        assert (found == sensed(config, matrix, drives)).all()
        assert told[-1] == (70, 70)
    assert (board.read_cells() == cells).all()


def test_the_read_map_is_the_cells_in_sense_words_either_way(board):
    config, cells = board.config, cells_of(board)
    whole = rectangle(config, tile=1)
    expected = np.clip(cells[config.tile_rows :] / (1 << config.cell_frac) * cell_sense(config), -config.sense_max, config.sense_max)
    for transposed in (False, True):
        found = read_map(board, whole, transposed=transposed, averages=2)
        assert np.abs(found - expected).max() <= 0.5


def test_pulses_are_exact_and_no_other_cell_moves(board):
    config = board.config
    before = board.read_cells()
    counts = np.random.RandomState(3).randint(-2 * config.pulse_max, 2 * config.pulse_max + 1, (9, 4 if config.lean else 5))
    counts[4] = 0
    gained = board.raw_counters()
    pulse(board, rectangle(config, tile=1, row0=7, rows=9, col0=0, cols=counts.shape[1]), counts)
    expected = before.astype(int)
    expected[config.tile_rows + 7 : config.tile_rows + 16, : counts.shape[1]] += STEP * counts
    assert (board.read_cells() == expected).all()
    gained = np.subtract(board.raw_counters(), gained)
    assert gained[Counter.PULSES_UP] == counts[counts > 0].sum()
    assert gained[Counter.PULSES_DOWN] == -counts[counts < 0].sum()
    assert gained[Counter.STEPS] == sum(-(-np.abs(row).max() // config.pulse_max) for row in counts)


def test_what_cannot_be_is_refused_in_a_sentence():
    config = CONFIGS["tiny memories"]
    with open_board("golden://", config=config) as board:
        with pytest.raises(InputError, match="2 tiles of 20 x 6: name an area inside"):
            rectangle(config, row0=3, rows=18)
        with pytest.raises(InputError, match="20 words a read, each from -127 to 127"):
            read(board, rectangle(config), np.full((1, 20), 128))
        with pytest.raises(InputError, match="area's shape, 20 x 6, not 6 x 20"):
            pulse(board, rectangle(config), np.zeros((6, 20), int))
        with pytest.raises(InputError, match="page has 32: take a smaller area"):
            room(config, 33)


def test_a_profile_that_the_tile_does_not_know_is_a_fault():
    with open_board("golden://", config=SMALL) as board:
        for operation in (
            lambda: read(board, rectangle(SMALL), np.zeros((3, 20)), profile=5),
            lambda: pulse(board, rectangle(SMALL), np.ones((20, 6), int), profile=5),
        ):
            with pytest.raises(FaultError, match="fault BAD_OPERAND at program address 1") as told:
                operation()
            assert (told.value.fault, told.value.done) == (Fault.BAD_OPERAND, 0)
        assert not read(board, rectangle(SMALL), np.zeros((3, 20))).any()

"""A small run on the golden model that is recorded, and its trace taken apart and put together, for tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from backpulse.firmware_py.compiler import Program, compile_network
from backpulse.firmware_py.config import IDEAL, Config
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.image import initial_cells
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import Counter
from backpulse.firmware_py.streams import seed_states
from backpulse.host.board import Board
from backpulse.host.trace_file import Chunk, TraceWriter, _chunks
from backpulse.host.urls import open_board
from tests.machines import samples_for

CONFIG = replace(
    IDEAL,
    tile_rows=16,
    tile_cols=4,
    vector_words=64,
    program_words=64,
    regions=8,
    vectors=16,
    page_bytes=64,
    store_words=256,
    result_depth=16,
    output_depth=64,
    trace_words=64,
)
NETWORK = Network.parse("5-4-3")
SAMPLES = 20


def recorded(path: Path, *, config: Config = CONFIG, wrap=None, epochs: int = 2) -> tuple[Program, dict[Counter, int], np.ndarray]:
    """Train and evaluate a little on the golden model, recorded to a file if there is a name; return program, totals and cells."""
    program = compile_network(NETWORK, config)
    records = np.zeros((SAMPLES, 4 * program.stride_words), np.int8)
    samples = samples_for(NETWORK, SAMPLES, 1)
    records[:, : samples.shape[1]] = samples
    with open_board("golden://", config=config, wrap=wrap) as board:
        if path.name:
            board.record(path, {"layers": NETWORK.text})
        load(board, program)
        board.upload(records.view("<u4"))
        for epoch in range(epochs):
            board.train(program, np.roll(np.arange(SAMPLES), epoch))
            board.evaluate(program, np.arange(0, SAMPLES, 3), 1)
            board.evaluate_outputs(program, np.arange(2), 1)
        board.end_recording()
        return program, board.totals, board.read_cells()


def load(board: Board, program: Program) -> None:
    """Load a program with cells and random states."""
    device = PRESETS["ideal"]
    board.load(program, scales=[0x2_8000] * 8, tile_words=device.tile_words(board.config))
    board.write_cells(initial_cells(program, device, 1))
    board.write_random(seed_states(board.config, 1))


def chunks(path: Path) -> list[tuple[Chunk, bytes]]:
    """Return kind and payload of all chunks."""
    return [(Chunk(kind), payload) for _, kind, payload in _chunks(path, path.read_bytes())]


def written(path: Path, parts: list[tuple[Chunk, bytes]]) -> Path:
    """Write a trace of chunks, with checksums that are right."""
    path.unlink(missing_ok=True)
    writer = TraceWriter(path)
    for kind, payload in parts:
        writer.write(kind, payload)
    writer.close()
    return path

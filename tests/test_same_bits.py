"""The RTL and the golden model end with the same bits: every schedule, function, rounding, device, shape and way round."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from backpulse.firmware_py.compiler import SCHEDULES, Program, compile_network
from backpulse.firmware_py.config import IDEAL, SMALL, TABLE, Config
from backpulse.firmware_py.device import PRESETS, Device, with_values
from backpulse.firmware_py.digest import conductance_digest
from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, Counter, Window
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import TableDevice, carried
from backpulse.host.board import Board
from backpulse.host.scaling import records
from backpulse.host.table_state import TableState
from backpulse.host.urls import open_board

from .machines import noisy_cells, samples_for

CONFIGS = {
    "blocks": replace(
        SMALL, tile_rows=16, tile_cols=8, tiles=12, store_words=2048, acc_bits=26, trace_words=64
    ),  # the sums of three blocks at weight_scale 16
    "ideal": replace(IDEAL, tile_rows=24, tile_cols=7, tiles=8),  # as the command line makes it, whose tests share it
    "table": replace(TABLE, tile_rows=16, tile_cols=8, tiles=3, store_words=2048, trace_words=64),
}
"""The boards that are built: 16 x 8 with everything, its sums wide enough for three blocks at weight_scale 16, 24 x 7 with the ideal
device, and the table device. Most of a run's time the cells are on the line."""

Pair = tuple[Board, Board]
HELD: dict[Board, tuple[Device | TableDevice, int]] = {}
"""Whose spread words a board holds."""
CELLS: dict[Board, np.ndarray | None] = {}
"""What was read of the cells of a board, which nobody else writes, at the end of a run."""


@pytest.fixture(scope="session")
def boards() -> Iterator[dict[str, Pair]]:
    """Return a golden and a virtual board of each configuration."""
    opened = {name: (open_board("golden://", config=config), open_board("sim://", config=config)) for name, config in CONFIGS.items()}
    CELLS.update({board: None for pair in opened.values() for board in pair})
    yield opened
    for pair in opened.values():
        for board in pair:
            board.close()


def run(board: Board, program: Program, device: Device | TableDevice, *, lr: float, seed: int, samples: int = 40) -> dict[str, object]:
    """Train and evaluate on made-up samples; return all that must be equal."""
    config = board.config
    scales = [Scale.from_float(lr / device.dw_min).to_word(), Scale.from_float(lr).to_word()]
    board.load(program, scales=scales, tile_words=device.tile_words(config))
    if HELD.get(board) != (device, seed):  # the widest upload, so done only where it changes
        board.write_spread(device.spread_words(config, seed))
        HELD[board] = device, seed
    cells = noisy_cells(program, device, seed, noise=1)
    write_cells(board, cells)
    if isinstance(device, TableDevice):
        TableState.new(device.words(config).flat(), cells).write(board)
    board.write_random({stream: list(states) for stream, states in seed_states(config, seed).items()})
    board.totals = dict.fromkeys(Counter, 0)
    n_in = program.network.layers[0]
    data = samples_for(program.network, samples, seed)
    board.upload(records(data[:, :n_in], data[:, n_in:]))
    order = np.random.RandomState(seed).permutation(samples)
    board.train(program, order)
    totals = {c.name: board.totals[c] for c in Counter}
    predictions = board.evaluate(program, order[: samples // 2], seed)
    outputs = board.evaluate_outputs(program, order[: samples // 2], seed)
    assert np.array_equal(outputs.argmax(axis=1), predictions)
    cells = board.read_cells()
    if board in CELLS:
        CELLS[board] = cells
    return {
        "counters": totals,
        "predictions": predictions.tolist(),
        "outputs": outputs.tolist(),
        "digest": conductance_digest(cells),
        "random": {stream.name: states for stream, states in board.read_random().items()},
        "after": {c.name: board.totals[c] for c in Counter},
        "table": [part.tolist() for part in vars(TableState.read(board)).values()] if board.tables else [],
    }


def write_cells(board: Board, cells: np.ndarray) -> None:
    """Write all cells, the rows that the board is known to hold left out."""
    known = CELLS.get(board)
    if known is None or board.tables:  # what stays of a table's cells is not read
        board.write_cells(cells)
        return
    CELLS[board] = None
    rows = np.flatnonzero((cells != known).any(axis=1)).tolist()
    board.write([(Window.CELLS.base + (row << CELL_ROW_SHIFT), cells[row].astype(np.int16).view(np.uint16)) for row in rows])


def check(pair: Pair, program: Program, device: Device | TableDevice, *, lr: float, seed: int) -> dict[str, Any]:
    """Run on both boards and compare; return the run."""
    golden, sim = (run(board, program, device, lr=lr, seed=seed) for board in pair)
    assert sim == golden
    return golden


def network(layers: str, activation: str = "sigmoid", output: str = "sigmoid", loss: str = "squared", **rest: object) -> Network:
    """Return a network by its text."""
    return Network.parse(layers, activation=activation, output=output, loss=loss, **rest)


NOISY = with_values(PRESETS["ecram"], read_noise=1.5, stuck=0.05)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stochastic", [False, True], ids=["nearest", "stochastic"])
@pytest.mark.parametrize("device", ["ideal", "ecram"])
def test_schedules_roundings_devices(boards: dict[str, Pair], schedule: str, stochastic: bool, device: str) -> None:
    program = compile_network(network("20-11-5"), CONFIGS["blocks"], schedule, stochastic=stochastic)
    found = check(boards["blocks"], program, PRESETS[device], lr=1.0, seed=3)
    counters = found["counters"]
    assert isinstance(counters, dict)
    assert counters["STEPS"] == 40
    assert counters["PULSES_UP"] > 0
    assert counters["PULSES_DOWN"] > 0
    assert counters["CYCLES"] == 40 * program.cycles_per_step


@pytest.mark.parametrize("leak", [0.0, 100.0], ids=["kept", "leaks"])
def test_tables(boards: dict[str, Pair], leak: float) -> None:
    """Spread, stuck cells and apparent noise; where it leaks, every command looks after its rows first."""
    more = {"apparent_noise": 0.02, "symmetry_spread": 0.2, "stuck": 0.05, "leak_rest": 0.1, "read_noise": 1.5}
    device = replace(TableDevice.of_linear(PRESETS["ecram"]), **more, leak_samples=leak)
    program = compile_network(network("14-7-4"), CONFIGS["table"], "progressive-exact")
    found = check(boards["table"], program, device, lr=1.0, seed=3)
    counters = found["counters"]
    assert counters["PULSES_UP"] > 0
    assert counters["PULSES_DOWN"] > 0
    compiled = 40 * program.cycles_per_step
    assert counters["CYCLES"] > compiled if leak else counters["CYCLES"] == compiled


@pytest.mark.parametrize(
    ("activation", "output", "loss"),
    [
        ("sigmoid", "sigmoid", "cross-entropy"),
        ("tanh", "tanh", "squared"),
        ("tanh", "sigmoid", "cross-entropy"),
        ("relu", "sigmoid", "squared"),
        ("relu", "linear", "squared"),
        ("relu", "tanh", "squared"),
    ],
)
def test_functions_and_losses(boards: dict[str, Pair], activation: str, output: str, loss: str) -> None:
    program = compile_network(network("17-9-6-4", activation, output, loss), CONFIGS["blocks"], "progressive-corrected")
    check(boards["blocks"], program, PRESETS["ecram"], lr=0.5, seed=3)


@pytest.mark.parametrize(
    ("layers", "schedule"),
    [
        *(("33-20-9-5", schedule) for schedule in SCHEDULES),
        *(("12-7-8-6-3", schedule) for schedule in SCHEDULES),
        ("13-4", "progressive"),
        ("13-4", "deferred"),
        ("30-9-6", "progressive-exact"),
        ("9-9-9-5", "progressive-corrected"),
    ],
)
def test_depths_and_layers_beyond_the_tile(boards: dict[str, Pair], layers: str, schedule: str) -> None:
    program = compile_network(network(layers), CONFIGS["blocks"], schedule)
    check(boards["blocks"], program, NOISY, lr=0.5, seed=5)


@pytest.mark.parametrize("ways", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("board", ["blocks", "ideal"])
def test_either_way_round(boards: dict[str, Pair], board: str, ways: tuple[bool, bool]) -> None:
    program = compile_network(network("26-15-5"), CONFIGS[board], "progressive-corrected", orientations=ways)
    assert [p.transposed for p in program.placements] == list(ways)
    check(boards[board], program, PRESETS["ideal"], lr=1.0, seed=6)


def test_counts_that_saturate_agree(boards: dict[str, Pair]) -> None:
    program = compile_network(network("14-7-7-5", "tanh", output="linear", weight_scale=64), CONFIGS["blocks"], "progressive-corrected")
    found = check(boards["blocks"], program, NOISY, lr=200.0, seed=7)
    counters = found["counters"]
    assert isinstance(counters, dict)
    assert min(counters[name] for name in ("PULSES_CLIPPED", "SENSE_CLIPPED", "VECTOR_SATURATED")) > 0


@st.composite
def cases(draw: st.DrawFn) -> dict[str, object]:
    """Return a network, a schedule and a device that some board takes."""
    output, loss = draw(st.sampled_from([("sigmoid", "squared"), ("sigmoid", "cross-entropy"), ("tanh", "squared"), ("linear", "squared")]))
    sizes = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    return {
        "board": draw(st.sampled_from(sorted(CONFIGS))),
        "network": Network(
            layers=(*sizes, draw(st.integers(2, 9))),
            activation=draw(st.sampled_from(["sigmoid", "tanh", "relu"])),
            output=output,
            loss=loss,
            bias=draw(st.booleans()),
            weight_scale=draw(st.sampled_from([1, 4, 16])),
        ),
        "schedule": draw(st.sampled_from(SCHEDULES)),
        "stochastic": draw(st.booleans()),
        "auto_range": draw(st.booleans()),
        "ways": draw(st.lists(st.booleans(), min_size=4, max_size=4)),
        "lr": draw(st.sampled_from([0.02, 0.5, 8.0])),
        "seed": draw(st.integers(0, 1 << 20)),
    }


@profile(max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_networks_of_any_kind(boards: dict[str, Pair], case: dict[str, object]) -> None:
    chosen, name = case["network"], str(case["board"])
    assert isinstance(chosen, Network)
    ways = case["ways"]
    assert isinstance(ways, list)
    config: Config = replace(CONFIGS[name], tiles=1024)
    options = {"stochastic": bool(case["stochastic"]), "auto_range": bool(case["auto_range"])}
    compiled = functools.partial(compile_network, chosen, config, str(case["schedule"]), **options)
    program = compiled(orientations=tuple(ways[: chosen.depth]))
    if program.tiles_used > CONFIGS[name].tiles:
        program = compiled()
    device = carried(PRESETS["ideal"] if name == "ideal" else NOISY, CONFIGS[name])
    if program.tiles_used <= CONFIGS[name].tiles:
        check(boards[name], replace(program, config=CONFIGS[name]), device, lr=float(str(case["lr"])), seed=int(str(case["seed"])))


def test_a_broken_golden_is_noticed(boards: dict[str, Pair]) -> None:
    """The comparison can fail: one cell off by one at the start shows at the end."""
    golden, sim = boards["blocks"]
    program = compile_network(network("20-11-5"), CONFIGS["blocks"])
    good = run(golden, program, PRESETS["ecram"], lr=1.0, seed=3)
    moved = replace(PRESETS["ecram"], slope_up=PRESETS["ecram"].slope_up + 0.01)
    assert run(sim, program, moved, lr=1.0, seed=3)["digest"] != good["digest"]

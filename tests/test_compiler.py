"""Placement and compilation: every cell once, nothing overlaps, schedules hold what they claim."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backpulse.firmware_py.compiler import SCHEDULES, Program, compile_network
from backpulse.firmware_py.config import DEFAULT, SMALL, Config
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.isa import Function, Instruction, Op
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.placement import place
from backpulse.firmware_py.room import tiles_needed
from backpulse.host.urls import board_config

layer_sizes = st.lists(st.integers(1, 50), min_size=1, max_size=4).map(lambda hidden: (*hidden, 3))


@given(layer_sizes, st.booleans(), st.lists(st.booleans(), min_size=4, max_size=4))
def test_every_weight_has_one_cell_and_no_cell_two_weights(layers: tuple[int, ...], bias: bool, ways: list[bool]) -> None:
    network = Network(layers=layers, bias=bias)
    config = replace(SMALL, tiles=64)
    placements, tiles = place(network, config, tuple(ways[: network.depth]))
    used = np.zeros((tiles, config.tile_rows, config.tile_cols), int)
    for placement in placements:
        covered = np.zeros((network.inputs(placement.layer), network.layers[placement.layer]), int)
        covered = covered.T if placement.transposed else covered
        for block in placement.blocks:
            r = block.region
            assert r.row0 + r.rows <= config.tile_rows
            assert r.col0 + r.cols <= config.tile_cols
            used[r.tile, r.row0 : r.row0 + r.rows, r.col0 : r.col0 + r.cols] += 1
            covered[r.row_offset : r.row_offset + r.rows, r.col_offset : r.col_offset + r.cols] += 1
        assert (covered == 1).all()
    assert used.max() == 1


@pytest.mark.parametrize("layers", ["64-10", "64-32-10", "16-12-8-4", "20-30-20-10-4"])
@pytest.mark.parametrize("config", [DEFAULT, SMALL], ids=["default", "small"])
def test_schedules_hold_what_the_design_says(layers: str, config: Config) -> None:
    network = Network.parse(layers)
    config = replace(config, tiles=tiles_needed(network, config))
    held = {s: compile_network(network, config, s).error_vectors_held for s in SCHEDULES}
    depth = network.depth
    assert held == {"progressive": 1, "progressive-exact": min(2, depth), "progressive-corrected": 1, "deferred": depth}


def held_by_its_definition(program: Program) -> int:
    """Return the most errors that are written before a PULSE and read by it, or later before they are written anew."""
    step = program.instructions[: program.evaluate_start]

    def live(vector: int, at: int) -> bool:
        used = next((ins for ins in step[at:] if vector in ins.reads or vector in ins.writes), None)
        return used is not None and vector in used.reads

    most = 0
    for at, pulse in enumerate(step):
        written = {v for ins in step[:at] for v in ins.writes if program.vector_names[v].startswith("d")}
        most = max(most, sum(live(v, at) for v in written) if pulse.op is Op.PULSE else 0)
    return most


@settings(max_examples=40)
@given(layer_sizes, st.sampled_from(SCHEDULES), st.booleans())
def test_held_errors_are_counted_as_defined(layers: tuple[int, ...], schedule: str, turned: bool) -> None:
    network = Network(layers=layers)
    program = compile_network(network, replace(SMALL, tiles=64), schedule, orientations=(turned,) * network.depth)
    assert program.error_vectors_held == held_by_its_definition(program)


def test_what_a_program_says_of_itself_grows_with_its_length_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in looks at an instruction's operands, not in seconds."""
    looks = 0
    reads = Instruction.reads.fget
    assert reads is not None

    def counted(ins: Instruction) -> list[int]:
        nonlocal looks
        looks += 1
        return reads(ins)

    monkeypatch.setattr(Instruction, "reads", property(counted))
    found = []
    for width in (64, 512):
        network = Network(layers=(width, width, 10))
        program = compile_network(network, board_config(network, PRESETS["ideal"]))
        looks = 0
        assert program.error_vectors_held == 2
        assert program.listing().count("\n") == len(program.instructions) + 1
        found.append(looks / len(program.instructions))
    assert 0 < found[1] < 1.5 * found[0] < 4


def test_the_step_of_the_design_page() -> None:
    program = compile_network(Network.parse("64-32-10"), DEFAULT)
    steps = [" ".join(program.text(i).split()) for i in program.instructions[: program.evaluate_start]]
    assert steps == [
        "READ W1, x > a1, sigmoid",
        "READ W2, a1 > a2, sigmoid",
        "ERR t, a2 > d2, hadamard sigmoid",
        "READT W2', d2 > d1, auto-range, hadamard sigmoid a1",
        "PULSE W2, a1, d2, s0, stochastic",
        "PULSE W1, x, d1, s0, stochastic",
        "NEXT 0",
    ]
    assert program.cycles_per_step <= 400


@given(layer_sizes, st.sampled_from(SCHEDULES), st.lists(st.booleans(), min_size=4, max_size=4))
def test_functions_come_last_and_the_bias_line_stays_out_of_the_error(layers: tuple[int, ...], schedule: str, ways: list[bool]) -> None:
    network = Network(layers=layers)
    config = replace(SMALL, tiles=256)
    program = compile_network(network, config, schedule, orientations=tuple(ways[: network.depth]))
    written: dict[int, set[int]] = {}
    for ins in program.instructions[: program.evaluate_start]:
        if ins.op not in (Op.READ, Op.READT):
            continue
        region = program.regions[ins.region]
        offset, size = (region.col_offset, region.cols) if ins.op is Op.READ else (region.row_offset, region.rows)
        assert offset + size <= program.vectors[ins.b].length
        if ins.function is not Function.PARTIAL:
            done = written.setdefault(ins.b, set())
            assert done.isdisjoint(range(offset, offset + size))
            assert offset == len(done)  # in order, so that element 0 starts the magnitude anew
            done.update(range(offset, offset + size))
    for vector, done in written.items():
        assert len(done) == program.vectors[vector].length


def test_the_cheaper_way_round_is_taken() -> None:
    program = compile_network(Network.parse("64-40-17-10"), replace(SMALL, tiles=16))
    for way in [(False, False, False), (True, True, True), (False, True, False)]:
        other = compile_network(Network.parse("64-40-17-10"), replace(SMALL, tiles=16), orientations=way)
        assert program.cycles_per_step <= other.cycles_per_step


@pytest.mark.parametrize(
    ("layers", "change", "text"),
    [
        ("64-32-10", {"tiles": 1, "tile_rows": 64}, "Network 64-32-10 needs 2 tiles of 64 x 32 and this board has 1, 1 too few"),
        ("64-32-10", {"vector_words": 64}, "needs 106 words of vector memory and this board has 64, 42 too few"),
        ("64-32-10", {"page_bytes": 64}, "needs 76 bytes of a sample page and this board has 64, 12 too few"),
        ("64-32-10", {"program_words": 8}, "needs 11 instructions of program memory and this board has 8, 3 too few"),
        ("64-32-10", {"regions": 2}, "needs 3 entries of the region table and this board has 2, 1 too few"),
    ],
)
def test_what_does_not_fit_says_which_limit(layers: str, change: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        compile_network(Network.parse(layers), replace(DEFAULT, **change))


def test_partial_sums_that_could_overflow_are_refused() -> None:
    with pytest.raises(ValueError, match="bits of a partial sum and this board has 20; choose a smaller weight_scale"):
        compile_network(Network.parse("64-32-10", weight_scale=64), replace(DEFAULT, acc_bits=20))


@pytest.mark.parametrize(
    ("layers", "rest", "text"),
    [
        ("64-x-10", {}, "Layers must be numbers joined by dashes, as in 64-32-10, not '64-x-10'"),
        ("64", {}, "A network needs at least an input and an output size"),
        ("64-0-10", {}, "Layer sizes must be positive integers, not 0 in 64-0-10"),
        ("4-2", {"output": "relu"}, "An output unit of relu stops for good where it is flat; choose one of sigmoid"),
        ("4-2", {"activation": "step"}, "Unknown activation 'step'; choose one of sigmoid, tanh, relu"),
        ("4-2", {"loss": "hinge"}, "Unknown loss 'hinge'; choose one of squared, cross-entropy"),
        ("4-2", {"loss": "cross-entropy", "output": "tanh"}, "Cross-entropy needs the output function sigmoid, not tanh"),
        ("4-2", {"weight_scale": 3}, "weight_scale must be one of 1, 2, 4, 8, 16, 32, 64, not 3"),
    ],
)
def test_networks_say_what_is_wrong(layers: str, rest: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Network.parse(layers, **rest)


def test_unknown_schedule() -> None:
    with pytest.raises(ValueError, match="Unknown schedule 'backwards'; choose one of progressive"):
        compile_network(Network.parse("4-2"), DEFAULT, "backwards")

"""Dead lines and stuck cells: layers go around them, and what is there instead is said and found."""

import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.config import IDEAL, SMALL
from backpulse.firmware_py.dead import NONE, Dead
from backpulse.firmware_py.device import PRESETS, with_values
from backpulse.firmware_py.image import tile_image
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.real import real_machine
from backpulse.firmware_py.registers import Cause
from backpulse.firmware_py.room import partial_sum_bits
from backpulse.host.array_cells import Areas
from backpulse.host.array_map import around, stuck_remarks
from backpulse.host.errors import InputError
from backpulse.host.self_check import map_text, self_check
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .real_boards import real_board
from .test_cli_boards import served

DEAD = Dead.parse("r0,r3,r40-42,r127,c5,c31")
DIGITS = Settings(layers="64-20-10", lr=0.5)


def test_dead_lines_are_a_text():
    assert DEAD.text == "r0,r3,r40-42,r127,c5,c31"
    assert Dead.parse(" c2,r1 , r2,r3").text == "r1-3,c2"
    assert Dead.parse("") == NONE
    for text in ("3", "r", "r-1", "x3", "r5-3", "r1;r2", "r1234567"):
        with pytest.raises(InputError, match="as in r3,r17-19,c5, not"):
            DIGITS.changed(dead=text)
    for text, sentence in (
        ("r128", "Dead row 128 is none of this board, which has rows 0 to 127"),
        ("c0-31", "All 32 columns of this board are dead"),
    ):
        with pytest.raises(ValueError, match=sentence):
            compile_network(DIGITS.network, IDEAL, dead=Dead.parse(text))


def test_partial_sums_have_the_bits_of_one_sum_however_a_layer_is_cut():
    dead, network = Dead.parse("r3,r7,r11,r15,r19,r23,r27,r31,c3,c7,c11"), Network.parse("40-33-18-4")
    config = board_config(network, PRESETS["ideal"], tile="32x16", dead=dead)
    program = compile_network(network, config, dead=dead)
    longest = summands = 0
    for ins in program.instructions:
        if ins.op in (Op.READ, Op.READT):
            summands = summands + 1 if ins.accumulate else 1
            longest = max(longest, summands)
    assert 10 < longest < max(len(placement.blocks) for placement in program.placements) / 5
    largest = longest * config.sense_max << config.backward_shift + network.scale_log2 - config.range_min
    assert largest.bit_length() + 1 == partial_sum_bits(program) <= config.acc_bits


@pytest.mark.parametrize("text", ["", "r0", "c15", "r31,r32,c0", "r5-9,r40,r64-95,c3,c7,c8", "r2-27,r33-62,c1-9"])
@pytest.mark.parametrize("turned", [False, True])
def test_blocks_cover_a_layer_once_and_no_dead_line(text, turned):
    config = replace(SMALL, tiles=64, program_words=4096, regions=1024, acc_bits=32)
    dead, network = Dead.parse(text), Network.parse("40-33-18-4")
    program = compile_network(network, config, dead=dead, orientations=(turned,) * 3)
    taken = np.zeros((config.rows, config.tile_cols), int)
    for placement in program.placements:
        n_in, n_out = network.inputs(placement.layer), network.layers[placement.layer]
        covered = np.zeros((n_out, n_in) if turned else (n_in, n_out), int)
        for block in placement.blocks:
            r = block.region
            row0 = r.tile * config.tile_rows + r.row0
            taken[row0 : row0 + r.rows, r.col0 : r.col0 + r.cols] += 1
            covered[r.row_offset : r.row_offset + r.rows, r.col_offset : r.col_offset + r.cols] += 1
        assert (covered == 1).all()
        # Partial sums meet only if blocks with one offset are alike, and there is one for each pair of offsets.
        heights = {(b.region.row_offset, b.region.rows) for b in placement.blocks}
        widths = {(b.region.col_offset, b.region.cols) for b in placement.blocks}
        assert len(heights) == len({at for at, _ in heights})
        assert len(widths) == len({at for at, _ in widths})
        assert len(placement.blocks) == len(heights) * len(widths)
    assert taken.max() == 1
    assert not taken[sorted(dead.rows)].any()
    assert not taken[:, sorted(dead.cols)].any()


def test_without_dead_lines_programs_are_as_they_were():
    network = Network.parse("64-40-17-10")
    assert compile_network(network, SMALL, dead=NONE) == compile_network(network, SMALL)


def test_training_around_dead_lines_is_as_good_as_on_a_sound_array():
    def accuracy(settings, **defects):
        config = board_config(settings.network, settings.device_model, dead=Dead.parse(settings.dead))
        with real_board(PRESETS["ideal"], config, **defects) as (board, machine):
            trainer = Trainer(board, settings, 3, start="as-is")
            assert trainer.run()
            lines = machine.memory.cells[sorted(DEAD.rows)], machine.memory.cells[:, sorted(DEAD.cols)]
            return np.mean(trainer.position.test_accuracy[-1:]), any(line.any() for line in lines)

    there = {"dead_rows": DEAD.rows, "dead_cols": DEAD.cols}
    sound, _ = accuracy(DIGITS)
    around_them, moved = accuracy(DIGITS.changed(dead=DEAD.text), **there)
    assert not moved
    assert sound > 0.9
    assert around_them > sound - 0.02


def test_what_is_left_is_in_the_refusal(backpulse, tmp_path):
    with pytest.raises(
        InputError,
        match=r"2 tiles of 128 x 32 and this board has 1, 1 too few \(100 of 128 rows and 0 of 32 columns are dead, 896 of 4,096",
    ):
        DIGITS.changed(dead="r0-99").compile(IDEAL)
    file = tmp_path / "array.toml"
    file.write_text("[dead]\nrows = [3, 4]\ncols = [1]\n[[stuck]]\nrow = 8\ncol = 2\n")
    code, out, errors = backpulse("fit", "--board", "ulx3s-25f", "--layers", "20-10-4", "--array", str(file), "--json", "-")
    found = json.loads(out)
    assert (code, found["fits"]) == (0, True)
    assert found["left"].startswith("2 of ")
    assert "row 8 column 2 (W" in errors
    file.write_text("[dead]\nrows = [70000]\n")
    code, _, errors = backpulse("fit", "--board", "ulx3s-25f", "--layers", "20-10-4", "--array", str(file))
    assert code == 2
    assert "Dead row 70000 is none of this board" in errors


def test_stuck_cells_are_named_with_their_weights():
    array = Array(**tomllib.loads("[[stuck]]\nrow = 0\ncol = 1\n[[stuck]]\nrow = 4\ncol = 2\n[[stuck]]\nrow = 127\ncol = 31\n"))
    program = Settings(dataset="iris", layers="4-3").compile(IDEAL)
    (said,) = stuck_remarks(program, array)
    names = ["(W1, input 0 to unit 1)", "(W1, bias to unit 2)"]
    if program.placements[0].transposed:
        names = ["(W1, input 1 to unit 0)"]
    assert all(name in said for name in names)
    assert "row 127" not in said
    assert stuck_remarks(program, None) == []
    lines = Array(**tomllib.loads("[dead]\nrows = [1]\n"))
    assert around({"seed": 2}, lines) == {"seed": 2, "dead": "r1"}
    assert around({"seed": 2}, array) == {"seed": 2}
    with pytest.raises(InputError, match="The array file names the dead lines r1, and the setting dead names r2"):
        around({"dead": "r2"}, lines)


@pytest.mark.parametrize("device", [PRESETS["ideal"], with_values(PRESETS["ecram"], read_noise=1.0)], ids=["ideal", "ecram with noise"])
def test_the_self_check_finds_dead_lines_and_stuck_cells_and_no_others(device):
    config = replace(IDEAL, tile_rows=40, tile_cols=20)
    for seed, defects in ((1, {}), (2, {"dead_rows": [3, 33], "dead_cols": [9], "stuck": [(5, 5, 0.5), (30, 17, -0.4)]})):
        with real_board(device, config, seed, **defects) as (board, machine):
            (found,) = self_check(Areas(board), device.dw_min)
            kept = machine.memory.cells.copy()
        assert (found.dead_rows, found.dead_cols) == (defects.get("dead_rows", []), defects.get("dead_cols", []))
        assert [(row, col) for row, col, _ in found.bad] == [(row, col) for row, col, _ in defects.get("stuck", [])]
        assert [value for *_, value in found.bad] == pytest.approx([value for *_, value in defects.get("stuck", [])], abs=0.02)
        assert 0.98 < found.back_share < 1.02  # e_after - e_before = dW'd
        assert 0.98 < found.forward_share < 1.02
        assert 0.7 < found.step_up / device.dw_min < 1.3
        if defects:
            file = tomllib.loads(map_text([found]))
            assert (file["dead"]["rows"], file["dead"]["cols"], len(file["stuck"])) == ([3, 33], [9], 2)
            assert Array(**file).stuck[0].row == 5
            assert not kept[3].any()


def test_a_layer_that_does_not_sense_what_it_is_pulsed_is_told(monkeypatch):
    """Sense words of the reads back that are a fifth too small: the cells are right, dW'd is not."""
    from backpulse.host import self_check as module

    sound = module.read
    monkeypatch.setattr(
        module, "read", lambda *a, transposed=False, **more: sound(*a, transposed=transposed, **more) * (0.8 if transposed else 1)
    )
    with open_board("golden://", config=replace(IDEAL, tile_rows=16, tile_cols=8)) as board:
        board.write(tile_image(PRESETS["ideal"].tile_words(board.config)))
        (found,) = self_check(Areas(board), 0.002)
    assert found.back_share == pytest.approx(0.8, abs=0.02)
    assert found.forward_share == pytest.approx(1.0, abs=0.02)


def test_the_commands_find_and_clear(backpulse, tmp_path):
    code, out, _ = backpulse("array", "self-check", "--board", "golden://", "--tile", "24x8", "--json", "-")
    assert (code, len(json.loads(out)["areas"])) == (0, 1)
    file, found = tmp_path / "array.toml", tmp_path / "found.toml"
    file.write_text('kind = "real"\n[dead]\nrows = [3]\ncols = [1]\n[[stuck]]\nrow = 8\ncol = 2\nvalue = 0.25\n')
    board = f"golden://?array={file}"
    code, _, errors = backpulse("array", "self-check", "--board", board, "--tile", "24x8", "--out", str(found))
    assert code == 1
    assert "2 lines and 1 other cells did not do what was asked: keep layers off them" in errors
    assert Array(**tomllib.loads(found.read_text())).dead.rows == [3]
    code, out, _ = backpulse("array", "clear", "--board", board)
    assert (code, out) == (0, "The array has not tripped: there is nothing to clear\n")
    code, out, errors = backpulse(
        "train", "--dataset", "iris", "--layers", "4-3", "--board", board, "--tile", "24x8", "--epochs", "1", "--json", "-"
    )
    result = json.loads(out)
    assert code == 0
    assert (result["settings"]["dead"], result["start"]) == ("r3,c1", "verify")
    assert "model array: trips; 4 profiles" in errors


def test_a_board_on_a_port_has_its_map_behind_its_url(backpulse, tmp_path):
    """Real devices behind a socket: the file says which lines are dead there, and an array that trips stops nothing but this run."""
    file = tmp_path / "lab.toml"
    file.write_text("[dead]\nrows = [3]\ncols = [1]\n[[stuck]]\nrow = 8\ncol = 2\n")
    config = replace(IDEAL, tile_rows=24, tile_cols=8)
    train = ("train", "--dataset", "iris", "--layers", "4-6-3", "--epochs", "1", "--json", "-")
    machine = real_machine(config, PRESETS["ideal"], 1, dead_rows=[3], dead_cols=[1], stuck=[(8, 2, 0.5)])
    with served(config, machine=machine) as url:
        code, out, errors = backpulse(*train, "--board", f"{url}?array={file}")
    result = json.loads(out)
    assert (code, result["settings"]["dead"], result["array"]["kind"]) == (0, "r3,c1", "model")
    assert any("row 8 column 2 (W" in said for said in result["warnings"])
    assert "cells that did not follow: row 8 column 2" in errors
    machine.trip(Cause.INTERLOCK)
    with served(config, machine=machine) as url:
        code, _, errors = backpulse(*train, "--board", f"{url}?array={file}")
    assert (code, "The array has tripped: the interlock is open (cause INTERLOCK): close" in errors) == (1, True)
    with served(config, machine=machine) as url:
        code, out, _ = backpulse("array", "clear", "--board", url)
    assert (code, out) == (0, "Cleared: the interlock is open\n")
    with served(config, machine=machine) as url:
        assert backpulse(*train, "--board", f"{url}?array={file}", "--start", "as-is")[0] == 0

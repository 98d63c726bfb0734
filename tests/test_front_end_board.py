"""The virtual board with analog tile, front end, chips and a physical array: what it reads, pulses, and leaves when hosts are gone."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backpulse.firmware_py.analog import GAIN_FRAC, LineWord, ProfileFlag, ProfileWord
from backpulse.firmware_py.analog_profiles import cycles_of, front_end_of
from backpulse.firmware_py.device import PRESETS, with_values
from backpulse.firmware_py.device_text import text_of
from backpulse.firmware_py.physical import nodal, physical
from backpulse.firmware_py.registers import ArrayWord, Counter, State, TileState, Window
from backpulse.gateware.sim.front_end_board import CLOCK_KHZ, build_with_front_end
from backpulse.gateware.sim.virtual_board import VirtualBoard
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_arm import carry_out, plan
from backpulse.host.array_calibration import calibrate
from backpulse.host.array_file import parse_array
from backpulse.host.array_operations import read, rectangle
from backpulse.host.urls import Address, board_config, open_board
from tests.front_ends import SMALL, failed, lab, text


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr("backpulse.host.urls.DEFAULT", SMALL)


def perfect(array, config, tables, region, given, factors, *, transposed):
    """Return the sense words of perfect converters: currents by nodal analysis, rounded once."""
    front = front_end_of(array)
    lines = sum(tables.cells.shape)
    first, count = (region.col0, region.cols) if transposed else (region.row0, region.rows)
    volts = np.zeros((lines, len(given)))
    rows = tables.cells.shape[0]
    at = first + (rows if transposed else 0)
    volts[at : at + count] = given.T / (1 << config.drive_frac) * front.read_volts
    of_rows, of_cols = nodal(array, tables.conductances()).currents(volts[:rows], volts[rows:])
    sensed = of_rows[region.row0 :][: region.rows] if transposed else of_cols[region.col0 :][: region.cols]
    words = sensed.T / front.read_volts * (1 << config.sense_frac)
    words -= given.sum(axis=1)[:, None] * factors / (1 << GAIN_FRAC)
    return np.clip(np.rint(words), -config.sense_max, config.sense_max)


@pytest.mark.parametrize("ohm", [2.0, 0.5])
def test_sense_words_of_a_calibrated_array_are_those_of_perfect_converters(ohm, monkeypatch):
    """200 random reads each way, through all serial frames: within 1 LSB of nodal analysis; at 0.5 Ω, of the product without wires too."""
    monkeypatch.setattr(AnalogTile, "most_averages", lambda self, profile, limit: 3)  # without noise 8 conversions are enough
    with lab(text(ohm)) as (board, tile, array):
        tables, rng = physical(array, CLOCK_KHZ), np.random.default_rng(7)
        unit = array.cells.per_unit
        found = calibrate(tile, array, tables.conductances() * unit).calibration
        tile.write_calibration(found.tables, found.number)
        factors = np.array(found.tables[LineWord.FACTOR])
        worst = []
        for k in range(10):
            rows, cols = (8, 8) if k < 5 else rng.integers(1, 9, 2).tolist()
            region = rectangle(board.config, 0, int(rng.integers(9 - rows)), rows, int(rng.integers(9 - cols)), cols)
            for transposed in (False, True):
                given = rng.integers(-127, 128, (20, cols if transposed else rows))
                words = read(board, region, given, transposed=transposed)
                of = factors[region.row0 :][:rows] if transposed else factors[8 + region.col0 :][:cols]
                right = perfect(array, board.config, tables, region, given, of, transposed=transposed)
                worst.append(np.abs(words - right).max())
                cells = tables.cells[region.row0 :, region.col0 :][:rows, :cols] / (1 << board.config.cell_frac)
                product = given @ (cells.T if transposed else cells)
                if ohm == 0.5:
                    assert np.abs(words - product).max() < 1
        assert max(worst) <= 1


GRANTS, SLOTS = 16, 31
"""Samples that a host grants, each of which pulses a row, and the pulses of each of its cells."""
HOST = f"""
import sys
import numpy as np
from backpulse.firmware_py.isa import Instruction, Op, Vector
from backpulse.firmware_py.registers import REG
from backpulse.host.array_chain import Chain
from backpulse.host.array_operations import ROW_BYTE, pulse_scale, rectangle
from backpulse.host.urls import open_board
board = open_board(sys.argv[1])
vectors = [Vector(base=0, length=1, sample=1), Vector(base=1, length=8, sample=1)]
row = np.array([[ROW_BYTE, *[{SLOTS}] * 8]])
chain = Chain(board, [[Instruction(op=Op.PULSE, a=0, b=1)]], vectors, row, [rectangle(board.config, rows=1)])
board.link.write_words(REG["SCALE"].address, [pulse_scale(board.config).to_word()])
chain.start(np.zeros({GRANTS}, int))
print("granted", flush=True)
sys.stdin.readline()
board.link.close()
print("closed", flush=True)
sys.stdin.readline()
"""


def drives(log):
    """Return the times that lines were away from rest: first cycle, cycles, cells pulsed up and down; int64 of shape (drives, 4)."""
    lines = [line.split()[1:] for line in Path(log.name).read_text().splitlines() if line.startswith("drive")]
    return np.array(lines, np.int64).reshape(-1, 4)


def wait_for(log, count):
    """Wait until lines have been away from rest so often."""
    for _ in range(3000):
        if len(found := drives(log)) >= count:
            return found
        time.sleep(0.02)
    pytest.fail(f"there were {len(found)} pulses, not {count}")


def test_hosts_that_go_away_leave_drivers_off_behind_their_credit(tmp_path):
    """Killed, stopped, or its cable out: what was granted is pulsed, nothing behind it; counters are what the array saw."""
    array = parse_array(text(0.5), "array.toml")
    config = board_config(None, PRESETS["ideal"], array=array)
    program = build_with_front_end(config, array)
    tables = physical(array, CLOCK_KHZ, config).to_bytes()
    with open(tmp_path / "log", "w") as log, VirtualBoard(program, line="tcp", array=tables, log=log) as running:
        with open_board(Address(running.url, array)) as board:
            tile = AnalogTile(board)
            carry_out(tile, plan(tile, array).limits)
            counted, begun = board.raw_counters(), len(drives(log))
        for ending in ("killed", "cable out", "stopped"):
            command = [sys.executable, "-c", HOST, running.url]
            with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as host:
                assert host.stdin is not None
                assert host.stdout is not None
                assert host.stdout.readline() == "granted\n"
                wait_for(log, begun + 50)
                if ending == "cable out":
                    print(file=host.stdin, flush=True)
                    assert host.stdout.readline() == "closed\n"
                else:
                    host.send_signal(signal.SIGKILL if ending == "killed" else signal.SIGSTOP)
                assert len(drives(log)) < begun + GRANTS * SLOTS  # it was in the middle
                seen = wait_for(log, begun + GRANTS * SLOTS)[begun:]
                host.kill()
            with open_board(Address(running.url)) as board:
                assert board.status()[0] is State.PAUSED
                assert board.tile_state() == (TileState.SAFE | TileState.ARMED | TileState.INTERLOCK, 0)
                safe_cycles = board.facts.safe_cycles
                for _ in range(50):  # the clock runs while a board answers
                    counters = board.raw_counters()
                pulses = board.link.read_words(Window.ARRAY.base + ArrayWord.PULSES, 1)[0]
            seen = drives(log)[begun:]
            assert len(seen) == GRANTS * SLOTS
            done = {name: counters[name] - counted[name] for name in (Counter.PULSES_UP, Counter.PULSES_DOWN, Counter.PULSES_MISSED)}
            assert list(done.values()) == [seen[:, 2].sum(), seen[:, 3].sum(), 0]
            assert seen[:, 2].sum() == 8 * GRANTS * SLOTS
            assert (seen[:, 1] == cycles_of(front_end_of(array).pulse_s, CLOCK_KHZ)).all()
            assert seen[:, 1].max() <= safe_cycles
            assert pulses == drives(log)[:, 2:].sum()
            counted, begun = counters, begun + len(seen)


def test_the_array_keeps_the_contract_and_wrong_words_are_found(monkeypatch):
    """A quick part of `make array`: 4 reads of a line in a map, not 16, and steps five times as large, so that fewer pulses tell a cell.

    Broken here are words that the host writes, there the tile.
    """
    monkeypatch.setattr("backpulse.host.array_bench.AVERAGES", 4)
    device = f"device = '{text_of(with_values(PRESETS['ideal'], dw_min=0.01))}'\n"
    with lab(device + text(0.5, gain_error=0)) as (board, tile, _):
        assert failed(board, "4,7,10,15,16,18,21") == set()
        words = tile.profile(0)
        one_phase = [*words]
        one_phase[ProfileWord.FLAGS] &= ~ProfileFlag.TWO_PHASE
        tile.write_profile(0, one_phase)
        assert failed(board, "7") == {7}
        tile.write_profile(0, words)
        tables = tile.calibration()
        tables[LineWord.GAIN][3] //= 2
        tile.write_calibration(tables, 0)
        assert failed(board, "4") == {4}


def test_a_network_is_trained_through_the_front_end_and_its_trace_replays(backpulse, tmp_path):
    """Two epochs of 24 samples, in which the loss falls; 20 of iris are those of `make front-end`."""
    (tmp_path / "array.toml").write_text(text(0.5) + "[write]\nsteepness = 20.0\n")
    points = [(x, y) for x in np.linspace(-1, 1, 6) for y in np.linspace(-1, 1, 5)]
    (tmp_path / "points.csv").write_text("a,b,label\n" + "".join(f"{x},{y},{'right' if x > 0 else 'left'}\n" for x, y in points))
    run = ("--dataset", "points.csv", "--layers", "2-3-2", "--epochs", 2, "--lr", 1, "--trace", "run.trace", "--json", "-")
    code, out, err = backpulse("train", *run, "--board", "sim://?array=array.toml")
    assert code == 0, err
    found = json.loads(out)
    assert found["train_loss"][1] < found["train_loss"][0]
    assert found["pulses_missed"] == 0
    code, _, err = backpulse("replay", "run.trace")
    assert code == 0, err

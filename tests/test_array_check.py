"""The conformance bench on golden boards: what passes, what is not tested and why, what fails, and that the board is left as it was."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.config import DEFAULT, IDEAL, LEAN
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import REG, Capability, Counter, State, TileKind, Window
from backpulse.firmware_py.tile_facts import EMULATED
from backpulse.firmware_py.trace import SENSE_BITS, Kind
from backpulse.firmware_py.trace_ring import TraceRing
from backpulse.host import urls
from backpulse.host.array_bench import Bench
from backpulse.host.array_check import CHECKS, NUMBERS, check_array, chosen
from backpulse.host.board import Board
from backpulse.host.errors import InputError
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort
from backpulse.host.stop import Stop, StoppedError
from backpulse.host.urls import open_board

from .real_boards import real_board

SMALL = replace(IDEAL, tile_rows=20, tile_cols=6, tiles=2)
BOARD = replace(
    LEAN, tile_rows=24, cell_bits=11, cell_frac=10, program_words=128, regions=48, vector_words=256, page_bytes=32, order_depth=256
)
IDEAL_DEVICE = PRESETS["ideal"]
NEVER = {6, 7, 12, 13, 14, 15, 16, 17, 18, 19, 21}
"""Numbers of checks that are not tested, or not whole, on an emulated tile of the golden model."""


def results(board, device=IDEAL_DEVICE, only=None):
    bench = Bench(board, device)
    with bench.kept():
        return list(check_array(bench, chosen(only), lambda check: None))


def numbers(found, status):
    return {result.check.number for result in found if result.status == status}


def failed(found):
    return {result.check.number: result.why for result in found if result.status == "failed"}


@pytest.mark.parametrize(
    ("config", "device"),
    [
        (SMALL, IDEAL_DEVICE),
        (BOARD, IDEAL_DEVICE),
        (replace(SMALL, read_noise=1), replace(IDEAL_DEVICE, read_noise=1.0)),
        (replace(DEFAULT, tile_rows=20, tile_cols=6), PRESETS["ecram"]),
    ],
    ids=["ideal", "lean", "read noise", "ecram"],
)
def test_an_emulated_tile_passes_and_is_left_as_it_was(config, device):
    with open_board("golden://", config=config) as board:
        cells = np.random.RandomState(1).randint(-500, 500, (config.rows, config.tile_cols))
        board.write_cells(cells)
        board.write([(REG["WATCHDOG"].address, [12345]), (Window.TILE.base, [77])])
        random = board.read_random()
        found = results(board, device)
        assert not failed(found)
        never = NEVER | ({20} if config.lean else set())
        assert numbers(found, "not tested") == never
        assert numbers(found, "passed") == set(NUMBERS) - never | {6, 13} | (set() if config.lean else {19})
        assert all(result.why for result in found)
        assert (board.read_cells() == cells).all()
        assert board.read_random() == random
        assert board.link.read_words(REG["WATCHDOG"].address, 1) == [12345]
        assert board.link.read_words(Window.TILE.base, 1) == [77]
        assert board.status()[0] is State.IDLE


def test_real_devices_pass_by_their_read_map_and_what_hardware_alone_shows_is_measured_there(monkeypatch):
    device = replace(IDEAL_DEVICE, read_noise=0.5)
    with real_board(device, SMALL) as (board, machine):
        machine.memory.cells[:] = np.random.RandomState(1).randint(-9000, 9001, machine.memory.cells.shape)
        machine.facts = replace(machine.facts, kind=TileKind.ANALOG)
        board = Board(board.link, lambda: None)
        found = results(board, device)
        assert not failed(found)
        assert {8, 12} <= numbers(found, "passed")
        assert "Cells that nobody knows" in Bench(board, device).limits


class Broken(GoldenMachine):
    """A machine whose array does something by itself between samples."""

    def __init__(self, config, what, **more):
        super().__init__(config, **more)
        self._what, self._done = what, 0

    def run(self, samples):
        begun = super().run(samples)
        self._done += begun
        if begun:
            self._what(self)
        return begun


def leak(machine):
    if machine._done > 2:
        machine.memory.cells[0, 0] ^= 64


def broken_board(what=lambda machine: None, facts=EMULATED):
    machine = Broken(SMALL, what, facts=facts)
    return Board(Link(GoldenPort(machine)), lambda: None)


def test_cells_that_move_by_themselves_are_found():
    found = failed(results(broken_board(leak), only="10,11,22"))
    assert set(found) == {11, 22}  # the reads of check 10 are too few
    assert re.search("worst: .*row 0 column 0", found[11])


def test_claims_that_are_not_kept_are_found():
    claims = Capability.TRIPS | Capability.BUDGET
    found = results(broken_board(facts=replace(EMULATED, capabilities=EMULATED.capabilities | claims)), only="1,18")
    assert set(failed(found)) == {18}
    assert "refused" in failed(found)[18]
    unknown = Capability(1 << 20)
    found = results(broken_board(facts=replace(EMULATED, capabilities=EMULATED.capabilities | unknown)), only="1,4")
    assert set(failed(found)) == {1}
    assert "CAPABILITIES has unknown bits" in failed(found)[1]


def overflow(machine):
    machine.memory.counters[Counter.VECTOR_SATURATED] += 1


def test_a_machine_that_does_something_else_with_the_answers_is_found_by_the_replay():
    found = failed(results(broken_board(overflow), only="20"))
    assert re.match(r"at rest after sample 48 of run 1 \(training, record 47\).*: counter VECTOR_SATURATED of the board is", found[20])


def lost(units, kinds):
    units[3:-1] = units[4:].copy()


def over(units, kinds):
    units[np.flatnonzero(kinds == Kind.SENSE)[2]] ^= 1 << SENSE_BITS["over"][0]


def asked(units, kinds):
    units[np.flatnonzero(kinds == Kind.COMPLETION)[3] + 1] += 1


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lost, r"sample 1 of run 1 .*: sense word 0: `last` is 1 on the board, 0 in the golden model"),
        (over, r"at rest after .*: counter SENSE_CLIPPED of the board is 0, the golden model's 1"),
        (asked, r"sample 1 of run 1 .* PULSE W2, .*: the tile was asked for 44 pulses, the golden model plans 43"),
    ],
)
def test_a_ring_that_loses_or_changes_a_record_is_found_by_the_replay(monkeypatch, spoil, why):
    take, spoiled = TraceRing.take, []

    def take_spoiled(ring):
        units = ring._tape.units[: ring._tape.at[0]]
        if len(units) and not spoiled:
            spoiled.append(spoil(units, units & 3))
        take(ring)

    monkeypatch.setattr(TraceRing, "take", take_spoiled)
    (result,) = results(broken_board(), only="20")
    assert result.status == "failed"
    assert re.match(why, result.why)


def test_two_phases_are_tested_where_they_are_claimed():
    found = results(broken_board(facts=replace(EMULATED, capabilities=EMULATED.capabilities | Capability.TWO_PHASE)), only="7")
    assert [result.status for result in found] == ["passed"]


def test_only_takes_numbers_of_checks():
    assert [check.number for check in chosen("6, 3")] == [3, 6, 6]
    assert list(CHECKS) == chosen(None)
    for wrong in ("0", "23", "x", "", "1,,2", "3-5"):
        with pytest.raises(InputError, match=r"--only takes numbers of checks, 1 to 22, joined by commas, not"):
            chosen(wrong)


def test_a_stop_leaves_the_board_as_it_was_and_at_rest():
    with open_board("golden://", config=SMALL) as board:
        cells = np.random.RandomState(1).randint(-500, 500, (SMALL.rows, SMALL.tile_cols))
        board.write_cells(cells)
        stop, bench = Stop(), Bench(board, IDEAL_DEVICE)

        def begin(check):
            stop.asked = check.number == 10

        with pytest.raises(StoppedError), board.heeding(stop), bench.kept():
            list(check_array(bench, chosen(None), begin))
        assert (board.read_cells() == cells).all()
        assert board.status()[0] is State.IDLE


def test_the_command_writes_a_table_json_and_one_page(backpulse, tmp_path):
    code, out, err = backpulse("array", "check", "--board", "golden://", "--tile", "20x6", "--json", "a.json", "--html", "a.html")
    assert code == 0
    assert "0 failed" in err
    assert re.search(r"11 +half-selected cells stay +passed +0 LSB +0", out)
    told = json.loads((tmp_path / "a.json").read_text())
    by_number = {(check["number"], check["name"]): check for check in told["checks"]}
    assert len(by_number) == len(CHECKS)
    assert {check["status"] for check in told["checks"]} == {"passed", "not tested"}
    assert all(check["why"] for check in told["checks"])
    page = (tmp_path / "a.html").read_text()
    assert page.count("data:image/png;base64,") == 7
    assert "http" not in page
    assert all(name.replace("'", "&#x27;") in page for _, name in by_number)


def test_the_command_fails_by_name_and_refuses_bad_input(backpulse, monkeypatch):
    machine = lambda config, **more: Broken(config, leak, payload=more["payload"])  # noqa: E731 - in the place of a class
    monkeypatch.setattr(urls, "GoldenMachine", machine)
    code, out, err = backpulse("array", "check", "--board", "golden://", "--tile", "20x6", "--only", "11,22")
    assert code == 1
    assert "check 11, 22 failed" in err.replace("\n", " ")
    assert "worst" in out
    for wrong in (("--only", "99"), ("--device", "none"), ("--html", "no/such/folder/a.html")):
        code, out, err = backpulse("array", "check", "--board", "golden://", *wrong)
        assert (code, out) == (2, "")
        assert err.startswith("Error: ")

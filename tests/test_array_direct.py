"""Arming, calibration, sweeps, forming, and what is refused before a line is driven: against an analog tile's words and a nodal array."""

# Over 400 lines: one array stands behind all of these commands.

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import backpulse as bp
from backpulse.firmware_py import physical as places
from backpulse.firmware_py.analog import CODE_OPEN, PROFILE_WORDS, LineWord, ProfileFlag, ProfileWord
from backpulse.firmware_py.analog_profiles import front_end_of, nominal, profile_words
from backpulse.firmware_py.physical import nodal
from backpulse.firmware_py.registers import ArrayWord, Cause, Window
from backpulse.host import urls, view
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_arm import carry_out, plan
from backpulse.host.array_calibration import calibrate
from backpulse.host.array_file import read_array
from backpulse.host.array_setup import prepare
from backpulse.host.calibration_file import read_calibration
from backpulse.host.errors import HostError
from backpulse.host.ports import GoldenPort
from backpulse.host.stop import Stop
from backpulse.host.urls import Address, open_board

from .analog_machine import CLOCK_KHZ, analog_board, analog_machine, array_of, tables_of

FILE = """
name = "die 7"
[wires]
row_ohm = 2.0
col_ohm = 2.0
[read]
reference = "calibrated"
[front_end]
kind = "slices"
pulse_s = 10e-6
offset_mv = 2.0
gain_error = 0.01
"""
BOARD = "socket://lab:1?array=lab.toml"
KNOWN = 22e3
"""Ohms of the resistor array."""


class Lab:
    """A laboratory's board, which stays as it is from one command to the next."""

    def __init__(self, backpulse, folder, monkeypatch):
        self._run, self._folder = backpulse, folder
        self.file(FILE)
        array = read_array(folder / "lab.toml")
        self.machine, self.analog = analog_machine(array)
        unit = array.pieces * array.cells.per_unit
        self.analog.g = np.full((8, 8), 1 / KNOWN / unit)
        monkeypatch.setattr(urls, "connect", lambda _: GoldenPort(self.machine))

    def file(self, text):
        (self._folder / "lab.toml").write_text(text)

    def __call__(self, *arguments):
        """Run a command of `array`; return (exit code, output, errors), each in one line."""
        code, out, err = self._run("array", *arguments, "--board", BOARD)
        return code, " ".join(out.split()), " ".join(err.split())

    def arm(self):
        code = code_in(self("arm")[2])
        assert self("arm", "--confirm", code)[0] == 0
        assert self.analog.armed

    def drove(self):
        """Whether anything was driven since this was asked last."""
        found = bool(self.analog.measured or self.analog.pulsed)
        self.analog.measured.clear()
        self.analog.pulsed.clear()
        return found


def code_in(text):
    """Return the code that a first step has shown."""
    return re.findall("--confirm ([0-9a-f]{6})", text)[0]


@pytest.fixture
def lab(backpulse, tmp_path, monkeypatch):
    return Lab(backpulse, tmp_path, monkeypatch)


def opened(array, analog_and_board):
    board, _ = analog_and_board
    prepare(board, Address("/dev/none", array))
    tile = AnalogTile(board)
    carry_out(tile, plan(tile, array).limits)
    return tile


@pytest.mark.parametrize("reference", ["calibrated", "pairs"])
def test_a_calibration_finds_offsets_gains_and_factors_that_nobody_told(reference):
    """Trims within a code of the amplifiers' offsets, gains within 3e-4 of the feedbacks', whatever the cells are but for the gain."""
    array = array_of(reference, wires={"row_ohm": 2.0, "col_ohm": 2.0})
    with analog_board(array) as (board, analog):
        tile = opened(array, (board, analog))
        unit = array.pieces * array.cells.per_unit
        known = 1 / np.random.RandomState(3).uniform(15e3, 60e3, (8, 8))
        analog.g = known / unit
        told = []
        found = calibrate(tile, array, known, report=lambda *at: told.append(at)).calibration
        assert told[-1][0] == told[-1][1]
        offset = analog.tables.offset / analog.tables.numbers[places.VOLTS_OF_CODE]
        assert np.abs(found.trim + offset - offset.mean()).max() < 1
        feedback = analog.tables.feedback / (front_end_of(array).feedback_ohm * unit)
        perfect = nominal(array, board.config)
        assert np.abs(np.array(found.gain) * feedback / perfect[LineWord.GAIN] - 1).max() < 4e-4
        if reference == "pairs":
            assert not any(found.factor)
        else:
            # A line senses nothing of cells at zero when all others are driven alike.
            mid = nodal(array, np.full((8, 8), array.cells.mid / unit))
            of_cols = mid.currents(np.ones(8), np.zeros(8))[1] / 8
            factor = perfect[LineWord.FACTOR] * of_cols * unit / array.cells.mid
            assert np.abs(np.array(found.factor[8:]) - factor).max() < 2
            assert 0.98 < found.factor[8] / perfect[LineWord.FACTOR] < 1
        # With these trims, which the tile adds, hardly a current flows where all lines are at code 0.
        tile.write_calibration(found.tables, found.number)
        analog.g *= 2
        assert np.abs(tile.measure(np.zeros(16)).values - found.offset).max() < 4
        assert board.link.read_words(ArrayWord.TEMPERATURE + 0xC0000000, 1) == [25]
        assert found.temperature == 25


def test_without_known_cells_gains_are_those_of_perfect_parts_and_trims_the_same():
    array = array_of("calibrated")
    with analog_board(array) as board_and_analog:
        tile = opened(array, board_and_analog)
        board, analog = board_and_analog
        found = calibrate(tile, array, None)
        assert set(found.calibration.gain) == {nominal(array, board.config)[LineWord.GAIN]}
        offset = analog.tables.offset / analog.tables.numbers[places.VOLTS_OF_CODE]
        assert np.abs(found.calibration.trim + offset - offset.mean()).max() < 1
        analog.switches = False
        plain = calibrate(tile, array, None)
        assert not any(plain.calibration.trim)
        assert "cannot disconnect lines" in plain.remarks[0]


def test_what_is_wrong_with_the_wiring_is_named():
    array = array_of("calibrated")
    with analog_board(array) as board_and_analog:
        tile = opened(array, board_and_analog)
        analog = board_and_analog[1]
        known = np.full((8, 8), 1 / KNOWN)
        analog.g = known / array.cells.per_unit
        analog.g[2, 5] *= 1.5
        with pytest.raises(
            HostError, match=r"Cells do not read as what is known of them: c5 on r2 \+4\d %.*r2 on c5 \+4\d %: look at wiring"
        ):
            calibrate(tile, array, known)
        analog.g = 1.4 * known / array.cells.per_unit
        with pytest.raises(HostError, match=r"Lines sense more or less than \[front_end\] says: r0 \+4\d %, .* and 10 more: look at"):
            calibrate(tile, array, known)
        analog.g[2, 5] = 1 / 50 / array.cells.per_unit
        with pytest.raises(
            HostError, match=r"converter of (r2|c5) is at its rail when one other line is driven .*: look for a short there"
        ):
            calibrate(tile, array, known)


def test_arming_takes_two_steps_and_says_what_will_be_driven(lab):
    code, out, err = lab("arm", "--json", "arm.json")
    assert code == 0
    assert not lab.analog.armed
    assert re.search(r"profile 0 +reads up to 0\.198\d V in 2 phases, settled 15 µs; pulses up: selected row \+1 V, selected col -1 V", out)
    assert re.search(r"N² g R +0\.0128, at most 0\.1", out)
    named = code_in(err)
    told = json.loads((lab._folder / "arm.json").read_text())
    assert (told["code"], told["armed"]) == (named, False)
    code, _, err = lab("arm", "--confirm", "000000")
    assert (code, lab.analog.armed) == (2, False)
    assert f"'000000' is not {named}" in err
    # What is confirmed is what was looked at: another voltage has another code.
    lab.file(FILE + "pulse_volts = 3.0\n")
    assert lab("arm", "--confirm", named)[0] == 2
    assert not lab.analog.armed
    lab.file(FILE + "[limits]\npulse_volts = 1.5\nread_volts = 0.5\npulse_s = 1e-3\nread_s = 0.1\npulses = 1000\n")
    lab.arm()
    limits = {word: lab.analog.words[word] for word in (ArrayWord.CODE_LIMIT, ArrayWord.READ_CODE_LIMIT, ArrayWord.LIMIT, ArrayWord.BUDGET)}
    assert list(limits.values()) == [9830, 3277, CLOCK_KHZ, 1000]
    assert lab("arm", "--off")[:2] == (0, "Off: all drivers are off, and the array is disarmed")
    assert not lab.analog.armed
    assert not lab.drove()


def test_from_python_arming_takes_two_steps_too(lab, monkeypatch):
    monkeypatch.chdir(lab._folder)
    with bp.open_array(BOARD, arming=True) as bench:
        plan = bench.arm()
        assert not bench.armed
        with pytest.raises(bp.InputError, match="'000000' is not"):
            bench.arm("000000")
        for drives in (bench.map, bench.calibrate):
            with pytest.raises(bp.InputError, match="The array is not armed, and no line was driven"):
                drives()
        assert not lab.drove()
        bench.arm(plan.code)
        assert bench.armed
        bench.calibrate(KNOWN).calibration.save("cal.json")
        curve = bench.iv("r3c5", 0.1, 1e-4)
        assert np.abs(curve.amperes - curve.volts / KNOWN).max() < 0.02 * 1e-4
        asked = bench.form("r1c2", 1.0, 1.5, 0.25, 30e3)
        assert not asked.driven
        assert not lab.analog.pulsed
        assert bench.form("r1c2", 1.0, 1.5, 0.25, 30e3, confirm=asked.code).formed == ["r1c2"]  # it was below that before
        assert not bench.armed
        bench.arm(bench.arm().code)
        assert bench.disarm() == "all drivers are off, and the array is disarmed"
    assert not lab.analog.armed


def test_n2gr_is_told_from_a_map(lab):
    rows = "\n".join(f"{r},{c},{1e-3 if (r, c) == (1, 1) else 5e-5}" for r in range(8) for c in range(8))
    (lab._folder / "map.csv").write_text(f"# of array map\nrow,column,forward_S\n{rows}\n")
    code, out, err = lab("arm", "--map", "map.csv")
    assert code == 0
    assert re.search(r"N² g R +0\.128, above 0\.1", out)
    assert "Note: N² g R is 0.13: above 0.1 far cells get so little" in err
    (lab._folder / "map.csv").write_text("1e-5,1e-5\n")
    assert lab("arm", "--map", "map.csv")[0] == 2


def test_an_open_interlock_cannot_be_armed(lab):
    code = code_in(lab("arm")[2])
    lab.analog.closed = False
    exit_code, _, err = lab("arm", "--confirm", code)
    assert exit_code == 1
    assert "could not be armed, as the circuit of its interlock is open: close lid and switches" in err
    lab.analog.trip = Cause.SUPPLY
    assert "The array has tripped: a supply" in lab("arm")[2]


def test_profiles_are_loaded_when_a_board_is_opened(lab):
    lab.file(FILE + '[[profile]]\naverages = 4\n[[profile]]\nread_volts = 0.1\nphases = 1\n[profile.idle]\nopen = ["selected_col"]\n')
    array = read_array(lab._folder / "lab.toml")
    with open_board(Address("socket://lab:1", array)) as board:
        assert board.facts.profiles == 2
        config = board.config
    held = [[lab.analog.tile[PROFILE_WORDS * number + at] for at in range(PROFILE_WORDS)] for number in range(16)]
    assert held[:2] == [profile_words(profile, array, config, CLOCK_KHZ) for profile in array.profiles]
    assert held[1][16 + 2] >> CODE_OPEN == 1
    assert not any(words[ProfileWord.FLAGS] & ProfileFlag.VALID for words in held[2:])
    assert (tables_of(lab.analog)[:, LineWord.GAIN] == nominal(array, config)[LineWord.GAIN]).all()
    assert lab.analog.words[ArrayWord.CALIBRATION] == 0


def test_a_calibration_is_kept_loaded_and_refused_where_it_does_not_belong(lab):
    lab.arm()
    code, out, _ = lab("calibrate", "--known", "22e3", "--out", "cal.json", "--json", "told.json")
    assert code == 0
    assert 'calibration = "cal.json" in the array file' in out
    path = lab._folder / "cal.json"
    saved = read_calibration(path)
    told = json.loads((lab._folder / "told.json").read_text())
    assert told["digest"] == saved.digest
    assert saved.number == int(saved.digest[:8], 16) == lab.analog.words[ArrayWord.CALIBRATION]
    tables = tables_of(lab.analog)
    assert tables[:, LineWord.GAIN].tolist() == saved.gain
    assert tables[:, LineWord.TRIM].tolist() == [trim & 0xFFFFFFFF for trim in saved.trim]

    lab.analog.tile = dict.fromkeys(lab.analog.tile, 0)  # a board that has restarted
    lab.analog.words[ArrayWord.CALIBRATION] = 0
    lab.file(f'calibration = "cal.json"\n{FILE}')
    with open_board(f"socket://lab:1?array={lab._folder / 'lab.toml'}"):
        pass
    assert (tables_of(lab.analog) == tables).all()
    assert lab.analog.words[ArrayWord.CALIBRATION] == saved.number

    assert lab.drove()  # calibrating did
    text = path.read_text()
    old = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    refused = {
        "is 40.0 days old, and may be 30 (--calibration-age): calibrate the array anew": re.sub('"date":.*?,', f'"date": "{old}",', text),
        "is dated .*, which is to come": re.sub('"date":"?.*?,', '"date": "2999-01-01T00:00:00Z",', text),
        "was measured on another array (die 7)": re.sub('"array": "[0-9a-f]', '"array": "' + ("0" if saved.array[0] != "0" else "1"), text),
        "is no calibration that this version knows (gain.0:": text.replace(str(saved.gain[0]), "-1", 1),
        "is no calibration: its lists have 15, 16 numbers": text.replace(f'"factor": [\n  {saved.factor[0]},', '"factor": [', 1),
        "(it: Invalid JSON": "{",
    }
    for sentence, damaged in refused.items():
        assert damaged != text
        path.write_text(damaged)
        code, out, err = lab("iv", "--cell", "r0c0", "--stop", "0.1", "--compliance", "1e-4", "--out", "iv.csv")
        assert (code, out) == (2, "")
        assert re.search(sentence if ".*" in sentence else re.escape(sentence), err)
    path.write_text(re.sub('"date":.*?,', f'"date": "{old}",', text))
    arguments = ("iv", "--cell", "r0c0", "--stop", "0.1", "--compliance", "1e-4", "--out", "iv.csv")
    assert not lab.drove()
    assert lab(*arguments, "--calibration-age", "50")[0] == 0
    path.unlink()
    assert "cal.json cannot be read" in lab(*arguments)[2]
    # Another array's: the same file with other cells, or another name.
    path.write_text(text)
    for other in (FILE.replace("die 7", "die 8"), FILE.replace("[read]", "[cells]\ng_max = 90e-6\n[read]")):
        lab.file(f'calibration = "cal.json"\n{other}')
        assert "was measured on another array (die 7)" in lab(*arguments)[2]


def test_a_sweep_measures_a_cell_alone_and_turns_at_the_compliance(lab):
    lab.file(FILE + "[limits]\nread_volts = 1.0\n")
    lab.arm()
    lab("calibrate", "--known", "22e3", "--out", "cal.json")
    lab.analog.g[3, 5] *= 2
    assert lab.drove()
    arguments = ("iv", "--cell", "r3c5", "--step", "0.05", "--out", "iv.csv", "--calibration", "cal.json")
    code, out, _ = lab(*arguments, "--stop", "0.5", "--compliance", "30e-6", "--plot", "iv.png", "--json", "iv.json")
    assert code == 0
    assert "It turned at 0.35 V, at the compliance" in out
    told = json.loads((lab._folder / "iv.json").read_text())
    volts, amperes = np.array(told["volts"]), np.array(told["amperes"])
    assert volts.tolist() == pytest.approx([0.05 * n for n in [*range(8), *range(6, -1, -1)]])
    assert np.abs(amperes - volts * 2 / KNOWN).max() < 0.02 * 30e-6
    lines = (lab._folder / "iv.csv").read_text().splitlines()
    assert lines[0] == "# backpulse: array iv: current through cell r3c5 over its voltage, compliance 3e-05 A"
    assert lines[3] == "point,direction,volts_V,current_A,over"
    assert len(lines) == 4 + len(volts)
    # No other cell sees more than half of the voltage.
    for codes in lab.analog.measured:
        across = codes[:8, None] - codes[None, 8:]
        across[3, 5] = 0
        assert np.abs(across).max() <= np.abs(codes).max() / 2 + 60
    assert (
        lab("iv", "--cell", "r3c5", "--stop", "-0.1", "--compliance", "1e-3", "--out", "iv.csv", "--json", "iv.json")[0] == 2
    )  # beyond the rail
    assert lab(*arguments, "--stop", "-0.1", "--compliance", "1e-4", "--json", "iv.json")[0] == 0
    assert min(json.loads((lab._folder / "iv.json").read_text())["amperes"]) < -7e-6
    assert lab.drove()
    code, _, err = lab(*arguments, "--stop", "1.5", "--compliance", "1e-4")
    assert (code, lab.drove()) == (2, False)
    assert "A line would get 1.5 V, and the limit is 1 V: sweep less, or raise read_volts in [limits]; no line was driven" in err


def test_forming_takes_two_steps_and_limits_of_its_own(lab):
    lab.file(FILE + '[endurance]\npulses = 1000\nledger = "ledger.npz"\n')
    lab.arm()
    stood = dict(lab.analog.words)
    lab.analog.g[:] = 0.05
    thresholds = {(1, 2): 1.9, (4, 4): 2.3}

    def move(g, volts):
        for place, threshold in thresholds.items():
            if volts[place] > threshold:
                g[place] = 2.0
        assert not (np.delete(volts.ravel(), [1 * 8 + 2, 4 * 8 + 4]) > 1.3).any()
        return g

    lab.analog.move = move
    arguments = ("form", "--cells", "r1c2,r4c4", "--start", "1.0", "--step", "0.25", "--stop", "2.5", "--target", "30e3", "--width", "1e-4")
    arguments += ("--out", "form.csv")
    code, out, err = lab(*arguments)
    assert (code, lab.analog.pulsed) == (0, [])
    assert "pulses: 1 V to 2.5 V at the cell" in out
    assert "100 µs wide, 7 pulses a cell at most" in out
    named = code_in(err)
    code, out, _ = lab(*arguments, "--confirm", named, "--json", "form.json")
    assert code == 0
    assert "2 of 2 cells formed; the array is disarmed" in out
    assert not lab.analog.armed
    assert {word: lab.analog.words[word] for word in stood} == stood
    cells = {cell["cell"]: cell for cell in json.loads((lab._folder / "form.json").read_text())["cells"]}
    assert cells["r1c2"]["volts"] == [0.0, 1.0, 1.25, 1.5, 1.75, 2.0]
    assert cells["r4c4"]["volts"][-1] == 2.5
    assert len(lab.analog.pulsed) == 5 + 7
    assert cells["r1c2"]["ohms"][-1] == pytest.approx(1 / (2 * 45e-6), rel=0.05)
    with np.load(lab._folder / "ledger.npz") as ledger:
        assert ledger["up"][1, 2] == 5
        assert ledger["up"].sum() == 12
    assert (lab._folder / "form.csv").read_text().splitlines()[3] == "row,column,pulse,volts_V,resistance_ohm"
    # A cell that does not form is named, and the pulses stay within what was confirmed.
    lab.analog.g[:], thresholds[1, 2] = 0.05, 9.0
    named = code_in(lab(*arguments)[2])
    code, _, err = lab(*arguments, "--confirm", named)
    assert code == 1
    assert "1 cell did not form: r1c2" in err
    assert lab(*arguments[:-2], "--out", "form.csv", "--confirm", "ffffff")[0] == 2


def test_what_would_be_driven_wrongly_is_refused_in_a_sentence(lab):
    sweep = ("iv", "--cell", "r0c0", "--stop", "0.1", "--compliance", "1e-4", "--out", "iv.csv")
    train = lab._run("train", "--dataset", "iris", "--layers", "4-3-3", "--board", BOARD)
    assert (train[0], train[1]) == (2, "")
    assert "The array is not armed, and no line was driven" in " ".join(train[2].split())
    for arguments in (
        sweep,
        ("calibrate", "--out", "cal.json"),
        ("map",),
        ("pulse", "--out", "p.csv"),
        ("self-check",),
        ("check", "--only", "3"),
    ):
        code, out, err = lab(*arguments)
        assert (code, out) == (2, ""), arguments
        assert "The array is not armed, and no line was driven: see what it will be driven with, `backpulse array arm`" in err
    lab.analog.width_min = 1000
    assert "Profile 0 has pulses of 10 µs, and this front end makes none below 40 µs: change pulse_s; no line" in lab("arm")[2]
    lab.analog.width_min = 1
    for limit, sentence in (
        ("pulse_volts = 0.5", "Profile 0 pulses with 1 V, and the limit is 0.5 V: change it, or pulse_volts in [limits]"),
        ("read_volts = 0.1", "Profile 0 reads with 0.1984 V, and the limit is 0.09995 V"),
        ("pulse_s = 5e-6", "Profile 0 has pulses of 10 µs, and the limit is 5 µs"),
        ("read_s = 5e-6", "Profile 0 has reads of 115 µs, and the limit is 5 µs"),
    ):
        lab.file(f"{FILE}[limits]\n{limit}\n")
        code, out, err = lab("arm")
        assert (code, out) == (2, "")
        assert sentence in err
    lab.file(FILE)
    lab.arm()
    lab.file(FILE + "pulse_volts = 3.0\n")  # more than it was armed for
    code, _, err = lab(*sweep)
    assert code == 2
    assert "Profile 0 pulses with 1.5 V, and the limit is 1.02 V: arm the array anew: `backpulse array arm`; no line was driven" in err
    lab.file(FILE.replace('"slices"', '"slices"\nslices = 2'))
    assert (
        "The array file is of 16 rows and 16 columns, calibrated, behind a front end of slices, and the board has 8 rows" in lab(*sweep)[2]
    )
    lab.file(FILE.replace('"slices"', '"student"'))
    assert "The array file is of 4 rows" in lab(*sweep)[2]
    lab.file('name = "x"\n')
    assert "in the table [front_end] of an array file: give it" in lab(*sweep)[2]
    lab.file(FILE)
    for wrong in (("--cell", "r9c0"), ("--cell", "r0c0-1"), ("--cell", "x"), ("--step", "0"), ("--compliance", "1"), ("--stop", "inf")):
        code, out, _ = lab(*sweep, *wrong)
        assert (code, out) == (2, ""), wrong
    assert not lab.drove()


def test_a_stop_within_a_sweep_disarms_and_writes_what_there_is(lab, monkeypatch):
    lab.file(FILE + "[limits]\nread_volts = 1.0\n")
    lab.arm()
    stops: list[Stop] = []

    @contextmanager
    def heard():
        stops.append(Stop())
        yield stops[0]

    def told():
        if len(lab.analog.measured) == 4:
            stops[0].asked = True

    monkeypatch.setattr(view, "stop_on_signals", heard)
    lab.analog.told = told
    code, _, err = lab("iv", "--cell", "r0c0", "--start", "0.1", "--stop", "0.5", "--compliance", "1e-4", "--out", "iv.csv")
    assert code == 130
    assert re.search(r"Error: Stopped: all drivers are off, and the array is disarmed; the [34] points measured are in iv.csv", err)
    assert not lab.analog.armed
    assert len((lab._folder / "iv.csv").read_text().splitlines()) in (7, 8)
    assert len(lab.analog.measured) == 4


def test_other_boards_have_no_direct_operations(backpulse, tmp_path):
    (tmp_path / "real.toml").write_text('kind = "real"\n')
    for arguments in (
        ("arm",),
        ("calibrate", "--out", "c.json"),
        ("iv", "--cell", "r0c0", "--stop", "1", "--compliance", "1e-3", "--out", "iv.csv"),
        ("form", "--cells", "r0c0", "--start", "1", "--stop", "2", "--step", "1", "--target", "1e3", "--out", "f.csv"),
    ):
        code, out, err = backpulse("array", *arguments, "--board", "golden://?array=real.toml", "--tile", "8x8")
        assert (code, out) == (2, "")
        assert re.search("direct operations on lines, which this board|needs no arming", " ".join(err.split()))
    small = ("--board", "golden://", "--tile", "8x8", "--calibration", "c.json")
    for arguments in (("array", "map"), ("array", "check"), ("array", "self-check"), ("train", "--dataset", "iris", "--layers", "4-3-3")):
        code, _, err = backpulse(*arguments, *small)
        assert code == 2
        assert "takes no calibration: leave c.json out" in " ".join(err.split())


def test_a_board_without_a_front_end_is_refused(lab):
    machine, read = lab.machine, lab.analog.read
    machine._readers[Window.ARRAY] = lambda offset: 0 if offset == ArrayWord.FRONT_END else read(offset)
    for arguments in (("arm",), ("map",), ("calibrate", "--out", "cal.json")):
        code, out, err = lab(*arguments)
        assert (code, out) == (2, "")
        assert "The board has no front end behind its analog tile: build it with one; no line was driven" in err
    assert not lab.drove()

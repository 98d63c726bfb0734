"""A physical array behind a front end: its model agrees with nodal analysis, pulses move what they should, files mean what they say."""

import numpy as np
import pytest

from backpulse.firmware_py import physical as places
from backpulse.firmware_py.analog import (
    AVERAGES_AT,
    CODE_OPEN,
    CODES,
    GAIN_FRAC,
    LineClass,
    LineWord,
    Phase,
    ProfileFlag,
    ProfileWord,
)
from backpulse.firmware_py.analog_profiles import config_of, cycles_of, front_end_of, lines, nominal, profile_words
from backpulse.firmware_py.array import Array, Dead, FrontEnd, LineVolts, Open, Profile, Read, Short, Stuck, Wires, Write
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.physical import nodal, physical
from backpulse.host.array_file import parse_array
from backpulse.host.errors import InputError
from tests.array_world import World

CLOCK_KHZ = 25_000
WIDTH = cycles_of(FrontEnd(kind="slices").pulse_s, CLOCK_KHZ)


def array_of(reference="pairs", *, write=None, wires=None, device="ideal", profile=(), **front):
    front = {"kind": "slices", **front}
    return Array(
        read=Read.model_validate({"reference": reference}),
        write=write,
        wires=wires or Wires(),
        device=device,
        profile=list(profile),
        front_end=FrontEnd(**front),
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return tmp_path_factory.mktemp("world")


@pytest.mark.parametrize(("reference", "ohm", "slices"), [("pairs", 2.0, 1), ("calibrated", 20.0, 2), ("calibrated", 0.0, 4)])
def test_all_lines_at_voltages_of_their_own_agree_with_nodal_analysis(reference, ohm, slices, library):
    """Currents to 1e-6 of a sample's full scale and cells' voltages to a microvolt, with everything broken and lines not connected."""
    array = Array(
        front_end=FrontEnd(kind="slices", slices=slices, offset_mv=2.0, gain_error=0.01),
        read=Read.model_validate({"reference": reference}),
        wires=Wires(row_ohm=ohm, col_ohm=1.5 * ohm, driver_ohm=3.0),
        stuck=[Stuck(row=1, col=1, value=0.5)],
        open=[Open(row=2, col=2, what="row"), Open(row=1, col=0, what="col"), Open(row=0, col=0)],
        short=[Short(row=3, col=3, ohm=100.0)],
        dead=Dead(rows=[0], cols=[2]),
    )
    tables, count = physical(array, CLOCK_KHZ), lines(array)
    world, random = World(library, tables), np.random.RandomState(1)
    for share in (1.0, 0.8, 0.5):
        codes, connected = random.randint(-3000, 3000, count.count), random.rand(count.count) < share
        world.drive(0, codes, connected)
        *found, across, _ = world.solve()
        volts = codes * tables.numbers[places.VOLTS_OF_CODE] + tables.offset
        direct = nodal(array, tables.conductances(), connected=connected)
        given = volts[: count.rows], volts[count.rows :]
        scale = front_end_of(array).sense_volts / tables.feedback.min()
        for one, right in zip(found, direct.currents(*given), strict=True):
            assert np.abs(right).max() > 0.05 * scale
            assert np.abs(one - right).max() < 1e-6 * scale
        of_rows, of_cols = direct.voltages(*given)
        assert np.abs(across - (of_rows - of_cols)).max() < 1e-6


def test_a_sample_is_the_amplifiers_output_rounded_and_clipped(library):
    """A line's voltage less its current times its own feedback, in 16 or 12 bits; a converter at its rail stays there."""
    for kind, step in (("slices", 1), ("student", 16)):
        array = array_of("calibrated", kind=kind, offset_mv=2.0, gain_error=0.02)
        tables, count = physical(array, CLOCK_KHZ), lines(array)
        world = World(library, tables)
        codes = np.zeros(count.count, int)
        codes[:2] = 1300, -900
        world.drive(0, codes)
        volts = codes * tables.numbers[places.VOLTS_OF_CODE] + tables.offset
        currents = np.concatenate(nodal(array, tables.conductances()).currents(volts[: count.rows], volts[count.rows :]))
        output = (volts - currents * tables.feedback + tables.numbers[places.REST_VOLTS]) / tables.numbers[places.VOLTS_OF_SAMPLE]
        samples = world.convert()
        assert np.array_equal(samples, np.rint(output / step) * step)
        codes[0] = 32767
        world.drive(100, codes)
        assert world.convert()[0] == 32768 - step
        assert world.convert()[count.rows :].min() < -2000  # the columns sense it
        codes[0] = 1300
        world.drive(101, codes)
        assert np.array_equal(world.convert(), samples)
    noisy = array_of("calibrated", noise_mv=3.0)
    world, lsb = World(library, physical(noisy, CLOCK_KHZ)), 1000 * front_end_of(noisy).sense_volts / 32768
    deviation = np.std([world.convert() for _ in range(400)])
    assert deviation * lsb == pytest.approx(3.0, rel=0.05)


def pulsed(world, tables, row, col, cycles=WIDTH, volts=2.0, start=1000):
    """Give one cell a pulse up, the row at half the voltage and the column at minus half of it."""
    code = round(volts / 2 / tables.numbers[places.VOLTS_OF_CODE])
    codes = np.zeros(sum(tables.cells.shape), int)
    codes[row], codes[tables.cells.shape[0] + col] = code, -code
    before = world.cells
    world.drive(start, codes)
    world.drive(start + cycles, 0 * codes)
    return (world.cells - before) / (1 << DEFAULT.cell_frac)


def test_a_pulse_moves_its_cell_by_a_step_and_others_as_the_file_says(library):
    step = PRESETS["ideal"].dw_min
    exact = physical(array_of("calibrated"), CLOCK_KHZ)
    world = World(library, exact)
    right = np.zeros((8, 8))
    right[2, 5] = step
    assert np.abs(pulsed(world, exact, 2, 5) - right).max() < 0.01 * step
    assert np.abs(pulsed(world, exact, 2, 5, volts=-2.0) + right).max() < 0.01 * step
    assert np.abs(pulsed(world, exact, 2, 5, cycles=WIDTH // 2) - right / 2).max() < 0.01 * step
    assert not pulsed(world, exact, 2, 5, volts=1.4).any()
    assert not pulsed(world, exact, 2, 5, volts=0.2, cycles=10**6).any()
    soft = physical(array_of("calibrated", write=Write(steepness=10.0)), CLOCK_KHZ)
    moved = pulsed(World(library, soft), soft, 2, 5) / step
    half = np.sinh(5.0) / np.sinh(10.0)
    assert moved[2, 5] == pytest.approx(1.0, rel=0.01)
    assert moved[2, :5] == pytest.approx(half, rel=0.05)
    assert moved[:2, 5] == pytest.approx(half, rel=0.05)
    assert np.abs(np.delete(np.delete(moved, 2, 0), 5, 1)).max() < 1e-6  # of wires with 1 mΩ


def test_wires_take_from_a_pulse_what_nodal_analysis_says(library):
    array = array_of("calibrated", write=Write(steepness=10.0), wires=Wires(row_ohm=20.0, col_ohm=20.0, driver_ohm=100.0))
    tables = physical(array, CLOCK_KHZ)
    moved = pulsed(World(library, tables), tables, 7, 7)
    rows, cols = np.zeros(8), np.zeros(8)
    rows[7], cols[7] = 1.0, -1.0
    of_rows, of_cols = nodal(array, tables.conductances()).voltages(rows, cols)
    part = np.sinh(10.0 * (of_rows - of_cols) / 2.0) / np.sinh(10.0)
    assert part[7, 7] < 0.75
    assert moved == pytest.approx(part * PRESETS["ideal"].dw_min, rel=1e-2, abs=1e-9)


def test_real_devices_end_at_their_bounds_and_long_pulses_go_step_by_step(library):
    tables = physical(array_of("calibrated", device="ecram", write=Write()), CLOCK_KHZ)
    world, device = World(library, tables), PRESETS["ecram"]
    for _ in range(3):
        pulsed(world, tables, 1, 1, cycles=4000 * WIDTH)
    bound = world.cells[1, 1] / (1 << DEFAULT.cell_frac)
    assert bound == pytest.approx(device.bound_up, rel=0.2)
    one = abs(pulsed(world, tables, 1, 1, volts=-2.0)[1, 1])
    assert one < 2 * device.dw_min


def test_a_file_with_a_front_end_alone_has_a_profile():
    array = array_of("pairs", settle_s=20e-6)
    assert (lines(array).rows, lines(array).cols, config_of(array, DEFAULT).tile_cols) == (8, 8, 4)
    words = profile_words(array.profiles[0], array, DEFAULT, CLOCK_KHZ)
    assert words[ProfileWord.FLAGS] == ProfileFlag.VALID | ProfileFlag.TWO_PHASE
    assert words[ProfileWord.SCALE] == round(0.2 / 128 / (5 / 32768) * 256)
    times = [words[word] for word in (ProfileWord.SETTLE, ProfileWord.WIDTH, ProfileWord.GAP, ProfileWord.DELAY)]
    assert times == [500, 625, 250, 250]
    volt = 32768 // 5
    assert words[CODES + 8 * Phase.UP + LineClass.SELECTED_ROW] == volt + 1
    assert (
        words[CODES + 8 * Phase.UP + LineClass.SELECTED_COL] == words[CODES + 8 * Phase.DOWN + LineClass.SELECTED_ROW] == 65536 - volt - 1
    )
    assert sum(words[CODES:]) == 2 * 65536


def test_profiles_in_volts_and_seconds_become_words():
    one = Profile(read_volts=0.05, averages=8, pulse_s=1e-3, idle=LineVolts(open=["other_gate"]), pulse_volts=3.0, scheme="third")
    two = Profile(phases=1, up=LineVolts(selected_gate=2.5, other_col=0.5, open=["other_row"]))
    array = array_of("calibrated", profile=(one, two))
    first, second = (profile_words(profile, array, DEFAULT, CLOCK_KHZ) for profile in array.profiles)
    assert first[ProfileWord.FLAGS] >> AVERAGES_AT == 3
    assert (first[ProfileWord.SENSE_SHIFT], second[ProfileWord.SENSE_SHIFT]) == (2, 0)
    assert first[ProfileWord.WIDTH] == 25_000
    assert first[CODES + LineClass.OTHER_GATE] == 1 << CODE_OPEN
    of_third = {line: first[CODES + 8 * Phase.UP + line] for line in LineClass}
    assert of_third[LineClass.OTHER_COL] == round(0.5 / 5 * 32768)
    assert of_third[LineClass.OTHER_ROW] == 65536 - of_third[LineClass.OTHER_COL]
    up, down = (second[CODES + 8 * phase : CODES + 8 * phase + 6] for phase in (Phase.UP, Phase.DOWN))
    assert up[LineClass.OTHER_ROW] == down[LineClass.OTHER_ROW] == 1 << CODE_OPEN
    assert up[LineClass.SELECTED_GATE] == 65536 - down[LineClass.SELECTED_GATE] == 16384
    assert second[ProfileWord.FLAGS] == ProfileFlag.VALID


def test_the_calibration_of_perfect_parts_makes_samples_sense_words(library):
    """One row at full drive: the gain makes its column's sample the cell's sense word, and the factor takes zero off."""
    for reference in ("calibrated", "pairs"):
        array = array_of(reference)
        tables, found = physical(array, CLOCK_KHZ), nominal(array, DEFAULT)
        world = World(library, tables)
        codes = np.zeros(16, int)
        codes[3] = round(0.2 / 5 * 32768)
        world.drive(0, codes)
        words = -world.convert()[8:] * found[LineWord.GAIN] / (1 << GAIN_FRAC)
        cells = tables.cells[3] / (1 << DEFAULT.cell_frac)
        if reference == "pairs":
            words, cells = words[0::2] - words[1::2], (cells[0::2] - cells[1::2]) / 2
        else:
            words = words - 128 * found[LineWord.FACTOR] / (1 << GAIN_FRAC)
        assert np.abs(words - 128 * cells).max() < 0.2


BAD = {
    "kind = 3": "front_end.kind must be one of slices, student, not 3",
    "slices = 3": "front_end.slices must be one of 1, 2, 4, not 3",
    "slice = 2": "Unknown key slice (did you mean slices?) in [front_end]: keys are kind, slices",
    "pulse_s = 0": "front_end.pulse_s must be a number above 0, not 0",
    "pulse_volts = 12.0": "pulse_volts must be at most 10, as lines reach 5 V, not 12",
    "read_volts = 6.0": "read_volts must be at most 5, as lines reach 5 V, not 6",
    "[[profile]]\nread_volts = 0.15": "profile[0].read_volts must be that of front_end, 0.2, or a half, a quarter, ... 1/128 of it",
    "[[profile]]\naverages = 3": "profile.averages must be a power of two up to 128, not 3",
    "[[profile]]\nphases = 1\nunipolar = true": "profile.unipolar needs two phases: give phases = 2",
    "[[profile]]\nup = { row = 1.0 }": "Unknown key row in [profile.up]: keys are selected_row",
    "[[profile]]\nup = { selected_row = 6.0 }": "profile[0].up must be within what lines reach, 5 V, not 6",
    "[[profile]]\ndown = {}": "profile.down needs profile.up: give both, or pulse_volts and scheme",
    "[[profile]]\n" * 17: "profile must be at most 16 tables",
    "[read]\nreference = 'line'": "read.reference must be one of pairs, calibrated with a front end, not 'line'",
    "[read]\nnoise = 1.0": "read.noise is of models without a front end: give what front_end and profile have for it",
    "[wires]\nsense_ohm = 1.0": "wires.sense_ohm must be 0 with a front end, where driver_ohm counts, not 1",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_front_end_is_one_sentence(text):
    kind = "" if text.startswith("kind") else "kind = 'slices'\n"
    with pytest.raises(InputError) as error:
        parse_array(f"[front_end]\n{kind}{text}", "array.toml")
    assert BAD[text] in str(error.value)
    assert "\n" not in str(error.value)


def test_what_needs_a_front_end_or_cannot_be_one_says_so():
    with pytest.raises(InputError, match="profile needs the table front_end: give it"):
        parse_array("[[profile]]\nphases = 1", "array.toml")
    with pytest.raises(InputError, match="slices must be 1 for the student kit, not 2"):
        parse_array("[front_end]\nkind = 'student'\nslices = 2", "array.toml")
    with pytest.raises(ValueError, match="has no table front_end"):
        lines(Array())
    with pytest.raises(ValueError, match="feedback_ohm must be so large"):
        nominal(array_of("pairs", feedback_ohm=100.0), DEFAULT)
    with pytest.raises(ValueError, match="at most 43 s at 100 MHz, not 50 s"):
        cycles_of(50.0, 100_000)


def test_the_golden_model_refuses_a_front_end(backpulse, tmp_path):
    (tmp_path / "array.toml").write_text("[front_end]\nkind = 'slices'\n")
    code, out, err = backpulse("train", "--board", "golden://?array=array.toml", "--dataset", "iris", "--layers", "4-3-3")
    assert (code, out) == (2, "")
    assert "is simulated behind sim:// alone: give sim://?array=FILE, or leave [front_end] out" in " ".join(err.split())

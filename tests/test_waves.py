"""Waves of the virtual board: only the samples named, every name of the save file, and words that say what the machine does."""

# The reader's compiled module has no types.
# pyright: reportAttributeAccessIssue=false

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pywellen

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.network import Network
from backpulse.gateware.sim import waves as form
from backpulse.host.settings import Settings, prepare
from backpulse.host.urls import board_config
from backpulse.host.waves import GLANCE, ROOMS, Waves

SETTINGS = {"dataset": "iris", "layers": "4-3"}
RUN = ["train", "--dataset", "iris", "--layers", "4-3", "--tile", "8x4", "--epochs", "1"]
CONFIG = board_config(Network(layers=(4, 3)), PRESETS["ideal"], tile="8x4")
PROGRAM = compile_network(Network(layers=(4, 3)), CONFIG, "progressive-exact")
TEXTS = [" ".join(PROGRAM.text(instruction).split()) for instruction in PROGRAM.instructions]
CORE = "TOP.waves.board.top.machine.core."
FIRST, LAST = 1, 2


@dataclass
class Shown:
    """A signal as the save file shows it."""

    name: str
    rooms: tuple[str, ...]
    flags: int
    words: dict[int, str]
    point: int

    def said(self, value: int, bits: int) -> str | float:
        """Return what a person sees of a value."""
        if self.words:
            return self.words.get(value, str(value))
        value -= (value >> bits - 1) << bits if self.flags & 0x400 else 0
        return value / (1 << self.point) if self.flags & 0x40000000 else value


def read_save_file(file: Path) -> dict[str, list[Shown]]:
    """Return what a save file shows, by name."""
    shown: dict[str, list[Shown]] = {}
    rooms: list[str] = []
    flags, point, words = 0, 0, {}
    for line in file.read_text().splitlines():
        if line.startswith("@"):
            flags = int(line[1:], 16)
        elif line.startswith("-"):
            rooms = [*rooms, line[1:]] if flags & 0x800000 else rooms[:-1]
        elif line.startswith("^"):
            translated = Path(line.split(" ", 1)[1]).read_text().splitlines()
            words = {int(value): word for value, word in (entry.split(" ", 1) for entry in translated)}
        elif found := re.fullmatch(r"\[fpshift_count\] (\d+)", line):
            point = int(found[1])
        elif line.startswith("+{"):
            name = re.sub(r"\[\d+:0\]$", "", line.rpartition(" ")[2])
            shown.setdefault(name, []).append(Shown(name, tuple(rooms), flags, words if flags & 0x2000 else {}, point))
    return shown


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return the folder of a run on the virtual board with waves of two samples."""
    folder = tmp_path_factory.mktemp("waves")
    more = ["--board", "sim://", "--waves", f"run.vcd,{FIRST},{LAST}", "--json", "run.json", "--checkpoint", "run.npz"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "backpulse.host", *RUN, *more], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Waves of samples 1 to 2 in run.vcd; to see them: gtkwave run.gtkw" in done.stderr
    return folder


def each_cycle(waves, *names):
    """Yield the values of signals at the end of each cycle that was written."""
    variables = [waves[CORE + name] for name in names]
    times = sorted({time for time, _ in waves[f"{CORE}clk"].tv if time % 2 == 0})
    for time in times:
        yield tuple(variable.signal.value_at(time) for variable in variables)


def test_every_name_of_the_save_file_is_in_the_waves_and_in_one_room(trained):
    waves = pywellen.Waveform(str(trained / "run.vcd"))
    shown = read_save_file(trained / "run.gtkw")
    assert {name.replace("[", ".[") for name in shown} <= {variable.full_name for variable in waves.all_vars()}  # wellen's form of an index
    assert len(shown) > 1500
    glance = {f"TOP.waves.{scope}.{name}" for scope, name in GLANCE}
    assert glance <= set(shown)
    for name, places in shown.items():
        assert len(places) == 1 + (name in glance)
        assert places[-1].rooms[0] in ROOMS
    assert shown[f"{CORE}units.planner.settled"][0].rooms == ("units", "machine.core.units.planner")
    assert shown["TOP.waves.board.top.machine.tile.busy"][0].rooms == ("tile", "machine.tile")
    assert shown["TOP.waves.board.top.machine.store.clk"][0].rooms == ("chip", "machine.store")


def test_the_words_say_what_the_program_does_in_these_samples_and_no_others(trained):
    waves = pywellen.Waveform(str(trained / "run.vcd"))
    shown = {name: places[0] for name, places in read_save_file(trained / "run.gtkw").items()}
    pc, state, machine = (shown[CORE + name] for name in ("sequencer.ins__payload.pc", "state", "sequencer.fsm_state"))
    began, states = [], set()
    for begin, at, now, inner in each_cycle(waves, "sequencer.begin", "sequencer.ins__payload.pc", "state", "sequencer.fsm_state"):
        states.add((state.said(now, 2), machine.said(inner, 2)))
        if begin:
            began.append(pc.said(at, 13))
    assert began == TEXTS[: PROGRAM.train_entry] * (LAST - FIRST + 1)
    assert states == {("TRAINING", "RUN")}
    op = shown[f"{CORE}sequencer.ins__payload.op"]
    assert {op.said(value, 4) for _, value in waves[op.name].tv} >= {Op.READ.name, Op.PULSE.name}


def test_the_numbers_are_those_of_the_samples(trained):
    """A READ of the first layer drives its rows with the bytes of the sample, in units of full drive."""
    waves = pywellen.Waveform(str(trained / "run.vcd"))
    drive = read_save_file(trained / "run.gtkw")[f"{CORE}to_tile__drive__payload"][0]
    names = ("sequencer.ins__payload.pc", "to_tile__drive__valid", "to_tile__drive__ready", "to_tile__drive__payload")
    driven = [drive.said(payload, 8) for at, valid, ready, payload in each_cycle(waves, *names) if at == 0 and valid and ready]
    settings = Settings.from_dict(SETTINGS)
    data = prepare(settings, CONFIG.drive_max)
    rows = data.train[settings.order(0, len(data.train))][FIRST : LAST + 1]
    expected = [value for row in rows for value in (*(data.x[row] / 128), 127 / 128)]  # the bias last
    assert driven == expected
    assert len(set(expected)) > 4


def test_a_board_that_writes_waves_gives_the_same_bits(trained, backpulse):
    assert backpulse(*RUN, "--json", "golden.json")[0] == 0
    results = [json.loads(file.read_text()) for file in (trained / "run.json", Path("golden.json"))]
    digests = [result["conductance_digest"] for result in results]
    assert digests[0] == digests[1]


def test_waves_of_inference_are_those_of_its_samples(trained, backpulse):
    code, _, err = backpulse("infer", "--checkpoint", trained / "run.npz", "--board", "sim://", "--waves", "infer.vcd")
    assert code == 0, err
    waves = pywellen.Waveform("infer.vcd")
    pc = read_save_file(Path("infer.gtkw"))[f"{CORE}sequencer.ins__payload.pc"][0]
    began = [pc.said(at, 13) for begin, at in each_cycle(waves, "sequencer.begin", "sequencer.ins__payload.pc") if begin]
    assert began == TEXTS[PROGRAM.train_entry + 1 : PROGRAM.evaluate_entry]


@pytest.mark.parametrize(
    ("board", "given", "said"),
    [
        ("golden://", "run.vcd", "--waves are those of the simulated RTL, and golden:// is not simulated: give --board sim://"),
        ("sim://", "run.vcd,5", "--waves takes FILE.vcd or FILE.vcd,FROM,TO, samples from 0 on, as in run.vcd,0,9, not run.vcd,5"),
        ("sim://", "run.vcd,3,1", "not run.vcd,3,1"),
        ("sim://", "run.vcd,-1,1", "not run.vcd,-1,1"),
        ("sim://", "run.txt", "--waves run.txt: Waves are written as .vcd or .fst, not as .txt"),
        ("sim://", "no/run.vcd", "There is no folder no for run.vcd: make it first"),
        ("sim://", "run.vcd,0,120", "--waves names sample 120, and 120 are trained here, counted from 0: name one up to 119"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(backpulse, board, given, said):
    code, _, err = backpulse(*RUN, "--board", board, "--waves", given)
    assert code == 2
    assert said in err
    assert not list(Path().iterdir())


def test_a_format_whose_header_is_missing_is_one_sentence(backpulse, monkeypatch):
    monkeypatch.setitem(form.FORMATS, ".fst", replace(form.FORMATS[".fst"], headers=("zlib_that_nobody_has.h",)))
    code, _, err = backpulse(*RUN, "--board", "sim://", "--waves", "run.fst")
    assert code == 2
    assert err.startswith("Error: Waves as .fst need the header zlib_that_nobody_has.h, which this computer lacks: install it")


def test_a_run_that_ends_before_its_sample_has_no_waves(tmp_path):
    waves = Waves(tmp_path / "run.vcd", 7, 9)
    assert waves.save(PROGRAM) == "The run ended before sample 7: there are no waves"
    assert not list(tmp_path.iterdir())

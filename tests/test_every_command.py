"""Every command at 80 and at 200 columns, in a pipe, and with --json on standard output."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from serial.tools import list_ports

pytest.importorskip("amaranth_boards")

from backpulse.firmware_py import places
from backpulse.gateware.bitstream import build as builder
from backpulse.gateware.export import export
from backpulse.host import cli, urls
from backpulse.host.__main__ import main
from backpulse.host.array_file import read_array
from backpulse.host.ports import GoldenPort
from backpulse.host.saved import report as saved_report

from .analog_machine import analog_machine
from .conftest import signals_kept
from .test_ports import ICEBREAKER, port

ROOT = Path(__file__).parent.parent
NETWORK = ["--dataset", "iris", "--layers", "4-3", "--tile", "8x4"]
TRAIN = [*NETWORK, "--epochs", "1", "--device", "ecram"]
REAL = ["--board", "golden://?array=real.toml", "--tile", "12x8", "--tiles", "2"]
ANALOG = ["--board", "socket://lab:1?array=lab.toml"]
FORM = ["--cells", "r1c2,r4c4", "--start", "1.0", "--step", "0.5", "--stop", "2.5", "--target", "30e3", "--out", "form.csv"]
FILES = {
    "array.toml": "[wires]\nrow_ohm = 2.0\ncol_ohm = 2.0\n",
    "real.toml": 'kind = "real"\ndevice = "ecram"\n[endurance]\npulses = 100000\nledger = "ledger.npz"\n',
    "lab.toml": 'name = "die 7"\n[wires]\nrow_ohm = 2.0\ncol_ohm = 2.0\n[read]\nreference = "calibrated"\n'
    '[front_end]\nkind = "slices"\npulse_s = 10e-6\n[limits]\nread_volts = 1.0\n',
    "target.csv": "\n".join(",".join(["50e-6"] * 8) for _ in range(24)),
    "sweep.toml": 'epochs = 1\ntile = "8x4"\n[settings]\ndataset = "iris"\nlayers = "4-3"\nweight_scale = 2\n[grid]\nlr = [0.5]\n'
    'schedule = ["progressive-corrected", "deferred"]\ndevice = ["ecram-uniform"]\nrounding = ["stochastic", "nearest"]\n',
}
RUNS = {
    "train": [*TRAIN, "--validation", "0.2"],
    "infer": ["--checkpoint", "run.npz"],
    "replay": ["run.trace"],
    "report": ["saved"],
    "divergence": [*NETWORK, "--board", "golden://", "--samples", "4"],
    "compare": [*TRAIN, "--seeds", "1", "--schedules", "progressive-corrected,software"],
    "sweep": ["sweep.toml"],
    "fit": ["--board", "icebreaker"],
    "program": [],
    "ports": [],
    "boards": [],
    "cache": [],
    "doctor": [],
    "info": [],
    "export": ["--out", "verilog", "--tile", "8x4"],
    "build": ["--board", "icebreaker", "--dry-run"],
    "sim": [],
    "device list": [],
    "device show": ["sandia"],
    "device simulate": ["ecram", "--cells", "3", "--pulses", "50"],
    "device fit": ["ramps.csv", "--out", "fitted.toml", "--units", "norm"],
    "array model": ["array.toml", "--tile", "8x4"],
    "array map": REAL,
    "array pulse": [*REAL, "--pulses", "2", "--out", "pulse.csv"],
    "array endurance": [*REAL, "--cells", "r1c1,r14c2", "--cycles", "2", "--pulses", "2", "--out", "endurance.csv"],
    "array retention": [*REAL, "--times", "0.001,0.002", "--out", "retention.csv"],
    "array program": ["target.csv", *REAL, "--device", "ecram"],
    "array self-check": ["--board", "golden://", "--tile", "12x8"],
    "array check": ["--board", "golden://", "--tile", "8x4", "--only", "1,2,3,16,21"],
    "array arm": ANALOG,
    "array calibrate": [*ANALOG, "--known", "22e3", "--out", "calibration.json"],
    "array iv": [*ANALOG, "--cell", "r3c5", "--stop", "0.1", "--compliance", "1e-4", "--out", "iv.csv"],
    "array form": [*ANALOG, *FORM],
    "array clear": ["--board", "golden://"],
}
"""A small run of each command."""
SERVING = {"watch", "flash"}
"""These show a page until they are stopped, or need a board that is plugged in."""
VARIED = {"device list", "sweep", "array calibrate"}
"""These are laid out in another way when they are narrow, or have the digest of a date."""
WITHOUT_JSON = {"report", "watch", "flash"}
WRONG = {
    "report": ["nowhere"],
    "watch": ["nowhere"],
    "replay": ["nowhere"],
    "sweep": ["nowhere.toml"],
    "infer": ["--checkpoint", "nowhere.npz"],
    "device fit": ["nowhere.csv", "--out", "fitted.toml"],
    "device show": ["nothing"],
    "device simulate": ["nothing"],
    "array model": ["nowhere.toml"],
    "flash": ["--board", "nothing"],
    **{path: ["--board", "nothing"] for path in ("fit", "build")},
    **{path: ["--nothing"] for path in ("ports", "boards", "cache", "program", "device list")},
    "array program": ["nowhere.csv", *REAL],
    "array form": [*ANALOG, *FORM, "--cells", "nothing"],
    "array iv": [*ANALOG, *RUNS["array iv"][2:], "--cell", "nothing"],
    "array pulse": [*REAL, "--out", "pulse.csv", "--cells", "nothing"],
    "array endurance": [*REAL, "--out", "endurance.csv", "--cells", "nothing"],
    "array retention": [*REAL, "--out", "retention.csv", "--cells", "nothing"],
    "array calibrate": ["--board", "nothing://", "--out", "calibration.json"],
    "doctor": ["--board", "nothing://"],
    "export": ["--out", "verilog", "--tile", "nothing"],
    "sim": ["--tile", "nothing"],
    "divergence": [*NETWORK, "--board", "nothing://"],
    **{name: [*arguments, "--dataset", "nothing"] for name, arguments in (("train", TRAIN), ("compare", NETWORK))},
    **{path: ["--board", "nothing://"] for path in ("info", "array map", "array self-check", "array check", "array arm", "array clear")},
}
"""A mistake in the use of each."""


def commands(command, path=()):
    """Yield the path and the options of a command and of those below it."""
    yield " ".join(path), {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


TREE = typer.main.get_command(cli.app)
COMMANDS = dict(commands(TREE))
LEAVES = COMMANDS.keys() - {"", "array", "device"}


def call(path, *arguments):
    """Run a command in this process; return exit code, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), signals_kept():
        patch.setattr(sys, "argv", ["backpulse", *path.split(), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code or 0, out.getvalue(), err.getvalue()


class Ended:
    """A virtual board that has ended at once."""

    url, running = "socket://127.0.0.1:4000", False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def end(self):
        return "it has ended"


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """Go to a folder with what the commands read, a port that there is not, a laboratory, and a virtual board that is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("commands"))
        patch.delenv("COLUMNS", raising=False)
        for name, text in FILES.items():
            Path(name).write_text(text)
        machine, analog = analog_machine(array := read_array(Path("lab.toml")))
        analog.g = np.full((8, 8), 1 / 22e3 / (array.pieces * array.cells.per_unit))
        patch.setattr(urls, "connect", lambda _: GoldenPort(machine))
        patch.setattr(list_ports, "comports", lambda: [port("/dev/ttyUSB1", ICEBREAKER, "1-2:1.1", "iCEBreaker V1.0e")])
        for path, *arguments in (
            ("train", *TRAIN, "--checkpoint", "run.npz", "--trace", "run.trace", "--save", "saved"),
            ("device simulate", "ecram", "--pulses", "60", "--cycles", "2", "--out", "ramps.csv"),
        ):
            code, _, err = call(path, *arguments)
            assert code == 0, err
        code, _, err = call("array arm", *ANALOG)
        assert call("array arm", *ANALOG, "--confirm", re.findall("--confirm ([0-9a-f]{6})", err)[0])[0] == 0
        patch.setattr(cli, "start", lambda *_, **__: Ended())
        # What they do takes its time, and is tested elsewhere.
        patch.setattr(export, "export_project", lambda _, out: out / "backpulse.v")
        patch.setattr(saved_report, "write_report", lambda *_: None)
        patch.setattr(places, "size", lambda _: 12_345_678)
        patch.setattr(builder, "dry_run", lambda _: {"build_digest": 64 * "0", "commands": [["yosys", "-q", "top.ys"], 30 * ["word"]]})
        yield


def test_every_command_is_here():
    assert {*RUNS, *SERVING} == LEAVES == WRONG.keys()
    assert {path for path in LEAVES if "--json" not in COMMANDS[path]} == WITHOUT_JSON


def expected(path):
    """Return the exit code of a run: what the virtual board of these tests does is to end."""
    return 4 if path == "sim" else 0


def check_whole(text, columns):
    """Nothing is cut, and tables fit the terminal; a sentence, a path or a command to copy is one line, which the terminal folds."""
    assert "…" not in text
    assert "\x1b" not in text, "no colours where there is no terminal"
    for line in map(str.strip, text.splitlines()):
        assert len(line) <= columns or "  " not in line, line


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("path", COMMANDS)
def test_help_is_whole(monkeypatch, path, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert TREE.main([*path.split(), "--help"], prog_name="backpulse", standalone_mode=False) == 0
    check_whole(out.getvalue(), columns)
    lines = out.getvalue().splitlines()
    assert columns - 2 < max(map(len, lines)) <= columns, "it uses what there is"
    assert not [option for option in COMMANDS[path] if option not in out.getvalue()]
    assert not [line for line in lines if "<bool>" in line and "--help" not in line], "a switch takes no value"


@pytest.mark.parametrize("path", RUNS)
def test_what_it_prints_is_whole_at_any_width(monkeypatch, path):
    told = {}
    for columns in (80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        code, told[columns], err = call(path, *RUNS[path])
        assert code == expected(path), err
        check_whole(told[columns], columns)
        assert "…" not in err
        if not told[columns]:  # it tells all in sentences, on standard error
            return
    narrow, wide = (sorted(re.sub(r"\s|\d|(?<=\d)\.(?=\d)", "", text)) for text in told.values())
    if path not in VARIED:
        assert narrow == wide, "what is told does not depend on the width"


@pytest.mark.parametrize("path", sorted(LEAVES - WITHOUT_JSON))
def test_json_is_all_there_is_on_standard_output(path):
    code, out, err = call(path, *RUNS[path], "--json", "-")
    assert code == expected(path), err
    assert isinstance(json.loads(out, parse_constant=pytest.fail), dict)


@pytest.mark.parametrize("path", sorted(WRONG))
def test_what_is_refused_is_told_on_standard_error_alone(path):
    code, out, err = call(path, *WRONG[path], *([] if path in WITHOUT_JSON else ["--json", "-"]))
    assert code == 2
    if path == "doctor":  # what it finds wrong is its result
        assert json.loads(out)["findings"][-1]["state"] == "trouble"
    else:
        assert (out, "nothing" in err or "nowhere" in err) == ("", True)


@pytest.mark.parametrize("path", ["array arm", "array form"])
def test_nobody_is_asked_to_confirm_what_is_not_shown(path):
    shown = call(path, *RUNS[path])[1]
    _, out, err = call(path, *RUNS[path], "--json", "-")
    assert shown in err
    assert json.loads(out)["code"] in err


def test_a_file_and_a_pipe_get_lines_in_one_piece():
    assert re.search(r"aihwkit:PCM .*depends on what it holds itself *\n", call("device list")[1])
    assert re.search(r"config digest +[0-9a-f]{64}\b", call("info")[1])


def test_numbers_that_are_none_are_null_in_json(tmp_path):
    from backpulse.host.output import write_json

    write_json(str(tmp_path / "a.json"), {"a": [1.5, float("nan")], "b": {"c": (float("inf"), "NaN")}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, None], "b": {"c": [None, "NaN"]}}


@pytest.mark.parametrize(
    "command",
    ["device list", "program --json - --layers 64-500-10", f"train {' '.join(TRAIN)} --json -"],
)
def test_a_pipe_into_head_is_quiet(command):
    line = f"set -o pipefail; '{sys.executable}' -m backpulse.host {command} | head -n 1"
    done = subprocess.run(["bash", "-c", line], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert not [line for line in done.stderr.splitlines() if not re.match(r"4-3 on iris|epoch|Test accuracy|By class|\d+ steps", line)]


def on_terminal(columns, *arguments, **variables):
    """Run a command on a terminal; return what it shows."""
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    with subprocess.Popen(
        [sys.executable, "-m", "backpulse.host", *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        told = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 4096):
                told += data
    os.close(ours)
    assert process.returncode == 0
    return told.decode().replace("\r\n", "\n")


def test_a_dumb_terminal_gets_lines_and_no_codes():
    told = on_terminal(100, "train", *TRAIN, "--epochs", "2", TERM="dumb")
    assert "\x1b" not in told
    assert told.count("\nepoch ") == 2

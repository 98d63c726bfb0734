"""Standard output as it is found, and what a person types first: --help, --version, --completion, a board's name."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backpulse.firmware_py import placement
from backpulse.firmware_py.config import ABI_VERSION
from backpulse.gateware.boards.boards import BOARDS
from backpulse.host import __main__, terminal
from backpulse.host.addresses import port_trouble
from backpulse.host.cli import main

SMALL = ["train", "--dataset", "iris", "--layers", "4-3", "--tile", "8x4", "--epochs", "1"]
ROOT = Path(__file__).parent.parent


def broken_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full():
    return os.open("/dev/full", os.O_WRONLY)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that runs a command with standard output (or error) on a file, and returns the exit code."""
    monkeypatch.chdir(tmp_path)

    def call(arguments, handle, name="stdout", encoding="utf-8", *, unbuffered=False):
        raw = io.FileIO(handle, "w")
        with io.TextIOWrapper(raw if unbuffered else io.BufferedWriter(raw), encoding=encoding, write_through=unbuffered) as stream:
            monkeypatch.setattr(sys, name, stream)
            monkeypatch.setattr(sys, "argv", ["backpulse", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            getattr(sys, name).close()
            monkeypatch.undo()
            monkeypatch.chdir(tmp_path)
        return ended.value.code or 0

    return call


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_full_standard_output_is_told_and_takes_nothing_along(run, capsys, tmp_path, unbuffered):
    assert run([*SMALL, "--json", "-", "--pulse-log", "l.csv", "--checkpoint", "c.npz"], full(), unbuffered=unbuffered) == 3
    assert capsys.readouterr().err.endswith(
        "Error: Standard output cannot be written: no space left on device: make room there, or name another place\n"
    )
    assert sorted(os.listdir(tmp_path)) == ["c.npz", "l.csv"]
    for arguments in (["boards"], ["program"], ["--help"], ["fit", "--board", "icebreaker"]):
        assert run(arguments, full(), unbuffered=unbuffered) == 3


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_reader_who_has_had_enough_is_no_trouble(run, tmp_path, unbuffered):
    for arguments in (["boards"], ["program", "--layers", "64-500-500-10"], ["--help"], [*SMALL, "--json", "-", "--checkpoint", "c.npz"]):
        assert run(arguments, broken_pipe(), unbuffered=unbuffered) == 0
    assert (tmp_path / "c.npz").is_file()


@pytest.mark.parametrize("where", [full, broken_pipe])
def test_a_standard_error_that_takes_nothing_ends_no_run(run, tmp_path, where):
    assert run([*SMALL, "--json", "r.json"], where(), "stderr") == 0
    assert json.loads((tmp_path / "r.json").read_text())["complete"]
    assert run(["train", "--tile", "big"], where(), "stderr") == 2


def test_a_closed_standard_output(backpulse, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdout", None)
    code, _, err = backpulse(*SMALL, "--json", "-")
    assert (code, err) == (2, "Error: --json - needs standard output, which is closed: name a file\n")
    for arguments in ([*SMALL, "--json", "r.json"], ["boards"], ["program"], ["train", "--help"]):
        assert backpulse(*arguments)[0] == 0
    assert json.loads((tmp_path / "r.json").read_text())["complete"]


def test_closed_files_are_not_taken_by_a_result():
    """What is opened first gets the lowest number, and would be standard output to every program that is started."""
    look = "[os.readlink(f'/proc/self/fd/{k}') for k in range(3)]"
    code = f"import os; from backpulse.host import terminal; terminal.guard(); print({look}, file=open('out', 'w'))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = ["sh", "-c", f'cd "$(mktemp -d)" && "{sys.executable}" -c "{code}" <&- >&- 2>&-; cat out']
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("/dev/null") == 3


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_signs_that_an_encoding_lacks_are_spelled(run, tmp_path, encoding):
    for number, arguments in enumerate(
        (["train", "--help"], ["boards"], ["compare", *SMALL[1:], "--seeds", "2", "--schedules", "progressive"])
    ):
        out = tmp_path / f"{number}"
        assert run(arguments, os.open(out, os.O_WRONLY | os.O_CREAT), encoding=encoding) == 0
        text = out.read_text(encoding)
        assert len(text) > 150
        assert "?" not in text
    assert ("+- std" if encoding == "ascii" else "± std") in text


def test_what_is_no_text_is_spelled():
    assert terminal.plain("a\udcff\n\x1b[1m\ud800 é ±") == "a\\xff\\n\\x1b[1m\\ud800 é ±"


def whole(text, columns=80):
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= columns


def test_tables_are_whole_at_80_columns(backpulse, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = backpulse("boards")
    whole(out)
    for word in ("colorlight-5a75b", "linear_step", "784-128-10", "131072"):
        assert re.search(rf"\b{word}\b", out)
    _, out, _ = backpulse("compare", *SMALL[1:], "--seeds", 1)
    whole(out)
    assert "progressive-corrected" in out


def test_version_works_where_nothing_else_does(tmp_path, backpulse):
    """Here numba cannot be imported."""
    code = "import sys; sys.modules['numba'] = None; from backpulse.host.__main__ import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def bare(*arguments):
        return subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], env=environment, capture_output=True, text=True)

    version = rf"backpulse [\d.]+, ABI {ABI_VERSION}(, commit [0-9a-f]{{12}}(-dirty)?)?\n"
    done = bare("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(version, done.stdout)
    assert backpulse("--version") == (0, done.stdout, "")
    done = bare("train")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("Error: This installation lacks something (import of numba halted")
    assert done.stderr.count("\n") == 1


def test_a_notebooks_backend_is_left_out(monkeypatch, signals):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setattr(sys, "argv", ["backpulse", "train"])
    monkeypatch.setattr("backpulse.host.cli.main", lambda: None)
    __main__.main()
    assert "MPLBACKEND" not in os.environ


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(backpulse, monkeypatch, shell):
    code, out, _ = backpulse("--completion", shell)
    assert (code, f"_BACKPULSE_COMPLETE=complete_{shell}" in out) == (0, True)
    monkeypatch.setenv("_BACKPULSE_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", "backpulse train --sched")
    monkeypatch.setenv("COMP_CWORD", "2")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "backpulse train --sched")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    code, out, _ = backpulse()
    assert (code, "--schedule" in out) == (0, True)


@pytest.mark.parametrize(
    ("board", "sentence"),
    [
        ("sim", "did you mean sim://?"),
        ("SIM://", "did you mean sim://?"),
        ("sim:/", "did you mean sim://?"),
        ("golden", "did you mean golden://?"),
        ("Gloden://", "did you mean golden://?"),
        ("icebreaker", "icebreaker is a kind of board: give the port that yours is at"),
        ("localhost:4000", "a board in the network is socket://host:port"),
        ("foo://", "give golden://, sim://, socket://host:port, auto or the path of a serial port"),
        ("/dev/null", "it is no serial port: give the path of one"),
        ("/dev", "it is no serial port: give the path of one"),
        ("/dev/nothing", "no such file or directory: plug the board in, or give the port that it is at"),
        ("socket://no-such-host.invalid:4000", "the name no-such-host.invalid "),
        ("socket://a..b:4000", "the name a..b is not known: check how it is spelled"),
        ("socket://[::1]:1", "No connection to socket://[::1]:1: "),
        ("socket://localhost:0", "needs a host and a port from 1 to 65535"),
    ],
)
def test_a_board_that_is_not_there_is_told_with_the_cause(backpulse, board, sentence):
    code, _, err = backpulse("info", "--board", board)
    assert (code, sentence in err, "unknown error" in err) == (2, True, False), err


def test_a_port_in_use_is_told(backpulse):
    import serial

    master, slave = os.openpty()
    name = os.ttyname(slave)
    with serial.Serial(name, exclusive=True):
        code, _, err = backpulse("info", "--board", name)
    assert (code, "it is in use by another program: end that one" in err) == (2, True)
    os.close(master)
    os.close(slave)
    assert "permission denied: log in as a member of the group" in port_trouble("p", PermissionError(errno.EACCES, "no"))
    code, _, err = backpulse("info", "--board", "/dev/tty", "--baud", 10**20)
    assert code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--layers", "64-9999999-10"], "needs at least 183106 tiles of 128x32 and a board has at most 1024; 64-10"),
        (["train", "--layers", "9999-9999-10"], "needs at least 24437 tiles of 128x32"),
        (["compare", "--layers", "64-9999999-10"], "needs at least 183106 tiles of 128x32"),
        (["program", "--layers", "9999-9999-10"], "needs at least 24437 tiles of 128x32"),
        (["program", "--layers", "4" + "-4" * 5000], "(5000 layers) needs at least 10002 entries of the vector table"),
        (["program", "--layers", "64-32-10", "--tile", "1x1"], "needs at least 2410 tiles of 1x1"),
        (
            ["train", "--layers", "64-9999999-10", "--schedule", "software"],
            "has 749,999,935 weights, and the reference at most 134,217,728; 64-1",
        ),
        (["fit", "--board", "icebreaker", "--layers", "64-9999999-10"], "; 64-4"),
        (["train", "--tiles", "99999999"], "tiles must be an integer from 1 to 1024"),
        (["train", "--tile", "99999x9"], "tile_rows must be an integer from 1 to 512"),
        (["sim", "--tile", "99999x9"], "tile_rows must be an integer from 1 to 512"),
        (["export", "--out", "v", "--tiles", "99999999"], "tiles must be an integer from 1 to 1024"),
        (["train", "--epochs", str(10**12)], "A run has at most 4,294,967,296 epochs, not 1,000,000,000,000: give fewer"),
        (["compare", "--seeds", str(10**9)], "10000"),
    ],
)
def test_sizes_that_cannot_be_are_refused_at_once(backpulse, monkeypatch, arguments, sentence):
    placed = []

    def blocks(*arguments, of=placement.shapes, **options):
        placed.extend(found := of(*arguments, **options))
        return found

    monkeypatch.setattr(placement, "shapes", blocks)
    monkeypatch.setattr("backpulse.host.settings.load", None)  # no data is read
    code, _, err = backpulse(*arguments)
    assert (code, sentence in re.sub(r"[│\s]+", " ", err)) == (1 if arguments[0] == "fit" else 2, True), err
    assert len(placed) < 50_000  # nothing is laid out in proportion to what cannot be


@pytest.mark.parametrize("layers", ["64-300-10", "64-200-100-10", "64-400-10"])
def test_what_is_said_to_fit_does(backpulse, layers):
    code, _, err = backpulse("fit", "--board", "ulx3s-25f", "--layers", layers)
    assert code == 1
    fits = re.search(r"too few; ([\d-]+) fits", err)
    assert fits, err
    assert backpulse("fit", "--board", "ulx3s-25f", "--layers", fits[1])[0] == 0
    said = re.search(rf"; all of {layers} fits (.+)$", err)
    others = {
        name for name, board in BOARDS.items() if not board.front_end and backpulse("fit", "--board", name, "--layers", layers)[0] == 0
    }
    assert others == (set(said[1].split(", ")) if said else set())
    assert bool(others) == (layers != "64-400-10")

"""Every code block of the documentation runs: in the test of its page, or here; what neither does is named below, with the reason."""

import ast
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer.main
from markdown_it import MarkdownIt
from typer.core import TyperGroup

from backpulse.firmware_py.config import IDEAL
from backpulse.host.array_file import read_array
from backpulse.host.cli import app
from backpulse.host.datasets import load
from backpulse.host.run_file import read_run_file
from tests import test_array_page, test_python, test_sweep_page, test_tutorials

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/**/*.md"))]
KINDS = {
    "sh": "shell",
    "console": "shell",
    "python": "python",
    "toml": "toml",
    "{code-block} python": "python",
    "{code-block} text": "text",
}
"""What a fenced block is, by its language; directives of the site are none."""
PROGRAMS = r"backpulse|make|pytest|python3?|\.venv/bin/\w+|pip|dask|gtkwave|printf|sed|\."
PORT = re.compile(r"/dev/ttyUSB\d|\bURL\b")
"""What a reader has and the test has not: the golden board stands for it."""
FASTER = {
    "train": ["--epochs", "1"],
    "compare": ["--epochs", "1", "--seeds", "1"],
    "array check": ["--only", "3"],
    "device simulate": ["--cells", "4"],
}
"""What is added to a command; the last value of an option counts."""

FOREVER, BOARD, BUILDS = "goes on until Ctrl-C", "needs a board", "compiles a virtual board"
NOT_RUN = {
    "README.md": {
        "python3 -m venv .venv": "installs: tests/test_wheel.py",
        ". .venv/bin/activate": "installs: tests/test_wheel.py",
        "pip install -e '.[sim]' -c constraints.txt": "installs: tests/test_wheel.py",
        "make demo": "takes minutes; CI does it",
        "make test": "this is it",
        "backpulse train --board sim:// --plot run.png --reference": BUILDS + ", and takes minutes: make demo",
        "backpulse train --save digits --keep pulses --live": "tests/test_live.py",
        "backpulse report digits": "docs/runs.md",
        "backpulse train --board sim:// --waves run.vcd,0,9": BUILDS + ": tests/test_waves.py",
        "backpulse export --out controller": "tests/test_export.py",
        "backpulse compare --map runs --epochs 10 --plot map.png": "takes an hour: make map",
        "backpulse array map --board '/dev/ttyUSB1?array=lab.toml'": "docs/array.md",
        "backpulse infer --checkpoint run.npz --after 1h,1d,30d": "docs/devices.md, with a device that forgets",
        "; one step of 64-32-10, progressive-exact": "a listing: tests/test_readme.py",
    },
    "CONTRIBUTING.md": {
        "make test": "this is it",
        ".venv/bin/python -m pytest tests/test_compiler.py -x": "this is it",
        "make formal ARGS=--quick": "CI does it",
        "make fuzz": "takes minutes",
    },
    "docs/array.md": {"backpulse sim --array lab.toml": FOREVER},
    "docs/arrays.md": {"backpulse infer --checkpoint run.npz --board 'sim://?array=array.toml'": BUILDS + ": tests/test_physical.py"},
    "docs/boards.md": {
        "pytest -m hil --port /dev/ttyUSB0 --baud 3000000": "tests/test_hil.py",
        "backpulse export --out controller --clk-hz 50000000 --baud 1000000": "tests/test_export.py",
        "from pathlib import Path": "tests/test_wishbone.py",
    },
    "docs/checkpoints.md": {
        "import hashlib, json, sys": "tests/test_checkpoint.py",
        "bit flipped: 46,976 refused in a sentence, 0 loaded as the original, 0 as another": "a result",
    },
    "docs/devices.md": {"row,column,up,down,bound,stuck": "a table of cells: tests/test_sweep_runs.py"},
    "docs/learning.md": {"eta = 0.5 · R / Σ ‖D b′‖ / ‖G b′‖": "a formula"},
    "docs/machine.md": {
        "step  = max(0, base - ((slope * G) >> 16))      base, slope of the sign's direction; >> is": "a formula",
        "u      = G + 2^15;  k = u >> 10;  low = u & 1023          (cell_bits - 1, - 6)": "a formula",
        "k = (E - VISITED[row]) mod 2^16;  VISITED[row] = E mod 2^16": "a formula",
        "x     = sum * GAIN - (sum of drives * FACTOR << n)       pairs, READ: sum * GAIN of 2c les": "a formula",
    },
    "docs/protocol.md": {
        "opcode u8 | sequence u8 | payload, 0 to 244 bytes | CRC-32 u32": "a frame",
        "def encode(opcode, seq, payload):": "tests/test_link_page.py",
        "opcode | 0x80 | the same sequence | status u8 | data | CRC-32": "a frame",
    },
    "docs/python.md": {'lab = backpulse.open_array("/dev/ttyUSB1?array=lab.toml", arming=True)': BOARD + ": tests/test_array_direct.py"},
    "docs/runs.md": {
        "backpulse watch digits": FOREVER + ": tests/test_live.py",
        "backpulse train --epochs 20 --live": "tests/test_live.py",
    },
    "docs/sweeps.md": {
        "backpulse sweep grid.toml --curves curves.png --heat-map map.png": "small in tests/test_sweep_page.py",
        "dask scheduler": FOREVER,
        "dask worker tcp://10.0.0.1:8786 --nworkers 16 --nthreads 1": FOREVER,
        "backpulse sweep grid.toml --scheduler tcp://10.0.0.1:8786": "needs a cluster: tests/test_sweep_runs.py",
    },
    "docs/tutorial/first-run.md": {
        "python3 -m venv .venv": "installs: tests/test_wheel.py",
        ". .venv/bin/activate": "installs: tests/test_wheel.py",
        "pip install -e '.[sim]' -c constraints.txt": "installs: tests/test_wheel.py",
    },
    "docs/tutorial/own-board.md": {
        "backpulse train --board sim:// --tile 128x4 --epochs 1": BUILDS,
        "backpulse build --board icebreaker": "takes minutes: make budgets",
        "backpulse flash --board icebreaker": BOARD,
        "pytest -m hil --port /dev/ttyUSB1 --baud 1000000": "tests/test_hil.py",
    },
    "docs/waves.md": {
        "backpulse train --board sim:// --dataset iris --layers 4-3 --tile 8x4 --epochs 1 --waves run.vcd,1,2": BUILDS
        + ": tests/test_waves.py",
        "gtkwave run.gtkw": "a window",
        "backpulse divergence --board sim:// --dataset iris --layers 4-3 --tile 8x4 --samples 100": BUILDS + ": tests/test_divergence.py",
        "Error: The board and the golden model differ at sample 11, instruction 2 (PULSE W1, x, d1,": "a sentence",
    },
}
"""By page: a command, or the first line of another block."""


@dataclass(frozen=True)
class Item:
    """A command, or a block that is none."""

    kind: str
    text: str

    @property
    def name(self) -> str:
        """What the list calls it."""
        return self.text if self.kind == "shell" else self.text.splitlines()[0][:90]


def kind_of(text: str) -> str:
    """Return what a block without a language is."""
    if re.match(rf"({PROGRAMS})\s", text):
        return "shell"
    return "toml" if text.startswith("[") else "python" if re.match(r"import |from |def |\w+ = backpulse\.", text) else "text"


def items(page: str) -> list[Item]:
    """Return what a page lets a reader do."""
    found = []
    for token in MarkdownIt().parse((ROOT / page).read_text()):
        if token.type not in ("fence", "code_block") or (token.info.startswith("{") and token.info not in KINDS):
            continue
        text = re.sub(r":caption: .*\n\n", "", token.content)
        kind = KINDS.get(token.info) or kind_of(text)
        if kind != "shell":
            found.append(Item(kind, text))
            continue
        lines = re.findall(r"^\$ (.*)", text, re.MULTILINE) if token.info == "console" else text.splitlines()
        commands = [command for line in lines for command in line.split(" && ")]
        found += [Item(kind, shlex.join(words)) for line in commands if (words := shlex.split(line, comments=True))]
    return found


def by_its_own_test(page: str) -> set[str]:
    """Return the commands and blocks that the test of a page runs."""
    text = (ROOT / page).read_text()
    if page == "docs/array.md":
        return {shlex.join(words) for words in test_array_page.commands(text)} | set(re.findall("```toml\n(.*?)```", text, re.DOTALL)[:1])
    if page == "docs/python.md":
        return set(test_python.BLOCKS)
    if page == "docs/sweeps.md":
        return {*test_sweep_page.blocks("toml"), *test_sweep_page.blocks("python")}
    if ROOT / page in test_tutorials.PAGES:
        steps = list(test_tutorials.steps(ROOT / page))
        return {text if is_file else shlex.join(shlex.split(what)) for what, text, is_file in steps}
    return set()


def left_over(page: str) -> list[Item]:
    """Return what is run here."""
    known = by_its_own_test(page) | set(NOT_RUN.get(page, ()))
    return [item for item in items(page) if item.text not in known and item.name not in known]


def test_the_list_names_what_is_there_and_files_that_are():
    for page, reasons in NOT_RUN.items():
        assert set(reasons) <= {item.name for item in items(page)}, page
        for reason in reasons.values():
            assert all((ROOT / name).exists() for name in re.findall(r"(?:tests|docs)/[\w./]+", reason)), reason
            assert all(f"\n{name}:" in (ROOT / "Makefile").read_text() for name in re.findall(r"make (\w+)", reason)), reason


def parse(words: list[str]) -> None:
    """Read a command line and do nothing."""
    command, context, rest = typer.main.get_command(app), None, words[1:]
    while isinstance(command, TyperGroup):
        context = command.make_context(words[0], list(rest), parent=context)
        _, command, rest = command.resolve_command(context, list(rest))
        assert command
    command.make_context(words[0], list(rest), parent=context)


@pytest.mark.parametrize(
    ("line", "told"),
    [("train --epocs 3", "No such option"), ("array mop --board sim://", "No such command"), ("train --epochs few", "be a valid integer")],
)
def test_a_wrong_command_is_found(line, told):
    with pytest.raises(Exception, match=told):
        parse(["backpulse", *shlex.split(line)])


@pytest.mark.parametrize("page", PAGES)
def test_each_command_has_its_options_and_each_program_what_it_imports(page, tmp_path, monkeypatch):
    """Of what is not run, too."""
    monkeypatch.chdir(tmp_path)
    write_what_is_the_readers(tmp_path)
    for item in items(page):
        words = shlex.split(item.text) if item.kind == "shell" else []
        if words[:1] == ["backpulse"]:
            parse(words)
        elif words[:1] == ["make"]:
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), item.text
        elif item.kind == "python" and not item.text.startswith("from dask_jobqueue"):
            imports: list[ast.stmt] = [one for one in ast.parse(item.text).body if isinstance(one, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), page, "exec"), {})
        elif item.kind == "toml":
            tomllib.loads(item.text)


def write_what_is_the_readers(folder: Path) -> None:
    """Write the files that the pages suppose."""
    cancer = load("breast-cancer")
    columns = [f"f{n}" for n in range(30)]
    rows = [[f"{value:g}" for value in cancer.x[k]] + ["ab"[cancer.y[k]]] for k in range(100)]
    (folder / "cells.csv").write_text("\n".join(map(",".join, [[*columns, "kind"], *rows])))
    birds = [f"{190 + 20 * (n % 3) + n % 7},{'' if n == 5 else 17 + n % 3},{('Adelie', 'Chinstrap', 'Gentoo')[n % 3]}" for n in range(60)]
    (folder / "penguins.csv").write_text("\n".join(["flipper,bill,species", *birds]))
    (folder / "new.csv").write_text("bill,flipper\n17,191\n")
    (folder / "array.toml").write_text("[wires]\nrow_ohm = 0.5\n")
    (folder / "lab.toml").write_text('kind = "real"\ndevice = "ecram"\n')
    (folder / "sweep.toml").write_text('epochs = 1\n[settings]\ndataset = "iris"\n[grid]\nlr = [0.5, 1.0]\n')
    (folder / "run.toml").write_text('dataset = "iris"\nlayers = "4-3"\n')
    rng = np.random.default_rng(1)
    np.savez(folder / "weights.npz", W1=rng.normal(size=(4, 3)), b1=np.zeros(3))
    up, down = np.linspace(5, 45, 40), np.linspace(45, 5, 40)
    (folder / "lab.csv").write_text("up (uS),down (uS)\n" + "".join(f"{a:.3f},{b:.3f}\n" for a, b in zip(up, down, strict=True)))


@pytest.mark.parametrize("page", [page for page in PAGES if left_over(page)])
def test_a_page_does_what_it_says(page, backpulse, tmp_path, monkeypatch):
    """One page's commands and blocks in their order; runs are of one epoch."""
    write_what_is_the_readers(tmp_path)
    for item in left_over(page):
        if item.kind == "python":
            exec(item.text, {"__name__": "__main__", "config": IDEAL})
        elif item.kind == "toml":
            appended(tmp_path, item.text)
        else:
            assert item.kind == "shell", f"{page}: what is {item.name!r}? Run it, or name it above"
            program, *words = shlex.split(PORT.sub("golden://", item.text))
            if program == "printf":  # printf TEXT > FILE
                (tmp_path / words[2]).write_text(words[0].replace("\\n", "\n"))
                continue
            assert program == "backpulse", f"{page}: {item.text!r} is not run: run it, or name it above"
            code, _, err = backpulse(*words, *faster(words))
            assert code == 0, (item.text, err)


def faster(words: list[str]) -> list[str]:
    """Return what lets a command take no time: one epoch, and flowers where it would be the digits."""
    added = FASTER.get(words[0], FASTER.get(" ".join(words[:2]), []))
    return [*added, *(["--dataset", "iris"] if "--epochs" in added and not {"--dataset", "--config"} & set(words) else [])]


def appended(folder: Path, text: str) -> None:
    """Do with a block of TOML what its page says: it is a whole file, or the end of a device file."""
    if "[operation]" in text:
        with (folder / "mine.toml").open("a") as file:
            file.write(text)
    elif "[retention]" in text:
        tomllib.loads(text)
    elif text.startswith("# run.toml"):
        (folder / "run.toml").write_text(text)
        read_run_file(folder / "run.toml")
    else:
        (folder / "block.toml").write_text(text)
        read_array(folder / "block.toml")

"""The exported Verilog in Icarus Verilog, read as Verilog and as SystemVerilog, answers a whole conversation as the golden model does."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.framing import Deframer, Frame, Opcode
from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.streams import seed_states
from backpulse.gateware.chip.top import Top
from backpulse.gateware.export.export import CONTROLLER, export_project
from backpulse.host.link import Port
from backpulse.host.scaling import records
from backpulse.host.urls import open_board

BENCH = Path(__file__).parent / "files" / "conversation.v"
SIZES = {"store_words": 64, "order_depth": 16, "result_depth": 16, "output_depth": 0, "trace_words": 0, "page_bytes": 16}
CONFIG = replace(IDEAL, tile_rows=9, tile_cols=3, tiles=1, program_words=64, regions=16, vectors=32, vector_words=64, **SIZES)
NETWORK = Network(layers=(4, 3, 2))


class Tap:
    """A port that remembers what is said on both sides, as pairs of what is sent and what comes back until something else is sent."""

    def __init__(self, port: Port, said: list[list[bytes]]) -> None:
        self._port, self._said = port, said

    def write(self, data: bytes) -> int:
        if not self._said or self._said[-1][1]:
            self._said.append([b"", b""])
        self._said[-1][0] += data
        return self._port.write(data)

    def read(self, timeout: float) -> bytes:
        data = self._port.read(timeout)
        self._said[-1][1] += data
        return data

    def close(self) -> None:
        self._port.close()


def conversation() -> tuple[list[list[bytes]], bool]:
    """Return what is said while one sample is trained on the golden model and the cells are read; whether they have changed."""
    said: list[list[bytes]] = []
    board = open_board("golden://", config=CONFIG, wrap=lambda port: Tap(port, said))
    program, device = compile_network(NETWORK, CONFIG, "progressive"), PRESETS["ideal"]
    scales = [Scale.from_float(0.5 / device.dw_min).to_word(), Scale.from_float(0.5).to_word()]
    cells = np.random.RandomState(1).randint(-3000, 3000, (CONFIG.rows, CONFIG.tile_cols))
    board.load(program, scales=scales, tile_words=device.tile_words(CONFIG))
    board.write_cells(cells)
    board.write_random({stream: list(states) for stream, states in seed_states(CONFIG, 1).items()})
    board.upload(records(np.array([[0.1, 0.9, 0.3, 0.5]]), np.array([[1.0, 0.0]])))
    board.train(program, np.array([0]))
    changed = bool((board.read_cells() != cells).any())
    board.close()
    return said, changed


def lines(data: bytes) -> str:
    """Return bytes as the bench reads and writes them."""
    return "".join(f"{byte:02x}\n" for byte in data)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[bytes]]]:
    """Return a folder with the export and the conversation for the bench, and the conversation."""
    folder = tmp_path_factory.mktemp("icarus")
    export_project(Top(CONFIG, clk_hz=4_000_000, baud=1_000_000), folder)
    said, changed = conversation()
    assert changed, "a sample that changes nothing proves nothing"
    (folder / "bytes.txt").write_text(lines(b"".join(sent for sent, _ in said)))
    (folder / "sizes.txt").write_text("".join(f"{len(sent):x} {len(answer):x}\n" for sent, answer in said) + "0 0\n")
    return folder, said


def frames(said: list[list[bytes]]) -> Iterator[tuple[Frame, Frame]]:
    """Yield each command with its answer; those that are sent together with a START are looked at while the sample is under way."""
    for sent, answer in said:
        commands = Deframer().feed(sent)
        if Opcode.START not in {command.opcode for command in commands}:
            yield from zip(commands, Deframer().feed(answer), strict=True)


@pytest.mark.skipif(shutil.which("iverilog") is None and os.environ.get("ICARUS") != "required", reason="there is no iverilog")
@pytest.mark.parametrize("standard", ["2005", "2012"])
def test_the_export_answers_as_the_golden_model(exported, standard):
    folder, said = exported
    place = folder / standard
    place.mkdir()
    for name in ("bytes.txt", "sizes.txt"):
        shutil.copyfile(folder / name, place / name)
    sources = [str(BENCH), str(folder / f"{CONTROLLER}.v")]
    subprocess.run(["iverilog", f"-g{standard}", "-Wno-timescale", "-o", "bench", *sources], cwd=place, check=True, timeout=60)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=place, check=True, capture_output=True, text=True, timeout=240)
    answers = bytes(int(line, 16) for line in (place / "answers.txt").read_text().split())
    assert len(answers) == sum(len(answer) for _, answer in said), done.stdout
    heard, at = [], 0
    for sent, answer in said:
        heard.append([sent, answers[at : at + len(answer)]])
        at += len(answer)
    expected = list(frames(said))
    assert list(frames(heard)) == expected
    assert len(expected) > 40
    asked = {command.opcode for command, _ in expected}
    assert {Opcode.HELLO, Opcode.READ, Opcode.WRITE} <= asked

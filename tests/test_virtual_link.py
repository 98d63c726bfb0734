"""The link under stress, on the golden model and on real UART bits: bad lines, garbage, pulled cables, HALT and ABORT at any moment."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.endpoint import Endpoint
from backpulse.firmware_py.framing import UNSEQUENCED, Frame, Opcode
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, REG, Counter, Fault, State, Stream, Window
from backpulse.firmware_py.streams import seed_states
from backpulse.host.board import Board
from backpulse.host.errors import LineLostError, NoProgressError
from backpulse.host.link import Link, Port
from backpulse.host.ports import GoldenPort, connect
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .faults import FaultyPort
from .test_same_bits import CONFIGS, run

pytestmark = pytest.mark.timeout(1200)  # the board may have to be built

CONFIG = CONFIGS["ideal"]
NETWORK = Network.parse("6-4-3")
PROGRAM = compile_network(NETWORK, CONFIG)
DEVICE = PRESETS["ideal"]
RATES = {"corrupt": 1 / 1000, "drop": 1 / 1000, "double": 1 / 1000}
LR, SEED = 1.0, 3

Plug = Callable[[], Port]
"""Connects to the same board each time."""


@contextmanager
def golden() -> Iterator[Plug]:
    port = GoldenPort(GoldenMachine(CONFIG))
    yield lambda: port


@contextmanager
def virtual() -> Iterator[Plug]:
    from backpulse.gateware.sim.virtual_board import VirtualBoard, build

    with VirtualBoard(build(CONFIG), line="tcp") as board:
        yield lambda: connect(board.url.removeprefix("socket://"))


@pytest.fixture(params=[golden, virtual])
def plug(request: pytest.FixtureRequest) -> Iterator[Plug]:
    """Return what connects to a board that runs on when nobody is connected."""
    with request.param() as connector:
        yield connector


@pytest.fixture(scope="module")
def expected() -> dict[str, object]:
    """Return what a run on a good line gives."""
    with open_board("golden://", config=CONFIG) as board:
        return run(board, PROGRAM, DEVICE, lr=LR, seed=SEED, samples=300)


def session(port: Port) -> Board:
    return Board(Link(port), port.close)


def test_a_bad_line_costs_retries_and_nothing_else(plug: Plug, expected: dict[str, object]) -> None:
    faulty = FaultyPort(plug(), 5, **RATES)
    with session(faulty) as board:
        assert run(board, PROGRAM, DEVICE, lr=LR, seed=SEED, samples=300) == expected
        assert board.link.retries > 0
    assert faulty.faults > 100


def test_a_digits_epoch_on_a_bad_line() -> None:
    settings = Settings()
    results, retries = [], []
    for rates in ({}, RATES):
        config = board_config(settings.network, settings.device_model)
        with open_board("golden://", config=config, wrap=lambda port, rates=rates: FaultyPort(port, 7, **rates)) as board:
            trainer = Trainer(board, settings, 1)
            assert trainer.run()
            result = trainer.result()
            retries.append(result.pop("link_retries"))
            result.pop("steps_per_second")
            results.append(result)
    assert results[0] == results[1]
    assert results[0]["steps"] == len(trainer.data.train)
    assert retries[0] == 0 < retries[1]


def test_a_board_that_does_things_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken variant: a board that executes what it gets, repeated or not, does more steps than it should, and is told so."""
    samples = 20_000
    accept = Endpoint._accept

    def forgetful(self: Endpoint, frame: Frame) -> object:
        return accept(self, frame) if frame.opcode in UNSEQUENCED else self._execute(frame)

    for broken in (False, True):
        if broken:
            monkeypatch.setattr(Endpoint, "_accept", forgetful)
        with open_board("golden://", config=CONFIG) as board:
            run(board, PROGRAM, DEVICE, lr=LR, seed=SEED)
            before = board.raw_counters()[Counter.STEPS]
            board.link._port = FaultyPort(board.link._port, 11, drop=1 / 200)
            with pytest.raises(NoProgressError, match="counter STEPS is wrong: restart") if broken else nullcontext():
                board.train(PROGRAM, np.zeros(samples, np.int64))
            assert broken or board.raw_counters()[Counter.STEPS] - before == samples


def garbage(seed: int) -> bytes:
    """Return several kB: noise, noise with many delimiters, and good frames of commands that there are not."""
    rng = random.Random(seed)
    noise = rng.randbytes(4000)
    delimited = bytes(rng.choice((0, 0, 1, 2, 5, rng.randrange(256))) for _ in range(3000))
    frames = [Frame(rng.choice((0, 8, 77, 255)), rng.randrange(256), rng.randbytes(rng.randrange(40))).encode() for _ in range(20)]
    wrong = [Frame(rng.choice(list(Opcode)), rng.randrange(9, 256), rng.randbytes(3)).encode() for _ in range(20)]
    return noise + delimited + b"\0" + b"".join(frames + wrong)


def write_all(port: Port, data: bytes) -> None:
    """Write more than a port may take at once."""
    while data:
        data = data[port.write(data) :]


def test_random_bytes_do_not_hang_the_board(plug: Plug, expected: dict[str, object]) -> None:
    port = plug()
    write_all(port, garbage(1))
    session(port)
    write_all(port, garbage(2))
    while port.read(1.0):
        pass
    with session(port) as board:
        assert run(board, PROGRAM, DEVICE, lr=LR, seed=SEED, samples=300) == expected


class Cable:
    """A port that can be unplugged."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self.plugged = True

    def write(self, data: bytes) -> int:
        if not self.plugged:
            raise OSError("device disconnected")
        return self._port.write(data)

    def read(self, timeout: float) -> bytes:
        if not self.plugged:
            raise OSError("device disconnected")
        return self._port.read(timeout)

    def close(self) -> None:
        self._port.close()


def test_a_pulled_cable_lets_the_board_pause_at_the_end_of_its_credit(plug: Plug, expected: dict[str, object]) -> None:
    cable = Cable(plug())
    board = session(cable)
    run(board, PROGRAM, DEVICE, lr=LR, seed=SEED)
    before = board.raw_counters()[Counter.STEPS]
    nonce = board.link.read_words(REG["SESSION"].address, 2)
    granted = []
    taken = board.taken
    board.taken = lambda count: granted.append(count) or taken(count)

    def unplug(progress: object) -> None:
        cable.plugged = len(granted) < 3

    with pytest.raises(LineLostError, match=r"^The line to the board was lost \(device disconnected\): the board pauses when"):
        board.train(PROGRAM, np.zeros(20_000, np.int64), unplug)
    board.close()

    link = Link(plug())
    assert link.hello(np.array(nonce, "<u4").tobytes())
    until = time.monotonic() + 60
    while (status := link.read_words(REG["STATE"].address, 3))[0] == State.TRAINING and time.monotonic() < until:
        time.sleep(0.01)
    assert status == [State.PAUSED, 0, 0]
    address = REG["COUNTER"].address + Counter.STEPS
    assert link.read_words(address, 1)[0] - before == sum(granted)
    time.sleep(0.2)
    assert link.read_words(address, 1)[0] - before == sum(granted)
    link.close()
    with session(plug()) as again:
        assert run(again, PROGRAM, DEVICE, lr=LR, seed=SEED, samples=300) == expected


def short(board: Board, cells: np.ndarray) -> tuple[list[list[int]], dict[Stream, list[int]]]:
    """Restore the first tile and the random states, train on eight samples, return both."""
    for row in range(CONFIG.tile_rows):
        board.link.write_words(Window.CELLS.base + (row << CELL_ROW_SHIFT), cells[row].tolist())
    board.write_random({stream: list(states) for stream, states in seed_states(CONFIG, SEED).items()})
    board.train(PROGRAM, np.arange(8))
    rows = [board.link.read_words(Window.CELLS.base + (row << CELL_ROW_SHIFT), CONFIG.tile_cols) for row in range(CONFIG.tile_rows)]
    return rows, dict(board.read_random())


def test_halt_and_abort_at_any_moment_leave_a_board_that_goes_on(plug: Plug) -> None:
    rng = random.Random(9)
    assert PROGRAM.tiles_used == 1
    with open_board("golden://", config=CONFIG) as clean:
        run(clean, PROGRAM, DEVICE, lr=LR, seed=SEED)
        cells = clean.read_cells().astype(np.int64) & 0xFFFF
        wanted = short(clean, cells)
        rest = clean.read_cells()
    with session(plug()) as board:
        run(board, PROGRAM, DEVICE, lr=LR, seed=SEED)
        caught = 0
        for _ in range(24):
            before = board.raw_counters()[Counter.STEPS]
            board.link.write_words(REG["ENTRY"].address, [PROGRAM.train_entry, 0])
            board.link.start()
            granted = board.link.grant([rng.randrange(40) for _ in range(rng.choice((1, 120, 960)))])
            time.sleep(rng.choice((0, 0.001, 0.02)) * rng.random())
            abort = rng.random() < 0.6
            board.link.abort() if abort else board.link.halt()
            until = time.monotonic() + 10
            while (status := board.status())[0] in (State.TRAINING, State.PAUSED) and time.monotonic() < until:
                time.sleep(0.001)
            assert status[:2] == ((State.FAULT, Fault.ABORTED) if abort else (State.IDLE, Fault.NONE))
            steps = board.raw_counters()[Counter.STEPS] - before
            assert steps <= granted
            caught += steps < granted
            assert short(board, cells) == wanted
        assert np.array_equal(board.read_cells(), rest)
        assert isinstance(board.link._port, GoldenPort) or caught > 5

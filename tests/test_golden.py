"""The golden model against float arithmetic, and the schedules against what they claim."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from backpulse.firmware_py.compiler import PULSE_SCALE
from backpulse.firmware_py.config import DEFAULT, IDEAL, SMALL, Config
from backpulse.firmware_py.device import PRESETS, with_values
from backpulse.firmware_py.digest import conductance_digest
from backpulse.firmware_py.divergence import first_divergence
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.image import instruction_words
from backpulse.firmware_py.isa import Function, Instruction, Op
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.pulse_log import PulseLog
from backpulse.firmware_py.registers import ARRAY_WORDS, REG, Counter, State, Window

from .machines import Loaded, flat, loaded

ONE = 4096
DEVICES = {"ideal": PRESETS["ideal"], "ecram": PRESETS["ecram"]}


def sample_vectors(board: Loaded, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (x with the bias, t) of a sample as logical numbers."""
    n = board.program.network.layers
    size = 4 * board.program.stride_words
    record = board.machine.memory.store[index * size : (index + 1) * size].view(np.int8).astype(float) / 128
    return np.append(record[: n[0]], 127 / 128), record[n[0] : n[0] + n[-1]]


@pytest.mark.parametrize("config", [DEFAULT, SMALL], ids=["one tile", "blocks"])
def test_forward_is_the_product_within_the_quantisers(config: object) -> None:
    network = Network.parse("40-24-5", output="linear")
    board = loaded(network, config=config)  # type: ignore[arg-type]
    program = board.program
    w1, w2 = board.weights(1), board.weights(2)
    for sample in range(10):
        board.run(program.evaluate_entry, [sample])
        x, _ = sample_vectors(board, sample)
        blocks = len(program.placements[0].blocks)
        # Half a sense LSB a block (1/128 device unit times weight_scale), and the activation table.
        z1 = w1 @ x
        a1 = 1 / (1 + np.exp(-z1))
        assert np.abs(board.vector("a1") / ONE - a1).max() <= 0.25 * (0.5 * 4 / 128 * blocks) + 0.003
        driven = np.append(np.round(board.vector("a1") / 32), 127) / 128
        blocks = len(program.placements[1].blocks)
        assert np.abs(board.vector("a2") / ONE - w2 @ driven).max() <= 0.5 * 4 / 128 * blocks + 1 / 1024


def test_nearest_pulses_are_the_rounded_outer_product() -> None:
    network = Network.parse("20-8-3")
    log = PulseLog()
    board = loaded(network, stochastic=False, lr=2.0, log=log)
    board.run(board.program.train_entry, [0])
    x, _ = sample_vectors(board, 0)
    region = board.program.placements[0].blocks[0].region
    assert not board.program.placements[0].transposed
    wanted = np.outer(x, board.vector("d1") / ONE) * 2.0 / (4 * PRESETS["ideal"].dw_min)
    counts = np.zeros((region.rows, region.cols))
    for _, _, row, col, n in log.pulses[log.pulses[:, 2] >= region.row0]:
        if region.row0 <= row < region.row0 + region.rows and region.col0 <= col < region.col0 + region.cols:
            counts[row - region.row0, col - region.col0] = n
    assert np.abs(counts).sum() > 10
    assert np.abs(counts - np.clip(wanted, -31, 31)).max() <= 0.5 + 0.01


@pytest.mark.parametrize("lr", [0.02, 0.5, 40.0])
def test_stochastic_pulses_have_the_right_mean(lr: float) -> None:
    network = Network.parse("20-8-3")
    log = PulseLog()
    board = loaded(network, lr=lr, log=log)
    start = board.machine.memory.cells.copy()
    total = np.zeros(start.shape)
    for _ in range(300):
        board.cells(start)
        board.run(board.program.train_entry, [0])
    for _, _, row, col, n in log.pulses:
        total[row, col] += n
    x, _ = sample_vectors(board, 0)
    region = board.program.placements[0].blocks[0].region
    wanted = np.outer(x, board.vector("d1") / ONE) * lr / (4 * PRESETS["ideal"].dw_min)
    mean = total[region.row0 : region.row0 + region.rows, region.col0 : region.col0 + region.cols] / 300
    inside = np.abs(wanted) < 30
    # d1 follows the pulses of W2 a little; 5 sigma of 300 draws of a rounding is 0.15.
    assert np.abs(mean - wanted)[inside].max() <= 0.15 + 0.05 * np.abs(wanted)[inside].max()
    assert (np.abs(mean[~inside]) > 25).all()
    assert (board.machine.memory.counters[Counter.PULSES_CLIPPED] > 0) == bool((np.abs(wanted) > 31.5).any())


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("stochastic", [False, True], ids=["nearest", "stochastic"])
@pytest.mark.parametrize("layers", ["30-20-10-4", "30-4"])
def test_exact_and_deferred_end_with_the_same_bits(device: object, stochastic: bool, layers: str) -> None:
    ends = []
    for schedule in ("progressive-exact", "deferred", "progressive"):
        board = loaded(Network.parse(layers), schedule, device=device, stochastic=stochastic, lr=1.0)  # type: ignore[arg-type]
        board.run(board.program.train_entry, range(60))
        counters = board.machine.memory.counters.tolist()
        ends.append((conductance_digest(board.machine.memory.cells), counters[: Counter.CYCLES]))
    assert ends[0] == ends[1]
    assert (ends[2] == ends[0]) == (layers == "30-4")  # progressive differs as soon as an error crosses pulsed weights


def back_reads(schedule: str, *, device: object, stochastic: bool, lr: float) -> tuple[Loaded, list[tuple[np.ndarray, ...]]]:
    """Train, and around each PULSE W2 read the error back; return (d2, e_before, e_after, dW2, a1) of each step, in logical units."""
    board = loaded(Network.parse("30-20-6"), schedule, device=device, stochastic=stochastic, lr=lr)  # type: ignore[arg-type]
    program = board.program
    rest = program.instructions
    pulse = next(i for i, ins in enumerate(rest) if ins.op is Op.PULSE)
    back = next(ins for ins in rest if ins.backward)
    plain = {**back.__dict__, "function": Function.NONE, "c": 0}
    found = []
    saved = [ins.encode() for ins in rest]

    def load(words: list[int]) -> None:
        board.write_words(Window.PROGRAM.base, instruction_words(words))

    read_d1 = Instruction(**plain).encode()
    end = Instruction(op=Op.END).encode()
    start_next = Instruction(op=Op.NEXT, region=1).encode()
    for sample in range(25):
        state = board.machine.memory.cells.copy(), board.machine.memory.rounding.copy(), board.machine.memory.write.copy()
        before = board.weights(2)
        load([start_next, *saved[:pulse], read_d1, end])
        board.run(0, [sample])
        e_before, d2, a1 = board.vector("d1"), board.vector("d2"), board.vector("a1")
        load([start_next, *saved[: pulse + 1], read_d1, end])
        board.run(0, [sample])
        e_after = board.vector("d1")
        moved = board.weights(2) - before
        found.append((d2 / ONE, e_before / ONE, e_after / ONE, moved[:, :-1], a1 / ONE))
        board.machine.memory.cells[:], board.machine.memory.rounding[:], board.machine.memory.write[:] = state
        load(saved)
        board.run(program.train_entry, [sample])
    return board, found


def drive_range(d: np.ndarray) -> float:
    """Return 2**-s, the factor of the auto-range shift."""
    largest = int(np.abs(d * ONE).max())
    return 2.0 ** -min(max(12 - largest.bit_length(), -3), 11)


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("stochastic", [False, True], ids=["nearest", "stochastic"])
def test_the_error_moves_by_what_the_devices_did(device: object, stochastic: bool) -> None:
    """e_after - e_before = dW^T d.

    The bound: each of the two reads is off by half a sense LSB (weight_scale / 128, times the auto-range factor) and half an error
    LSB; the drives are off by half a drive LSB, which counts only with the change of the weights.
    """
    _, steps = back_reads("progressive-exact", device=device, stochastic=stochastic, lr=1.0)
    moved = 0.0
    for d, before, after, change, _ in steps:
        factor = drive_range(d)
        bound = 4 / 128 * factor + 1 / ONE + np.abs(change).sum(axis=0) * (0.5 / 128 * factor)
        assert (np.abs(after - before - change.T @ d) <= bound + 1e-12).all()
        moved = max(moved, float((np.abs(change.T @ d) / bound).max()))
    assert moved > 2  # the identity is about more than its bound


def test_the_error_moves_by_eta_norm_a_where_devices_do_what_is_asked() -> None:
    """e_after = e_before + eta |d|^2 a, for the ideal device and nearest rounding: each weight is off by half a pulse at the most."""
    board, steps = back_reads("progressive-exact", device=PRESETS["ideal"], stochastic=False, lr=1.0)
    pulse = PRESETS["ideal"].dw_min * 4
    largest = 0.0
    for d, before, after, _, a in steps:
        factor = drive_range(d)
        unit = 127 / 128
        read = 4 / 128 * factor + 1 / ONE + 31 * pulse * len(d) * 0.5 / 128 * factor
        bound = read + np.abs(d).sum() * pulse * 0.5 * 1.02 + 4 / (1 << 14) * np.abs(d).sum()
        shift = (d**2).sum() * a
        assert (np.abs(after - before - shift) <= bound).all()
        largest = max(largest, float((shift / bound).max()))
        assert a.max() <= unit
    assert largest > 1
    assert board.machine.memory.counters[Counter.PULSES_CLIPPED] == 0


def test_corrected_is_nearer_to_exact_than_progressive_is() -> None:
    def first_layer(schedule: str) -> np.ndarray:
        board = loaded(Network.parse("30-20-6"), schedule, stochastic=False, lr=4.0)
        board.run(board.program.train_entry, range(40))
        return board.weights(1)

    exact, plain, corrected = (first_layer(s) for s in ("progressive-exact", "progressive", "progressive-corrected"))
    assert np.abs(corrected - exact).mean() < 0.4 * np.abs(plain - exact).mean()


@pytest.mark.parametrize("bank", [0, 1])
def test_evaluation_never_changes_training(bank: int) -> None:
    device = with_values(PRESETS["ecram"], read_noise=2.0)
    ends = []
    for evaluate in (False, True):
        board = loaded(Network.parse("30-20-6"), device=device)
        for start in (0, 20, 40):
            board.machine.write(REG["BANK"].address, 0)
            board.run(board.program.train_entry, range(start, start + 20))
            if evaluate:
                board.machine.write(REG["BANK"].address, bank)
                board.run(board.program.evaluate_entry, range(30))
        ends.append(conductance_digest(board.machine.memory.cells))
    assert (ends[0] == ends[1]) == (bank == 1)  # with the training bank it would: the test can fail


def test_pauses_do_not_change_bits() -> None:
    whole, parts = (loaded(Network.parse("30-20-6"), device=PRESETS["ecram"]) for _ in range(2))
    entry = whole.program.train_entry
    whole.run(entry, range(50))
    machine = parts.machine
    machine.write(REG["ENTRY"].address, entry)
    machine.start()
    for start, stop in ((0, 1), (1, 20), (20, 50)):
        machine.grant(range(start, stop))
        while machine.state == State.TRAINING:
            machine.run(3)
        assert machine.state == State.PAUSED
    assert conductance_digest(machine.memory.cells) == conductance_digest(whole.machine.memory.cells)
    assert machine.memory.counters.tolist() == whole.machine.memory.counters.tolist()


def test_the_pulse_log_accounts_for_every_pulse(tmp_path: Path) -> None:
    log = PulseLog()
    board = loaded(Network.parse("30-20-6"), log=log, lr=2.0)
    start = board.machine.memory.cells.copy().astype(np.int64)
    board.run(board.program.train_entry, range(30))
    pulses, counters = log.pulses, board.machine.memory.counters
    assert pulses[pulses[:, 4] > 0, 4].sum() == counters[Counter.PULSES_UP]
    assert -pulses[pulses[:, 4] < 0, 4].sum() == counters[Counter.PULSES_DOWN]
    assert set(pulses[:, 0]) <= set(range(30))
    for _, tile, row, col, n in pulses:  # an ideal device moves by what it is told
        g = start[tile * 128 + row, col] + np.sign(n) * ((abs(n) * 2097 + 32) >> 6)
        start[tile * 128 + row, col] = np.clip(g, -16384, 16384)
    assert np.array_equal(start, board.machine.memory.cells)
    log.save(tmp_path / "log.csv")
    log.save(tmp_path / "log.npz")
    table = np.loadtxt(tmp_path / "log.csv", delimiter=",", skiprows=1, dtype=int)
    assert np.array_equal(table, pulses)
    with np.load(tmp_path / "log.npz") as saved:
        assert np.array_equal(saved["count"], pulses[:, 4])
    with pytest.raises(ValueError, match=r"A pulse log is a file ending in .npz or .csv, not log.txt"):
        log.save(tmp_path / "log.txt")


class Faulty(Loaded):
    """A machine that goes wrong in one cell after its twelfth sample's pulses."""

    done = 0

    def load(self, *args: object, **options: object) -> None:
        """Begin again."""
        self.done = 0
        super().load(*args, **options)  # type: ignore[arg-type]

    def run(self, entry: int, order: object) -> None:
        """Work through samples, with the fault."""
        counters = self.machine.memory.counters
        for index in order:  # type: ignore[attr-defined]
            before = int(counters[Counter.PULSE_CYCLES])
            super().run(entry, [index])
            self.done += 1
            if self.done == 12 and counters[Counter.PULSE_CYCLES] != before:
                self.machine.memory.cells[3, 2] ^= 1


def test_the_first_divergence_is_named() -> None:
    network = Network.parse("12-8-3")
    board = loaded(network)
    twin = loaded(network)
    bad = Faulty(GoldenMachine(board.program.config), board.program)
    samples = board.machine.memory.store[: 64 * 4 * board.program.stride_words].view(np.int8).reshape(64, -1)

    def prepare(subject: object) -> None:
        subject.load(PRESETS["ideal"], lr=0.5, seed=1, samples=samples)  # type: ignore[attr-defined]

    assert first_divergence((board, twin), board.program, prepare, range(20)) is None
    found = first_divergence((board, bad), board.program, prepare, range(20))
    assert found is not None
    assert found.sample == 11
    assert found.text.startswith("PULSE W2")
    assert found.word == "cell tile 0 row 3 column 2"
    assert "cell tile 0 row 3 column 2 is 0x" in str(found)


@profile(max_examples=60)
@given(st.integers(0, 1 << 30))
def test_random_words_never_hang_or_break_the_machine(seed: int) -> None:
    rng = np.random.RandomState(seed)
    machine = GoldenMachine(SMALL)
    for window, count in ((Window.PROGRAM, 512), (Window.REGIONS, 1024), (Window.VECTORS, 64), (Window.TILE, 9)):
        small = rng.randint(2)
        for i in range(count):
            high = 1 << rng.randint(1, 8) if small else 1 << 32
            machine.write(window.base + i, int(rng.randint(0, high, dtype=np.uint64)) * (0x10001 if small else 1))
    for i in range(8):
        machine.write(REG["SCALE"].address + i, int(rng.randint(0, 1 << 32, dtype=np.uint64)))
    machine.write(REG["STRIDE"].address, int(rng.randint(0, 100)))
    machine.start()
    if machine.state in (State.TRAINING, State.PAUSED):
        machine.grant([0, 1, 65535])
        machine.run(10)
    assert machine.state in (State.IDLE, State.PAUSED, State.FAULT)
    assert np.abs(machine.memory.cells.astype(int)).max() <= SMALL.cell_max


def test_a_fault_says_where() -> None:
    board = loaded(Network.parse("12-8-3"))
    board.write_words(Window.PROGRAM.base + 4, [15, 0])
    board.run(board.program.train_entry, [0])
    assert board.machine.state == State.FAULT
    assert board.machine.read(REG["FAULT"].address) == 1 | 2 << 16
    board.write_words(Window.REGIONS.base + 1, [board.program.regions[0].cols | 0xFFFF << 16])
    board.machine.start()
    board.machine.grant([0])
    board.machine.run(1)
    assert board.machine.read(REG["FAULT"].address) == 4


@pytest.mark.parametrize("config", [SMALL, replace(IDEAL, tile_rows=4, tile_cols=256, tiles=2)], ids=["small", "no gap between rows"])
def test_runs_of_words_are_the_words_one_by_one(config: Config) -> None:
    """Whatever a run touches: rows that end, memories that end, words that are not there or read-only."""
    rng = np.random.RandomState(1)
    runs, single = GoldenMachine(config), GoldenMachine(config)
    places: dict[int, tuple[int, ...]] = {
        12: (0,),
        Window.CELLS: (0, 200, 250, 1 << 8),
        Window.SPREAD: (10, 1 << 8),
        Window.RANDOM: (0, 1 << 10, 2 << 10, 3 << 10),
    }
    places |= {Window.REGISTERS: (0, 9, 80, 96), Window.TILE: (0, 6, 32, 60), Window.PROGRAM: (0, 501)}
    refused = 0
    for window in [*Window, 12]:
        for offset in places.get(window, (0, 1000)):
            for count in (1, 3, 16, 40, 300):
                address = (window << 28) + offset
                words = rng.randint(0, 1 << 32, count, np.uint64).astype(np.uint32)
                fails = [False, False]
                try:
                    runs.write_words(address, words)
                except BusError:
                    fails[0] = True
                try:
                    for i, word in enumerate(words.tolist()):
                        single.write(address + i, word)
                except BusError:
                    fails[1] = True
                assert fails[0] == fails[1]
                refused += fails[0]
                for one, other in zip(flat(runs.memory), flat(single.memory), strict=True):
                    assert np.array_equal(one, other)
                try:
                    want = [single.read(address + i) for i in range(count)]
                except BusError:
                    with pytest.raises(BusError):
                        runs.read_words(address, count)
                else:
                    assert runs.read_words(address, count).tolist() == want
    assert 20 < refused < 200


def test_addresses_that_are_not_there() -> None:
    machine = GoldenMachine(SMALL)
    for address in (
        3,
        127,
        Window.PROGRAM.base + 512,
        Window.CELLS.base | 16,
        Window.CELLS.base | 256 << 8,
        Window.TILE.base + 9,
        Window.ARRAY.base + ARRAY_WORDS,
        15 << 28,
    ):
        with pytest.raises(BusError):
            machine.read(address)
    for address in (0, REG["STATE"].address, REG["COUNTER"].address, Window.RESULTS.base):
        with pytest.raises(BusError):
            machine.write(address, 1)
    machine.write(REG["SCALE"].address + PULSE_SCALE, 0x00FF8000)
    assert machine.memory.scales[PULSE_SCALE].tolist() == [0x8000, -1]
    assert machine.read(REG["SCALE"].address + PULSE_SCALE) == 0x00FF8000

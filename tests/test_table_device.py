"""The table device in the golden model, on boards and in checkpoints, against the formulas of `table_device`."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backpulse.firmware_py.array import Array, Wires, Write
from backpulse.firmware_py.config import DEFAULT, TABLE, DeviceKind
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.divergence import first_divergence
from backpulse.firmware_py.framing import BusError
from backpulse.firmware_py.image import persistent_image, table_address
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.jit import jit
from backpulse.firmware_py.lanes import GROUP, load, store
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.pulse_log import PulseLog
from backpulse.firmware_py.registers import PERSISTENT_SHIFT, REG, Counter, TableParameter, TablePart, Window
from backpulse.firmware_py.streams import companion, xorshift
from backpulse.firmware_py.table_device import (
    CLASSES,
    LEAKS,
    NO_SPREAD,
    ROOTS,
    SEGMENTS,
    STUCK,
    TableDevice,
    TableWords,
    spread_offset,
    table_leak,
    table_seen,
    table_update,
)
from backpulse.firmware_py.table_memory import segment_words
from backpulse.firmware_py.table_tile import lost, seen, shared_words, update
from backpulse.firmware_py.timing import leak_cycles
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.device_file import write_device
from backpulse.host.devices import device_of, text_of
from backpulse.host.errors import InputError, StorageError
from backpulse.host.settings import Settings
from backpulse.host.spread_map import read_map
from backpulse.host.training import Trainer
from backpulse.host.urls import Address, board_config, open_board

from .machines import loaded
from .test_device_fit import fitted

SMALL = replace(TABLE, tile_rows=32, tile_cols=16)


def wild(seed: int, **values: float) -> TableDevice:
    """Return a device with random tables."""
    random = np.random.RandomState(seed)

    def drawn(count: int, most: float) -> tuple[float, ...]:
        return tuple(random.uniform(0, most, count).tolist())

    most, noise = random.choice([0.01, 0.1, 0.9]), random.choice([0.0, 0.01, 0.05])
    tables = {"up": drawn(SEGMENTS + 1, most), "down": drawn(SEGMENTS + 1, most)}
    noises = {"noise_up": drawn(SEGMENTS, noise), "noise_down": drawn(SEGMENTS, noise)}
    return TableDevice(name=f"wild{seed}", **tables, **noises, bound_up=1.4, bound_down=-1.2, **values)  # type: ignore[arg-type] - names differ


WILD = {"step_spread": 0.8, "symmetry_spread": 0.3, "bound_spread": 0.4, "stuck": 0.1, "apparent_noise": 0.03}


def period_of(step: Sequence[int]) -> bool:
    """Return whether a linear map of 32 bits, what it makes of each, has period 2^32 - 1: its power is 1, and that of no divisor is."""

    def applied(to: int) -> int:
        return int(np.bitwise_xor.reduce([word for bit, word in enumerate(rows) if to >> bit & 1] or [0]))

    def power(count: int) -> list[int]:
        nonlocal rows
        result, square = [1 << bit for bit in range(32)], list(step)
        while count:
            rows = square
            if count & 1:
                result = [applied(word) for word in result]
            square, count = [applied(word) for word in square], count >> 1
        return result

    rows = list(step)
    whole, one = (1 << 32) - 1, [1 << bit for bit in range(32)]
    return power(whole) == one and all(power(whole // prime) != one for prime in (3, 5, 17, 257, 65537))


def test_the_companion_is_a_random_word_of_its_own():
    assert period_of([companion.py_func(1 << bit) for bit in range(32)])
    assert not period_of([(1 << bit) ^ (1 << bit >> 1) for bit in range(32)])
    words = np.random.RandomState(3).randint(1, 1 << 32, 100_000)

    def gaussian(of: np.ndarray) -> np.ndarray:
        return np.sum([(of >> shift) & 255 for shift in (0, 8, 16, 24)], axis=0) - 510

    other = gaussian(companion.py_func(words))
    assert other.std() == pytest.approx(147.8, rel=0.01)
    for near in (words, xorshift.py_func(words)):
        assert abs(np.corrcoef(gaussian(near), other)[0, 1]) < 0.02


@jit
def _moved(g, pulses, word, spread, segments, root, rest, leak, shared, out):
    count, size = load(pulses, 0), abs(load(pulses, 0))
    moved = update(load(g, 0), count, size, load(word, 0), load(spread, 0), segments, root, shared)
    store(out, (0, 0), moved)
    store(out, (1, 0), seen(moved, load(word, 0), shared))
    store(out, (2, 0), lost(load(g, 0), rest, leak))


@pytest.mark.parametrize("seed", range(6))
def test_lanes_and_single_numbers_are_the_formula(seed: int) -> None:
    """Extreme words, too: the largest sum takes 30 bits, and a class that no device has its full noise."""
    random = np.random.RandomState(seed)
    words = wild(seed, **WILD).words()
    if seed == 0:
        full = np.full((2, SEGMENTS), 65535)
        words = replace(words, base=full, delta=full // 2, root=np.full((CLASSES, ROOTS), 65535), shift=0, apparent=65535, rest=-32768)
    kind = random.randint(0, CLASSES, (2, SEGMENTS))
    words = replace(words, kind=kind, leak=random.randint(0, 1 << 16, LEAKS))
    parameters = np.array([*words.parameters(), 0], np.uint32).view(np.int32).astype(np.int64)
    shared = shared_words(np.array(words.tile_words(), np.int32), parameters, 16)
    root = words.roots().astype(np.int32)
    low, kinds = words.segments().astype(np.int64).reshape(-1, 2).T
    segments = segment_words(low, kinds, root)
    for _ in range(60):
        g = random.randint(-32768, 32768, GROUP).astype(np.int16)
        pulses = random.choice([0, 1, -1, 2, 31, -31, *range(-31, 32)], GROUP).astype(np.int32)
        if seed == 1:
            pulses = np.clip(pulses, -1, 1)
        word = random.randint(1, 1 << 32, GROUP)
        spread = random.randint(0, 1 << 32, GROUP)
        spread[:4] = NO_SPREAD, 0x80000000 | NO_SPREAD, 0x7FFF0000 | 0xFFFF, 0x80010000
        leak = int(random.choice(words.leak))
        out = np.zeros((3, GROUP), np.int32)
        given = (word.astype(np.uint32).view(np.int32), spread.astype(np.uint32).view(np.int32), segments, root)
        _moved(g, pulses, *given, parameters[TableParameter.REST], np.int64(leak), shared, out)
        wanted = table_update(g.astype(np.int64), pulses, word, words, spread)
        gone, _ = table_leak(g.astype(np.int64), g.astype(np.int64), 1, replace(words, leak=np.full(LEAKS, leak)))
        assert np.array_equal(out, [wanted, table_seen(wanted, word, words), g - gone])
        for i in range(GROUP):
            one = update(int(g[i]), int(pulses[i]), abs(int(pulses[i])), int(word[i]), int(spread[i]), segments, root, shared)
            assert one == wanted[i]


def test_what_reads_see_of_a_stuck_cell_stays() -> None:
    device = replace(wild(1), stuck=1.0)
    board = loaded(Network.parse("24-7"), device=device, config=SMALL, lr=1.0)
    board.write(persistent_image(board.machine.memory.cells * 0 + 77))
    before = board.machine.memory.cells.copy()
    board.run(board.program.train_entry, range(5))
    assert board.machine.read(REG["COUNTER"].address + Counter.PULSES_UP) > 0
    assert np.array_equal(board.machine.memory.cells, before)
    assert (board.machine.memory.law.persistent == 77).all()


class Reference:
    """What a machine's cells are, from the pulses of its log, one sample after the other, for a network of one layer."""

    def __init__(self, words: TableWords, spread: np.ndarray, machine: GoldenMachine) -> None:
        self.words, self.spread = words, spread.astype(np.int64)
        memory = machine.memory
        self.g = memory.law.persistent.astype(np.int64)
        self.seen, self.word = memory.cells.astype(np.int64), memory.write.astype(np.int64) & 0xFFFFFFFF
        self.age, self.visited = 0, np.zeros(len(self.g), np.int64)

    def sample(self, rows: range, counts: np.ndarray) -> None:
        """Go through one sample: rows leak before they are read, and are pulsed."""
        self.age += 1
        era = self.age >> self.words.leak_period & 0xFFFF
        for row in rows:
            if self.words.leak.any():
                periods = (era - self.visited[row]) & 0xFFFF
                self.g[row], self.seen[row] = table_leak(self.g[row], self.seen[row], periods, self.words, self.spread[row])
                self.visited[row] = era
            self.word = xorshift.py_func(self.word)
            moved = table_update(self.g[row], counts[row], self.word, self.words, self.spread[row])
            still = (counts[row] == 0) | (spread_offset(self.spread[row]) == STUCK)
            self.g[row], self.seen[row] = moved, np.where(still, self.seen[row], table_seen(moved, self.word, self.words))


@pytest.mark.parametrize("leaky", [0.0, 40.0, 400.0], ids=["kept", "leaks", "leaks slowly"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_machine_is_the_formula(seed: int, leaky: float) -> None:
    device = wild(seed, **WILD, leak_samples=leaky, leak_rest=0.2 if leaky else 0.0)
    log = PulseLog()
    board = loaded(Network.parse("24-7"), device=device, config=SMALL, lr=1.0, seed=seed, log=log)
    machine, region = board.machine, board.program.placements[0].blocks[0].region
    assert board.program.config.device is DeviceKind.TABLE
    reference = Reference(device.words(), machine.memory.spread, machine)
    moved = 0
    for sample in range(40):
        log._parts.clear()
        cycles = machine.read(REG["COUNTER"].address + Counter.CYCLES)
        board.run(board.program.train_entry, [sample])
        more = sum(leak_cycles(op, region.rows, region.cols) for op in (Op.READ, Op.PULSE)) if leaky else 0
        assert machine.read(REG["COUNTER"].address + Counter.CYCLES) - cycles == board.program.cycles_per_step + more
        counts = np.zeros(machine.memory.cells.shape, np.int64)
        for _, _, row, col, count in log.pulses:
            counts[row, col] += count
        moved += np.count_nonzero(counts)
        reference.sample(range(region.row0, region.row0 + region.rows), counts)
        law = machine.memory.law
        assert np.array_equal(law.persistent, reference.g)
        assert np.array_equal(machine.memory.cells, reference.seen)
        assert np.array_equal(machine.memory.write.astype(np.int64) & 0xFFFFFFFF, reference.word)
        assert law.parameters[TableParameter.AGE] == reference.age
        assert np.array_equal(law.visited, reference.visited)
        before = machine.memory.cells.copy()
        machine.write(REG["BANK"].address, 1)
        board.run(board.program.evaluate_entry, [sample])
        machine.write(REG["BANK"].address, 0)
        assert np.array_equal(machine.memory.cells, before)  # evaluation changes nothing
        assert law.parameters[TableParameter.AGE] == reference.age
    assert moved > 40


def test_what_differs_in_what_stays_is_found() -> None:
    device = wild(5, apparent_noise=0.03)
    pair = [loaded(Network.parse("24-7"), device=device, config=SMALL, lr=1.0) for _ in range(2)]
    twin = pair[0]

    def prepare(subject) -> None:
        other = loaded(Network.parse("24-7"), device=device, config=SMALL, lr=1.0)
        subject.machine = other.machine
        if subject is twin:
            subject.write(persistent_image(other.machine.memory.law.persistent + (np.arange(16) == 3)))

    found = first_divergence((pair[0], pair[1]), twin.program, prepare, range(3))
    assert found is not None
    assert "persistent cell tile 0 row" in found.word


def test_addresses() -> None:
    machine = GoldenMachine(replace(SMALL, tiles=2))
    segments, cells = table_address(TablePart.SEGMENTS), Window.CELLS.base
    machine.write(segments + 6, 0xFFFE1234)
    assert machine.read(segments + 6) == 0  # until the second word comes
    machine.write(segments + 7, 0x3F)
    assert machine.read_words(segments + 6, 2).tolist() == [0xFFFE1234, 15]
    machine.write(cells + 0x105, 700)
    persistent = cells + (1 << PERSISTENT_SHIFT) + 0x105
    assert machine.read(persistent) == 700
    machine.write(persistent, -3)
    assert machine.read_words(cells + 0x105, 1).tolist() == [700]
    assert machine.read(persistent) == 0xFFFFFFFD
    machine.write(Window.SPREAD.base, 0xFEDCBA98)
    assert machine.read(Window.SPREAD.base) == 0xFEDCBA98
    for part, words in (
        (TablePart.SEGMENTS, 256),
        (TablePart.ROOT, 512),
        (TablePart.LEAK, 16),
        (TablePart.PARAMETERS, 6),
        (TablePart.VISITED, 64),
    ):
        machine.write(table_address(part) + words - 1, 1)
        with pytest.raises(BusError):
            machine.read(table_address(part) + words)
    rest = table_address(TablePart.PARAMETERS) + TableParameter.REST
    machine.write(rest, 0x18000)
    assert machine.read(rest) == 0xFFFF8000
    for wrong in (table_address(TablePart.SEGMENTS) + (5 << 20), cells + (1 << PERSISTENT_SHIFT) + (64 << 8)):
        with pytest.raises(BusError):
            machine.write(wrong, 1)
    linear = GoldenMachine(DEFAULT)
    for wrong in (segments, cells + (1 << PERSISTENT_SHIFT)):
        with pytest.raises(BusError):
            linear.read(wrong)


def trained(settings: Settings, epochs: int, **more) -> Trainer:
    """Return a run to the end on a golden board of its own."""
    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        trainer = Trainer(board, settings, epochs, **more)
        trainer.run()
        trainer.kept = trainer.checkpoint()  # type: ignore[attr-defined] - for the tests, as the board is gone then
        return trainer


def test_a_linear_device_as_a_table_is_within_a_point_of_itself() -> None:
    linear = Settings(device="ecram", lr=0.5)
    table = linear.changed(device=text_of(TableDevice.of_linear(PRESETS["ecram"]), "test"))
    assert isinstance(table.device_model, TableDevice)
    means = [np.mean([trained(s.changed(seed=seed), 10).position.test_accuracy[-1] for seed in (1, 2, 3)]) for s in (linear, table)]
    assert means[0] > 0.94
    assert abs(means[0] - means[1]) <= 0.01


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    device = replace(TableDevice.of_linear(PRESETS["ecram"]), name="leaky", apparent_noise=0.02, leak_samples=3000.0, symmetry_spread=0.05)
    settings = Settings(dataset="iris", layers="4-8-3", device=text_of(device, "test"), lr=1.0)
    whole = trained(settings, 4)
    first = trained(settings, 2)
    file = tmp_path / "half.npz"
    first.kept.save(file)  # type: ignore[attr-defined]
    saved = Checkpoint.load(file)
    assert saved.table is not None
    assert saved.cells is not None
    assert device_of(saved.settings.device) == device
    assert not np.array_equal(saved.table.persistent, saved.cells)
    assert saved.table.ages[0] == saved.position.totals["STEPS"]
    again = trained(saved.settings, 4, checkpoint=saved)
    for ended in (whole, again):
        assert ended.position.totals == whole.position.totals
        assert np.array_equal(ended.kept.cells, whole.kept.cells)  # type: ignore[attr-defined]
        assert np.array_equal(ended.kept.table.persistent, whole.kept.table.persistent)  # type: ignore[attr-defined]
        assert np.array_equal(ended.kept.table.ages, whole.kept.table.ages)  # type: ignore[attr-defined]
    for name, value in (("words", 7), ("persistent", 40000), ("ages", 1 << 17)):
        state = Checkpoint.load(file).table
        assert state is not None
        wrong = np.array(getattr(state, name), np.int64)
        wrong.flat[-1] = value
        saved.table = replace(state, **{name: wrong})
        with pytest.raises(StorageError, match=rf"{'tables' if name == 'words' else name} must be"):
            saved.save(file)


def test_a_board_without_tables_says_so() -> None:
    settings = Settings(dataset="iris", layers="4-8-3", device=text_of(wild(1), "test"), lr=1.0)
    with (
        open_board("golden://", config=DEFAULT) as board,
        pytest.raises(InputError, match=r"wild1 is a table of steps.*--device FILE:linear"),
    ):
        Trainer(board, settings, 1)
    with pytest.raises(InputError, match="The array behind sim:// carries no step tables"):
        open_board(Address("sim://", Array()), config=SMALL)


def test_a_measured_spread_takes_the_place_of_the_drawn(tmp_path: Path) -> None:
    device, config = wild(2, **WILD), SMALL
    drawn = device.spread_words(config, 1)
    field = np.full((3, 4), np.nan)
    field[1, 2] = 1.5
    path = tmp_path / "map.npz"
    np.savez(path, up=field, stuck=np.eye(3, 4))
    words = read_map(path).onto(drawn, device, config)
    assert np.array_equal(words[3:], drawn[3:])
    assert words[1, 2] & 255 == 48
    assert (words[1, 2] ^ drawn[1, 2]) >> 8 == 0
    assert (words.diagonal()[:3] >> 16 == 0x8000).all()
    lines = tmp_path / "map.csv"
    lines.write_text("row,column,down,bound\n1,2,0.5,0.25\n0,0,,-0.5\n")
    words = read_map(lines).onto(drawn, device, config)
    assert words[1, 2] >> 8 & 255 == 16
    assert spread_offset(words)[1, 2] / (1 << config.cell_frac) == pytest.approx(0.25 * 1.3, abs=1e-4)
    for text, said in (
        ("row,col,up\n0,0,1\n", "line 1 must name the columns row, column"),
        ("row,column,up\n0,0\n", "line 2 must have 3 fields, not 2"),
        ("row,column,up\n0,0,wide\n", "line 2 must have numbers"),
        ("row,column,up\n0,0,9\n", r"up must be from 0 to 7.969, not 9 \(row 0, column 0"),
        ("row,column,up\n", "a header and no cells"),
    ):
        lines.write_text(text)
        with pytest.raises(InputError, match=said):
            read_map(lines)
    np.savez(path, up=np.ones((99, 4)))
    with pytest.raises(InputError, match="99 rows and 4 columns of cells, and the board has 32 rows of 16"):
        read_map(path).onto(drawn, device, config)
    with pytest.raises(InputError, match="cannot be read: no such file"):
        read_map(tmp_path / "none.csv")
    settings = Settings(device="ecram", spread=str(path))
    assert isinstance(settings.device_model, TableDevice)


@pytest.mark.slow  # what records and what plays tables is compiled for this alone
def test_a_replay_needs_no_device_file(backpulse, tmp_path: Path) -> None:
    write_device(tmp_path / "mine.toml", fitted("steep66")[1])
    options = ("--dataset", "iris", "--epochs", 2, "--device", "mine.toml", "--trace", "run.trace")
    assert backpulse("train", *options)[0] == 0
    (tmp_path / "mine.toml").unlink()
    code, out, err = backpulse("replay", "run.trace", "--json", "-")
    assert code == 0, err
    assert json.loads(out)["divergence"] in (None, "")


@pytest.mark.slow  # likewise
def test_an_array_with_wires_has_tables() -> None:
    """With wires of next to no resistance the cells are those of an array without; with more they differ."""
    device = replace(TableDevice.of_linear(PRESETS["ecram-uniform"]), apparent_noise=0.01, leak_samples=500.0)
    settings = Settings(dataset="iris", layers="4-8-3", device=text_of(device, "test"), lr=1.0)
    ended = []
    for ohm in (0.0, 100.0):
        array = Array(wires=Wires(row_ohm=ohm, col_ohm=ohm), write=Write(scheme="half"))
        with open_board(Address("golden://", array), config=board_config(settings.network, settings.device_model, array=array)) as board:
            trainer = Trainer(board, settings, 1)
            trainer.run()
            ended.append(trainer.checkpoint().table)
    plain = trained(settings, 1).kept.table  # type: ignore[attr-defined]
    assert np.abs(ended[0].persistent - plain.persistent).max() < 400
    assert np.abs(ended[1].persistent - plain.persistent).max() > 400
    assert all(np.array_equal(state.ages, plain.ages) for state in ended)

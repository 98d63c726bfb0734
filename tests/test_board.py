"""The board API on the golden model: the same bits whether samples rest or stream, whatever the line does."""

from dataclasses import replace

import numpy as np
import pytest

from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS
from backpulse.firmware_py.framing import LONG_PAYLOAD, MAX_PAYLOAD, Opcode
from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import REG, Counter, State, Window
from backpulse.host import urls
from backpulse.host.errors import HostError, InputError, LineLostError, RefusedError
from backpulse.host.scaling import records
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board

from .faults import FaultyPort
from .machines import machine_of, noisy_cells

SETTINGS = Settings(layers="4-5-3", dataset="iris", lr=0.5)
SAME = ("conductance_digest", "predictions", "test_accuracy", "train_loss", "steps", "cycles", "pulses_up", "pulses_down", "pulses_clipped")


def config(settings=SETTINGS, **changes):
    return replace(board_config(settings.network, settings.device_model, tile="16x8"), **changes)


def run(settings=SETTINGS, *, epochs=3, wrap=None, **changes):
    with open_board("golden://", config=config(settings, **changes), wrap=wrap) as board:
        trainer = Trainer(board, settings, epochs)
        assert trainer.run()
        return trainer.result(), trainer.board


class CutPort:
    """A port that is unplugged after some writes."""

    def __init__(self, port, writes):
        self._port, self._left = port, writes

    def write(self, data):
        self._left -= 1
        if self._left < 0:
            raise OSError("device disconnected")
        return self._port.write(data)

    def read(self, timeout):
        return self._port.read(timeout)

    def close(self):
        self._port.close()


def test_streamed_samples_give_the_bits_of_resident_ones():
    resident, board = run()
    assert board.resident
    streamed, board = run(store_words=64)
    assert not board.resident
    assert {k: streamed[k] for k in SAME} == {k: resident[k] for k in SAME}


def test_frames_are_as_long_as_the_board_says():
    with open_board("golden://", config=config()) as board:
        assert board.link.payload == LONG_PAYLOAD
        long_frames = Trainer(board, SETTINGS, 3)
        assert long_frames.run()
    with open_board("golden://", config=config(), wrap=lambda port: port) as board:
        with pytest.raises(RefusedError, match="READ of 1 words at register PAYLOAD: there is nothing at that address"):
            board.link.read_words(REG["PAYLOAD"].address, 1)
        assert board.link.payload == MAX_PAYLOAD
        short_frames = Trainer(board, SETTINGS, 3)
        assert short_frames.run()
    one, other = long_frames.result(), short_frames.result()
    assert {k: one[k] for k in SAME} == {k: other[k] for k in SAME}


def test_small_order_and_result_memories_change_nothing():
    wide, _ = run()
    narrow, board = run(order_depth=16, result_depth=16, wrap=lambda port: port)
    assert board.config.order_depth == 16
    assert {k: narrow[k] for k in SAME} == {k: wide[k] for k in SAME}


def test_the_golden_board_takes_an_epoch_in_one_grant():
    settings = Settings(layers="64-8-10", dataset="digits", lr=0.5)
    sizes = []
    with open_board("golden://", config=board_config(settings.network, settings.device_model)) as board:
        trainer = Trainer(board, settings, 3)
        assert trainer.run()
        trainer.epochs = 4
        board.link.told = lambda request: sizes.append(request.size) if request.opcode is Opcode.GRANT else None
        trainer.train_part(len(trainer.data.train))
    assert sizes == [len(trainer.data.train)]


def test_a_virtual_board_has_the_order_of_one_in_hardware(monkeypatch):
    """So that a checkpoint of the golden board goes on with the RTL that is built already."""
    asked = []

    def start(config, *_, **__):
        asked.append(config.order_depth)
        raise InputError("asked")

    monkeypatch.setattr(urls, "start", start)
    for depth in (65536, 16):
        with pytest.raises(InputError, match="asked"):
            open_board("sim://", config=config(order_depth=depth))
    assert asked == [DEFAULT.order_depth, 16]


def test_a_bad_line_changes_nothing_but_the_retries():
    clean, _ = run(epochs=1)
    bad, _ = run(epochs=1, wrap=lambda port: FaultyPort(port, 5, corrupt=0.0003, drop=0.0003, double=0.0003))
    assert clean["link_retries"] == 0
    assert bad["link_retries"] > 0
    assert {k: bad[k] for k in SAME} == {k: clean[k] for k in SAME}


def test_unplugging_is_one_sentence():
    with pytest.raises(LineLostError, match=r"line to the board was lost .* the board pauses"):
        run(wrap=lambda port: CutPort(port, 20))


def test_a_fault_of_the_machine_is_told_and_survived():
    with open_board("golden://", config=config()) as board:
        trainer = Trainer(board, SETTINGS, 1)
        board.link.write_words(Window.PROGRAM.base + 4, [0, 0])
        with pytest.raises(HostError, match="fault UNKNOWN_WORD at program address 2, after 0 samples"):
            trainer.run()
        assert board.status()[0] is State.FAULT
        again = Trainer(board, SETTINGS, 3)
        assert again.run()
        assert again.result()["conductance_digest"] == run()[0]["conductance_digest"]


def test_halt_and_abort_leave_a_board_that_goes_on():
    with open_board("golden://", config=config()) as board:
        for stop in (Opcode.HALT, Opcode.ABORT):
            trainer = Trainer(board, SETTINGS, 3)
            board.link.start()
            board.link.grant([0, 1, 2])
            getattr(board.link, stop.name.lower())()
        trainer = Trainer(board, SETTINGS, 3)
        assert trainer.run()
        assert trainer.result()["conductance_digest"] == run()[0]["conductance_digest"]


def test_counters_survive_wrapping():
    with open_board("golden://", config=config()) as board:
        machine = machine_of(board)
        machine.memory.counters[Counter.CYCLES] = 0xFFFFFF00
        trainer = Trainer(board, SETTINGS, 1)
        trainer.run()
        result = trainer.result()
        assert board.raw_counters()[Counter.CYCLES] < 0xFFFFFF00
        assert result["cycles"] == run(epochs=1)[0]["cycles"]


def test_evaluation_changes_no_training_state():
    settings = SETTINGS.changed(device="ecram")
    with open_board("golden://", config=config(settings, read_noise=1)) as board:
        trainer = Trainer(board, settings, 1)
        trainer.run()
        before = board.read_cells(), board.read_random(), dict(board.totals)
        first = board.evaluate(trainer.program, trainer.data.test, 1)
        after = board.read_cells(), board.read_random(), dict(board.totals)
        assert np.array_equal(before[0], after[0])
        assert {k: v[:1] for k, v in before[1].items()} == {k: v[:1] for k, v in after[1].items()}
        assert before[2] == after[2]
        assert np.array_equal(first, board.evaluate(trainer.program, trainer.data.test, 1))


def evaluated(settings=SETTINGS, **changes):
    """Train for an epoch; return classes, outputs and whether the ring held them."""
    with open_board("golden://", config=config(settings, **changes)) as board:
        trainer = Trainer(board, settings, 1)
        trainer.run()
        everything = np.arange(len(trainer.data.y))
        classes = board.evaluate(trainer.program, everything, 1)
        outputs = board.evaluate_outputs(trainer.program, everything, 1)
        return classes, outputs, board.keeps_outputs(outputs.shape[1])


def test_outputs_come_from_the_ring_or_one_by_one():
    classes, outputs, kept = evaluated()
    assert kept
    assert outputs.shape == (150, 3)
    assert outputs.dtype == np.int16
    assert (outputs.argmax(axis=1) == classes).all()
    assert 0 <= outputs.min() < outputs.max() <= 4064
    for depth, ring in ((16, True), (4, True), (2, False), (0, False)):
        again, same, kept = evaluated(output_depth=depth)
        assert kept is ring
        assert np.array_equal(again, classes)
        assert np.array_equal(same, outputs)


def test_signed_outputs():
    settings = SETTINGS.changed(output="linear", lr=0.05)
    (_, ring, _), (_, one_by_one, _) = evaluated(settings), evaluated(settings, output_depth=0)
    assert ring.min() < 0
    assert np.array_equal(ring, one_by_one)


def test_a_network_of_one_output_learns_a_line():
    network, device = Network(layers=(4, 1), output="linear"), PRESETS["ideal"]
    machine = board_config(network, device, tile="16x8")
    program = compile_network(network, machine)
    scales = [Scale.from_float(lr).to_word() for lr in (0.05 / device.dw_min, 0.05)]
    x = np.random.RandomState(1).randint(-127, 128, (200, 4)).astype(np.int8)
    t = (x[:, :1] // 2 - x[:, 1:2] // 4).astype(np.int8)
    everything = np.arange(200)
    with open_board("golden://", config=machine) as board:
        board.load(program, scales=scales, tile_words=device.tile_words(machine))
        board.write_cells(noisy_cells(program, device, 1))
        board.upload(records(x, t))
        for _ in range(10):
            board.train(program, everything)
        outputs = board.evaluate_outputs(program, everything, 1)
        assert (board.evaluate(program, everything, 1) == 0).all()
    assert outputs.shape == (200, 1)
    assert np.abs(outputs / 4096 - t / 128).max() < 0.03


def test_the_loss_of_many_wrong_outputs_does_not_wrap():
    network, device = Network(layers=(2, 40), output="linear"), PRESETS["ideal"]
    machine = board_config(network, device)
    seen = []
    with open_board("golden://", config=machine) as board:
        program = compile_network(network, machine)
        board.load(program, scales=[0, 0], tile_words=device.tile_words(machine))
        board.write_cells(np.full((machine.rows, machine.tile_cols), -(1 << 14)))
        board.upload(records(np.full((1, 2), 127, np.int8), np.full((1, 40), 127, np.int8)))
        board.evaluate(program, np.zeros(3000, int), 1, seen.append)
    assert (seen[-1].done, seen[-1].loss) == (3000, pytest.approx(0.5 * 40 * 8**2, rel=1e-3))


def test_wrong_boards():
    with pytest.raises(InputError, match="Unknown board foo://"):
        open_board("foo://")
    with pytest.raises(InputError, match="needs a host and a port"):
        open_board("socket://here")
    with pytest.raises(InputError, match="port /dev/nothing cannot be opened: no such file"):
        open_board("/dev/nothing")


@pytest.mark.parametrize(
    ("text", "message"), [("12", "rows x columns, as in 128x32, not 12"), ("0x8", "tile_rows must be an integer from 1 to 512")]
)
def test_wrong_tiles(text, message):
    with pytest.raises(InputError, match=message):
        board_config(SETTINGS.network, SETTINGS.device_model, tile=text)


def test_another_configuration_block_is_refused():
    board = open_board("golden://", config=config())
    machine = machine_of(board)
    original = machine._get
    machine._get = lambda name, index: 7 if name == "CONFIG_DIGEST" else original(name, index)
    from backpulse.host.board import Board

    with pytest.raises(HostError, match="configuration digest is not that of its configuration"):
        Board(board.link, board.close)
    assert REG["CONFIG_DIGEST"].count == 8

"""Real devices on the virtual board: out of the host's reach, trained by program-verify, word for word those of the golden board."""

from dataclasses import replace

import pytest

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import DeviceKind
from backpulse.firmware_py.registers import Capability, Window
from backpulse.host.errors import InputError, RefusedError
from backpulse.host.replay import Replay
from backpulse.host.settings import Settings
from backpulse.host.trace_file import read_trace
from backpulse.host.training import Trainer
from backpulse.host.urls import Address, open_board

from .traces import CONFIG as SMALL

CONFIG = replace(SMALL, trace_words=2048)
ARRAY = Array.model_validate(
    {
        "kind": "real",
        "device": "ecram",
        "wires": {"row_ohm": 3.0},
        "read": {"phases": 2, "noise": 1.0},
        "dead": {"rows": [3]},
        "stuck": [{"row": 1, "col": 2, "value": 0.25}],
    }
)
SETTINGS = Settings(dataset="iris", layers="4-3", device="ecram", dead="r3")


def trained(name, path):
    """Train an epoch, recorded; return what came out and the trace digest."""
    with open_board(Address(f"{name}://", ARRAY), config=CONFIG) as board:
        assert board.real
        assert board.config.device is DeviceKind.REAL
        assert board.capabilities == Capability.TWO_PHASE | Capability.TRIPS
        for window in (Window.CELLS, Window.SPREAD, Window.TILE):
            with pytest.raises(RefusedError, match="there is nothing at that address"):
                board.link.read_words(window.base, 1)
            with pytest.raises(RefusedError, match="there is nothing at that address"):
                board.link.write_words(window.base, [1])
        assert [stream.name for stream in board.read_random()] == ["ROUNDING"]
        board.record(path)
        trainer = Trainer(board, SETTINGS, 1)
        trainer.run()
        result = trainer.result()
        board.end_recording()
        assert board.recorder is not None
        return result, board.recorder.digest


def test_the_virtual_board_has_the_devices_of_the_golden_one(tmp_path):
    """Sense words of wired runs need not agree between the two; with the same formulas in the same order they nearly always do."""
    golden, digest = trained("golden", tmp_path / "golden.trace")
    found, found_digest = trained("sim", tmp_path / "sim.trace")
    assert found["start"] == "verify"
    assert found["conductance_digest"] is None
    assert found["predictions"] == golden["predictions"]
    assert (found["pulses_up"], found["verify_pulses"]) == (golden["pulses_up"], golden["verify_pulses"])
    assert found_digest == digest
    assert Replay(read_trace(tmp_path / "sim.trace")).go().divergence == ""


@pytest.mark.parametrize("name", ["golden", "sim"])
def test_real_devices_need_an_array_of_such(name):
    with pytest.raises(InputError, match=rf"Real devices are those of a board, or of {name}://\?array=FILE"):
        open_board(f"{name}://", config=replace(CONFIG, device=DeviceKind.REAL))

"""XOR is trained by the netlist of iCE40 synthesis, bit for bit as by the golden model."""

import numpy as np
import pytest

pytest.importorskip("amaranth_boards")

from backpulse.gateware.sim.gatesim import GATES, build, tools_missing
from backpulse.gateware.sim.virtual_board import VirtualBoard
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import open_board

EPOCHS = 5
SAME = ("conductance_digest", "predictions", "test_accuracy", "train_loss", "steps", "cycles", "pulses_up", "pulses_down", "pulses_clipped")


@pytest.fixture
def xor(tmp_path):
    file = tmp_path / "xor.npz"
    np.savez(file, X=np.tile([[0.0, 0], [0, 1], [1, 0], [1, 1]], (16, 1)), y=np.tile([0, 1, 1, 0], 16))
    return Settings(layers="2-2-2", activation="tanh", dataset=str(file), lr=1.0)


def result_of(board, settings):
    trainer = Trainer(board, settings, EPOCHS)
    assert trainer.run()
    result = trainer.result()
    return {name: result[name] for name in SAME}


@pytest.mark.skipif(tools_missing() is not None, reason=tools_missing() or "")
@pytest.mark.slow
def test_the_netlist_trains_xor_with_the_golden_bits(xor):
    with VirtualBoard(build(), line="pty") as running, open_board(running.url) as gates:
        assert gates.config == GATES
        trained = result_of(gates, xor)
    with open_board("golden://", config=GATES) as golden:
        assert trained == result_of(golden, xor)
    assert trained["test_accuracy"][-1] == 1
    print(f"\n{trained['steps']} steps, {trained['cycles']} cycles in iCE40 cells; digest {trained['conductance_digest']}")

import numpy as np
import pytest

from backpulse.firmware_py.compiler import SCHEDULES, compile_network
from backpulse.firmware_py.device import device_for
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import State
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer

from ..test_same_bits import check

pytestmark = pytest.mark.hil

SAME = ("conductance_digest", "predictions", "test_accuracy", "train_loss", "steps", "cycles", "pulses_up", "pulses_down", "pulses_clipped")
SAME += ("learning_rate", "validation_loss")
IRIS = Settings(layers="4-5-3", dataset="iris", lr=0.5)


def results_of(pair, settings, epochs=2):
    found = []
    for board in pair:
        trainer = Trainer(board, settings, epochs)
        assert trainer.run()
        result = trainer.result()
        found.append({name: result[name] for name in SAME})
    return found


def test_the_board_says_what_it_is(pair):
    golden, real = pair
    assert real.config_digest == golden.config_digest
    assert len(real.build_digest) == 64
    assert real.status()[0] in (State.IDLE, State.PAUSED)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stochastic", [False, True], ids=["nearest", "stochastic"])
def test_every_schedule_ends_with_the_golden_bits(pair, schedule, stochastic):
    config = pair[0].config
    program = compile_network(Network.parse("20-11-5"), config, schedule, stochastic=stochastic)
    found = check(pair, program, device_for(pair[0].config), lr=1.0, seed=3)
    assert found["counters"]["CYCLES"] == 40 * program.cycles_per_step


def test_training_ends_with_the_golden_bits(pair):
    golden, real = results_of(pair, IRIS.changed(device=device_for(pair[0].config).name))
    assert real == golden
    assert real["steps"] > 0


def test_a_rate_that_falls_by_validation_ends_with_the_golden_bits(pair):
    golden, real = results_of(pair, IRIS.changed(lr_schedule="plateau", lr_wait=1, validation=0.2, lr=2.0), epochs=5)
    assert real == golden
    assert len(set(real["learning_rate"])) > 1


def test_cells_and_random_states_keep_what_is_written(pair):
    _, real = pair
    rng = np.random.RandomState(1)
    cells = rng.randint(-20000, 20000, (real.config.rows, real.config.tile_cols))
    real.write_cells(cells)
    assert (real.read_cells() == cells).all()
    states = {stream: [int(w) for w in rng.randint(1, 1 << 31, len(words))] for stream, words in real.read_random().items()}
    real.write_random(states)
    assert real.read_random() == states

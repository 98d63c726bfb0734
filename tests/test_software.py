import numpy as np
import pytest

from backpulse.firmware_py.network import Network
from backpulse.host.settings import Settings, prepare
from backpulse.host.software import Software, train_software

UNIT = 127 / 128


def numpy_step(weights, network, x, t, lr):
    """One step of conventional backpropagation, in matrix form."""
    act = {
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
        "tanh": (np.tanh, lambda a: 1 - a * a),
        "relu": (lambda z: np.clip(z, 0, UNIT), lambda a: ((a > 0) & (a < UNIT)).astype(float)),
        "linear": (lambda z: z, np.ones_like),
    }
    a = [x]
    for layer, w in enumerate(weights, 1):
        a.append(act[network.function(layer)][0](w @ np.append(a[-1], UNIT) if network.bias else w @ a[-1]))
    d = t - a[-1]
    loss, hit = 0.5 * float(d @ d), np.argmax(a[-1]) == np.argmax(t)
    if network.loss == "squared":
        d = d * act[network.output][1](a[-1])
    gradients = []
    for layer in range(len(weights), 0, -1):
        gradients.insert(0, np.outer(d, np.append(a[layer - 1], UNIT) if network.bias else a[layer - 1]))
        if layer > 1:
            back = weights[layer - 1].T @ d
            d = (back[:-1] if network.bias else back) * act[network.function(layer - 1)][1](a[layer - 1])
    return [w + lr * g for w, g in zip(weights, gradients, strict=True)], loss, hit


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("activation", "output", "loss"),
    [
        ("sigmoid", "sigmoid", "squared"),
        ("tanh", "tanh", "squared"),
        ("relu", "linear", "squared"),
        ("sigmoid", "sigmoid", "cross-entropy"),
    ],
)
def test_software_is_conventional_backpropagation(activation, output, loss, bias):
    network = Network(layers=(7, 6, 5, 3), activation=activation, output=output, loss=loss, bias=bias)
    random = np.random.RandomState(1)
    x, t = random.uniform(-1, 1, (20, 7)), random.uniform(0, 1, (20, 3))
    reference = Software(network, lr=0.3, seed=4, unit=UNIT)
    weights = network.initial_weights(4)
    losses, hits = [], []
    for k in range(20):
        weights, loss_of_one, hit = numpy_step(weights, network, x[k], t[k], 0.3)
        losses.append(loss_of_one)
        hits.append(hit)
    mean, right = reference.train(x, t)
    assert mean == pytest.approx(np.mean(losses), rel=1e-12)
    assert right == sum(hits)
    np.testing.assert_allclose(reference.weights, np.concatenate([w.ravel() for w in weights]), rtol=1e-10, atol=1e-12)


def test_software_learns_the_digits():
    settings = Settings(schedule="software")
    result = train_software(settings, prepare(settings, 127), 5, 127)
    assert result["test_accuracy"][-1] > 0.94
    assert result["train_loss"][0] > result["train_loss"][-1]


def test_slices_of_compiled_work_change_no_bit(monkeypatch):
    network = Network.parse("5-4-3")
    rng = np.random.RandomState(4)
    x, t = rng.rand(23, 5), rng.rand(23, 3)
    found = []
    for weights_times_samples in (1 << 24, 7 * 39, 1):
        monkeypatch.setattr("backpulse.host.software.SLICE", weights_times_samples)
        software = Software(network, lr=0.5, seed=2, unit=UNIT)
        found.append((software.train(x, t), software.weights.tobytes(), *software.predict(x, t)[0].tolist(), software.predict(x, t)[1]))
    assert found[0] == found[1] == found[2]

"""The reference curve: conventional backpropagation in float64, one sample at a time, no array.

It takes the machine's initial weights, sample order, scaled inputs and targets (words / 128), so that only the arithmetic differs.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from backpulse.firmware_py.isa import ACTIVATIONS
from backpulse.firmware_py.jit import allocating
from backpulse.firmware_py.network import Network
from backpulse.host.checkpoint import Position
from backpulse.host.rates import has_ended
from backpulse.host.run import Progress
from backpulse.host.scaling import SAMPLE_ONE
from backpulse.host.scores import scores
from backpulse.host.settings import SOFTWARE, Prepared, Settings
from backpulse.host.training import Event, Watcher
from backpulse.host.weights import Weights

ARRAY_KEYS = (
    "config_digest",
    "build_digest",
    "array",
    "cycles",
    "cycles_per_step",
    "read_cycles",
    "pulse_cycles",
    "pulses_up",
    "pulses_down",
    "pulses_clipped",
    "pulses_missed",
    "sense_clipped",
    "vector_saturated",
    "conductance_digest",
    "start",
    "link_retries",
)
"""Results that mean nothing without an array: None for the software schedule."""
SLICE = 1 << 24
"""Weights times samples of one compiled call, some hundredth of a second: no signal is heeded before it ends."""

_SIGMOID, _TANH, _RELU = (int(ACTIVATIONS[name]) for name in ("sigmoid", "tanh", "relu"))


class Software:
    """A network in float64.

    Parameters
    ----------
    network : Network
    lr : float
        Learning rate.
    seed : int
        Seed of the initial weights.
    unit : float
        The constant one of the bias, and the top of the clipped ReLU: the machine's unit, 127/128.
    init : Weights, optional
        The initial weights, if not those of the seed.
    """

    def __init__(self, network: Network, *, lr: float, seed: int, unit: float, init: Weights | None = None) -> None:
        self.lr = lr
        self.unit = unit
        layers = init.of_network(network, unit) if init else network.initial_weights(seed)
        self.weights = np.concatenate([w.ravel() for w in layers])
        self.sizes = np.array(network.layers)
        self.functions = np.array([ACTIVATIONS[network.function(layer)] for layer in range(1, network.depth + 1)], np.int64)
        self.bias = int(network.bias)
        self.cross_entropy = network.loss == "cross-entropy"

    def train(self, x: np.ndarray, t: np.ndarray) -> tuple[float, int]:
        """Train on samples in order, (samples, inputs) and (samples, outputs): float64, or int8 sample bytes.

        Returns
        -------
        The mean loss, 0.5 * sum((t - a)**2), and how many samples had their largest output where the target's is, before their step.
        """
        loss, hits = 0.0, 0
        for part in self._slices(len(x)):
            arguments = self.weights, self.sizes, self.functions, self.bias, self.unit
            loss, right = _train(*arguments, _numbers(x[part]), _numbers(t[part]), self.lr, self.cross_entropy, loss)
            hits += right
        return loss / max(1, len(x)), int(hits)

    def predict(self, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the class of each sample, int64 of shape (samples,), and the mean loss."""
        arguments, loss, classes = (self.weights, self.sizes, self.functions, self.bias, self.unit), 0.0, []
        for part in self._slices(len(x)):
            found, loss = _predict(*arguments, _numbers(x[part]), _numbers(t[part]), loss)
            classes.append(found)
        return np.concatenate(classes), loss / max(1, len(x))

    def _slices(self, samples: int) -> list[slice]:
        """Return the parts, at least one, in which samples go through compiled code."""
        step = max(1, SLICE // len(self.weights))
        return [slice(start, start + step) for start in range(0, max(1, samples), step)]


def train_software(
    settings: Settings,
    data: Prepared,
    epochs: int,
    unit: int,
    watch: Watcher | None = None,
    *,
    rates: Sequence[float] | None = None,
    init: Weights | None = None,
) -> dict[str, Any]:
    """Train the float64 reference on the same weights, order and scaled inputs; return its part of the JSON of `backpulse train`.

    Rates and early end are those of the settings, by its own losses; or those of a run in the array, if its `rates` are given. `init`
    are the initial weights, if not those of the seed.
    """
    given = init.scaled(data.scaler, unit) if init else None
    reference = Software(settings.network, lr=settings.lr, seed=settings.seed, unit=unit / SAMPLE_ONE, init=given)
    x, t = data.x, data.t
    position, validation = Position(), data.validation
    predictions, _ = reference.predict(x[:0], t[:0])
    reference.train(x[:0], t[:0])  # compiles, which is no part of its speed
    begun, used = time.monotonic(), settings.rates(epochs, [])
    while position.epoch < epochs and (rates or not has_ended(position.losses, settings.patience)):
        reference.lr = rates[position.epoch] if rates else used[-1]
        order = data.train[settings.order(position.epoch, len(data.train))]
        loss, hits = reference.train(x[order], t[order])
        predictions, _ = reference.predict(x[data.test], t[data.test])
        position.train_loss.append(loss)
        position.train_accuracy.append(hits / len(order))
        position.test_accuracy.append(float(np.mean(predictions == data.y[data.test])))
        if len(validation):
            classes, loss_of_it = reference.predict(x[validation], t[validation])
            position.validation_loss.append(loss_of_it)
            position.validation_accuracy.append(float(np.mean(classes == data.y[validation])))
        position.epoch += 1
        used = rates or settings.rates(epochs, position.losses)
        rate = position.epoch * len(order) / max(1e-9, time.monotonic() - begun)
        if watch:
            watch(Event("epoch", position.epoch, epochs, position, used, Progress(len(order), len(order), hits, loss, rate)))
    steps = position.epoch * len(data.train)
    return {
        **dict.fromkeys(ARRAY_KEYS),
        "settings": {**settings.to_dict(), "schedule": SOFTWARE},
        "warnings": list(data.warnings),
        "labels": list(data.features.labels),
        **({"init": init.digest} if init else {}),
        "epochs": position.epoch,
        **position.by_epoch(used),
        "steps": steps,
        "predictions": predictions.tolist(),
        **scores(data.y[data.test], predictions, settings.network.layers[-1]),
        "cost": None,
        "steps_per_second": steps / max(1e-9, time.monotonic() - begun),
    }


def _numbers(samples: np.ndarray) -> np.ndarray:
    """Return float64 of what may be sample bytes."""
    return samples / SAMPLE_ONE if samples.dtype == np.int8 else samples


@allocating
def _forward(weights, sizes, functions, bias, unit, x, a):
    """Fill `a`, all layers' activations one after the other with a slot for the bias each."""
    for i in range(sizes[0]):
        a[i] = x[i]
    w, source = 0, 0
    for layer in range(len(sizes) - 1):
        n_in = sizes[layer] + bias
        if bias:
            a[source + sizes[layer]] = unit
        target = source + sizes[layer] + 1
        for j in range(sizes[layer + 1]):
            z = 0.0
            for i in range(n_in):
                z += weights[w + i] * a[source + i]
            w += n_in
            function = functions[layer]
            if function == _SIGMOID:
                z = 1.0 / (1.0 + np.exp(-z))
            elif function == _TANH:
                z = np.tanh(z)
            elif function == _RELU:
                z = min(max(z, 0.0), unit)
            a[target + j] = z
        source = target
    return source


@allocating
def _slope(function, a, unit):
    """Return the derivative of an activation from its value, as the machine defines it."""
    if function == _SIGMOID:
        return a * (1.0 - a)
    if function == _TANH:
        return 1.0 - a * a
    if function == _RELU:
        return 1.0 if 0.0 < a < unit else 0.0
    return 1.0


@allocating
def _train(weights, sizes, functions, bias, unit, x, t, lr, cross_entropy, loss):
    """Train; return `loss` with that of the samples added, and how many were right before their step."""
    a = np.zeros(sizes.sum() + len(sizes))
    d, e = np.zeros(sizes.max()), np.zeros(sizes.max())
    hits = 0
    for sample in range(len(x)):
        source = _forward(weights, sizes, functions, bias, unit, x[sample], a)
        hits += np.argmax(a[source : source + sizes[-1]]) == np.argmax(t[sample])
        for j in range(sizes[-1]):
            d[j] = t[sample, j] - a[source + j]
            loss += 0.5 * d[j] * d[j]
            if not cross_entropy:
                d[j] *= _slope(functions[-1], a[source + j], unit)
        w = len(weights)
        for layer in range(len(sizes) - 2, -1, -1):
            n_in = sizes[layer] + bias
            w -= n_in * sizes[layer + 1]
            source -= sizes[layer] + 1
            e[:] = 0.0
            for j in range(sizes[layer + 1]):
                row = w + j * n_in
                for i in range(sizes[layer]):
                    e[i] += weights[row + i] * d[j]
                for i in range(n_in):
                    weights[row + i] += lr * d[j] * a[source + i]
            if layer > 0:
                for i in range(sizes[layer]):
                    d[i] = e[i] * _slope(functions[layer - 1], a[source + i], unit)
    return loss, hits


@allocating
def _predict(weights, sizes, functions, bias, unit, x, t, loss):
    """Return the class of each sample, and `loss` with that of the samples added."""
    a = np.zeros(sizes.sum() + len(sizes))
    classes = np.zeros(len(x), np.int64)
    for sample in range(len(x)):
        source = _forward(weights, sizes, functions, bias, unit, x[sample], a)
        output = a[source : source + sizes[-1]]
        classes[sample] = np.argmax(output)
        for j in range(sizes[-1]):
            e = t[sample, j] - output[j]
            loss += 0.5 * e * e
    return classes, loss

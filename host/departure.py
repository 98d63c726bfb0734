"""The rate from which on `progressive` learns less than the schedules that send the exact error back: a bound, and the sentence about it.

`progressive` pulses a layer and then reads the error back through it. What arrives at the units below is e + eta |d|^2 a: the error, and
a drift along their own activations a. On average over the samples the drift changes the weights below by eta D, D = E[f' |d|^2 a b^T],
and the error by G = E[f' e b^T]; b is what these weights are driven with. Of what either adds to the units' pre-activations, that
counts which differs from sample to sample: D b' and G b', b' = b - E[b]. The drift always pushes outwards: it goes on until the units
leave the range in which they answer linearly, and what arrives of one layer's drift adds to that of the others.
So `progressive` departs where

    eta  sum over hidden layers of |D b'| / |G b'|  =  LIMIT RANGE.

D and G are those of the plateau on which learning begins: the outputs have learned how frequent the classes are, as they do within some
dozen samples, and nothing else. Nothing of this is fitted but LIMIT, which is the same for all functions, widths and depths
(docs/learning.md).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from threadpoolctl import threadpool_limits

from backpulse.firmware_py.network import Network
from backpulse.host.scaling import SAMPLE_ONE
from backpulse.host.settings import Prepared, Settings

DRIFTING = "progressive"
"""The schedule that this is about."""
LIMIT = 0.5
"""What the drift may add of differences between samples, relative to what the error adds, per unit of RANGE: fitted on all points of an
earlier grid (widths 32 to 256, 1 to 4 hidden layers), and tried on docs/learning.md's."""
RANGE = {"sigmoid": 2.0, "tanh": 1.0, "relu": 1.0}
"""Pre-activation at which a unit would reach its end if it went on with its steepest slope, by the function of the hidden layers."""
SAMPLES = 512
"""Samples that D and G are averaged over, the first of the run; a smaller training part is taken whole."""
STEPS = 3
"""Of gradient descent towards the plateau. Polyak's rule gives their length, (loss - loss of the plateau) / |gradient|^2."""


def bound(network: Network, x: np.ndarray, t: np.ndarray, *, seed: int, unit: float) -> float:
    """Return the learning rate from which on `progressive` departs.

    Parameters
    ----------
    network : Network
    x, t : ndarray
        Inputs and targets of some samples, float64 of shape (samples, inputs) and (samples, outputs).
    seed : int
        Of the initial weights.
    unit : float
        The constant one of the bias, and the top of the clipped ReLU.

    Returns
    -------
    float; inf if no error is sent back, as in a network without a hidden layer.
    """
    weights = network.initial_weights(seed)
    frequent = np.broadcast_to(t.mean(0), t.shape)
    plateau = _loss(t - frequent)
    for _ in range(STEPS):
        a = _forward(network, weights, x, unit)
        gradients = [d.T @ a[layer - 1] / len(x) for layer, d in _errors(network, weights, a, t, a[-1], unit)]
        excess, steepness = _loss(t - a[-1]) - plateau, sum(float(np.vdot(g, g)) for g in gradients)
        if excess <= 0 or not steepness:
            break
        weights = [w + excess / steepness * g for w, g in zip(weights, reversed(gradients), strict=True)]
    a, drifts = _forward(network, weights, x, unit), 0.0
    for (_, above), (layer, d) in pairwise(_errors(network, weights, a, t, frequent, unit)):
        own = a[layer][:, : network.layers[layer]]
        drift = _slope(network.activation, own, unit) * own * np.vecdot(above, above)[:, np.newaxis]
        driven = a[layer - 1]
        differing = driven - driven.mean(0)
        by_error, by_drift = (float(np.linalg.norm(differing @ (driven.T @ part))) for part in (d, drift))
        drifts += by_drift / by_error if by_error else 0.0
    return LIMIT * RANGE[network.activation] / drifts if drifts else np.inf


def _loss(r: np.ndarray) -> float:
    return float(np.vdot(r, r)) / (2 * len(r))


def _forward(network: Network, weights: Sequence[np.ndarray], x: np.ndarray, unit: float) -> list[np.ndarray]:
    """Return what each layer is driven with, the bias last, and the outputs."""
    found = []
    a = x
    for layer, w in enumerate(weights, 1):
        found.append(np.hstack([a, np.full((len(x), int(network.bias)), unit)]))
        a = _function(network.function(layer), found[-1] @ w.T, unit)
    return [*found, a]


def _errors(
    network: Network, weights: Sequence[np.ndarray], a: Sequence[np.ndarray], t: np.ndarray, y: np.ndarray, unit: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each layer and its d, from the last to the first, for outputs y."""
    d = t - y if network.loss == "cross-entropy" else (t - y) * _slope(network.output, y, unit)
    for layer in range(network.depth, 0, -1):
        yield layer, d
        size = network.layers[layer - 1]
        d = (d @ weights[layer - 1][:, :size]) * _slope(network.activation, a[layer - 1][:, :size], unit)


def _function(name: str, z: np.ndarray, unit: float) -> np.ndarray:
    if name == "sigmoid":
        return 0.5 + 0.5 * np.tanh(0.5 * z)
    return np.tanh(z) if name == "tanh" else np.clip(z, 0.0, unit) if name == "relu" else z


def _slope(name: str, a: np.ndarray, unit: float) -> np.ndarray:
    """Return the derivative of an activation from its value, as the machine defines it."""
    if name == "sigmoid":
        return a * (1.0 - a)
    return 1.0 - a * a if name == "tanh" else ((a > 0.0) & (a < unit)).astype(float) if name == "relu" else np.ones_like(a)


def bound_of(settings: Settings, data: Prepared, unit: int) -> float:
    """Return the bound of a run on a board whose largest drive word is `unit`: of its network, initial weights and first samples."""
    first = data.train[settings.order(0, len(data.train))][:SAMPLES]
    x, t = data.x[first] / SAMPLE_ONE, data.t[first] / SAMPLE_ONE
    with threadpool_limits(1):  # of the products of matrices: beside other runs more threads take a hundred times as long
        return bound(settings.network, x, t, seed=settings.seed, unit=unit / SAMPLE_ONE)


def remark(settings: Settings, data: Prepared, unit: int) -> str | None:
    """Return the sentence for a run that is likely to depart, given its board's largest drive word; None for any other."""
    if settings.schedule != DRIFTING or settings.lr <= (most := bound_of(settings, data, unit)):
        return None
    return (
        f"{DRIFTING} is likely to learn less than software here: from a learning rate of about {most:.2g} on the error that it sends back "
        f"through {settings.network.brief} with {settings.activation} drifts too much, and this is {settings.lr:g}; progressive-exact and "
        "deferred send the exact error back"
    )

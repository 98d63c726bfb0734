"""Says when `progressive` is likely to learn less than the schedules that send the exact error back.

It pulses a layer and then reads the error back through it. What arrives is e + eta |d|^2 a: the error, and a drift along the layer's
input a. `drift` is its size relative to that part of the error which tells samples apart, but for a constant, which the limits carry:
|d|^2 is 2 loss s^2, with the slope s of the outputs; each hidden layer passes on of the error what its slope f lets through. Sigmoid
units all drive at about 1/2, so that the drifts of a layer's units add up; those of tanh and relu change from sample to sample, and
their sum grows as a root. What of tanh and relu is passed on, and which root, was fitted.
"""

from math import prod
from typing import NamedTuple

from backpulse.firmware_py.network import Network
from backpulse.host.settings import Settings


class Rule(NamedTuple):
    """How the drift goes with a function of the hidden layers, and from where on it counts."""

    slope: float
    """What a hidden layer passes on: sigmoid's steepest slope; less than 1 for tanh and relu, where units saturate or are off."""
    power: float
    """Of the width."""
    limit: float
    """Drift beyond which `progressive` departs: fitted on the grid of docs/learning.md (`make schedules`)."""


DRIFTING = "progressive"
"""The schedule that this is about."""
EARLY_SAMPLES = 256
"""Samples at the start of a run whose loss is the measured one; a smaller training part is taken whole."""
OUTPUT_SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "linear": 1.0}
"""Steepest slope of the outputs' function."""
RULES = {"sigmoid": Rule(0.25, 1.0, 5.2), "tanh": Rule(0.65, 0.5, 0.31), "relu": Rule(0.6, 0.25, 0.058)}
"""By the function of the hidden layers."""


def drift(network: Network, lr: float, loss: float) -> float:
    """Return eta 2 loss s^2 w^power / f^(h - 1): the drift in the error that `progressive` sends back, relative to that error.

    Parameters
    ----------
    network : Network
        With h hidden layers of slope f and (geometric) mean width w, and outputs of slope s; 1 with cross-entropy, which leaves it out.
    lr : float
        Learning rate eta.
    loss : float
        Mean of 0.5 * sum((t - a)**2) over the first EARLY_SAMPLES samples of the run.

    Returns
    -------
    float, 0 if there is no hidden layer, for then no error is sent back.
    """
    hidden = network.layers[1:-1]
    if not hidden:
        return 0.0
    rule = RULES[network.activation]
    width = prod(hidden) ** (1 / len(hidden))
    output = 1.0 if network.loss == "cross-entropy" else OUTPUT_SLOPES[network.output]
    return lr * 2 * loss * output**2 * width**rule.power / rule.slope ** (len(hidden) - 1)


def remark(settings: Settings, loss: float) -> str | None:
    """Return the sentence for a run that is likely to depart, given its early loss; None for any other."""
    network = settings.network
    found, limit = drift(network, settings.lr, loss), RULES[network.activation].limit
    if settings.schedule != DRIFTING or found <= limit:
        return None
    return (
        f"{DRIFTING} is likely to learn less than software here: {network.text} with {network.activation} at lr {settings.lr:g} and a loss "
        f"of {loss:.2f} at the start has a drift of {found:.2g} in the error that it sends back, and beyond {limit:g} it departs; "
        "progressive-exact and deferred send the exact error back, and a smaller --lr drifts less"
    )

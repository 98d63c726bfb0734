"""Says when `progressive` is likely to learn less than the schedules that send the exact error back.

It pulses a layer and then reads the error back through it. What arrives is e + eta |d|^2 a: the error, and a drift along the layer's
input a that has the same sign for every sample. |d|^2 is 2 loss s^2, with the slope s of the output's function, and |a|^2 is
proportional to the width. What of the error tells samples apart is passed on by each hidden layer but the first with its slope at the most;
the drift pushes all the same way. `drift` is the ratio of the two but for a constant, which LIMITS carry.
"""

from math import prod

from firmware_py.network import Network

from .settings import Settings

DRIFTING = "progressive"
"""The schedule that this is about."""
EARLY_SAMPLES = 256
"""Samples at the start of a run whose loss is the measured one; a smaller training part is taken whole."""
SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 0.5, "linear": 1.0}
"""Steepest slope of each function; for relu 1 for one half of the units, 0 for the others."""
LIMITS = {"sigmoid": 5.5, "tanh": 4.2, "relu": 2.2}
"""Drift beyond which the schedule departs, by the hidden layers' function: fitted on the grid in docs/learning.md (`make schedules`)."""


def drift(network: Network, lr: float, loss: float) -> float:
    """Return eta 2 loss s^2 w / f^(h - 1): the drift in the error that `progressive` sends back, relative to that error.

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
    width = prod(hidden) ** (1 / len(hidden))
    output = 1.0 if network.loss == "cross-entropy" else SLOPES[network.output]
    return lr * 2 * loss * output**2 * width / SLOPES[network.activation] ** (len(hidden) - 1)


def remark(settings: Settings, loss: float) -> str | None:
    """Return the sentence for a run that is likely to depart, given its early loss; None for any other."""
    network = settings.network
    found, limit = drift(network, settings.lr, loss), LIMITS[network.activation]
    if settings.schedule != DRIFTING or found <= limit:
        return None
    return (
        f"{DRIFTING} is likely to learn less than software here: {network.text} with {network.activation} at lr {settings.lr:g} and a loss "
        f"of {loss:.2f} at the start has a drift of {found:.1f} in the error that it sends back, and beyond {limit:g} it departs; "
        "progressive-exact and deferred send the exact error back, and a smaller --lr drifts less"
    )

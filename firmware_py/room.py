"""What of a network finds room: limits that can be told without placing anything, and the nearest network that fits."""

from collections.abc import Callable
from dataclasses import replace

from backpulse.firmware_py.config import HIGHEST, Config
from backpulse.firmware_py.network import Network


def beyond_any_board(network: Network, config: Config) -> str:
    """Say what a network needs more of than any board of such tiles can have; nothing if it may fit one.

    To place what never fits would take minutes, so this is asked first. Every bound is below what placing would find.
    """
    pairs = [(network.inputs(layer), network.layers[layer]) for layer in range(1, network.depth + 1)]
    rows, cols = config.tile_rows, config.tile_cols
    blocks = sum(min(-(-a // rows) * -(-b // cols), -(-b // rows) * -(-a // cols)) for a, b in pairs)
    bounds = [
        ("vectors", 2 + 2 * network.depth, "entries of the vector table"),
        ("tiles", -(-network.weights // (rows * cols)), f"tiles of {rows}x{cols}"),
        ("regions", blocks, "entries of the region table"),
        ("vector_words", sum(network.layers[1:]), "words of vector memory"),
        ("page_bytes", network.layers[0] + network.layers[-1], "bytes of a sample page"),
    ]
    for field, need, what in bounds:
        if need > HIGHEST[field]:
            return f"Network {network.brief} needs at least {need} {what} and a board has at most {HIGHEST[field]}"
    return ""


def smaller_layers(network: Network, fits: Callable[[Network], bool]) -> str:
    """Return what to do about a network that does not fit: the same with hidden layers about as wide, in proportion, as fits."""
    inputs, *hidden, outputs = network.layers
    widest = max(hidden, default=1)
    found, low, high = None, 0, widest  # of the widest hidden layer: `low` fits or is 0, `high` does not
    while high - low > max(1, low // 32):  # nearer is not worth the time
        size = (low + high) // 2
        smaller = replace(network, layers=(inputs, *(max(1, n * size // widest) for n in hidden), outputs))
        if fits(smaller):
            found, low = smaller, size
        else:
            high = size
    if found:
        return f"{found.brief} fits"
    return (
        f"no hidden layers between {inputs} inputs and {outputs} outputs fit: choose a larger board or tiles, fewer layers or fewer inputs"
    )

"""What of a network finds room: limits that can be told without placing anything, those of a program, and the nearest network that fits."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from backpulse.firmware_py.config import HIGHEST, Config
from backpulse.firmware_py.dead import NONE, Dead
from backpulse.firmware_py.isa import legal
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.placement import orientations_of, place

if TYPE_CHECKING:
    from backpulse.firmware_py.compiler import Program


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


def tiles_needed(network: Network, config: Config, dead: Dead = NONE) -> int:
    """Return the number of tiles that a network takes at its cheapest orientation, or the most of any board if it takes more."""
    if beyond_any_board(network, config):
        return HIGHEST["tiles"]
    return min(place(network, config, orientations_of(network, config, dead)[0], dead)[1], HIGHEST["tiles"])


def excess_of(program: "Program") -> str:
    """Say which size of its configuration a program exceeds and by how much, nothing if none."""
    c = program.config
    limits = [
        (f"tiles of {c.tile_rows} x {c.tile_cols}", program.tiles_used, c.tiles),
        ("instructions of program memory", len(program.instructions), c.program_words),
        ("entries of the region table", len(program.regions), c.regions),
        ("entries of the vector table", len(program.vectors), c.vectors),
        ("words of vector memory", program.vector_words_used, c.vector_words),
        ("bytes of a sample page", 4 * program.stride_words, c.page_bytes),
    ]
    for what, need, have in limits:
        if need > have:
            return f"Network {program.network.brief} needs {need} {what} and this board has {have}, {need - have} too few"
    return ""


def check_functions(program: "Program") -> None:
    """Raise ValueError if a program of the right size has functions or sums that its configuration has not."""
    c, net = program.config, program.network
    pairs = set(legal(c))
    if any((ins.op, ins.function) not in pairs for ins in program.instructions):
        raise ValueError(f"Network {net.brief} has functions that this board leaves out; choose sigmoid throughout")
    need_bits = partial_sum_bits(program)
    if need_bits > c.acc_bits:
        raise ValueError(
            f"Network {net.brief} needs {need_bits} bits of a partial sum and this board has {c.acc_bits}; "
            "choose a smaller weight_scale or larger tiles"
        )


def partial_sum_bits(program: "Program") -> int:
    """Return the bits of the largest partial sum of a program: one of sense words at their largest, of as many blocks as lie in a line."""
    c = program.config
    offsets = [([b.region.row_offset for b in p.blocks], [b.region.col_offset for b in p.blocks]) for p in program.placements]
    summands = max(len({*ends}) for pair in offsets for ends in pair)
    shift = c.backward_shift + program.network.scale_log2 - c.range_min
    return ((summands * c.sense_max) << shift).bit_length() + 1

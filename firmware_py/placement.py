"""Layers onto tiles: splitting into blocks, choosing the way round, packing the blocks."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.isa import Op, Region
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.timing import costs, instruction_cycles


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a layer's matrix in a tile; `rows` and `cols` are the tile's directions."""

    layer: int
    region: Region
    name: str


@dataclass(frozen=True, kw_only=True)
class LayerPlacement:
    """Where one layer lies."""

    layer: int
    transposed: bool
    """False: inputs on rows, outputs on columns. True: the other way round."""
    blocks: tuple[Block, ...]


def cuts(size: int, most: int) -> Iterator[tuple[int, int]]:
    """Split a length into (start, length) parts of `most`, the last one shorter: whole parts pack best."""
    for start in range(0, size, most):
        yield start, min(most, size - start)


class _Shelves:
    """Packs rectangles into tiles: each tile is a stack of shelves, each shelf a row of rectangles."""

    def __init__(self, rows: int, cols: int) -> None:
        self.rows, self.cols = rows, cols
        self.tiles: list[list[list[int]]] = []  # tile -> shelves of [row0, height, next free column]
        self._size, self._from = (0, 0), 0

    def put(self, rows: int, cols: int) -> tuple[int, int, int]:
        """Return (tile, row0, col0) of a rectangle, on a new tile if no other has room."""
        # Where there was no room for one of this size there is none for the next.
        self._size, start = (rows, cols), self._from if self._size == (rows, cols) else 0
        for number in range(start, len(self.tiles) + 1):
            if number == len(self.tiles):
                self.tiles.append([])
            shelves, self._from = self.tiles[number], number
            for shelf in shelves:
                if shelf[1] >= rows and self.cols - shelf[2] >= cols:
                    col0, shelf[2] = shelf[2], shelf[2] + cols
                    return number, shelf[0], col0
            top = shelves[-1][0] + shelves[-1][1] if shelves else 0
            if self.rows - top >= rows:
                shelves.append([top, rows, cols])
                return number, top, 0
        raise AssertionError("a new tile takes any block")


def shapes(network: Network, config: Config, layer: int, *, transposed: bool) -> list[tuple[int, int, int, int]]:
    """Return (row_offset, rows, col_offset, cols) of a layer's blocks, one way round."""
    n_in, n_out = network.inputs(layer), network.layers[layer]
    rows, cols = (n_out, n_in) if transposed else (n_in, n_out)
    return [(r, h, c, w) for c, w in cuts(cols, config.tile_cols) for r, h in cuts(rows, config.tile_rows)]


def place(network: Network, config: Config, orientations: tuple[bool, ...]) -> tuple[list[LayerPlacement], int]:
    """Place a network's layers with the given orientations.

    Returns
    -------
    The placements of layers 1 .. depth, and the number of tiles that they take (it may exceed `config.tiles`; the caller judges).
    """
    found: dict[tuple[int, int], Block] = {}
    shelves = _Shelves(config.tile_rows, config.tile_cols)
    todo = [
        (h, w, layer, i, r, c)
        for layer in range(1, network.depth + 1)
        for i, (r, h, c, w) in enumerate(shapes(network, config, layer, transposed=orientations[layer - 1]))
    ]
    blocks = Counter(t[2] for t in todo)
    for h, w, layer, i, r, c in sorted(todo, key=lambda t: (-t[0], -t[1], t[2], t[3])):
        tile, row0, col0 = shelves.put(h, w)
        region = Region(tile=tile, row0=row0, rows=h, col0=col0, cols=w, row_offset=r, col_offset=c, scale_log2=network.scale_log2)
        found[layer, i] = Block(layer=layer, region=region, name=f"W{layer}" + (f"[{r}:{r + h},{c}:{c + w}]" if blocks[layer] > 1 else ""))
    placements = []
    for layer in range(1, network.depth + 1):
        parts = tuple(found[layer, i] for i in range(blocks[layer]))
        placements.append(LayerPlacement(layer=layer, transposed=orientations[layer - 1], blocks=parts))
    return placements, len(shelves.tiles)


def orientations_of(network: Network, config: Config) -> list[tuple[bool, ...]]:
    """Return ways to lay the layers, the cheapest in cycles first (at most 64 of them)."""
    table = costs(config)

    def cost(layer: int, transposed: bool) -> int:
        total = 0
        for _, rows, _, cols in shapes(network, config, layer, transposed=transposed):
            forward, back = (Op.READT, Op.READ) if transposed else (Op.READ, Op.READT)
            ops = [forward, Op.PULSE] + ([back] if layer > 1 else [])
            for op in ops:
                total += int(instruction_cycles(table, op, 0, rows, cols, 0))
        return total

    both = [(cost(layer, False), cost(layer, True)) for layer in range(1, network.depth + 1)]
    ways = itertools.islice(itertools.product((0, 1), repeat=network.depth), 64)
    # A 0 keeps a layer's cheaper way, so the first way is the cheapest of all even where 64 do not cover every combination.
    cheap = [int(c[1] < c[0]) for c in both]
    chosen = [tuple(c ^ w for c, w in zip(cheap, way, strict=True)) for way in ways]
    chosen.sort(key=lambda way: sum(c[w] for c, w in zip(both, way, strict=True)))
    return [tuple(bool(w) for w in way) for way in chosen]

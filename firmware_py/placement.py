"""Layers onto tiles: splitting into blocks, choosing the way round, packing the blocks, going around dead lines."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.dead import NONE, Dead, stretches
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
    """Packs rectangles into the usable lines of tiles: each tile is a stack of shelves, each shelf a row of rectangles."""

    def __init__(self, config: Config, dead: Dead) -> None:
        self._config, self._dead = config, dead
        self.rows: list[list[int]] = []  # tile -> usable rows
        self.cols = dead.usable_cols(config)
        self.tiles: list[list[list[int]]] = []  # tile -> shelves of [row0, height, next free column]
        self._size, self._from = (0, 0), 0

    def put(self, rows: int, cols: int) -> tuple[int, int, int]:
        """Return (tile, row0, col0) of a rectangle, counted in usable lines, on a new tile if no other has room."""
        # Where there was no room for one of this size there is none for the next.
        self._size, start = (rows, cols), self._from if self._size == (rows, cols) else 0
        for number in itertools.count(start):
            if number == len(self.tiles):
                self.tiles.append([])
                self.rows.append(self._dead.usable_rows(self._config, number))
            shelves, self._from = self.tiles[number], number
            for shelf in shelves:
                if shelf[1] >= rows and len(self.cols) - shelf[2] >= cols:
                    col0, shelf[2] = shelf[2], shelf[2] + cols
                    return number, shelf[0], col0
            top = shelves[-1][0] + shelves[-1][1] if shelves else 0
            if len(self.rows[number]) - top >= rows:
                shelves.append([top, rows, cols])
                return number, top, 0
        raise AssertionError("a tile beyond those of the board has no dead lines, and takes any block")


def shapes(network: Network, size: tuple[int, int], layer: int, *, transposed: bool) -> list[tuple[int, int, int, int]]:
    """Return (row_offset, rows, col_offset, cols) of a layer's blocks of at most `size` (rows, columns), one way round."""
    n_in, n_out = network.inputs(layer), network.layers[layer]
    rows, cols = (n_out, n_in) if transposed else (n_in, n_out)
    return [(r, h, c, w) for c, w in cuts(cols, size[1]) for r, h in cuts(rows, size[0])]


def place(network: Network, config: Config, orientations: tuple[bool, ...], dead: Dead = NONE) -> tuple[list[LayerPlacement], int]:
    """Place a network's layers with the given orientations, around dead lines.

    Blocks are packed as if the usable lines of each tile lay side by side, and then cut where a dead line lies between two of them. All
    blocks that share a layer's rows or columns are cut alike, so that their partial sums meet.

    Returns
    -------
    The placements of layers 1 .. depth, and the number of tiles that they take (it may exceed `config.tiles`; the caller judges).
    """
    ways = (_place(network, config, orientations, dead, size) for size in dead.sizes(config))
    return min(ways, key=lambda way: way[1])


def _place(
    network: Network, config: Config, orientations: tuple[bool, ...], dead: Dead, size: tuple[int, int]
) -> tuple[list[LayerPlacement], int]:
    """Place with blocks of at most `size` (rows, columns)."""
    shelves = _Shelves(config, dead)
    todo = [
        (h, w, layer, i, r, c)
        for layer in range(1, network.depth + 1)
        for i, (r, h, c, w) in enumerate(shapes(network, size, layer, transposed=orientations[layer - 1]))
    ]
    lines: dict[tuple[int, int, int], tuple[int, list[int], list[int]]] = {}  # layer, row and column offset -> tile, its rows, its columns
    rows: dict[tuple[int, int], set[int]] = {}  # layer, row offset -> offsets where its blocks are cut
    cols: dict[tuple[int, int], set[int]] = {}
    for h, w, layer, _, r, c in sorted(todo, key=lambda t: (-t[0], -t[1], t[2], t[3])):
        tile, row0, col0 = shelves.put(h, w)
        of_rows, of_cols = shelves.rows[tile][row0 : row0 + h], shelves.cols[col0 : col0 + w]
        lines[layer, r, c] = tile, of_rows, of_cols
        rows.setdefault((layer, r), set()).update(start for start, _ in stretches(of_rows))
        cols.setdefault((layer, c), set()).update(start for start, _ in stretches(of_cols))
    placements = []
    for layer in range(1, network.depth + 1):
        regions = []
        for _, (_, r, c) in sorted(((key[2], key[1]), key) for key in lines if key[0] == layer):
            tile, of_rows, of_cols = lines[layer, r, c]
            for at_col, width in _parts(cols[layer, c], len(of_cols)):
                for at_row, height in _parts(rows[layer, r], len(of_rows)):
                    corner = {"tile": tile, "row0": of_rows[at_row], "rows": height, "col0": of_cols[at_col], "cols": width}
                    regions.append(Region(**corner, row_offset=r + at_row, col_offset=c + at_col, scale_log2=network.scale_log2))
        blocks = tuple(Block(layer=layer, region=region, name=_name(layer, region, len(regions))) for region in regions)
        placements.append(LayerPlacement(layer=layer, transposed=orientations[layer - 1], blocks=blocks))
    return placements, len(shelves.tiles)


def _parts(starts: set[int], size: int) -> list[tuple[int, int]]:
    """Return (start, length) of the parts of a length that begin at these places."""
    ordered = sorted(starts)
    return [(start, end - start) for start, end in zip(ordered, [*ordered[1:], size], strict=True)]


def _name(layer: int, region: Region, blocks: int) -> str:
    r, c = region.row_offset, region.col_offset
    return f"W{layer}" + (f"[{r}:{r + region.rows},{c}:{c + region.cols}]" if blocks > 1 else "")


def orientations_of(network: Network, config: Config, dead: Dead = NONE) -> list[tuple[bool, ...]]:
    """Return ways to lay the layers, the cheapest in cycles first (at most 64 of them)."""
    table, size = costs(config), dead.sizes(config)[0]

    def cost(layer: int, transposed: bool) -> int:
        total = 0
        for _, rows, _, cols in shapes(network, size, layer, transposed=transposed):
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

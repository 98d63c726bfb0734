"""What a host writes into a machine before a run: program, tables, the tile's parameters, cells, random states and scales."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from backpulse.firmware_py.compiler import ETA_SCALE, PULSE_SCALE, Program
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import Device, quantise_cells
from backpulse.firmware_py.isa import SCALE_REGISTERS, Scale
from backpulse.firmware_py.placement import Block
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    PERSISTENT_SHIFT,
    REG,
    STREAM_SHIFT,
    TABLE_PART_SHIFT,
    Stream,
    TableParameter,
    TablePart,
    TileParameter,
    Window,
)
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import FLAT_PARTS, TableDevice, carried

Image = list[tuple[int, Sequence[int] | np.ndarray]]
"""Runs of 32-bit words: the address of the first, and the words; arrays of them are unsigned."""

AGE = int(TableParameter.AGE)
"""The last parameter of the table device, which is no part of a device."""
_MASK32 = 0xFFFFFFFF


def instruction_words(words: Iterable[int]) -> list[int]:
    """Return instruction words as the PROGRAM window has them: two words each, the low one first."""
    return [part for word in words for part in (word & _MASK32, word >> 32)]


def program_image(program: Program) -> Image:
    """Return program, region table, vector table and the samples' stride."""
    return [
        (Window.PROGRAM.base, instruction_words(i.encode() for i in program.instructions)),
        (Window.REGIONS.base, [word for region in program.regions for word in region.to_words()]),
        (Window.VECTORS.base, [vector.to_word() for vector in program.vectors]),
        (REG["STRIDE"].address, [program.stride_words]),
    ]


def tile_image(words: Sequence[int]) -> Image:
    """Return the tile's parameters from all words of the window; between READ_SIGMA and ROOT it has none. A sign is taken modulo 2**32."""
    words = [int(word) & _MASK32 for word in words]
    base, last, root = Window.TILE.base, TileParameter.READ_SIGMA, TileParameter.ROOT
    return [(base, words[: last + 1]), (base + root, words[root:])]


def cells_image(cells: np.ndarray) -> Image:
    """Return all cells, from integers of shape (rows of all tiles, columns)."""
    return _plane(Window.CELLS, cells.astype(np.int16).view(np.uint16))


def spread_image(spread: np.ndarray) -> Image:
    """Return all spread words, from integers of shape (rows of all tiles, columns)."""
    return _plane(Window.SPREAD, np.asarray(spread, np.uint32))


def persistent_image(cells: np.ndarray) -> Image:
    """Return what stays of all cells of the table device, which is written behind what reads see of them."""
    return _plane(Window.CELLS, cells.astype(np.int16).view(np.uint16), 1 << PERSISTENT_SHIFT)


def table_image(words: np.ndarray) -> Image:
    """Return the tables of the table device from `TableWords.flat`."""
    parts = np.split(np.asarray(words, np.uint32), np.cumsum(list(FLAT_PARTS.values()))[:-1])
    return [(table_address(part), values) for part, values in zip(FLAT_PARTS, parts, strict=True)]


def ages_image(ages: np.ndarray) -> Image:
    """Return the age of the table device's cells: the samples, and for each row the period of its last visit."""
    return [(table_address(TablePart.PARAMETERS) + AGE, ages[:1]), (table_address(TablePart.VISITED), ages[1:])]


def table_address(part: TablePart) -> int:
    """Return the address of the first word of a part of the table device."""
    return Window.TABLE.base + (part << TABLE_PART_SHIFT)


def _plane(window: Window, plane: np.ndarray, offset: int = 0) -> Image:
    return [(window.base + offset + (row << CELL_ROW_SHIFT), words) for row, words in enumerate(plane)]


def random_image(states: Mapping[Stream, Sequence[int]]) -> Image:
    """Return the states of random streams."""
    return [(Window.RANDOM.base + (stream << STREAM_SHIFT), [int(state) for state in lanes]) for stream, lanes in states.items()]


def scales_image(words: Sequence[int]) -> Image:
    """Return the scale registers."""
    return [(REG["SCALE"].address, list(words))]


def samples_image(slot: int, records: np.ndarray) -> Image:
    """Return samples for the store from a slot on, from uint32 of shape (samples, words of one)."""
    return [(Window.STORE.base + slot * records.shape[1], records.ravel())]


def scale_words(device: Device | TableDevice, lr: float) -> list[int]:
    """Return the words of the scale registers that a learning rate gives: eta / dw_min, eta, and room for the norm.

    Raises
    ------
    ValueError
        If the learning rate is beyond them.
    """
    words = [0] * SCALE_REGISTERS
    words[PULSE_SCALE] = Scale.from_float(lr / device.dw_min).to_word()
    words[ETA_SCALE] = Scale.from_float(lr).to_word()
    return words


def initial_cells(program: Program, device: Device | TableDevice, seed: int, elsewhere: np.ndarray | None = None) -> np.ndarray:
    """Return the cells of a network's initial weights: int64 of shape (rows of all tiles, columns).

    Where no layer lies they are zero, or those of `elsewhere`.
    """
    config, network = program.config, program.network
    words = [quantise_cells(device, config, weights, network.weight_scale) for weights in network.initial_weights(seed)]
    return placed(
        program, words, np.zeros((config.rows, config.tile_cols), np.int64) if elsewhere is None else np.array(elsewhere, np.int64)
    )


def placed(program: Program, weights: Sequence[np.ndarray], cells: np.ndarray) -> np.ndarray:
    """Write the weights of each layer, of shape (units, inputs), into cells where the program has them, and return these cells."""
    for block, matrix, place in _blocks(program, weights):
        r = block.region
        cells[place] = matrix[r.row_offset : r.row_offset + r.rows, r.col_offset : r.col_offset + r.cols]
    return cells


def taken_from(program: Program, cells: np.ndarray) -> list[np.ndarray]:
    """Return the weights of each layer, float64 of shape (units, inputs), from cells where `placed` writes them."""
    network = program.network
    weights = [np.zeros((units, network.inputs(layer + 1))) for layer, units in enumerate(network.layers[1:])]
    for block, matrix, place in _blocks(program, weights):
        r = block.region
        matrix[r.row_offset : r.row_offset + r.rows, r.col_offset : r.col_offset + r.cols] = cells[place]
    return weights


def _blocks(program: Program, weights: Sequence[np.ndarray]) -> Iterator[tuple[Block, np.ndarray, tuple[slice, slice]]]:
    """Yield each block of the layers, its layer's weights as its rows and columns have them, and its place in all cells."""
    for placement, matrix in zip(program.placements, weights, strict=True):
        for block in placement.blocks:
            r = block.region
            row0 = r.tile * program.config.tile_rows + r.row0
            yield block, matrix if placement.transposed else matrix.T, (slice(row0, row0 + r.rows), slice(r.col0, r.col0 + r.cols))


def device_image(device: Device | TableDevice, config: Config) -> Image:
    """Return the parameters and tables of a device, without spread words."""
    device = carried(device, config)
    tables = table_image(device.words(config).flat()) if isinstance(device, TableDevice) else []
    return [*tile_image(device.tile_words(config)), *tables]


def image(program: Program, device: Device | TableDevice, cells: np.ndarray, *, lr: float, seed: int) -> Image:
    """Return all that a host writes before a run but for the samples and ENTRY."""
    config = program.config
    device = carried(device, config)
    return [
        *program_image(program),
        *device_image(device, config),
        *cells_image(cells),
        *(ages_image(np.zeros(1 + config.rows, np.uint32)) if isinstance(device, TableDevice) else []),
        *(spread_image(device.spread_words(config, seed)) if config.spread else []),
        *random_image(seed_states(config, seed)),
        *scales_image(scale_words(device, lr)),
    ]

"""What a host writes into a machine before it trains, as addresses and words; and the words that tell two machines apart."""

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import PRESETS, quantise_cells
from backpulse.firmware_py.image import Image, image, random_image, samples_image
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    PERSISTENT_SHIFT,
    REG,
    TABLE_PART_SHIFT,
    Counter,
    TableParameter,
    TablePart,
    Window,
)
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import TableDevice

Writes = list[tuple[int, int]]

_ECRAM = TableDevice.of_linear(PRESETS["ecram"])
DEVICES = {
    **PRESETS,
    "table": replace(_ECRAM, name="table", apparent_noise=0.02, symmetry_spread=0.2, stuck=0.05, leak_samples=5, leak_rest=0.2),
}
"""What a machine may be loaded with: a table has everything that one can have."""


def samples(program: Program, count: int, seed: int) -> Image:
    """Return a data set of random inputs and one-hot targets."""
    rng = random.Random(seed)
    inputs, outputs, stride = program.network.layers[0], program.network.layers[-1], program.stride_words
    records = np.zeros((count, 4 * stride), np.int8)
    for record in records:
        label = rng.randrange(outputs)
        record[: inputs + outputs] = [rng.randint(-127, 127) for _ in range(inputs)] + [127 * (i == label) for i in range(outputs)]
    return samples_image(0, records.view("<u4"))


def loading(program: Program, *, preset: str = "ideal", count: int = 8, lr: float = 0.5, seed: int = 1) -> Writes:
    """Return everything that a host writes before START, word by word: weights and what lies beside them are noise."""
    config, device, rng = program.config, DEVICES[preset], random.Random(seed)
    noise = [[rng.uniform(-1.0, 1.0) for _ in range(config.tile_cols)] for _ in range(config.rows)]
    runs = image(program, device, quantise_cells(device, config, np.array(noise), 1.0), lr=lr, seed=seed)
    runs += [*samples(program, count, seed), (REG["ENTRY"].address, [program.train_entry])]
    return word_by_word(runs)


def word_by_word(runs: Image) -> Writes:
    """Return runs of words as single ones."""
    return [(address + i, int(word)) for address, words in runs for i, word in enumerate(words)]


def visible(program: Program) -> Iterator[int]:
    """Yield the addresses of all that training changes: counters, scales, state, and what `held` says."""
    yield from range(REG["COUNTER"].address, REG["COUNTER"].address + len(Counter))
    yield from range(REG["SCALE"].address, REG["SCALE"].address + REG["SCALE"].count)
    yield from (REG["STATE"].address, REG["FAULT"].address, REG["CREDIT"].address)
    yield from held(program.config, program.vector_words_used)


def held(config: Config, vector_words: int) -> Iterator[int]:
    """Yield the addresses of what programs change in memories.

    Random states, the first words of vector memory, results, outputs, cells, and of the table device their age.
    """
    for address, lanes in random_image(seed_states(config, 0)):
        yield from range(address, address + len(lanes))
    yield from range(Window.VECTOR_MEMORY.base, Window.VECTOR_MEMORY.base + vector_words)
    yield from range(Window.RESULTS.base, Window.RESULTS.base + config.result_depth // 2)
    yield from range(Window.OUTPUTS.base, Window.OUTPUTS.base + config.output_depth // 2)
    for row in range(config.rows):
        at = Window.CELLS.base | row << CELL_ROW_SHIFT
        yield from range(at, at + config.tile_cols)
        if config.device is DeviceKind.TABLE:
            yield from range(at | 1 << PERSISTENT_SHIFT, (at | 1 << PERSISTENT_SHIFT) + config.tile_cols)
    if config.device is DeviceKind.TABLE:
        visited = Window.TABLE.base | TablePart.VISITED << TABLE_PART_SHIFT
        yield from range(visited, visited + config.rows)
        yield Window.TABLE.base | TablePart.PARAMETERS << TABLE_PART_SHIFT | TableParameter.AGE


def golden(config: Config, writes: Writes) -> GoldenMachine:
    """Return a golden machine after these writes."""
    machine = GoldenMachine(config)
    for address, word in writes:
        machine.write(address, word)
    return machine

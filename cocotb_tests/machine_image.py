"""What a host writes into a machine before it trains, as addresses and words; and the words that tell two machines apart."""

import random
from collections.abc import Iterator

from backpulse.firmware_py.compiler import Program
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import PRESETS, Device, quantise_cells
from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, REG, STREAM_SHIFT, Counter, TileParameter, Window
from backpulse.firmware_py.streams import seed_states

Image = list[tuple[int, int]]


def tables(program: Program) -> Image:
    """Return program, regions and vectors."""
    image: Image = []
    for i, instruction in enumerate(program.instructions):
        word = instruction.encode()
        image += [(Window.PROGRAM.base + 2 * i, word & 0xFFFFFFFF), (Window.PROGRAM.base + 2 * i + 1, word >> 32)]
    for i, region in enumerate(program.regions):
        image += [(Window.REGIONS.base + 4 * i + k, word) for k, word in enumerate(region.to_words())]
    image += [(Window.VECTORS.base + i, vector.to_word()) for i, vector in enumerate(program.vectors)]
    return image


def device(config: Config, chosen: Device, seed: int) -> Image:
    """Return parameters, spread words, cells and random states."""
    rng = random.Random(seed)
    words = chosen.tile_words(config)
    offsets = [p for p in TileParameter if p != TileParameter.ROOT]
    offsets += range(TileParameter.ROOT, TileParameter.ROOT + config.pulse_max + 1)
    image = [(Window.TILE.base + i, words[i] & 0xFFFFFFFF) for i in offsets]
    cells = quantise_cells(chosen, config, [rng.uniform(-1.0, 1.0) for _ in range(config.rows * config.tile_cols)], 1.0)
    spread = chosen.spread_words(config, seed) if config.spread else None
    for row in range(config.rows):
        for col in range(config.tile_cols):
            offset = row << CELL_ROW_SHIFT | col
            image.append((Window.CELLS.base + offset, int(cells[row * config.tile_cols + col]) & 0xFFFF))
            if spread is not None:
                image.append((Window.SPREAD.base + offset, int(spread[row, col])))
    for stream, states in seed_states(config, seed).items():
        if stream == 2 and not config.read_noise:
            continue
        image += [(Window.RANDOM.base + (stream << STREAM_SHIFT) + lane, state) for lane, state in enumerate(states)]
    return image


def samples(program: Program, count: int, seed: int) -> Image:
    """Return a data set of random inputs and one-hot targets, and its stride."""
    rng = random.Random(seed)
    inputs, outputs, stride = program.network.layers[0], program.network.layers[-1], program.stride_words
    image = [(REG["STRIDE"].address, stride)]
    for n in range(count):
        label = rng.randrange(outputs)
        data = [rng.randint(-127, 127) for _ in range(inputs)] + [127 * (i == label) for i in range(outputs)]
        data += [0] * (4 * stride - len(data))
        words = [sum((byte & 255) << 8 * k for k, byte in enumerate(data[i : i + 4])) for i in range(0, len(data), 4)]
        image += [(Window.STORE.base + n * stride + i, word) for i, word in enumerate(words)]
    return image


def scales(chosen: Device, lr: float) -> Image:
    """Return the scale registers of a learning rate."""
    values = (lr / chosen.dw_min, lr, 0.0)
    words = [(s.mantissa | (s.exponent & 255) << 16) for s in (Scale.from_float(v) for v in values)]
    return [(REG["SCALE"].address + i, word) for i, word in enumerate(words)]


def image(program: Program, *, preset: str = "ideal", count: int = 8, lr: float = 0.5, seed: int = 1) -> Image:
    """Return everything that a host writes before START."""
    chosen = PRESETS[preset]
    return [
        *tables(program),
        *device(program.config, chosen, seed),
        *samples(program, count, seed),
        *scales(chosen, lr),
        (REG["ENTRY"].address, program.train_entry),
    ]


def visible(program: Program) -> Iterator[int]:
    """Yield the addresses of all that training changes: counters, scales, state, and what `held` says."""
    yield from range(REG["COUNTER"].address, REG["COUNTER"].address + len(Counter))
    yield from range(REG["SCALE"].address, REG["SCALE"].address + 3)
    yield from (REG["STATE"].address, REG["FAULT"].address, REG["CREDIT"].address)
    yield from held(program.config, program.vector_words_used)


def held(config: Config, vector_words: int) -> Iterator[int]:
    """Yield the addresses of what programs change in memories: random states, the first words of vector memory, results, outputs, cells."""
    streams = [0] + [1] * (config.device is not DeviceKind.IDEAL) + [2] * config.read_noise
    for stream in streams:
        lanes = 2 if stream == 2 else config.tile_cols
        yield from range(Window.RANDOM.base + (stream << STREAM_SHIFT), Window.RANDOM.base + (stream << STREAM_SHIFT) + lanes)
    yield from range(Window.VECTOR_MEMORY.base, Window.VECTOR_MEMORY.base + vector_words)
    yield from range(Window.RESULTS.base, Window.RESULTS.base + config.result_depth // 2)
    yield from range(Window.OUTPUTS.base, Window.OUTPUTS.base + config.output_depth // 2)
    for row in range(config.rows):
        yield from range(Window.CELLS.base + (row << CELL_ROW_SHIFT), Window.CELLS.base + (row << CELL_ROW_SHIFT) + config.tile_cols)


def golden(config: Config, writes: Image) -> GoldenMachine:
    """Return a golden machine after these writes."""
    machine = GoldenMachine(config)
    for address, word in writes:
        machine.write(address, word)
    return machine

"""A golden board with a network on it, for the tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, ETA_SCALE, PULSE_SCALE, Program, compile_network
from backpulse.firmware_py.config import DEFAULT, Config, DeviceKind
from backpulse.firmware_py.device import PRESETS, Device, quantise_cells
from backpulse.firmware_py.isa import Scale
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import CELL_ROW_SHIFT, REG, STREAM_SHIFT, State, Window
from backpulse.firmware_py.room import tiles_needed
from backpulse.firmware_py.streams import seed_states


def carrying(config: Config, device: Device, network: Network) -> Config:
    """Return a configuration with the tiles and the device model that a network on a device needs."""
    config = replace(config, tiles=tiles_needed(network, config), read_noise=int(device.read_noise > 0))
    return replace(config, device=DeviceKind.IDEAL, spread=0) if device.is_ideal else config


@dataclass
class Loaded:
    """A golden machine that holds a program; also a `firmware_py.divergence.Subject`."""

    machine: GoldenMachine
    program: Program

    def read_words(self, address: int, count: int) -> list[int]:
        """Return words."""
        return [self.machine.read(address + i) for i in range(count)]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Write words."""
        for i, word in enumerate(words):
            self.machine.write(address + i, word)

    def run(self, entry: int, order: Sequence[int]) -> None:
        """Work through samples of the store."""
        self.machine.write(REG["ENTRY"].address, entry)
        self.machine.start()
        for index in order:
            self.machine.grant([index])
            self.machine.run(1)
        if self.machine.state == State.PAUSED:
            self.machine.halt()

    def load(self, device: Device, *, lr: float, seed: int, samples: np.ndarray) -> None:
        """Write program, tables, device, cells, spread, random states, scales and samples (int8, one record a row)."""
        program, config = self.program, self.program.config
        for i, instruction in enumerate(program.instructions):
            word = instruction.encode()
            self.write_words(Window.PROGRAM.base + 2 * i, [word & 0xFFFFFFFF, word >> 32])
        for i, region in enumerate(program.regions):
            self.write_words(Window.REGIONS.base + 4 * i, region.to_words())
        self.write_words(Window.VECTORS.base, [v.to_word() for v in program.vectors])
        for i, word in enumerate(device.tile_words(config)):
            if i < 9 or i >= 32:
                self.machine.write(Window.TILE.base + i, word)
        for stream, states in seed_states(config, seed).items():
            self.write_words(Window.RANDOM.base | stream << STREAM_SHIFT, states)
        self.cells(initial_cells(program, device, seed))
        if config.spread:
            for row, words in enumerate(device.spread_words(config, seed).tolist()):
                self.write_words(Window.SPREAD.base | row << CELL_ROW_SHIFT, words)
        self.machine.write(REG["SCALE"].address + PULSE_SCALE, Scale.from_float(lr / device.dw_min).to_word())
        self.machine.write(REG["SCALE"].address + ETA_SCALE, Scale.from_float(lr).to_word())
        self.machine.write(REG["STRIDE"].address, program.stride_words)
        records = np.zeros((len(samples), 4 * program.stride_words), np.int8)
        records[:, : samples.shape[1]] = samples
        self.write_words(Window.STORE.base, records.view("<u4").reshape(-1).tolist())

    def cells(self, cells: np.ndarray) -> None:
        """Write all cells."""
        self.machine.memory.cells[:] = cells

    def weights(self, layer: int) -> np.ndarray:
        """Return a layer's weights in logical units: float64 of shape (outputs, input lines)."""
        program, config = self.program, self.program.config
        network = program.network
        placement = program.placements[layer - 1]
        shape = (network.layers[layer], network.inputs(layer))
        found = np.zeros(shape if placement.transposed else shape[::-1])
        for block in placement.blocks:
            r = block.region
            row = r.tile * config.tile_rows + r.row0
            part = self.machine.memory.cells[row : row + r.rows, r.col0 : r.col0 + r.cols]
            found[r.row_offset : r.row_offset + r.rows, r.col_offset : r.col_offset + r.cols] = part
        found *= network.weight_scale / (1 << config.cell_frac)
        return found if placement.transposed else found.T

    def vector(self, name: str) -> np.ndarray:
        """Return a vector's words, int64."""
        entry = self.program.vectors[self.program.vector_names.index(name)]
        return self.machine.memory.vectors[entry.base : entry.base + entry.length].copy()


def initial_cells(program: Program, device: Device, seed: int) -> np.ndarray:
    """Return cells of a network's initial weights, and the same noise where no layer lies: a stray pulse must show."""
    config = program.config
    cells = np.random.RandomState(seed).randint(-99, 100, (config.rows, config.tile_cols))
    for placement, weights in zip(program.placements, program.network.initial_weights(seed), strict=True):
        words = quantise_cells(device, config, weights, program.network.weight_scale)
        words = words if placement.transposed else words.T
        for block in placement.blocks:
            r = block.region
            row = r.tile * config.tile_rows + r.row0
            part = words[r.row_offset : r.row_offset + r.rows, r.col_offset : r.col_offset + r.cols]
            cells[row : row + r.rows, r.col0 : r.col0 + r.cols] = part
    return cells


def samples_for(network: Network, count: int, seed: int) -> np.ndarray:
    """Return random samples with a class that can be learnt: int8 (count, inputs + outputs)."""
    rng = np.random.RandomState(seed)
    n_in, n_out = network.layers[0], network.layers[-1]
    centres = rng.randint(-100, 101, (n_out, n_in))
    labels = rng.randint(0, n_out, count)
    x = np.clip(centres[labels] + rng.randint(-60, 61, (count, n_in)), -127, 127)
    t = np.full((count, n_out), -127 if network.output == "tanh" else 0)
    t[np.arange(count), labels] = 127
    return np.hstack([x, t]).astype(np.int8)


def loaded(
    network: Network,
    schedule: str = DEFAULT_SCHEDULE,
    *,
    device: Device = PRESETS["ideal"],
    config: Config = DEFAULT,
    lr: float = 0.5,
    seed: int = 1,
    stochastic: bool = True,
    samples: int = 64,
    log: object = None,
) -> Loaded:
    """Return a machine that is ready to train a network on made-up samples."""
    program = compile_network(network, carrying(config, device, network), schedule, stochastic=stochastic)
    result = Loaded(GoldenMachine(program.config, log=log), program)  # type: ignore[arg-type]
    result.load(device, lr=lr, seed=seed, samples=samples_for(network, samples, seed))
    return result

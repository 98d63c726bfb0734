"""A golden board with a network on it, for the tests."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, Program, compile_network
from backpulse.firmware_py.config import DEFAULT, Config, DeviceKind
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.image import Image, image, initial_cells, samples_image
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.memory import Memory
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.registers import REG, State
from backpulse.firmware_py.room import tiles_needed
from backpulse.firmware_py.table_device import TableDevice
from backpulse.host.board import Board
from backpulse.host.ports import GoldenPort


def carrying(config: Config, device: Device | TableDevice, network: Network) -> Config:
    """Return a configuration with the tiles and the device model that a network on a device needs."""
    config = replace(config, tiles=tiles_needed(network, config), read_noise=int(device.read_noise > 0))
    if isinstance(device, TableDevice):
        return replace(config, device=DeviceKind.TABLE)
    return replace(config, device=DeviceKind.IDEAL, spread=0) if device.is_ideal else config


@dataclass
class Loaded:
    """A golden machine that holds a program; also a `firmware_py.divergence.Subject`."""

    machine: GoldenMachine
    program: Program

    def read_words(self, address: int, count: int) -> list[int]:
        """Return words."""
        return self.machine.read_words(address, count).tolist()

    def write_words(self, address: int, words: Sequence[int] | np.ndarray) -> None:
        """Write words."""
        self.machine.write_words(address, np.asarray(words, "<u4"))

    def run(self, entry: int, order: Sequence[int]) -> None:
        """Work through samples of the store."""
        self.machine.write(REG["ENTRY"].address, entry)
        self.machine.start()
        for index in order:
            self.machine.grant([index])
            self.machine.run(1)
        if self.machine.state == State.PAUSED:
            self.machine.halt()

    def load(self, device: Device | TableDevice, *, lr: float, seed: int, samples: np.ndarray) -> None:
        """Write program, tables, device, cells, spread, random states, scales and samples (int8, one record a row)."""
        program = self.program
        records = np.zeros((len(samples), 4 * program.stride_words), np.int8)
        records[:, : samples.shape[1]] = samples
        self.write(image(program, device, noisy_cells(program, device, seed), lr=lr, seed=seed))
        self.write(samples_image(0, records.view("<u4")))

    def write(self, runs: Image) -> None:
        """Write runs of words."""
        for address, words in runs:
            self.write_words(address, words)

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


def machine_of(board: Board) -> GoldenMachine:
    """Return the machine of a golden board, whose registers are read-only on the line."""
    port = board.link._port
    assert isinstance(port, GoldenPort)
    return port._machine


def flat(memory: Memory) -> tuple[Any, ...]:
    """Return a memory's arrays, those of its tape in the tape's place."""
    return *memory._replace(recorded=memory.recorded.units), memory.recorded.at


def noisy_cells(program: Program, device: Device | TableDevice, seed: int, *, noise: int | None = None) -> np.ndarray:
    """Return cells of a network's initial weights, and noise, perhaps with its own seed, where no layer lies: a stray pulse must show."""
    shape = (program.config.rows, program.config.tile_cols)
    return initial_cells(program, device, seed, np.random.RandomState(seed if noise is None else noise).randint(-99, 100, shape))


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
    device: Device | TableDevice = PRESETS["ideal"],
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

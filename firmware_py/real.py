"""Golden machines whose array is as a real one is to the host: no cell, parameter or state of it can be read or written.

Inside is an emulated device of the caller's choice. It stands for devices that nobody knows, so that what a host does with a real array
can be tried, and compared with what the cells really are.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.device import STUCK, Device, standing
from backpulse.firmware_py.image import table_image
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.registers import Capability, Stream, TileKind, Window
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import STUCK_WORD, TableDevice
from backpulse.firmware_py.table_window import TableWindow
from backpulse.firmware_py.tile_facts import EMULATED, TileFacts
from backpulse.firmware_py.wired import facts, wired

PROFILES = 4
"""Profiles that such an array knows; they all mean the same."""
EXACT = Capability.CELLS_READ | Capability.CELLS_WRITE | Capability.CELLS_EXACT
"""What it does not claim."""


def real_facts(facts: TileFacts = EMULATED) -> TileFacts:
    """Return what a tile says of itself when its devices are real."""
    claims = facts.capabilities & ~EXACT | Capability.TRIPS
    return replace(facts, kind=TileKind.MODEL, capabilities=claims, profiles=PROFILES)


def real_config(config: Config) -> Config:
    """Return the configuration of a board with the same controller and real devices."""
    return replace(config, device=DeviceKind.REAL, spread=0, read_noise=0)


def inside_config(config: Config, device: Device | TableDevice) -> Config:
    """Return the configuration of the emulated devices inside."""
    kind = DeviceKind.TABLE if isinstance(device, TableDevice) else DeviceKind.LINEAR_STEP
    return replace(config, device=kind, spread=1, read_noise=1)


def real_machine(
    config: Config,
    device: Device | TableDevice,
    seed: int,
    *,
    dead_rows: Iterable[int] = (),
    dead_cols: Iterable[int] = (),
    stuck: Iterable[tuple[int, int, float]] = (),
    facts: TileFacts | None = None,
    **more: Any,
) -> GoldenMachine:
    """Return a golden machine with real devices.

    Parameters
    ----------
    config
        Of the board; what it says of devices does not count.
    device, seed
        What is inside, and of what its cells and noise are drawn.
    dead_rows, dead_cols
        Lines whose cells conduct as zero does and never move: rows counted over all tiles, columns in each tile.
    stuck
        Row, column and value in device units of cells that never move.
    **more
        As of `GoldenMachine`.
    """
    inside = inside_config(config, device)
    machine = GoldenMachine(real_config(config), facts=facts or real_facts(), inside=inside, **more)
    memory = machine.memory
    memory.tile[:] = device.tile_words(inside)
    memory.spread[:] = device.spread_words(inside, seed)
    states = seed_states(inside, seed)
    memory.write[:] = np.array(states[Stream.WRITE], np.uint32).view(np.int32)
    memory.read[:] = states[Stream.READ]
    memory.cells[:] = standing(device.bound_up, device.bound_down, config, seed)
    fixed = STUCK_WORD if isinstance(device, TableDevice) else (STUCK & 15) << 4
    for lines, axis in ((list(dead_rows), 0), (list(dead_cols), 1)):
        at = (lines, slice(None)) if axis == 0 else (slice(None), lines)
        memory.cells[at], memory.spread[at] = 0, fixed
    for row, col, value in stuck:
        memory.cells[row, col], memory.spread[row, col] = round(value * (1 << config.cell_frac)), fixed
    if isinstance(device, TableDevice):
        memory.law.persistent[:] = memory.cells
        window = TableWindow(memory.law, inside.cell_bits)
        for address, words in table_image(device.words(inside).flat()):
            for offset, word in enumerate(words, address - Window.TABLE.base):
                window.write(offset, int(word))
    return machine


def array_machine(array: Array, config: Config, **more: Any) -> GoldenMachine:
    """Return the golden machine of an array of kind real; `more` as of `GoldenMachine`.

    Raises
    ------
    ValueError
        If the array names lines or cells that the tiles do not have.
    """
    return real_machine(
        config,
        array.inside,
        array.seed,
        dead_rows=array.dead.rows,
        dead_cols=array.dead.cols,
        stuck=[(cell.row, cell.col, cell.value) for cell in array.stuck],
        facts=real_facts(facts(array)),
        # Without wires and the like the plain model reads the same, and much faster.
        array=None if array.is_plain else wired(array, config),
        **more,
    )

"""What program-verify takes and leaves, device by device: `python -m benchmarks.verify` prints the table of docs/real.md."""

from collections.abc import Iterator

import numpy as np

from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.device import PRESETS, Device, with_values
from backpulse.firmware_py.framing import LONG_PAYLOAD
from backpulse.firmware_py.image import initial_cells
from backpulse.firmware_py.pages import table
from backpulse.firmware_py.real import real_machine
from backpulse.host.array_cells import Areas
from backpulse.host.board import Board
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer

NOISE = (0.0, 1.0, 4.0)
"""Standard deviation of a read, in sense LSB."""
HEADS = ("device", "read noise", "rounds", "pulses a cell", "reads as, rms", "is, rms", "is, worst", "step as measured / dw_min")


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the table, row by row."""
    for name in PRESETS:
        for noise in NOISE:
            yield _row(name, with_values(PRESETS[name], read_noise=noise))


def _row(name: str, device: Device) -> tuple[str, ...]:
    machine = real_machine(IDEAL, device, 1, payload=LONG_PAYLOAD)
    link = Link(GoldenPort(machine), patience_s=60.0)
    board, settings = Board(link, link.close), Settings(device=name)
    trainer = Trainer(board, settings, 1)
    areas, found = Areas(board, trainer.program), trainer.started
    wanted = initial_cells(trainer.program, device, settings.seed)
    off = ((wanted - machine.memory.cells) / (1 << board.config.cell_frac) * areas.unit)[areas.used]
    board.close()
    return (
        name,
        f"{device.read_noise:g}",
        str(found["rounds"]),
        f"{found['verify_pulses'] / found['cells']:.0f}",
        f"{found['residual_rms']:.2f}",
        f"{np.sqrt(np.mean(off**2)):.2f}",
        f"{np.abs(off).max():.1f}",
        f"{found['step'] / device.dw_min:.2f}",
    )


if __name__ == "__main__":
    print(table(HEADS, rows()))

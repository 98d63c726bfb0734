"""Trains the digits on the virtual board of every real board's configuration: cycles and accuracy for docs/boards.md (`make boards`).

The golden model of the same configuration trains beside it, and must end with the same cells and as many cycles.
"""

import json
import sys

from rich.progress import Progress

from backpulse.firmware_py.device import device_for
from backpulse.gateware.bitstream.page import REFERENCE, RUNS
from backpulse.gateware.boards.boards import BOARDS, Board
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import open_board

EPOCHS = 5


def train(url: str, board: Board) -> dict[str, object]:
    """Train on a virtual or golden board of a real board's configuration; return what it came to."""
    settings = Settings(layers=REFERENCE, dataset="digits", lr=0.5, device=device_for(board.config).name)
    with open_board(url, config=board.config) as opened:
        trainer = Trainer(opened, settings, EPOCHS)
        trainer.run()
        result = trainer.result()
    names = ("cycles", "cycles_per_step", "test_accuracy", "conductance_digest")
    return {"device": settings.device, **{name: result[name] for name in names}}


def main() -> int:
    """Train on all boards, and write what they came to."""
    found = {}
    with Progress() as progress:
        emulated = [board for board in BOARDS.values() if board.front_end is None]
        task = progress.add_task("boards", total=len(emulated))
        for board in emulated:
            found[board.name] = train("sim://", board)
            if found[board.name] != train("golden://", board):
                print(f"The virtual board of {board.name} and its golden model differ", file=sys.stderr)
                return 1
            progress.advance(task)
    RUNS.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

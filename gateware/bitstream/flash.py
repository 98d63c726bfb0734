"""Loads bitstreams into boards, with the board's own loader."""

import re
import shutil
import sys
from pathlib import Path

from backpulse.firmware_py.installing import install
from backpulse.gateware import child
from backpulse.gateware.boards.boards import Board
from backpulse.gateware.tools import MissingToolError, ToolError

__all__ = ["NotLoadedError", "flash"]


class NotLoadedError(ToolError):
    """The loader works and finds no board, or cannot load it."""


def flash(board: Board, file: Path) -> None:
    """Load a bitstream into a connected board.

    Raises
    ------
    MissingToolError
        If the loader is missing, or what it needs of the system.
    NotLoadedError
        If it finds no board, or cannot load it; the messages say what to do.
    """
    name, *options = board.loader
    beside = Path(sys.executable).parent / name
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        raise MissingToolError(f"The loader {name} is missing: install it with {install('build')}")
    done = child.run([program, *options, str(file)])
    if done.returncode == 0:
        return
    words = f"{done.stdout}\n{done.stderr}"
    library = re.search(r"loading shared libraries: (\S+):", words)
    if library:
        raise MissingToolError(
            f"The loader {name} needs {library[1]} of the system: "
            "install it with the system's package manager"
        )
    lines = [line.strip().rstrip(".") for line in words.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error|fail|unable", line, re.IGNORECASE)]
    reason = (telling or lines[-1:] or ["no reason given"])[0]
    raise NotLoadedError(
        f"{board.title} was not found or not loaded ({reason}): "
        "connect it by USB, and check that you may use the device"
    )

"""Tools that run as children of this process, and end with the work that needs them."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from backpulse.gateware.tools import ToolError

__all__ = ["children_end", "run"]


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    output: IO[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end. An interrupt, as any exception, ends it with all that it has started.

    A tool has a session of its own, so that a Ctrl-C reaches it through us alone. If we are killed outright
    (SIGKILL) it runs to its end, in the folder that it was given.

    Parameters
    ----------
    command
        Program and arguments.
    cwd, env
        Its folder and environment, if not ours.
    output
        File for what it says on standard output and error; the result has both if there is none.

    Raises
    ------
    ToolError
        If it cannot be started.
    """
    try:
        started = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=output or subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(
            f"The tool {command[0]} cannot be started ({error.strerror}): backpulse doctor says what is wrong"
        ) from error
    with started as process:
        try:
            out, err = process.communicate()
        except BaseException:
            _end(process.pid)
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@contextmanager
def children_end() -> Iterator[None]:
    """End a library's child processes if the body is interrupted, on systems that list them."""
    before = _children()
    try:
        yield
    except BaseException:
        for pid in _children() - before:
            _end(pid)
        raise


def _children() -> set[int]:
    """Return the children of this process that Linux lists."""
    found = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in file.read_text().split()}
    return found


def _end(pid: int) -> None:
    """Kill a child, with its session if it leads one."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)

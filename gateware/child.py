"""Tools that run as children of this process, and end with the work that needs them."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from backpulse.gateware.tools import ToolError

__all__ = ["run"]


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    text: str | None = None,
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
    text
        What it reads on standard input, which is empty without.
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
            stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
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
            out, err = process.communicate(text)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)

"""What stands for `sweep_run.attempt` where processes are to die of some runs."""

import os
import signal

from backpulse.host.sweep_run import Outcome, Run

DEADLY = (2, 7)
"""Seeds."""


def attempt(run: Run) -> Outcome:
    """Say that the run is done, or die of it as a process does that the system takes the memory from."""
    if run.settings.seed in DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(run, {"pid": os.getpid()})

"""What a test tells its bench, in an environment variable. Benches import nothing else of what runs them: each simulator would load it."""

import json
import os
from typing import Any

VARIABLE = "BACKPULSE_BENCH"
"""Holds the parameters as JSON."""


def parameters() -> dict[str, Any]:
    """Return, inside the simulator, the parameters that the test gave to `run_cocotb`."""
    return json.loads(os.environ[VARIABLE])

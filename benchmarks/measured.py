"""What it takes to read and fit a million rows of a measured device, beside pandas' own reading of the same file, in one run.

`python -m benchmarks.measured`
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from backpulse.host.device_fit import fit_device
from backpulse.host.device_layouts import read_measured
from backpulse.host.device_traces import in_siemens

ROWS = 1_000_000


def main() -> None:
    """Measure and print CPU seconds, and how many times pandas' they are."""
    way = 40 * (1 - np.exp(-np.linspace(0, 3, ROWS // 2)))
    g = np.concatenate([5 + way, 5 + way[::-1]]) + np.random.RandomState(1).normal(0, 0.1, ROWS)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.csv"
        np.savetxt(path, np.column_stack([np.arange(ROWS), g]), fmt=["%d", "%.6f"], delimiter=",", header="pulse,G (uS)", comments="")
        _, plain = _timed(lambda: pandas.read_csv(path))
        read, reading = _timed(lambda: in_siemens(read_measured([path]), None, None)[0])
        _, fitting = _timed(lambda: fit_device(read, "long"))
    for what, seconds in (("pandas.read_csv", plain), ("read_measured", reading), ("fit_device", fitting)):
        print(f"{what:16} {seconds:6.2f} s of one core, {seconds / plain:5.1f} times pandas")


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    begun = time.process_time()
    result = call()
    return result, time.process_time() - begun


if __name__ == "__main__":
    main()

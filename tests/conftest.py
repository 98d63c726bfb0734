"""Settings of all tests: hypothesis is reproducible, and the first call of a compiled function may take its time."""

import pytest
from hypothesis import settings

settings.register_profile("backpulse", derandomize=True, deadline=None)
settings.load_profile("backpulse")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the board for `pytest -m hil`."""
    parser.addoption("--port", default=None, metavar="URL", help="board for the hardware-in-the-loop tests")
    parser.addoption("--baud", default=None, type=int, help="its baud rate")

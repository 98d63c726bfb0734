"""The board that `--port` names, and a golden board of the same configuration."""

from collections.abc import Iterator

import pytest

from backpulse.host.board import Board
from backpulse.host.urls import BAUD, open_board


@pytest.fixture(scope="session")
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Board, Board]]:
    """Return the golden board and the real one."""
    url = request.config.getoption("--port")
    if url is None:
        pytest.skip("no board: name one with --port URL")
    with open_board(url, baud=request.config.getoption("--baud") or BAUD) as real, open_board("golden://", config=real.config) as golden:
        yield golden, real

"""Boards with real devices: golden machines whose arrays show the host nothing but what reads and pulses do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backpulse.firmware_py.config import IDEAL, Config
from backpulse.firmware_py.device import Device
from backpulse.firmware_py.framing import LONG_PAYLOAD
from backpulse.firmware_py.machine import GoldenMachine
from backpulse.firmware_py.real import real_machine
from backpulse.host.board import Board
from backpulse.host.link import Link
from backpulse.host.ports import GoldenPort


@contextmanager
def real_board(device: Device, config: Config = IDEAL, seed: int = 1, **more: Any) -> Iterator[tuple[Board, GoldenMachine]]:
    """Yield a board with real devices, and the machine behind it, where a test may look inside."""
    machine = real_machine(config, device, seed, payload=LONG_PAYLOAD, **more)
    link = Link(GoldenPort(machine), patience_s=5.0)
    try:
        yield Board(link, link.close), machine
    finally:
        link.close()

"""Virtual boards with a front end for the tests: one configuration, compiled once, and what the conformance bench says of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.config import DEFAULT
from backpulse.firmware_py.device import PRESETS
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_bench import Bench
from backpulse.host.array_check import check_array, chosen
from backpulse.host.array_file import parse_array
from backpulse.host.board import Board
from backpulse.host.urls import Address, board_config, open_board

SMALL = replace(
    DEFAULT,
    program_words=128,
    regions=64,
    vector_words=256,
    page_bytes=64,
    store_words=1024,
    order_depth=128,
    result_depth=64,
    output_depth=0,
    trace_words=1024,
)
READS = 2000
"""Of the check that reads disturb nothing: a virtual board makes some hundred in a second."""
TEXT = """
[front_end]
kind = "{kind}"
offset_mv = {offset_mv}
gain_error = {gain_error}
read_volts = {read_volts}
[wires]
row_ohm = {ohm}
col_ohm = {ohm}
driver_ohm = {ohm}
[read]
reference = "calibrated"
"""


READ_VOLTS = {"slices": 0.2, "student": 0.4}
"""The kit has 12 bits."""


def text(ohm: float, *, kind: str = "slices", offset_mv: float = 2.0, gain_error: float = 0.01) -> str:
    """Return an array file."""
    return TEXT.format(ohm=ohm, kind=kind, offset_mv=offset_mv, gain_error=gain_error, read_volts=READ_VOLTS[kind])


@contextmanager
def lab(found: str) -> Iterator[tuple[Board, AnalogTile, Array]]:
    """Open the virtual board of an array file, which is armed."""
    array = parse_array(found, "array.toml")
    config = board_config(None, PRESETS["ideal"], array=array)
    with open_board(Address("sim://", array), config=config) as board:
        yield board, AnalogTile(board), array


def failed(board: Board, only: str | None = None) -> set[int]:
    """Return the numbers of the checks that the array has not passed, and print what each has found."""
    bench = Bench(board, PRESETS["ideal"], wires=1.0, reads=READS)
    found = set()
    with bench.kept():
        for result in check_array(bench, chosen(only), lambda check: None):
            print(result.check.number, result.check.name, result.status, result.why)
            found |= {result.check.number} if result.status == "failed" else set()
    return found

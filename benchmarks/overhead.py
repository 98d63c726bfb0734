"""What the controller adds to a real array's time (`python -m benchmarks.overhead [--steps N]`), in cycles of a virtual board.

A network trains with the words of an emulated tile and the time of an analog one (`benchmarks.timed_array`): pulses of 10 us, codes and
conversions as the slices of docs/wiring.md need them, frame by frame. Counted are the cycles of instructions in which the array neither
settles nor is pulsed, and the front end neither sends codes nor converts.
"""

import argparse
from unittest import mock

from rich.console import Console

from backpulse.firmware_py.analog import ARM_FIRST, ARM_SECOND, PROFILE_WORDS, Profile
from backpulse.firmware_py.registers import ArrayWord, Counter, Window
from backpulse.gateware.sim.virtual_board import VirtualBoard, build
from backpulse.host.board import Board
from backpulse.host.link import Link
from backpulse.host.settings import Settings, prepare
from backpulse.host.training import Trainer
from backpulse.host.urls import VIRTUAL_PATIENCE_S, board_config
from backpulse.host.virtual import VirtualPort
from backpulse.rtl.units.serial_planner import SerialPlanner
from benchmarks.timed_array import BUSY, SETTLE, TABLES, WIDTH, WORDS, TimedTile

DIGITS = Settings(layers="64-32-10", dataset="digits", lr=0.5)
MOST = 0.02
"""Most of an instruction's cycles in which array and front end wait for the controller."""
PROFILE = Profile(two_phase=True, settle=SETTLE, width=WIDTH)
console = Console(highlight=False)


def prepare_array(board: Board) -> None:
    """Write the profile and the limits, and arm."""

    def put(offset: int, words: list[int]) -> None:
        board.link.write_words(Window.TILE.base + offset, words)

    put(TABLES, PROFILE.to_words()[:PROFILE_WORDS])
    put(WORDS + ArrayWord.LIMIT, [WIDTH, 100 * SETTLE, 0, 0])
    for word in (ARM_FIRST, ARM_SECOND):
        put(WORDS + ArrayWord.ARM, [word])


def main() -> int:
    """Measure; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    config = board_config(DIGITS.network, DIGITS.device_model)
    data = prepare(DIGITS, config.drive_max)
    with mock.patch("backpulse.rtl.units.units.Planner", SerialPlanner):
        program = build(config, tile=TimedTile, progress=console.print)
    running = VirtualBoard(program)
    link = Link(VirtualPort(running), patience_s=VIRTUAL_PATIENCE_S)

    def close() -> None:
        link.close()
        running.close()

    with Board(link, close) as board:
        prepare_array(board)
        Trainer(board, DIGITS, 1, data=data).train_part(arguments.steps)
        counters = board.raw_counters()
        (busy,) = board.link.read_words(Window.TILE.base + BUSY, 1)
    total, steps = int(counters[Counter.CYCLES]), int(counters[Counter.STEPS])
    share = 1 - busy / total
    parts = {name: int(counters[counter]) / total for name, counter in (("reads", Counter.READ_CYCLES), ("pulses", Counter.PULSE_CYCLES))}
    console.print(f"{total / steps:,.0f} cycles a step, {parts['reads']:.1%} in reads and {parts['pulses']:.1%} in pulses")
    console.print(f"{share:.2%} of them wait for the controller; at most {MOST:.0%} may")
    return int(share > MOST)


if __name__ == "__main__":
    raise SystemExit(main())

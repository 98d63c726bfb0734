"""What recording a trace costs: steps a second with and without it (`python -m benchmarks.trace [--rounds N] [--steps N]`).

On the golden model both are timed in turn, and the median of the rounds counts. The virtual board is judged by its clock cycles, which no
busy computer changes: with the emulated tile, which is far faster than the line, and with a slow one, whose steps take as many bits of the
line as steps of 2.5 ms at 1 Mbaud.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console

from backpulse.gateware.sim.virtual_board import VirtualBoard, build
from backpulse.host.board import Board
from backpulse.host.link import Link
from backpulse.host.recorder import sample_bytes
from backpulse.host.replay import Replay
from backpulse.host.settings import Prepared, Settings, prepare
from backpulse.host.trace_file import read_trace
from backpulse.host.training import Trainer
from backpulse.host.urls import VIRTUAL_PATIENCE_S, board_config, open_board
from backpulse.host.virtual import VirtualPort
from benchmarks.slow_tile import SlowTile

DIGITS = Settings(layers="64-32-10", dataset="digits", lr=0.5)
GOLDEN_LEAST = 0.2
"""Least part of its rate that the golden model keeps."""
SLOW_MOST = 0.05
"""Most that recording costs where the line carries it."""
console = Console(highlight=False)


def golden(data: Prepared, rounds: int, folder: Path) -> bool:
    """Time the golden model, an epoch each; say whether it keeps its part."""
    config = board_config(DIGITS.network, DIGITS.device_model)
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(rounds + 1):
        for traced in rates:
            with open_board("golden://", config=config) as board:
                if traced:
                    board.record(folder / f"golden-{number}.trace")
                trainer = Trainer(board, DIGITS, 1, data=data)
                begun = time.perf_counter()
                trainer.train_part(len(data.train))
                rates[traced] += [len(data.train) / (time.perf_counter() - begun)] if number else []
    without, with_ = (statistics.median(r) for r in rates.values())
    size = sample_bytes(DIGITS.compile(config))
    console.print(f"golden://: {without:,.0f} steps/s, recorded {with_:,.0f}: {with_ / without:.2f} of it; {size} bytes a step")
    begun = time.perf_counter()
    outcome = Replay(read_trace(folder / "golden-1.trace")).go()
    console.print(f"replay: {outcome.training / (time.perf_counter() - begun):,.0f} steps/s, digest {outcome.digest[:16]}")
    return with_ >= GOLDEN_LEAST * without and not outcome.divergence


def virtual(data: Prepared, name: str, steps: int, folder: Path, *, slow: bool) -> float:
    """Return by what part the virtual board's steps take longer when they are recorded, waiting for samples and the line included."""
    config = board_config(DIGITS.network, DIGITS.device_model)
    program = build(config, tile=SlowTile if slow else None, progress=console.print)
    cost = {}
    for traced in (False, True):
        clocks = [_clocks(program, data, n, folder / f"{name}-{n}.trace" if traced else None) for n in (steps, 6 * steps)]
        cost[traced] = (clocks[1] - clocks[0]) / (5 * steps)
        console.print(f"{name}{', recorded' if traced else ''}: {cost[traced]:,.0f} cycles a step")
    outcome = Replay(read_trace(folder / f"{name}-{steps}.trace")).go()
    more = cost[True] / cost[False] - 1
    console.print(f"{name}: recording takes {more:.1%} more cycles; replay: {outcome.divergence or 'no difference'}")
    return more


def _clocks(program: Path, data: Prepared, steps: int, trace: Path | None) -> int:
    """Return the clock cycles of a whole session that trains so many steps."""
    running = VirtualBoard(program)
    link, said = Link(VirtualPort(running), patience_s=VIRTUAL_PATIENCE_S), []

    def close() -> None:
        link.close()
        said.append(running.close())

    with Board(link, close) as board:
        if trace:
            board.record(trace)
        Trainer(board, DIGITS, 1, data=data).train_part(steps)
    return int(said[0].split()[0])


def main() -> int:
    """Measure; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trace", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="of the golden model")
    parser.add_argument("--steps", type=int, default=60, help="of the virtual boards, then six times as many")
    arguments = parser.parse_args()
    data = prepare(DIGITS, board_config(DIGITS.network, DIGITS.device_model).drive_max)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = golden(data, arguments.rounds, folder)
        virtual(data, "emulated tile", arguments.steps, folder, slow=False)
        slow = virtual(data, "slow tile", arguments.steps, folder, slow=True)
    return 0 if kept and slow < SLOW_MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""The checks of an array's windows and streams: 1 and 2 of the conformance bench."""

from time import perf_counter

import numpy as np

from backpulse.firmware_py.config import Config
from backpulse.firmware_py.framing import Status
from backpulse.firmware_py.isa import Function, Instruction, Op, Region, Vector
from backpulse.firmware_py.registers import (
    ARRAY_WORDS,
    CELL_ROW_SHIFT,
    REG,
    STREAM_SHIFT,
    ArrayWord,
    Capability,
    Stream,
    TileState,
    Window,
)
from backpulse.host.array_bench import Bench, Figure
from backpulse.host.array_chain import Chain, room
from backpulse.host.array_checks_trace import Pauses
from backpulse.host.array_operations import ROW_BYTE, pulse_scale, rectangle, sensed_words
from backpulse.host.commands import reads

ANSWER_MS = 1.0
"""Time in which every window answers."""
LOOKS, MOST_LOOKS = 15, 100
"""Answers of each window that are timed, and where one seems late; the quickest counts."""
ROUNDS, PAUSED_ROUNDS, COMMANDS = 8, 4, 12
"""Programs of the stream check, those without a pause and those with pauses, and the commands in each."""


def windows(bench: Bench) -> Figure:
    """Check 1: every window answers, also while the machine is busy; the words of ARRAY are such as this version knows."""
    board, config = bench.board, bench.config
    lean = bool(config.lean)
    open_at = {
        window: window.base
        for window in (Window.PROGRAM, Window.REGIONS, Window.VECTORS, Window.VECTOR_MEMORY, Window.STORE, Window.RESULTS)
    }
    if not lean:
        open_at[Window.ARRAY] = Window.ARRAY.base
    if config.output_depth:
        open_at[Window.OUTPUTS] = Window.OUTPUTS.base
    if Capability.CELLS_READ in bench.claims:
        open_at |= {Window.CELLS: Window.CELLS.base, Window.RANDOM: Window.RANDOM.base + (Stream.ROUNDING << STREAM_SHIFT)}
    wrong = [] if lean else _array_words(bench)
    beyond = Window.CELLS.base + (config.rows << CELL_ROW_SHIFT)
    if not _status(bench, beyond):
        wrong.append("CELLS answers for a row that the board does not have")
    times = _answers_ms(bench, {"REGISTERS": REG["STATE"].address, **{window.name: at for window, at in open_at.items()}})
    register = times.pop("REGISTERS")
    # Busy: as many reads as the board takes, and meanwhile ARRAY and the registers.
    lines = config.tile_rows
    count = min(room(config, lines), 64)
    chain = Chain(board, [[Instruction(op=Op.READ, a=0, b=1)]], _vectors(config, lines), bench.drives(count, lines), [rectangle(config)])
    at = REG["STATE"].address if lean else Window.ARRAY.base + ArrayWord.STATE
    busy = [reads(at, 1)[0] for _ in range(6)]
    chain.start(np.arange(count), busy)
    wrong += [f"{request.what} is refused while a program runs: {request.status.name}" for request in busy if request.status]
    board.stop()
    slowest = max(times, key=lambda name: times[name])
    late = round(max(0.0, times[slowest] - register), 3)
    if wrong:
        return Figure(value=len(wrong), limit=0, unit="wrong answers", said="; ".join(wrong))
    windowless = ", no ARRAY window (a lean machine)" if lean else ""
    return Figure(
        value=late,
        limit=max(ANSWER_MS, register),
        unit="ms",
        said=f"longer than a register's answer ({register:.2f} ms with the line), at most, of {len(times)} windows: {slowest}{windowless}",
        details={f"{name.lower()}_ms": value for name, value in times.items()},
    )


def _array_words(bench: Bench) -> list[str]:
    words = bench.board.link.read_words(Window.ARRAY.base, ARRAY_WORDS)
    state, wrong = words[ArrayWord.STATE], []
    known = {ArrayWord.CAPABILITIES: sum(Capability), ArrayWord.STATE: sum(TileState)}
    wrong += [f"{word.name} has unknown bits: 0x{words[word]:x}" for word, bits in known.items() if words[word] & ~bits]
    if words[ArrayWord.SAFE_CYCLES] == 0:
        wrong.append("SAFE_CYCLES is 0")
    if not state & TileState.SAFE:
        wrong.append("STATE says that a driver is on while the machine is idle")
    if bool(state & TileState.TRIPPED) != bool(words[ArrayWord.TRIP]):
        wrong.append(f"STATE and TRIP disagree: {state} and {words[ArrayWord.TRIP]}")
    if not _status(bench, Window.ARRAY.base + ARRAY_WORDS):
        wrong.append("ARRAY answers beyond its words")
    return wrong


def _status(bench: Bench, address: int) -> Status:
    """Return how the board answers a read of a word."""
    requests = reads(address, 1)
    bench.board.link.exchange(requests)
    return requests[0].status


def _answers_ms(bench: Bench, addresses: dict[str, int]) -> dict[str, float]:
    """Return how long the answers of words take: the quickest of each, asked in turn, for all else is the computer's and the line's.

    While one seems late, all are asked again: what a busy computer adds goes away, and what the board takes does not.
    """
    quickest = dict.fromkeys(addresses, float("inf"))
    for looks in range(MOST_LOOKS):
        for name, address in addresses.items():
            begun = perf_counter()
            bench.board.link.read_words(address, 1)
            quickest[name] = min(quickest[name], 1000 * (perf_counter() - begun))
        if looks >= LOOKS and max(quickest.values()) - quickest["REGISTERS"] < ANSWER_MS / 2:
            break
    return quickest


def _vectors(config: Config, lines: int) -> list[Vector]:
    return [
        Vector(base=0, length=lines, sample=1),
        Vector(base=0, length=min(config.vector_words, max(config.tile_rows, config.tile_cols))),
    ]


def streams(bench: Bench) -> Figure:
    """Check 2: commands of random regions follow each other, without a pause and with random ones, and each is answered as it should."""
    paused = PAUSED_ROUNDS if bench.config.trace_words else 0
    side = min(bench.config.page_bytes - 1 - bench.config.tile_cols, max(bench.config.tile_rows, bench.config.tile_cols))
    wrong, commands, first = 0, 0, ""
    known = bench.known_tiles()
    for number in range(ROUNDS + paused):
        if bench.steady and number:  # else no pulses are given
            known = bench.known_tiles()
        program = _Mixed(bench, side, known)
        found, expected, tolerance = program.run(paused=number >= ROUNDS)
        off = np.abs(found - expected) > tolerance
        wrong, commands = wrong + int(off.sum()), commands + 2 * len(program.steps)
        if off.any() and not first:
            first = f", first in program {number}: {', '.join(step.op.name for step in program.steps)}"
        bench.report(number + 1, ROUNDS + paused)
    without = "a third of them with pauses of what the tile gives" if paused else "none with pauses, for there is no ring of trace records"
    return Figure(value=wrong, limit=0, unit="wrong words", said=f"of {commands} commands, {without}{first}")


class _Mixed:
    """A program of commands in random order and regions, which two samples run through."""

    def __init__(self, bench: Bench, side: int, known: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self._bench, self._known, config = bench, known, bench.config
        limit = min(COMMANDS, config.regions, config.vectors - 3, config.program_words - 2)
        self._vectors = [Vector(base=0, length=side, sample=1)]
        self._vectors += [Vector(base=side, length=1, sample=1), Vector(base=side + 1, length=config.tile_cols, sample=1)]
        self._places: list[Region] = []
        self.steps: list[Instruction] = []
        self._used = 0
        while len(self.steps) < limit:
            # Pairs, whose order is that of a training step forward, back, or of neither.
            for op in bench.rng.permutation([Op.READ, Op.READT, Op.PULSE])[: limit - len(self.steps)]:
                self._add(Op(int(op)), side)

    def _add(self, op: Op, side: int) -> None:
        config, rng = self._bench.config, self._bench.rng
        rows = 1 if op is Op.PULSE else int(rng.integers(1, min(side, config.tile_rows) + 1))
        cols = int(rng.integers(1, min(side, config.tile_cols) + 1))
        row0, col0 = int(rng.integers(config.tile_rows - rows + 1)), int(rng.integers(config.tile_cols - cols + 1))
        self._places.append(rectangle(config, int(rng.integers(config.tiles)), row0, rows, col0, cols))
        at = len(self._places) - 1
        if op is Op.PULSE:
            self.steps.append(Instruction(op=op, region=at, a=1, b=2))
            return
        length = rows if op is Op.READT else cols
        if self._used + length > config.vector_words:
            self._used = 0
        self._vectors.append(Vector(base=self._used, length=length))
        self._used += length
        self.steps.append(Instruction(op=op, region=at, a=0, b=len(self._vectors) - 1, function=Function.PARTIAL))

    def run(self, *, paused: bool) -> tuple[np.ndarray, np.ndarray, float]:
        """Return what vector memory holds, what it should, and how far they may differ."""
        bench, config = self._bench, self._bench.config
        side, cols = self._vectors[0].length, config.tile_cols
        row = np.full((2, 1), ROW_BYTE if bench.steady else 0)
        counts = bench.rng.integers(-config.pulse_max, config.pulse_max + 1, (2, cols))
        samples = np.hstack([bench.drives(2, side), row, counts])
        if not bench.steady:  # pulses of unknown effect: none, but the command is given
            samples[:, side + 1 :] = 0
        expected, tolerance = self._expected(samples)
        chain = Chain(bench.board, [self.steps], self._vectors, samples, self._places)
        bench.board.link.write_words(REG["SCALE"].address, [pulse_scale(config).to_word()])
        if paused:
            pauses = Pauses(bench)
            try:
                chain.run(np.arange(2), more=pauses)
            finally:
                pauses.end()
        else:
            chain.run(np.arange(2))
        words = sensed_words(config, bench.board.link.read_words(Window.VECTOR_MEMORY.base, config.vector_words))
        bench.board.stop()
        held = np.isfinite(expected)
        return words[held], expected[held], tolerance

    def _expected(self, samples: np.ndarray) -> tuple[np.ndarray, float]:
        bench, config = self._bench, self._bench.config
        side = self._vectors[0].length
        memory, tolerance = np.full(config.vector_words, np.nan), 0.0
        known = self._known
        for sample in samples:
            for step in self.steps:
                place = self._places[step.region]
                inside = slice(place.row0, place.row0 + place.rows), slice(place.col0, place.col0 + place.cols)
                if step.op is Op.PULSE:
                    if bench.steady:
                        cells = known[place.tile][0]
                        cells[inside] = bench.pulsed(cells[inside], sample[side + 1 : side + 1 + place.cols][None])
                    continue
                transposed = step.op is Op.READT
                drives = sample[None, : place.cols if transposed else place.rows]
                words, off = bench.expect(known[place.tile][transposed][inside], drives, transposed=transposed)
                base = self._vectors[step.b].base
                memory[base : base + words.shape[1]] = words[0]
                tolerance = max(tolerance, off)
        return memory, tolerance
